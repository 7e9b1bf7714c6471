/* What the commands share: complaints, asking, printing JSON. */
#include "reloaderctl/commands.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How complaints are written, once for all of them, as a log's format is. */
static bool complaints_are_json;

int complain_of_name(const char *name)
{
    complain("there is no program or worker '%s'; `reloaderctl status` lists them", name);
    return EXIT_CODE_FAILED;
}

void complain_as_json(bool json)
{
    complaints_are_json = json;
}

static void write_complaint(const char *error, const char *text)
{
    (void)fflush(stdout);
    if (!complaints_are_json) {
        (void)fprintf(stderr, "reloaderctl: %s\n", text);
        return;
    }
    CLEANUP_FREE char *valid = strdup(text);
    if (!valid)
        die_of_memory();
    string_make_utf8(valid);
    json_auto_t *complaint = json_pack("{s:s*, s:s}", "error", error, "message", valid);
    (void)json_dumpf(complaint, stderr, JSON_ENSURE_ASCII | JSON_COMPACT);
    (void)fputc('\n', stderr);
}

/* `error`: its name on the control socket; NULL: it has none. */
__attribute__((format(printf, 2, 0))) static void
complain_named(const char *error, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        die_of_memory();
    write_complaint(error, text);
    free(text);
}

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_named(NULL, format, arguments);
    va_end(arguments);
}

static void complain_of(const struct client_reply *reply, const char *format, ...)
    PRINTF_LIKE(2, 3);

static void complain_of(const struct client_reply *reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_named(reply->error, format, arguments);
    va_end(arguments);
}

int connect_or_complain(const struct invocation *invocation, struct client *ret)
{
    CLEANUP_FREE char *error = NULL;
    if (client_connect(invocation->socket, ret, &error) == 0)
        return EXIT_CODE_OK;
    complain("%s", error ? error : "out of memory");
    return EXIT_CODE_NO_MASTER;
}

/* 'T' if it is stopped by a signal, 't' by a debugger, …; '?' where that can't be seen. */
static char state_of_process(pid_t pid)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file)
        return '?';
    const char *end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return end && end[1] == ' ' && end[2] != '\0' ? end[2] : '?';
}

static void complain_of_silence(pid_t pid)
{
    char state = state_of_process(pid);
    if (state == 'T')
        complain(
            "the master (pid %d) does not answer: it is stopped; `kill -CONT %d` lets it go on",
            (int)pid, (int)pid);
    else if (state == 't')
        complain("the master (pid %d) does not answer: a debugger holds it", (int)pid);
    else
        complain("the master (pid %d) does not answer: is it stopped, frozen, or very busy?",
                 (int)pid);
}

int complain_of_connection(const struct client *client, int r)
{
    switch (-r) {
    case ECONNRESET:
        complain("the master (pid %d) closed the connection; has it left? Its log tells",
                 (int)client->pid);
        return EXIT_CODE_NO_MASTER;
    case ETIMEDOUT:
        complain_of_silence(client->pid);
        return EXIT_CODE_NO_MASTER;
    case EBADMSG:
        complain("what answers is not a reloader master; -s names another socket");
        return EXIT_CODE_NO_MASTER;
    default:
        complain("the control socket: %s", strerror(-r));
        return EXIT_CODE_FAILED;
    }
}

int complain_of_error(const struct client_reply *reply)
{
    static const struct {
        const char *error, *text;
    } texts[] = {
        {"PermissionDenied",
         "permission denied: the master serves root, its own user and members of control.group"},
        {"TooManyClients", "the master serves as many clients as it can; try again"},
        {"ShuttingDown", "the master is shutting down; its successor may take it"},
        {"NotInThisVersion",
         "the master's version does not have this; `reloaderctl version` tells which it is"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (strcmp(reply->error, texts[i].error) == 0) {
            complain_of(reply, "%s", texts[i].text);
            return EXIT_CODE_FAILED;
        }
    CLEANUP_FREE char *name = get_text(reply->parameters, "name"),
                      *parameter = get_text(reply->parameters, "parameter");
    if (parameter[0] != '\0') {
        bool types = strcmp(parameter, "types") == 0;
        complain("the master does not take what was given for '%s'%s", parameter,
                 types ? "; `reloaderctl help events` lists what there is" : "");
        return EXIT_CODE_FAILED;
    }
    if (strcmp(reply->error, "NoSuchProgram") == 0 || strcmp(reply->error, "NoSuchWorker") == 0) {
        complain_of(
            reply,
            strcmp(reply->error, "NoSuchProgram") == 0
                ? "there is no program, group or worker '%s'; `reloaderctl status` lists them"
                : "'%s' is no slot or worker of that program; `reloaderctl status` lists them",
            name);
        return EXIT_CODE_FAILED;
    }
    CLEANUP_FREE char *error = text_clean(reply->error),
                      *reason = get_text(reply->parameters, "reason");
    /* "Failed" tells nothing that the reason does not. */
    if (strcmp(error, "Failed") == 0 && reason[0] != '\0')
        complain_of(reply, "%s", reason);
    else
        complain_of(reply, "the master answers %s%s%s", error, reason[0] ? ": " : "", reason);
    return EXIT_CODE_FAILED;
}

int ask(struct client *client, const char *method, json_t *parameters, bool more,
        struct client_reply *ret)
{
    struct client_reply reply = {0};
    int r = client_call(client, method, parameters, more);
    if (r == 0)
        r = client_receive(client, CLIENT_ANSWER_USEC, &reply);
    if (r < 0)
        return complain_of_connection(client, r);
    if (reply.error) {
        int code = complain_of_error(&reply);
        client_reply_clear(&reply);
        return code;
    }
    *ret = reply;
    return EXIT_CODE_OK;
}

int names_from_arguments(char *const *arguments, json_t **ret)
{
    json_auto_t *names = json_array();
    STRV_FOREACH (name, arguments)
        if (json_array_append_new(names, json_string(*name)) < 0) {
            complain("'%s' is no valid text (UTF-8)", *name);
            return EXIT_CODE_USAGE;
        }
    if (json_array_size(names) == 0) {
        complain("what? Name programs, GROUP:*, PROGRAM:SLOT, workers, or all");
        return EXIT_CODE_USAGE;
    }
    *ret = json_incref(names);
    return EXIT_CODE_OK;
}

/* ASCII alone, so that text from workers stays harmless on a terminal here too. */
void print_json(json_t *value, bool indented)
{
    (void)json_dumpf(value, stdout,
                     JSON_ENSURE_ASCII | JSON_REAL_PRECISION(8) |
                         (indented ? JSON_INDENT(2) : JSON_COMPACT));
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}
