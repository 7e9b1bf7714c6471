/* A line per program, each in its width, over those that were drawn last. */
#include "base/parse.h"
#include "reloaderctl/progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BAR_MAX      24
#define NAME_MIN     8
#define STEP_COLUMNS 9

/* What is written of it, and how much room it has left. */
struct line {
    FILE *stream;
    const struct screen *screen;
    size_t used, width;
};

static struct line begin_line(const struct screen *screen, FILE *stream)
{
    /* As a whole and first: then terminals forget, too, that it was the middle of a line that they had broken. */
    (void)fputs("\x1b[2K", stream);
    /* One column stays free: a character in the last one makes some terminals wrap. */
    return (struct line){
        .stream = stream, .screen = screen, .width = screen->width > 1 ? screen->width - 1 : 1};
}

/* Cut to what fits, and filled up with blanks to `columns`. */
static void put(struct line *line, enum tone tone, size_t columns, const char *clean)
{
    size_t room = line->width - line->used, bytes = text_fit(clean, room);
    bool whole = clean[bytes] == '\0';
    /* Of a wide character half may be left: blank as well. */
    size_t used = whole ? text_width(clean) : room, fill = columns > used ? columns - used : 0;
    (void)fprintf(line->stream, "%s%.*s%s", tone_begin(line->screen, tone), (int)bytes, clean,
                  tone_end(line->screen, tone));
    if (!whole) {
        line->used = line->width;
        return;
    }
    fill = MIN(fill, room - used);
    (void)fprintf(line->stream, "%*s", (int)fill, "");
    line->used += used + fill;
}

static void put_format(struct line *line, enum tone tone, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void put_format(struct line *line, enum tone tone, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (n < 0)
        die_of_memory();
    put(line, tone, 0, text);
}

static void put_bar(struct line *line, size_t width, size_t moved, size_t total)
{
    char bar[BAR_MAX + 1];
    size_t filled = total > 0 ? width * moved / total : 0;
    memset(bar, '#', filled);
    memset(bar + filled, '-', width - filled);
    bar[width] = '\0';
    put(line, TONE_PLAIN, 0, "  [");
    bar[filled] = '\0';
    put(line, TONE_GOOD, 0, bar);
    memset(bar, '-', width - filled);
    bar[width - filled] = '\0';
    put(line, TONE_DIM, 0, bar);
    put(line, TONE_PLAIN, 0, "]");
}

/* A name that is too long for its column is cut, and says so. */
static void put_name(struct line *line, const char *name, size_t columns)
{
    CLEANUP_FREE char *clean = text_clean(name);
    size_t width = text_width(clean);
    if (width > columns) {
        clean[text_fit(clean, columns - 1)] = '\0';
        size_t kept = text_width(clean);
        put(line, TONE_BOLD, 0, clean);
        put(line, TONE_DIM, columns - kept, "~");
        return;
    }
    put(line, TONE_BOLD, columns, clean);
}

static enum tone tone_of_step(const char *step)
{
    return strcmp(step, "failed") == 0       ? TONE_BAD
           : strcmp(step, "superseded") == 0 ? TONE_BUSY
                                             : tone_of_state(step);
}

static size_t draw_program(const struct progress_program *program, const struct screen *screen,
                           size_t name_width, FILE *stream)
{
    size_t moved = progress_moved(program), total = progress_total(program);
    /* What happens matters more than a long bar. */
    size_t bar_width = MIN(screen->width / 10, (size_t)BAR_MAX);
    struct line line = begin_line(screen, stream);
    const char *step = program->step ? program->step : "";
    put_name(&line, program->name, name_width);
    put_bar(&line, bar_width, moved, total);
    put_format(&line, TONE_PLAIN, "  %zu of %zu  ", moved, total);
    if (program->waits) {
        put(&line, TONE_PLAIN, 0, program->waits);
        return line.used;
    }
    put(&line, tone_of_step(step), program->latest ? STEP_COLUMNS : 0, step);
    if (program->latest)
        put_format(&line, TONE_PLAIN, "  %s", program->latest);
    return line.used;
}

/* Which lines there is room for */

/* Who is being worked on comes before who waits for its turn, and that before who is done. */
static int rank_of(const struct progress_program *program)
{
    size_t moved = progress_moved(program);
    bool done = moved == progress_total(program);
    return program->waits || (moved > 0 && !done) ? 0 : done ? 2 : 1;
}

/* A reload has nothing to do where nobody runs. */
static bool has_line(const struct progress *progress, const struct progress_program *program)
{
    return program->taken && (progress->goal != PROGRESS_NEWER || progress_total(program) > 0);
}

/* Marks as many of those that have a line as there is room for; how many they are in all. */
static size_t choose(struct progress *progress, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < progress->n_programs; i++)
        progress->programs[i].shown = false;
    for (int rank = 0; rank < 3; rank++)
        for (size_t i = 0; i < progress->n_programs; i++) {
            struct progress_program *program = &progress->programs[i];
            if (has_line(progress, program) && rank_of(program) == rank)
                program->shown = n++ < room;
        }
    return n;
}

static size_t widest_name(const struct progress *progress)
{
    size_t width = 0;
    for (size_t i = 0; i < progress->n_programs; i++) {
        CLEANUP_FREE char *name = text_clean(progress->programs[i].name);
        if (has_line(progress, &progress->programs[i]))
            width = MAX(width, text_width(name));
    }
    return width;
}

/* The whole */

/* Rows that the lines of last time take now, which a narrower terminal has broken. */
static size_t count_rows(const struct progress *progress, const struct screen *screen)
{
    size_t rows = 0;
    for (size_t i = 0; i < progress->n_drawn; i++)
        rows += MAX((progress->drawn[i] + screen->width - 1) / screen->width, (size_t)1);
    return MIN(rows, screen->height - 1);
}

static void end_line(struct progress *progress, size_t width, FILE *stream)
{
    (void)fputc('\n', stream);
    size_t *larger = reallocarray(progress->drawn, progress->n_drawn + 1, sizeof(*larger));
    if (!larger)
        die_of_memory();
    progress->drawn = larger;
    larger[progress->n_drawn++] = width;
}

static void draw_summary(struct progress *progress, const struct screen *screen, size_t hidden,
                         uint64_t elapsed_usec, FILE *stream)
{
    char elapsed[DURATION_TEXT_SIZE];
    struct line line = begin_line(screen, stream);
    put(&line, TONE_PLAIN, 0, duration_to_text(elapsed_usec, elapsed));
    if (hidden > 0)
        put_format(&line, TONE_PLAIN, ", and %zu program%s more", hidden, hidden == 1 ? "" : "s");
    end_line(progress, line.used, stream);
}

void progress_draw(struct progress *progress, const struct screen *screen, uint64_t elapsed_usec,
                   FILE *stream)
{
    size_t room = screen->height > 3 ? screen->height - 3 : 1;
    size_t name_width = MIN(widest_name(progress), MAX(screen->width / 4, (size_t)NAME_MIN));
    size_t rows = count_rows(progress, screen), lines = choose(progress, room);
    if (rows > 0)
        (void)fprintf(stream, "\x1b[%zuA\r", rows);
    progress->n_drawn = 0;
    for (size_t i = 0; i < progress->n_programs; i++)
        if (progress->programs[i].shown)
            end_line(progress, draw_program(&progress->programs[i], screen, name_width, stream),
                     stream);
    draw_summary(progress, screen, lines > room ? lines - room : 0, elapsed_usec, stream);
    /* Not before: at the top of a screen terminals keep what is erased as something that scrolled away. */
    (void)fputs("\x1b[J", stream);
    (void)fflush(stream);
}
