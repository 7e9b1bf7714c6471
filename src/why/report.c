#include "why/report.h"

#include "base/macros.h"
#include "base/strv.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define PROCESSES_MAX ((size_t)200) /* of all workers together */
#define PROCESSES_MIN ((size_t)3)

/* Processes */

static const char *process_state(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'D':
        return "uninterruptible";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
        return "zombie";
    default:
        return "sleeping";
    }
}

/* Why its connections are not known. */
static const char *explain(int failure)
{
    switch (-failure) {
    case EXDEV:
        return "its network is another one";
    case ESRCH:
        return "it has gone meanwhile";
    default:
        return strerror(-failure);
    }
}

static json_t *view_process(const struct process_stat *stat, int failure)
{
    char name[PROCESS_NAME_SIZE];
    memcpy(name, stat->name, sizeof(name));
    string_make_utf8(name);
    return json_pack("{s:I, s:s, s:s, s:s*}", "pid", (json_int_t)stat->pid, "name", name, "state",
                     process_state(stat->state), "unreadable",
                     failure < 0 ? explain(failure) : NULL);
}

static json_t *view_processes(const struct gathered *gathered, const struct gathered_worker *worker)
{
    size_t max = MAX(PROCESSES_MAX / gathered->n_workers, PROCESSES_MIN);
    json_t *processes = json_array();
    for (size_t i = 0; i < MIN(worker->n_members, max); i++) {
        size_t member = worker->first_member + i;
        (void)json_array_append_new(processes, view_process(&gathered->members.all[member].stat,
                                                            gathered->holdings.failures[member]));
    }
    return processes;
}

/* Connections */

static const char *connection_state(const struct diag_socket *socket)
{
    if (socket->family == AF_UNIX && socket->peer_inode == 0)
        return "close_wait";
    switch (socket->state) {
    case TCP_ESTABLISHED:
        return "established";
    case TCP_SYN_SENT:
        return "syn_sent";
    case TCP_FIN_WAIT1:
        return "fin_wait1";
    case TCP_FIN_WAIT2:
        return "fin_wait2";
    case TCP_CLOSE_WAIT:
        return "close_wait";
    case TCP_LAST_ACK:
        return "last_ack";
    case TCP_CLOSING:
        return "closing";
    default:
        return "unknown";
    }
}

static const char *protocol(const struct diag_socket *socket)
{
    if (socket->family == AF_UNIX)
        return "unix";
    return socket->protocol == IPPROTO_UDP ? "udp" : "tcp";
}

static void set(json_t *view, const char *name, uint64_t value)
{
    if (view)
        (void)json_object_set_new(view, name, json_integer((json_int_t)value));
}

static void set_place(json_t *view, const char *name, const struct diag_place *place)
{
    CLEANUP_FREE char *text = place->family != 0 ? diag_place_to_text(place) : NULL;
    if (!view || !text)
        return;
    string_make_utf8(text);
    (void)json_object_set_new(view, name, json_string(text));
}

static void set_times(json_t *view, const struct connection *connection)
{
    bool exact;
    uint64_t age = connection_age_usec(connection, &exact);
    if (age == UINT64_MAX)
        return;
    set(view, "idle_usec", connection_idle_usec(connection));
    set(view, exact ? "age_usec" : "age_at_least_usec", age);
    if (connection->socket.unanswered > 0)
        set(view, "unanswered", connection->socket.unanswered);
}

static json_t *view_connection(const struct connection *connection)
{
    const struct diag_socket *socket = &connection->socket;
    json_t *pids = json_array();
    for (size_t i = 0; i < connection->n_pids; i++)
        (void)json_array_append_new(pids, json_integer(connection->pids[i]));
    json_t *view = json_pack("{s:s, s:s, s:b, s:o}", "protocol", protocol(socket), "state",
                             connection_state(socket), "accepted", connection->accepted, "pids",
                             pids);
    set_place(view, "local", &socket->local);
    set_place(view, "peer", &socket->peer);
    if (connection->other_pid != 0)
        set(view, "peer_pid", (uint64_t)connection->other_pid);
    set_times(view, connection);
    if (socket->has_queues) {
        set(view, "unread", socket->receive_queue);
        set(view, "unsent", socket->send_queue);
    }
    return view;
}

static json_t *view_connections(const struct gathered_worker *worker)
{
    json_t *connections = json_array();
    for (size_t i = 0; i < worker->n_listed; i++)
        (void)json_array_append_new(connections, view_connection(&worker->listed[i]));
    return connections;
}

int report_print(const struct gathered *gathered, FILE *stream)
{
    json_t *workers = json_array();
    for (size_t i = 0; i < gathered->n_workers; i++) {
        const struct gathered_worker *worker = &gathered->workers[i];
        (void)json_array_append_new(
            workers, json_pack("{s:I, s:b, s:I, s:o, s:I, s:o}", "pid", (json_int_t)worker->leader,
                               "incomplete", worker->incomplete, "process_count",
                               (json_int_t)worker->n_members, "processes",
                               view_processes(gathered, worker), "connection_count",
                               (json_int_t)worker->count, "connections", view_connections(worker)));
    }
    json_auto_t *report = json_pack("{s:o, s:s*}", "workers", workers, "failure",
                                    gathered->failure < 0 ? strerror(-gathered->failure) : NULL);
    if (!report || json_dumpf(report, stream, JSON_COMPACT) < 0 || fflush(stream) != 0)
        return -EIO;
    return 0;
}
