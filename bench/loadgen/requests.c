/*
 * requests.c - the life of an exchange:
 *
 *     CONNECTING ──► TALKING ──► CLOSING ──► gone
 *        ▲              │ ▲
 *     QUEUEING          ▼ │ the next request
 *                      IDLE ──► gone
 *
 * A request that finds its kept connection closed by the server is what every HTTP client knows: the two passed each
 * other on the way. It is counted as stale and goes out once more on a new connection, its latency still counted
 * from when it was due. Only the second attempt can fail.
 *
 * With a window, what is due while so many are under way is withheld: left out, not begun later, so that no burst follows.
 */
#include "loadgen/requests.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define STARTS_MAX 256
#define RETRY_USEC USEC_PER_MSEC

static void on_ready(struct source *source, uint32_t events);
static void talk(struct exchange *exchange);

static struct requests *of_mode(const struct mode *mode)
{
    return LIST_ENTRY((struct mode *)mode, struct requests, mode);
}

static struct loop *loop_of(struct exchange *exchange)
{
    return &exchange->requests->mode.load->loop;
}

static struct exchange *exchange_free(struct exchange *exchange)
{
    loop_drop(loop_of(exchange), &exchange->source);
    list_remove(&exchange->link);
    if (exchange->state == EXCHANGE_IDLE)
        exchange->requests->n_idle--;
    exchange->requests->n_open--;
    free(exchange);
    return NULL;
}

static void succeed(struct exchange *exchange)
{
    tally_ok(&exchange->requests->mode.tally, exchange->scheduled_usec, exchange->replied_usec);
}

static const char *describe(enum exchange_state state)
{
    switch (state) {
    case EXCHANGE_CONNECTING:
        return "connecting";
    case EXCHANGE_QUEUEING:
        return "waiting for room in the listener's queue";
    case EXCHANGE_TALKING:
        return "talking";
    case EXCHANGE_CLOSING:
        return "awaiting the server's end";
    case EXCHANGE_IDLE:
        return "idle";
    }
    return "";
}

static void fail(struct exchange *exchange, enum outcome outcome)
{
    tally_failure(&exchange->requests->mode.tally, outcome, clock_monotonic_usec(),
                  "while %s, %zu bytes sent, %zu received, %.3f s after it was due",
                  describe(exchange->state), exchange->sent, exchange->received,
                  (double)(clock_monotonic_usec() - exchange->scheduled_usec) / 1e6);
    exchange_free(exchange);
}

static void fail_errno(struct exchange *exchange, int r)
{
    tally_failure(&exchange->requests->mode.tally, outcome_of_errno(-r), clock_monotonic_usec(),
                  "while %s: %s, %zu bytes sent, %zu received", describe(exchange->state),
                  strerror(-r), exchange->sent, exchange->received);
    exchange_free(exchange);
}

static void watch(struct exchange *exchange, uint32_t events)
{
    int r = loop_watch(loop_of(exchange), &exchange->source, events);
    if (r < 0)
        fail_errno(exchange, r);
}

static void move(struct exchange *exchange, struct list *to)
{
    list_remove(&exchange->link);
    list_append(to, &exchange->link);
}

static void connect_exchange(struct exchange *exchange)
{
    int r = target_connect(&exchange->requests->mode.load->target, exchange->source.fd);
    if (r == -EAGAIN) {
        if (exchange->state != EXCHANGE_QUEUEING)
            move(exchange, &exchange->requests->queueing);
        exchange->state = EXCHANGE_QUEUEING;
        return;
    }
    if (exchange->state == EXCHANGE_QUEUEING)
        move(exchange, &exchange->requests->active);
    if (r < 0) {
        fail_errno(exchange, r);
    } else if (r == 0) {
        exchange->state = EXCHANGE_CONNECTING;
        watch(exchange, EPOLLOUT);
    } else {
        exchange->state = EXCHANGE_TALKING;
        talk(exchange);
    }
}

/* A new connection for the request at hand. */
static void connect_anew(struct exchange *exchange)
{
    struct requests *requests = exchange->requests;
    exchange->state = EXCHANGE_CONNECTING;
    exchange->reused = false;
    exchange->sent = exchange->received = 0;
    exchange->deadline_usec = clock_monotonic_usec() + requests->mode.load->options->timeout_usec;
    move(exchange, &requests->active);
    requests->protocol->begin(exchange);
    int r = target_open(&requests->mode.load->target, SOCK_STREAM, &exchange->source.fd);
    if (r < 0) {
        fail_errno(exchange, r);
        return;
    }
    requests->connections++;
    connect_exchange(exchange);
}

/* False: this was no stale connection, the request has failed. */
static bool retried(struct exchange *exchange)
{
    if (!exchange->reused || exchange->received > 0)
        return false;
    exchange->requests->stale++;
    loop_drop(loop_of(exchange), &exchange->source);
    connect_anew(exchange);
    return true;
}

static void broke(struct exchange *exchange, int r)
{
    if (outcome_of_errno(-r) != OUTCOME_RESET || !retried(exchange))
        fail_errno(exchange, r);
}

static void keep(struct exchange *exchange)
{
    struct requests *requests = exchange->requests;
    exchange->state = EXCHANGE_IDLE;
    move(exchange, &requests->idle);
    requests->n_idle++;
    watch(exchange, EPOLLIN);
}

static void await_end(struct exchange *exchange)
{
    char byte;
    ssize_t n = recv(exchange->source.fd, &byte, 1, 0);
    if (n == 0) {
        succeed(exchange);
        exchange_free(exchange);
    } else if (n > 0) {
        exchange->received++;
        fail(exchange, OUTCOME_CORRUPTED);
    } else if (errno == EAGAIN || errno == EINTR) {
        watch(exchange, EPOLLIN);
    } else {
        fail_errno(exchange, -errno);
    }
}

static void complete(struct exchange *exchange, bool ended)
{
    struct requests *requests = exchange->requests;
    exchange->replied_usec = clock_monotonic_usec();
    if (!requests->protocol->keeps && !ended) {
        exchange->state = EXCHANGE_CLOSING;
        (void)shutdown(exchange->source.fd, SHUT_WR);
        await_end(exchange);
        return;
    }
    succeed(exchange);
    if (!ended && requests->n_idle < requests->max_idle && !requests->mode.load->stopping &&
        requests->protocol->keeps(exchange))
        keep(exchange);
    else
        exchange_free(exchange);
}

/* True while there is more to read. */
static bool judge(struct exchange *exchange, enum verdict verdict, bool ended)
{
    switch (verdict) {
    case VERDICT_MORE:
        return true;
    case VERDICT_COMPLETE:
        complete(exchange, ended);
        return false;
    case VERDICT_CUT:
        if (!retried(exchange))
            fail(exchange, OUTCOME_CUT);
        return false;
    case VERDICT_CORRUPTED:
        fail(exchange, OUTCOME_CORRUPTED);
        return false;
    case VERDICT_BAD_STATUS:
        fail(exchange, OUTCOME_BAD_STATUS);
        return false;
    }
    return false;
}

/* 1 all is out, 0 more later, or -errno. */
static int send_request(struct exchange *exchange)
{
    const char *data;
    size_t size;
    while ((size = exchange->requests->protocol->request(exchange, &data)) > 0) {
        ssize_t n = send(exchange->source.fd, data, size, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        exchange->sent += (size_t)n;
    }
    return 1;
}

/* False: the exchange has gone on to another state, or is freed. */
static bool receive_reply(struct exchange *exchange)
{
    char data[16384];
    ssize_t n;
    while ((n = recv(exchange->source.fd, data, sizeof(data), 0)) > 0) {
        enum verdict verdict = exchange->requests->protocol->received(exchange, data, (size_t)n);
        exchange->received += (size_t)n;
        if (!judge(exchange, verdict, false))
            return false;
    }
    if (n == 0) {
        (void)judge(exchange, exchange->requests->protocol->ended(exchange), true);
        return false;
    }
    if (errno == EAGAIN)
        return true;
    broke(exchange, -errno);
    return false;
}

static void talk(struct exchange *exchange)
{
    int r = send_request(exchange);
    if (r < 0)
        broke(exchange, r);
    else if (receive_reply(exchange))
        watch(exchange, EPOLLIN | (r == 0 ? EPOLLOUT : 0));
}

static void on_ready(struct source *source, uint32_t events UNUSED)
{
    struct exchange *exchange = LIST_ENTRY(source, struct exchange, source);
    int r;
    switch (exchange->state) {
    case EXCHANGE_CONNECTING:
        r = target_connected(source->fd);
        if (r < 0) {
            fail_errno(exchange, r);
            return;
        }
        exchange->state = EXCHANGE_TALKING;
        talk(exchange);
        return;
    case EXCHANGE_TALKING:
        talk(exchange);
        return;
    case EXCHANGE_CLOSING:
        await_end(exchange);
        return;
    case EXCHANGE_IDLE:
        exchange->requests->closed_idle++;
        exchange_free(exchange);
        return;
    case EXCHANGE_QUEUEING:
        return;
    }
}

static void start_on_idle(struct requests *requests, uint64_t scheduled_usec, uint64_t now_usec)
{
    /* The one that has been idle for the longest: so all of them are used, and met by a drain, in turn. */
    struct exchange *exchange = LIST_ENTRY(requests->idle.next, struct exchange, link);
    move(exchange, &requests->active);
    requests->n_idle--;
    exchange->state = EXCHANGE_TALKING;
    exchange->reused = true;
    exchange->sent = exchange->received = 0;
    exchange->scheduled_usec = scheduled_usec;
    exchange->deadline_usec = now_usec + requests->mode.load->options->timeout_usec;
    requests->protocol->begin(exchange);
    talk(exchange);
}

static void start(struct requests *requests, uint64_t scheduled_usec, uint64_t now_usec)
{
    requests->scheduled++;
    if (!list_is_empty(&requests->idle)) {
        start_on_idle(requests, scheduled_usec, now_usec);
        return;
    }
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange) {
        tally_failure(&requests->mode.tally, OUTCOME_LOCAL, now_usec, "for want of memory");
        return;
    }
    exchange->source = (struct source){.fd = -1, .ready = on_ready};
    exchange->requests = requests;
    exchange->scheduled_usec = scheduled_usec;
    list_init(&exchange->link);
    requests->n_open++;
    connect_anew(exchange);
}

/* What was due before the end is begun, however late, but for what the window leaves out. */
static uint64_t due_usec(const struct requests *requests)
{
    const struct load *load = requests->mode.load;
    uint64_t number = requests->scheduled + requests->withheld;
    uint64_t due = load->began_usec + number * USEC_PER_SEC / requests->rate;
    return due < load->ends_usec ? due : USEC_INFINITY;
}

static uint64_t first_deadline_usec(const struct list *list)
{
    return list_is_empty(list) ? USEC_INFINITY
                               : LIST_ENTRY(list->next, struct exchange, link)->deadline_usec;
}

static uint64_t requests_next_usec(const struct mode *mode)
{
    const struct requests *requests = of_mode(mode);
    uint64_t next = MIN(due_usec(requests), first_deadline_usec(&requests->active));
    if (!list_is_empty(&requests->queueing))
        next = MIN(next, clock_monotonic_usec() + RETRY_USEC);
    return next;
}

static void retry_queueing(struct requests *requests)
{
    while (!list_is_empty(&requests->queueing)) {
        struct list *first = requests->queueing.next;
        connect_exchange(LIST_ENTRY(first, struct exchange, link));
        /* While the first in line finds no room, the others need not ask. */
        if (requests->queueing.next == first)
            return;
    }
}

static void expire(struct list *list, uint64_t now_usec)
{
    while (first_deadline_usec(list) <= now_usec)
        fail(LIST_ENTRY(list->next, struct exchange, link), OUTCOME_TIMED_OUT);
}

static void requests_run(struct mode *mode, uint64_t now_usec)
{
    struct requests *requests = of_mode(mode);
    retry_queueing(requests);
    for (int n = 0; n < STARTS_MAX && due_usec(requests) <= now_usec; n++) {
        if (requests->n_open - requests->n_idle < mode->load->options->request_window)
            start(requests, due_usec(requests), now_usec);
        else
            requests->withheld++;
    }
    expire(&requests->active, now_usec);
    expire(&requests->queueing, now_usec);
    while (mode->load->stopping && !list_is_empty(&requests->idle))
        exchange_free(LIST_ENTRY(requests->idle.next, struct exchange, link));
}

static bool requests_are_idle(const struct mode *mode)
{
    return of_mode(mode)->n_open == 0 && due_usec(of_mode(mode)) == USEC_INFINITY;
}

static bool requests_have_started(const struct mode *mode)
{
    return mode->tally.counts[OUTCOME_OK] > 0;
}

static void requests_give_up(struct mode *mode, uint64_t now_usec UNUSED)
{
    struct requests *requests = of_mode(mode);
    expire(&requests->active, USEC_INFINITY - 1);
    expire(&requests->queueing, USEC_INFINITY - 1);
}

static void requests_report(const struct mode *mode, json_t *report)
{
    const struct requests *requests = of_mode(mode);
    report_integer(report, "scheduled", requests->scheduled);
    report_integer(report, "withheld", requests->withheld);
    report_integer(report, "connections", requests->connections);
    report_integer(report, "stale", requests->stale);
    report_integer(report, "closed_idle", requests->closed_idle);
}

struct mode *requests_free(struct mode *mode)
{
    struct requests *requests = mode ? of_mode(mode) : NULL;
    if (!requests)
        return NULL;
    struct list *const lists[] = {&requests->active, &requests->queueing, &requests->idle};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        while (!list_is_empty(lists[i]))
            exchange_free(LIST_ENTRY(lists[i]->next, struct exchange, link));
    free(requests->request);
    free(requests);
    return NULL;
}

static const struct mode_ops ops = {
    .next_usec = requests_next_usec,
    .run = requests_run,
    .is_idle = requests_are_idle,
    .has_started = requests_have_started,
    .give_up = requests_give_up,
    .report = requests_report,
    .free = requests_free,
};

struct requests *requests_new(struct load *load, const struct protocol *protocol, uint64_t rate)
{
    struct requests *requests = calloc(1, sizeof(*requests));
    if (!requests)
        return NULL;
    requests->mode = (struct mode){.name = protocol->name, .ops = &ops, .load = load};
    requests->protocol = protocol;
    requests->rate = rate;
    list_init(&requests->active);
    list_init(&requests->queueing);
    list_init(&requests->idle);
    return requests;
}
