/*
 * access.h - who may be served: Basic credentials, the Host that a request names, the site that a browser comes from.
 *
 * A pure decision but for its memory of failures: whoever fails waits longer each time, at most ACCESS_DELAY_MAX_USEC; that memory is bounded.
 * Credentials are compared in constant time, and a password that was right is known again without the cost of its hash.
 */
#pragma once

#include "base/macros.h"
#include "gateway/http.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ACCESS_DELAY_MAX_USEC (5 * 1000000ull)

struct access_settings {
    const char *username; /* NULL: nobody is asked for a password. Copied, as all of these */
    const char
        *password; /* what the password file holds, or `password`: plain, {SHA}… or crypt(3)'s */
    unsigned public; /* enum http_public */
    const struct sockaddr
        *listens_on; /* what Host may name, beside localhost and numeric addresses, comes from it */
};

/* Of a request; NULL: the header is not there. Borrowed. */
struct access_request {
    const struct http_route *route;
    enum http_method method;
    const char *authorization, *host, *origin, *fetch_site;
    const struct sockaddr *peer;
};

enum access_verdict {
    ACCESS_GRANTED,
    ACCESS_UNAUTHORIZED, /* 401, after the delay */
    ACCESS_FORBIDDEN,    /* 403: it comes from another site */
    ACCESS_MISDIRECTED,  /* 421: that is not our name (DNS rebinding) */
};

struct access_answer {
    enum access_verdict verdict;
    const char *why;     /* for people; static */
    uint64_t delay_usec; /* before the answer */
};

struct access;

/* 0, -EINVAL (the password is a hash of an unknown kind), or -ENOMEM. */
int access_new(const struct access_settings *settings, struct access **ret);
struct access *access_free(struct access *access);
DEFINE_FREEP(struct access *, access_free)

/* `now_usec`: monotonic. */
struct access_answer access_decide(struct access *access, const struct access_request *request,
                                   uint64_t now_usec);
