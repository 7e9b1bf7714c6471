#include "probe/transfers.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/epoll.h>

struct transfers {
    sd_event *event;
    CURLM *multi;
    sd_event_source *timer;
    void (*ended)(void *userdata, CURL *easy, CURLcode result);
};

static void look_for_ends(struct transfers *transfers)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(transfers->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        void *userdata = NULL;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&userdata);
        (void)curl_multi_remove_handle(transfers->multi, easy);
        transfers->ended(userdata, easy, result);
    }
}

static int on_socket(sd_event_source *source UNUSED, int fd, uint32_t revents, void *userdata)
{
    struct transfers *transfers = userdata;
    int events = (revents & EPOLLIN ? CURL_CSELECT_IN : 0) |
                 (revents & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                 (revents & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    int running;
    (void)curl_multi_socket_action(transfers->multi, fd, events, &running);
    look_for_ends(transfers);
    return 0;
}

static int on_timer(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct transfers *transfers = userdata;
    int running;
    (void)curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ends(transfers);
    return 0;
}

static uint32_t epoll_events(int what)
{
    return (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? (uint32_t)EPOLLIN : 0) |
           (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? (uint32_t)EPOLLOUT : 0);
}

/* `known` is what was assigned to the socket. */
static int watch_socket(CURL *easy UNUSED, curl_socket_t fd, int what, void *userdata, void *known)
{
    struct transfers *transfers = userdata;
    sd_event_source *source = known;
    if (what == CURL_POLL_REMOVE) {
        (void)sd_event_source_disable_unref(source);
        (void)curl_multi_assign(transfers->multi, fd, NULL);
        return 0;
    }
    if (source)
        return sd_event_source_set_io_events(source, epoll_events(what)) < 0 ? -1 : 0;
    if (sd_event_add_io(transfers->event, &source, fd, epoll_events(what), on_socket, transfers) <
        0)
        return -1;
    (void)curl_multi_assign(transfers->multi, fd, source);
    return 0;
}

static int set_timer(CURLM *multi UNUSED, long msec, void *userdata)
{
    struct transfers *transfers = userdata;
    if (msec < 0)
        return sd_event_source_set_enabled(transfers->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    uint64_t at = clock_monotonic_usec() + (uint64_t)msec * USEC_PER_MSEC;
    (void)sd_event_source_set_time(transfers->timer, at);
    return sd_event_source_set_enabled(transfers->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int transfers_new(sd_event *event, void (*ended)(void *userdata, CURL *easy, CURLcode result),
                  struct transfers **ret)
{
    CLEANUP(transfers_freep) struct transfers *transfers = calloc(1, sizeof(*transfers));
    if (!transfers)
        return -ENOMEM;
    transfers->event = event;
    transfers->ended = ended;
    transfers->multi = curl_multi_init();
    if (!transfers->multi)
        return -ENOMEM;
    int r = sd_event_add_time(event, &transfers->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer,
                              transfers);
    if (r >= 0)
        r = sd_event_source_set_enabled(transfers->timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
    *ret = TAKE_PTR(transfers);
    return 0;
}

struct transfers *transfers_free(struct transfers *transfers)
{
    if (!transfers)
        return NULL;
    (void)curl_multi_cleanup(transfers->multi);
    (void)sd_event_source_disable_unref(transfers->timer);
    free(transfers);
    return NULL;
}

int transfers_add(struct transfers *transfers, CURL *easy)
{
    return curl_multi_add_handle(transfers->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void transfers_remove(struct transfers *transfers, CURL *easy)
{
    (void)curl_multi_remove_handle(transfers->multi, easy);
}
