/*
 * {"exec": "app.js", "args": [], "workers": 2, …}: one program of Node's, in the directory of the file.
 *
 * qilin-daemon lets Node's cluster module share the ports of its workers, so the file does not know them; here a program says
 * what it listens on. Without that its workers still run, so that is a comment, not an error.
 */
#include "import/qilin.h"

#include "base/strv.h"
#include "config/config.h"
#include "config/paths.h"
#include "config/quote.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#define NUMBER_MAX  INT32_MAX
#define MEMBERS_MAX 100 /* qilin-daemon knows 11 */
#define TEXTS_MAX   4096

struct qilin {
    const char *text, *path;
    json_t *root;
    struct document *document;
    char **used;
};

static void free_json(json_t **root)
{
    json_decref(*root);
}

static void qilin_clear(struct qilin *q)
{
    (void)strv_free(q->used);
}

/* Past a string that begins here; the text is known to be valid. */
static const char *skip_string(const char *s)
{
    for (s++; *s != '"' && *s != '\0'; s++)
        if (*s == '\\' && s[1] != '\0')
            s++;
    return *s == '"' ? s + 1 : s;
}

/* The line of a member of the outermost object: the last one of that name, as it is the one that counts. */
static unsigned find_line(const char *text, const char *key)
{
    unsigned line = 1, found = 1, depth = 0;
    const size_t length = strlen(key);
    while (*text != '\0') {
        if (*text == '"') {
            const char *end = skip_string(text), *after = end + strspn(end, " \t\r\n");
            if (depth == 1 && *after == ':' && (size_t)(end - text) == length + 2 &&
                memcmp(text + 1, key, length) == 0)
                found = line;
            text = end;
            continue;
        }
        if (strchr("{[", *text))
            depth++;
        else if (strchr("}]", *text))
            depth--;
        line += *text == '\n';
        text++;
    }
    return found;
}

static struct origin origin_of(const struct qilin *q, const char *key)
{
    return (struct origin){.file = q->path, .line = find_line(q->text, key)};
}

/* null is as good as not there, as for qilin-daemon. */
static const json_t *get(struct qilin *q, const char *key)
{
    const json_t *value = json_object_get(q->root, key);
    if (strv_append(&q->used, key) < 0)
        document_no_memory(q->document);
    return value && !json_is_null(value) ? value : NULL;
}

static void refuse(const struct qilin *q, const char *key, const char *why)
{
    document_refuse(q->document, origin_of(q, key), "%s: %s", key, why);
}

/* The member, if it is a text; else NULL, after a refusal if it is something else. */
static const char *get_text(struct qilin *q, const char *key)
{
    const json_t *value = get(q, key);
    const char *text = json_string_value(value);
    if (value && !text)
        refuse(q, key, "expected a text in quotes");
    return text;
}

static bool get_number(struct qilin *q, const char *key, json_int_t *ret)
{
    const json_t *value = get(q, key);
    if (!value)
        return false;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > NUMBER_MAX) {
        refuse(q, key, "expected a number from 0 on");
        return false;
    }
    *ret = json_integer_value(value);
    return true;
}

static void put_literal(const struct qilin *q, struct origin origin, const char *key,
                        const char *text)
{
    CLEANUP_FREE char *doubled = percent_double(text);
    if (doubled)
        document_put(q->document, origin, key, doubled);
    else
        document_no_memory(q->document);
}

static void put_milliseconds(struct qilin *q, const char *theirs, const char *ours,
                             const char *standard)
{
    json_int_t number;
    char text[32];
    if (get_number(q, theirs, &number)) {
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "ms", number);
        document_put(q->document, origin_of(q, theirs), ours, text);
    } else {
        document_put(q->document, (struct origin){0}, ours, standard);
    }
}

/* A list of texts, each changed by `change`; what is none is refused. */
static void append_texts(struct qilin *q, const char *key, char *(*change)(const char *),
                         char ***list)
{
    const json_t *value = get(q, key);
    if (value && (!json_is_array(value) || json_array_size(value) > TEXTS_MAX)) {
        refuse(q, key, "expected a list of at most 4096 texts, as [\"a\", \"b\"]");
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (!text) {
            refuse(q, key, "expected texts in quotes");
            return;
        }
        if (strv_consume(list, change(text)) < 0)
            document_no_memory(q->document);
    }
}

static void put_command(struct qilin *q)
{
    CLEANUP_STRV char **words = NULL;
    const char *exec = json_string_value(json_object_get(q->root, "exec"));
    (void)get(q, "exec");
    if (strv_append(&words, "node") < 0 || strv_consume(&words, percent_double(exec)) < 0)
        document_no_memory(q->document);
    append_texts(q, "args", percent_double, &words);
    document_put_list(q->document, origin_of(q, "exec"), "command", words);
}

/* A path there, a pattern here, and expanded. */
static char *make_pattern(const char *path)
{
    char *pattern = malloc(2 * strlen(path) + 1), *to = pattern;
    if (!pattern)
        return NULL;
    for (; *path != '\0'; path++) {
        if (strchr("*?[\\", *path))
            *to++ = '\\';
        else if (*path == '%')
            *to++ = '%';
        *to++ = *path;
    }
    *to = '\0';
    return pattern;
}

static void put_watch(struct qilin *q)
{
    CLEANUP_STRV char **paths = NULL;
    append_texts(q, "watch", make_pattern, &paths);
    if (paths)
        document_put_list(q->document, origin_of(q, "watch"), "watch", paths);
    else
        document_put_yaml(q->document, (struct origin){0}, "watch", "true");
    put_milliseconds(q, "reload_delay", "reload_delay", "5s");
}

static void put_silent(struct qilin *q)
{
    const json_t *value = get(q, "silent");
    if (value && json_is_boolean(value))
        document_put_yaml(q->document, origin_of(q, "silent"), "silent",
                          json_is_true(value) ? "true" : "false");
    else if (value)
        refuse(q, "silent", "expected true or false");
}

/* Without a password it is for this machine alone here. */
static void put_gateway(struct qilin *q)
{
    const char *username = get_text(q, "auth_username"), *password = get_text(q, "auth_password");
    json_int_t port;
    char listen[32];
    bool locked = username && password && *username != '\0' && *password != '\0';
    if (!get_number(q, "daemon_port", &port) || port == 0)
        return;
    const struct origin origin = origin_of(q, "daemon_port");
    (void)snprintf(listen, sizeof(listen), "%s:%" JSON_INTEGER_FORMAT,
                   locked ? "0.0.0.0" : "127.0.0.1", port);
    document_open(q->document, origin, "gateway");
    document_put(q->document, origin, "listen", listen);
    if (locked) {
        document_put(q->document, origin_of(q, "auth_username"), "username", username);
        document_put(q->document, origin_of(q, "auth_password"), "password", password);
    } else {
        document_say(q->document, "without auth_username and auth_password: this machine alone");
    }
    document_close(q->document);
}

static void put_workers(struct qilin *q)
{
    json_int_t number;
    char text[32];
    if (!get_number(q, "workers", &number))
        return;
    (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, number);
    document_put(q->document, origin_of(q, "workers"), "workers", text);
}

static void put_directory(const struct qilin *q)
{
    CLEANUP_FREE char *directory = path_directory(q->path);
    if (directory)
        put_literal(q, (struct origin){0}, "directory", directory);
    else
        document_no_memory(q->document);
}

/* "app" of "lib/app.js", of letters that a name may have. */
static char *make_name(const char *exec)
{
    const char *slash = strrchr(exec, '/'), *base = slash ? slash + 1 : exec;
    size_t length = strlen(base);
    if (length > 3 && strcmp(base + length - 3, ".js") == 0)
        length -= 3;
    char *name = length > 0 ? strndup(base, MIN(length, (size_t)64)) : strdup("app");
    for (char *s = name; s && *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            *s = '-';
    return name;
}

static void drop_rest(struct qilin *q)
{
    const char *key;
    json_t *value;
    json_object_foreach(q->root, key, value) if (!strv_contains(q->used, key))
        refuse(q, key, "qilin-daemon has no such setting: check its name");
}

static void put_program(struct qilin *q, const char *name)
{
    document_open(q->document, (struct origin){0}, "programs");
    document_open(q->document, origin_of(q, "exec"), name);
    put_command(q);
    put_directory(q);
    put_workers(q);
    document_say(q->document,
                 "The file does not tell what the app listens on. Write it here and let the app "
                 "listen({fd: 3}):");
    document_say(q->document, "listen: 8080");
    put_silent(q);
    put_milliseconds(q, "worker_disconnect_timeout", "disconnect_timeout", "5s");
    put_watch(q);
    document_close(q->document);
    document_close(q->document);
}

static int translate(struct qilin *q, const char *exec)
{
    CLEANUP_FREE char *name = make_name(exec);
    if (!name)
        return -ENOMEM;
    const char *title = get_text(q, "ps_name");
    if (title)
        put_literal(q, origin_of(q, "ps_name"), "process_title", title);
    put_gateway(q);
    put_program(q, name);
    drop_rest(q);
    return 0;
}

static int fail(char **ret_error, char *error)
{
    if (!error)
        return -ENOMEM;
    *ret_error = error;
    return -EINVAL;
}

int qilin_translate(const char *text, size_t size, const char *path, struct document *document,
                    char **ret_error)
{
    json_error_t error;
    CLEANUP(free_json) json_t *root = json_loadb(text, size, 0, &error);
    if (!root)
        return fail(ret_error, string_format("%s:%d: %s; expected JSON, as qilin-daemon reads it",
                                             path, error.line, error.text));
    CLEANUP(qilin_clear)
    struct qilin q = {.text = text, .path = path, .root = root, .document = document};
    const char *exec = json_string_value(json_object_get(root, "exec"));
    if (!exec && json_object_get(root, "apps"))
        return fail(ret_error, string_format("%s:%u: this is a process file of PM2, which is not "
                                             "read; expected a supervisord.conf or a "
                                             "qilin-daemon.json",
                                             path, find_line(text, "apps")));
    if (!exec || *exec == '\0')
        return fail(ret_error, string_format("%s:%u: there is no \"exec\": expected the script "
                                             "that qilin-daemon runs, as \"exec\": \"app.js\"",
                                             path, find_line(text, "exec")));
    if (json_object_size(root) > MEMBERS_MAX)
        return fail(ret_error, string_format("%s:1: more than %d members: expected those of "
                                             "qilin-daemon",
                                             path, MEMBERS_MAX));
    return translate(&q, exec);
}
