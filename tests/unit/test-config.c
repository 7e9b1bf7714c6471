/* What each key means, and what it refuses. */
#include "config-test.h"

#include "base/parse.h"
#include "base/strv.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

static void test_defaults(void **state UNUSED)
{
    struct config *config = load_text("programs: {p: {command: sleep 1}}");
    const struct config_program *p = config->programs[0];
    assert_null(config->path);
    assert_string_equal(config->here, "/");
    assert_null(config->pid_file);
    assert_string_equal(config->process_title, "reloader");
    assert_int_equal(config->log.level, LOG_LEVEL_INFO);
    assert_int_equal(config->log.format, CONFIG_LOG_AUTO);
    assert_null(config->log.file);
    assert_int_equal(config->control.mode, 0600);
    assert_false(config->control.group.set);
    assert_int_equal(p->workers, 1);
    assert_int_equal(p->n_sockets, 0);
    assert_int_equal(p->handoff, CONFIG_HANDOFF_ENV);
    assert_string_equal(p->worker_name, "%(program_name)s/%(process_num)s");
    assert_string_equal(p->directory, "/");
    assert_int_equal(p->ready, CONFIG_READY_AUTO);
    assert_int_equal(p->drain, CONFIG_DRAIN_AUTO);
    assert_int_equal(p->drain_grace_usec, 500 * USEC_PER_MSEC);
    assert_int_equal(p->drain_signal, SIGTERM);
    assert_string_equal(p->drain_message, "graceful_shutdown");
    assert_int_equal(p->disconnect_timeout_usec, 10 * USEC_PER_SEC);
    assert_int_equal(p->disconnect_spread_usec, 0);
    assert_int_equal(p->start_seconds_usec, USEC_PER_SEC);
    assert_int_equal(p->start_timeout_usec, 60 * USEC_PER_SEC);
    assert_int_equal(p->backoff.initial_usec, 200 * USEC_PER_MSEC);
    assert_int_equal(p->backoff.max_usec, 30 * USEC_PER_SEC);
    assert_true(p->backoff.factor == 2.0 && p->backoff.jitter == 0.2);
    assert_int_equal(p->stop_signal, SIGTERM);
    assert_int_equal(p->stop_timeout_usec, 10 * USEC_PER_SEC);
    assert_int_equal(p->kill_mode, CONFIG_KILL_MIXED);
    assert_int_equal(p->reload.order, CONFIG_ORDER_DRAIN_FIRST);
    assert_false(p->reload.canary);
    assert_true(p->reload.max_unavailable.percent && p->reload.max_unavailable.value == 25);
    assert_true(!p->reload.max_surge.percent && p->reload.max_surge.value == 1);
    assert_true(p->reload.probation_auto);
    assert_true(p->autostart);
    assert_int_equal(p->priority, 999);
    assert_false(p->silent || p->clear_environment);
    assert_int_equal(p->input, CONFIG_INPUT_NULL);
    (void)config_unref(config);
}

/* null is YAML's own word for nothing, and our default. */
static void test_stdin(void **state UNUSED)
{
    static const char *const texts[] = {"stdin: null", "stdin: 'null'", "stdin: ~", "stdin: pipe"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct config *config = load_program(texts[i]);
        assert_int_equal(config->programs[0]->input,
                         strstr(texts[i], "pipe") ? CONFIG_INPUT_PIPE : CONFIG_INPUT_NULL);
        (void)config_unref(config);
    }
}

static void test_everything(void **state UNUSED)
{
    struct config *config = load_program(
        "workers: 3, numprocs_start: 5, worker_name: 'w%(process_num)02d', directory: /tmp, "
        "handoff: [env, stdin], "
        "listen: [7000, 'unix:@x'], environment: {A: 1, B: ~, C: 'x=y'}, clear_environment: yes, "
        "ready: {after: 3s}, "
        "drain: signal, drain_grace: 1.5s, drain_signal: QUIT, drain_message: shutdown, "
        "disconnect_timeout: 0, disconnect_spread: 1.5m, "
        "start_seconds: 2s, start_timeout: 1m, backoff: {initial: 1s, max: 1s, factor: 1.5, "
        "jitter: 0}, stop_signal: 10, "
        "stop_timeout: 5m, kill_mode: group, autostart: off, priority: 1, silent: on, "
        "reload: {order: ready-first, canary: false, max_unavailable: 0, max_surge: 50%, "
        "probation: 4s}");
    const struct config_program *p = config->programs[0];
    assert_int_equal(p->workers, 3);
    assert_int_equal(p->numprocs_start, 5);
    assert_string_equal(p->directory, "/tmp");
    assert_int_equal(p->handoff, CONFIG_HANDOFF_ENV | CONFIG_HANDOFF_STDIN);
    assert_int_equal(strv_length(p->environment), 3);
    assert_string_equal(p->environment[0], "A=1");
    assert_string_equal(p->environment[1], "B=");
    assert_string_equal(p->environment[2], "C=x=y");
    assert_true(p->clear_environment);
    assert_int_equal(p->ready, CONFIG_READY_AFTER);
    assert_int_equal(p->ready_after_usec, 3 * USEC_PER_SEC);
    assert_int_equal(p->drain, CONFIG_DRAIN_SIGNAL);
    assert_int_equal(p->drain_grace_usec, 1500 * USEC_PER_MSEC);
    assert_int_equal(p->drain_signal, SIGQUIT);
    assert_string_equal(p->drain_message, "shutdown");
    assert_int_equal(p->disconnect_timeout_usec, 0);
    assert_int_equal(p->disconnect_spread_usec, 90 * USEC_PER_SEC);
    assert_int_equal(p->start_timeout_usec, 60 * USEC_PER_SEC);
    assert_true(p->backoff.factor == 1.5 && p->backoff.jitter == 0);
    assert_int_equal(p->stop_signal, 10);
    assert_int_equal(p->stop_timeout_usec, 300 * USEC_PER_SEC);
    assert_int_equal(p->kill_mode, CONFIG_KILL_GROUP);
    assert_false(p->autostart);
    assert_int_equal(p->priority, 1);
    assert_true(p->silent);
    assert_int_equal(p->reload.order, CONFIG_ORDER_READY_FIRST);
    assert_int_equal(p->reload.max_unavailable.value, 0);
    assert_true(p->reload.max_surge.percent);
    assert_false(p->reload.probation_auto);
    assert_int_equal(p->reload.probation_usec, 4 * USEC_PER_SEC);
    (void)config_unref(config);
}

static void test_all_errors_at_once(void **state UNUSED)
{
    const struct config_source source = {
        .text = "log: {level: loud}\n"
                "programs:\n"
                "  a: {command: x, workers: 0, disconnect_timeout: 10}\n"
                "  b: {workers: many}\n"
                "gateway: {}\n"};
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_has(errors,
               "log.level: 'loud' is wrong here, expected error, warning, info, debug or trace\n");
    assert_has(
        errors,
        "programs.a.workers: '0' is out of range, expected a number from 1 to 1024, or auto\n");
    assert_has(errors, "programs.a.disconnect_timeout: '10' has no unit, a duration needs a unit: "
                       "500ms, 10s, 5m\n");
    assert_has(errors, "programs.b: 'command' is missing");
    assert_has(errors, "programs.b.workers: 'many' is wrong here");
    assert_has(errors, "gateway: 'listen' is missing");
    size_t lines = 0;
    for (const char *s = errors; *s != '\0'; s++)
        lines += *s == '\n';
    assert_int_equal(lines, 6);
}

static void test_positions(void **state UNUSED)
{
    char path[] = "/tmp/reloader-test-config-XXXXXX", expected[200];
    int fd = mkstemp(path);
    const char *text = "programs:\n  web:\n    command: x\n    workers: 0\n    nope: 1\n";
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    const struct config_source source = {.path = path};
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(expected, sizeof(expected), "%s:4:14: programs.web.workers: '0' is out of range",
                   path);
    assert_has(errors, expected);
    (void)snprintf(expected, sizeof(expected), "\n%s:5:5: programs.web.nope: unknown key\n", path);
    assert_has(errors, expected);
}

/* A text that has a name has lines, too. */
static void test_name_of_text(void **state UNUSED)
{
    const struct config_source source = {
        .text = "programs:\n  p: {command: x, workers: 0}\n", .name = "draft", .directory = "/"};
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_has(errors, "draft:2:");
}

static void test_error_flood(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(3000, 16);
    size_t n = (size_t)sprintf(text, "programs: {p: {command: x}}\n");
    for (unsigned i = 0; i < 3000; i++)
        n += (size_t)sprintf(text + n, "k%u: 1\n", i);
    assert_refused(text, "and 2900 more errors\n");
}

static void test_hints(void **state UNUSED)
{
    assert_program_refused("wrokers: 2",
                           "programs.p.wrokers: unknown key (did you mean 'workers'?)");
    assert_program_refused("disconect_timeout: 2s", "(did you mean 'disconnect_timeout'?)");
    assert_program_refused("numprocs: 2",
                           "programs.p.numprocs: unknown key: called 'workers' here");
    assert_program_refused("instances: 2", "called 'workers' here");
    assert_program_refused("stopwaitsecs: 2", "called 'stop_timeout' here");
    assert_program_refused("graceful_timeout: 2", "called 'disconnect_timeout' here");
    assert_program_refused("wait_ready: true", "called 'ready' here");
    assert_program_refused("autorestart: true", "called 'restart' here");
    assert_program_refused("backlog: 3", "unknown key: it belongs into sockets.NAME");
    assert_refused("workers: 3\nprograms: {p: {command: x}}",
                   "workers: unknown key: it belongs into programs.NAME");
    assert_program_refused("drain: mesage",
                           "expected auto, message or signal (did you mean 'message'?)");
    assert_program_refused("xyzzy: 1", "programs.p.xyzzy: unknown key\n");
}

static void assert_gateway_refused(const char *text, const char *part)
{
    CLEANUP_FREE char *all = string_format("programs: {p: {command: x}}\ngateway: {%s}\n", text);
    assert_non_null(all);
    assert_refused(all, part);
}

static void test_gateway(void **state UNUSED)
{
    static const char *const good[] = {"listen: 127.0.0.1:9999",
                                       "listen: '[::1]:9999'",
                                       "listen: unix:/tmp/g",
                                       "listen: 9999, username: a, password: b",
                                       "listen: 9999, username: a, password_file: /b",
                                       "listen: 9999, public: metrics",
                                       "listen: 9999, public: [healthz, readyz], user: root"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CLEANUP_FREE char *text = string_format("programs: {p: {command: x}}\ngateway: {%s}\n",
                                                good[i]);
        (void)config_unref(load_text(text));
    }
    assert_gateway_refused("listen: 9999", "gateway.listen: whoever reaches this address could do");
    assert_gateway_refused("listen: '[::]:9999'", "gateway.listen: whoever reaches");
    assert_gateway_refused("listen: 'udp:1'", "gateway.listen: HTTP is not served over UDP");
    assert_gateway_refused("listen: example.org:1", "gateway.listen: ");
    assert_gateway_refused("listen: 127.0.0.1:1, username: a",
                           "gateway.username: needs a password");
    assert_gateway_refused("listen: 127.0.0.1:1, password: a",
                           "gateway.password: needs a username");
    assert_gateway_refused("listen: 127.0.0.1:1, username: a, password: b, password_file: c",
                           "gateway.password: there is a password_file as well");
    assert_gateway_refused("listen: 127.0.0.1:1, public: [metric]", "did you mean 'metrics'?");
    assert_gateway_refused("listen: 127.0.0.1:1, user: nobody-knows-him", "gateway.user: ");
    assert_gateway_refused("listen: 127.0.0.1:1, auth_username: a", "called 'username' here");
    assert_refused("control: {socket: /tmp/c}\nprograms: {p: {command: x}}\n"
                   "gateway: {listen: unix:/tmp/c}\n",
                   "gateway.listen: this is the path of the control socket");
    assert_refused("programs: {p: {command: x, listen: 127.0.0.1:1}}\n"
                   "gateway: {listen: 127.0.0.1:1}\n",
                   "listen: 127.0.0.1:1 is the address of the gateway");
}

static void test_not_in_this_version(void **state UNUSED)
{
    assert_refused("log: {format: journal, file: /x}", "log: the journal is no file");
    assert_program_refused("handoff: [env, nginx]", "'nginx' is not in this version");
    assert_program_refused("handoff: node-cluster", "'node-cluster' is not in this version");
    assert_program_refused("reload: {order: switch}", "'switch' is not in this version");
}

static void test_health(void **state UNUSED)
{
    static const char *const wrong[][2] = {
        {"watchdog: 1ms", "programs.p.watchdog: out of range, expected 0s, or from 10ms to 7d"},
        {"ready: {http: 'http://x/', tcp: 80}", "programs.p.ready: expected one of auto,"},
        {"ready: {url: 'http://x/'}", "ready.url: unknown key: called 'http' here"},
        {"ready: {http: 'ftp://x/'}", "ready.http: 'ftp://x/' is no URL for a check"},
        {"ready: {http: 'http://'}", "is no URL for a check"},
        {"ready: {http: 'http:///x'}", "is no URL for a check"},
        {"ready: {http: 'http://unix:a.sock:/'}", "is no URL for a check"},
        {"ready: {http: 'http://unix:/:/'}", "is no URL for a check"},
        {"ready: {http: \"http://x/\\nHost:y\"}", "is no URL for a check"},
        {"ready: {http: 'http://%(slot)s/'}", "programs.p.ready.http: "},
        {"ready: {tcp: example.org:80}", "ready.tcp: 'example.org:80' is no address"},
        {"ready: {tcp: 'udp:80'}", "has no connections that could be tried"},
        {"health: {tcp: 81, http: 'http://x'}", "health: expected one of 'http' and 'tcp'"},
        {"health: {failures: 3}", "health: expected one of 'http' and 'tcp'"},
        {"health: {tcp: 81, failures: 0}", "health.failures: '0' is out of range"},
        {"health: {tcp: 81, interval: 1ms}", "health.interval: '1ms' is out of range"},
        {"listen: 81, health: {tcp: 81}", "reloader itself listens at '81'"},
        {"listen: 81, health: {tcp: '127.0.0.1:81'}", "reloader itself listens at"},
        {"listen: '[::]:81', ready: {tcp: '127.0.0.1:81'}", "reloader itself listens at"},
        {"listen: unix:/a, ready: {tcp: 'unix:/a'}", "reloader itself listens at"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_program_refused(wrong[i][0], wrong[i][1]);
    CLEANUP_CONFIG struct config *config = load_text(
        "programs:\n"
        "  a: {command: x, listen: '127.0.0.1:81', health: {tcp: '127.0.0.2:81'}}\n"
        "  b: {command: x, watchdog: 10ms, ready: {http: 'https://[::1]:8443/h'}}\n"
        "  c: {command: x, health: {http: 'http://unix:/a.sock'}}\n");
    assert_false(config->programs[0]->watchdog_usec > 0);
    assert_true(config_looks_at_health(config->programs[0]));
    assert_int_equal(config->programs[0]->health.failures, 3);
    assert_true(config_looks_at_health(config->programs[1]));
    assert_int_equal(config->programs[1]->ready, CONFIG_READY_CHECK);
}

/* By what it expands to. reloader-log and reloader-probe are told of it in one message, which holds no more than 64 KiB. */
static void test_what_is_too_long(void **state UNUSED)
{
    char letters[4097] = "";
    memset(letters, 'a', sizeof(letters) - 1);
    assert_int_equal(setenv("LONG", letters, 1), 0);
    assert_program_refused("stdout: '/%(ENV_LONG)s'",
                           "programs.p.stdout.path: longer than the path of a file can be (4095");
    assert_program_refused("ready: {http: 'http://x/%(ENV_LONG)s'}",
                           "programs.p.ready.http: longer than 4096 characters");
    assert_program_refused("health: {tcp: 'unix:/%(ENV_LONG)s'}",
                           "programs.p.health.tcp: longer than 4096 characters");
    assert_int_equal(unsetenv("LONG"), 0);
}

static void test_types(void **state UNUSED)
{
    assert_program_refused("workers: [1]", "a list is wrong here, expected a number");
    assert_program_refused("workers: -1", "'-1' is out of range");
    assert_program_refused("workers: 1000000000", "'1000000000' is out of range");
    assert_program_refused("workers: 99999999999999999999999", "is out of range");
    assert_program_refused("workers: 1.5", "'1.5' is wrong here");
    assert_program_refused("restart: maybe",
                           "'maybe' is wrong here, expected always, unexpected or never");
    assert_program_refused("expected_exit_codes: [0, 256]",
                           "'256' is wrong here, expected an exit code from 0 to 255");
    assert_program_refused("expected_exit_codes: [[0]]", "an exit code from 0 to 255");
    assert_program_refused("start_retries: -1",
                           "out of range, expected a number from 0 to 1000000, or unlimited");
    assert_program_refused("start_retries: many", "'many' is wrong here, expected a number");
    assert_program_refused("max_restarts: 5", "expected keys and values (count: …)");
    assert_program_refused("max_restarts: {within: 1h}", "'count' is missing");
    assert_program_refused("max_restarts: {count: 0}", "'0' is out of range");
    assert_program_refused("max_restarts: {count: 5, within: 1ms}", "out of range");
    assert_program_refused("on_event: notify-ops", "expected keys and values (types: …)");
    assert_program_refused("on_event: {command: x}", "'types' is missing");
    assert_program_refused("on_event: {types: fatal}", "'command' is missing");
    assert_program_refused("on_event: {types: [], command: x}", "at least one of fatal, crash,");
    assert_program_refused("on_event: {types: [fatal, relaod], command: x}",
                           "programs.p.on_event.types: 'relaod' is wrong here, expected fatal, ");
    assert_program_refused("on_event: {types: [relaod], command: x}", "(did you mean 'reload'?)");
    assert_program_refused("on_event: {types: [[fatal]], command: x}", "a list is wrong here");
    assert_program_refused("on_event: {types: fatal, command: [a, '%(bad)s']}",
                           "programs.p.on_event.command: ");
    assert_program_refused("listen: 80, on_event: {types: fatal, command: ['%(fd:p)s']}",
                           "programs.p.on_event.command: ");
    assert_program_refused("on_event: {types: fatal, command: 'a | b'}",
                           "programs.p.on_event.command: ");
    assert_program_refused("exit_on_fatal: sometimes", "expected true or false");
    assert_program_refused("groups: [a, b, a]", "'a' is named twice");
    assert_program_refused("groups: 'a:b'", "expected the name of a group");
    assert_program_refused("groups: all", "not 'all'");
    assert_program_refused("silent: maybe", "'maybe' is wrong here, expected true or false");
    assert_program_refused("silent: {}", "a mapping is wrong here");
    assert_program_refused("stop_signal: FOO", "'FOO' is wrong here, expected a signal");
    assert_program_refused("stop_signal: 0", "'0' is out of range");
    assert_program_refused("disconnect_timeout: soon",
                           "'soon' is wrong here, expected a duration (it needs a unit");
    assert_program_refused("disconnect_timeout: 30d", "is out of range, expected a duration");
    assert_program_refused("disconnect_spread: 30", "'30' has no unit, a duration needs a unit");
    assert_program_refused("disconnect_spread: -1s", "programs.p.disconnect_spread: ");
    assert_program_refused("disconnect_spread: 8d", "is out of range, expected a duration");
    assert_program_refused("disconnect_spread: [1s]", "a list is wrong here");
    assert_program_refused("disconect_spread: 1s", "(did you mean 'disconnect_spread'?)");
    assert_program_refused("close_spread_time: 1s", "called 'disconnect_spread' here");
    assert_program_refused("start_timeout: 0", "'0' is out of range");
    assert_program_refused("backoff: {initial: 0}", "'0' is out of range, expected a duration");
    assert_program_refused("backoff: {initial: 9ms}", "from 10ms up to 24h");
    assert_program_refused("backoff: {factor: 0.5}",
                           "'0.5' is out of range, expected a number from 1 to 100");
    assert_program_refused("backoff: {factor: 2x}", "'2x' is wrong here");
    assert_program_refused("backoff: {factor: 0x2}", "'0x2' is wrong here");
    assert_program_refused("backoff: {jitter: 1.01}", "from 0 to 1");
    assert_program_refused("backoff: 3s",
                           "'3s' is wrong here, expected keys and values (initial: …)");
    assert_program_refused("environment: [A=1]", "a list is wrong here, expected variables");
    assert_program_refused("environment: {'A B': 1}", "this is no name of a variable");
    assert_program_refused("environment: {A: [1]}",
                           "programs.p.environment.A: a list is wrong here");
    assert_program_refused(
        "ready: soon", "'soon' is wrong here, expected auto, notify, message, {after: DURATION}, "
                       "{http: URL} or {tcp: ADDRESS}");
    assert_program_refused("ready: {}",
                           "expected one of auto, notify, message, {after: DURATION}, {http: URL} "
                           "or {tcp: ADDRESS}");
    assert_program_refused("reload: {max_surge: 101%}", "is out of range");
    assert_program_refused("reload: {max_surge: lots}",
                           "or a share of the workers from 0% to 100%");
    assert_program_refused("drain_message: ''", "empty, expected a text");
    assert_refused("programs: [p]", "programs: a list is wrong here, expected names");
    assert_refused("programs: {p: x}",
                   "programs.p: 'x' is wrong here, expected keys and values (command: …)");
    assert_refused("programs: {'a b': {command: x}}", "a name has 1 to 64 letters");
    assert_refused("programs: {}", "there is nothing to run");
    assert_refused("", "there is nothing to run");
    assert_refused("just text", "'just text' is wrong here, expected keys and values");
}

static void test_command(void **state UNUSED)
{
    struct config *config = load_text(
        "programs: {p: {command: \"/bin/echo 'a b' %(fd:s)s\", sockets: s}}\n"
        "sockets: {s: {listen: 1}}");
    assert_int_equal(strv_length(config->programs[0]->command), 3);
    assert_string_equal(config->programs[0]->command[1], "a b");
    assert_string_equal(config->programs[0]->command[2], "%(fd:s)s");
    (void)config_unref(config);
    assert_refused("programs: {p: {command: ''}}", "programs.p.command: empty, expected a command");
    assert_refused("programs: {p: {command: []}}", "programs.p.command: empty, expected a command");
    assert_refused("programs: {p: {command: ['']}}", "the first word is empty");
    assert_refused("programs: {p: {command: }}", "'command' is missing");
    assert_refused("programs: {p: {command: 'a | b'}}", "there is no shell to understand '|'");
    assert_refused("programs: {p: {command: \"a 'b\"}}", "the quote ' has no end");
    assert_refused("programs: {p: {command: 'PORT=1 x'}}",
                   "there is no shell to understand 'PORT=1'");
    assert_refused("programs: {p: {command: {a: b}}}",
                   "a mapping is wrong here, expected a command");
    assert_refused("programs: {p: {command: [a, [b]]}}", "a list is wrong here");
    assert_refused("programs: {p: {command: [a, '%(fd:web)s']}}",
                   "the program has no socket 'web'");
    assert_refused("programs: {p: {command: [a, '%(nope)s']}}",
                   "programs.p.command: %(nope)s is unknown; known here:");
    assert_refused("programs: {p: {command: [a, '50%']}}", "write %%");
}

static void test_handoff(void **state UNUSED)
{
    struct config *config = load_text(
        "programs: {a: {command: /usr/bin/node x}, b: {command: nodejs}, c: {command: nodemon},"
        " d: {command: node, handoff: env}}");
    assert_int_equal(config->programs[0]->handoff, CONFIG_HANDOFF_ENV | CONFIG_HANDOFF_NODE_IPC);
    assert_int_equal(config->programs[1]->handoff, CONFIG_HANDOFF_ENV | CONFIG_HANDOFF_NODE_IPC);
    assert_int_equal(config->programs[2]->handoff, CONFIG_HANDOFF_ENV);
    assert_int_equal(config->programs[3]->handoff, CONFIG_HANDOFF_ENV | CONFIG_HANDOFF_NODE_IPC);
    assert_true(config_program_inherits(config->programs[0]));
    (void)config_unref(config);
    config = load_text("programs: {a: {command: x, listen: 1, handoff: scm-rights},"
                       " b: {command: 'x %(fd:b)s', listen: 2, handoff: [scm-rights, env]},"
                       " c: {command: x, listen: 3, handoff: stdin}}");
    assert_int_equal(config->programs[0]->handoff, CONFIG_HANDOFF_SCM_RIGHTS);
    assert_false(config_program_inherits(config->programs[0]));
    assert_int_equal(config->programs[1]->handoff, CONFIG_HANDOFF_SCM_RIGHTS | CONFIG_HANDOFF_ENV);
    assert_true(config_program_inherits(config->programs[1]));
    assert_true(config_program_inherits(config->programs[2]));
    (void)config_unref(config);
    assert_program_refused("handoff: []",
                           "empty, expected at least one of env, node-ipc, stdin, scm-rights");
    assert_program_refused("handoff: scm-rights",
                           "handoff: scm-rights hands over sockets, but there is none");
    assert_refused("programs: {p: {command: node, listen: 1, handoff: scm-rights}}",
                   "programs.p.handoff: Node cannot take sockets by scm-rights");
    assert_refused("programs: {p: {command: 'x %(fd:p)s', listen: 1, handoff: scm-rights}}",
                   "%(fd:p)s: with handoff scm-rights alone a socket has no number");
    assert_program_refused("handoff: stdin",
                           "stdin hands over the first socket, but there is none");
    assert_program_refused("handoff: [env, stdin], listen: 80, stdin: pipe",
                           "programs.p.stdin: pipe, but with handoff: stdin the first socket is there");
    assert_program_refused("stdin: tty", "programs.p.stdin: 'tty' is wrong here, expected null or pipe");
}

static void test_directory(void **state UNUSED)
{
    assert_program_refused("directory: /nonexistent/x",
                           "programs.p.directory: cannot work in '/nonexistent/x': No such file");
    assert_program_refused("directory: /dev/null", "cannot work in '/dev/null': Not a directory");
    assert_program_refused("directory: '/tmp/%(nope)s'", "%(nope)s is unknown");
    assert_program_refused("directory: '/nonexistent/%(process_num)s'",
                           "cannot work in '/nonexistent/0'");
    struct config *config = load_program("directory: '%(here)s'");
    assert_string_equal(config->programs[0]->directory, "%(here)s");
    (void)config_unref(config);
    config = load_program("directory: '/nonexistent/%(generation)s'");
    (void)config_unref(config);
    config = load_program("directory: ./tmp");
    assert_string_equal(config->programs[0]->directory, "/tmp");
    (void)config_unref(config);
}

static void test_environment_file(void **state UNUSED)
{
    assert_program_refused("environment_file: /nonexistent/x",
                           "programs.p.environment_file: /nonexistent/x: cannot read the "
                           "environment: No such file");
    assert_program_refused("environment_file: tmp",
                           "/tmp: cannot read the environment: this is a directory");
}

static void test_environment_expansion(void **state UNUSED)
{
    assert_int_equal(setenv("RELOADER_TEST_VARIABLE", "/somewhere", 1), 0);
    struct config *config = load_text(
        "pid_file: '%(ENV_RELOADER_TEST_VARIABLE)s/%%pid'\n"
        "programs: {p: {command: x, environment: {A: '%(ENV_RELOADER_TEST_VARIABLE)s'}}}");
    assert_string_equal(config->pid_file, "/somewhere/%pid");
    assert_string_equal(config->programs[0]->environment[0], "A=%(ENV_RELOADER_TEST_VARIABLE)s");
    (void)config_unref(config);
    assert_program_refused("environment: {A: '%(ENV_RELOADER_NO_SUCH)s'}",
                           "programs.p.environment.A: %(ENV_RELOADER_NO_SUCH)s: "
                           "there is no environment variable");
    assert_refused("pid_file: '%(process_num)s'", "pid_file: %(process_num)s is not known here");
}

static void test_worker_names(void **state UNUSED)
{
    assert_program_refused("workers: 2, worker_name: same",
                           "programs.p.worker_name: slots 0 and 1 would both be called 'same'");
    assert_program_refused("worker_name: 'a b'", "the name of a worker has no blanks");
    assert_program_refused("worker_name: '%(ENV_RELOADER_TEST_EMPTY)s'",
                           "the name of a worker has 1 to 128 characters");
    assert_program_refused("worker_name: '%(generation)s'", "is not known here");
    assert_refused("programs: {p: {command: x, worker_name: w}, q: {command: x, worker_name: w}}",
                   "a worker of 'p' and one of 'q' would both be called 'w'");
    (void)config_unref(load_program("worker_name: only"));
}

static void test_reload_rules(void **state UNUSED)
{
    assert_program_refused("listen: 1, reload: {max_surge: 0}",
                           "programs.p.reload.max_surge: a canary is one worker more");
    assert_program_refused("reload: {canary: true, max_surge: 0%}", "a canary is one worker more");
    assert_program_refused("reload: {order: ready-first, max_surge: 0}", "with order: ready-first");
    assert_program_refused("reload: {max_unavailable: 0}",
                           "programs.p.reload.max_unavailable: with order: drain-first");
    assert_program_refused("reload: {max_unavailable: 0%}", "with order: drain-first");
    assert_program_refused("backoff: {initial: 10s, max: 1s}", "max is shorter than initial");
    struct config *config = load_program("listen: 1, reload: {max_surge: 0, canary: false}");
    assert_false(config->programs[0]->reload.canary);
    (void)config_unref(config);
    config = load_program("listen: 1");
    assert_true(config->programs[0]->reload.canary);
    (void)config_unref(config);
}

static void test_workers_auto(void **state UNUSED)
{
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    struct config *config = load_program("workers: auto");
    assert_in_range(config->programs[0]->workers, 1, (unsigned)CPU_COUNT(&all));
    (void)config_unref(config);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    config = load_program("workers: auto");
    assert_int_equal(config->programs[0]->workers, 1);
    (void)config_unref(config);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void test_runtime_directory(void **state UNUSED)
{
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/xdg", 1), 0);
    struct config *config = load_text("programs: {p: {command: x}}");
    assert_true(config->runtime_directory_default);
    assert_string_equal(config->runtime_directory,
                        geteuid() == 0 ? "/run/reloader" : "/xdg/reloader");
    assert_string_equal(config->control.socket, geteuid() == 0 ? "/run/reloader/control.sock"
                                                               : "/xdg/reloader/control.sock");
    (void)config_unref(config);
    config = load_text(
        "runtime_directory: run\ncontrol: {socket: c.sock, group: 0}\nprograms: {p: {command: x}}");
    assert_false(config->runtime_directory_default);
    assert_string_equal(config->runtime_directory, "/run");
    assert_string_equal(config->control.socket, "/run/c.sock");
    assert_int_equal(config->control.mode, 0660);
    assert_true(config->control.group.set && config->control.group.id == 0);
    (void)config_unref(config);
    config = load_text(
        "control: {socket: ./c.sock, group: root, mode: 600}\nprograms: {p: {command: x}}");
    assert_string_equal(config->control.socket, "/c.sock");
    assert_int_equal(config->control.mode, 0600);
    (void)config_unref(config);
    config = load_text("control: {socket: none}\nprograms: {p: {command: x}}");
    assert_null(config->control.socket);
    (void)config_unref(config);
    assert_refused("control: {group: no-such-group-here}",
                   "control.group: 'no-such-group-here' is wrong here");
    assert_refused("control: {mode: 0999}",
                   "control.mode: '0999' is wrong here, expected an octal file mode");
    assert_refused("control: {mode: 07777}", "control.mode: '07777' is out of range");
}

static void test_long_control_path(void **state UNUSED)
{
    char text[300], name[150];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "control: {socket: /%s}\nprograms: {p: {command: x}}", name);
    assert_refused(text, "is longer than the 107 bytes");
}

static void test_amounts(void **state UNUSED)
{
    assert_int_equal(config_amount((struct config_amount){.value = 3}, 100), 3);
    assert_int_equal(config_amount((struct config_amount){.value = 0}, 100), 0);
    assert_int_equal(config_amount((struct config_amount){.value = 25, .percent = true}, 4), 1);
    assert_int_equal(config_amount((struct config_amount){.value = 25, .percent = true}, 7), 1);
    assert_int_equal(config_amount((struct config_amount){.value = 25, .percent = true}, 8), 2);
    assert_int_equal(config_amount((struct config_amount){.value = 1, .percent = true}, 1), 1);
    assert_int_equal(config_amount((struct config_amount){.value = 0, .percent = true}, 1024), 0);
    assert_int_equal(config_amount((struct config_amount){.value = 100, .percent = true}, 1024),
                     1024);
}

static void test_references(void **state UNUSED)
{
    struct config *config = load_text("programs: {p: {command: x}}");
    assert_ptr_equal(config_ref(config), config);
    assert_null(config_unref(config));
    assert_string_equal(config->programs[0]->name, "p");
    assert_null(config_unref(config));
    assert_null(config_unref(NULL));
}

static int setup(void **state UNUSED)
{
    return setenv("RELOADER_TEST_EMPTY", "", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_name_of_text),
        cmocka_unit_test(test_error_flood),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_not_in_this_version),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_what_is_too_long),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_handoff),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_environment_file),
        cmocka_unit_test(test_environment_expansion),
        cmocka_unit_test(test_worker_names),
        cmocka_unit_test(test_reload_rules),
        cmocka_unit_test(test_workers_auto),
        cmocka_unit_test(test_runtime_directory),
        cmocka_unit_test(test_long_control_path),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
