#include "master/service-status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text */

struct text {
    char *buffer;
    size_t length;
};

/* Appends all of it or what there is room for. */
static void put(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct text *text, const char *format, ...)
{
    size_t room = SERVICE_STATUS_SIZE - text->length;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->buffer + text->length, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += MIN((size_t)n, room - 1);
}

/* A text that was cut in a character is shorter by it. */
static void drop_partial_character(struct text *text)
{
    size_t begin = text->length;
    while (begin > 0 && ((unsigned char)text->buffer[begin - 1] & 0xc0) == 0x80)
        begin--;
    if (begin == 0 || (unsigned char)text->buffer[begin - 1] < 0xc0)
        return;
    unsigned char first = (unsigned char)text->buffer[begin - 1];
    size_t needed = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text->length - (begin - 1) < needed)
        text->buffer[text->length = begin - 1] = '\0';
}

/* The first line of a reason is one line here as well; what else steers a terminal is left out by who shows it. */
static void put_reason(struct text *text, const char *reason)
{
    put(text, "%.*s", (int)MIN(strcspn(reason, "\n"), (size_t)SERVICE_STATUS_SIZE / 2), reason);
    drop_partial_character(text);
}

#define PROGRAM_TEXT_MAX 128 /* one program's, and ", and 99 more" */

/* What is said of each program, as long as there is room. */
static void put_programs(struct text *text, const struct service_view *view,
                         bool (*put_program)(struct text *text,
                                             const struct service_program *program,
                                             const char *separator))
{
    const char *separator = "";
    for (size_t i = 0; i < view->n_programs; i++) {
        if (text->length + PROGRAM_TEXT_MAX > SERVICE_STATUS_SIZE) {
            put(text, ", and %zu more", view->n_programs - i);
            return;
        }
        if (put_program(text, &view->programs[i], separator))
            separator = ", ";
    }
}

static bool put_step(struct text *text, const struct service_program *program,
                     const char *separator)
{
    if (!program->step)
        return false;
    put(text, "%s%s ", separator, program->name);
    for (const char *c = program->step; *c; c++)
        put(text, "%c", *c == '_' ? ' ' : *c);
    return true;
}

static bool put_count(struct text *text, const struct service_program *program,
                      const char *separator)
{
    put(text, "%s%s %u of %u generation %" PRIu64, separator, program->name, program->ready,
        program->wanted, program->generation);
    return true;
}

static void put_ready(struct text *text, const struct service_view *view)
{
    unsigned ready = 0, wanted = 0;
    for (size_t i = 0; i < view->n_programs; i++) {
        ready += view->programs[i].ready;
        wanted += view->programs[i].wanted;
    }
    put(text, "%u of %u ready", ready, wanted);
}

static const char *describe_result(enum reload_result result)
{
    switch (result) {
    case RELOAD_COMMITTED:
    case RELOAD_SUPERSEDED:
        return NULL;
    case RELOAD_ROLLED_BACK:
        return "rolled back";
    case RELOAD_DEGRADED:
        return "degraded";
    case RELOAD_REFUSED:
        return "refused";
    }
    return NULL;
}

static void put_last_reload(struct text *text, const struct service_view *view)
{
    const char *result = view->ended ? describe_result(view->ended->result) : NULL;
    if (!result)
        return;
    put(text, "reload %" PRIu64 " %s: ", view->ended->request.id, result);
    put_reason(text, view->ended->reason ? view->ended->reason : "unknown reason");
    put(text, "; ");
}

static void put_rest(struct text *text, const struct service_view *view)
{
    put_ready(text, view);
    if (view->n_programs == 1) {
        put(text, ", generation %" PRIu64, view->programs[0].generation);
    } else {
        put(text, ": ");
        put_programs(text, view, put_count);
    }
}

const char *service_status_text(const struct service_view *view, char buffer[SERVICE_STATUS_SIZE])
{
    struct text text = {.buffer = buffer};
    buffer[0] = '\0';
    if (view->stopping) {
        put(&text, "%s: %u %s left", view->forced ? "forced shutdown" : "shutting down",
            view->leaving, view->leaving == 1 ? "worker" : "workers");
    } else if (view->reload > 0) {
        put(&text, "reload %" PRIu64 ": ", view->reload);
        if (view->checking)
            put(&text, "checking");
        else
            put_programs(&text, view, put_step);
        put(&text, "; ");
        put_ready(&text, view);
    } else if (!view->was_ready) {
        put(&text, "starting: ");
        put_ready(&text, view);
        if (view->start_failure) {
            put(&text, "; ");
            put_reason(&text, view->start_failure);
        }
    } else {
        put_last_reload(&text, view);
        put_rest(&text, view);
    }
    drop_partial_character(&text);
    return buffer;
}

/* Phases */

bool service_next(const struct service_told *told, const struct service_view *view,
                  struct service_told *ret)
{
    *ret = *told;
    if (told->phase == SERVICE_STOPPING)
        return false;
    if (view->stopping)
        ret->phase = SERVICE_STOPPING;
    else if (told->phase == SERVICE_NOTHING && view->was_ready)
        *ret = (struct service_told){SERVICE_READY, view->reloads_taken - (view->reload > 0)};
    else if (told->phase == SERVICE_NOTHING)
        return false;
    else if (view->reloads_taken > told->reload)
        *ret = (struct service_told){SERVICE_RELOADING, view->reloads_taken};
    else if (told->phase == SERVICE_RELOADING && view->reload == 0)
        ret->phase = SERVICE_READY;
    else
        return false;
    return true;
}

/* Time */

static uint64_t start_until(const struct service_view *view)
{
    uint64_t until = 0;
    for (size_t i = 0; i < view->n_programs; i++) {
        const struct service_program *program = &view->programs[i];
        if (program->wanted == 0)
            continue;
        until = MAX(until, view->started_usec + program->start_usec);
        until = MAX(until, program->busy_until_usec);
    }
    return until;
}

static uint64_t reload_until(const struct service_view *view, uint64_t now)
{
    uint64_t until = now, step = 0;
    for (size_t i = 0; i < view->n_programs; i++) {
        until = MAX(until, view->programs[i].busy_until_usec);
        step = MAX(step, view->programs[i].step_usec);
    }
    return until + step;
}

static uint64_t leave_usec(const struct service_program *program, uint64_t now)
{
    if (program->empty)
        return 0;
    if (!program->told)
        return program->leave_usec;
    return program->busy_until_usec > now ? program->busy_until_usec - now : 0;
}

/* Programs are in the order of their priority: those of one leave together, one priority after the other. */
static uint64_t shutdown_until(const struct service_view *view, uint64_t now)
{
    uint64_t sum = 0, longest = 0;
    for (size_t i = 0; i < view->n_programs; i++) {
        bool together = view->forced || i == 0 ||
                        view->programs[i].priority == view->programs[i - 1].priority;
        if (!together) {
            sum += longest;
            longest = 0;
        }
        longest = MAX(longest, leave_usec(&view->programs[i], now));
    }
    return now + sum + longest;
}

uint64_t service_until(const struct service_view *view, uint64_t now_usec)
{
    if (view->stopping)
        return shutdown_until(view, now_usec);
    if (!view->was_ready)
        return start_until(view);
    return view->reload > 0 ? reload_until(view, now_usec) : 0;
}
