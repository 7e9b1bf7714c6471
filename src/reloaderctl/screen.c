#include "reloaderctl/screen.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void die_of_memory(void)
{
    (void)fputs("reloaderctl: out of memory\n", stderr);
    exit(1);
}

struct screen screen_look(int fd)
{
    struct screen screen = {.terminal = isatty(fd), .width = SIZE_MAX, .height = SIZE_MAX};
    if (!screen.terminal)
        return screen;
    struct winsize size = {0};
    (void)ioctl(fd, TIOCGWINSZ, &size);
    screen.width = size.ws_col > 0 ? size.ws_col : 80;
    screen.height = size.ws_row > 0 ? size.ws_row : 24;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    screen.colour = (!no_color || no_color[0] == '\0') && term && strcmp(term, "dumb") != 0;
    return screen;
}

/* Tones */

enum tone tone_of_state(const char *state)
{
    static const struct {
        const char *state;
        enum tone tone;
    } tones[] = {
        {"ready", TONE_GOOD},       {"running", TONE_GOOD},    {"committed", TONE_GOOD},
        {"starting", TONE_BUSY},    {"draining", TONE_BUSY},   {"stopping", TONE_BUSY},
        {"reloading", TONE_BUSY},   {"backoff", TONE_BAD},     {"partial", TONE_BUSY},
        {"rolling back", TONE_BAD}, {"superseded", TONE_BUSY}, {"fatal", TONE_BAD},
        {"degraded", TONE_BAD},     {"rolled back", TONE_BAD}, {"refused", TONE_BAD},
        {"waiting", TONE_BUSY},     {"stopped", TONE_DIM},     {"exited", TONE_DIM},
        {"gone", TONE_DIM},
    };
    for (size_t i = 0; i < ARRAY_SIZE(tones); i++)
        if (strcasecmp(tones[i].state, state) == 0)
            return tones[i].tone;
    return TONE_PLAIN;
}

const char *tone_begin(const struct screen *screen, enum tone tone)
{
    static const char *const sequences[] = {
        [TONE_PLAIN] = "",        [TONE_BOLD] = "\x1b[1m",  [TONE_DIM] = "\x1b[2m",
        [TONE_GOOD] = "\x1b[32m", [TONE_BUSY] = "\x1b[33m", [TONE_BAD] = "\x1b[31m",
    };
    return screen->colour ? sequences[tone] : "";
}

const char *tone_end(const struct screen *screen, enum tone tone)
{
    return screen->colour && tone != TONE_PLAIN ? "\x1b[0m" : "";
}

/* Text */

/* Decodes one character: its length in bytes, 0 if this is no UTF-8. */
static size_t decode(const char *text, uint32_t *ret)
{
    const unsigned char *s = (const unsigned char *)text;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xf0 && s[0] < 0xf8 ? 4
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xc0 && s[0] < 0xe0 ? 2
                                                  : 0;
    if (length <= 1) {
        *ret = s[0];
        return length;
    }
    uint32_t c = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *ret = c;
    return length;
}

static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

char *text_clean(const char *text)
{
    if (!text)
        text = "";
    char *clean = malloc(strlen(text) + 1), *out = clean;
    if (!clean)
        die_of_memory();
    while (*text != '\0') {
        uint32_t c = 0;
        size_t length = decode(text, &c);
        if (*text == '\n' || *text == '\t' || *text == '\r') {
            *out++ = ' ';
        } else if (length == 0 || steers(c)) {
            *out++ = '?';
        } else {
            memcpy(out, text, length);
            out += length;
        }
        text += MAX(length, (size_t)1);
    }
    *out = '\0';
    return clean;
}

/* Outside a UTF-8 locale wcwidth() knows nothing but ASCII: one column each is the best guess. */
static size_t columns_of(uint32_t c)
{
    int width = wcwidth((wchar_t)c);
    return width < 0 ? 1 : (size_t)width;
}

size_t text_fit(const char *clean, size_t columns)
{
    size_t bytes = 0, used = 0;
    while (clean[bytes] != '\0') {
        uint32_t c = 0;
        size_t length = MAX(decode(clean + bytes, &c), (size_t)1);
        used += columns_of(c);
        if (used > columns)
            break;
        bytes += length;
    }
    return bytes;
}

size_t text_width(const char *clean)
{
    size_t used = 0;
    while (*clean != '\0') {
        uint32_t c = 0;
        clean += MAX(decode(clean, &c), (size_t)1);
        used += columns_of(c);
    }
    return used;
}

/* Tables */

#define TEXT_WIDTH_MIN 8

void table_add(struct table *table, enum tone tone, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    struct table_cell *cells = realloc(table->cells, (table->n_cells + 1) * sizeof(*cells));
    if (n < 0 || !cells)
        die_of_memory();
    table->cells = cells;
    table->cells[table->n_cells++] = (struct table_cell){.text = text_clean(text), .tone = tone};
}

static void put_blanks(FILE *stream, size_t count)
{
    (void)fprintf(stream, "%*s", (int)count, "");
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = 0;
    for (size_t i = 0; i < table->n_cells; i++)
        widths[i % table->n_columns] = MAX(widths[i % table->n_columns],
                                           text_width(table->cells[i].text));
}

/* How wide rows are at least without the hidden columns: text at their end may be cut, a number there may not. */
static size_t least_width(const struct table *table, const size_t *widths, size_t indent,
                          unsigned hidden)
{
    size_t total = indent, spared = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        if (hidden & 1u << i)
            continue;
        total += widths[i] + (total > indent ? 2 : 0);
        spared = table->right & 1u << i || widths[i] < TEXT_WIDTH_MIN ? 0
                                                                      : widths[i] - TEXT_WIDTH_MIN;
    }
    return total - spared;
}

/* A bit for each column that the screen has no room for. */
static unsigned hide_columns(const struct table *table, const size_t *widths,
                             const struct screen *screen, size_t indent)
{
    unsigned hidden = 0;
    for (size_t i = 0; i < table->n_expendable; i++) {
        if (least_width(table, widths, indent, hidden) <= screen->width)
            break;
        hidden |= 1u << table->expendable[i];
    }
    return hidden;
}

/* Writes one row; nothing is written behind the last text, nor beyond the screen. */
static void print_row(const struct table *table, size_t row, const size_t *widths, unsigned hidden,
                      const struct screen *screen, size_t indent, FILE *stream)
{
    const struct table_cell *cells = table->cells + row * table->n_columns;
    size_t last = table->n_columns, pending = indent, left = screen->width;
    while (last > 0 && (hidden & 1u << (last - 1) || cells[last - 1].text[0] == '\0'))
        last--;
    for (size_t i = 0; i < last; i++) {
        if (hidden & 1u << i)
            continue;
        size_t bytes = strlen(cells[i].text), width = text_width(cells[i].text),
               pad = widths[i] - width;
        if (table->right & 1u << i)
            pending += pad;
        if (pending >= left)
            break;
        left -= pending;
        if (width > left) {
            bytes = text_fit(cells[i].text, left);
            width = left;
        }
        put_blanks(stream, pending);
        (void)fprintf(stream, "%s%.*s%s", tone_begin(screen, cells[i].tone), (int)bytes,
                      cells[i].text, tone_end(screen, cells[i].tone));
        left -= width;
        pending = 2 + (table->right & 1u << i ? 0 : pad);
    }
    (void)fputc('\n', stream);
}

void table_print(const struct table *table, const struct screen *screen, size_t indent,
                 FILE *stream)
{
    size_t widths[TABLE_COLUMNS_MAX];
    measure(table, widths);
    unsigned hidden = hide_columns(table, widths, screen, indent);
    for (size_t row = 0; row < table->n_cells / table->n_columns; row++)
        print_row(table, row, widths, hidden, screen, indent, stream);
}

void table_clear(struct table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    table->cells = NULL;
    table->n_cells = 0;
}
