/*
 * setup.h - what the master hands to the gateway when it starts, after its `{"cmd":"gateway"}`:
 *
 *     {"cmd":"gateway","username":"admin","public":["healthz"],"password":true}
 *
 * and, as further listeners over the channel, `control`, a connection to the master, and where there is a password `password`, a file that holds
 * it. They come in any order.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

/* Of the password file. */
#define SETUP_PASSWORD_MAX 4096

struct reloader;

struct setup {
    bool is_told;    /* the message has come */
    char *username;  /* NULL: nobody is asked for a password */
    unsigned public; /* enum http_public */
    bool has_password;
};

/* Only for what setup_hear() has filled, or that is zeroed. */
void setup_clear(struct setup *setup);

/* 0: it is that message, and taken; -ENOMSG: another one, or one more of them; -EBADMSG: it makes no sense; -ENOMEM. */
int setup_hear(struct setup *setup, const char *text, size_t length);

/* Is all there? */
bool setup_is_complete(const struct setup *setup, const struct reloader *reloader);

/* What the file holds, from its beginning, as a string without the newline at its end. 0, -EFBIG, -EBADMSG: a NUL in it, or -errno. */
int setup_read_password(int fd, char **ret_password);
