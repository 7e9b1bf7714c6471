/*
 * gateway-version.h - what a configuration says of the gateway, made into what a program of ours needs: a configuration of one program and
 * one socket, the listener, and the password as it was read.
 */
#pragma once

#include "config/config.h"
#include "net/listener.h"
#include "worker/generation.h"

#include <stdbool.h>

#define GATEWAY_NAME       "reloader-gateway"
#define GATEWAY_SECRET_MAX 4096

struct gateway_version {
    struct config *config; /* whose section it is; NULL: there is none */
    struct config *own;    /* that of its program */
    struct listener *listener;
    char *secret; /* what password_file or password holds; NULL: nobody is asked for one */
    size_t secret_size;
};

void gateway_version_clear(struct gateway_version *version);

/*
 * Reads and binds what the configuration's section says; the listener is `known`'s (NULL: none) where the address is the same. `environment` is the
 * master's. 0, or -errno with *ret_error, one line for people (malloc-ed).
 */
int gateway_version_make(struct config *config, const struct gateway_version *known,
                         const char *executable, struct gateway_version *ret, char **ret_error);
/*
 * Who may connect to its Unix socket, as it says: when it alone serves there. gateway_version_make() has done so already, but for one
 * that asks for a password where `known` does not. 0 or -errno with *ret_error.
 */
int gateway_version_open(const struct gateway_version *version, char **ret_error);
/* Do they mean the same, so that nobody needs to be replaced? */
bool gateway_version_is_same(const struct gateway_version *a, const struct gateway_version *b);
/*
 * What a reload with that section would find of its password file, and the section itself does not tell: "gateway.password_file: what is in the
 * file has changed". For people, malloc-ed; never what is in it. NULL: nothing.
 */
char *gateway_version_describe_secret(const struct gateway_version *known,
                                      const struct config_gateway *section);
/* The generation that its program runs in. 0 or -errno with *ret_error. */
int gateway_version_generation(const struct gateway_version *version, uint64_t number,
                               char *const *environment, struct generation **ret, char **ret_error);
