/*
 * udp.c - flows of datagrams: each flow is a connected socket, and its datagrams go out in turn with the others'.
 *
 * A datagram begins with "FLOW NUMBER " and ends with the pattern; its reply is a line that says who served, and the
 * datagram again. Both can be made from the number alone, so nothing of them is kept while a reply is awaited: a ring
 * holds when each of the last datagrams was due, and whether it has ended. Numbers count through all flows.
 *
 * Every datagram ends as ok, lost (no reply in time), corrupted, or local. Replies beyond the first are counted as
 * duplicate, those to another flow's datagram as wrong_flow, those to a datagram that the ring has forgotten as late.
 * An ICMP error belongs to no datagram in particular: it is counted as unreachable, the datagram will be lost.
 *
 * With a window, what is due while so many are awaited is withheld: left out, not sent later, so that no burst follows.
 *
 * Who serves a flow is judged in the order of its datagrams, not of the replies, which may overtake each other.
 */
#include "loadgen/load.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define STARTS_MAX    256
#define HEAD_SIZE     48
#define DATAGRAM_SIZE 65536
#define RING_MIN      4096
#define RING_MAX      ((uint64_t)1 << 22)
#define MOVES_MAX     16384

struct flow {
    struct source source;
    struct udp *udp;
    uint64_t newest;      /* number + 1 of the latest datagram whose server is known; 0: none */
    uint64_t newest_usec; /* when that one was due */
    size_t server;
    bool moved;
};

/* A flow was served by another one than before: that was by a datagram due at `since_usec`, this one came at `until_usec`. */
struct move {
    uint64_t since_usec, usec, until_usec, flow;
    size_t from, to;
};

struct awaited {
    uint64_t scheduled_usec, deadline_usec;
    bool ended;
};

struct udp {
    struct mode mode;
    struct flow *flows;
    uint64_t n_flows;
    struct awaited *ring;
    uint64_t ring_size, first, next; /* numbers: the ring has first up to next - 1 */
    uint64_t n_pending, n_moved, late, unreachable, withheld;
    struct move *moves;
    size_t n_moves, moves_forgotten;
    char sent[DATAGRAM_SIZE], received[DATAGRAM_SIZE];
};

static struct udp *of_mode(const struct mode *mode)
{
    return LIST_ENTRY((struct mode *)mode, struct udp, mode);
}

static struct awaited *entry(struct udp *udp, uint64_t number)
{
    return &udp->ring[number % udp->ring_size];
}

/* The datagram of that number, of the same size and content whenever it is asked for. */
static size_t make_datagram(struct udp *udp, uint64_t number)
{
    const struct load *load = udp->mode.load;
    uint64_t random = number + 1;
    size_t size = 1 + random_next(&random) % load->options->udp_bytes;
    int head = snprintf(udp->sent, HEAD_SIZE, "%llu %llu ",
                        (unsigned long long)(number % udp->n_flows), (unsigned long long)number);
    memcpy(udp->sent + head, pattern_at(&load->pattern, (uint32_t)(number % PATTERN_PERIOD), 0),
           size);
    return (size_t)head + size;
}

static void end_one(struct udp *udp, struct awaited *awaited)
{
    awaited->ended = true;
    udp->n_pending--;
}

/* ---- replies */

static void note_move(struct flow *flow, uint64_t sent_usec, uint64_t now_usec, size_t to)
{
    struct udp *udp = flow->udp;
    udp->n_moved += flow->moved ? 0 : 1;
    flow->moved = true;
    if (udp->n_moves == MOVES_MAX) {
        udp->moves_forgotten++;
        return;
    }
    udp->moves[udp->n_moves++] = (struct move){
        .since_usec = flow->newest_usec,
        .usec = sent_usec,
        .until_usec = now_usec,
        .flow = (uint64_t)(flow - udp->flows),
        .from = flow->server,
        .to = to,
    };
}

static void note_server(struct flow *flow, uint64_t number, const char *identity)
{
    struct load *load = flow->udp->mode.load;
    size_t server;
    uint64_t now_usec = clock_monotonic_usec();
    if (servers_add(&load->servers, identity, now_usec, &server) < 0)
        return;
    if (number < flow->newest)
        return;
    uint64_t sent_usec = entry(flow->udp, number)->scheduled_usec;
    if (flow->newest > 0 && server != flow->server)
        note_move(flow, sent_usec, now_usec, server);
    flow->server = server;
    flow->newest = number + 1;
    flow->newest_usec = sent_usec;
}

/* Reads "FLOW NUMBER "; false: it is of another form. */
static bool read_head(const char *text, size_t size, uint64_t *ret_flow, uint64_t *ret_number)
{
    char head[HEAD_SIZE] = "", *save = NULL;
    memcpy(head, text, MIN(size, sizeof(head) - 1));
    const char *flow = strtok_r(head, " ", &save), *number = strtok_r(NULL, " ", &save);
    return flow && number && parse_unsigned(flow, 0, UINT64_MAX, ret_flow) == 0 &&
           parse_unsigned(number, 0, UINT64_MAX, ret_number) == 0;
}

static void take_reply(struct flow *flow, uint64_t number, const char *identity, const char *text,
                       size_t size)
{
    struct udp *udp = flow->udp;
    struct tally *tally = &udp->mode.tally;
    struct awaited *awaited = entry(udp, number);
    uint64_t now_usec = clock_monotonic_usec();
    if (awaited->ended) {
        tally_failure(tally, OUTCOME_DUPLICATE, now_usec, "of datagram %llu by %s",
                      (unsigned long long)number, identity);
        return;
    }
    end_one(udp, awaited);
    if (make_datagram(udp, number) != size || memcmp(udp->sent, text, size) != 0) {
        tally_failure(tally, OUTCOME_CORRUPTED, now_usec, "datagram %llu came back changed by %s",
                      (unsigned long long)number, identity);
        return;
    }
    tally_ok(tally, awaited->scheduled_usec, now_usec);
    note_server(flow, number, identity);
}

static void judge(struct flow *flow, size_t size)
{
    struct udp *udp = flow->udp;
    uint64_t named, number, now_usec = clock_monotonic_usec();
    uint64_t self = (uint64_t)(flow - udp->flows);
    char *end = memchr(udp->received, '\n', size);
    size_t line = end ? (size_t)(end - udp->received) + 1 : 0;
    if (!end || !read_head(end + 1, size - line, &named, &number) || number >= udp->next ||
        number % udp->n_flows != named) {
        tally_failure(&udp->mode.tally, OUTCOME_CORRUPTED, now_usec,
                      "flow %llu got %zu bytes that are no reply", (unsigned long long)self, size);
        return;
    }
    *end = '\0';
    if (named != self)
        tally_failure(&udp->mode.tally, OUTCOME_WRONG_FLOW, now_usec,
                      "flow %llu got the reply to flow %llu by %s", (unsigned long long)self,
                      (unsigned long long)named, udp->received);
    else if (number < udp->first)
        udp->late++;
    else
        take_reply(flow, number, udp->received, end + 1, size - line);
}

static void on_ready(struct source *source, uint32_t events UNUSED)
{
    struct flow *flow = LIST_ENTRY(source, struct flow, source);
    ssize_t n;
    while ((n = recv(source->fd, flow->udp->received, DATAGRAM_SIZE, 0)) >= 0)
        judge(flow, (size_t)n);
    if (errno != EAGAIN)
        flow->udp->unreachable++;
}

/* ---- sending */

static int open_flow(struct flow *flow)
{
    struct load *load = flow->udp->mode.load;
    int r = target_open(&load->target, SOCK_DGRAM, &flow->source.fd);
    if (r == 0)
        r = MIN(target_connect(&load->target, flow->source.fd), 0);
    if (r == 0)
        r = loop_watch(&load->loop, &flow->source, EPOLLIN);
    if (r < 0)
        loop_drop(&load->loop, &flow->source);
    return r;
}

static int send_datagram(struct flow *flow, uint64_t number)
{
    int r = flow->source.fd < 0 ? open_flow(flow) : 0;
    if (r < 0)
        return r;
    size_t size = make_datagram(flow->udp, number);
    if (send(flow->source.fd, flow->udp->sent, size, 0) >= 0)
        return 0;
    if (outcome_of_errno(errno) == OUTCOME_LOCAL)
        return -errno;
    /* What failed is a datagram before; its error was in the way of this one. */
    flow->udp->unreachable++;
    return send(flow->source.fd, flow->udp->sent, size, 0) < 0 ? -errno : 0;
}

static void forget_oldest(struct udp *udp, uint64_t now_usec)
{
    struct awaited *oldest = entry(udp, udp->first);
    if (!oldest->ended) {
        end_one(udp, oldest);
        tally_failure(&udp->mode.tally, OUTCOME_LOST, now_usec, "datagram %llu of flow %llu",
                      (unsigned long long)udp->first,
                      (unsigned long long)(udp->first % udp->n_flows));
    }
    udp->first++;
}

static void start(struct udp *udp, uint64_t scheduled_usec, uint64_t now_usec)
{
    uint64_t number = udp->next;
    if (number - udp->first == udp->ring_size)
        forget_oldest(udp, now_usec);
    udp->next++;
    udp->n_pending++;
    *entry(udp, number) = (struct awaited){
        .scheduled_usec = scheduled_usec,
        .deadline_usec = now_usec + udp->mode.load->options->timeout_usec,
    };
    int r = send_datagram(&udp->flows[number % udp->n_flows], number);
    if (r == 0)
        return;
    end_one(udp, entry(udp, number));
    tally_failure(&udp->mode.tally, OUTCOME_LOCAL, now_usec, "sending datagram %llu: %s",
                  (unsigned long long)number, strerror(-r));
}

/* ---- the mode */

static uint64_t due_usec(const struct udp *udp)
{
    const struct load *load = udp->mode.load;
    uint64_t number = udp->next + udp->withheld;
    uint64_t due = load->began_usec + number * USEC_PER_SEC / load->options->udp_rate;
    return due < load->ends_usec ? due : USEC_INFINITY;
}

static uint64_t deadline_usec(const struct udp *udp)
{
    return udp->first < udp->next ? entry((struct udp *)udp, udp->first)->deadline_usec
                                  : USEC_INFINITY;
}

static uint64_t udp_next_usec(const struct mode *mode)
{
    return MIN(due_usec(of_mode(mode)), deadline_usec(of_mode(mode)));
}

static void udp_run(struct mode *mode, uint64_t now_usec)
{
    struct udp *udp = of_mode(mode);
    while (deadline_usec(udp) <= now_usec)
        forget_oldest(udp, now_usec);
    for (int n = 0; n < STARTS_MAX && due_usec(udp) <= now_usec; n++) {
        if (udp->n_pending < mode->load->options->udp_window)
            start(udp, due_usec(udp), now_usec);
        else
            udp->withheld++;
    }
}

static bool udp_is_idle(const struct mode *mode)
{
    return of_mode(mode)->n_pending == 0 && due_usec(of_mode(mode)) == USEC_INFINITY;
}

static bool udp_has_started(const struct mode *mode)
{
    const struct udp *udp = of_mode(mode);
    for (uint64_t i = 0; i < udp->n_flows; i++)
        if (udp->flows[i].newest == 0)
            return false;
    return true;
}

static void udp_give_up(struct mode *mode, uint64_t now_usec)
{
    struct udp *udp = of_mode(mode);
    while (udp->first < udp->next)
        forget_oldest(udp, now_usec);
}

static const char *name_of(const struct udp *udp, size_t server)
{
    const struct servers *servers = &udp->mode.load->servers;
    return server < servers->n_entries ? servers->entries[server].identity : "forgotten";
}

static json_t *report_moves(const struct udp *udp)
{
    json_t *report = json_array();
    for (size_t i = 0; i < udp->n_moves; i++) {
        const struct move *move = &udp->moves[i];
        json_t *one = json_object();
        report_integer(one, "since_usec", move->since_usec - udp->mode.load->began_usec);
        report_integer(one, "usec", move->usec - udp->mode.load->began_usec);
        report_integer(one, "until_usec", move->until_usec - udp->mode.load->began_usec);
        report_integer(one, "flow", move->flow);
        (void)json_object_set_new(one, "from", json_string(name_of(udp, move->from)));
        (void)json_object_set_new(one, "to", json_string(name_of(udp, move->to)));
        (void)json_array_append_new(report, one);
    }
    return report;
}

/* How many flows each served last. */
static json_t *report_flows(const struct udp *udp)
{
    json_t *report = json_object();
    for (uint64_t i = 0; i < udp->n_flows; i++) {
        if (udp->flows[i].newest == 0)
            continue;
        const char *name = name_of(udp, udp->flows[i].server);
        json_int_t before = json_integer_value(json_object_get(report, name));
        report_integer(report, name, (uint64_t)before + 1);
    }
    return report;
}

static void udp_report(const struct mode *mode, json_t *report)
{
    const struct udp *udp = of_mode(mode);
    report_integer(report, "scheduled", udp->next);
    report_integer(report, "withheld", udp->withheld);
    report_integer(report, "late", udp->late);
    report_integer(report, "unreachable", udp->unreachable);
    report_integer(report, "flows", udp->n_flows);
    report_integer(report, "flows_moved", udp->n_moved);
    (void)json_object_set_new(report, "flows_served_last_by", report_flows(udp));
    (void)json_object_set_new(report, "moves", report_moves(udp));
    report_integer(report, "moves_forgotten", udp->moves_forgotten);
}

static struct mode *udp_free(struct mode *mode)
{
    struct udp *udp = mode ? of_mode(mode) : NULL;
    if (!udp)
        return NULL;
    for (uint64_t i = 0; i < udp->n_flows; i++)
        loop_drop(&mode->load->loop, &udp->flows[i].source);
    free(udp->flows);
    free(udp->ring);
    free(udp->moves);
    free(udp);
    return NULL;
}

static const struct mode_ops ops = {
    .next_usec = udp_next_usec,
    .run = udp_run,
    .is_idle = udp_is_idle,
    .has_started = udp_has_started,
    .give_up = udp_give_up,
    .report = udp_report,
    .free = udp_free,
};

/* All that can be awaited within the time-out, and a second's worth for a generator that is late. */
static uint64_t ring_size(const struct options *options)
{
    uint64_t seconds = options->timeout_usec / USEC_PER_SEC + 2;
    return seconds > RING_MAX / options->udp_rate
               ? RING_MAX
               : MAX(seconds * options->udp_rate, (uint64_t)RING_MIN);
}

struct mode *udp_new(struct load *load)
{
    struct udp *udp = calloc(1, sizeof(*udp));
    if (!udp)
        return NULL;
    udp->mode = (struct mode){.name = "udp", .ops = &ops, .load = load};
    udp->ring_size = ring_size(load->options);
    udp->ring = calloc(udp->ring_size, sizeof(*udp->ring));
    udp->moves = calloc(MOVES_MAX, sizeof(*udp->moves));
    udp->flows = calloc(load->options->udp_flows, sizeof(*udp->flows));
    if (!udp->ring || !udp->moves || !udp->flows)
        return udp_free(&udp->mode);
    udp->n_flows = load->options->udp_flows;
    for (uint64_t i = 0; i < udp->n_flows; i++)
        udp->flows[i] = (struct flow){.source = {.fd = -1, .ready = on_ready}, .udp = udp};
    return &udp->mode;
}
