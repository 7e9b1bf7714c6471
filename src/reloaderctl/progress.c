#include "reloaderctl/progress.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/field.h"

#include <string.h>
#include <strings.h>

#define SLOTS_MAX 65536
#define BAR_MAX   24

static void add_program(struct progress *progress, const char *name, size_t n_slots,
                        uint64_t generation)
{
    struct progress_program *larger = reallocarray(progress->programs, progress->n_programs + 1,
                                                   sizeof(*larger));
    if (!larger)
        die_of_memory();
    progress->programs = larger;
    struct progress_program *program = &larger[progress->n_programs++];
    *program = (struct progress_program){.name = strdup(name),
                                         .generation = generation,
                                         .n_slots = n_slots,
                                         .moved = calloc(n_slots + 1, sizeof(bool))};
    if (!program->name || !program->moved)
        die_of_memory();
}

void progress_init(struct progress *progress, json_t *status)
{
    json_t *programs = json_object_get(status, "programs"), *program;
    size_t i;
    *progress = (struct progress){0};
    json_array_foreach(programs, i, program)
    {
        const char *name = json_string_value(json_object_get(program, "name"));
        size_t n = MIN(json_array_size(json_object_get(program, "slots")), (size_t)SLOTS_MAX);
        if (n > 0)
            add_program(progress, name ? name : "", n, get_number(program, "generation"));
    }
}

static void free_program(struct progress_program *program)
{
    free(program->name);
    free(program->moved);
    free(program->step);
    free(program->latest);
}

void progress_clear(struct progress *progress)
{
    for (size_t i = 0; i < progress->n_programs; i++)
        free_program(&progress->programs[i]);
    free(progress->programs);
    *progress = (struct progress){0};
}

static struct progress_program *find_program(struct progress *progress, const char *name)
{
    for (size_t i = 0; name && i < progress->n_programs; i++)
        if (strcmp(progress->programs[i].name, name) == 0)
            return &progress->programs[i];
    return NULL;
}

static void set_latest(struct progress_program *program, json_t *event, const char *state)
{
    const char *name = json_string_value(json_object_get(event, "name"));
    const char *reason = json_string_value(json_object_get(event, "reason"));
    CLEANUP_FREE char *text = string_format("%s %s%s%s", name ? name : program->name, state,
                                            reason ? ": " : "", reason ? reason : "");
    if (!text)
        die_of_memory();
    free(program->latest);
    program->latest = text_clean(text);
}

static void worker_event(struct progress_program *program, json_t *event)
{
    const char *state = json_string_value(json_object_get(event, "new"));
    if (!state)
        return;
    set_latest(program, event, state);
    uint64_t slot = get_number(event, "slot");
    if (slot >= program->n_slots)
        return;
    bool ready = strcasecmp(state, "READY") == 0;
    if (get_number(event, "generation") > program->generation)
        program->moved[slot] = ready;
    else if (ready)
        program->moved[slot] = false;
}

static void set_slots(struct progress_program *program, size_t n)
{
    bool *moved = realloc(program->moved, (n + 1) * sizeof(*moved));
    if (!moved)
        die_of_memory();
    for (size_t i = program->n_slots; i < n; i++)
        moved[i] = false;
    program->moved = moved;
    program->n_slots = n;
}

static void set_step(struct progress_program *program, char *step)
{
    free(program->step);
    program->step = step;
}

static void rollout_event(struct progress_program *program, json_t *event)
{
    uint64_t workers = get_number(event, "workers");
    if (workers > 0 && workers <= SLOTS_MAX)
        set_slots(program, workers);
    set_step(program, get_words(event, "step"));
}

static void drop_program(struct progress *progress, struct progress_program *program)
{
    size_t behind = (size_t)(progress->programs + progress->n_programs - program - 1);
    free_program(program);
    memmove(program, program + 1, behind * sizeof(*program));
    progress->n_programs--;
}

/* Programs that take no part have no line, those that come get one. */
static void follow_plan(struct progress *progress, json_t *plan)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(plan, "programs"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name")),
                   *was = json_string_value(json_object_get(entry, "was")),
                   *action = json_string_value(json_object_get(entry, "action"));
        struct progress_program *program = find_program(progress, was ? was : name);
        if (!name || !action)
            continue;
        if (!program && strcmp(action, "start") == 0)
            add_program(progress, name, MIN(get_number(entry, "workers"), (uint64_t)SLOTS_MAX), 0);
        else if (program && strcmp(action, "roll") != 0)
            drop_program(progress, program);
    }
}

void progress_event(struct progress *progress, json_t *event)
{
    follow_plan(progress, json_object_get(event, "plan"));
    struct progress_program *program = find_program(
        progress, json_string_value(json_object_get(event, "program")));
    const char *type = json_string_value(json_object_get(event, "type"));
    if (!program || !type)
        return;
    if (strcmp(type, "worker") == 0)
        worker_event(program, event);
    else if (strcmp(type, "rollout") == 0)
        rollout_event(program, event);
}

void progress_result(struct progress *progress, json_t *result)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(result, "programs"), i, entry)
    {
        struct progress_program *program = find_program(
            progress, json_string_value(json_object_get(entry, "name")));
        if (!program)
            continue;
        set_step(program, get_words(entry, "result"));
        free(program->latest);
        program->latest = get_text(entry, "reason");
    }
}

size_t progress_moved(const struct progress_program *program)
{
    size_t moved = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        moved += program->moved[i];
    return moved;
}

static void put_bar(char bar[BAR_MAX + 1], size_t width, size_t moved, size_t total)
{
    size_t filled = total > 0 ? width * moved / total : 0;
    memset(bar, '#', filled);
    memset(bar + filled, '-', width - filled);
    bar[width] = '\0';
}

static void draw_line(const char *text, const struct screen *screen, FILE *stream)
{
    /* One column stays free: a character in the last one makes some terminals wrap. */
    (void)fprintf(stream, "\x1b[2K%.*s\n", (int)text_fit(text, screen->width - 1), text);
}

static void draw_program(const struct progress_program *program, const struct screen *screen,
                         size_t name_width, FILE *stream)
{
    char bar[BAR_MAX + 1];
    CLEANUP_FREE char *name = text_clean(program->name);
    size_t moved = progress_moved(program);
    /* The step matters more than a long bar. */
    size_t bar_width = screen->width < 60 ? screen->width / 8
                                          : MIN(screen->width / 4, (size_t)BAR_MAX);
    put_bar(bar, bar_width, moved, program->n_slots);
    CLEANUP_FREE char *line = string_format("%s%*s  [%s]  %zu of %zu  %-9s  %s", name,
                                            (int)(name_width - text_width(name)), "", bar, moved,
                                            program->n_slots, program->step ? program->step : "",
                                            program->latest ? program->latest : "");
    if (!line)
        die_of_memory();
    draw_line(line, screen, stream);
}

static size_t widest_name(const struct progress *progress)
{
    size_t width = 0;
    for (size_t i = 0; i < progress->n_programs; i++) {
        CLEANUP_FREE char *name = text_clean(progress->programs[i].name);
        width = MAX(width, text_width(name));
    }
    return width;
}

void progress_draw(struct progress *progress, const struct screen *screen, uint64_t elapsed_usec,
                   FILE *stream)
{
    char elapsed[DURATION_TEXT_SIZE], line[128];
    size_t room = screen->height > 3 ? screen->height - 3 : 1,
           shown = MIN(progress->n_programs, room);
    size_t name_width = widest_name(progress);
    if (progress->drawn > 0)
        (void)fprintf(stream, "\x1b[%zuA", progress->drawn);
    for (size_t i = 0; i < shown; i++)
        draw_program(&progress->programs[i], screen, name_width, stream);
    if (shown < progress->n_programs)
        (void)snprintf(line, sizeof(line), "%s, and %zu programs more",
                       duration_to_text(elapsed_usec, elapsed), progress->n_programs - shown);
    else
        (void)snprintf(line, sizeof(line), "%s", duration_to_text(elapsed_usec, elapsed));
    draw_line(line, screen, stream);
    progress->drawn = shown + 1;
    (void)fflush(stream);
}
