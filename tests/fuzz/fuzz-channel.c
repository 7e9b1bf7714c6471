/*
 * What a worker may write to its channel: any bytes, in pieces of any size. The first byte of the input is the size of the
 * pieces, so that lines are cut everywhere.
 */
#include "base/fd.h"
#include "base/log.h"
#include "worker/channel.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_received(enum channel_word word UNUSED, json_t *value, void *userdata)
{
    /* Exactly what a status reply or an event does with it. */
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    *(size_t *)userdata += text != NULL;
    free(text);
}

static void on_closed(bool unread UNUSED, void *userdata UNUSED)
{
}

static void run_until_idle(sd_event *event)
{
    while (sd_event_run(event, 0) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct channel_ops ops = {.received = on_received, .closed = on_closed};
    size_t received = 0;
    sd_event *event = NULL;
    struct channel *channel = NULL;
    CLEANUP_FD int fd = -1;
    if (size < 2)
        return 0;
    log_set_level(LOG_LEVEL_ERROR);
    if (sd_event_new(&event) < 0 || channel_new(event, "fuzz/0", &ops, &received, &channel, &fd) < 0)
        abort();
    size_t piece = 1 + data[0];
    for (size_t i = 1; i < size; i += piece) {
        if (send(fd, data + i, MIN(piece, size - i), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
        run_until_idle(event);
    }
    fd = fd_close(fd);
    run_until_idle(event);
    channel_read_rest(channel);
    (void)channel_free(channel);
    (void)sd_event_unref(event);
    return 0;
}
