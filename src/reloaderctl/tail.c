/*
 * The last lines that workers printed, and with -f those that come: read from their files here, through rotation; what goes elsewhere
 * comes from the master while it is printed, or it is said where to look for it.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/lines.h"
#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/file-tail.h"
#include "reloaderctl/line-print.h"
#include "reloaderctl/screen.h"
#include "reloaderctl/tail-place.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LINES_DEFAULT 10
/* Where no event tells of changes: a file system of another machine, no watches left. */
#define LOOK_AGAIN_MSEC 1000

struct shower;

/* One file. */
struct source {
    struct shower *shower;
    json_t *output; /* the first that goes there; borrowed */
    bool shared;    /* others go there, too */
    bool failed;
    struct file_tail tail;
};

struct shower {
    const struct invocation *invocation;
    uint64_t lines;
    bool terminal;
    json_t *outputs, *log; /* borrowed */
    struct source *sources;
    size_t n_sources;
    json_t *live; /* names of slots whose lines come from the master */
    char *shown;  /* what the last line was of */
    char *said;   /* the last explanation */
    int code;
};

/* Lines */

static char *make_label(json_t *output, bool shared)
{
    CLEANUP_FREE char *name = get_text(output, shared ? "program" : "name"),
                      *stream = get_text(output, "stream");
    char *label = string_format("%s %s", name, stream);
    if (!label)
        die_of_memory();
    return label;
}

static void print_header(struct shower *shower, json_t *of, bool shared)
{
    char *label = make_label(of, shared);
    if (!string_equal(shower->shown, label) && json_array_size(shower->outputs) > 1)
        (void)printf("%s==> %s <==\n", shower->shown ? "\n" : "", label);
    free(shower->shown);
    shower->shown = label;
}

static void print_line(struct shower *shower, json_t *of, bool shared, const char *line,
                       size_t size)
{
    if (shower->invocation->json) {
        line_print_json(of, shared, line, size);
        return;
    }
    print_header(shower, of, shared);
    line_print(stdout, shower->terminal, line, size);
}

static void on_line(const char *line, size_t size, void *userdata)
{
    struct source *source = userdata;
    print_line(source->shower, source->output, source->shared, line, size);
}

static void on_note(const char *text, void *userdata)
{
    const struct source *source = userdata;
    complain("%s: %s", source->tail.path, text);
}

/* Which are files */

static const char *path_of(json_t *output)
{
    return json_string_value(json_object_get(output, "path"));
}

static void add_file(struct shower *shower, json_t *output)
{
    for (size_t i = 0; i < shower->n_sources; i++)
        if (string_equal(path_of(shower->sources[i].output), path_of(output))) {
            shower->sources[i].shared = true;
            return;
        }
    shower->sources[shower->n_sources++] = (struct source){
        .shower = shower, .output = output, .tail = {.fd = -1}};
}

static void add_live(struct shower *shower, json_t *output)
{
    CLEANUP_FREE char *program = get_text(output, "program");
    json_t *name = json_sprintf("%s:%llu", program, (unsigned long long)get_number(output, "slot"));
    if (!name || json_array_append_new(shower->live, name) < 0)
        die_of_memory();
}

static bool is_whole(const struct shower *shower, json_t *output)
{
    size_t i, n = 0;
    json_t *other;
    json_array_foreach(shower->outputs, i,
                       other) if (json_equal(json_object_get(other, "program"),
                                             json_object_get(output, "program"))) n++;
    return n > 1;
}

static void explain(struct shower *shower, json_t *output)
{
    char *text = tail_place_explain(output, shower->log, is_whole(shower, output));
    shower->code = EXIT_CODE_FAILED;
    if (!string_equal(text, shower->said))
        complain("%s", text);
    free(shower->said);
    shower->said = text;
}

static void classify(struct shower *shower)
{
    size_t i;
    json_t *output;
    json_array_foreach(shower->outputs, i, output) if (path_of(output)) add_file(shower, output);
    else if (shower->invocation->follow && tail_place_is_live(output)) add_live(shower, output);
    else explain(shower, output);
}

/* Files */

static void refuse_file(struct shower *shower, struct source *source, int r)
{
    source->failed = true;
    if (shower->invocation->follow && (r == -EACCES || r == -EPERM)) {
        complain("%s: %s; its lines come from the master from now on", path_of(source->output),
                 strerror(-r));
        size_t i;
        json_t *output;
        json_array_foreach(shower->outputs, i,
                           output) if (string_equal(path_of(output), path_of(source->output)))
            add_live(shower, output);
        return;
    }
    shower->code = EXIT_CODE_FAILED;
    complain("%s: %s%s", path_of(source->output), strerror(-r),
             r == -ENOENT ? ": nothing was printed yet" : "");
}

static void begin_files(struct shower *shower)
{
    static const struct file_tail_ops ops = {.line = on_line, .note = on_note};
    for (size_t i = 0; i < shower->n_sources; i++) {
        struct source *source = &shower->sources[i];
        int r = file_tail_begin(&source->tail, path_of(source->output), &ops, source,
                                shower->lines);
        if (r < 0 && (r != -ENOENT || !shower->invocation->follow))
            refuse_file(shower, source, r);
        if (r == 0 && !shower->invocation->follow)
            file_tail_finish(&source->tail);
    }
}

static bool has_files(const struct shower *shower)
{
    for (size_t i = 0; i < shower->n_sources; i++)
        if (!shower->sources[i].failed)
            return true;
    return false;
}

static void watch_directory(int watch, const char *path)
{
    CLEANUP_FREE char *directory = strdup(path);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    if (!slash)
        return;
    slash[slash == directory] = '\0';
    (void)inotify_add_watch(watch, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM);
}

static int watch_files(const struct shower *shower)
{
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    for (size_t i = 0; watch >= 0 && i < shower->n_sources; i++)
        watch_directory(watch, path_of(shower->sources[i].output));
    return watch;
}

static void look_at_files(struct shower *shower, int watch)
{
    char events[4096];
    while (watch >= 0 && read(watch, events, sizeof(events)) > 0)
        ;
    for (size_t i = 0; i < shower->n_sources; i++) {
        struct source *source = &shower->sources[i];
        int r = source->failed ? 0 : file_tail_go_on(&source->tail);
        if (r < 0)
            refuse_file(shower, source, r);
    }
}

/* From the master */

static void print_lines(struct shower *shower, json_t *lines)
{
    const char *text = json_string_value(json_object_get(lines, "text"));
    uint64_t missed = get_number(lines, "missed");
    if (missed > 0) {
        CLEANUP_FREE char *label = make_label(lines, false);
        complain("%s: %llu lines are left out here: they come too fast", label,
                 (unsigned long long)missed);
    }
    for (size_t left = text ? strlen(text) : 0; left > 0;) {
        size_t line = lines_first(text, left);
        print_line(shower, lines, false, text, line - (text[line - 1] == '\n'));
        text += line;
        left -= line;
    }
}

/* True: there is more to come. */
static bool take_lines(struct shower *shower, struct client *client)
{
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, USEC_PER_MSEC, &reply);
        if (r == -ETIMEDOUT)
            return true;
        if (r < 0)
            shower->code = complain_of_connection(client, r);
        else if (reply.error)
            shower->code = complain_of_error(&reply);
        if (r < 0 || reply.error || !reply.continues)
            return false;
        print_lines(shower, json_object_get(reply.parameters, "lines"));
    }
}

static json_t *parameters_of(const char *name, json_t *names, const char *stream)
{
    json_t *parameters = name ? json_pack("{s:[s]}", "programs", name)
                              : json_pack("{s:O}", "programs", names);
    if (parameters && stream)
        (void)json_object_set_new(parameters, "stream", json_string(stream));
    if (!parameters)
        die_of_memory();
    return parameters;
}

static int follow(struct shower *shower, struct client *client, const char *name,
                  const char *stream)
{
    CLEANUP_REPLY struct client_reply confirmation = {0};
    size_t n_live = json_array_size(shower->live);
    bool live = n_live > 0;
    if (live) {
        /* By one word where that is all: the master looks each line's place up among what is named. */
        bool all = n_live == json_array_size(shower->outputs);
        int code = ask(client, "Logs", parameters_of(all ? name : NULL, shower->live, stream), true,
                       &confirmation);
        if (code != EXIT_CODE_OK)
            return code;
    } else {
        client_close(client);
    }
    CLEANUP_FD int watch = watch_files(shower);
    while (live || has_files(shower)) {
        struct pollfd fds[] = {{.fd = watch, .events = POLLIN},
                               {.fd = live ? client->fd : -1, .events = POLLIN}};
        /* First of all: something may have come before the watches were there. */
        look_at_files(shower, watch);
        if (live && client->in.end > client->in.begin)
            live = take_lines(shower, client);
        (void)fflush(stdout);
        (void)poll(fds, ARRAY_SIZE(fds), has_files(shower) ? LOOK_AGAIN_MSEC : -1);
        if (live && fds[1].revents != 0)
            live = take_lines(shower, client);
    }
    (void)fflush(stdout);
    return shower->code;
}

/* The whole */

static int show(struct shower *shower, struct client *client, const char *name, const char *stream)
{
    shower->sources = calloc(json_array_size(shower->outputs) + 1, sizeof(*shower->sources));
    shower->live = json_array();
    if (!shower->sources || !shower->live)
        die_of_memory();
    classify(shower);
    begin_files(shower);
    (void)fflush(stdout);
    if (shower->invocation->follow && (has_files(shower) || json_array_size(shower->live) > 0))
        shower->code = follow(shower, client, name, stream);
    for (size_t i = 0; i < shower->n_sources; i++)
        file_tail_clear(&shower->sources[i].tail);
    free(shower->sources);
    free(shower->shown);
    free(shower->said);
    json_decref(shower->live);
    return shower->code;
}

/* "-100", which main() has hidden behind a blank. */
static bool is_number(const char *word, uint64_t *ret)
{
    return string_starts_with(word, " -") && parse_unsigned(word + 2, 1, UINT32_MAX, ret) == 0;
}

static int refuse_arguments(void)
{
    complain("tail takes the name of a program or worker, and stdout or stderr: `reloaderctl tail "
             "-f web:0 stderr`");
    return EXIT_CODE_USAGE;
}

int command_tail(const struct invocation *invocation)
{
    const char *name = NULL, *stream = NULL;
    struct shower shower = {.invocation = invocation,
                            .lines = invocation->count ? invocation->count : LINES_DEFAULT,
                            .terminal = isatty(STDOUT_FILENO)};
    STRV_FOREACH (word, invocation->arguments) {
        bool is_stream = string_equal(*word, "stdout") || string_equal(*word, "stderr");
        if (is_number(*word, &shower.lines))
            continue;
        if (name && (stream || !is_stream))
            return refuse_arguments();
        if (name)
            stream = *word;
        else
            name = *word;
    }
    if (!name)
        return refuse_arguments();
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    stream = stream ? stream : "stdout";
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Logs", parameters_of(name, NULL, stream), false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    shower.outputs = json_object_get(reply.parameters, "outputs");
    shower.log = json_object_get(reply.parameters, "log");
    return show(&shower, &client, name, stream);
}
