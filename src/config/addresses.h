/*
 * addresses.h - from `listen:` as written to an address.
 */
#pragma once

#include "config/config.h"

/*
 * N of fd:N; -1 where `listen` is no such thing. 0, or -EINVAL with *ret_reason for people (malloc-ed), or -ENOMEM.
 */
int config_resolve_descriptor(const struct config_socket *socket,
                              const struct config_program *program, int *ret, char **ret_reason);

/*
 * Expands and parses `listen` for a slot; program may be NULL (its names and process_num are not known then).
 * -EINVAL with *ret_reason for people (malloc-ed), or -ENOMEM.
 */
int config_resolve_address(const struct config_socket *socket, const struct config_program *program,
                           unsigned slot, struct address *ret, char **ret_reason);

/*
 * `listen` as it has to be written in a file of another directory: %(here)s spelled out, a relative path absolute. `program`
 * may be NULL where one socket serves all slots. malloc-ed or NULL.
 */
char *config_listen_elsewhere(const struct config_socket *socket,
                              const struct config_program *program);
