#include "control/service.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "control/client.h"
#include "control/dispatch.h"

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>

struct service {
    struct client_options options; /* of all clients */
    sd_event *event;
    sd_event_source *reaper;
    struct list clients;
    size_t n_clients;
    struct event_ring events;
    bool keeps_events;
    struct log_limit limit; /* for what clients can make us say */
};

static void remove_client(struct service *service, struct client *client)
{
    service->n_clients--;
    (void)client_free(client);
}

static int on_reaper(UNUSED sd_event_source *source, void *userdata)
{
    struct service *service = userdata;
    LIST_FOREACH_SAFE (client, &service->clients, struct client, in_service)
        if (client->over)
            remove_client(service, client);
    return 0;
}

static void on_closed(struct client *client, const char *reason, void *userdata)
{
    struct service *service = userdata;
    unsigned suppressed;
    /* Its only failure is want of memory; then the next client that leaves takes this one along. */
    (void)sd_event_source_set_enabled(service->reaper, SD_EVENT_ONESHOT);
    if (!reason || !log_limit_pass(&service->limit, &suppressed))
        return;
    log_warning("control: closed a client (pid %d, uid %u): %s", (int)client->peer.pid,
                client->peer.uid, reason);
    if (suppressed > 0)
        log_warning("control: %u more clients were closed before it", suppressed);
}

void service_turn_away(int fd, const char *error)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    if (varlink_encode_error(error, NULL, &text, &size) == 0)
        (void)send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static size_t count_places(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return SERVICE_CLIENTS_MAX / 4;
    return MIN((size_t)limit.rlim_cur / 4, (size_t)SERVICE_CLIENTS_MAX);
}

/* Whoever has asked for nothing for the longest time. */
static bool make_place(struct service *service)
{
    struct client *longest = NULL;
    uint64_t since_usec = UINT64_MAX, usec;
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        if (client->peer.role != CONTROL_ROLE_GATEWAY && client_is_idle(client, &usec) &&
            usec < since_usec) {
            longest = client;
            since_usec = usec;
        }
    if (longest)
        remove_client(service, longest);
    return longest;
}

static size_t count_role(const struct service *service, enum control_role role)
{
    size_t n = 0;
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        n += client->peer.role == role;
    return n;
}

static bool has_place(struct service *service, enum control_role role)
{
    size_t gateway_max = MIN(count_places() / 2, (size_t)SERVICE_GATEWAY_CLIENTS_MAX);
    if (role == CONTROL_ROLE_GATEWAY && count_role(service, role) >= gateway_max)
        return false;
    return service->n_clients < count_places() || make_place(service);
}

int service_add(struct service *service, int fd, const struct control_peer *peer)
{
    CLEANUP_FD int own = fd;
    if (!has_place(service, peer->role)) {
        service_turn_away(own, CONTROL_ERROR_TOO_MANY_CLIENTS);
        return -EBUSY;
    }
    struct client *client;
    int r = client_new(TAKE_FD(own), &service->options, peer, &client);
    if (r < 0)
        return r;
    list_append(&service->clients, &client->in_service);
    service->n_clients++;
    return 0;
}

/* Who asked is not idle, so it is not the one that makes room. */
static int add_another(const struct client *client, int fd, void *userdata)
{
    return service_add(userdata, fd, &client->peer);
}

/* Events */

bool service_is_heard(const struct service *service)
{
    if (service->keeps_events)
        return true;
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        if (client_hears_events(client))
            return true;
    return false;
}

void service_keep_events(struct service *service, bool keep)
{
    service->keeps_events = keep;
    if (!service_is_heard(service))
        event_ring_clear(&service->events);
}

/* One that can't be kept is missed by all who subscribed: its number tells them. The brief one, where that is another. */
static json_t *remember(struct service *service, const struct publication *p)
{
    int r = event_ring_add(&service->events, p->type, p->sequence, p->event);
    if (r != -EMSGSIZE)
        return NULL;
    json_t *brief = event_shorten(p->event);
    if (brief)
        (void)event_ring_add(&service->events, p->type, p->sequence, brief);
    return brief;
}

/* Each may owe as much as it may, but not all of them together. */
static void bound_pending(struct service *service)
{
    for (size_t i = 0; i < 2 * SERVICE_CLIENTS_MAX; i++) {
        struct client *slowest = NULL;
        size_t total = 0;
        LIST_FOREACH (client, &service->clients, struct client, in_service) {
            total += client_pending(client);
            if (!slowest || client_pending(client) > client_pending(slowest))
                slowest = client;
        }
        if (total <= SERVICE_PENDING_MAX)
            break;
        /* What was just queued for it may have room in its socket. */
        if (!client_push(slowest))
            client_close(slowest, "it does not read what it asked for, as too many others do not");
    }
}

void service_publish(struct service *service, const char *type, uint64_t sequence, json_t *event)
{
    if (!service_is_heard(service)) {
        event_ring_clear(&service->events);
        event_ring_skip(&service->events, sequence);
        return;
    }
    struct publication publication = {
        .type = event_filter_type(type), .sequence = sequence, .event = event};
    json_auto_t *brief = remember(service, &publication);
    publication.brief = brief ? brief : event;
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        client_tell(client, &publication);
    bound_pending(service);
}

void service_pass_lines(struct service *service, uint64_t id, json_t *lines)
{
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        client_pass_lines(client, id, lines);
}

void service_answer(struct service *service, uint64_t id, json_t *parameters)
{
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        client_answer(client, id, parameters);
}

/* The end */

/* Sends what can be sent; returns how many clients are still to be waited for. */
static nfds_t flush_all(struct service *service, struct pollfd *fds)
{
    nfds_t n = 0;
    LIST_FOREACH (client, &service->clients, struct client, in_service) {
        int fd = client_flush(client);
        if (fd >= 0)
            fds[n++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    }
    return n;
}

void service_finish(struct service *service, uint64_t deadline_usec)
{
    struct pollfd fds[SERVICE_CLIENTS_MAX];
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        client_finish(client);
    for (;;) {
        nfds_t n = flush_all(service, fds);
        uint64_t now = clock_monotonic_usec();
        if (n == 0 || now >= deadline_usec)
            break;
        if (poll(fds, n, (int)((deadline_usec - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
            break;
    }
}

int service_new(sd_event *event, const struct service_options *options, struct service **ret)
{
    CLEANUP(service_freep) struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return -ENOMEM;
    *service = (struct service){.options = {.event = event,
                                            .ops = options->ops,
                                            .ops_userdata = options->userdata,
                                            .message_timeout_usec = options->message_timeout_usec,
                                            .idle_timeout_usec = options->idle_timeout_usec,
                                            .events = &service->events,
                                            .start = clock_realtime_usec(),
                                            .call = dispatch,
                                            .add = add_another,
                                            .closed = on_closed,
                                            .userdata = service},
                                .event = sd_event_ref(event),
                                .limit = {.interval_usec = 10 * USEC_PER_SEC, .burst = 5}};
    list_init(&service->clients);
    event_ring_init(&service->events);
    int r = sd_event_add_defer(event, &service->reaper, on_reaper, service);
    if (r >= 0)
        r = sd_event_source_set_enabled(service->reaper, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(service->reaper, "control-reaper");
    *ret = TAKE_PTR(service);
    return 0;
}

struct service *service_free(struct service *service)
{
    if (!service)
        return NULL;
    LIST_FOREACH_SAFE (client, &service->clients, struct client, in_service)
        (void)client_free(client);
    event_ring_clear(&service->events);
    (void)sd_event_source_disable_unref(service->reaper);
    (void)sd_event_unref(service->event);
    free(service);
    return NULL;
}
