#include "logger/tap.h"

#include "base/clock.h"
#include "base/lines.h"
#include "base/message.h"
#include "base/strv.h"
#include "logger/logger.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

/* A message costs the master more than its bytes. */
#define MESSAGE_COST 512

static bool has_room(struct logger *logger, size_t cost)
{
    struct tap_budget *budget = &logger->tap;
    uint64_t now = clock_monotonic_usec();
    uint64_t earned = MIN(now - budget->usec, USEC_PER_SEC) * TAP_RATE / USEC_PER_SEC;
    int queued = 0;
    if (earned > 0) {
        budget->bytes = MIN(budget->bytes + earned, (uint64_t)TAP_RATE);
        budget->usec = now;
    }
    if (logger->master < 0 || budget->bytes < cost)
        return false;
    /* The socket's other room is for words that matter. */
    return ioctl(logger->master, SIOCOUTQ, &queued) == 0 && queued < TAP_QUEUE;
}

static char *make_text(const char *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i++)
        text[i] = data[i] != '\0' ? data[i] : '?';
    text[size] = '\0';
    return text;
}

static int send_lines(struct stream *stream, const char *data, size_t size)
{
    struct logger *logger = stream->logger;
    CLEANUP_STRV char **fields = NULL;
    CLEANUP_FREE char *text = make_text(data, size);
    if (!has_room(logger, size + MESSAGE_COST))
        return -EAGAIN;
    if (!text || strv_appendf(&fields, "TYPE=lines") < 0 ||
        strv_appendf(&fields, "NUMBER=%" PRIu64, stream->number) < 0 ||
        strv_appendf(&fields, "MISSED=%" PRIu64, stream->tap_missed) < 0 ||
        strv_appendf(&fields, "TEXT=%s", text) < 0)
        return -ENOMEM;
    int r = message_send(logger->master, fields, -1);
    if (r < 0)
        return r;
    stream->tap_missed = 0;
    logger->tap.bytes -= size + MESSAGE_COST;
    return 0;
}

void tap_lines(struct stream *stream, const char *data, size_t size)
{
    while (size > 0) {
        size_t part = lines_fitting(data, size, TAP_LINE_MAX);
        bool fits = part > 0;
        if (!fits)
            part = lines_first(data, size);
        if (!fits || send_lines(stream, data, part) < 0)
            stream->tap_missed += lines_count(data, part);
        data += part;
        size -= part;
    }
}

bool tap_tell_missed(struct stream *stream)
{
    if (stream->tapped && stream->tap_missed > 0)
        (void)send_lines(stream, "", 0);
    return stream->tapped && stream->tap_missed > 0;
}
