/* Sockets are bound once, say who is in the way, and the files of Unix sockets are replaced and removed only when that is right. */
#include "net/listener.h"

#include "base/fd.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct listener_options defaults;

static struct address PRINTF_LIKE(1, 2) parse(const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    struct address address;
    const char *reason;
    va_list arguments;

    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert_true(n > 0);
    assert_int_equal(address_parse(text, &address, &reason), 0);
    return address;
}

/* The kernel chooses a port, which parsing does not allow. */
static struct address any_port(const char *text)
{
    struct address address = parse("%s", text);
    address.socket.in.sin_port = 0;
    return address;
}

static struct listener *open_one(const struct address *address,
                                 const struct listener_options *options)
{
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    int r = listener_new("web", address, 1, options, &listener, &error);
    if (r < 0)
        fail_msg("%d: %s", r, error ? error : "no text");
    assert_null(error);
    return listener;
}

/* The lowest unused descriptor tells whether something was left open. */
static int lowest_unused_fd(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    (void)close(fd);
    return fd;
}

static void assert_refused(const struct address *address, int error, const char *text)
{
    struct listener *listener = NULL;
    CLEANUP_FREE char *said = NULL;
    int unused = lowest_unused_fd();
    assert_int_equal(listener_new("web", address, 1, &defaults, &listener, &said), error);
    assert_null(listener);
    assert_int_equal(lowest_unused_fd(), unused);
    assert_non_null(said);
    if (!strstr(said, text))
        fail_msg("'%s' lacks '%s'", said, text);
}

static int connect_to(const struct address *address)
{
    int fd = socket(address->socket.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &address->socket.generic, address->length) == 0)
        return fd;
    int error = -errno;
    (void)close(fd);
    return error;
}

static unsigned system_backlog(void)
{
    unsigned backlog = 0;
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    assert_int_equal(fscanf(file, "%u", &backlog), 1);
    (void)fclose(file);
    return backlog;
}

static void assert_queue(const struct listener *listener, unsigned queue, unsigned backlog)
{
    unsigned is = 4711, may = 4711;
    assert_int_equal(listener_queue(listener->sockets[0], &is, &may), 0);
    assert_int_equal(is, queue);
    assert_int_equal(may, backlog);
}

static void check_socket(struct address address)
{
    char path[32], link[64] = "", expected[64];
    CLEANUP(listener_unrefp) struct listener *listener = open_one(&address, &defaults);
    CLEANUP(listener_unrefp) struct listener *small = NULL;
    int fd = listener_fd(listener, 0);

    assert_string_equal(listener->name, "web");
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    (void)snprintf(expected, sizeof(expected), "socket:[%llu]",
                   (unsigned long long)listener->sockets[0]->inode);
    assert_string_equal(link, expected);

    assert_int_equal(address_of_socket(fd, &address), 0);
    assert_queue(listener, 0, system_backlog());
    CLEANUP_FD int a = connect_to(&address), b = connect_to(&address);
    assert_true(a >= 0 && b >= 0);
    assert_queue(listener, 2, system_backlog());
    CLEANUP_FD int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    assert_queue(listener, 1, system_backlog());

    listener = listener_unref(listener);
    struct listener_options options = {.backlog = 7, .nonblocking = true};
    small = open_one(&address, &options);
    assert_int_equal(fcntl(listener_fd(small, 0), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_queue(small, 0, 7);
}

static void test_tcp(void **state)
{
    check_socket(any_port("127.0.0.1:1"));
    (void)state;
}

static void test_unix(void **state)
{
    check_socket(parse("unix:%s/a.sock", (char *)*state));
}

static void test_abstract(void **state)
{
    check_socket(parse("unix:@test-listener-%d", (int)getpid()));
    (void)state;
}

static bool has_ipv6(void)
{
    struct address address = any_port("[::1]:1");
    CLEANUP_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, &address.socket.generic, address.length) == 0;
}

static void test_ipv6(void **state)
{
    if (!has_ipv6()) {
        print_message("# skipped: there is no ::1 on this machine\n");
        skip();
    }
    check_socket(any_port("[::1]:1"));
    for (int only = 0; only < 2; only++) {
        struct listener_options options = {.ipv6_only = only};
        struct address address = any_port("[::]:1"), bound;
        int is = -1;
        socklen_t size = sizeof(is);
        CLEANUP(listener_unrefp) struct listener *listener = open_one(&address, &options);
        assert_int_equal(
            getsockopt(listener_fd(listener, 0), IPPROTO_IPV6, IPV6_V6ONLY, &is, &size), 0);
        assert_int_equal(is, only);

        assert_int_equal(address_of_socket(listener_fd(listener, 0), &bound), 0);
        struct address ipv4 = parse("127.0.0.1:%u", ntohs(bound.socket.in6.sin6_port));
        CLEANUP_FD int fd = connect_to(&ipv4);
        assert_int_equal(fd >= 0, !only);
        if (!only)
            assert_refused(&ipv4, -EADDRINUSE, "(pid ");
    }
    (void)state;
}

static void test_in_use(void **state)
{
    struct address address = any_port("127.0.0.1:1"), unused = address;
    CLEANUP(listener_unrefp) struct listener *listener = open_one(&address, &defaults);
    assert_int_equal(address_of_socket(listener_fd(listener, 0), &address), 0);
    unsigned port = ntohs(address.socket.in.sin_port);

    assert_int_equal(prctl(PR_SET_NAME, "odd (\nname)"), 0);
    CLEANUP_FREE char *text = string_format("127.0.0.1:%u: address in use by odd (?name) (pid %d)",
                                            port, (int)getpid());
    CLEANUP_FREE char *wildcard = string_format(
        "0.0.0.0:%u: address in use by odd (?name) (pid %d)", port, (int)getpid());
    struct address any = parse("%u", port);
    assert_refused(&address, -EADDRINUSE, text);
    assert_refused(&any, -EADDRINUSE, wildcard);
    assert_null(listener_find_owner(&unused));

    int gate[2];
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    pid_t sharer = fork();
    if (sharer == 0) {
        (void)close(gate[1]);
        _exit((int)read(gate[0], &(char){0}, 1));
    }
    CLEANUP_FREE char *owners = listener_find_owner(&address);
    (void)close(gate[0]);
    (void)close(gate[1]);
    assert_int_equal(waitpid(sharer, NULL, 0), sharer);
    assert_string_equal(strstr(owners, ") and others"), ") and others");

    /* Bound without listening: it is in nobody's list. */
    CLEANUP_FD int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(silent, &unused.socket.generic, unused.length), 0);
    assert_int_equal(address_of_socket(silent, &address), 0);
    assert_refused(&address, -EADDRINUSE, "address in use, 'ss -tanp sport = :");
    (void)state;
}

static void test_no_such_interface(void **state)
{
    struct address address = parse("192.0.2.1:8080");
    assert_refused(&address, -EADDRNOTAVAIL, "192.0.2.1:8080: no interface has this address");
    (void)state;
}

static int bind_without_rights(const char *directory)
{
    struct address port = parse("127.0.0.1:80"), path = parse("unix:%s/no/x", directory);
    struct listener *listener;
    CLEANUP_FREE char *said = NULL, *said_path = NULL;

    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        return 2;
    if (listener_new("web", &path, 1, &defaults, &listener, &said_path) != -EACCES ||
        !strstr(said_path, "no permission to make it in directory '/"))
        return 3;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    int first = 1024;
    if (file && (fscanf(file, "%d", &first) != 1 || fclose(file) != 0))
        return 4;
    if (first <= 80) {
        print_message("# not tried: anybody may bind port 80 here\n");
        return 0;
    }
    if (listener_new("web", &port, 1, &defaults, &listener, &said) != -EACCES)
        return 5;
    return strcmp(said,
                  "127.0.0.1:80: binding a port below 1024 needs root or CAP_NET_BIND_SERVICE") == 0
               ? 0
               : 6;
}

static void test_without_rights(void **state)
{
    CLEANUP_FREE char *closed = string_format("%s/no", (char *)*state);
    int status;

    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(mkdir(closed, 0555), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(bind_without_rights(*state));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
}

static void test_all_or_none(void **state)
{
    struct address taken = any_port("127.0.0.1:1");
    CLEANUP(listener_unrefp) struct listener *first = open_one(&taken, &defaults), *listener = NULL;
    CLEANUP_FREE char *error = NULL, *error_of_add = NULL;

    assert_int_equal(address_of_socket(listener_fd(first, 0), &taken), 0);
    struct address addresses[] = {parse("unix:%s/0", (char *)*state),
                                  parse("unix:%s/1", (char *)*state), taken};
    assert_int_equal(listener_new("web", addresses, 3, &defaults, &listener, &error), -EADDRINUSE);
    assert_null(listener);
    assert_int_equal(connect_to(&addresses[0]), -ENOENT);

    listener = open_one(&addresses[0], &defaults);
    assert_int_equal(listener_add(listener, addresses + 1, 2, &error_of_add), -EADDRINUSE);
    assert_non_null(error_of_add);
    assert_int_equal(listener->n_sockets, 1);
    assert_int_equal(connect_to(&addresses[1]), -ENOENT);
}

static void test_per_slot(void **state)
{
    struct address addresses[4];
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;

    for (unsigned i = 0; i < 4; i++)
        addresses[i] = parse("unix:%s/%u", (char *)*state, i);
    listener = open_one(&addresses[0], &defaults);
    /* One is for all. */
    assert_int_equal(listener_fd(listener, 5), listener->sockets[0]->fd);
    assert_int_equal(listener_add(listener, addresses + 1, 3, &error), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(listener_fd(listener, i), listener->sockets[i]->fd);
        CLEANUP_FD int client = connect_to(&addresses[i]);
        assert_true(client >= 0);
    }
    assert_int_equal(listener_fd(listener, 4), -1);
    listener_truncate(listener, 2);
    assert_int_equal(listener->n_sockets, 2);
    assert_int_equal(listener_fd(listener, 2), -1);
    assert_int_equal(connect_to(&addresses[2]), -ENOENT);
    CLEANUP_FD int client = connect_to(&addresses[1]);
    assert_true(client >= 0);
    assert_null(listener_unref(NULL));
}

static void test_mode(void **state)
{
    struct address address = parse("unix:%s/x", (char *)*state);
    struct stat st;
    static const struct {
        struct listener_options options;
        mode_t umask, expected;
    } cases[] = {
        {{.mode_set = true, .mode = 0660}, 0, 0660},
        {{.mode_set = true, .mode = 0666}, 077, 0666},
        {{.mode_set = true, .mode = 0}, 0, 0},
        {{.mode_set = false, .mode = 0666}, 027, 0750},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mode_t before = umask(cases[i].umask);
        CLEANUP(listener_unrefp)
        struct listener *listener UNUSED = open_one(&address, &cases[i].options);
        assert_int_equal(umask(before), cases[i].umask);
        assert_int_equal(stat(address_unix_path(&address), &st), 0);
        assert_int_equal(st.st_mode & 07777, cases[i].expected);
    }
}

static int bind_raw(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &address->socket.generic, address->length), 0);
    return fd;
}

static void test_stale_and_live(void **state)
{
    struct address address = parse("unix:%s/x", (char *)*state);
    const char *path = address_unix_path(&address);
    struct stat before, after;

    (void)close(bind_raw(&address));
    struct listener *listener = open_one(&address, &defaults);
    CLEANUP_FD int client = connect_to(&address);
    assert_true(client >= 0);
    CLEANUP_FREE char *owner = string_format("%s: address in use by ", path);
    assert_refused(&address, -EADDRINUSE, owner);
    assert_queue(listener, 1, system_backlog());
    assert_null(listener_unref(listener));
    assert_int_equal(lstat(path, &after), -1);

    /* A server that is about to listen. */
    CLEANUP_FD int starting UNUSED = bind_raw(&address);
    assert_int_equal(lstat(path, &before), 0);
    assert_refused(&address, -EADDRINUSE, "address in use");
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void test_other_files(void **state)
{
    struct address file = parse("unix:%s/file", (char *)*state),
                   directory = parse("unix:%s/directory", (char *)*state),
                   link = parse("unix:%s/link", (char *)*state),
                   dangling = parse("unix:%s/dangling", (char *)*state),
                   fifo = parse("unix:%s/fifo", (char *)*state),
                   dead = parse("unix:%s/dead", (char *)*state),
                   missing = parse("unix:%s/missing/x", (char *)*state),
                   below = parse("unix:%s/file/x", (char *)*state);

    assert_int_equal(close(creat(address_unix_path(&file), 0600)), 0);
    assert_int_equal(mkdir(address_unix_path(&directory), 0700), 0);
    assert_int_equal(mkfifo(address_unix_path(&fifo), 0600), 0);
    assert_int_equal(close(bind_raw(&dead)), 0);
    /* Even one that leads to a dead socket. */
    assert_int_equal(symlink(address_unix_path(&dead), address_unix_path(&link)), 0);
    assert_int_equal(symlink("nowhere", address_unix_path(&dangling)), 0);
    assert_refused(&file, -EEXIST, "file: a regular file is in the way");
    assert_refused(&directory, -EEXIST, "directory: a directory is in the way");
    assert_refused(&fifo, -EEXIST, "fifo: a FIFO is in the way");
    assert_refused(&link, -EEXIST, "link: a symbolic link is in the way");
    assert_refused(&dangling, -EEXIST, "dangling: a symbolic link is in the way");
    assert_refused(&missing, -ENOENT, "missing' does not exist");
    assert_refused(&below, -ENOTDIR, "Not a directory");

    const struct address *kept[] = {&file, &directory, &fifo, &link, &dangling, &dead};
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        assert_int_equal(lstat(address_unix_path(kept[i]), &st), 0);
}

/* What somebody put in our place is not ours to remove. */
static void test_replaced_file(void **state)
{
    struct address address = parse("unix:%s/x", (char *)*state);
    struct stat before, after;

    struct listener *listener = open_one(&address, &defaults);
    assert_int_equal(unlink(address_unix_path(&address)), 0);
    CLEANUP_FD int other UNUSED = bind_raw(&address);
    assert_int_equal(lstat(address_unix_path(&address), &before), 0);
    assert_null(listener_unref(listener));
    assert_int_equal(lstat(address_unix_path(&address), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);

    assert_int_equal(unlink(address_unix_path(&address)), 0);
    listener = open_one(&address, &defaults);
    assert_int_equal(unlink(address_unix_path(&address)), 0);
    assert_null(listener_unref(listener));
}

/* While it holds the address nobody else does, and clients reach it. Then it leaves a dead file behind, as a crash does. */
static int hold_and_crash(struct listener *listener, unsigned *holders)
{
    struct listener_socket *socket = listener->sockets[0];
    int failed = __atomic_add_fetch(holders, 1, __ATOMIC_SEQ_CST) == 1 ? 0 : 3;

    for (int i = 0; i < 20 && !failed; i++) {
        struct stat st;
        CLEANUP_FD int client = connect_to(&socket->address);
        struct pollfd arrived = {.fd = socket->fd, .events = POLLIN};
        if (client < 0 || poll(&arrived, 1, 10000) != 1)
            failed = 4;
        CLEANUP_FD int accepted UNUSED = failed ? -1
                                                : accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC);
        if (lstat(address_unix_path(&socket->address), &st) < 0 || st.st_ino != socket->file_inode)
            failed = 5;
    }
    (void)__atomic_sub_fetch(holders, 1, __ATOMIC_SEQ_CST);
    socket->owns_file = false;
    (void)listener_unref(listener);
    return failed;
}

static int race_for(const struct address *address, unsigned *holders, unsigned *won)
{
    for (int round = 0; round < 300; round++) {
        struct listener *listener = NULL;
        CLEANUP_FREE char *error = NULL;
        int r = listener_new("web", address, 1, &defaults, &listener, &error);
        if (r < 0 && r != -EADDRINUSE)
            return 2;
        if (r < 0)
            continue;
        (void)__atomic_add_fetch(won, 1, __ATOMIC_SEQ_CST);
        r = hold_and_crash(listener, holders);
        if (r != 0)
            return r;
    }
    return 0;
}

static void test_race_for_stale_file(void **state)
{
    struct address address = parse("unix:%s/x", (char *)*state);
    unsigned *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[6];

    assert_ptr_not_equal(shared, MAP_FAILED);
    (void)close(bind_raw(&address));
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(race_for(&address, &shared[0], &shared[1]));
    }
    int failed = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (status != 0)
            failed = status;
    }
    print_message("# the address changed hands %u times\n", shared[1]);
    assert_int_equal(failed, 0);
    assert_true(shared[1] > 10);
    (void)munmap(shared, 4096);
}

static int make_directory(void **state)
{
    CLEANUP_FREE char *path = string_format("/tmp/test-listener-XXXXXX");
    if (!mkdtemp(path))
        return -1;
    *state = TAKE_PTR(path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int remove_directory(void **state)
{
    int r = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return r;
}

#define TEST_IN_DIRECTORY(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        TEST_IN_DIRECTORY(test_unix),
        cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_no_such_interface),
        TEST_IN_DIRECTORY(test_without_rights),
        TEST_IN_DIRECTORY(test_all_or_none),
        TEST_IN_DIRECTORY(test_per_slot),
        TEST_IN_DIRECTORY(test_mode),
        TEST_IN_DIRECTORY(test_stale_and_live),
        TEST_IN_DIRECTORY(test_other_files),
        TEST_IN_DIRECTORY(test_replaced_file),
        TEST_IN_DIRECTORY(test_race_for_stale_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
