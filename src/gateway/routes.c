/* The paths. Whatever answers one has a file of its own. */
#include "gateway/gateway.h"

#include <string.h>

#include "gateway/plain.h"
#include "gateway/probes.h"
#include "gateway/metrics.h"
#include "gateway/v1.h"
#include "gateway/events.h"
#if __has_include("gateway/page.h")
#include "gateway/page.h"
#endif

/* clang-format off */
const struct http_route gateway_routes[] = {
    {.path = "/help",    .methods = HTTP_GET, .plain = true, .handle = plain_help},
    {.path = "/stats",   .methods = HTTP_GET, .plain = true, .handle = plain_stats},
    {.path = "/info",    .methods = HTTP_GET, .plain = true, .handle = plain_stats},
    {.path = "/reload",  .methods = HTTP_GET | HTTP_POST, .acts = HTTP_GET | HTTP_POST, .plain = true, .handle = plain_reload},
    {.path = "/restart", .methods = HTTP_GET | HTTP_POST, .acts = HTTP_GET | HTTP_POST, .plain = true, .handle = plain_reload},
    {.path = "/quit",    .methods = HTTP_GET | HTTP_POST, .acts = HTTP_GET | HTTP_POST, .plain = true, .handle = plain_quit},
    {.path = "/healthz", .methods = HTTP_GET, .public = HTTP_PUBLIC_HEALTHZ, .plain = true, .handle = probes_healthz},
    {.path = "/readyz",  .methods = HTTP_GET, .public = HTTP_PUBLIC_READYZ, .plain = true, .handle = probes_readyz},
    {.path = "/metrics", .methods = HTTP_GET, .public = HTTP_PUBLIC_METRICS, .plain = true, .handle = metrics_handle},
    {.path = "/v1/openapi.json", .methods = HTTP_GET, .handle = v1_openapi},
    {.path = "/v1/",     .methods = HTTP_GET | HTTP_POST, .acts = HTTP_POST, .handle = v1_handle},
    {.path = "/events",  .methods = HTTP_GET, .plain = true, .handle = events_handle},
#if __has_include("gateway/page.h")
    {.path = "/",        .methods = HTTP_GET, .plain = true, .handle = page_handle},
    {.path = "/page/",   .methods = HTTP_GET, .plain = true, .handle = page_handle},
#endif
    {.path = NULL},
};
/* clang-format on */

static bool matches(const struct http_route *route, const char *path)
{
    size_t length = strlen(route->path);
    bool is_folder = length > 1 && route->path[length - 1] == '/';
    return is_folder ? strncmp(path, route->path, length) == 0 : strcmp(path, route->path) == 0;
}

const struct http_route *route_find(const char *path)
{
    for (const struct http_route *route = gateway_routes; route->path; route++)
        if (matches(route, path))
            return route;
    return NULL;
}
