/*
 * http-kit.h - what tests of the gateway's HTTP server share: one with handlers of the test's own, and clients. All live in one event loop, which
 * runs until what is waited for has happened.
 */
#pragma once

#include "base/fd.h"
#include "gateway/access.h"
#include "gateway/gateway.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* How long a turn of the loop waits; and how many there are before the test gives up. */
#define TURN_USEC (10 * USEC_PER_MSEC)
#define TURNS     2000

/* Fresh for each test. */
struct fixture {
    struct gateway gateway;
    struct sockaddr_in address;
    struct http_request *request;              /* of the handler that answers later, or streams */
    void (*own)(struct http_request *request); /* of /own */
    unsigned n_gone, n_handled, n_drained;
    uint64_t delay_usec; /* of access */
    enum access_verdict verdict;
    char text[65536]; /* what the client has read */
    size_t length;
    bool is_closed;
    struct sockaddr_in peer;     /* as access was told */
    bool has_no_memory;          /* for a stream */
    uint64_t hurries_up_to_usec; /* deadlines of no more than that are 10,000 times as short, */
    bool is_patient;             /* and those of a second and more are as much longer */
};
extern struct fixture fixture;

int set_up(void **state);
int tear_down(void **state);
#define with_server(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Clients; their sockets are the caller's. */
int connect_client(void);
void say(int fd, const char *text);
int ask(const char *method, const char *path);
/* What the client can read now is added to what it has read. */
void look(int fd);
void forget(void);
bool has_read(int fd, const char *text);
/* Of a text of any length: what was read before, but for its end, is forgotten. */
bool has_read_end(int fd, const char *text);
bool is_closed(int fd);

/* For a handler that answers later: fixture.request, until it is gone. */
void handle_later(struct http_request *request, struct gateway *gateway);

#define run_until(condition)                                                                       \
    do {                                                                                           \
        unsigned _turns = 0;                                                                       \
        while (!(condition)) {                                                                     \
            assert_true(_turns++ < TURNS);                                                         \
            assert_true(sd_event_run(fixture.gateway.event, TURN_USEC) >= 0);                      \
        }                                                                                          \
    } while (0)

/* Whatever was to happen at once has happened. */
void settle(void);
