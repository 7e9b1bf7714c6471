/* accounts.h - what /etc/passwd and /etc/group say, read as they are, without the C library's detours. */
#pragma once

#include "config/names.h"

/* `key` is a name or a number. `passwd` and `group` are the texts. 0 and an owned *ret, -ENOENT or -ENOMEM. */
int accounts_find_user(const char *passwd, const char *group, const char *key,
                       struct names_user *ret);
int accounts_find_group(const char *group, const char *name, gid_t *ret);
void names_user_clear(struct names_user *user);
/* Is it written as a number? */
bool accounts_is_number(const char *text);
