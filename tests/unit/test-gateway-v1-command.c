/* What a request below /v1/ asks for. */
#include "gateway/v1-command.h"

#include "gateway/problem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/v1/status", "Status"},
        {"/v1/check-config", "CheckConfig"},
        {"/v1/signal", "Signal"},
        {"/v1/upgrade", "Upgrade"},
        {"/v1/connect", NULL},
        {"/v1/Status", NULL},
        {"/v1/checkconfig", NULL},
        {"/v1/CheckConfig", NULL},
        {"/v1/check-config/", NULL},
        {"/v1/", NULL},
        {"/v1/get-info", NULL},
        {"/v1", NULL},
        {"status", NULL},
        {"/v1/status/io.reloader.Control", NULL},
        {"/v1//status", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct command *command = v1_find(cases[i].path);
        if (cases[i].name)
            assert_string_equal(command->name, cases[i].name);
        else
            assert_null(command);
    }
}

static void test_each_has_its_own_path(void **state)
{
    (void)state;
    char path[V1_PATH_SIZE];
    for (size_t i = 0; i < v1_interface()->n_commands; i++) {
        const struct command *command = &v1_interface()->commands[i];
        v1_path(command, path);
        assert_ptr_equal(v1_find(path), v1_has_path(command) ? command : NULL);
    }
}

static void test_what_is_served(void **state)
{
    (void)state;
    static const char *const served[] = {"Status",    "Reload",  "Undo",        "Start",
                                         "Stop",      "Restart", "Scale",       "History",
                                         "Logs",      "Why",     "CheckConfig", "Sockets",
                                         "Subscribe", "Send",    "Shutdown",    "Version"};
    static const char *const refused[] = {"Signal", "Attach", "Upgrade", "Connect"};
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
        assert_true(v1_is_served(command_find(v1_interface(), served[i])));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(v1_is_served(command_find(v1_interface(), refused[i])));
}

/* A value in a query has no type of its own, but that of its parameter: none may have one that it cannot have. */
static void test_what_reads_can_be_written_as_a_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < v1_interface()->n_commands; i++) {
        const struct command *command = &v1_interface()->commands[i];
        for (const struct command_parameter *p = command->parameters; p->name; p++)
            assert_true(command->acts || p->type != COMMAND_ANY);
    }
}

static void test_query(void **state)
{
    (void)state;
    static const struct command command = {
        .name = "Test",
        .parameters = {{.name = "list", .type = COMMAND_STRINGS},
                       {.name = "text", .type = COMMAND_STRING},
                       {.name = "number", .type = COMMAND_INT},
                       {.name = "yes", .type = COMMAND_BOOL},
                       {.name = "no", .type = COMMAND_BOOL},
                       {.name = "any", .type = COMMAND_ANY}},
    };
    static const struct {
        const char *name, *value;
        int result;
    } cases[] = {
        {"list", "a", 0},
        {"list", "b=c d", 0},
        {"list", "", 0},
        {"text", "1", 0},
        {"text", "2", -EINVAL}, /* twice */
        {"number", "1.5", -EINVAL},
        {"number", "", -EINVAL},
        {"number", "-", -EINVAL},
        {"number", "--1", -EINVAL},
        {"number", "0x1", -EINVAL},
        {"number", "9223372036854775808", -EINVAL},
        {"number", "-9223372036854775807", 0},
        {"yes", "1", -EINVAL},
        {"yes", "", -EINVAL},
        {"yes", "True", -EINVAL},
        {"yes", "true", 0},
        {"no", "false", 0},
        {"any", "{}", -EINVAL},
        {"nothing", "1", -EINVAL},
        {"list", "\xff", -EINVAL},
    };
    json_auto_t *parameters = json_object();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(v1_add_query(&command, parameters, cases[i].name, cases[i].value),
                         cases[i].result);
    char *text = json_dumps(parameters, JSON_COMPACT);
    assert_string_equal(text, "{\"list\":[\"a\",\"b=c d\",\"\"],\"text\":\"1\","
                              "\"number\":-9223372036854775807,\"yes\":true,\"no\":false}");
    free(text);
}

static void test_content_types(void **state)
{
    (void)state;
    assert_true(v1_is_json("application/json"));
    assert_true(v1_is_json(" Application/JSON ; charset=utf-8"));
    assert_false(v1_is_json(""));
    assert_false(v1_is_json("text/plain; a=application/json"));
    assert_false(v1_is_json("application/jsonp"));
    assert_false(v1_is_json("application/x-www-form-urlencoded"));
}

static void test_accepted_streams(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool named, any;
    } cases[] = {
        {NULL, false, true},
        {"", false, false},
        {"*/*", false, true},
        {"text/*;q=0.5", false, true},
        {"application/json", false, false},
        {"application/json, text/event-stream", true, true},
        {"TEXT/Event-Stream;q=1", true, true},
        {"text/event-streams", false, false},
        {"text/html,application/xhtml+xml,*/*;q=0.8", false, true},
        {",,,", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(v1_accepts_stream(cases[i].accept, false), cases[i].named);
        assert_int_equal(v1_accepts_stream(cases[i].accept, true), cases[i].any);
    }
}

static void test_problems(void **state)
{
    (void)state;
    json_auto_t *members = json_pack("{s:s, s:s, s:i}", "name", "web", "title", "none", "more", 1);
    json_auto_t *problem = problem_new(problem_find("io.reloader.Control.NoSuchProgram"), members);
    char *text = json_dumps(problem, JSON_COMPACT);
    assert_string_equal(
        text, "{\"type\":\"/v1/openapi.json#/components/schemas/NoSuchProgram\",\"title\":\"No "
              "such program\",\"status\":404,\"detail\":\"there is no program "
              "web\",\"name\":\"web\",\"more\":1}");
    free(text);
    assert_null(problem_find("io.reloader.Control.NoSuchThing"));
    assert_null(problem_find(""));
    json_auto_t *bare = problem_new(problem_find("PermissionDenied"), NULL);
    assert_int_equal(json_integer_value(json_object_get(bare, "status")), 403);
    json_auto_t *empty = problem_new(problem_find("Failed"), NULL);
    assert_non_null(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_each_has_its_own_path),
        cmocka_unit_test(test_what_is_served),
        cmocka_unit_test(test_what_reads_can_be_written_as_a_query),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_accepted_streams),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
