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

#define JSON         "application/json"
#define OPENAPI_PATH "/v1/openapi.json"

#define STATS                                                                                      \
    "(result: (master: (pid: int, cpu: float, mem: float, uptime: (days: int, hours: int, "        \
    "minutes: int, seconds: int)), workers: [](pid: int, cpu: float, mem: float), "                \
    "total: (cpu: float, mem: float)))"
#define WORD "(result: string)"
#define WAIT                                                                                       \
    {                                                                                              \
        {                                                                                          \
            "wait", "string", "1: the answer comes when it has ended, and says how.", false        \
        }                                                                                          \
    }

/* May be left out, all of them. */
struct parameter {
    const char *name, *type, *description;
    bool is_header; /* else of the query */
};

#define PARAMETERS_MAX 8

static const struct path {
    const char *path, *id, *tag, *summary, *description;
    const char *type;  /* of what is answered */
    const char *reply; /* its type, where that is JSON */
    struct parameter parameters[PARAMETERS_MAX + 1];
    const char *unavailable; /* what 503 means, where it is an answer and no failure */
    bool acts;               /* POST is understood, too */
} table[] = {
    {.path = "/help",
     .id = "Help",
     .tag = TAG_PLAIN,
     .summary = "The paths, and what each is for",
     .type = JSON,
     .reply = "(result: [string]string)"},
    {.path = "/stats",
     .id = "Stats",
     .tag = TAG_PLAIN,
     .summary = "The master and its workers: processor time and memory",
     .description = "cpu in percent of one processor, mem in MB; total is the sum.",
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
     .description = "Says `accepted` at once. Whoever wants more of it takes /v1/reload.",
     .type = JSON,
     .reply = WORD,
     .parameters = WAIT,
     .acts = true},
    {.path = "/restart",
     .id = "Restart",
     .tag = TAG_PLAIN,
     .summary = "The same as /reload, which its users mean by it",
     .type = JSON,
     .reply = WORD,
     .parameters = WAIT,
     .acts = true},
    {.path = "/quit",
     .id = "Quit",
     .tag = TAG_PLAIN,
     .summary = "Ends the reloader gracefully",
     .description =
         "Says `accepted` before it begins. There is nothing to wait for: the gateway ends, too.",
     .type = JSON,
     .reply = WORD,
     .parameters = WAIT,
     .acts = true},
    {.path = "/events",
     .id = "Events",
     .tag = TAG_WATCH,
     .summary = "Events as they come, as server-sent events",
     .description = "Each has an id: with Last-Event-ID, as a browser sends it when it comes back, "
                    "those that were missed come first, as far as they are kept.",
     .type = "text/event-stream",
     .parameters =
         {
             {"type", "[]string", "Of these types alone; more than once, or with commas.", false},
             {"program", "[]string",
              "Of these alone: PROGRAM, PROGRAM:SLOT, PROGRAM:*, or a worker's name.", false},
             {"cmd", "[]string", "Messages alone, with these commands: their member cmd.", false},
             {"since", "string", "Those after that number or id, or of that time (5m), come first.",
              false},
             {"since_usec", "int", "Those since then, by the real clock, come first.", false},
             {"last_event_id", "string", "As `since`, for who cannot send the header.", false},
             {"Last-Event-ID", "string", "The id of the last event that was read.", true},
         }},
    {.path = "/metrics",
     .id = "Metrics",
     .tag = TAG_WATCH,
     .summary = "Counters and gauges for Prometheus",
     .description = "OpenMetrics for who accepts it, else the older text format.",
     .type = "application/openmetrics-text"},
    {.path = "/healthz",
     .id = "Health",
     .tag = TAG_PROBES,
     .summary = "Whether the master lives",
     .type = JSON,
     .reply = WORD,
     .unavailable = "It does not answer, or has gone."},
    {.path = "/readyz",
     .id = "Readiness",
     .tag = TAG_PROBES,
     .summary = "Whether all is ready that should run",
     .type = JSON,
     .reply = WORD,
     .unavailable = "Something is not, or the gateway drains."},
    {.path = "/",
     .id = "Page",
     .tag = TAG_FILES,
     .summary = "The page for a browser",
     .type = "text/html"},
    {.path = OPENAPI_PATH,
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

static int add_parameters(json_t *operation, const struct path *path)
{
    json_auto_t *list = json_array();
    for (const struct parameter *p = path->parameters; p->name; p++) {
        json_t *parameter = json_pack("{s:s, s:s, s:s, s:o}", "name", p->name, "in",
                                      p->is_header ? "header" : "query", "description",
                                      p->description, "schema", openapi_schema(p->type));
        if (json_array_append_new(list, parameter) < 0)
            return -ENOMEM;
    }
    return json_array_size(list) > 0 ? openapi_put(operation, "parameters", json_incref(list)) : 0;
}

static json_t *describe(const char *description, const char *type, const char *schema)
{
    return json_pack("{s:s, s:{s:{s:o}}}", "description", description, "content", type, "schema",
                     openapi_schema(schema));
}

/* All but those below /v1/ tell their errors in the words of plain paths. */
static int add_failures(json_t *responses, const struct path *path)
{
    static const char error[] = "(error: string)";
    if (strcmp(path->path, OPENAPI_PATH) == 0)
        return openapi_add_response(responses, 0);
    int r = openapi_put(responses, "default", describe("Any error.", JSON, error));
    if (r == 0 && path->unavailable)
        r = openapi_put(responses, "503", describe(path->unavailable, JSON, error));
    return r;
}

static json_t *describe_responses(const struct path *path)
{
    json_auto_t *responses = json_object();
    const char *reply = path->reply ? path->reply : "string";
    int r = responses ? openapi_put(responses, "200", describe(path->summary, path->type, reply))
                      : -ENOMEM;
    return r < 0 || add_failures(responses, path) < 0 ? NULL : json_incref(responses);
}

/* Identifiers have to be different for each method of a path. */
static json_t *describe_operation(const struct path *path, const char *prefix)
{
    json_auto_t *operation = json_pack("{s:s+, s:[s], s:s, s:s*, s:o}", "operationId", prefix,
                                       path->id, "tags", path->tag, "summary", path->summary,
                                       "description", path->description, "responses",
                                       describe_responses(path));
    return operation && add_parameters(operation, path) == 0 ? json_incref(operation) : NULL;
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
