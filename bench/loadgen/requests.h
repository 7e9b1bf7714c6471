/*
 * requests.h - requests at a rate, each answered on a connection: connect, send, read the reply, end.
 *
 * What is sent and what a right reply is, a protocol knows. Times are microseconds of the monotonic clock.
 */
#pragma once

#include "base/list.h"
#include "loadgen/http-reply.h"
#include "loadgen/load.h"

enum exchange_state {
    EXCHANGE_CONNECTING,
    EXCHANGE_QUEUEING, /* a Unix listener's queue is full: to be tried again */
    EXCHANGE_TALKING,
    EXCHANGE_CLOSING, /* the reply is complete, our side is ended, the server's end is awaited */
    EXCHANGE_IDLE,    /* kept open for a request to come */
};

struct exchange {
    struct source source;
    struct list link;
    struct requests *requests;
    enum exchange_state state;
    uint64_t scheduled_usec, deadline_usec;
    uint64_t replied_usec;
    bool reused;           /* has carried a request before */
    size_t sent, received; /* of this request and its reply */
    uint32_t offset;       /* echo: where in the pattern its payload begins */
    size_t size;           /* echo: of the payload */
    struct http_reply reply;
    char line[SERVER_IDENTITY_SIZE]; /* who: the reply */
};

enum verdict { VERDICT_MORE, VERDICT_COMPLETE, VERDICT_CUT, VERDICT_CORRUPTED, VERDICT_BAD_STATUS };

struct protocol {
    const char *name;
    /* A new request on a connection, maybe a used one. */
    void (*begin)(struct exchange *exchange);
    /* The rest of the request from exchange->sent on; its size is returned. */
    size_t (*request)(const struct exchange *exchange, const char **ret_data);
    /* `size` bytes came after exchange->received others. */
    enum verdict (*received)(struct exchange *exchange, const char *data, size_t size);
    /* The server ended its side before the reply was known to be complete. */
    enum verdict (*ended)(struct exchange *exchange);
    /* A complete reply: whether the connection can carry another request. NULL: end our side, await the server's end. */
    bool (*keeps)(const struct exchange *exchange);
};

struct requests {
    struct mode mode;
    const struct protocol *protocol;
    uint64_t rate, scheduled, withheld;
    struct list active, queueing, idle; /* of exchanges; nearly in the order of their deadlines */
    size_t n_open, n_idle, max_idle;
    uint64_t connections, stale, closed_idle;
    char *request; /* http: its text */
};

/* A mode named after the protocol, which outlives it; NULL if memory is short. */
struct requests *requests_new(struct load *load, const struct protocol *protocol, uint64_t rate);
/* For who made one and could not go on; otherwise its mode's operations free it. Returns NULL. */
struct mode *requests_free(struct mode *mode);
