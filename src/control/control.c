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
#include "control/methods.h"
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
#define BACKLOG              SERVICE_CLIENTS_MAX

struct control {
    struct listener *listener;
    struct service *service;
    sd_event_source *accept;
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
    service_turn_away(fd, SERVICE_ERROR_PERMISSION_DENIED);
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
    if (r > 0)
        r = service_add(control->service, TAKE_FD(own), &peer, CONTROL_ROLE_OPERATOR);
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

/* Binding */

static int set_error(char **ret_error, int r, const char *path, const char *what)
{
    *ret_error = string_format("%s: %s: %s", path, what, strerror(-r));
    return r;
}

/* The socket was made with mode 0600: until here only root and our own user could connect. */
static int set_access(const struct control_settings *settings, char **ret_error)
{
    if (settings->owner.set && lchown(settings->path, settings->owner.id, (gid_t)-1) < 0)
        return set_error(ret_error, -errno, settings->path,
                         "the control socket cannot be given to control.owner (only root may give "
                         "it away)");
    if (settings->group.set && lchown(settings->path, (uid_t)-1, settings->group.id) < 0)
        return set_error(
            ret_error, -errno, settings->path,
            "the control socket cannot be given to control.group (only root may give it to a group "
            "that it is not in)");
    if (chmod(settings->path, settings->mode) < 0)
        return set_error(ret_error, -errno, settings->path,
                         "the control socket's mode cannot be set");
    return 0;
}

static int bind_socket(const struct control_settings *settings, struct listener **ret,
                       char **ret_error)
{
    static const struct listener_options options = {
        .backlog = BACKLOG, .nonblocking = true, .mode_set = true, .mode = 0600};
    CLEANUP_FREE char *text = string_format("unix:%s", settings->path);
    struct address address;
    const char *reason = "out of memory";
    if (!text || address_parse(text, &address, &reason) < 0) {
        *ret_error = string_format("control.socket %s: %s", settings->path, reason);
        return -EINVAL;
    }
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    pid_t owner;
    int r = listener_new("control", &address, 1, &options, &listener, &error);
    if (r == -EADDRINUSE && peer_of_listener(settings->path, &owner) == 0) {
        *ret_error = string_format(
            "%s: the master with pid %d serves this control socket; stop it with "
            "`reloaderctl -s %s shutdown`, or set another control.socket or runtime_directory",
            settings->path, (int)owner, settings->path);
        return r;
    }
    if (r < 0) {
        *ret_error = error ? TAKE_PTR(error)
                           : string_format("%s: %s", settings->path, strerror(-r));
        return r;
    }
    r = set_access(settings, ret_error);
    if (r == 0)
        *ret = TAKE_PTR(listener);
    return r;
}

static int add_sources(struct control *control, sd_event *event)
{
    int r = sd_event_add_io(event, &control->accept, listener_fd(control->listener, 0), EPOLLIN,
                            on_accept, control);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(control->accept, "control-accept");
    r = sd_event_add_time(event, &control->resume, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_resume,
                          control);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(control->resume, "control-resume");
    return sd_event_source_set_enabled(control->resume, SD_EVENT_OFF);
}

static int start_service(struct control *control, sd_event *event,
                         const struct control_settings *settings, const struct control_ops *ops,
                         void *userdata)
{
    const struct service_options options = {
        .interfaces = methods_interfaces,
        .n_interfaces = methods_n_interfaces,
        .ops = ops,
        .userdata = userdata,
        .message_timeout_usec = settings->message_timeout_usec ? settings->message_timeout_usec
                                                               : MESSAGE_TIMEOUT_USEC,
        .idle_timeout_usec = settings->idle_timeout_usec ? settings->idle_timeout_usec
                                                         : IDLE_TIMEOUT_USEC,
    };
    int r = service_new(event, &options, &control->service);
    return r < 0 ? r : add_sources(control, event);
}

int control_new(sd_event *event, const struct control_settings *settings,
                const struct control_ops *ops, void *userdata, struct control **ret,
                char **ret_error)
{
    CLEANUP(control_freep) struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return set_error(ret_error, -ENOMEM, settings->path, "the control socket cannot be served");
    *control = (struct control){.owner = settings->owner,
                                .group = settings->group,
                                .limit = {.interval_usec = 10 * USEC_PER_SEC, .burst = 5}};
    int r = bind_socket(settings, &control->listener, ret_error);
    if (r < 0)
        return r;
    r = start_service(control, event, settings, ops, userdata);
    if (r < 0)
        return set_error(ret_error, r, settings->path, "the control socket cannot be served");
    *ret = TAKE_PTR(control);
    return 0;
}

void control_publish(struct control *control, const char *type, uint64_t sequence, json_t *event)
{
    if (control)
        service_publish(control->service, type, sequence, event);
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
