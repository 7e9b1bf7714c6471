/* http.c - GET requests, each on a connection of its own or on connections that are kept. */
#include "loadgen/requests.h"

#include "base/clock.h"
#include "base/strv.h"

#include <string.h>

static void begin(struct exchange *exchange)
{
    http_reply_begin(&exchange->reply, exchange->requests->mode.load->options->http_identity);
}

static size_t request(const struct exchange *exchange, const char **ret_data)
{
    *ret_data = exchange->requests->request + exchange->sent;
    return strlen(*ret_data);
}

static enum verdict judge_complete(const struct exchange *exchange)
{
    struct load *load = exchange->requests->mode.load;
    const struct http_reply *reply = &exchange->reply;
    const char *body = load->options->http_body;
    if (reply->status / 100 != 2)
        return VERDICT_BAD_STATUS;
    if (body && (reply->body_size != strlen(body) ||
                 memcmp(reply->body, body, MIN(reply->body_size, (size_t)HTTP_BODY_KEPT)) != 0))
        return VERDICT_CORRUPTED;
    if (reply->identity[0] != '\0' &&
        servers_add(&load->servers, reply->identity, clock_monotonic_usec(), NULL) < 0)
        return VERDICT_CORRUPTED;
    return VERDICT_COMPLETE;
}

static enum verdict received(struct exchange *exchange, const char *data, size_t size)
{
    if (!http_reply_feed(&exchange->reply, data, size))
        return VERDICT_CORRUPTED;
    return exchange->reply.state == HTTP_COMPLETE ? judge_complete(exchange) : VERDICT_MORE;
}

static enum verdict ended(struct exchange *exchange)
{
    return http_reply_end(&exchange->reply) ? judge_complete(exchange) : VERDICT_CUT;
}

static bool keeps(const struct exchange *exchange)
{
    return exchange->reply.keep_alive;
}

static const struct protocol protocol = {
    .name = "http",
    .begin = begin,
    .request = request,
    .received = received,
    .ended = ended,
    .keeps = keeps,
};

struct mode *http_new(struct load *load)
{
    const struct options *options = load->options;
    struct requests *requests = requests_new(load, &protocol, options->http_rate);
    if (!requests)
        return NULL;
    requests->max_idle = options->http_keep_alive;
    requests->request = string_format(
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n", options->http_path,
        options->http_keep_alive > 0 ? "keep-alive" : "close");
    return requests->request ? &requests->mode : requests_free(&requests->mode);
}
