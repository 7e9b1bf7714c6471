/*
 * fg-input.h - from our standard input into a worker's. Nothing is read before what was read last is delivered; delivered is what is in the
 * worker's pipe. No function waits: the caller polls.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

#define FG_INPUT_SIZE ((size_t)16 << 10)

struct fg_input {
    int from; /* borrowed */
    int to;   /* the worker's pipe, owned; -1: there is none */
    bool ended;
    bool stalled; /* the pipe was full */
    size_t begin, end;
    char data[FG_INPUT_SIZE];
};

static inline size_t fg_input_pending(const struct fg_input *input)
{
    return input->end - input->begin;
}

/* Takes over `to`; the one before is closed, and what it was to get is dropped. */
void fg_input_turn(struct fg_input *input, int to);
/* What is there now; for nobody to be held up, only when poll() says so and nothing is pending. At its end or on an error it has `ended`. */
void fg_input_read(struct fg_input *input);
/* 0: as much as the pipe takes now; or -errno, -EPIPE where nobody reads it any more. SIGPIPE is to be ignored. */
int fg_input_write(struct fg_input *input);
/* Bytes in the pipe that nobody has read; 0 without one. */
size_t fg_input_unread(const struct fg_input *input);
