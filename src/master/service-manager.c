/*
 * sd_notify() and sd_event_set_watchdog() wait for room in the socket's queue: a manager that is busy, or stopped, would stop
 * the master with it. So datagrams are sent without waiting here. What could not be sent is not forgotten, as each message
 * is made of the difference between what is and what was told: a timer looks again.
 */
#include "master/service-manager.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "master/master.h"
#include "master/service-status.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PAUSE_USEC (100 * USEC_PER_MSEC) /* between two texts; before trying again */
/* SIGKILL is given 10 s to do its work, and we are not alone on the machine. */
#define MARGIN_USEC   (20 * USEC_PER_SEC)
#define DATAGRAM_SIZE (SERVICE_STATUS_SIZE + 256)

struct service_manager {
    struct master *master;
    struct service_environment environment;
    struct sockaddr_un address;
    socklen_t address_length;
    int fd;
    sd_event_source *timer, *watchdog;
    struct service_told told;
    char text[SERVICE_STATUS_SIZE]; /* as it was told */
    uint64_t text_usec;             /* when */
    uint64_t until_usec;            /* what it knows that this phase may take */
    bool complained;
};

struct service_environment service_environment_get(void)
{
    struct service_environment environment = {.socket = getenv("NOTIFY_SOCKET")};
    if (sd_watchdog_enabled(false, &environment.watchdog_usec) <= 0)
        environment.watchdog_usec = 0;
    return environment;
}

/* The view */

static void look_at_worker(const struct worker *worker, bool starting,
                           struct service_program *program)
{
    uint64_t until = worker->deadline_usec;
    switch (worker->state) {
    case WORKER_STARTING:
        break;
    case WORKER_DRAINING:
        until += worker->generation->program->stop_timeout_usec;
        break;
    case WORKER_STOPPING:
        if (worker->given_up)
            return;
        break;
    case WORKER_READY:
    case WORKER_GONE:
        return;
    }
    if (worker->state == WORKER_STARTING || !starting)
        program->busy_until_usec = MAX(program->busy_until_usec, until);
}

/* While the master starts, only the first try of a slot counts. */
static void look_at_slot(const struct slot *slot, bool starting, struct service_program *program,
                         unsigned *leaving)
{
    if (starting && slot->restarts > 0)
        return;
    if (slot->current)
        look_at_worker(slot->current, starting, program);
    if (slot->successor)
        look_at_worker(slot->successor, starting, program);
    *leaving += (slot->current ? 1u : 0u) + (slot->successor ? 1u : 0u);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link) {
        look_at_worker(worker, starting, program);
        *leaving += worker->state != WORKER_GONE && !worker->given_up;
    }
}

#define PROBATION_MAX_USEC (3 * USEC_PER_SEC) /* where it is auto */

static void set_durations(const struct program *program, struct service_program *ret)
{
    const struct config_program *config = (program->target ? program->target : program->committed)
                                              ->program;
    uint64_t probation = config->reload.probation_auto ? PROBATION_MAX_USEC
                                                       : config->reload.probation_usec;
    ret->start_usec = config->start_timeout_usec;
    ret->leave_usec = config->disconnect_timeout_usec + config->stop_timeout_usec;
    /* On the way back a worker may have to wait for its turn after failures. */
    ret->step_usec = ret->leave_usec + config->disconnect_spread_usec + ret->start_usec +
                     probation + config->backoff.max_usec;
}

static void look_at_program(const struct program *program, bool starting,
                            struct service_program *ret, unsigned *leaving)
{
    *ret = (struct service_program){
        .name = program->name,
        .priority = program_config(program)->priority,
        .ready = program_count_ready(program),
        .wanted = program_expected(program),
        .generation = program->committed->number,
        .step = program->started ? program->told_step : NULL,
        .told = program->stopping,
        .empty = program_is_empty(program),
    };
    for (size_t i = 0; i < program->n_slots; i++)
        look_at_slot(program->slots[i], starting, ret, leaving);
    set_durations(program, ret);
}

/* `programs` has room for all. */
static struct service_view look(const struct master *master, struct service_program *programs)
{
    enum intent_type intent = master->intent.type;
    uint64_t running = master->reload.running.id, candidate = master->reload.candidate.request.id;
    struct service_view view = {
        .was_ready = master->was_ready,
        .stopping = intent == INTENT_SHUTDOWN || intent == INTENT_FORCED,
        .forced = intent == INTENT_FORCED,
        .reload = running > 0 ? running : candidate,
        .checking = running == 0 && candidate > 0,
        .reloads_taken = master->reload.last_id - (master->reload.wanted.id > 0),
        .ended = reload_newest(&master->reload),
        .started_usec = master->started_usec,
        .programs = programs,
        .n_programs = master->n_programs,
    };
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        look_at_program(program, !view.was_ready && !view.stopping, &programs[i], &view.leaving);
        if (!view.start_failure)
            view.start_failure = program->start_failure;
    }
    return view;
}

/* Sending */

/* 0, or -EAGAIN: later. Whatever else is wrong would be so again: it is said once. */
static int send_datagram(struct service_manager *manager, const char *data, size_t size)
{
    ssize_t n = sendto(manager->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                       (struct sockaddr *)&manager->address, manager->address_length);
    if (n >= 0)
        return 0;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return -EAGAIN;
    if (!manager->complained)
        log_warning("NOTIFY_SOCKET %s: cannot tell the service manager how we are: %s",
                    manager->environment.socket, strerror(errno));
    manager->complained = true;
    return 0;
}

static void look_again_at(struct service_manager *manager, uint64_t usec)
{
    (void)sd_event_source_set_time(manager->timer, usec);
    (void)sd_event_source_set_enabled(manager->timer, SD_EVENT_ONESHOT);
}

static size_t put_phase(const struct service_manager *manager, enum service_phase phase, char *data,
                        size_t size)
{
    int n = 0;
    switch (phase) {
    case SERVICE_NOTHING:
        break;
    case SERVICE_READY:
        n = snprintf(data, size, "READY=1\n");
        if (manager->environment.forked && manager->told.phase == SERVICE_NOTHING)
            n += snprintf(data + n, size - (size_t)n, "MAINPID=%d\n", (int)getpid());
        break;
    case SERVICE_RELOADING:
        n = snprintf(data, size, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
                     clock_monotonic_usec());
        break;
    case SERVICE_STOPPING:
        n = snprintf(data, size, "STOPPING=1\n");
        break;
    }
    return (size_t)n;
}

struct message {
    bool phase_changed;
    struct service_told told;
    char text[SERVICE_STATUS_SIZE];
    uint64_t until_usec;
};

/* A phase begins with a time-out of its own at the manager's. A grant is renewed when half of its margin is used up. */
static bool needs_more_time(const struct service_manager *manager, const struct message *message)
{
    return message->until_usec > 0 &&
           (message->phase_changed || message->until_usec + MARGIN_USEC / 2 > manager->until_usec);
}

/* True: something was sent, and there may be more. */
static bool tell(struct service_manager *manager, const struct message *message)
{
    char data[DATAGRAM_SIZE];
    size_t n = 0;
    uint64_t now = clock_monotonic_usec();
    bool more_time = needs_more_time(manager, message);
    bool other_text = strcmp(message->text, manager->text) != 0;
    if (message->phase_changed)
        n = put_phase(manager, message->told.phase, data, sizeof(data));
    else if (other_text && !more_time && now < manager->text_usec + PAUSE_USEC) {
        look_again_at(manager, manager->text_usec + PAUSE_USEC);
        return false;
    }
    if (other_text)
        n += (size_t)snprintf(data + n, sizeof(data) - n, "STATUS=%s\n", message->text);
    if (more_time)
        n += (size_t)snprintf(data + n, sizeof(data) - n, "EXTEND_TIMEOUT_USEC=%" PRIu64 "\n",
                              message->until_usec + MARGIN_USEC - MIN(now, message->until_usec));
    if (n == 0)
        return false;
    if (send_datagram(manager, data, n) < 0) {
        look_again_at(manager, now + PAUSE_USEC);
        return false;
    }
    (void)sd_event_source_set_enabled(manager->timer, SD_EVENT_OFF);
    manager->told = message->told;
    strcpy(manager->text, message->text);
    manager->text_usec = now;
    if (more_time)
        manager->until_usec = message->until_usec + MARGIN_USEC;
    return message->phase_changed;
}

void service_manager_update(struct service_manager *manager)
{
    if (!manager)
        return;
    struct service_program *programs = calloc(manager->master->n_programs + 1, sizeof(*programs));
    if (!programs) {
        look_again_at(manager, clock_monotonic_usec() + PAUSE_USEC);
        return;
    }
    const struct service_view view = look(manager->master, programs);
    struct message message;
    do {
        message = (struct message){.until_usec = service_until(&view, clock_monotonic_usec())};
        message.phase_changed = service_next(&manager->told, &view, &message.told);
        (void)service_status_text(&view, message.text);
    } while (tell(manager, &message));
    free(programs);
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    service_manager_update(userdata);
    return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t now UNUSED, void *userdata)
{
    struct service_manager *manager = userdata;
    static const char alive[] = "WATCHDOG=1\n";
    uint64_t next = manager->environment.watchdog_usec / 2;
    if (send_datagram(manager, alive, strlen(alive)) < 0)
        next = MIN(next, (uint64_t)PAUSE_USEC);
    (void)sd_event_source_set_time(source, clock_monotonic_usec() + next);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* The start */

static int set_address(struct service_manager *manager, const char *text)
{
    size_t length = strlen(text);
    if ((*text != '/' && *text != '@') || length < 2 || length >= sizeof(manager->address.sun_path))
        return -EAFNOSUPPORT;
    manager->address.sun_family = AF_UNIX;
    memcpy(manager->address.sun_path, text, length);
    if (*text == '@')
        manager->address.sun_path[0] = '\0';
    manager->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
                                          (*text == '/'));
    return 0;
}

static int add_timers(struct service_manager *manager)
{
    sd_event *event = manager->master->event;
    int r = sd_event_add_time(event, &manager->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer,
                              manager);
    if (r >= 0)
        r = sd_event_source_set_enabled(manager->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(manager->timer, "service-manager");
    uint64_t watchdog = manager->environment.watchdog_usec;
    if (watchdog == 0)
        return 0;
    r = sd_event_add_time(event, &manager->watchdog, CLOCK_MONOTONIC, 0,
                          MAX(watchdog / 8, (uint64_t)1), on_watchdog, manager);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(manager->watchdog, "watchdog");
    return 0;
}

static void freep(struct service_manager **manager)
{
    (void)service_manager_free(*manager);
}

int service_manager_new(struct master *master, const struct service_environment *environment,
                        struct service_manager **ret)
{
    if (!environment->socket)
        return 0;
    CLEANUP(freep) struct service_manager *manager = calloc(1, sizeof(*manager));
    if (!manager)
        return -ENOMEM;
    *manager = (struct service_manager){.master = master, .environment = *environment, .fd = -1};
    if (set_address(manager, environment->socket) < 0) {
        log_warning("NOTIFY_SOCKET %s: only Unix sockets are known here; the service manager is "
                    "told nothing",
                    environment->socket);
        return 0;
    }
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (manager->fd < 0)
        return -errno;
    int r = add_timers(manager);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(manager);
    return 0;
}

struct service_manager *service_manager_free(struct service_manager *manager)
{
    if (!manager)
        return NULL;
    (void)sd_event_source_disable_unref(manager->timer);
    (void)sd_event_source_disable_unref(manager->watchdog);
    (void)fd_close(manager->fd);
    free(manager);
    return NULL;
}
