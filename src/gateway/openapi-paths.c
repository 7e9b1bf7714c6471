/* A table: each path that is no method, in the words of Varlink's language where it takes or answers JSON. */
#include "gateway/openapi-paths.h"

#include "base/macros.h"
#include "gateway/openapi-components.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define TAG_PLAIN  "plain"
#define TAG_WATCH  "watching"
#define TAG_PROBES "probes"
#define TAG_FILES  "files"

#define JSON "application/json"

#define STATS                                                                                      \
    "(result: (master: (pid: int, cpu: float, mem: float, uptime: (days: int, hours: int, "        \
    "minutes: int, seconds: int)), workers: [](pid: int, cpu: float, mem: float), "                \
    "total: (cpu: float, mem: float)))"
#define WAIT "(wait: ?int)"

static const struct path {
    const char *path, *id, *tag, *summary, *description;
    const char *type;    /* of what is answered */
    const char *reply;   /* its type, where that is JSON */
    const char *query;   /* a struct of parameters, or NULL */
    const char *failure; /* what 503 means, or NULL: as everywhere */
    bool acts;           /* POST is understood, too */
} table[] = {
    {.path = "/help",
     .id = "Help",
     .tag = TAG_PLAIN,
     .summary = "The plain paths, and what they do",
     .type = JSON,
     .reply = "(result: object)"},
    {.path = "/stats",
     .id = "Stats",
     .tag = TAG_PLAIN,
     .summary = "The master and its workers: processor time and memory",
     .description = "cpu in percent of one processor, mem in MB, of each worker with all its "
                    "processes; total is the sum.",
     .type = JSON,
     .reply = STATS},
    {.path = "/info",
     .id = "Info",
     .tag = TAG_PLAIN,
     .summary = "The same as /stats",
     .type = JSON,
     .reply = STATS},
    {.path = "/reload",
     .id = "Reload",
     .tag = TAG_PLAIN,
     .summary = "Reads the configuration again and replaces the workers",
     .description = "Answers `accepted` at once; with `wait=1` when the reload has ended, and how. "
                    "/v1/reload tells more.",
     .type = JSON,
     .reply = "(result: object)",
     .query = WAIT,
     .acts = true},
    {.path = "/restart",
     .id = "Restart",
     .tag = TAG_PLAIN,
     .summary = "The same as /reload, which its users mean by it",
     .type = JSON,
     .reply = "(result: object)",
     .query = WAIT,
     .acts = true},
    {.path = "/quit",
     .id = "Quit",
     .tag = TAG_PLAIN,
     .summary = "Ends the reloader gracefully",
     .type = JSON,
     .reply = "(result: object)",
     .query = WAIT,
     .acts = true},
    {.path = "/events",
     .id = "Events",
     .tag = TAG_WATCH,
     .summary = "Events as they come, as server-sent events",
     .description = "Each has an id; with Last-Event-ID those that were missed come first, as far "
                    "as they are kept.",
     .type = "text/event-stream"},
    {.path = "/metrics",
     .id = "Metrics",
     .tag = TAG_WATCH,
     .summary = "Counters and gauges for Prometheus",
     .description = "OpenMetrics, or the older text format for who does not accept it.",
     .type = "application/openmetrics-text"},
    {.path = "/healthz",
     .id = "Health",
     .tag = TAG_PROBES,
     .summary = "Whether the gateway lives and has a master",
     .type = "text/plain",
     .failure = "There is no master."},
    {.path = "/readyz",
     .id = "Readiness",
     .tag = TAG_PROBES,
     .summary = "Whether the gateway takes requests",
     .type = "text/plain",
     .failure = "It drains, or there is no master."},
    {.path = "/",
     .id = "Page",
     .tag = TAG_FILES,
     .summary = "The page for a browser",
     .type = "text/html"},
    {.path = "/v1/openapi.json",
     .id = "Description",
     .tag = TAG_FILES,
     .summary = "This description",
     .type = JSON,
     .reply = "object"},
};

static const struct tag {
    const char *name, *description;
} tags[] = {
    {OPENAPI_TAG_METHODS, "The methods of the control socket."},
    {TAG_PLAIN, "For scripts: a few words, {\"result\":…} or {\"error\":…}."},
    {TAG_WATCH, "For monitoring."},
    {TAG_PROBES, "For load balancers and orchestrators."},
    {TAG_FILES, "For browsers and tools."},
};

json_t *openapi_tags(void)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; list && i < ARRAY_SIZE(tags); i++)
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "name", tags[i].name, "description",
                                                  tags[i].description)) < 0)
            return NULL;
    return json_incref(list);
}

static bool is_plain(const struct path *path)
{
    return strcmp(path->tag, TAG_PLAIN) == 0;
}

/* All of them may be left out. */
static int add_query(json_t *operation, const struct path *path)
{
    json_auto_t *list = json_array(), *type = path->query ? openapi_schema(path->query) : NULL;
    const char *name;
    json_t *schema;
    if (!path->query)
        return 0;
    if (!list || !type)
        return -ENOMEM;
    json_object_foreach(json_object_get(type, "properties"), name, schema)
    {
        if (json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "name", name, "in", "query",
                                                  "schema", schema)) < 0)
            return -ENOMEM;
    }
    return openapi_put(operation, "parameters", json_incref(list));
}

static json_t *describe_reply(const struct path *path)
{
    json_t *schema = openapi_schema(path->reply ? path->reply : "string");
    return json_pack("{s:s, s:{s:{s:o}}}", "description", path->summary, "content", path->type,
                     "schema", schema);
}

/* Those of plain paths tell their errors in their own way. */
static json_t *describe_failure(const struct path *path)
{
    const char *text = path->failure ? path->failure : "Any error.";
    if (path->failure)
        return json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", text, "content", path->type,
                         "schema", "type", "string");
    json_t *schema = openapi_schema("(error: string)");
    return json_pack("{s:s, s:{s:{s:o}}}", "description", text, "content", JSON, "schema", schema);
}

static json_t *describe_responses(const struct path *path)
{
    json_auto_t *responses = json_object();
    int r = responses ? openapi_put(responses, "200", describe_reply(path)) : -ENOMEM;
    if (r == 0 && path->failure)
        r = openapi_put(responses, "503", describe_failure(path));
    if (r == 0 && is_plain(path))
        r = openapi_put(responses, "default", describe_failure(path));
    else if (r == 0)
        r = openapi_add_response(responses, 0);
    return r < 0 ? NULL : json_incref(responses);
}

/* Identifiers have to be different for each method of a path. */
static json_t *describe_operation(const struct path *path, const char *prefix)
{
    json_auto_t *operation = json_pack("{s:s+, s:[s], s:s, s:s*, s:o}", "operationId", prefix,
                                       path->id, "tags", path->tag, "summary", path->summary,
                                       "description", path->description, "responses",
                                       describe_responses(path));
    return operation && add_query(operation, path) == 0 ? json_incref(operation) : NULL;
}

static json_t *describe_path(const struct path *path)
{
    json_auto_t *item = json_object();
    int r = item ? openapi_put(item, "get", describe_operation(path, "get")) : -ENOMEM;
    if (r == 0 && path->acts)
        r = openapi_put(item, "post", describe_operation(path, "post"));
    return r < 0 ? NULL : json_incref(item);
}

int openapi_add_paths(json_t *paths)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(table); i++)
        r = openapi_put(paths, table[i].path, describe_path(&table[i]));
    return r;
}
