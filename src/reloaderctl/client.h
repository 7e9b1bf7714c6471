/*
 * client.h - a connection to a master's control socket: finds it, calls, receives replies. Every wait has an end that the
 * caller chooses. Functions return 0 or -errno.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define CLIENT_CONNECT_USEC (5 * USEC_PER_SEC)
#define CLIENT_ANSWER_USEC  (10 * USEC_PER_SEC) /* for what a master answers at once */

struct client {
    int fd;
    pid_t pid; /* of the master; 0 if it is in a pid namespace that we don't see */
    struct buffer in;
};

/*
 * Connects to `path`, or (NULL) to the first of the default places where a master of root's or of our own answers.
 * On failure *ret_error tells where it looked and what to do (malloc-ed, lines).
 */
int client_connect(const char *path, struct client *ret, char **ret_error);
void client_close(struct client *client);
#define CLEANUP_CLIENT CLEANUP(client_close)

/*
 * Whether who serves this client's socket answers at all, asked on a second connection: this one may have to be quiet
 * for long. 0 or -ETIMEDOUT; 0 too where it can't be found out.
 */
int client_probe(const struct client *client);

/* Calls io.reloader.Control.METHOD. Takes over `parameters`, which may be NULL. */
int client_call(struct client *client, const char *method, json_t *parameters, bool more);

struct client_reply {
    json_t *message;    /* owns the rest */
    json_t *parameters; /* an object */
    /* NULL if it is none; without its interface where that is io.reloader.Control */
    const char *error;
    bool continues;
};

/* The next reply: -ETIMEDOUT, -ECONNRESET when the master has left, -EBADMSG. timeout_usec may be USEC_INFINITY. */
int client_receive(struct client *client, uint64_t timeout_usec, struct client_reply *ret);
/*
 * The same, for the only reply of a call. *fd is -1 before the first try; a descriptor that comes replaces it, and is the caller's
 * whatever is returned.
 */
int client_receive_fd(struct client *client, uint64_t timeout_usec, struct client_reply *ret,
                      int *fd);
void client_reply_clear(struct client_reply *reply);
#define CLEANUP_REPLY CLEANUP(client_reply_clear)
