/* test-varlink.c - Varlink's messages, the command tables and the descriptions made from them. */
#include "control/command.h"
#include "control/handlers.h"
#include "control/methods.h"
#include "control/varlink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static int parse(const char *text, struct varlink_call *ret)
{
    return varlink_call_parse(text, strlen(text), ret);
}

static void test_call(UNUSED void **state)
{
    CLEANUP_VARLINK_CALL struct varlink_call call = {0};
    assert_int_equal(
        parse("{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true,\"oneway\":false}",
              &call),
        0);
    assert_string_equal(call.method, "a.b.C");
    assert_int_equal(json_integer_value(json_object_get(call.parameters, "x")), 1);
    assert_true(call.more);
    assert_false(call.oneway);
    assert_false(call.upgrade);
}

static void test_call_without_parameters(UNUSED void **state)
{
    static const char *const texts[] = {"{\"method\":\"a.B\"}",
                                        "{\"method\":\"a.B\",\"parameters\":null,\"more\":null}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_VARLINK_CALL struct varlink_call call = {0};
        assert_int_equal(parse(texts[i], &call), 0);
        assert_int_equal(json_object_size(call.parameters), 0);
        assert_false(call.more);
    }
}

static void test_no_call(UNUSED void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "{}",
        "\"a.B\"",
        "{\"method\":7}",
        "{\"method\":\"\"}",
        "{\"method\":\"a.B\"",
        "{\"method\":\"a.B\"} x",
        "{\"method\":\"a.B\",\"parameters\":[]}",
        "{\"method\":\"a.B\",\"more\":1}",
        "{\"method\":\"a.B\",\"oneway\":\"yes\"}",
        "{\"method\":\"a.B\",\"upgrade\":{}}",
        "{\"method\":\"a.B\",\"method\":\"a.C\"}",
        "{\"method\":\"a.\\u0000B\"}",
        "{\"method\":\"\xff\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct varlink_call call = {.method = "untouched"};
        assert_int_equal(parse(texts[i], &call), -EBADMSG);
        assert_string_equal(call.method, "untouched");
    }
}

static void test_deep_nesting_is_bounded(UNUSED void **state)
{
    char text[65536];
    memset(text, '[', sizeof(text));
    struct varlink_call call;
    assert_int_equal(varlink_call_parse(text, sizeof(text), &call), -EBADMSG);
}

static void test_method_name(UNUSED void **state)
{
    size_t length;
    assert_string_equal(varlink_method_name("a.b.C", &length), "C");
    assert_int_equal(length, 3);
    assert_string_equal(varlink_method_name("C", &length), "C");
    assert_int_equal(length, 0);
    assert_string_equal(varlink_method_name("a.", &length), "");
    assert_int_equal(length, 1);
}

static void assert_encoded(char *text, size_t size, const char *expected)
{
    assert_int_equal(size, strlen(text) + 1);
    json_auto_t *a = json_loads(text, 0, NULL), *b = json_loads(expected, 0, NULL);
    assert_true(json_equal(a, b));
    free(text);
}

static void test_encode(UNUSED void **state)
{
    json_auto_t *parameters = json_pack("{s:i}", "id", 7);
    char *text;
    size_t size;
    assert_int_equal(varlink_encode_reply(parameters, false, &text, &size), 0);
    assert_encoded(text, size, "{\"parameters\":{\"id\":7}}");
    assert_int_equal(varlink_encode_reply(parameters, true, &text, &size), 0);
    assert_encoded(text, size, "{\"parameters\":{\"id\":7},\"continues\":true}");
    assert_int_equal(varlink_encode_reply(NULL, false, &text, &size), 0);
    assert_encoded(text, size, "{\"parameters\":{}}");
    assert_int_equal(varlink_encode_error("a.B", parameters, &text, &size), 0);
    assert_encoded(text, size, "{\"error\":\"a.B\",\"parameters\":{\"id\":7}}");
}

static const struct command_interface *find_control(void)
{
    const char *name = "io.reloader.Control";
    const struct command_interface *interface = command_find_interface(
        methods_interfaces, methods_n_interfaces, name, strlen(name));
    assert_non_null(interface);
    return interface;
}

static int check(const char *method, const char *parameters, const char **ret_name)
{
    json_auto_t *object = json_loads(parameters, 0, NULL);
    static char name[64];
    const char *found = NULL;
    int r = command_check(command_find(find_control(), method), object, &found);
    (void)strcpy(name, found ? found : "");
    *ret_name = name;
    return r;
}

static void test_parameters(UNUSED void **state)
{
    static const struct {
        const char *method, *parameters;
        int result;
        const char *name;
    } cases[] = {
        {"Status", "{}", 0, ""},
        {"Status", "{\"x\":1}", -EINVAL, "x"},
        {"Reload", "{\"wait\":false}", 0, ""},
        {"Reload", "{\"wait\":null}", 0, ""},
        {"Reload", "{\"wait\":0}", -EINVAL, "wait"},
        {"Reload", "{\"programs\":[\"web\"]}", 0, ""},
        {"Reload", "{\"programs\":\"web\"}", -EINVAL, "programs"},
        {"Reload", "{\"dry_run\":true}", 0, ""},
        {"Reload", "{\"dry_run\":null}", 0, ""},
        {"Subscribe", "{\"types\":[\"worker\"]}", 0, ""},
        {"Subscribe", "{\"types\":[1]}", -EINVAL, "types"},
        {"Subscribe", "{\"types\":{}}", -EINVAL, "types"},
        {"Shutdown", "{\"force\":true}", 0, ""},
        {"Shutdown", "{\"force\":\"true\"}", -EINVAL, "force"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *name;
        assert_int_equal(check(cases[i].method, cases[i].parameters, &name), cases[i].result);
        assert_string_equal(name, cases[i].name);
    }
}

static void test_required_parameter(UNUSED void **state)
{
    const struct command *command = command_find(methods_interfaces[0], "GetInterfaceDescription");
    json_auto_t *none = json_object(), *null = json_pack("{s:n}", "interface"),
                *good = json_pack("{s:s}", "interface", "x");
    const char *name = "";
    assert_int_equal(command_check(command, none, &name), -EINVAL);
    assert_string_equal(name, "interface");
    assert_int_equal(command_check(command, null, &name), -EINVAL);
    assert_int_equal(command_check(command, good, &name), 0);
}

static void test_description(UNUSED void **state)
{
    CLEANUP_FREE char *text = command_describe(find_control());
    assert_non_null(text);
    assert_ptr_equal(
        strstr(text, "# Control of a running reloader.\ninterface io.reloader.Control\n"), text);
    assert_non_null(strstr(text, "\nmethod Reload(wait: ?bool, programs: ?[]string, changed_only: ?bool, dry_run: ?bool) -> ("));
    assert_non_null(strstr(text, "\nmethod Subscribe(types: ?[]string, programs: ?[]string, "
                                 "commands: ?[]string, since: ?int, since_usec: ?int, start: ?int) -> ("));
    assert_non_null(strstr(text, "\nmethod Send(programs: []string, message: object) -> ("));
    assert_non_null(strstr(text, "\nmethod Version() -> (version: string)\n"));
    assert_non_null(
        strstr(text, "\nerror NotInThisVersion (method: string, parameter: ?string)\n"));
    assert_null(strstr(text, "Upgrade"));
}

static void test_tables(UNUSED void **state)
{
    for (size_t i = 0; i < methods_n_interfaces; i++)
        for (size_t k = 0; k < methods_interfaces[i]->n_commands; k++) {
            const struct command *command = &methods_interfaces[i]->commands[k];
            assert_ptr_equal(command_find(methods_interfaces[i], command->name), command);
            assert_true(!command->help == !handler_of(command->method) && !command->help == !command->reply);
            assert_null(command->parameters[COMMAND_PARAMETERS_MAX - 1].name);
        }
    assert_null(command_find(find_control(), "Nothing"));
    assert_null(
        command_find_interface(methods_interfaces, methods_n_interfaces, "io.reloader.Contro", 18));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),        cmocka_unit_test(test_call_without_parameters),
        cmocka_unit_test(test_no_call),     cmocka_unit_test(test_deep_nesting_is_bounded),
        cmocka_unit_test(test_method_name), cmocka_unit_test(test_encode),
        cmocka_unit_test(test_parameters),  cmocka_unit_test(test_required_parameter),
        cmocka_unit_test(test_description), cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
