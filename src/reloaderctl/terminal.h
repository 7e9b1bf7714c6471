/*
 * terminal.h - the whole screen of a terminal, keys as they are pressed, and signals as events. It is given back as it was
 * by terminal_leave(), which has to come before the process ends, whatever the reason: the signals that would end or stop it are
 * blocked from terminal_enter() on, and read from signal_fd instead.
 */
#pragma once

#include "base/macros.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct terminal {
    bool entered;
    bool is_raw;   /* standard input is a terminal that we changed */
    bool has_keys; /* and may still tell some */
    int signal_fd; /* -1 while it is not entered */
    struct termios before;
    sigset_t mask_before;
};

/* 0 or -errno. Keys come from standard input, the screen is standard output. */
int terminal_enter(struct terminal *terminal);
void terminal_leave(struct terminal *terminal);
#define CLEANUP_TERMINAL CLEANUP(terminal_leave)

/* The next signal of signal_fd, or 0. */
int terminal_next_signal(struct terminal *terminal);
/* Leaves, lets SIGTSTP stop us, and once somebody lets us go on, enters again. 0 or -errno. */
int terminal_stop(struct terminal *terminal);
/* Leaves and ends the process by that signal. */
__attribute__((noreturn)) void terminal_end(struct terminal *terminal, int number);

/* Keys that are no character. */
enum terminal_key {
    KEY_UP = 256,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_OTHER,
};

/*
 * What was read from a terminal: the first key of it, and how many bytes that took. 0 for an empty one. An escape sequence that is not known is
 * KEY_OTHER as a whole.
 */
int terminal_parse_key(const char *bytes, size_t size, size_t *ret_used);

/* Replaces all of the screen, which is that high, by these lines; what is too much is left out. Their ends are '\n'. */
void terminal_show(const char *lines, size_t height);
