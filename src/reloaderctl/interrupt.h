/*
 * interrupt.h - Ctrl-C as something to be polled for, and a broken pipe as an error of write(), for one command; another one may follow in this
 * process.
 */
#pragma once

#include <signal.h>

struct interrupt {
    int fd; /* readable: it came */
    sigset_t mask;
    struct sigaction broken_pipe;
};

/* Where whoever started us has SIGINT ignored, it stays so. */
struct interrupt interrupt_take(void);
/* All is as it was before, and what came is forgotten. */
void interrupt_give_back(struct interrupt *interrupt);
