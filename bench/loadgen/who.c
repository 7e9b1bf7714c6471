/* who.c - asks an echo server that was started with --who for its identity, one line. */
#include "loadgen/requests.h"

#include "base/clock.h"

#include <string.h>

static const char question[] = "WHO\n";

static void begin(struct exchange *exchange UNUSED)
{
}

static size_t request(const struct exchange *exchange, const char **ret_data)
{
    *ret_data = question + exchange->sent;
    return strlen(question) - exchange->sent;
}

static enum verdict received(struct exchange *exchange, const char *data, size_t size)
{
    if (exchange->received + size >= sizeof(exchange->line))
        return VERDICT_CORRUPTED;
    memcpy(exchange->line + exchange->received, data, size);
    char *end = memchr(exchange->line, '\n', exchange->received + size);
    if (!end)
        return VERDICT_MORE;
    *end = '\0';
    if (end + 1 != exchange->line + exchange->received + size ||
        strncmp(exchange->line, "WHO", 3) == 0)
        return VERDICT_CORRUPTED;
    if (servers_add(&exchange->requests->mode.load->servers, exchange->line, clock_monotonic_usec(),
                    NULL) < 0)
        return VERDICT_CORRUPTED;
    return VERDICT_COMPLETE;
}

static enum verdict ended(struct exchange *exchange UNUSED)
{
    return VERDICT_CUT;
}

static const struct protocol protocol = {
    .name = "who",
    .begin = begin,
    .request = request,
    .received = received,
    .ended = ended,
};

struct mode *who_new(struct load *load)
{
    struct requests *requests = requests_new(load, &protocol, load->options->who_rate);
    return requests ? &requests->mode : NULL;
}
