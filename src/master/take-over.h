/*
 * take-over.h - which of the sockets that were passed to us is which of the configuration's.
 */
#pragma once

#include "config/config.h"
#include "net/listener.h"
#include "net/passed.h"

/*
 * Takes in what systemd passed and what `listen: fd:N` names. To be called in the process that was started, before anything else
 * is opened. 0, or -errno with *ret_error for people (malloc-ed).
 */
int take_over_collect(const struct config *config, struct passed_sockets *ret, char **ret_error);

/* One wish for each socket of the configuration, or for each slot where there is one per slot; in their order. */
struct take_over {
    struct passed_wish *wishes;
    size_t n;
};
void take_over_clear(struct take_over *plan);

/* Matches. 0, or -errno with *ret_error: sockets that nobody claims. */
int take_over_plan(const struct config *config, struct passed_sockets *passed,
                   struct take_over *ret, char **ret_error);

/* Is any of n wishes to be had from somebody else? */
bool take_over_any(const struct passed_wish *wishes, size_t n);
/* A listener of sockets that were passed; those that were not are bound. 0 or -errno with *ret_error. */
int take_over_listener(const struct config_socket *socket, const struct listener_options *options,
                       const struct passed_wish *wishes, size_t n, struct listener **ret,
                       char **ret_error);
