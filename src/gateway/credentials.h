/* credentials.h - user and password of a request, from its Authorization header (RFC 7617, Basic alone). */
#pragma once

#include "base/macros.h"

#include <string.h>

/* Characters of the header; more are no credentials. */
#define CREDENTIALS_HEADER_MAX 2048u

/* Both lie in `buffer` and are NUL-terminated; a user has no colon. */
struct credentials {
    char buffer[CREDENTIALS_HEADER_MAX];
    const char *user, *password;
};

/* 0 or -EINVAL. The caller forgets them when he is done. */
int credentials_parse(const char *header, struct credentials *ret);

static inline void credentials_forget(struct credentials *credentials)
{
    explicit_bzero(credentials, sizeof(*credentials));
}
