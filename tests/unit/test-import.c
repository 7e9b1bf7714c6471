/* What is imported: each case is a file, what the result must have, and what it must not have. All results load. */
#include "config-test.h"

#include "base/strv.h"
#include "config/keys.h"
#include "import/import.h"
#include "import/ini.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "/tmp/x.conf"

static int translate(const char *text, char **ret, unsigned *ret_refused, char **ret_error)
{
    size_t size;
    FILE *stream = open_memstream(ret, &size);
    assert_non_null(stream);
    int r = import_text(text, strlen(text), FILE_NAME, stream, ret_refused, ret_error);
    assert_int_equal(fclose(stream), 0);
    return r;
}

/* Fails the test unless it is imported, and what comes out loads. */
static char *import(const char *text)
{
    char *yaml = NULL;
    CLEANUP_FREE char *error = NULL;
    unsigned refused;
    int r = translate(text, &yaml, &refused, &error);
    if (r < 0)
        print_error("%s\nis refused: %s\n", text, error);
    assert_int_equal(r, 0);
    (void)config_unref(load_text(yaml));
    return yaml;
}

static void assert_error(const char *text, const char *part)
{
    CLEANUP_FREE char *yaml = NULL, *error = NULL;
    unsigned refused;
    assert_int_equal(translate(text, &yaml, &refused, &error), -EINVAL);
    assert_has(error, part);
}

/* As a whole line, whatever its indentation. */
static bool has_line(const char *text, const char *line)
{
    size_t length = strlen(line);
    while (*text != '\0') {
        text += strspn(text, " ");
        size_t n = strcspn(text, "\n");
        if (n == length && memcmp(text, line, n) == 0)
            return true;
        text += n + (text[n] == '\n');
    }
    return false;
}

static void assert_line(const char *text, const char *line)
{
    if (!has_line(text, line))
        print_error("the line '%s'\nis not in:\n%s\n", line, text);
    assert_true(has_line(text, line));
}

/* A setting of this program, and the line that comes of it. */
static const struct {
    const char *setting, *line;
} lines[] = {
    {"", "restart: unexpected"},
    {"", "start_retries: 3"},
    {"", "expected_exit_codes: [0, 2]"},
    {"", "start_seconds: 1s"},
    {"", "stop_timeout: 10s"},
    {"", "disconnect_timeout: 10s"},
    {"", "drain: signal"},
    {"", "directory: /tmp"},
    {"", "backoff: {initial: 1s}"},
    {"numprocs=4", "workers: 4"},
    {"numprocs_start=8080", "numprocs_start: 8080"},
    {"process_name=%(program_name)s_%(process_num)02d",
     "worker_name: \"%(program_name)s_%(process_num)02d\""},
    {"priority=5", "priority: 5"},
    {"autostart=false", "autostart: false"},
    {"autostart=No", "autostart: false"},
    {"autostart=1", "autostart: true"},
    {"autorestart=true", "restart: always"},
    {"autorestart=false", "restart: never"},
    {"autorestart=unexpected", "restart: unexpected"},
    {"startsecs=0", "start_seconds: 0s"},
    {"startretries=0", "start_retries: 0"},
    {"exitcodes=0, 2,77", "expected_exit_codes: [0, 2, 77]"},
    {"stopsignal=QUIT", "stop_signal: QUIT"},
    {"stopsignal=sigint", "stop_signal: INT"},
    {"stopsignal=10", "stop_signal: USR1"},
    {"stopwaitsecs=30", "stop_timeout: 30s"},
    {"stopwaitsecs=30", "disconnect_timeout: 30s"},
    {"stopasgroup=true", "kill_mode: group"},
    {"killasgroup=false", "kill_mode: process"},
    {"directory=/tmp", "directory: /tmp"},
    {"directory=%(here)s/..", "directory: /tmp/.."},
    {"environment=A=\"x,y\",B='1'", "A: \"x,y\""},
    {"environment=A=\"x,y\",B='1'", "B: 1"},
    {"environment=A=b-c,\n  D=/e", "D: /e"},
    {"environment=A=\"%(process_num)s%%\"", "A: \"%(process_num)s%%\""},
    {"autostart=false ; a comment", "autostart: false"},
    {"autostart: false # a comment", "autostart: false"},
    {"AutoStart = false", "autostart: false"},
    {"autostart=true\nautostart=false", "autostart: false"},
    {"; autostart=false\n#autostart=false", "start_retries: 3"},
    {"command=a --port=%(process_num)s", "command: [a, \"--port=%(process_num)s\"]"},
    {"command=a --port=80%(process_num)02d", "command: [a, \"--port=80%(process_num)02d\"]"},
    {"command=a 'b c' \"d \\\" $e\" | f (g)",
     "command: [a, \"b c\", \"d \\\" $e\", \"|\", f, \"(g)\"]"},
    {"command=a %(numprocs)s %(numprocs)03d", "command: [a, 1, 001]"},
    {"command=a %(program_name)s %(group_name)s %(here)s 5%%",
     "command: [a, \"%(program_name)s\", \"%(group_name)s\", /tmp, 5%%]"},
    {"command=a %(ENV_PATH)s", "command: [a, \"%(ENV_PATH)s\"]"},
    {"command=a %(ENV_A)s\nenvironment=A=\"5%%\"", "command: [a, 5%%]"},
    {"command=a\n b\n\n c", "command: [a, b, c]"},
    /* What is not valid here is a comment with the line that it comes from. */
    {"startsecs=99999999", "#start_seconds: 99999999s"},
    {"stopsignal=NOPE",
     "# /tmp/x.conf:3: stopsignal = NOPE: expected a signal, as TERM: write what is "
     "meant by hand"},
    {"priority=-1",
     "# /tmp/x.conf:3: priority = -1: expected a number from 0 on: write what is meant by hand"},
    {"startsecs=%(nope)s", "# /tmp/x.conf:3: startsecs = %(nope)s: %(nope)s is not known here"},
    {"startsecs=%(process_num)x", "# /tmp/x.conf:3: startsecs = %(process_num)x: '%(process_num)x' "
                                  "is no expansion that there is "
                                  "here: expected %(name)s, %(name)02d, or %% for a percent sign"},
    {"bogus=1",
     "# /tmp/x.conf:3: bogus = 1: Supervisor has no such setting in [program:p]: check its name"},
    {"serverurl=AUTO",
     "# /tmp/x.conf:3: serverurl = AUTO: workers do not speak with the master by HTTP"},
    {"stdout_capture_maxbytes=1MB",
     "# /tmp/x.conf:3: stdout_capture_maxbytes = 1MB: reloader does not cut events out of output"},
    {"environment=A", "# /tmp/x.conf:3: environment = A: near 'A': expected "
                      "KEY=\"value\",KEY2=\"value2\""},
    {"bogus=a\u2028b\xc2\x85"
     "c\n d\ufeff",
     "# /tmp/x.conf:3: bogus = a b c d : Supervisor has no such setting in [program:p]: check its "
     "name"},
};

static void test_program(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP_FREE char *text = string_format("[program:p]\ncommand=x\n%s\n", lines[i].setting);
        CLEANUP_FREE char *yaml = import(text);
        assert_line(yaml, lines[i].line);
    }
}

/* A setting anywhere, and the key that it becomes in a version that has it; in others a comment. */
static const struct {
    const char *text;
    const struct key_table *table;
    const char *key, *line;
} later[] = {
    {"[supervisord]\numask=027", &root_table, "umask", "umask: \"027\""},
    {"[supervisord]", &root_table, "umask", "umask: \"022\""},
    {"[supervisord]\nuser=0", &root_table, "user", "user: 0"},
    {"[supervisord]\nchildlogdir=/tmp", &root_table, "log_directory", "log_directory: /tmp"},
    {"[supervisord]\nminfds=2048", &root_table, "limits", "nofile: 2048"},
    {"[supervisord]\nminprocs=300", &root_table, "limits", "nproc: 300"},
    {"[inet_http_server]\nport=*:9001", &root_table, "gateway", "listen: \"0.0.0.0:9001\""},
    {"[inet_http_server]\nport=9001\nusername=me", &root_table, "gateway", "username: me"},
    {"[inet_http_server]\nport=:9001\npassword={SHA}x", &root_table, "gateway",
     "password: \"{SHA}x\""},
    {"[program:p]\numask=077", &program_table, "umask", "umask: \"077\""},
    {"[program:p]\nuser=0", &program_table, "user", "user: 0"},
    {"[program:p]\nredirect_stderr=true", &program_table, "redirect_stderr",
     "redirect_stderr: true"},
    {"[program:p]\nstdout_logfile=/tmp/a-%(process_num)s.log", &program_table, "stdout",
     "path: /tmp/a-%(process_num)s.log"},
    {"[program:p]\nstdout_logfile=/tmp/a\nstdout_logfile_maxbytes=20MB", &program_table, "stdout",
     "max_size: 20M"},
    {"[program:p]\nstderr_logfile=/tmp/a\nstderr_logfile_backups=3", &program_table, "stderr",
     "backups: 3"},
    {"[program:p]\nstdout_logfile=NONE", &program_table, "stdout", "to: \"null\""},
};

static void test_keys_of_other_versions(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        CLEANUP_FREE char *text = string_format("%s\n[program:p]\ncommand=x\n", later[i].text);
        CLEANUP_FREE char *yaml = import(text);
        CLEANUP_FREE char *comment = string_format("#%s", later[i].line);
        const struct key *key = key_find(later[i].table, later[i].key);
        /* One that is there may still be refused with a reason, as a user who does not exist. */
        if (key && key->type && has_line(yaml, later[i].line))
            continue;
        assert_line(yaml, comment);
        if (!key || !key->type)
            assert_has(yaml, "reloader " RELOADER_VERSION " does not have '");
    }
}

static void test_master(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import(
        "[unix_http_server]\nfile=%(here)s/x.sock\nchmod=0770\nchown=root:root\nusername=u\n"
        "password=secret\n"
        "[supervisord]\nidentifier=shop\npidfile=run/x.pid\nlogfile=log/x.log\nloglevel=warn\n"
        "nodaemon=true\nenvironment=X=\"1\"\n"
        "[supervisorctl]\nserverurl=unix:///x\npassword=secret\n"
        "[eventlistener:e]\ncommand=e\nevents=TICK_60\n"
        "[program:p]\ncommand=x %(ENV_X)s\n");
    static const char *const expected[] = {
        "socket: /tmp/x.sock",  "mode: \"0770\"",
        "owner: root",          "group: root",
        "identifier: shop",     "pid_file: /tmp/run/x.pid",
        "file: /tmp/log/x.log", "level: warning",
        "command: [x, 1]",      "X: 1",
        "#   events = TICK_60",
    };
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_line(yaml, expected[i]);
    assert_has(yaml, "# /tmp/x.conf:5: username = u: who may use the socket");
    assert_has(yaml, "# /tmp/x.conf:12: nodaemon = true: ");
    assert_has(yaml, "# /tmp/x.conf:14: [supervisorctl]: ");
    assert_has(yaml, "# /tmp/x.conf:17: [eventlistener:e]: ");
    assert_null(strstr(yaml, "secret"));
}

static void test_groups(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:a]\ncommand=x %(group_name)s\n"
                                     "[program:b]\ncommand=x\npriority=7\n"
                                     "[program:c]\ncommand=x\n"
                                     "[group:one]\nprograms=a,b , c\n"
                                     "[group:two]\nprograms=c,nope\npriority=3\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    assert_true(config_program_is_in(config_find_program(config, "a"), "one"));
    assert_true(config_program_is_in(config_find_program(config, "b"), "one"));
    assert_true(config_program_is_in(config_find_program(config, "c"), "one"));
    assert_true(config_program_is_in(config_find_program(config, "c"), "two"));
    assert_false(config_program_is_in(config_find_program(config, "a"), "two"));
    assert_string_equal(config_group_name(config_find_program(config, "c")), "one");
    assert_line(yaml, "# /tmp/x.conf:11: programs = c,nope: there is no program 'nope'");
}

static void test_priority_of_a_group(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:a]\ncommand=x\n[program:b]\ncommand=x\npriority=7\n"
                                     "[group:one]\nprograms=a,b\npriority=3\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    assert_int_equal(config_find_program(config, "a")->priority, 3);
    assert_int_equal(config_find_program(config, "b")->priority, 7);
    assert_has(yaml, "# /tmp/x.conf:8: priority = 3: a program's own priority counts");
}

static void test_names(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:a b]\ncommand=x %(program_name)s\n"
                                     "[program:a-b]\ncommand=x %(program_name)s\n");
    assert_line(yaml, "a-b:");
    assert_line(yaml, "command: [x, a, b]");
    assert_line(yaml, "a-b-2:");
    assert_line(yaml, "command: [x, a-b]");
}

/* fcgi-programs find their socket at fd 0. */
static void test_fcgi(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import(
        "[fcgi-program:php]\ncommand=php-cgi\nsocket=unix:///tmp/%(program_name)s.sock\n"
        "socket_owner=root:root\nsocket_backlog=64\n"
        "[fcgi-program:net]\ncommand=x\nsocket=tcp://localhost:9000\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    const struct config_program *php = config_find_program(config, "php"),
                                *net = config_find_program(config, "net");
    assert_string_equal(php->sockets[0]->listen, "unix:/tmp/php.sock");
    assert_int_equal(php->sockets[0]->mode, 0700);
    assert_int_equal(php->sockets[0]->backlog, 64);
    assert_true(php->sockets[0]->owner.set && php->sockets[0]->group.set);
    assert_int_equal(php->handoff, CONFIG_HANDOFF_STDIN);
    assert_string_equal(net->sockets[0]->listen, "localhost:9000");
}

/* The ports of a program's processes are the arguments that they had. */
static void test_ports(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:tornado]\ncommand=python3 main.py "
                                     "--port=%(process_num)s\nnumprocs=4\nnumprocs_start=8080\n"
                                     "process_name=%(program_name)s-%(process_num)s\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    const struct config_program *program = config_find_program(config, "tornado");
    assert_int_equal(program->workers, 4);
    assert_int_equal(program->numprocs_start, 8080);
    assert_string_equal(program->command[2], "--port=%(process_num)s");
    assert_int_equal(program->start_retries, 3);
    assert_true(config_expects_exit(program, 0) && config_expects_exit(program, 2));
    assert_int_equal(program->restart, CONFIG_RESTART_UNEXPECTED);
}

static void test_left_out(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:a]\ncommand=x\n[program:b]\ncommand=x\n"
                                     "directory=/nowhere-at-all\n[program:c]\npriority=1\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    assert_int_equal(config->n_programs, 1);
    assert_line(yaml, "#directory: /nowhere-at-all");
    assert_line(yaml, "# /tmp/x.conf:3: left out, as it would be another program without its "
                      "'directory':");
    assert_has(yaml, "# /tmp/x.conf:6: 'command' is missing");
}

/* Rather not at all than as somebody else. */
static void test_unknown_user(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import("[program:a]\ncommand=x\n[program:b]\ncommand=x\n"
                                     "user=no-such-user\n");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    assert_int_equal(config->n_programs, 1);
    assert_line(yaml, "#user: no-such-user");
    assert_error("[supervisord]\nuser=no-such-user\n[program:a]\ncommand=x\n",
                 "no program in it can be run");
}

static void test_many_mistakes(void **state UNUSED)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    for (unsigned i = 0; i < 250; i++)
        (void)fprintf(stream, "[program:p%u]\ncommand=x\nstartsecs=99999999\nexitcodes=999\n", i);
    assert_int_equal(fclose(stream), 0);
    CLEANUP_FREE char *yaml = import(text);
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    assert_int_equal(config->n_programs, 250);
}

static void test_qilin(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import(
        "{\n \"exec\": \"lib/app.js\",\n \"args\": [\"--x\", \"100%\"], \"workers\": 3,\n"
        " \"worker_disconnect_timeout\": 7500,\n \"reload_delay\": 250,\n \"silent\": true,\n"
        " \"daemon_port\": 9999,\n \"watch\": [\"libs\", \"a[1]*.json\"],\n"
        " \"ps_name\": \"shop\",\n \"auth_username\": \"me\", \"auth_password\": \"pw\",\n"
        " \"nope\": {\"exec\": 1},\n \"pid\": null\n}");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    const struct config_program *app = config_find_program(config, "app");
    assert_non_null(app);
    assert_line(yaml, "command: [node, lib/app.js, \"--x\", 100%%]");
    assert_int_equal(app->workers, 3);
    assert_int_equal(app->disconnect_timeout_usec, 7500000);
    assert_int_equal(app->reload_delay_usec, 250000);
    assert_true(app->silent && app->watch);
    assert_string_equal(app->watch_paths[0], "libs");
    assert_string_equal(app->watch_paths[1], "a\\[1]\\*.json");
    assert_string_equal(app->directory, "/tmp");
    assert_string_equal(config->process_title, "shop");
    assert_has(yaml, "listen: \"0.0.0.0:9999\"");
    assert_has(yaml, "username: me");
    assert_has(yaml, "password: pw");
    assert_line(yaml, "# /tmp/x.conf:11: nope: qilin-daemon has no such setting: check its name");
}

static void test_qilin_defaults(void **state UNUSED)
{
    CLEANUP_FREE char *yaml = import(
        "{\"exec\": \"app.js\", \"daemon_port\": 1, \"workers\": \"2\", \"watch\": [],\n"
        "\"auth_password\": \"x\"}");
    CLEANUP_CONFIG struct config *config = load_text(yaml);
    const struct config_program *app = config_find_program(config, "app");
    assert_int_equal(app->workers, 1);
    assert_int_equal(app->disconnect_timeout_usec, 5000000);
    assert_int_equal(app->reload_delay_usec, 5000000);
    assert_true(app->watch && !app->watch_paths);
    assert_has(yaml, "listen: \"127.0.0.1:1\"");
    assert_line(yaml, "# /tmp/x.conf:1: workers: expected a number from 0 on");
}

static void test_errors(void **state UNUSED)
{
    assert_error("x=1\n", "/tmp/x.conf:1: a setting before the first section: expected");
    assert_error("[program:a]\ncommand=x\nnonsense\n", "/tmp/x.conf:3: this is neither");
    assert_error("[program:a\n", "/tmp/x.conf:1: a section has no name or no end: expected");
    assert_error("[]\n", "/tmp/x.conf:1: a section has no name");
    assert_error("[program:a]\n=x\n", "/tmp/x.conf:2: this is neither");
    assert_error("[program:a]\ncommand=\xff\n", "/tmp/x.conf:2: this is no text in UTF-8");
    assert_error("[supervisord]\n", "/tmp/x.conf: no program in it can be run");
    assert_error("", "no program in it can be run");
    assert_error("[program:a]\n", "no program in it can be run");
    assert_error("{\n\"exec\": \n}", "/tmp/x.conf:3: ");
    assert_error("{}", "there is no \"exec\": expected the script");
    assert_error("{\n\"exec\": 5}", "/tmp/x.conf:2: there is no \"exec\"");
    assert_error("{\"exec\": \"a.js\", \"workers\": 1} x", "/tmp/x.conf:1: ");
}

static void test_bounds(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(1, 1 << 20), *to = NULL;
    assert_non_null(text);
    to = strdup("");
    (void)strcpy(text, "[program:a]\n");
    for (unsigned i = 0; i < INI_OPTIONS_MAX + 1; i++)
        (void)sprintf(text + strlen(text), "k%u=1\n", i);
    assert_error(text, "/tmp/x.conf:258: more than 256 settings");
    text[0] = '\0';
    size_t length = 0;
    for (unsigned i = 0; i < INI_SECTIONS_MAX + 1; i++)
        length += (size_t)sprintf(text + length, "[s%u]\n", i);
    assert_error(text, "/tmp/x.conf:1025: more than 1024 sections");
    memset(text, 0, 1 << 20);
    (void)strcpy(text, "[program:a]\ncommand=x\n  ");
    memset(text + strlen(text), 'y', 100000);
    assert_error(text, "/tmp/x.conf:3: the value is longer than 64 KiB");
}

static void test_bounds_of_json(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(1, 1 << 16);
    size_t length = (size_t)sprintf(text, "{\"exec\": \"a.js\"");
    for (unsigned i = 0; i < 100; i++)
        length += (size_t)sprintf(text + length, ", \"k%u\": 1", i);
    (void)strcpy(text + length, "}");
    assert_error(text, "/tmp/x.conf:1: more than 100 members");
    length = (size_t)sprintf(text, "{\"exec\": \"a.js\", \"args\": [\"\"");
    for (unsigned i = 0; i < 4096; i++)
        length += (size_t)sprintf(text + length, ",\"\"");
    (void)strcpy(text + length, "]}");
    CLEANUP_FREE char *yaml = import(text);
    assert_line(yaml, "# /tmp/x.conf:1: args: expected a list of at most 4096 texts, as [\"a\", "
                      "\"b\"]");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_include(void **state UNUSED)
{
    char base[] = "/tmp/test-import-XXXXXX";
    assert_non_null(mkdtemp(base));
    CLEANUP_FREE char *main = string_format("%s/m.conf", base), *conf = string_format("%s/d", base),
                      *a = string_format("%s/d/a.ini", base),
                      *b = string_format("%s/d/b.ini", base);
    assert_int_equal(mkdir(conf, 0700), 0);
    write_file(main, "[supervisord]\n[include]\nfiles = d/*.ini none/*.ini\n"
                     "[program:p]\ncommand=x\ndirectory=/\n");
    write_file(a, "[program:a]\ncommand=x %(here)s\n");
    write_file(b, "[program:p]\ncommand=z\nstartsecs=x\n");
    CLEANUP_FREE char *yaml = NULL, *error = NULL;
    size_t size;
    unsigned refused;
    FILE *stream = open_memstream(&yaml, &size);
    assert_int_equal(import_file(main, stream, &refused, &error), 0);
    assert_int_equal(fclose(stream), 0);
    CLEANUP_FREE char *command = string_format("command: [x, %s]", conf), /* plain in YAML */
        *place = string_format("# %s:3: startsecs = x: ", b),
                      *none = string_format("# %s:3: include: no file is called none/*.ini", main);
    assert_line(yaml, command);
    assert_line(yaml, "command: [z]");
    assert_has(yaml, place);
    assert_line(yaml, none);
    (void)unlink(a);
    (void)unlink(b);
    (void)rmdir(conf);
    assert_int_equal(import_file(conf, stdout, &refused, &error), -ENOENT);
    assert_has(error, "cannot read it");
    (void)unlink(main);
    (void)rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_keys_of_other_versions),
        cmocka_unit_test(test_master),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_priority_of_a_group),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fcgi),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_unknown_user),
        cmocka_unit_test(test_many_mistakes),
        cmocka_unit_test(test_qilin),
        cmocka_unit_test(test_qilin_defaults),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bounds_of_json),
        cmocka_unit_test(test_include),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
