#include "master/probing.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <inttypes.h>

/* Telling */

static int describe(const struct probe *probe, char ***ret)
{
    int r = strv_append(ret, "TYPE=check");
    if (r == 0)
        r = strv_appendf(ret, "NUMBER=%" PRIu64, probe->number);
    if (r == 0)
        r = strv_append(ret, probe->kind == PROBE_HTTP ? "KIND=http" : "KIND=tcp");
    if (r == 0)
        r = strv_appendf(ret, "TARGET=%s", probe->target);
    if (r == 0)
        r = strv_appendf(ret, "INTERVAL=%" PRIu64, probe->interval_usec);
    if (r == 0)
        r = strv_appendf(ret, "TIMEOUT=%" PRIu64, probe->timeout_usec);
    return r == 0 ? strv_appendf(ret, "COUNTS=%d", probe->counts) : r;
}

static int tell_of(struct probing *probing, struct probe *probe)
{
    CLEANUP_STRV char **fields = NULL;
    int r = describe(probe, &fields);
    if (r == 0)
        r = helper_send(probing->helper, fields, -1);
    if (r < 0)
        return r;
    list_remove(&probe->link);
    list_append(&probing->told, &probe->link);
    return 0;
}

static int reset(struct probing *probing)
{
    static char *const fields[] = {(char *)(uintptr_t) "TYPE=reset", NULL};
    int r = helper_send(probing->helper, fields, -1);
    if (r == 0)
        probing->resets = false;
    return r;
}

/* As far as its socket takes it now. */
static void tell(struct probing *probing)
{
    int r = probing->resets ? reset(probing) : 0;
    LIST_FOREACH_SAFE (probe, &probing->waiting, struct probe, link) {
        if (r == 0)
            r = tell_of(probing, probe);
    }
}

static void on_started(void *userdata)
{
    struct probing *probing = userdata;
    probing->resets = false;
    list_move_all(&probing->told, &probing->waiting);
    tell(probing);
}

static void on_room(void *userdata)
{
    tell(userdata);
}

/* What it says */

static struct probe *find(struct probing *probing, uint64_t number)
{
    LIST_FOREACH (probe, &probing->told, struct probe, link)
        if (probe->number == number)
            return probe;
    return NULL;
}

/* A worker is not judged by what its judge lacks. */
static void complain(struct probing *probing, struct probe *probe, const char *why)
{
    unsigned suppressed;
    if (log_limit_pass(&probing->complaints, &suppressed))
        log_warning("reloader-probe cannot check %s: %s; what was known before counts until it can "
                    "(%u such lines left out)",
                    probe->target, why, suppressed);
    if (probe->unmade)
        probe->unmade(probe, why);
}

/* Of one that was dropped meanwhile there may still be something on its way. */
static void on_message(char **fields, void *userdata)
{
    struct probing *probing = userdata;
    const char *text = strv_env_get(fields, "TEXT"), *number_text = strv_env_get(fields, "NUMBER");
    uint64_t number;
    if (!number_text || parse_unsigned(number_text, 1, UINT64_MAX, &number) < 0)
        return;
    struct probe *probe = find(probing, number);
    if (probe && string_equal(strv_env_get(fields, "TYPE"), "unmade"))
        complain(probing, probe, text ? text : "");
    else if (probe)
        probe->result(probe, string_equal(strv_env_get(fields, "GOOD"), "1"), text ? text : "");
}

static bool on_gone(void *userdata)
{
    const struct probing *probing = userdata;
    return !list_is_empty(&probing->told) || !list_is_empty(&probing->waiting);
}

static const struct helper_ops helper_ops = {
    .name = "reloader-probe",
    .task = "checks whether workers are ready and healthy",
    .started = on_started,
    .message = on_message,
    .room = on_room,
    .gone = on_gone,
};

/* The sink */

static void add_probe(struct probe *probe, void *userdata)
{
    struct probing *probing = userdata;
    probe->number = ++probing->last_number;
    list_append(&probing->waiting, &probe->link);
    helper_want(probing->helper);
    tell(probing);
}

static void drop_probe(struct probe *probe, void *userdata)
{
    struct probing *probing = userdata;
    CLEANUP_STRV char **fields = NULL;
    list_remove(&probe->link);
    int r = strv_append(&fields, "TYPE=drop");
    if (r == 0)
        r = strv_appendf(&fields, "NUMBER=%" PRIu64, probe->number);
    if (r == 0)
        r = helper_send(probing->helper, fields, -1);
    if (r == 0 || r == -EPIPE)
        return;
    probing->resets = true;
    list_move_all(&probing->told, &probing->waiting);
}

const struct probe_sink *probing_sink(const struct probing *probing)
{
    return &probing->sink;
}

int probing_new(sd_event *event, struct reaper *reaper, struct probing **ret)
{
    CLEANUP(probing_freep) struct probing *probing = calloc(1, sizeof(*probing));
    if (!probing)
        return -ENOMEM;
    probing->complaints = (struct log_limit){.interval_usec = 10 * USEC_PER_SEC, .burst = 3};
    list_init(&probing->told);
    list_init(&probing->waiting);
    probing->sink = (struct probe_sink){.add = add_probe, .drop = drop_probe, .userdata = probing};
    int r = helper_new(event, reaper, &helper_ops, probing, &probing->helper);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(probing);
    return 0;
}

struct probing *probing_free(struct probing *probing)
{
    if (!probing)
        return NULL;
    (void)helper_free(probing->helper);
    free(probing);
    return NULL;
}
