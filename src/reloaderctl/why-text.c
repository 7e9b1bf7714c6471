#include "reloaderctl/why-text.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/cells.h"
#include "reloaderctl/field.h"

#include <inttypes.h>
#include <string.h>

enum { PEER, LOCAL, IDLE, AGE, UNREAD, UNSENT, PID, STATE, COLUMNS };

/* Takes over the text, which is clean. */
static void print_line(const struct screen *screen, size_t indent, char *text, FILE *stream)
{
    if (!text)
        die_of_memory();
    size_t room = screen->width > indent ? screen->width - indent : 0;
    (void)fprintf(stream, "%*s%.*s\n", (int)indent, "", (int)text_fit(text, room), text);
    free(text);
}

static const char *ago(uint64_t usec, char buffer[DURATION_TEXT_SIZE])
{
    uint64_t now = clock_realtime_usec();
    return duration_to_text(now > usec ? now - usec : 0, buffer);
}

/* "reload 7", "max_age"; "" where nobody told it to leave. */
static char *reason_text(json_t *worker)
{
    CLEANUP_FREE char *reason = get_text(worker, "reason");
    uint64_t reload = get_number(worker, "reload");
    char *text;
    if (reload == 0)
        text = strdup(reason);
    else if (strcmp(reason, "reload") == 0)
        text = string_format("reload %" PRIu64, reload);
    else
        text = string_format("%s, reload %" PRIu64, reason, reload);
    if (!text)
        die_of_memory();
    return text;
}

/* "NAME: STATE for 2.6 s, because of reload 7", in colour where it is not cut. */
static void print_head(json_t *worker, const struct screen *screen, FILE *stream)
{
    char since[DURATION_TEXT_SIZE];
    CLEANUP_FREE char *name = get_text(worker, "name"), *state = get_text(worker, "state"),
                      *reason = reason_text(worker);
    enum tone tone = tone_of_state(state);
    char *rest = string_format(" for %s%s%s", ago(get_number(worker, "since_usec"), since),
                               reason[0] ? ", because of " : "", reason);
    char *whole = rest ? string_format("%s: %s%s", name, state, rest) : NULL;
    if (!whole)
        die_of_memory();
    if (text_width(whole) <= screen->width) {
        (void)fprintf(stream, "%s%s%s: %s%s%s%s\n", tone_begin(screen, TONE_BOLD), name,
                      tone_end(screen, TONE_BOLD), tone_begin(screen, tone), state,
                      tone_end(screen, tone), rest);
        free(whole);
    } else {
        print_line(screen, 0, whole, stream);
    }
    free(rest);
}

/* What it waits for */

static const char *waits_text(json_t *worker)
{
    static const struct {
        const char *word, *text;
    } texts[] = {
        {"ready", "waits until it is ready"},
        {"fully_closed", "waits for fully_closed or its exit"},
        {"exit", "waits for its exit"},
        {"rest", "its leader has left; waits for the rest of it"},
    };
    const char *word = json_string_value(json_object_get(worker, "waits_for"));
    for (size_t i = 0; word && i < ARRAY_SIZE(texts); i++)
        if (strcmp(word, texts[i].word) == 0)
            return texts[i].text;
    return "waits for nothing";
}

static void print_waits(json_t *worker, const struct screen *screen, FILE *stream)
{
    char left[DURATION_TEXT_SIZE];
    CLEANUP_FREE char *limit = get_text(worker, "limit");
    CLEANUP_FREE char *until = limit[0] ? string_format("; %s in %s", limit,
                                                        duration_to_text(
                                                            get_number(worker, "left_usec"), left))
                                        : strdup("");
    print_line(screen, 2, string_format("%s%s", waits_text(worker), until ? until : ""), stream);
    if (json_is_true(json_object_get(worker, "extended")))
        print_line(screen, 2, strdup("it asked for that time (EXTEND_TIMEOUT_USEC)"), stream);
    if (json_is_true(json_object_get(worker, "message_unread")))
        print_line(screen, 2, strdup("it has not read yet that it is to leave"), stream);
    if (json_is_true(json_object_get(worker, "killed")))
        print_line(screen, 2, strdup("it was sent SIGKILL"), stream);
}

/* Connections */

static const char *state_text(json_t *connection)
{
    const char *state = json_string_value(json_object_get(connection, "state"));
    if (!state)
        return "-";
    if (strcmp(state, "established") == 0)
        return get_number(connection, "unanswered") > 0 ? "no answer" : "open";
    if (strcmp(state, "close_wait") == 0)
        return "left by peer";
    return strcmp(state, "syn_sent") == 0 ? "connecting" : "closing";
}

/* A client as it is; "to" whom the worker connected itself; of Unix sockets whose process it is. */
static void add_peer(struct table *table, json_t *connection)
{
    CLEANUP_FREE char *peer = get_text(connection, "peer"),
                      *protocol = get_text(connection, "protocol");
    uint64_t pid = get_number(connection, "peer_pid");
    bool accepted = json_is_true(json_object_get(connection, "accepted"));
    const char *to = accepted ? "" : "to ", *udp = strcmp(protocol, "udp") == 0 ? "udp:" : "";
    if (peer[0] != '\0')
        table_add(table, TONE_PLAIN, "%s%s%s", to, udp, peer);
    else if (pid > 0)
        table_add(table, TONE_PLAIN, "%spid %" PRIu64, to, pid);
    else
        table_add(table, TONE_PLAIN, "-");
}

static void add_duration(struct table *table, json_t *connection, const char *name,
                         const char *prefix)
{
    char text[DURATION_TEXT_SIZE];
    if (json_is_integer(json_object_get(connection, name)))
        table_add(table, TONE_PLAIN, "%s%s", prefix,
                  duration_to_text(get_number(connection, name), text));
    else
        table_add(table, TONE_PLAIN, "-");
}

static void add_pids(struct table *table, json_t *pids)
{
    json_t *first = json_array_get(pids, 0);
    if (first)
        table_add(table, TONE_PLAIN, "%" JSON_INTEGER_FORMAT "%s", json_integer_value(first),
                  json_array_size(pids) > 1 ? "+" : "");
    else
        table_add(table, TONE_PLAIN, "-");
}

static void add_connection(struct table *table, json_t *connection)
{
    CLEANUP_FREE char *local = get_text(connection, "local");
    bool exact = json_is_integer(json_object_get(connection, "age_usec"));
    add_peer(table, connection);
    table_add(table, TONE_PLAIN, "%s", local[0] ? local : "-");
    add_duration(table, connection, "idle_usec", "");
    add_duration(table, connection, exact ? "age_usec" : "age_at_least_usec", exact ? "" : "> ");
    add_number(table, connection, "unread");
    add_number(table, connection, "unsent");
    add_pids(table, json_object_get(connection, "pids"));
    table_add(table, TONE_PLAIN, "%s", state_text(connection));
}

static void print_table(json_t *connections, size_t n, const struct screen *screen, FILE *stream)
{
    static const char *const titles[COLUMNS] = {
        [PEER] = "PEER",     [LOCAL] = "LOCAL",   [IDLE] = "IDLE", [AGE] = "AGE",
        [UNREAD] = "UNREAD", [UNSENT] = "UNSENT", [PID] = "PID",   [STATE] = "STATE"};
    static const size_t expendable[] = {PID, LOCAL, UNREAD, UNSENT, AGE};
    CLEANUP_TABLE struct table table = {.n_columns = COLUMNS,
                                        .right = 1u << IDLE | 1u << AGE | 1u << UNREAD |
                                                 1u << UNSENT | 1u << PID,
                                        TABLE_EXPENDABLE(expendable)};
    add_titles(&table, titles);
    for (size_t i = 0; i < n; i++)
        add_connection(&table, json_array_get(connections, i));
    table_print(&table, screen, 4, stream);
}

/* "4,212" */
static const char *count_text(uint64_t count, char buffer[32])
{
    if (count >= 1000000)
        (void)snprintf(buffer, 32, "%" PRIu64 ",%03" PRIu64 ",%03" PRIu64, count / 1000000,
                       count / 1000 % 1000, count % 1000);
    else if (count >= 1000)
        (void)snprintf(buffer, 32, "%" PRIu64 ",%03" PRIu64, count / 1000, count % 1000);
    else
        (void)snprintf(buffer, 32, "%" PRIu64, count);
    return buffer;
}

/* "2 connections"; where they are not known, that is said elsewhere. */
static char *connections_text(json_t *worker)
{
    char text[32];
    uint64_t count = get_number(worker, "connection_count");
    if (!json_object_get(worker, "connection_count"))
        return strdup("");
    const char *known = json_is_true(json_object_get(worker, "incomplete")) ? " known" : "";
    if (count == 0)
        return string_format(", no open connection%s", known);
    return string_format(", %s connection%s%s", count_text(count, text), count == 1 ? "" : "s",
                         known);
}

static void print_connections(json_t *worker, size_t max, const struct screen *screen, FILE *stream)
{
    char text[32];
    json_t *connections = json_object_get(worker, "connections");
    uint64_t count = get_number(worker, "connection_count");
    size_t shown = MIN(json_array_size(connections), max);
    CLEANUP_FREE char *counted = connections_text(worker);
    print_line(screen, 2,
               string_format("pid %" PRIu64 ", generation %" PRIu64 "%s", get_number(worker, "pid"),
                             get_number(worker, "generation"), counted ? counted : ""),
               stream);
    if (shown > 0)
        print_table(connections, shown, screen, stream);
    if (count > shown)
        print_line(screen, 4, string_format("and %s more", count_text(count - shown, text)),
                   stream);
}

/* Processes */

static void print_list(json_t *worker, const struct screen *screen, FILE *stream)
{
    json_t *processes = json_object_get(worker, "processes"), *process;
    uint64_t count = get_number(worker, "process_count");
    char *text = strdup("processes:"), number[32];
    size_t i;
    json_array_foreach(processes, i, process)
    {
        CLEANUP_FREE char *name = get_text(process, "name"), *before = text;
        text = string_format("%s%s %" PRIu64 " %s", before ? before : "", i > 0 ? "," : "",
                             get_number(process, "pid"), name);
    }
    CLEANUP_FREE char *before = text;
    size_t listed = json_array_size(processes);
    print_line(screen, 2,
               count > listed ? string_format("%s, and %s more", before ? before : "",
                                              count_text(count - listed, number))
                              : TAKE_PTR(before),
               stream);
}

static void print_trouble(json_t *process, const struct screen *screen, FILE *stream)
{
    CLEANUP_FREE char *name = get_text(process, "name"), *state = get_text(process, "state"),
                      *unreadable = get_text(process, "unreadable");
    uint64_t pid = get_number(process, "pid");
    if (strcmp(state, "stopped") == 0)
        print_line(screen, 2,
                   string_format("%s (%" PRIu64 ") is stopped; `kill -CONT %" PRIu64
                                 "` lets it go on",
                                 name, pid, pid),
                   stream);
    else if (strcmp(state, "traced") == 0)
        print_line(screen, 2, string_format("%s (%" PRIu64 ") is held by a debugger", name, pid),
                   stream);
    else if (strcmp(state, "uninterruptible") == 0)
        print_line(screen, 2,
                   string_format("%s (%" PRIu64 ") waits in the kernel, see /proc/%" PRIu64
                                 "/stack",
                                 name, pid, pid),
                   stream);
    if (unreadable[0] != '\0')
        print_line(screen, 2,
                   string_format("%s (%" PRIu64 "): its connections are not known: %s", name, pid,
                                 unreadable),
                   stream);
}

void why_print_worker(json_t *worker, size_t connections, const struct screen *screen, FILE *stream)
{
    json_t *processes = json_object_get(worker, "processes"), *process;
    bool hidden = json_is_true(json_object_get(worker, "incomplete")) &&
                  json_array_size(processes) == 0;
    size_t i;
    print_head(worker, screen, stream);
    print_waits(worker, screen, stream);
    print_connections(worker, connections, screen, stream);
    if (hidden)
        print_line(screen, 2,
                   strdup("its processes are hidden from the master (ProtectProc=, hidepid)"),
                   stream);
    else if (processes)
        print_list(worker, screen, stream);
    json_array_foreach(processes, i, process) print_trouble(process, screen, stream);
}
