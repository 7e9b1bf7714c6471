#include "reloaderctl/live.h"

#include "base/clock.h"
#include "reloaderctl/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* How long drawing waits for an answer; one that comes later is taken the next time. */
#define ANSWER_USEC (50 * USEC_PER_MSEC)

#define FINISH_USEC USEC_PER_SEC

void live_begin(struct live *live, bool on, const char *socket, json_t *status)
{
    CLEANUP_FREE char *error = NULL;
    *live = (struct live){.on = on, .observer = {.fd = -1}, .began_usec = clock_monotonic_usec()};
    progress_init(&live->progress, status);
    if (on)
        (void)client_connect(socket, &live->observer, &error);
}

void live_clear(struct live *live)
{
    progress_clear(&live->progress);
    client_close(&live->observer);
}

void live_draw(struct live *live)
{
    if (!live->on)
        return;
    struct screen screen = screen_look(STDOUT_FILENO);
    char *text = NULL;
    size_t size;
    /* In one piece, so that it does not flicker. */
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    progress_draw(&live->progress, &screen, clock_monotonic_usec() - live->began_usec, stream);
    if (fclose(stream) != 0)
        die_of_memory();
    (void)fwrite(text, 1, size, stdout);
    (void)fflush(stdout);
    free(text);
}

static int look(struct live *live, uint64_t patience_usec)
{
    CLEANUP_REPLY struct client_reply reply = {0};
    int r = live->asked ? 0 : client_call(&live->observer, "Status", NULL, false);
    if (r < 0)
        return r;
    live->asked = true;
    r = client_receive(&live->observer, patience_usec, &reply);
    if (r < 0)
        return r == -ETIMEDOUT ? 0 : r;
    live->asked = false;
    if (reply.error)
        return -EPERM;
    numbers_add(reply.parameters, live->observer.pid, false);
    progress_look(&live->progress, reply.parameters);
    return 0;
}

void live_look(struct live *live)
{
    uint64_t now = clock_monotonic_usec();
    if (live->on && live->observer.fd >= 0 && now - live->looked_usec >= LIVE_REDRAW_USEC) {
        live->looked_usec = now;
        if (look(live, ANSWER_USEC) < 0)
            client_close(&live->observer);
    }
    live_draw(live);
}

void live_finish(struct live *live)
{
    if (live->on && live->observer.fd >= 0) {
        /* The answer to an earlier question would be of before the end. */
        bool late = live->asked;
        int r = look(live, FINISH_USEC);
        if (r == 0 && late && !live->asked)
            (void)look(live, FINISH_USEC);
    }
    live_draw(live);
}
