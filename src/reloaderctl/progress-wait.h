/* progress-wait.h - in words, what a program waits for. */
#pragma once

#include <jansson.h>

/*
 * Of a program of a status with numbers (numbers.h): "slot 2 draining, 3 connections, 7.4 s left", of the worker that will take longest, those that
 * leave before those that start; malloc-ed, clean. NULL: for none of its workers.
 */
char *progress_wait_text(json_t *program);
