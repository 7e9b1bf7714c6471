/*
 * A reload before it touches anything: reading, validating, binding, making generations, and running each program's
 * check_command. What comes out is a candidate; until it is taken, a reload that runs goes on.
 */
#include "master/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/gateway.h"
#include "master/listener-use.h"
#include "master/master.h"
#include "master/own-identity.h"
#include "master/programs.h"
#include "master/sockets.h"
#include "master/watching.h"

#include <errno.h>
#include <string.h>

static void strip_newline(char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
}

static struct config *current_config(const struct master *master)
{
    const struct reload *reload = &master->reload;
    bool on_its_way = reload->running.id != 0 && reload->state != RELOAD_ROLLING_BACK;
    return on_its_way ? reload->release.config : master->release.config;
}

/* As the one that was read at the start: its defaults are those of who the master was then. */
static int read_config(struct master *master, struct config **ret, char **ret_reason)
{
    const struct config *now = master->release.config;
    struct config_source source = *master->options.source;
    source.names = lookup_names(&master->lookup);
    if (now->runtime_directory_default)
        source.runtime_directory = now->runtime_directory;
    return config_load(&source, ret, ret_reason);
}

/* One that is gone meanwhile is told of later. */
static int get_scaled(const struct master *master, const struct reload_request *request,
                      struct config **ret)
{
    struct config *config = master->release.config;
    const struct config_program *program = config_find_program(config, request->programs[0]);
    return config_with_workers(config, program, request->workers, ret);
}

static int get_config(struct master *master, const struct reload_request *request,
                      struct config **ret, char **ret_reason)
{
    switch (request->kind) {
    case RELOAD_READ:
        return read_config(master, ret, ret_reason);
    case RELOAD_CURRENT:
    case RELOAD_RESTART:
        *ret = config_ref(current_config(master));
        return 0;
    case RELOAD_SCALE:
        return get_scaled(master, request, ret);
    case RELOAD_UNDO:
        if (!master->undo.config) {
            *ret_reason = strdup("there is nothing to undo: no reload has committed yet");
            return -ENOENT;
        }
        *ret = config_ref(master->undo.config);
        return 0;
    }
    return -EINVAL;
}

/* What a running master cannot move. */
static int refuse_settings(const struct config_diff *diff, char **ret_reason)
{
    static const char *const fixed[] = {"pid_file", "runtime_directory", "user"};
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (config_diff_has_setting(diff, fixed[i])) {
            *ret_reason = string_format("%s changed: only a restart of the master changes it",
                                        fixed[i]);
            return -EOPNOTSUPP;
        }
    return 0;
}

static int refuse_users(const struct config *config, char **ret_reason)
{
    int r = config_check_privileges(config, ret_reason);
    strip_newline(*ret_reason);
    return r;
}

static int refuse_unknown(const struct config *config, const struct reload_request *request,
                          char **ret_reason)
{
    STRV_FOREACH (name, request->programs)
        if (!config_find_program(config, *name)) {
            *ret_reason = string_format("there is no program '%s'", *name);
            return -ENOENT;
        }
    return 0;
}

static bool has_socket(const struct config_program *program, const struct config_socket *socket)
{
    for (size_t i = 0; program && i < program->n_sockets; i++)
        if (program->sockets[i] == socket)
            return true;
    return false;
}

static bool is_about(const struct config_diff *diff, const struct config_socket_change *socket,
                     char *const *programs)
{
    for (size_t i = 0; i < diff->n_programs; i++) {
        const struct config_program_change *program = &diff->programs[i];
        if (program->to && strv_contains(programs, program->to->name) &&
            ((socket->from && has_socket(program->from, socket->from)) ||
             (socket->to && has_socket(program->to, socket->to))))
            return true;
    }
    return false;
}

/* The first change that those who named programs did not ask for, or NULL: "program 'api'" (malloc-ed). */
static char *find_other_change(const struct config_diff *diff, char *const *programs)
{
    for (size_t i = 0; i < diff->n_programs; i++) {
        const struct config_program_change *change = &diff->programs[i];
        const char *name = (change->to ? change->to : change->from)->name;
        if (change->fate != CONFIG_KEPT && !strv_contains(programs, name))
            return string_format("program '%s'", name);
    }
    for (size_t i = 0; i < diff->n_sockets; i++) {
        const struct config_socket_change *change = &diff->sockets[i];
        if (change->fate != CONFIG_KEPT && !is_about(diff, change, programs))
            return string_format("socket '%s'", (change->to ? change->to : change->from)->name);
    }
    return diff->settings ? string_format("%s", diff->settings[0]) : NULL;
}

/* A configuration is in force as a whole: who asks for one program does not get the others' changes by the way. */
static int refuse_others(const struct config_diff *diff, const struct reload_request *request,
                         char **ret_reason)
{
    if (request->all || request->changed_only || request->kind != RELOAD_READ)
        return 0;
    CLEANUP_FREE char *other = find_other_change(diff, request->programs);
    if (!other)
        return 0;
    *ret_reason = string_format(
        "the configuration changes more than was asked for: %s; `reloaderctl "
        "update` takes all that changed",
        other);
    return -EINVAL;
}

/* The settings that others than the master make true; `other` is what they have prepared besides, or NULL. */
static int prepare_outside(const struct master *master, struct reload_candidate *candidate,
                           void *other, char **ret_reason)
{
    const struct master_options *options = &master->options;
    struct release *release = &candidate->release;
    if (!options->prepare || !candidate->diff->settings)
        return 0;
    release->discard = options->discard;
    return options->prepare(release->config, other, options->userdata, &release->prepared,
                            ret_reason);
}

/* All that can be refused at once is refused in here. */
static int prepare(struct master *master, struct reload_candidate *candidate, bool dry,
                   char **ret_reason)
{
    CLEANUP_CONFIG struct config *config = NULL;
    const struct reload_request *request = &candidate->request;
    int r = get_config(master, request, &config, ret_reason);
    if (r < 0) {
        strip_newline(*ret_reason);
        return r;
    }
    candidate->from = config_ref(master->release.config);
    r = config_diff_new(candidate->from, config, &candidate->diff);
    if (r == 0)
        r = refuse_settings(candidate->diff, ret_reason);
    if (r == 0)
        r = refuse_users(config, ret_reason);
    if (r == 0)
        r = refuse_unknown(config, request, ret_reason);
    if (r == 0)
        r = refuse_others(candidate->diff, request, ret_reason);
    if (r == 0 && config_diff_has_setting(candidate->diff, "log.file"))
        r = master_try_log(config, ret_reason);
    if (r < 0)
        return r;
    if (!dry) {
        r = own_limits_raise(config, ret_reason);
        if (r < 0)
            return r;
        master_raise_nofile(config);
    }
    r = sockets_open(master, config, dry, &candidate->release, ret_reason);
    if (r == 0 && !dry)
        r = prepare_outside(master, candidate, master->reload.release.prepared, ret_reason);
    return r < 0 ? r : reload_make_parts(master, candidate, ret_reason);
}

static void log_lines(uint64_t id, const char *prefix, const char *lines)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        log_about(reload_subject(id, NULL), LOG_LEVEL_ERROR, "%s%.*s", prefix, length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void refuse(struct master *master, struct reload_request *request, char *reason)
{
    log_about(reload_subject(request->id, NULL), LOG_LEVEL_ERROR,
              "reload %llu refused, nothing changed:", (unsigned long long)request->id);
    log_lines(request->id, "  ", reason ? reason : "out of memory");
    reload_end(master, request, RELOAD_REFUSED, reason);
    /* One that runs or is being checked goes on. */
    if (master->reload.running.id == 0 && master->reload.candidate.request.id == 0)
        master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_ENDED);
}

/* The candidate */

void reload_candidate_clear(struct reload_candidate *candidate)
{
    for (size_t i = 0; i < candidate->n_parts; i++) {
        (void)program_free(candidate->parts[i].added);
        (void)generation_unref(candidate->parts[i].generation);
        free(candidate->parts[i].program);
    }
    free(candidate->parts);
    (void)config_diff_free(candidate->diff);
    (void)config_unref(candidate->from);
    release_clear(&candidate->release);
    reload_request_clear(&candidate->request);
    *candidate = (struct reload_candidate){0};
}

/* It comes to nothing: its checks are stopped, and `next`, if any, takes its place before sockets that nobody wants are closed. */
static void discard(struct master *master, const struct reload_candidate *next)
{
    reload_stop_checks(&master->reload);
    reload_candidate_clear(&master->reload.candidate);
    if (next)
        master->reload.candidate = *next;
    master_trim_listeners(master);
}

static struct reload_request take_request(struct reload_request *request)
{
    struct reload_request taken = *request;
    *request = (struct reload_request){0};
    return taken;
}

static void replace(struct master *master, const struct reload_candidate *next, const char *by)
{
    struct reload_request request = take_request(&master->reload.candidate.request);
    if (request.id != 0)
        log_about(reload_subject(request.id, NULL), LOG_LEVEL_INFO, "reload %llu superseded by %s",
                  (unsigned long long)request.id, by);
    discard(master, next);
    if (request.id != 0)
        reload_end(master, &request, RELOAD_SUPERSEDED, string_format("superseded by %s", by));
}

void reload_drop_candidate(struct master *master, const char *by)
{
    if (master->reload.candidate.request.id != 0)
        replace(master, NULL, by);
}

static void refuse_candidate(struct master *master, char *reason)
{
    struct reload_request request = take_request(&master->reload.candidate.request);
    request.phase_usec[RELOAD_CHECKING] = clock_monotonic_usec() - request.began_usec -
                                          request.phase_usec[RELOAD_NONE];
    discard(master, NULL);
    refuse(master, &request, reason);
}

/*
 * One that asks for a few programs says nothing about the others, so it does not do away with what a candidate is about to bring them: it
 * waits, or asks for that as well.
 */
static bool has_to_wait(const struct master *master)
{
    const struct reload_request *wanted = &master->reload.wanted,
                                *candidate = &master->reload.candidate.request;
    return candidate->id != 0 && !wanted->all && wanted->kind != candidate->kind;
}

static int widen_by_candidate(struct reload_request *request,
                              const struct reload_request *candidate)
{
    const struct reload_wish wish = {.kind = candidate->kind,
                                     .changed_only = candidate->changed_only,
                                     .programs = candidate->programs};
    if (candidate->id == 0 || request->all)
        return 0;
    if (!candidate->all)
        return reload_request_widen(request, &wish);
    request->all = true;
    return 0;
}

/* When it is known who the users and groups are that it names. */
static void want_again(struct master *master, struct reload_candidate *candidate)
{
    master->reload.wanted = take_request(&candidate->request);
    reload_candidate_clear(candidate);
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD);
}

void reload_begin(struct master *master)
{
    struct reload *reload = &master->reload;
    if (has_to_wait(master) || lookup_is_asking(&master->lookup))
        return;
    struct reload_candidate candidate = {.request = take_request(&reload->wanted)};
    struct reload_request *request = &candidate.request;
    CLEANUP_FREE char *reason = NULL;
    watching_catch_up(master->watching);
    request->began_usec = clock_monotonic_usec();
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_BEGAN);
    int r = widen_by_candidate(request, &reload->candidate.request);
    if (r == 0)
        r = prepare(master, &candidate, false, &reason);
    request->phase_usec[RELOAD_NONE] = clock_monotonic_usec() - request->began_usec;
    if (r == -EAGAIN && lookup_ask(&master->lookup, master->event) == 0) {
        want_again(master, &candidate);
        return;
    }
    if (r < 0) {
        refuse(master, request, reason ? TAKE_PTR(reason) : strdup(strerror(-r)));
        reload_candidate_clear(&candidate);
        master_trim_listeners(master);
        return;
    }
    char by[64];
    (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)request->id);
    replace(master, &candidate, by);
    r = reload_start_checks(master, &reason);
    if (r < 0)
        refuse_candidate(master, reason ? TAKE_PTR(reason) : strdup(strerror(-r)));
}

static bool has_all_of(const struct config *config, const struct config *other)
{
    for (size_t i = 0; i < other->n_programs; i++)
        if (!config_find_program(config, other->programs[i]->name))
            return false;
    return true;
}

/* One that a reload had added went again when that failed, or is there to be rolled now. */
static bool has_other_programs(const struct master *master,
                               const struct reload_candidate *candidate)
{
    for (size_t i = 0; i < candidate->n_parts; i++) {
        const struct reload_part *part = &candidate->parts[i];
        const struct program *program = master_find_program(master, part->program);
        if (part->added ? program && program->started : !program)
            return true;
    }
    return false;
}

/* One for all programs goes on as it is, if they are still the same ones. 0 or -errno. */
static int compare_anew(const struct master *master, struct reload_candidate *candidate)
{
    struct config *now = master->release.config;
    struct config_diff *diff = NULL;
    CLEANUP_FREE char *reason = NULL;
    int r = config_diff_new(now, candidate->release.config, &diff);
    if (r < 0)
        return r;
    (void)config_diff_free(candidate->diff);
    candidate->diff = diff;
    (void)config_unref(candidate->from);
    candidate->from = config_ref(now);
    /* What others have prepared leads from where they were then. */
    void *before = TAKE_PTR(candidate->release.prepared);
    r = prepare_outside(master, candidate, before, &reason);
    if (before)
        candidate->release.discard(before);
    return r;
}

/* One that had to wait for the candidate asks for what that was to bring, as well. An undo is of what was in force then. */
static void bring_along(struct reload_request *wanted, const struct reload_request *candidate)
{
    if (wanted->kind == RELOAD_UNDO || candidate->kind == RELOAD_UNDO)
        return;
    if (widen_by_candidate(wanted, candidate) == 0 && candidate->kind == RELOAD_READ)
        wanted->kind = RELOAD_READ;
}

void reload_candidate_reconsider(struct master *master, enum reload_result result)
{
    struct reload *reload = &master->reload;
    struct reload_candidate *candidate = &reload->candidate;
    struct config *now = master->release.config;
    if (candidate->request.id == 0)
        return;
    bool stands = candidate->request.all
                      ? has_all_of(now, candidate->from) && has_all_of(candidate->from, now) &&
                            compare_anew(master, candidate) == 0
                      : result != RELOAD_COMMITTED && !candidate->is_entangled;
    if (stands && !has_other_programs(master, candidate))
        return;
    if (reload->wanted.id != 0) {
        char by[64];
        (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)reload->wanted.id);
        bring_along(&reload->wanted, &candidate->request);
        reload_drop_candidate(master, by);
        return;
    }
    reload->wanted = take_request(&candidate->request);
    discard(master, NULL);
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD);
    master_wake(master);
}

bool reload_candidate_step(struct master *master)
{
    struct reload *reload = &master->reload;
    struct reload_candidate *candidate = &reload->candidate;
    char *reason = NULL;
    enum oneshot_verdict verdict = candidate->request.id ? reload_judge_checks(reload, &reason)
                                                         : ONESHOT_RUNNING;
    switch (verdict) {
    case ONESHOT_RUNNING:
        break;
    case ONESHOT_PASSED:
        candidate->request.phase_usec[RELOAD_CHECKING] = clock_monotonic_usec() -
                                                         candidate->request.began_usec -
                                                         candidate->request.phase_usec[RELOAD_NONE];
        reload_stop_checks(reload);
        reload_take(master, candidate);
        break;
    case ONESHOT_FAILED:
        refuse_candidate(master, reason);
        break;
    }
    reload_free_gone_checks(reload);
    return verdict != ONESHOT_RUNNING;
}

/* Nothing where memory is short. */
static json_t *make_plan(const struct master *master, const struct reload_candidate *candidate)
{
    json_t *plan = reload_plan_to_json(candidate);
    CLEANUP_FREE char *secret = gateway_describe_secret(master->gateway, candidate->release.config);
    if (secret)
        (void)json_array_append_new(json_object_get(plan, "settings"), json_string(secret));
    return plan;
}

json_t *reload_plan(struct master *master, const struct reload_wish *wish)
{
    CLEANUP(reload_candidate_clear)
    struct reload_candidate candidate = {.request = {.kind = wish->kind}};
    CLEANUP_FREE char *reason = NULL;
    int r = reload_request_widen(&candidate.request, wish);
    if (r == 0)
        r = prepare(master, &candidate, true, &reason);
    if (r == -EAGAIN && lookup_ask(&master->lookup, master->event) == 0)
        reason = strdup("users or groups are being looked up in the directory service (NSS): ask "
                        "again in a moment");
    if (r < 0)
        return json_pack("{s:s, s:s}", "result", "refused", "reason",
                         reason ? reason : strerror(-r));
    return json_pack("{s:s, s:o}", "result", "would_commit", "plan", make_plan(master, &candidate));
}
