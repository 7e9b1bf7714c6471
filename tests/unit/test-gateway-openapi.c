/* The description of the gateway's paths: whole, without loose ends, and of all that is served. */
#include "gateway/openapi.h"

#include "control/methods.h"
#include "gateway/gateway.h"
#include "gateway/idl.h"
#include "gateway/problem.h"
#include "gateway/v1-command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int read_document(void **state)
{
    char *text = openapi_make();
    assert_non_null(text);
    *state = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return *state ? 0 : -1;
}

static int free_document(void **state)
{
    json_decref(*state);
    return 0;
}

/* Of keys that hold no slash, or no other way is needed. */
static json_t *follow(json_t *document, const char *reference)
{
    char name[128];
    json_t *at = document;
    assert_true(strncmp(reference, "#/", 2) == 0);
    for (const char *c = reference + 2; at && *c != '\0';) {
        size_t length = strcspn(c, "/");
        (void)snprintf(name, sizeof(name), "%.*s", (int)length, c);
        at = json_object_get(at, name);
        c += length + (c[length] == '/');
    }
    return at;
}

static size_t check_references(json_t *document, json_t *value)
{
    const char *name;
    json_t *member;
    size_t n = 0, i;
    json_object_foreach(value, name, member)
    {
        bool is_reference = strcmp(name, "$ref") == 0;
        if (is_reference && !follow(document, json_string_value(member)))
            fail_msg("there is no %s", json_string_value(member));
        n += is_reference ? 1 : check_references(document, member);
    }
    json_array_foreach(value, i, member) n += check_references(document, member);
    return n;
}

static void test_references(void **state)
{
    assert_true(check_references(*state, *state) > 100);
}

static json_t *find_operation(json_t *document, const struct command *command, const char *method)
{
    char path[V1_PATH_SIZE];
    v1_path(command, path);
    json_t *paths = json_object_get(document, "paths");
    return json_object_get(json_object_get(paths, path), method);
}

static void test_methods(void **state)
{
    for (size_t i = 0; i < v1_interface()->n_commands; i++) {
        const struct command *command = &v1_interface()->commands[i];
        json_t *get = find_operation(*state, command, "get"),
               *post = find_operation(*state, command, "post");
        bool served = v1_is_served(command);
        assert_int_equal(get != NULL, served && !command->acts);
        assert_int_equal(post != NULL, served && command->acts);
        json_t *operation = get ? get : post;
        if (!operation)
            continue;
        assert_true(json_string_length(json_object_get(operation, "summary")) > 0);
        json_t *success = json_object_get(json_object_get(operation, "responses"), "200");
        json_t *content = json_object_get(success, "content");
        assert_int_equal(json_object_get(content, "application/json") != NULL, !command->streams);
        assert_int_equal(json_object_get(content, "text/event-stream") != NULL, command->more);
    }
}

static size_t count_methods(unsigned methods)
{
    return (methods & HTTP_GET ? 1 : 0) + (methods & HTTP_POST ? 1 : 0);
}

/* Those for a whole folder are of its files, or of the methods above. */
static bool is_folder(const struct http_route *route)
{
    size_t length = strlen(route->path);
    return length > 1 && route->path[length - 1] == '/';
}

static void test_other_paths(void **state)
{
    json_t *paths = json_object_get(*state, "paths");
    for (const struct http_route *route = gateway_routes; route->path; route++) {
        json_t *item = json_object_get(paths, route->path);
        if (is_folder(route))
            continue;
        if (json_object_size(item) != count_methods(route->methods))
            fail_msg("%s is not described, or not with all of its methods", route->path);
        json_t *responses = json_object_get(json_object_get(item, "get"), "responses");
        json_t *otherwise = json_object_get(responses, "default");
        assert_int_equal(json_object_get(otherwise, "$ref") == NULL, route->plain);
    }
    const char *path;
    json_t *item;
    json_object_foreach(paths, path, item) assert_non_null(route_find(path));
}

static void test_parameters(void **state)
{
    json_t *logs = find_operation(*state, command_find(v1_interface(), "Logs"), "get");
    json_t *programs = json_array_get(json_object_get(logs, "parameters"), 0);
    assert_string_equal(json_string_value(json_object_get(programs, "name")), "programs");
    assert_true(json_is_true(json_object_get(programs, "required")));
    json_t *stop = find_operation(*state, command_find(v1_interface(), "Stop"), "post");
    json_t *body = json_object_get(stop, "requestBody");
    assert_true(json_is_true(json_object_get(body, "required")));
    json_t *undo = find_operation(*state, command_find(v1_interface(), "Undo"), "post");
    body = json_object_get(undo, "requestBody");
    assert_true(json_is_false(json_object_get(body, "required")));
}

/* No error of the control socket is without its status, and none is told that is not there. */
static void test_errors(void **state)
{
    json_t *errors = NULL, *schemas = follow(*state, "#/components/schemas"), *error;
    const char *where, *name;
    assert_int_equal(idl_read_members(v1_interface()->errors, "error", &errors, &where), 0);
    json_object_foreach(errors, name, error)
    {
        json_t *schema = json_object_get(schemas, name);
        if (!problem_find(name) || !schema)
            fail_msg("the error %s has no status", name);
        json_t *own = json_object_get(error, "required"), *required;
        required = json_object_get(schema, "required");
        assert_int_equal(json_array_size(required), 4 + json_array_size(own));
    }
    json_decref(errors);
    for (size_t i = 0; i < problem_n_kinds; i++)
        assert_non_null(json_object_get(schemas, problem_kinds[i].name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),  cmocka_unit_test(test_methods),
        cmocka_unit_test(test_other_paths), cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, read_document, free_document);
}
