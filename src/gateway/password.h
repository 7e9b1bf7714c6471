/*
 * password.h - is this the password? What is configured may be itself, or a hash of it:
 *
 *   {SHA}…                     SHA-1, in base64 as of Apache's htpasswd -s, or in hex as supervisord has it; {SHA256} likewise
 *   {SSHA}… {SSHA256}…         the same with a salt, in base64: hash of password and salt, then the salt (as of LDAP servers)
 *   $y$ $gy$ $7$ $6$ $5$ $2a$ $2b$ $2y$ $sha1$ $1$    crypt(3), as of `mkpasswd` or /etc/shadow
 *
 * A plain password begins with neither `$` nor `{`. It is never empty, has one line and at most PASSWORD_SIZE_MAX bytes; a newline behind it, as files
 * have it, does not belong to it.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

#define PASSWORD_SIZE_MAX 1024u

struct password;

/* Copies `text`. 0, or -EINVAL with *ret_reason (static; for people), or another -errno. */
int password_new(const char *text, struct password **ret, const char **ret_reason);
struct password *password_free(struct password *password);
DEFINE_FREEP(struct password *, password_free)

/*
 * In a time that does not depend on how much of it is right. The one that was right is remembered, as a keyed hash: from then on no answer costs more
 * than that.
 */
bool password_is(struct password *password, const char *given);

/* Will password_is() take long, as crypt(3)'s hashes do on purpose? */
bool password_is_costly(const struct password *password);
