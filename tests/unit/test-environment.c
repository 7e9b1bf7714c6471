/* environment.c and generation.c: the environment block and command line that a worker is given, against design 2. */
#include "live.h"

#include "base/strv.h"
#include "net/listener.h"
#include "process/spawn.h"
#include "worker/environment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const no_environment[] = {NULL};

struct fixture {
    char *directory;
    struct config *config;
    struct generation *generation;
    struct worker_command command;
    char *const *master; /* its environment */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = live_make_directory();
    fixture->master = (char *const *)no_environment;
    *state = fixture;
    return 0;
}

static void forget(struct fixture *fixture)
{
    worker_command_clear(&fixture->command);
    fixture->generation = generation_unref(fixture->generation);
    fixture->config = config_unref(fixture->config);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    forget(fixture);
    live_remove_directory(fixture->directory);
    free(fixture);
    return 0;
}

static void configure(struct fixture *fixture, const char *settings)
{
    CLEANUP_FREE char *error = NULL;
    forget(fixture);
    STRV_FOREACH (entry, fixture->master)
        (void)putenv(*entry); /* a configuration is tried out with the environment of its process */
    fixture->config = live_config(fixture->directory, settings, "true");
    if (generation_new(fixture->config, fixture->config->programs[0], 7, NULL, fixture->master,
                       &fixture->generation, &error) < 0)
        fail_msg("%s", error);
}

static void make(struct fixture *fixture, unsigned slot, struct listener *const *listeners)
{
    const struct worker_place place = {.generation = fixture->generation,
                                       .slot = slot,
                                       .notify_path = "/run/x/notify/1-1"};
    CLEANUP_FREE char *error = NULL;
    worker_command_clear(&fixture->command);
    struct listener **borrowed = calloc(fixture->generation->program->n_sockets + 1, sizeof(void *));
    for (size_t i = 0; listeners && i < fixture->generation->program->n_sockets; i++)
        borrowed[i] = listeners[i];
    fixture->generation->listeners = borrowed;
    int r = worker_make_command(&place, &fixture->command, &error);
    fixture->generation->listeners = NULL;
    free(borrowed);
    if (r < 0)
        fail_msg("%s", error);
}

static void expect(struct fixture *fixture, const char *name, const char *value)
{
    const char *found = strv_env_get(fixture->command.envp, name);
    if (!string_equal(found, value))
        fail_msg("%s is '%s', not '%s'", name, found ? found : "(unset)",
                 value ? value : "(unset)");
    unsigned n = 0;
    STRV_FOREACH (entry, fixture->command.envp)
        n += strncmp(*entry, name, strlen(name)) == 0 && (*entry)[strlen(name)] == '=';
    assert_int_equal(n, value != NULL);
}

static void test_without_sockets(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "");
    make(fixture, 0, NULL);
    expect(fixture, "RELOADER_PROGRAM", "web");
    expect(fixture, "RELOADER_SLOT", "0");
    expect(fixture, "RELOADER_GENERATION", "7");
    expect(fixture, "RELOADER_CHANNEL_FD", "3");
    expect(fixture, "NOTIFY_SOCKET", "/run/x/notify/1-1");
    expect(fixture, "RELOADER_DISCONNECT_SPREAD", NULL);
    expect(fixture, "SERVER_STARTER_PORT", "");
    expect(fixture, "SERVER_STARTER_GENERATION", "7");
    expect(fixture, "LISTEN_FDS", NULL);
    expect(fixture, "LISTEN_PID", NULL);
    expect(fixture, "LISTEN_FDNAMES", NULL);
    expect(fixture, "NODE_CHANNEL_FD", NULL);
    assert_null(fixture->command.pid_texts[0]);
    assert_int_equal(strv_length(fixture->command.envp), 7);
}

/* As if they were bound: nothing is asked of a listener but its name and addresses. */
static void pretend_listener(struct listener *ret, const struct config_socket *socket,
                             struct listener_socket *sockets, struct listener_socket **places,
                             size_t n)
{
    *ret = (struct listener){.name = socket->name, .n_sockets = n, .sockets = places};
    for (size_t i = 0; i < n; i++) {
        sockets[i] = (struct listener_socket){.fd = -1, .address = socket->address};
        places[i] = &sockets[i];
    }
}

static void test_sockets(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture,
              "    listen: ['8080', '127.0.0.1:81', '[::1]:82', '[::]:83', 'unix:/a.sock']\n"
              "    reload: {canary: false}\n");
    const struct config_program *program = fixture->generation->program;
    struct listener listeners[5], *handed[5];
    struct listener_socket sockets[5], *places[5];
    for (size_t i = 0; i < 5; i++) {
        pretend_listener(&listeners[i], program->sockets[i], &sockets[i], &places[i], 1);
        handed[i] = &listeners[i];
    }
    make(fixture, 0, handed);
    expect(fixture, "LISTEN_FDS", "5");
    expect(fixture, "LISTEN_FDNAMES", "web:web-2:web-3:web-4:web-5");
    expect(fixture, "SERVER_STARTER_PORT", "8080=3;127.0.0.1:81=4;[::1]:82=5;[::]:83=6;/a.sock=7");
    expect(fixture, "RELOADER_CHANNEL_FD", "8");
    assert_ptr_equal(fixture->command.pid_texts[0],
                     strv_env_get(fixture->command.envp, "LISTEN_PID"));
    assert_true(strlen(fixture->command.pid_texts[0]) >= SPAWN_PID_SIZE);
}

static void test_disconnect_spread(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "    disconnect_spread: 1.5m\n"
                       "    environment: {RELOADER_DISCONNECT_SPREAD: '7'}\n");
    make(fixture, 0, NULL);
    expect(fixture, "RELOADER_DISCONNECT_SPREAD", "90000");
}

static void test_watchdog(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture,
              "    watchdog: 30s\n    environment: {WATCHDOG_USEC: '7', WATCHDOG_PID: x}\n");
    make(fixture, 0, NULL);
    expect(fixture, "WATCHDOG_USEC", "30000000");
    assert_null(fixture->command.pid_texts[0]);
    assert_ptr_equal(fixture->command.pid_texts[1],
                     strv_env_get(fixture->command.envp, "WATCHDOG_PID"));
    assert_true(strlen(fixture->command.pid_texts[1]) >= SPAWN_PID_SIZE);
}

static void test_a_socket_for_each_slot(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "    workers: 2\n    listen: 'unix:/w%(process_num)s.sock'\n");
    const struct config_program *program = fixture->generation->program;
    struct listener listener, *handed[] = {&listener};
    struct listener_socket sockets[2], *places[2];
    pretend_listener(&listener, program->sockets[0], sockets, places, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            config_socket_address(program->sockets[0], program, i, &sockets[i].address), 0);
    make(fixture, 1, handed);
    expect(fixture, "SERVER_STARTER_PORT", "/w1.sock=3");
    expect(fixture, "RELOADER_SLOT", "1");
}

static void test_node(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "    listen: '8080'\n    handoff: [node-ipc]\n");
    struct listener listener, *handed[] = {&listener};
    struct listener_socket sockets[1], *places[1];
    pretend_listener(&listener, fixture->generation->program->sockets[0], sockets, places, 1);
    make(fixture, 0, handed);
    expect(fixture, "NODE_CHANNEL_FD", "4");
    expect(fixture, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
    expect(fixture, "RELOADER_CHANNEL_FD", "4");
    expect(fixture, "LISTEN_FDS", NULL);
    expect(fixture, "SERVER_STARTER_PORT", NULL);
    assert_null(fixture->command.pid_texts[0]);
}

static void test_scm_rights(void **state)
{
    struct fixture *fixture = *state;
    struct listener listener, *handed[] = {&listener};
    struct listener_socket sockets[1], *places[1];
    configure(fixture, "    listen: '8080'\n    handoff: scm-rights\n");
    pretend_listener(&listener, fixture->generation->program->sockets[0], sockets, places, 1);
    make(fixture, 0, handed);
    expect(fixture, "RELOADER_CHANNEL_FD", "3");
    expect(fixture, "RELOADER_LISTENERS", "1");
    expect(fixture, "LISTEN_FDS", NULL);
    expect(fixture, "SERVER_STARTER_PORT", NULL);
    assert_null(fixture->command.pid_texts[0]);
    configure(fixture, "    listen: '8080'\n    handoff: [scm-rights, env]\n");
    pretend_listener(&listener, fixture->generation->program->sockets[0], sockets, places, 1);
    make(fixture, 0, handed);
    expect(fixture, "RELOADER_CHANNEL_FD", "4");
    expect(fixture, "RELOADER_LISTENERS", "1");
    expect(fixture, "LISTEN_FDS", "1");
}

static void test_what_never_leaks(void **state)
{
    static const char *const master[] = {
        "LISTEN_PID=1", "LISTEN_FDS=9", "LISTEN_FDNAMES=a", "LISTEN_PIDFDID=1", "NOTIFY_SOCKET=/x",
        "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "NODE_CHANNEL_FD=9", "NODE_UNIQUE_ID=1",
        "NODE_CHANNEL_SERIALIZATION_MODE=advanced", "SERVER_STARTER_PORT=1=3", "SERVER_STARTER_X=1",
        "EINHORN_FDS=1", "NGINX=3;", "GUNICORN_FD=3", "GUNICORN_PID=1", "UNICORN_FD=3",
        "PUMA_INHERIT_0=3:tcp://", "FPM_SOCKETS=x=3", "FPM_SOCKETS_1=x", "RELOADER_SLOT=9",
        "RELOADER_CHANNEL_FD=9",
        /* These only look alike, and stay. */
        "NGINX_HOME=/n", "UNICORN_FD_X=1", "NODE_ENV=production", "LISTEN=1", "MYRELOADER_=1",
        "PATH=/bin", NULL};
    struct fixture *fixture = *state;
    fixture->master = (char *const *)master;
    configure(fixture, "");
    make(fixture, 0, NULL);
    for (size_t i = 0; master[i]; i++)
        assert_int_equal(strv_contains(fixture->command.envp, master[i]), i >= 22);
    expect(fixture, "RELOADER_SLOT", "0");
    expect(fixture, "NOTIFY_SOCKET", "/run/x/notify/1-1");
}

static void test_who_wins(void **state)
{
    static const char *const master[] = {"A=master", "B=master", "C=master", "HOME=/m", NULL};
    struct fixture *fixture = *state;
    fixture->master = (char *const *)master;
    live_write_file(fixture->directory, "env", "B=file\nC=file\nD=file\n");
    configure(
        fixture,
        "    environment_file: env\n"
        "    environment: {C: 'own %(ENV_C)s', D: own, E: '%(program_name)s-%(generation)s'}\n");
    make(fixture, 0, NULL);
    expect(fixture, "A", "master");
    expect(fixture, "B", "file");
    expect(fixture, "C", "own master");
    expect(fixture, "D", "own");
    expect(fixture, "E", "web-7");
    expect(fixture, "HOME", "/m");
}

static void test_cleared(void **state)
{
    static const char *const master[] = {"A=master", "HOME=/m", NULL};
    struct fixture *fixture = *state;
    fixture->master = (char *const *)master;
    live_write_file(fixture->directory, "env", "B=file\n");
    configure(fixture, "    clear_environment: true\n    environment_file: env\n"
                       "    environment: {C: 'was %(ENV_A)s'}\n");
    make(fixture, 0, NULL);
    expect(fixture, "A", NULL);
    expect(fixture, "HOME", NULL);
    expect(fixture, "B", "file");
    expect(fixture, "C", "was master");
    expect(fixture, "RELOADER_PROGRAM", "web");
}

/* The contract is ours: a worker that trusts it must not be told otherwise by a file. */
static void test_own_names_are_not_for_others(void **state)
{
    struct fixture *fixture = *state;
    live_write_file(fixture->directory, "env",
                    "LISTEN_PID=1\nLISTEN_FDS=9\nRELOADER_CHANNEL_FD=9\nNOTIFY_SOCKET=/x\n"
                    "SERVER_STARTER_PORT=1=9\nNODE_CHANNEL_FD=9\n");
    configure(fixture,
              "    listen: '8080'\n    handoff: [env, node-ipc]\n    environment_file: env\n"
              "    environment: {RELOADER_SLOT: '9', LISTEN_FDNAMES: x}\n");
    struct listener listener, *handed[] = {&listener};
    struct listener_socket sockets[1], *places[1];
    pretend_listener(&listener, fixture->generation->program->sockets[0], sockets, places, 1);
    make(fixture, 0, handed);
    expect(fixture, "LISTEN_FDS", "1");
    expect(fixture, "LISTEN_FDNAMES", "web");
    expect(fixture, "RELOADER_SLOT", "0");
    expect(fixture, "RELOADER_CHANNEL_FD", "4");
    expect(fixture, "NODE_CHANNEL_FD", "4");
    expect(fixture, "NOTIFY_SOCKET", "/run/x/notify/1-1");
    expect(fixture, "SERVER_STARTER_PORT", "8080=3");
    assert_true(strlen(fixture->command.pid_texts[0]) >= SPAWN_PID_SIZE);
}

/* Whatever LISTEN_PID somebody sets is too short for a pid to be written into it. */
static void test_a_foreign_pid_is_not_written_over(void **state)
{
    struct fixture *fixture = *state;
    configure(fixture, "    environment: {LISTEN_PID: '1'}\n");
    make(fixture, 0, NULL);
    assert_null(fixture->command.pid_texts[0]);
}

static void test_command_and_directory(void **state)
{
    struct fixture *fixture = *state;
    static const char *const master[] = {"WORD=two words", NULL};
    fixture->master = (char *const *)master;
    for (unsigned i = 5; i < 8; i++) {
        CLEANUP_FREE char *path = string_format("%s/sub-%02u", fixture->directory, i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    configure(fixture, "    listen: ['8080', '8081']\n"
                       "    workers: 3\n"
                       "    numprocs_start: 5\n"
                       "    directory: 'sub-%(process_num)02d'\n"
                       "    worker_name: '%(program_name)s:%(process_num)s'\n"
                       "    environment: {FD: '%(fd:web-2)s', WORDS: '%(ENV_WORD)s'}\n");
    struct listener listeners[2], *handed[] = {&listeners[0], &listeners[1]};
    struct listener_socket sockets[2], *places[2];
    for (size_t i = 0; i < 2; i++)
        pretend_listener(&listeners[i], fixture->generation->program->sockets[i], &sockets[i], &places[i], 1);
    make(fixture, 2, handed);
    CLEANUP_FREE char *wanted = string_format("%s/sub-07", fixture->directory);
    CLEANUP_FREE char *made = NULL, *error = NULL;
    assert_int_equal(worker_make_directory(fixture->generation, 2, &made, &error), 0);
    assert_string_equal(made, wanted);
    assert_string_equal(fixture->command.argv[0], "sh");
    assert_string_equal(fixture->command.argv[2], "true");
    assert_null(fixture->command.argv[3]);
    expect(fixture, "FD", "4");
    expect(fixture, "WORDS", "two words");
    CLEANUP_FREE char *name = NULL;
    assert_int_equal(worker_make_name(fixture->generation, 2, &name, &error), 0);
    assert_string_equal(name, "web:7");
}

static void test_what_cannot_be_expanded(void **state)
{
    struct fixture *fixture = *state;
    static const char *const before[] = {"GONE=here", NULL};
    fixture->master = (char *const *)before;
    configure(fixture, "    environment: {X: '%(ENV_GONE)s'}\n");
    fixture->generation->master_environment = (char *const *)no_environment;
    const struct worker_place place = {.generation = fixture->generation, .notify_path = "/x"};
    struct worker_command command = {0};
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(worker_make_command(&place, &command, &error), -EINVAL);
    assert_true(string_starts_with(error, "environment: "));
    assert_null(command.argv);
    assert_null(command.envp);
}

static void test_environment_file_that_is_gone(void **state)
{
    struct fixture *fixture = *state;
    live_write_file(fixture->directory, "env", "A=1\n");
    configure(fixture, "    environment_file: env\n");
    CLEANUP_FREE char *path = string_format("%s/env", fixture->directory), *error = NULL;
    assert_int_equal(unlink(path), 0);
    struct generation *generation = NULL;
    assert_int_equal(generation_new(fixture->config, fixture->config->programs[0], 8, NULL,
                                    fixture->master, &generation, &error),
                     -ENOENT);
    assert_null(generation);
    assert_non_null(strstr(error, path));
    /* What was read stays as it was. */
    make(fixture, 0, NULL);
    expect(fixture, "A", "1");
}

static struct generation *next_generation(struct fixture *fixture, const char *settings,
                                          const char *script, uint64_t number,
                                          const struct generation *previous)
{
    CLEANUP_CONFIG struct config *config = live_config(fixture->directory, settings, script);
    struct generation *generation = NULL;
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(generation_new(config, config->programs[0], number, previous, fixture->master,
                                    &generation, &error),
                     0);
    return generation;
}

/* What is known of a command lasts until it is another one. */
static void test_habits(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(generation_unrefp)
    struct generation *first = next_generation(fixture, "", "true", 1, NULL);
    first->habits->deaf = first->habits->announces = true;
    CLEANUP(generation_unrefp)
    struct generation *second = next_generation(fixture, "    workers: 2\n", "true", 2, first);
    assert_true(second->habits->deaf);
    CLEANUP(generation_unrefp)
    struct generation *third = next_generation(fixture, "", "false", 3, second);
    assert_false(third->habits->deaf);
    assert_false(third->habits->announces);
    first = generation_unref(first);
    assert_true(second->habits->announces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_sockets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watchdog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disconnect_spread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_socket_for_each_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scm_rights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_never_leaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_names_are_not_for_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_foreign_pid_is_not_written_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_command_and_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_expanded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment_file_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_habits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
