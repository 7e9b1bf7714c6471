/*
 * access.h - who may be served: Basic credentials, the Host that a request names, the site that a browser comes from. In this order:
 *
 *   Host          Where nobody is asked for a password, what is not public answers to local names alone: localhost and numeric addresses. Or
 *                 else any page that a browser shows could lead its own name here (DNS rebinding) and would be let in. With a username any
 *                 Host will do, as that of a proxy: a browser sends the credentials it remembers only to the name it got them for, so
 *                 a rebound name comes without. Public paths are for everybody: probes name hosts as they like. A proxy in front of a
 *                 gateway without username has to send a Host that is local, and to ask for a password itself.
 *   site          What acts is not done for a page of another site, be it by GET or by a form.
 *   public        Paths that are configured so, to all.
 *   credentials   of all others, where there is a username. Where there is none, whoever reaches the address may do everything if that is
 *                 a local one (loopback, unix), else nothing but what is public.
 *
 * Whoever fails waits longer each time (see failures.h), at most ACCESS_DELAY_MAX_USEC; that memory is bounded. Right credentials never wait for the
 * failures of others, with one exception: as long as nobody has given the right password yet, a hash of crypt(3) has to be computed for each one.
 * These take turns, in the order of their coming, and at most half of the time: ACCESS_LATER. There are only so many turns as fit into
 * ACCESS_TURNS_MAX_USEC: ACCESS_BUSY.
 */
#pragma once

#include "base/macros.h"
#include "gateway/http.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ACCESS_DELAY_MAX_USEC (5 * USEC_PER_SEC)
#define ACCESS_TURNS_MAX_USEC (2 * USEC_PER_SEC)

struct access_settings {
    const char *username; /* NULL: nobody is asked for a password. Copied, as all of these */
    const char *password; /* what the password file holds, or `password`: see password.h */
    unsigned public;      /* enum http_public */
    const struct sockaddr *listens_on; /* NULL: not known, as one that others reach */
};

/* Of a request; NULL: the header is not there, or the path is not known. Borrowed. */
struct access_request {
    const struct http_route *route;
    bool acts; /* it changes something, made by this method */
    const char *authorization, *host, *origin, *fetch_site;
    const struct sockaddr *peer;
    uint64_t turn_usec; /* as ACCESS_LATER gave it; 0 at first */
};

enum access_verdict {
    ACCESS_GRANTED,
    ACCESS_UNAUTHORIZED, /* 401 */
    ACCESS_FORBIDDEN,    /* 403: it comes from another site, or is for nobody */
    ACCESS_MISDIRECTED,  /* 421: that is not our name (DNS rebinding) */
    ACCESS_LATER,        /* no answer yet: to be asked once more after the delay, with turn_usec */
    ACCESS_BUSY,         /* 503: too many passwords are to be checked */
};

struct access_answer {
    enum access_verdict verdict;
    const char *why;     /* for people; static; NULL where granted, or later */
    uint64_t delay_usec; /* before the answer */
    uint64_t turn_usec;  /* of ACCESS_LATER */
};

struct access;

/* 0, -EINVAL (no password, or not of a kind that is known: what is wrong is logged), or another -errno. */
int access_new(const struct access_settings *settings, struct access **ret);
struct access *access_free(struct access *access);
DEFINE_FREEP(struct access *, access_free)

/* `now_usec`: monotonic. */
struct access_answer access_decide(struct access *access, const struct access_request *request,
                                   uint64_t now_usec);
