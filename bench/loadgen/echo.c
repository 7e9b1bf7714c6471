/* echo.c - short connections: a payload out, the same back, our end, the server's end. */
#include "loadgen/requests.h"

static void begin(struct exchange *exchange)
{
    struct load *load = exchange->requests->mode.load;
    exchange->size = 1 + random_next(&load->random) % load->options->echo_bytes;
    exchange->offset = (uint32_t)(random_next(&load->random) % PATTERN_PERIOD);
}

static size_t request(const struct exchange *exchange, const char **ret_data)
{
    *ret_data = pattern_at(&exchange->requests->mode.load->pattern, exchange->offset,
                           exchange->sent);
    return MIN(exchange->size - exchange->sent, (size_t)PATTERN_PIECE_MAX);
}

static enum verdict received(struct exchange *exchange, const char *data, size_t size)
{
    const struct pattern *pattern = &exchange->requests->mode.load->pattern;
    if (exchange->received + size > exchange->sent ||
        !pattern_matches(pattern, exchange->offset, exchange->received, data, size))
        return VERDICT_CORRUPTED;
    return exchange->received + size == exchange->size ? VERDICT_COMPLETE : VERDICT_MORE;
}

static enum verdict ended(struct exchange *exchange UNUSED)
{
    return VERDICT_CUT;
}

static const struct protocol protocol = {
    .name = "echo",
    .begin = begin,
    .request = request,
    .received = received,
    .ended = ended,
};

struct mode *echo_new(struct load *load)
{
    struct requests *requests = requests_new(load, &protocol, load->options->echo_rate);
    return requests ? &requests->mode : NULL;
}
