/*
 * names.h - users and groups by name.
 *
 * Those of /etc/passwd and /etc/group are found there. Whom these do not know may be known to a directory service (NSS: LDAP, SSSD, systemd, …), which
 * can take as long as it likes: it is asked by a process of its own, for at most NAMES_PATIENCE_USEC without an answer. So whoever
 * looks for a name either has it or hears -EAGAIN; then the open questions are asked, and looking again finds the answers.
 *
 * A user of the files is in the groups that the files say, one of a directory service in those that it says.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define NAMES_PATIENCE_USEC (5 * USEC_PER_SEC)
#define NAMES_GROUPS_MAX    4096 /* that a user may be in */

struct names_user {
    uid_t uid;
    gid_t gid;
    char *name, *home, *shell;
    gid_t *groups; /* that he is in, his own among them or not */
    size_t n_groups;
};

struct names;

/* `directory` has passwd and group: "/etc". NULL when memory is short. */
struct names *names_new(const char *directory);
struct names *names_free(struct names *names);
DEFINE_FREEP(struct names *, names_free)

/*
 * By name or number. 0 (what *ret points to lives until names_forget()), -ENOENT: nobody knows it, -EAGAIN: a question to be asked,
 * -ETIMEDOUT: there was no answer, -ENOMEM, or why it could not be asked.
 */
int names_find_user(struct names *names, const char *text, const struct names_user **ret);
/* The same in the files alone: what they do not know is -ENOENT. */
int names_find_local_user(struct names *names, const char *text, const struct names_user **ret);
/* By name. */
int names_find_group(struct names *names, const char *text, gid_t *ret);

/* Is there a question that nobody has asked yet? */
bool names_are_wanted(const struct names *names);

/*
 * Asks all open questions in a process of its own. 0 and a descriptor (borrowed) that is readable whenever names_receive() has something to do;
 * or -errno, which then is the answer to all of them.
 */
int names_ask(struct names *names, int *ret_fd);
/* 1: all are answered, 0: there are more to come. */
int names_receive(struct names *names);
/* Nobody waits any longer: -ETIMEDOUT is the answer to what is open. */
void names_give_up(struct names *names);
/* All of that, for who has nothing else to do. */
void names_ask_and_wait(struct names *names);

/* Drops all answers, so that all is looked for anew. Not while it is being asked. */
void names_forget(struct names *names);
