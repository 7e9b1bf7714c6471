/* worker-kit.h - one worker with its reaper over a real event loop, and what it did, as text. For the tests of worker.c. */
#pragma once

#include "live.h"

#include "worker/channel.h"
#include "worker/worker.h"

struct kit {
    sd_event *event;
    struct reaper *reaper;
    char *directory;
    struct generation *generation;
    struct worker *worker;
    uint64_t id;     /* of the last one that was tried */
    char trace[256]; /* "READY DRAINING STOPPING exited GONE" */
    char reason[128];
    enum health health; /* as it was told last */
    unsigned messages;
    json_int_t number; /* the last one that was said */
};

int kit_set_up(void **state);
int kit_tear_down(void **state);

/* The generation that the next workers are of; its program's settings and script as for live_config(). */
void kit_configure(struct kit *kit, const char *settings, const char *script);
/* 0 or worker_new()'s error and text (malloc-ed). */
int kit_try_start(struct kit *kit, char **ret_error);
void kit_start(struct kit *kit);
/* Both. */
void kit_run(struct kit *kit, const char *settings, const char *script);

void kit_await(struct kit *kit, enum worker_state state);
/* Until it has said n numbers, or other messages, of its own. */
void kit_await_messages(struct kit *kit, unsigned n);
/* Writes "go" to the worker's channel. */
void kit_go(struct kit *kit);
/* Waits for GONE, and compares. */
void kit_expect_end(struct kit *kit, const char *trace);
void kit_expect_exit(const struct kit *kit, int code);
void kit_expect_killed_by(const struct kit *kit, int signal);
