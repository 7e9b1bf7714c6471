/*
 * gateway.h - keeps reloader-gateway running: a program of our own, beside those of the configuration and outside of their reloads.
 *
 *   OFF -> RUNNING <-> ROLLING -> RETURNING -> RUNNING          RUNNING -> LEAVING -> OFF
 *
 * It is looked at when a configuration has come into force, and rolled then, ready-first, if its own section has changed; one that fails
 * goes back to the former. What cannot be had (an address in use, a password file that is not there) is said in log and status and tried
 * again; nothing else waits for it, or fails with it. In a shutdown it is the last to go, and serves until then.
 *
 * Its worker asks by {"cmd":"gateway"} on its channel, and gets what it needs: a message with the settings, then descriptors as listeners
 * `control`, a connection of the control service, and `password`, a file in memory.
 */
#pragma once

#include "master/gateway-version.h"
#include "program/program.h"

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

struct master;

enum gateway_phase {
    GATEWAY_OFF,
    GATEWAY_RUNNING,
    GATEWAY_ROLLING,
    GATEWAY_RETURNING, /* the new one failed */
    GATEWAY_LEAVING,
};

struct gateway {
    struct master *master;
    enum gateway_phase phase;
    struct program *program;              /* NULL: OFF */
    struct gateway_version current, next; /* next: while ROLLING and RETURNING */
    struct config *seen;                  /* the configuration that was looked at last */
    char *failure;                        /* why what it says is not so; for people. NULL: it is */
    sd_event_source *retry_timer;
    unsigned failures; /* in a row */
    bool again;        /* it is time to try */
    bool stopping;
};

/* Binds what the configuration in force says, and wants it to run. 0 or -errno: the gateway itself is never the reason. */
int gateway_new(struct master *master, struct gateway **ret);
/* Kills what is left. Returns NULL. */
struct gateway *gateway_free(struct gateway *gateway);
DEFINE_FREEP(struct gateway *, gateway_free)

/* From the master's deferred step, when nothing else is to be done. */
void gateway_step(struct gateway *gateway);
/* Likewise of the version that serves, or comes: for a reload that is only planned. */
char *gateway_describe_secret(const struct gateway *gateway, const struct config *config);
/* In a shutdown. */
void gateway_stop(struct gateway *gateway, bool force);
/* Is nothing of it left? */
bool gateway_is_gone(const struct gateway *gateway);

/* Its part of the answer to {"cmd":"gateway"}: gateway-answer.c. */
void gateway_answer(const struct gateway *gateway, const struct gateway_version *version,
                    struct worker *worker);
