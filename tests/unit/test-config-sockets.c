/* Sockets of a configuration: names, addresses, who may share what. */
#include "config-test.h"

#include "base/strv.h"

#include <netinet/in.h>

static void assert_address(const struct config_socket *socket, const struct config_program *program,
                           unsigned slot, const char *expected)
{
    struct address address;
    assert_int_equal(config_socket_address(socket, program, slot, &address), 0);
    CLEANUP_FREE char *text = address_to_text(&address);
    assert_string_equal(text, expected);
}

static void test_named(void **state UNUSED)
{
    struct config *config = load_text(
        "sockets:\n"
        "  web: {listen: 8080, backlog: 100, nonblocking: true}\n"
        "  six: {listen: '[::1]:81', ipv6_only: true}\n"
        "  file: {listen: unix:run/x.sock, mode: '0660', sharing: shared}\n"
        "  unused: {listen: unix:@y}\n"
        "programs:\n"
        "  p: {command: x, sockets: [file, web], listen: 9000}\n"
        "  q: {command: x, sockets: six}\n");
    assert_int_equal(config->n_sockets, 5);
    assert_null(config->sockets[5]);
    assert_int_equal(config->sockets[0]->backlog, 100);
    assert_int_equal(config->sockets[0]->nonblocking, CONFIG_NONBLOCKING_TRUE);
    assert_true(config->sockets[1]->ipv6_only);
    assert_true(config->sockets[2]->mode_set);
    assert_int_equal(config->sockets[2]->mode, 0660);
    assert_int_equal(config->sockets[3]->backlog, 0);
    const struct config_program *p = config->programs[0];
    assert_int_equal(p->n_sockets, 3);
    assert_ptr_equal(p->sockets[0], config->sockets[2]);
    assert_ptr_equal(p->sockets[1], config->sockets[0]);
    assert_ptr_equal(p->sockets[2], config->sockets[4]);
    assert_null(p->sockets[3]);
    assert_string_equal(config->sockets[4]->name, "p");
    assert_true(config->sockets[4]->is_private);
    assert_address(config->sockets[0], p, 3, "0.0.0.0:8080");
    assert_address(config->sockets[1], p, 0, "[::1]:81");
    assert_address(config->sockets[2], p, 0, "unix:/run/x.sock");
    (void)config_unref(config);
}

static void test_private(void **state UNUSED)
{
    struct config *config = load_program("listen: [7000, 'unix:@%(program_name)s', '[::]:7001']");
    assert_int_equal(config->n_sockets, 3);
    assert_string_equal(config->sockets[0]->name, "p");
    assert_string_equal(config->sockets[1]->name, "p-2");
    assert_string_equal(config->sockets[2]->name, "p-3");
    assert_address(config->sockets[1], config->programs[0], 0, "unix:@p");
    (void)config_unref(config);
    assert_refused("sockets: {p: {listen: 1}}\nprograms: {p: {command: x, listen: 2}}",
                   "this socket would be called 'p', as one is");
    assert_refused("programs: {p-2: {command: x, listen: 1}, p: {command: x, listen: [2, 3]}}",
                   "would be called 'p-2'");
}

static void test_per_slot(void **state UNUSED)
{
    struct config *config = load_program(
        "workers: 3, numprocs_start: 5, listen: '127.0.0.1:70%(process_num)02d'");
    assert_true(config->sockets[0]->per_slot);
    assert_address(config->sockets[0], config->programs[0], 0, "127.0.0.1:7005");
    assert_address(config->sockets[0], config->programs[0], 2, "127.0.0.1:7007");
    (void)config_unref(config);
    assert_program_refused("workers: 3, listen: '6553%(process_num)s', numprocs_start: 4",
                           "programs.p.listen: slot 2: '65536'");
    assert_program_refused("workers: 2, listen: '%(nope)s%(process_num)s'", "%(nope)s is unknown");
    assert_refused("sockets: {s: {listen: '70%(process_num)02d'}}\nprograms: {p: {command: x}}",
                   "sockets.s.listen: one socket per slot (%(process_num)s) belongs to exactly one "
                   "program, but 0 use it");
    assert_refused("sockets: {s: {listen: '70%(process_num)02d'}}\n"
                   "programs: {p: {command: x, sockets: s}, q: {command: x, sockets: s}}",
                   "but 2 use it");
}

static void test_same_address(void **state UNUSED)
{
    assert_refused("sockets: {a: {listen: 80}, b: {listen: '*:80'}}\nprograms: {p: {command: x}}",
                   "sockets.b.listen: 0.0.0.0:80 is the address of socket 'a' as well");
    assert_refused(
        "programs:\n  p: {command: x, listen: unix:/a}\n  q: {command: x, listen: unix:/a}\n",
        "programs.q.listen: unix:/a is the address of socket 'p' as well");
    assert_refused("programs: {p: {command: x, listen: [80, 80]}}", "is the address of socket 'p'");
    assert_refused("programs: {p: {command: x, workers: 3, listen: '70%(process_num)02d'}, q: "
                   "{command: x, listen: 7002}}",
                   "programs.q.listen: 0.0.0.0:7002 is the address of socket 'p'");
    assert_refused("control: {socket: /a}\nprograms: {p: {command: x, listen: unix:/a}}",
                   "programs.p.listen: '/a' is the path of the control socket");
}

static void test_wrong_addresses(void **state UNUSED)
{
    static const char *const wrong[] = {"example.com:80", "0",     "65536", "1.2.3.4", "1.2.3:80",
                                        "unix:",          "[::1]", "[::1",  ""};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char keys[100];
        (void)snprintf(keys, sizeof(keys), "listen: '%s'", wrong[i]);
        assert_program_refused(keys, "programs.p.listen: ");
        assert_program_refused(
            keys,
            "(expected 8080, 127.0.0.1:8080, [::1]:8080, udp:53, unix:/path, unix:@name or fd:3)");
    }
    assert_program_refused("listen: {port: 80}", "a mapping is wrong here, expected an address");
}

static void test_names(void **state UNUSED)
{
    assert_refused(
        "sockets: {web: {listen: 1}}\nprograms: {p: {command: x, sockets: [wbe]}}",
        "programs.p.sockets: there is no socket 'wbe' under 'sockets' (did you mean 'web'?)");
    assert_refused("sockets: {web: {listen: 1}}\nprograms: {p: {command: x, sockets: [web, web]}}",
                   "socket 'web' is there twice");
    assert_refused("programs: {q: {command: x, listen: 1}, p: {command: x, sockets: q}}",
                   "there is no socket 'q'");
    assert_refused("sockets: {web: }", "sockets.web: 'listen' is missing");
    assert_refused("sockets: {'a:b': {listen: 1}}", "a name has 1 to 64 letters");
}

static void test_nonblocking(void **state UNUSED)
{
#define SHARED(option)                                                                             \
    "sockets: {s: {listen: 1" option "}}\n"                                                        \
    "programs: {n: {command: node, sockets: s}, p: {command: x, sockets: s}}"
    assert_refused(SHARED(""), "sockets.s.nonblocking: program 'n' (node-ipc) wants this socket "
                               "non-blocking, 'p' does not");
    struct config *config = load_text(SHARED(", nonblocking: true"));
    assert_true(config_socket_nonblocking(config, config->sockets[0]));
    (void)config_unref(config);
    config = load_text("sockets: {u: {listen: 3}}\n"
                       "programs: {n: {command: node, listen: 1}, p: {command: x, listen: 2}}");
    assert_false(config_socket_nonblocking(config, config->sockets[0]));
    assert_true(config_socket_nonblocking(config, config->sockets[1]));
    assert_false(config_socket_nonblocking(config, config->sockets[2]));
    (void)config_unref(config);
}

static void test_options_that_do_not_fit(void **state UNUSED)
{
    assert_refused("sockets: {s: {listen: 80, mode: '0600'}}",
                   "sockets.s.mode: only a Unix socket with a path");
    assert_refused("sockets: {s: {listen: 'unix:@a', mode: '0600'}}",
                   "sockets.s.mode: only a Unix socket with a path");
    assert_refused("sockets: {s: {listen: 80, ipv6_only: true}}",
                   "sockets.s.ipv6_only: only a socket of IPv6");
    assert_refused("sockets: {s: {listen: 80, backlog: 0}}",
                   "sockets.s.backlog: '0' is out of range");
}

static void test_descriptors(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_text(
        "sockets: {a: {listen: 'fd:0'}, b: {listen: 'fd:7'}, c: {listen: 80}}\n"
        "programs: {p: {command: x, sockets: [a, b, c]}}\n");
    assert_int_equal(config->sockets[0]->fd, 0);
    assert_int_equal(config->sockets[1]->fd, 7);
    assert_int_equal(config->sockets[2]->fd, -1);
    assert_refused("sockets: {a: {listen: 'fd:7'}}\nprograms: {p: {command: x, listen: 'fd:7'}}",
                   "programs.p.listen: descriptor 7 is socket 'a' as well");
    assert_refused("sockets: {a: {listen: 'fd:1'}}",
                   "sockets.a.listen: 'fd:1': descriptors 1 and 2");
    assert_refused("sockets: {a: {listen: 'fd:web'}}", "'fd:web': the number of a descriptor");
    assert_refused("sockets: {a: {listen: 'fd:70000'}}", "'fd:70000': the number of a descriptor");
    assert_refused("programs: {p: {command: x, listen: 'fd:%(process_num)s', workers: 2}}",
                   "a descriptor is one socket for all slots");
    assert_refused("sockets: {a: {listen: 'fd:3', mode: '0600'}}",
                   "only a Unix socket with a path has a file mode");
}

static void test_sharing(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_text(
        "sockets: {s: {listen: 1, sharing: per_worker}}\n"
        "programs: {p: {command: x, sockets: [s], workers: 3}, q: {command: x, listen: 2}}\n");
    assert_int_equal(config->sockets[0]->sharing, CONFIG_PER_WORKER);
    assert_true(config_socket_is_of_slots(config->sockets[0]));
    assert_true(config_program_ready_first(config->programs[0]));
    assert_false(config_socket_is_of_slots(config->sockets[1]));
    assert_false(config_program_ready_first(config->programs[1]));
}

static void test_udp(void **state UNUSED)
{
    /* UDP and TCP have ports of their own. */
    CLEANUP_CONFIG struct config *config = load_text(
        "sockets: {d: {listen: 'udp:53'}, s: {listen: 'udp:[::]:53', ipv6_only: true}}\n"
        "programs: {p: {command: x, sockets: [d, s], listen: [53, 'udp:127.0.0.1:54']},\n"
        "           q: {command: x, workers: 2, listen: 'udp:70%(process_num)02d'}}\n");
    assert_true(config->sockets[0]->address.datagram && config->sockets[0]->address.wildcard);
    assert_true(config->sockets[1]->address.datagram && !config->sockets[2]->address.datagram);
    struct address address;
    assert_int_equal(config_socket_address(config->sockets[4], config->programs[1], 1, &address),
                     0);
    assert_true(address.datagram);
    assert_int_equal(address.socket.in.sin_port, htons(7001));
    assert_refused("programs: {p: {command: x, listen: ['udp:53', 'udp:0.0.0.0:53']}}",
                   "udp:0.0.0.0:53 is the address of socket 'p'");
    assert_refused("sockets: {s: {listen: 'udp:70%(process_num)02d', backlog: 5}}\n"
                   "programs: {p: {command: x, sockets: s}}",
                   "sockets.s.backlog: only a socket that accepts connections");
}

static void test_options(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_text(
        "sockets:\n"
        "  s: {listen: 80, options: {nodelay: true, keepalive: true, defer_accept: 5s, fastopen: "
        "256,\n"
        "      freebind: true, transparent: true, device: eth0, mark: 4294967295,\n"
        "      receive_buffer: 1M, send_buffer: 512K}}\n"
        "  u: {listen: 'unix:/u', owner: 0, group: 12}\n"
        "programs: {p: {command: x, sockets: [s, u]}}\n");
    const struct config_socket_options *options = &config->sockets[0]->options;
    assert_true(options->nodelay && options->keepalive && options->freebind &&
                options->transparent);
    assert_int_equal(options->defer_accept_usec, 5000000);
    assert_int_equal(options->fastopen, 256);
    assert_string_equal(options->device, "eth0");
    assert_int_equal(options->mark, UINT32_MAX);
    assert_int_equal(options->receive_buffer, 1 << 20);
    assert_int_equal(options->send_buffer, 512 << 10);
    const struct config_socket *u = config->sockets[1];
    assert_true(u->owner.set && u->owner.id == 0 && u->group.set && u->group.id == 12);
    assert_false(config->sockets[0]->owner.set);
    assert_true(u->options.receive_buffer == 0 && !u->options.nodelay);
}

static void test_options_of_other_kinds(void **state UNUSED)
{
    static const struct {
        const char *listen, *option, *whose;
    } wrong[] = {
        {"unix:/a", "nodelay: true", "a TCP socket"},
        {"udp:1", "nodelay: true", "a TCP socket"},
        {"udp:1", "keepalive: true", "a TCP socket"},
        {"udp:1", "defer_accept: 1s", "a TCP socket"},
        {"unix:@a", "fastopen: 1", "a TCP socket"},
        {"fd:3", "nodelay: true", "a TCP socket"},
        {"unix:/a", "freebind: true", "an internet socket"},
        {"unix:/a", "transparent: true", "an internet socket"},
        {"unix:/a", "device: lo", "an internet socket"},
        {"unix:/a", "mark: 1", "an internet socket"},
        {"unix:/a", "receive_buffer: 64K", "an internet socket"},
        {"unix:@a", "send_buffer: 64K", "an internet socket"},
        {"fd:3", "receive_buffer: 64K", "an internet socket"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        CLEANUP_FREE char *text = string_format("sockets:\n  s:\n    listen: '%s'\n    options:\n"
                                                "      %s\nprograms: {p: {command: x}}\n",
                                                wrong[i].listen, wrong[i].option);
        CLEANUP_FREE char *key = strndup(wrong[i].option, strcspn(wrong[i].option, ":"));
        CLEANUP_FREE char *said = string_format("sockets.s.options.%s: only %s", key,
                                                wrong[i].whose);
        assert_refused(text, said);
    }
    assert_refused("sockets: {s: {listen: 80, owner: 0}}", "sockets.s.owner: only a Unix socket");
    assert_refused("sockets: {s: {listen: 'unix:@a', group: 0}}",
                   "sockets.s.group: only a Unix socket");
    assert_refused("sockets: {s: {listen: 'unix:/a', owner: no-such-user}}", "sockets.s.owner: ");
    assert_refused("sockets: {s: {listen: 'unix:/a', group: no-such-group}}", "sockets.s.group: ");
    assert_refused("sockets: {s: {listen: 'unix:/a', owner: 4294967295}}", "sockets.s.owner: ");
    assert_refused("control: {owner: no-such-user}", "control.owner: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_per_slot),
        cmocka_unit_test(test_same_address),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrong_addresses),
        cmocka_unit_test(test_nonblocking),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_options_that_do_not_fit),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_of_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
