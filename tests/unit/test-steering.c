/* The table against a model of the kernel's array, and the program in the kernel itself. */
#include "net/steering.h"

#include "base/fd.h"
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the table: the kernel's array holds numbers of sockets */

#define PLACES_MAX 64

struct group {
    size_t place[PLACES_MAX], n;
};

static void leave(struct group *group, size_t number)
{
    for (size_t i = 0; i < group->n; i++)
        if (group->place[i] == number) {
            group->place[i] = group->place[--group->n];
            return;
        }
}

static void compare(const struct group *group, const struct steering *steering)
{
    assert_int_equal(group->n, steering->n);
    for (size_t i = 0; i < steering->n; i++)
        assert_int_equal(group->place[steering->index[i]], i);
}

static void test_table(void **state UNUSED)
{
    struct group group = {0};
    struct steering steering = {0};
    uint32_t random = 1;
    for (unsigned step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        unsigned choice = random >> 28;
        if (choice < 6 && group.n < PLACES_MAX) {
            assert_int_equal(steering_add(&steering), 0);
            group.place[group.n] = group.n;
            group.n++;
        } else if (choice < 11 && group.n > 0) {
            leave(&group, group.n - 1);
            steering_remove_last(&steering);
        } else if (group.n > 0) {
            size_t number = (random >> 8) % group.n;
            leave(&group, number);
            group.place[group.n++] = number;
            steering_again(&steering, number);
        }
        compare(&group, &steering);
    }
    steering_clear(&steering);
}

/* --- the program, run here */

#define FLOWS 3000

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* The part of a packet that the program looks at. */
struct packet {
    uint8_t bytes[80];
};

static uint32_t load_word(const struct packet *packet, uint32_t at)
{
    uint32_t word;
    memcpy(&word, packet->bytes + (at - (uint32_t)SKF_NET_OFF), sizeof(word));
    return ntohl(word);
}

/* As much of the kernel's machine as our program uses. */
static uint32_t run_program(const struct sock_filter *program, size_t n,
                            const struct packet *packet)
{
    uint32_t a = 0, x = 0, memory[2] = {0};
    for (size_t i = 0; i < n; i++) {
        const struct sock_filter *op = &program[i];
        switch (op->code) {
        case BPF_LD | BPF_IMM:
            a = op->k;
            break;
        case BPF_LD | BPF_B | BPF_ABS:
            a = packet->bytes[op->k - (uint32_t)SKF_NET_OFF];
            break;
        case BPF_LD | BPF_W | BPF_ABS:
            a = load_word(packet, op->k);
            break;
        case BPF_LD | BPF_W | BPF_IND:
            a = load_word(packet, op->k + x);
            break;
        case BPF_LDX | BPF_B | BPF_MSH:
            x = 4 * (packet->bytes[op->k - (uint32_t)SKF_NET_OFF] & 0xfu);
            break;
        case BPF_LD | BPF_MEM:
            a = memory[op->k];
            break;
        case BPF_LDX | BPF_MEM:
            x = memory[op->k];
            break;
        case BPF_ST:
            memory[op->k] = a;
            break;
        case BPF_ALU | BPF_MUL | BPF_K:
            a *= op->k;
            break;
        case BPF_ALU | BPF_MOD | BPF_K:
            a %= op->k;
            break;
        case BPF_ALU | BPF_ADD | BPF_K:
            a += op->k;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            a >>= op->k;
            break;
        case BPF_ALU | BPF_XOR | BPF_X:
            a ^= x;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += a == op->k ? op->jt : op->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += a >= op->k ? op->jt : op->jf;
            break;
        case BPF_JMP | BPF_JA:
            i += op->k;
            break;
        case BPF_RET | BPF_K:
            return op->k;
        case BPF_RET | BPF_A:
            return a;
        default:
            fail_msg("instruction %zu has the code %#x", i, op->code);
        }
    }
    fail_msg("the program has no end");
    return 0;
}

/* Clients as they come: neighbours in port and address; options in every third header. */
static struct packet make_flow(unsigned number)
{
    struct packet packet = {.bytes = {number % 3 ? 0x45 : 0x4f}};
    const uint32_t words[] = {htonl(0x0a000001u + number / 500), htonl(0x7f000001u),
                              htonl((32768u + 2 * (number % 500)) << 16 | 8080u)};
    memcpy(packet.bytes + 12, words, 8);
    memcpy(packet.bytes + 4 * (packet.bytes[0] & 0xf), words + 2, 4);
    return packet;
}

/* The number of the socket that each flow goes to. */
static void choose_all(const struct steering *steering, const bool *alive, size_t numbers[FLOWS],
                       size_t *ret_length)
{
    struct sock_filter *program;
    size_t numbers_at[STEERING_SOCKETS_MAX];
    for (size_t i = 0; i < steering->n; i++)
        numbers_at[steering->index[i]] = i;
    assert_int_equal(steering_build(steering, alive, &program, ret_length), 0);
    assert_in_range(*ret_length, 1, STEERING_PROGRAM_MAX);
    for (unsigned i = 0; i < FLOWS; i++) {
        struct packet packet = make_flow(i);
        uint32_t index = run_program(program, *ret_length, &packet);
        assert_true(index < steering->n);
        numbers[i] = numbers_at[index];
    }
    free(program);
}

static void check_choice(size_t n, unsigned percent_alive, bool shuffled, uint32_t *random)
{
    static size_t whole[FLOWS], numbers[FLOWS];
    bool all[STEERING_SOCKETS_MAX] = {false}, alive[STEERING_SOCKETS_MAX] = {false};
    unsigned counts[STEERING_SOCKETS_MAX] = {0}, n_alive = 0;
    struct steering steering = {.seed = next_random(random)};
    size_t length;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(steering_add(&steering), 0);
        all[i] = true;
        n_alive += alive[i] = i == 0 || next_random(random) % 100 < percent_alive;
    }
    for (size_t i = 0; shuffled && i < 5 * n; i++)
        steering_again(&steering, next_random(random) % n);
    choose_all(&steering, all, whole, &length);
    /* The usual case is a short program, however many there are. */
    assert_true(shuffled || length < 120);
    choose_all(&steering, alive, numbers, &length);
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_true(alive[numbers[i]]);
        assert_true(!alive[whole[i]] || numbers[i] == whole[i]);
        counts[numbers[i]]++;
    }
    for (size_t i = 0; n <= 16 && i < n; i++)
        assert_true(!alive[i] || counts[i] > FLOWS / n_alive / 2);
    steering_clear(&steering);
}

static void test_choice(void **state UNUSED)
{
    static const size_t sizes[] = {1, 2, 3, 4, 8, 16, 100, 512, 1023, 1024};
    static const unsigned percents[] = {0, 1, 50, 75, 99, 100};
    uint32_t random = 7;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t j = 0; j < sizeof(percents) / sizeof(percents[0]); j++) {
            check_choice(sizes[i], percents[j], false, &random);
            check_choice(sizes[i], percents[j], true, &random);
        }
}

static void test_size(void **state UNUSED)
{
    struct steering steering = {0};
    bool alive[STEERING_SOCKETS_MAX + 1] = {false};
    struct sock_filter *program;
    size_t n;
    for (unsigned i = 0; i < STEERING_SOCKETS_MAX; i++)
        assert_int_equal(steering_add(&steering), 0);
    /* Nobody: as the kernel likes. */
    assert_int_equal(steering_build(&steering, alive, &program, &n), 0);
    assert_int_equal(run_program(program, n, &(struct packet){0}), UINT32_MAX);
    free(program);
    assert_int_equal(steering_add(&steering), 0);
    assert_int_equal(steering_build(&steering, alive, &program, &n), -E2BIG);
    steering_clear(&steering);
}

/* --- the kernel */

#define SOCKETS 4

struct sockets {
    int family, type;
    struct sockaddr_storage address;
    socklen_t length;
    int fd[SOCKETS];
    struct steering steering;
};

static void set_address(struct sockets *sockets, const char *text, in_port_t port)
{
    if (sockets->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&sockets->address;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
        sockets->length = sizeof(*in);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sockets->address;
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        sockets->length = sizeof(*in6);
    }
}

static in_port_t port_of(const struct sockets *sockets)
{
    return sockets->family == AF_INET ? ((const struct sockaddr_in *)&sockets->address)->sin_port
                                      : ((const struct sockaddr_in6 *)&sockets->address)->sin6_port;
}

static void open_sockets(struct sockets *sockets, const char *listen_on)
{
    const int on = 1, off = 0;
    set_address(sockets, listen_on, 0);
    for (size_t i = 0; i < SOCKETS; i++) {
        int fd = socket(sockets->family, sockets->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
        if (sockets->family == AF_INET6)
            assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&sockets->address, sockets->length), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sockets->address, &sockets->length),
                         0);
        if (sockets->type == SOCK_STREAM)
            assert_int_equal(listen(fd, 128), 0);
        sockets->fd[i] = fd;
        assert_int_equal(steering_add(&sockets->steering), 0);
    }
}

static void close_sockets(struct sockets *sockets)
{
    for (size_t i = 0; i < SOCKETS; i++)
        (void)fd_close(sockets->fd[i]);
    steering_clear(&sockets->steering);
}

static void steer(struct sockets *sockets, const bool *alive)
{
    struct sock_filter *program;
    size_t n;
    assert_int_equal(steering_build(&sockets->steering, alive, &program, &n), 0);
    assert_int_equal(steering_attach(sockets->fd[0], program, n), 0);
    free(program);
}

/* Which socket has something now; it is taken out. */
static size_t who_got_it(struct sockets *sockets)
{
    struct pollfd polls[SOCKETS];
    for (size_t i = 0; i < SOCKETS; i++)
        polls[i] = (struct pollfd){.fd = sockets->fd[i], .events = POLLIN};
    assert_int_equal(poll(polls, SOCKETS, 10000), 1);
    for (size_t i = 0; i < SOCKETS; i++) {
        char byte;
        if (!(polls[i].revents & POLLIN))
            continue;
        if (sockets->type == SOCK_STREAM)
            (void)fd_close(accept4(sockets->fd[i], NULL, NULL, SOCK_CLOEXEC));
        else
            assert_int_equal(recv(sockets->fd[i], &byte, 1, 0), 1);
        return i;
    }
    fail();
    return 0;
}

static int connect_to(const struct sockets *target)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd = socket(target->family, target->type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&target->address, target->length), 0);
    /* No TIME_WAIT: ports are not to run out. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    return fd;
}

static void ask(struct sockets *sockets, const struct sockets *target, unsigned times,
                unsigned counts[SOCKETS])
{
    memset(counts, 0, SOCKETS * sizeof(*counts));
    for (unsigned i = 0; i < times; i++) {
        int fd = connect_to(target);
        if (sockets->type == SOCK_DGRAM)
            assert_int_equal(send(fd, "x", 1, 0), 1);
        size_t first = who_got_it(sockets);
        counts[first]++;
        /* All datagrams of a flow go the same way. */
        if (sockets->type == SOCK_DGRAM) {
            assert_int_equal(send(fd, "x", 1, 0), 1);
            assert_int_equal(who_got_it(sockets), first);
        }
        (void)fd_close(fd);
    }
}

#define TIMES 600

static void check_group(int family, int type, const char *listen_on, int client_family,
                        const char *connect_to_address)
{
    struct sockets sockets = {.family = family, .type = type};
    struct sockets target = {.family = client_family, .type = type};
    unsigned counts[SOCKETS];
    open_sockets(&sockets, listen_on);
    set_address(&target, connect_to_address, port_of(&sockets));
    for (unsigned set = 1; set < 1 << SOCKETS; set++) {
        bool alive[SOCKETS];
        unsigned n_alive = 0;
        for (size_t i = 0; i < SOCKETS; i++)
            n_alive += alive[i] = set & 1U << i;
        steer(&sockets, alive);
        ask(&sockets, &target, TIMES, counts);
        for (size_t i = 0; i < SOCKETS; i++) {
            if (!alive[i])
                assert_int_equal(counts[i], 0);
            else
                assert_true(counts[i] > TIMES / n_alive / 2);
        }
    }
    close_sockets(&sockets);
}

static void test_tcp(void **state UNUSED)
{
    check_group(AF_INET, SOCK_STREAM, "127.0.0.1", AF_INET, "127.0.0.1");
}

static void test_tcp_over_ipv6(void **state UNUSED)
{
    check_group(AF_INET6, SOCK_STREAM, "::1", AF_INET6, "::1");
}

static void test_both_families_of_one_group(void **state UNUSED)
{
    check_group(AF_INET6, SOCK_STREAM, "::", AF_INET, "127.0.0.1");
    check_group(AF_INET6, SOCK_STREAM, "::", AF_INET6, "::1");
}

static void test_udp(void **state UNUSED)
{
    check_group(AF_INET, SOCK_DGRAM, "127.0.0.1", AF_INET, "127.0.0.1");
    check_group(AF_INET6, SOCK_DGRAM, "::1", AF_INET6, "::1");
}

/* One that shut down and listens again has another place in the group; the table knows. */
static void test_listening_again(void **state UNUSED)
{
    struct sockets sockets = {.family = AF_INET, .type = SOCK_STREAM};
    unsigned counts[SOCKETS];
    open_sockets(&sockets, "127.0.0.1");
    assert_int_equal(shutdown(sockets.fd[1], SHUT_RDWR), 0);
    assert_int_equal(listen(sockets.fd[1], 128), 0);
    steering_again(&sockets.steering, 1);
    for (size_t only = 0; only < SOCKETS; only++) {
        bool alive[SOCKETS] = {false};
        alive[only] = true;
        steer(&sockets, alive);
        ask(&sockets, &sockets, 20, counts);
        assert_int_equal(counts[only], 20);
    }
    close_sockets(&sockets);
}

/* The flows of those that live do not move when another one dies. */
static void test_others_stay(void **state UNUSED)
{
    struct sockets sockets = {.family = AF_INET, .type = SOCK_DGRAM};
    static const bool all[SOCKETS] = {true, true, true, true},
                      most[SOCKETS] = {true, true, false, true};
    open_sockets(&sockets, "127.0.0.1");
    for (unsigned i = 0; i < 300; i++) {
        int fd = connect_to(&sockets);
        steer(&sockets, all);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        size_t before = who_got_it(&sockets);
        steer(&sockets, most);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        size_t after = who_got_it(&sockets);
        assert_true(before == 2 ? after != 2 : after == before);
        (void)fd_close(fd);
    }
    close_sockets(&sockets);
}

/* --- a listener */

/* One that the kernel finds free. A socket bound to port 0 would get another one when it listens again. */
static struct address find_address(const char *text)
{
    struct address address;
    const char *reason;
    assert_int_equal(address_parse(text, &address, &reason), 0);
    address.socket.in.sin_port = 0;
    CLEANUP_FD int fd = socket(address.socket.generic.sa_family,
                               (address.datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    socklen_t length = address.length;
    assert_int_equal(bind(fd, &address.socket.generic, address.length), 0);
    assert_int_equal(getsockname(fd, &address.socket.generic, &length), 0);
    return address;
}

static int open_group(const struct address *address, size_t n, struct listener **ret)
{
    const struct listener_options options = {.reuseport = true, .nonblocking = true};
    struct address addresses[SOCKETS];
    CLEANUP_FREE char *error = NULL;
    for (size_t i = 0; i < n; i++)
        addresses[i] = *address;
    int r = listener_new("web", addresses, n, &options, ret, &error);
    if (r < 0)
        assert_non_null(strstr(error, "address in use"));
    return r;
}

#define RIVALS 4
#define ROUNDS 100

/* Says whether it got the address, and holds it until told. */
static void contend(const struct address *address, int start, int result, int end)
{
    struct listener *listener = NULL;
    char byte;
    assert_int_equal(read(start, &byte, 1), 0);
    char got = open_group(address, 2, &listener) == 0;
    assert_int_equal(write(result, &got, 1), 1);
    assert_int_equal(read(end, &byte, 1), 0);
    _exit(0);
}

static unsigned count_winners(const struct address *address)
{
    int start[2], result[2], end[2];
    pid_t pids[RIVALS];
    unsigned winners = 0;
    assert_int_equal(pipe2(start, O_CLOEXEC), 0);
    assert_int_equal(pipe2(result, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    for (unsigned i = 0; i < RIVALS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            (void)close(start[1]);
            (void)close(end[1]);
            contend(address, start[0], result[1], end[0]);
        }
    }
    (void)close(start[1]);
    for (unsigned i = 0; i < RIVALS; i++) {
        char got = 0;
        assert_int_equal(read(result[0], &got, 1), 1);
        winners += got ? 1 : 0;
    }
    (void)close(end[1]);
    for (unsigned i = 0; i < RIVALS; i++)
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    (void)close(start[0]);
    (void)close(end[0]);
    (void)close(result[0]);
    (void)close(result[1]);
    return winners;
}

/* SO_REUSEPORT would let masters that start at the same moment share the address, each with a part of the clients. */
static void test_never_two_masters(void **state UNUSED)
{
    static const char *const texts[] = {"127.0.0.1:1", "[::]:1", "udp:127.0.0.1:1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct address address = find_address(texts[i]);
        for (unsigned round = 0; round < ROUNDS; round++)
            assert_true(count_winners(&address) <= 1);
    }
}

/* How many of that many clients, one after the other, came to each socket. */
static void count_clients(const struct listener *listener, unsigned n, unsigned *counts)
{
    const struct address *address = &listener->sockets[0]->address;
    memset(counts, 0, listener->n_sockets * sizeof(*counts));
    for (unsigned i = 0; i < n; i++) {
        CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        unsigned found = 0;
        assert_int_equal(connect(fd, &address->socket.generic, address->length), 0);
        for (size_t j = 0; j < listener->n_sockets; j++) {
            CLEANUP_FD int accepted = accept4(listener->sockets[j]->fd, NULL, NULL, SOCK_CLOEXEC);
            counts[j] += accepted >= 0;
            found += accepted >= 0;
        }
        assert_int_equal(found, 1);
    }
}

static void check_clients(const struct listener *listener, const bool *alive)
{
    unsigned counts[8];
    count_clients(listener, 100, counts);
    for (size_t i = 0; i < listener->n_sockets; i++)
        assert_true(alive[i] ? counts[i] > 0 : counts[i] == 0);
}

/* Shut down by a worker, closed, added: nobody but those that are alive is chosen, without another word. */
static void test_members_come_and_go(void **state UNUSED)
{
    const struct address address = find_address("127.0.0.1:1");
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    bool alive[8] = {true, false, true, false, false, false, false, false};
    const struct address more[] = {address, address, address, address};
    assert_int_equal(open_group(&address, 4, &listener), 0);
    assert_int_equal(listener_add(listener, more, 4, &error), 0);
    assert_int_equal(listener_steer(listener, alive), 0);
    uint32_t random = 3;
    for (unsigned round = 0; round < 30; round++) {
        unsigned number = next_random(&random) % (unsigned)listener->n_sockets;
        assert_int_equal(shutdown(listener->sockets[number]->fd, SHUT_RDWR), 0);
        assert_int_equal(listener_restore(listener, number), 1);
        check_clients(listener, alive);
        if (round % 5 == 4)
            listener_truncate(listener, 4 + round % 3);
        check_clients(listener, alive);
        if (round % 7 == 6 && listener->n_sockets < 8)
            assert_int_equal(listener_add(listener, more, 1, &error), 0);
        check_clients(listener, alive);
    }
    /* A group that was empty for a moment has forgotten its program. */
    listener_truncate(listener, 1);
    assert_int_equal(shutdown(listener->sockets[0]->fd, SHUT_RDWR), 0);
    assert_int_equal(listener_restore(listener, 0), 1);
    assert_int_equal(listener_add(listener, more, 1, &error), 0);
    check_clients(listener, alive);
    assert_null(listener_unref(listener));
}

/* Two left before anybody looked: who has which place cannot be known, so everybody gets a share again. */
static void test_order_is_not_known(void **state UNUSED)
{
    const struct address address = find_address("127.0.0.1:1");
    struct listener *listener = NULL;
    const bool alive[] = {true, false, false, true}, all[] = {true, true, true, true};
    assert_int_equal(open_group(&address, 4, &listener), 0);
    assert_int_equal(listener_steer(listener, alive), 0);
    check_clients(listener, alive);
    assert_int_equal(shutdown(listener->sockets[1]->fd, SHUT_RDWR), 0);
    assert_int_equal(shutdown(listener->sockets[0]->fd, SHUT_RDWR), 0);
    assert_int_equal(listener_restore(listener, 0), 1);
    assert_int_equal(listener_restore(listener, 1), 1);
    check_clients(listener, all);
    assert_null(listener_unref(listener));
}

/* The kernel takes even that; where it gives less memory, it says so. */
static void test_longest_program(void **state UNUSED)
{
    const struct address address = find_address("127.0.0.1:1");
    struct listener *listener = NULL;
    struct steering steering = {0};
    struct sock_filter *program;
    bool alive[STEERING_SOCKETS_MAX];
    size_t n;
    uint32_t random = 11;
    for (unsigned i = 0; i < STEERING_SOCKETS_MAX; i++) {
        assert_int_equal(steering_add(&steering), 0);
        alive[i] = i != 500;
    }
    for (unsigned i = 0; i < 5000; i++)
        steering_again(&steering, next_random(&random) % STEERING_SOCKETS_MAX);
    assert_int_equal(steering_build(&steering, alive, &program, &n), 0);
    assert_true(n > 2000);
    assert_int_equal(open_group(&address, 1, &listener), 0);
    int r = steering_attach(listener->sockets[0]->fd, program, n);
    assert_true(r == 0 || r == -ENOMEM);
    free(program);
    steering_clear(&steering);
    assert_null(listener_unref(listener));
}

static void expect_all_at_first(const struct listener *listener, const struct address *address)
{
    for (unsigned i = 0; i < 50; i++) {
        CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, &address->socket.generic, address->length), 0);
        CLEANUP_FD int accepted = accept4(listener->sockets[0]->fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
    }
}

/* A second socket gets nothing before somebody says so. */
static void test_who_joins_waits(void **state UNUSED)
{
    const struct address address = find_address("127.0.0.1:1");
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(open_group(&address, 1, &listener), 0);
    assert_int_equal(listener_add(listener, &address, 1, &error), 0);
    expect_all_at_first(listener, &address);
    assert_null(listener_unref(listener));
}

/* Nor where the first one was bound alone, so that the kernel knows of no group before the second one listens. */
static void test_who_joins_a_former_loner_waits(void **state UNUSED)
{
    const struct address address = find_address("127.0.0.1:1");
    struct listener_options options = {.nonblocking = true};
    struct listener *alone = NULL, *group = NULL;
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(listener_new("alone", &address, 1, &options, &alone, &error), 0);
    options.reuseport = true;
    assert_int_equal(listener_regroup("group", alone->sockets[0], 1, &options, &group, &error), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(listener_add(group, &address, 1, &error), 0);
        expect_all_at_first(group, &address);
    }
    listener_truncate(group, 1);
    assert_int_equal(listener_add(group, &address, 1, &error), 0);
    expect_all_at_first(group, &address);
    const bool second[] = {false, true};
    assert_int_equal(listener_steer(group, second), 0);
    CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &address.socket.generic, address.length), 0);
    CLEANUP_FD int accepted = accept4(group->sockets[1]->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    assert_null(listener_unref(group));
    assert_null(listener_unref(alone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_over_ipv6),
        cmocka_unit_test(test_both_families_of_one_group),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_listening_again),
        cmocka_unit_test(test_others_stay),
        cmocka_unit_test(test_never_two_masters),
        cmocka_unit_test(test_who_joins_waits),
        cmocka_unit_test(test_who_joins_a_former_loner_waits),
        cmocka_unit_test(test_members_come_and_go),
        cmocka_unit_test(test_order_is_not_known),
        cmocka_unit_test(test_longest_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
