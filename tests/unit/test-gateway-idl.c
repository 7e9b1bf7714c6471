/* Varlink's language to JSON Schema, and all of our own that is written in it. */
#include "gateway/idl.h"

#include "control/methods.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *text, *schema;
    } cases[] = {
        {"object", "{}"},
        {"string", "{'type':'string'}"},
        {"bool", "{'type':'boolean'}"},
        {"?int", "{'type':'integer','format':'int64'}"},
        {" float # so many\n", "{'type':'number'}"},
        {"Worker", "{'$ref':'#/components/schemas/Worker'}"},
        {"[]Worker", "{'type':'array','items':{'$ref':'#/components/schemas/Worker'}}"},
        {"[string]bool", "{'type':'object','additionalProperties':{'type':'boolean'}}"},
        {"[][string][]string",
         "{'type':'array','items':{'type':'object','additionalProperties':{'type':'array','items':{"
         "'type':'string'}}}}"},
        {"(one)", "{'type':'string','enum':['one']}"},
        {"( up,\n # not yet\n down )", "{'type':'string','enum':['up','down']}"},
        {"()", "{'type':'object','properties':{}}"},
        {"(a: ?string)", "{'type':'object','properties':{'a':{'type':'string'}}}"},
        {"(a_b: bool, c: ?(x, y), d: (e: string))",
         "{'type':'object','properties':{'a_b':{'type':'boolean'},'c':{'type':'string','enum':['x',"
         "'y']},'d':{'type':'object','properties':{'e':{'type':'string'}},'required':['e']}},"
         "'required':['a_b','d']}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[512];
        json_auto_t *schema = NULL;
        const char *where;
        size_t n = strlen(cases[i].schema);
        assert_true(n < sizeof(expected));
        for (size_t k = 0; k <= n; k++)
            expected[k] = cases[i].schema[k] == '\'' ? '"' : cases[i].schema[k];
        assert_int_equal(idl_read_type(cases[i].text, &schema, &where), 0);
        char *text = json_dumps(schema, JSON_COMPACT);
        assert_string_equal(text, expected);
        free(text);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "?",
        "??int",
        "integer",
        "int int",
        "[]",
        "[]?int",
        "[int]bool",
        "(",
        "(a",
        "(a,",
        "(a, )",
        "(a: int",
        "(a: int,)",
        "(a: int, b)",
        "(a, b: int)",
        "(a: int, a: int)",
        "(a: ?)",
        "(1a: int)",
        "(aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggg: int)",
        "[][][][][][][][][][][][][][][][]int",
        "((((((((((((((((((",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *schema = NULL;
        const char *where = NULL;
        assert_int_equal(idl_read_type(cases[i], &schema, &where), -EINVAL);
        assert_null(schema);
        assert_true(where >= cases[i] && where <= cases[i] + strlen(cases[i]));
    }
}

static void test_as_much_as_is_read(void **state)
{
    (void)state;
    json_auto_t *schema = NULL;
    const char *where;
    char text[IDL_TEXT_MAX + 2];
    memset(text, ' ', sizeof(text));
    memcpy(text, "int", 3);
    text[IDL_TEXT_MAX + 1] = '\0';
    assert_int_equal(idl_read_type(text, &schema, &where), -EINVAL);
    text[IDL_TEXT_MAX] = '\0';
    assert_int_equal(idl_read_type(text, &schema, &where), 0);
    json_decref(schema);
    schema = NULL;
    assert_int_equal(idl_read_type("[][][][][][][][][][][][][][][]int", &schema, &where), 0);
}

static void test_members(void **state)
{
    (void)state;
    json_auto_t *members = NULL;
    const char *where;
    assert_int_equal(idl_read_members("\n# One\n#  of two.\ntype A (b: B)\n\ntype B (x, y)\n# The "
                                      "end.\n",
                                      "type", &members, &where),
                     0);
    assert_int_equal(json_object_size(members), 2);
    json_t *a = json_object_get(members, "A"), *b = json_object_get(members, "B");
    assert_string_equal(json_string_value(json_object_get(a, "description")), "One of two.");
    assert_string_equal(json_string_value(json_object_get(a, "type")), "object");
    assert_null(json_object_get(b, "description"));
    assert_int_equal(json_array_size(json_object_get(b, "enum")), 2);
}

static void test_wrong_members(void **state)
{
    (void)state;
    static const char *const cases[] = {"type",
                                        "type A",
                                        "type A int",
                                        "error A ()",
                                        "type A () extra",
                                        "type A (b: )",
                                        "type A () type A ()"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *members = NULL;
        const char *where = NULL;
        assert_int_equal(idl_read_members(cases[i], "type", &members, &where), -EINVAL);
        assert_null(members);
        assert_non_null(where);
    }
}

/* Counts references, each of which must be to one of the types. */
static size_t follow_references(json_t *schema, json_t *types)
{
    const char *name;
    json_t *value;
    size_t n = 0, i;
    json_object_foreach(schema, name, value)
    {
        const char *target = strcmp(name, "$ref") == 0 ? json_string_value(value) : NULL;
        if (target && !json_object_get(types, target + strlen(IDL_REFERENCE)))
            fail_msg("there is no type %s", target);
        n += target ? 1 : follow_references(value, types);
    }
    json_array_foreach(schema, i, value) n += follow_references(value, types);
    return n;
}

/* What cannot be read is said with its place. */
static json_t *read_or_fail(int r, json_t *schema, const char *where)
{
    if (r < 0)
        fail_msg("%s: cannot be read from here on: %.60s", strerror(-r), where);
    return schema;
}

static void test_our_own(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < methods_n_interfaces; i++) {
        const struct command_interface *interface = methods_interfaces[i];
        json_t *read = NULL;
        const char *where = "";
        int r = idl_read_members(interface->types, "type", &read, &where);
        json_auto_t *types = read_or_fail(r, read, where);
        n += follow_references(types, types);
        r = idl_read_members(interface->errors, "error", &read, &where);
        json_auto_t *errors = read_or_fail(r, read, where);
        assert_int_equal(follow_references(errors, types), 0);
        assert_true(json_object_size(errors) > 0);
        for (size_t k = 0; k < interface->n_commands; k++) {
            if (!interface->commands[k].help)
                continue;
            r = idl_read_type(interface->commands[k].reply, &read, &where);
            json_auto_t *reply = read_or_fail(r, read, where);
            n += follow_references(reply, types);
        }
    }
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_as_much_as_is_read),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
