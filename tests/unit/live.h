/*
 * live.h - what tests with real processes share: a configuration from text, a directory of their own, and a way to wait for
 * events. Nothing sleeps; what does not come within a minute fails the test.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#define LIVE_PATIENCE_USEC (60 * USEC_PER_SEC)

/* Handles one event after the other until the condition holds. */
#define RUN_UNTIL(event, condition)                                                                \
    while (!(condition))                                                                           \
    assert_true(sd_event_run(event, LIVE_PATIENCE_USEC) > 0)

/* Handles what is there already. */
void live_run_ready(sd_event *event);

/* A directory under /tmp; live_remove_directory() removes it with its files, and frees the name. */
char *live_make_directory(void);
void live_remove_directory(char *path);
void live_write_file(const char *directory, const char *name, const char *text);

/* A configuration with one program "web" that runs `script` in a shell; `settings` are further lines of the program. */
struct config *live_config(const char *directory, const char *settings, const char *script);

/* fork(), but the child does not outlive a test that fails. */
pid_t live_fork(void);

unsigned live_count_fds(void);

/* From here on no more than `spare` descriptors can be opened. live_end_scarcity() takes the limit back. */
void live_begin_scarcity(unsigned spare);
void live_end_scarcity(void);
