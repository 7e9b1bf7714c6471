/*
 * v1-command.h - what a request below /v1/ asks for: its command, and its parameters as JSON. Pure.
 *
 * The path of a method is its name in lower case with hyphens between its words, as paths are written: CheckConfig is /v1/check-config. It is
 * understood in this spelling alone, so that a resource has one address.
 */
#pragma once

#include "control/command.h"

#include <stdbool.h>
#include <stddef.h>

#define V1_INTERFACE "io.reloader.Control"
#define V1_PATH_SIZE 64

/* The interface that is served. */
const struct command_interface *v1_interface(void);

/* NULL: a path of no method. It may be one that is not served: v1_is_served(). Connect has no path: its answer is a descriptor. */
const struct command *v1_find(const char *path);
/* What the gateway's role may call, and this version has. */
bool v1_is_served(const struct command *command);
/* False for Connect alone. */
bool v1_has_path(const struct command *command);
void v1_path(const struct command *command, char buffer[V1_PATH_SIZE]);

/*
 * Adds a parameter of the query to `parameters`: text as it is, whole numbers, true and false; a list by its name again and again. 0; -EINVAL: there is none of
 * that name, its value has another type, or it is there twice and no list; -ENOMEM.
 */
int v1_add_query(const struct command *command, json_t *parameters, const char *name,
                 const char *value);

/* Whether a Content-Type is application/json, with whatever parameters. */
bool v1_is_json(const char *content_type);

/* Whether Accept lets a stream be sent: it names text/event-stream, or with `any` text/ * or * / * too, or is not there (NULL). What q says is not regarded. */
bool v1_accepts_stream(const char *accept, bool any);
