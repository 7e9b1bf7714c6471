/*
 * The socket: bound, its peers judged, its clients handed to the service. Whoever may not come in is told so and closed
 * before any of his bytes is read.
 */
#include "control/control.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "control/bind.h"
#include "control/client.h"
#include "control/peer.h"
#include "control/service.h"
#include "net/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MESSAGE_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define IDLE_TIMEOUT_USEC    (300 * USEC_PER_SEC)
#define FINISH_TIMEOUT_USEC  (USEC_PER_SEC / 2)
#define ACCEPT_PAUSE_USEC    USEC_PER_SEC

struct control {
    sd_event *event;           /* borrowed */
    struct listener *listener; /* NULL: there is no socket */
    struct service *service;
    bool has_gateway; /* it was connected once */
    sd_event_source *accept; /* likewise */
    sd_event_source *resume; /* only while accepting is paused */
    bool paused;             /* said once until a client could be accepted again */
    struct config_id owner, group;
    struct log_limit limit; /* for who is turned away */
};

/* Peers */

/* 1 welcome, 0 not, or -errno. */
static int judge(const struct control *control, int fd, const struct ucred *peer)
{
    if (peer->uid == 0 || peer->uid == geteuid() ||
        (control->owner.set && peer->uid == control->owner.id))
        return 1;
    return control->group.set ? peer_is_in_group(fd, peer, control->group.id) : 0;
}

static void turn_away(struct control *control, int fd, const struct ucred *peer)
{
    unsigned suppressed;
    service_turn_away(fd, CONTROL_ERROR_PERMISSION_DENIED);
    if (!log_limit_pass(&control->limit, &suppressed))
        return;
    log_warning("control: turned away pid %d of uid %u: neither root nor our user%s",
                (int)peer->pid, peer->uid,
                control->group.set ? " nor in control.group" : "; control.group is not set");
    if (suppressed > 0)
        log_warning("control: %u more were turned away before it", suppressed);
}

static void welcome(struct control *control, int fd)
{
    CLEANUP_FD int own = fd;
    struct ucred peer;
    int r = peer_get(own, &peer);
    if (r == 0)
        r = judge(control, own, &peer);
    if (r == 0) {
        turn_away(control, own, &peer);
        return;
    }
    const struct control_peer who = {
        .pid = peer.pid, .uid = peer.uid, .role = CONTROL_ROLE_OPERATOR};
    if (r > 0)
        r = service_add(control->service, TAKE_FD(own), &who);
    unsigned suppressed;
    if (r < 0 && log_limit_pass(&control->limit, &suppressed))
        log_warning("control: a client could not be served: %s",
                    r == -EBUSY ? "all places for clients are taken" : strerror(-r));
}

/* Accepting */

static int on_resume(UNUSED sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    struct control *control = userdata;
    (void)sd_event_source_set_enabled(control->accept, SD_EVENT_ON);
    return 0;
}

/* Without descriptors or memory a level-triggered listener would spin: look away for a while. */
static void pause_accepting(struct control *control, int error)
{
    if (!control->paused)
        log_error("control: cannot accept clients: %s; trying again until it works",
                  strerror(error));
    control->paused = true;
    if (sd_event_source_set_time_relative(control->resume, ACCEPT_PAUSE_USEC) < 0 ||
        sd_event_source_set_enabled(control->resume, SD_EVENT_ONESHOT) < 0)
        return;
    (void)sd_event_source_set_enabled(control->accept, SD_EVENT_OFF);
}

static int on_accept(UNUSED sd_event_source *source, int fd, UNUSED uint32_t events, void *userdata)
{
    struct control *control = userdata;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(control, errno);
        return 0;
    }
    if (control->paused)
        log_info("control: accepting clients again");
    control->paused = false;
    welcome(control, client);
    return 0;
}

/* Switched off. */
static int add_accept(struct control *control, const struct listener *listener,
                      sd_event_source **ret)
{
    sd_event_source *source = NULL;
    int r = sd_event_add_io(control->event, &source, listener_fd(listener, 0), EPOLLIN, on_accept,
                            control);
    if (r >= 0)
        r = sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (r < 0) {
        (void)sd_event_source_disable_unref(source);
        return r;
    }
    (void)sd_event_source_set_description(source, "control-accept");
    *ret = source;
    return 0;
}

static int add_resume(struct control *control)
{
    int r = sd_event_add_time(control->event, &control->resume, CLOCK_MONOTONIC, USEC_INFINITY, 0,
                              on_resume, control);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(control->resume, "control-resume");
    return sd_event_source_set_enabled(control->resume, SD_EVENT_OFF);
}

static int start_service(struct control *control, const struct control_settings *settings,
                         const struct control_ops *ops, void *userdata)
{
    const struct service_options options = {
        .ops = ops,
        .userdata = userdata,
        .message_timeout_usec = settings->message_timeout_usec ? settings->message_timeout_usec
                                                               : MESSAGE_TIMEOUT_USEC,
        .idle_timeout_usec = settings->idle_timeout_usec ? settings->idle_timeout_usec
                                                         : IDLE_TIMEOUT_USEC,
    };
    int r = service_new(control->event, &options, &control->service);
    return r < 0 ? r : add_resume(control);
}

/* Settings on their way */

struct control_change {
    struct listener *listener;        /* NULL: there will be no socket */
    sd_event_source *accept;          /* of a new one; off; NULL: that one is served already */
    struct control_settings settings; /* without the path */
};

struct control_change *control_change_free(struct control_change *change)
{
    if (!change)
        return NULL;
    (void)sd_event_source_disable_unref(change->accept);
    (void)listener_unref(change->listener);
    free(change);
    return NULL;
}

static bool is_at(const struct listener *listener, const char *path)
{
    return listener && listener->n_sockets > 0 &&
           strcmp(address_unix_path(&listener->sockets[0]->address), path) == 0;
}

static int find_or_bind(struct control *control, const struct control_settings *settings,
                        struct control_change *other, struct control_change *change,
                        char **ret_error)
{
    const struct listener_options options = control_listener_options(settings);
    struct listener *known = is_at(control->listener, settings->path)          ? control->listener
                             : other && is_at(other->listener, settings->path) ? other->listener
                                                                               : NULL;
    int r = known ? listener_try_change(known, &options, ret_error)
                  : control_bind(settings, &change->listener, ret_error);
    if (r < 0)
        return r;
    if (known)
        change->listener = listener_ref(known);
    if (known && known == control->listener)
        return 0;
    r = add_accept(control, change->listener, &change->accept);
    return r < 0 ? control_fail(ret_error, r, settings->path, "the control socket cannot be served")
                 : 0;
}

int control_prepare(struct control *control, const struct control_settings *settings,
                    struct control_change *other, struct control_change **ret, char **ret_error)
{
    CLEANUP(control_change_freep) struct control_change *change = calloc(1, sizeof(*change));
    if (!change)
        return -ENOMEM;
    change->settings = *settings;
    change->settings.path = NULL;
    int r = settings->path ? find_or_bind(control, settings, other, change, ret_error) : 0;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(change);
    return 0;
}

/* For whoever may come: by the socket, or a gateway that was killed. */
static void keep_events(const struct control *control)
{
    service_keep_events(control->service, control->listener || control->has_gateway);
}

static void swap_sockets(struct control *control, struct control_change *change)
{
    (void)sd_event_source_set_enabled(control->resume, SD_EVENT_OFF);
    control->accept = sd_event_source_disable_unref(control->accept);
    (void)listener_unref(control->listener);
    control->listener = TAKE_PTR(change->listener);
    control->accept = TAKE_PTR(change->accept);
    keep_events(control);
    if (control->accept)
        (void)sd_event_source_set_enabled(control->accept, SD_EVENT_ON);
    if (control->listener)
        log_info("control: serves on %s now",
                 address_unix_path(&control->listener->sockets[0]->address));
    else
        log_info("control: serves on no socket any more");
}

void control_move(struct control *control, struct control_change *change)
{
    control->owner = change->settings.owner;
    control->group = change->settings.group;
    if (change->listener != control->listener)
        swap_sockets(control, change);
    if (!control->listener)
        return;
    const struct listener_options options = control_listener_options(&change->settings);
    CLEANUP_FREE char *warning = NULL, *error = NULL;
    int r = listener_change(control->listener, control->listener->name, &options, &warning, &error);
    if (r < 0)
        log_error("control: %s", error ? error : strerror(-r));
}

int control_new(sd_event *event, const struct control_settings *settings,
                const struct control_ops *ops, void *userdata, struct control **ret,
                char **ret_error)
{
    CLEANUP(control_freep) struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return control_fail(ret_error, -ENOMEM, settings->path,
                            "the control socket cannot be served");
    *control = (struct control){.event = event,
                                .owner = settings->owner,
                                .group = settings->group,
                                .limit = {.interval_usec = 10 * USEC_PER_SEC, .burst = 5}};
    int r = settings->path ? control_bind(settings, &control->listener, ret_error) : 0;
    if (r < 0)
        return r;
    r = start_service(control, settings, ops, userdata);
    if (r == 0 && control->listener)
        r = add_accept(control, control->listener, &control->accept);
    if (r == 0 && control->accept)
        r = sd_event_source_set_enabled(control->accept, SD_EVENT_ON);
    if (r < 0)
        return control_fail(ret_error, r, settings->path, "the control socket cannot be served");
    keep_events(control);
    *ret = TAKE_PTR(control);
    return 0;
}

void control_publish(struct control *control, const char *type, uint64_t sequence, json_t *event)
{
    if (control)
        service_publish(control->service, type, sequence, event);
}

void control_pass_lines(struct control *control, uint64_t id, json_t *lines)
{
    if (control)
        service_pass_lines(control->service, id, lines);
}

void control_answer(struct control *control, uint64_t id, json_t *parameters)
{
    if (control)
        service_answer(control->service, id, parameters);
}

int control_connect_gateway(struct control *control, int fd, const struct ucred *peer)
{
    const struct control_peer who = {
        .pid = peer->pid, .uid = peer->uid, .role = CONTROL_ROLE_GATEWAY};
    if (control)
        return service_add(control->service, fd, &who);
    (void)fd_close(fd);
    return -ENOTCONN;
}

bool control_is_heard(const struct control *control)
{
    return control && service_is_heard(control->service);
}

void control_finish(struct control *control)
{
    if (!control)
        return;
    control->accept = sd_event_source_disable_unref(control->accept);
    control->resume = sd_event_source_disable_unref(control->resume);
    service_finish(control->service, clock_monotonic_usec() + FINISH_TIMEOUT_USEC);
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;
    (void)sd_event_source_disable_unref(control->accept);
    (void)sd_event_source_disable_unref(control->resume);
    (void)service_free(control->service);
    (void)listener_unref(control->listener);
    free(control);
    return NULL;
}
