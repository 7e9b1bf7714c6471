/*
 * fake-master - a master that only pretends, as a program: to try reloaderctl against, by tests and by eye.
 *
 *   fake-master SOCKET [STEP_MS [SCENARIO]]    commit (default), fail, die (in the middle of a reload), refuse, stopped (not ready)
 *
 * A reload rolls web's four slots, a step every STEP_MS. "serving" on stdout says that the socket is there.
 */
#include "fake-master.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rehearsal {
    struct fake_master fake; /* first, so that the ops' userdata is this */
    const char *scenario;
    uint64_t step_usec;
    sd_event_source *timer;
    unsigned step;
};

static void say_worker(struct fake_master *fake, int slot, int generation, const char *old,
                       const char *new, const char *reason)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "web/%d", slot);
    fake_master_publish(fake, "worker", "{s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:s*}", "program",
                        "web", "name", name, "slot", slot, "pid", 5000 + generation * 100 + slot,
                        "generation", generation, "old", old, "new", new, "reason", reason);
}

static void say_rollout(struct fake_master *fake, const char *step, int ready)
{
    fake_master_publish(fake, "rollout", "{s:i, s:s, s:s, s:i, s:i}", "reload",
                        (int)fake->reload_id, "program", "web", "step", step, "ready", ready,
                        "workers", 4);
}

/* Four steps for each slot. Returns false when the reload has ended. */
static bool play(struct rehearsal *rehearsal)
{
    struct fake_master *fake = &rehearsal->fake;
    int slot = (int)rehearsal->step / 4;
    if (strcmp(rehearsal->scenario, "die") == 0 && rehearsal->step == 6)
        _exit(9);
    if (strcmp(rehearsal->scenario, "fail") == 0 && rehearsal->step == 6) {
        say_worker(fake, slot, 8, "STARTING", "STOPPING", "exited with 1 \x1b]0;title\x07");
        fake_master_end_reload(fake, "rolled_back", "web/1 exited with 1 before it was ready");
        return false;
    }
    if (slot == 4) {
        fake_master_end_reload(fake, "committed", NULL);
        return false;
    }
    switch (rehearsal->step++ % 4) {
    case 0:
        say_worker(fake, slot, 7, "READY", "DRAINING", "reload 1");
        break;
    case 1:
        say_worker(fake, slot, 7, "DRAINING", "GONE", NULL);
        break;
    case 2:
        say_rollout(fake, slot == 0 ? "canary" : "rolling", slot);
        say_worker(fake, slot, 8, "NONE", "STARTING", NULL);
        break;
    case 3:
        say_worker(fake, slot, 8, "STARTING", "READY", "after 120 ms");
        break;
    }
    return true;
}

static int on_step(sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    struct rehearsal *rehearsal = userdata;
    if (play(rehearsal)) {
        (void)sd_event_source_set_time_relative(source, rehearsal->step_usec);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

static void on_reload(struct fake_master *fake)
{
    struct rehearsal *rehearsal = (struct rehearsal *)fake;
    if (strcmp(rehearsal->scenario, "refuse") == 0) {
        fake_master_end_reload(fake, "refused",
                               "reloader.yaml:3:5: programs.web.workers: 0 is too small");
        return;
    }
    rehearsal->step = 0;
    (void)sd_event_source_set_time_relative(rehearsal->timer, rehearsal->step_usec);
    (void)sd_event_source_set_enabled(rehearsal->timer, SD_EVENT_ONESHOT);
}

static void on_shutdown(struct fake_master *fake)
{
    fake_master_publish(fake, "master", "{s:s}", "state", "leaving");
    (void)sd_event_exit(fake->event, 0);
}

int main(int argc, char **argv)
{
    static struct rehearsal rehearsal = {.scenario = "commit", .step_usec = USEC_PER_MSEC};
    if (argc < 2)
        return 2;
    if (argc > 2)
        rehearsal.step_usec = strtoul(argv[2], NULL, 10) * USEC_PER_MSEC;
    if (argc > 3)
        rehearsal.scenario = argv[3];
    rehearsal.fake.on_reload = on_reload;
    rehearsal.fake.on_shutdown = on_shutdown;
    rehearsal.fake.not_ready = strcmp(rehearsal.scenario, "stopped") == 0;
    fake_master_start(&rehearsal.fake, argv[1], 0, 0);
    if (sd_event_add_time(rehearsal.fake.event, &rehearsal.timer, CLOCK_MONOTONIC, USEC_INFINITY, 1,
                          on_step, &rehearsal) < 0)
        return 1;
    (void)puts("serving");
    (void)fflush(stdout);
    (void)sd_event_loop(rehearsal.fake.event);
    control_finish(rehearsal.fake.control);
    (void)sd_event_source_disable_unref(rehearsal.timer);
    fake_master_stop(&rehearsal.fake);
    return 0;
}
