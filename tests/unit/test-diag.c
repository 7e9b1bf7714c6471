/* test-diag.c - what the kernel says of sockets, and what it would never say: made by hand, whole, cut short, and with lengths that lie. */
#include "base/macros.h"
#include "net/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ESTABLISHED = 1, LISTEN = 10 };

/* Messages, written one behind the other */

struct answer {
    char bytes[4096];
    size_t size, header; /* of the message that is being written */
};

static void put(struct answer *answer, const void *data, size_t size)
{
    memcpy(answer->bytes + answer->size, data, size);
    answer->size += size;
    while (answer->size % 4 != 0)
        answer->bytes[answer->size++] = 0;
    uint32_t length = (uint32_t)(answer->size - answer->header);
    memcpy(answer->bytes + answer->header, &length, sizeof(length));
}

static void begin(struct answer *answer, uint16_t type, uint16_t flags)
{
    const struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = flags};
    answer->header = answer->size;
    put(answer, &header, sizeof(header));
}

static void put_attribute(struct answer *answer, uint16_t type, const void *data, size_t size)
{
    const struct nlattr attribute = {.nla_type = type,
                                     .nla_len = (uint16_t)(sizeof(attribute) + size)};
    char bytes[512];
    memcpy(bytes, &attribute, sizeof(attribute));
    memcpy(bytes + sizeof(attribute), data, size);
    put(answer, bytes, sizeof(attribute) + size);
}

static void put_tcp(struct answer *answer, uint8_t family, const char *local, const char *peer,
                    uint32_t inode)
{
    struct inet_diag_msg message = {
        .idiag_family = family,
        .idiag_state = ESTABLISHED,
        .id = {.idiag_sport = htons(8080), .idiag_dport = htons(54321)},
        .idiag_inode = inode,
        .idiag_rqueue = 7,
        .idiag_wqueue = 9,
    };
    assert_int_equal(inet_pton(family, local, message.id.idiag_src), 1);
    assert_int_equal(inet_pton(family, peer, message.id.idiag_dst), 1);
    begin(answer, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI);
    put(answer, &message, sizeof(message));
}

static void put_unix(struct answer *answer, uint16_t flags, uint32_t inode)
{
    const struct unix_diag_msg message = {.udiag_family = AF_UNIX,
                                          .udiag_type = SOCK_STREAM,
                                          .udiag_state = ESTABLISHED,
                                          .udiag_ino = inode};
    begin(answer, SOCK_DIAG_BY_FAMILY, flags);
    put(answer, &message, sizeof(message));
}

static void put_done(struct answer *answer)
{
    const int zero = 0;
    begin(answer, NLMSG_DONE, NLM_F_MULTI);
    put(answer, &zero, sizeof(zero));
}

/* What was taken */

struct taken {
    struct diag_socket sockets[8];
    size_t n;
    int result;
};

static int take(const struct diag_socket *socket, void *userdata)
{
    struct taken *taken = userdata;
    assert_true(taken->n < ARRAY_SIZE(taken->sockets));
    taken->sockets[taken->n++] = *socket;
    return taken->result;
}

/* From memory that ends where the answer does, so that a sanitizer sees who reads on. */
static int parse(const struct answer *answer, size_t size, struct taken *taken)
{
    CLEANUP_FREE char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, answer->bytes, size);
    *taken = (struct taken){.result = taken->result};
    return diag_parse(exact, size, IPPROTO_TCP, take, taken);
}

static void assert_place(const struct diag_place *place, const char *expected)
{
    CLEANUP_FREE char *text = diag_place_to_text(place);
    assert_string_equal(text, expected);
}

/* Tests */

static void test_tcp(UNUSED void **state)
{
    const struct tcp_info info = {.tcpi_last_data_sent = 1500,
                                  .tcpi_last_data_recv = 20,
                                  .tcpi_data_segs_out = 3,
                                  .tcpi_retransmits = 2};
    const uint8_t shutdown_mask = 0;
    struct answer answer = {0};
    struct taken taken = {0};
    put_tcp(&answer, AF_INET, "10.0.0.1", "10.0.0.2", 4711);
    put_attribute(&answer, INET_DIAG_SHUTDOWN, &shutdown_mask, 1);
    put_attribute(&answer, INET_DIAG_INFO, &info, sizeof(info));
    put_tcp(&answer, AF_INET6, "::1", "2001:db8::2", 4712);
    put_tcp(&answer, AF_INET6, "::ffff:10.0.0.1", "::ffff:10.0.0.3", 4713);
    assert_int_equal(parse(&answer, answer.size, &taken), 0);
    put_done(&answer);
    assert_int_equal(parse(&answer, answer.size, &taken), 1);
    assert_int_equal(taken.n, 3);

    const struct diag_socket *first = &taken.sockets[0], *second = &taken.sockets[1];
    assert_int_equal(first->inode, 4711);
    assert_int_equal(first->state, ESTABLISHED);
    assert_place(&first->local, "10.0.0.1:8080");
    assert_place(&first->peer, "10.0.0.2:54321");
    assert_true(first->has_queues && first->has_times);
    assert_int_equal(first->receive_queue, 7);
    assert_int_equal(first->send_queue, 9);
    assert_int_equal(first->sent_usec, 1500000);
    assert_int_equal(first->received_usec, 20000);
    assert_true(first->ever_sent && !first->ever_received);
    assert_int_equal(first->unanswered, 2);
    assert_place(&second->local, "[::1]:8080");
    assert_place(&second->peer, "[2001:db8::2]:54321");
    assert_false(second->has_times);
    assert_place(&taken.sockets[2].peer, "10.0.0.3:54321");
}

/* An old kernel's is too short to tell whether anything was ever sent. */
static void test_short_info(UNUSED void **state)
{
    const struct tcp_info info = {.tcpi_last_data_sent = 1500};
    struct answer answer = {0};
    struct taken taken = {0};
    put_tcp(&answer, AF_INET, "10.0.0.1", "10.0.0.2", 4711);
    put_attribute(&answer, INET_DIAG_INFO, &info, 104);
    assert_int_equal(parse(&answer, answer.size, &taken), 0);
    assert_false(taken.sockets[0].has_times);
}

static void test_unix(UNUSED void **state)
{
    const struct unix_diag_rqlen queues = {.udiag_rqueue = 5, .udiag_wqueue = 6};
    const uint32_t peer = 99;
    struct answer answer = {0};
    struct taken taken = {0};
    put_unix(&answer, NLM_F_MULTI, 11);
    put_attribute(&answer, UNIX_DIAG_NAME, "/run/a.sock", sizeof("/run/a.sock"));
    put_attribute(&answer, UNIX_DIAG_PEER, &peer, sizeof(peer));
    put_attribute(&answer, UNIX_DIAG_RQLEN, &queues, sizeof(queues));
    put_unix(&answer, NLM_F_MULTI, 12);
    put_attribute(&answer, UNIX_DIAG_NAME, "\0name", 5);
    put_unix(&answer, NLM_F_MULTI, 13);
    assert_int_equal(parse(&answer, answer.size, &taken), 0);
    assert_int_equal(taken.n, 3);
    assert_place(&taken.sockets[0].local, "unix:/run/a.sock");
    assert_int_equal(taken.sockets[0].peer_inode, 99);
    assert_int_equal(taken.sockets[0].receive_queue, 5);
    assert_int_equal(taken.sockets[0].send_queue, 6);
    assert_place(&taken.sockets[1].local, "unix:@name");
    assert_int_equal(taken.sockets[2].local.family, 0);
    assert_false(taken.sockets[2].has_queues);
}

/* A name longer than any is none, and short values of other attributes are no values. */
static void test_odd_attributes(UNUSED void **state)
{
    char name[200];
    const uint16_t two_bytes = 1;
    struct answer answer = {0};
    struct taken taken = {0};
    memset(name, 'x', sizeof(name));
    put_unix(&answer, NLM_F_MULTI, 11);
    put_attribute(&answer, UNIX_DIAG_NAME, name, sizeof(name));
    put_attribute(&answer, UNIX_DIAG_PEER, &two_bytes, sizeof(two_bytes));
    put_attribute(&answer, UNIX_DIAG_RQLEN, &two_bytes, sizeof(two_bytes));
    put_attribute(&answer, 77, name, 3);
    assert_int_equal(parse(&answer, answer.size, &taken), 0);
    assert_int_equal(taken.sockets[0].local.family, 0);
    assert_int_equal(taken.sockets[0].peer_inode, 0);
    assert_false(taken.sockets[0].has_queues);
}

/* One socket was asked about: nothing follows. What `take` says ends it. */
static void test_the_end(UNUSED void **state)
{
    struct answer answer = {0};
    struct taken taken = {0};
    put_unix(&answer, 0, 11);
    assert_int_equal(parse(&answer, answer.size, &taken), 1);
    assert_int_equal(taken.n, 1);
    answer = (struct answer){0};
    put_unix(&answer, NLM_F_MULTI, 11);
    put_unix(&answer, NLM_F_MULTI, 12);
    taken.result = -ENOMEM;
    assert_int_equal(parse(&answer, answer.size, &taken), -ENOMEM);
    assert_int_equal(taken.n, 1);
}

static void test_errors(UNUSED void **state)
{
    const struct nlmsgerr none = {.error = -ENOENT}, odd = {.error = 0};
    struct answer answer = {0};
    struct taken taken = {0};
    begin(&answer, NLMSG_ERROR, 0);
    put(&answer, &none, sizeof(none));
    assert_int_equal(parse(&answer, answer.size, &taken), -ENOENT);
    answer = (struct answer){0};
    begin(&answer, NLMSG_ERROR, 0);
    put(&answer, &odd, sizeof(odd));
    assert_int_equal(parse(&answer, answer.size, &taken), -EBADMSG);
    answer = (struct answer){0};
    begin(&answer, NLMSG_ERROR, 0);
    put(&answer, &none, 2);
    assert_int_equal(parse(&answer, answer.size, &taken), -EBADMSG);
}

/* At every byte: it is refused, or ends between two messages; and nobody reads behind the end. */
static void test_cut_short(UNUSED void **state)
{
    const struct tcp_info info = {0};
    struct answer answer = {0};
    struct taken taken = {0};
    put_tcp(&answer, AF_INET, "10.0.0.1", "10.0.0.2", 4711);
    put_attribute(&answer, INET_DIAG_INFO, &info, sizeof(info));
    size_t first = answer.size;
    put_unix(&answer, NLM_F_MULTI, 12);
    put_attribute(&answer, UNIX_DIAG_NAME, "\0name", 5);
    size_t second = answer.size;
    for (size_t size = 0; size <= second; size++) {
        bool whole = size == 0 || size == first || size == second;
        assert_int_equal(parse(&answer, size, &taken), whole ? 0 : -EBADMSG);
    }
}

/* Each length in turn, of the message and of its attributes. */
static void test_lengths_that_lie(UNUSED void **state)
{
    static const uint32_t lengths[] = {0, 1, 3, 15, 16, 17, 60, 5000, UINT32_MAX};
    struct answer answer = {0};
    struct taken taken = {0};
    put_unix(&answer, NLM_F_MULTI, 12);
    size_t attribute = answer.size;
    put_attribute(&answer, UNIX_DIAG_NAME, "\0name", 5);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct answer bad = answer;
        memcpy(bad.bytes, &lengths[i], sizeof(lengths[i]));
        assert_int_equal(parse(&bad, bad.size, &taken), -EBADMSG);
        uint16_t length = (uint16_t)lengths[i];
        bad = answer;
        memcpy(bad.bytes + attribute, &length, sizeof(length));
        if (length < sizeof(struct nlattr) || length > answer.size - attribute)
            assert_int_equal(parse(&bad, bad.size, &taken), -EBADMSG);
    }
    assert_int_equal(parse(&answer, answer.size, &taken), 0);
}

static void test_unknown_family(UNUSED void **state)
{
    struct answer answer = {0};
    struct taken taken = {0};
    put_unix(&answer, NLM_F_MULTI, 12);
    answer.bytes[sizeof(struct nlmsghdr)] = AF_PACKET;
    assert_int_equal(parse(&answer, answer.size, &taken), -EBADMSG);
}

/* The kernel's own words */

struct search {
    uint32_t inode;
    struct diag_socket found;
};

static int find(const struct diag_socket *socket, void *userdata)
{
    struct search *search = userdata;
    if (socket->inode == search->inode)
        search->found = *socket;
    return 0;
}

static uint32_t inode_of(int fd)
{
    char path[32], what[64] = "";
    unsigned inode = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_true(readlink(path, what, sizeof(what) - 1) > 0);
    assert_int_equal(sscanf(what, "socket:[%u]", &inode), 1);
    return inode;
}

static void test_kernel(UNUSED void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(server, 5), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
    int accepted = accept(server, NULL, NULL);
    assert_int_equal(send(client, "hello", 5, 0), 5);
    struct search search = {.inode = inode_of(accepted)};
    const struct diag_query query = {
        .family = AF_INET, .protocol = IPPROTO_TCP, .states = 1u << ESTABLISHED, .details = true};
    assert_int_equal(diag_ask(&query, find, &search), 0);
    assert_int_equal(search.found.inode, search.inode);
    assert_int_equal(search.found.receive_queue, 5);
    assert_true(search.found.has_times && search.found.ever_received && !search.found.ever_sent);
    assert_int_equal(search.found.local.detail, ntohs(address.sin_port));
    (void)close(accepted);
    (void)close(client);
    (void)close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_short_info),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_odd_attributes),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_unknown_family),
        cmocka_unit_test(test_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
