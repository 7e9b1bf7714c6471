/* From entries to text. What is a comment is found first: a section is one if nothing in it is anything else. */
#include "import/document-internal.h"

#include "config/quote.h"

#include <stdint.h>
#include <string.h>

#define INDENT 2

struct rendering {
    FILE *stream;
    unsigned line; /* of what is written next */
};

/* How many bytes at s a comment must not have: YAML takes them for a line's end, or refuses them. 0: it may. */
static size_t measure_forbidden(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x20 || u[0] == 0x7f)
        return 1;
    if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0)
        return 2;
    if (u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9))
        return 3;
    if (u[0] == 0xef && ((u[1] == 0xbb && u[2] == 0xbf) || (u[1] == 0xbf && u[2] >= 0xbe)))
        return 3;
    return 0;
}

static void put_comment_text(FILE *stream, const char *text)
{
    while (*text != '\0') {
        size_t length = measure_forbidden(text);
        (void)fputc(length > 0 ? ' ' : *text, stream);
        text += MAX(length, (size_t)1);
    }
}

static void end_line(struct rendering *r)
{
    (void)fputc('\n', r->stream);
    r->line++;
}

static void put_comment(struct rendering *r, const struct entry *entry, const char *text)
{
    (void)fprintf(r->stream, "%*s# ", (int)(INDENT * entry->depth), "");
    if (entry->origin.file) {
        put_comment_text(r->stream, entry->origin.file);
        (void)fprintf(r->stream, ":%u: ", entry->origin.line);
    }
    put_comment_text(r->stream, text);
    end_line(r);
}

static void put_key(struct rendering *r, struct entry *entry)
{
    if (entry->reason)
        put_comment(r, entry, entry->reason);
    entry->line = r->line;
    (void)fprintf(r->stream, "%*s%s%s:", (int)(INDENT * entry->depth), "", entry->live ? "" : "#",
                  entry->key ? entry->key : "");
    if (entry->text)
        (void)fprintf(r->stream, " %s", entry->text);
    end_line(r);
}

/* Before each part at the top, and each program but the first; and behind the last one. */
static bool begins_paragraph(const struct entry *entry, const struct entry *before)
{
    if (!before)
        return false;
    if (entry->type == ENTRY_SECTION && entry->depth <= 1)
        return before->type != ENTRY_SECTION;
    return entry->depth == 0 && before->depth > 0;
}

static void put_entry(struct rendering *r, struct entry *entry, const struct entry *before)
{
    if (begins_paragraph(entry, before))
        end_line(r);
    if (entry->type == ENTRY_NOTE)
        put_comment(r, entry, entry->text ? entry->text : "");
    else
        put_key(r, entry);
}

/* From the end: whether anything deeper lives, for each depth that is open. Then from the start: what is in a comment is one. */
static void find_live(struct document *document)
{
    bool any[DEPTH_MAX + 2] = {false};
    for (size_t i = document->n_entries; i > 0; i--) {
        struct entry *entry = &document->entries[i - 1];
        bool filled = entry->type == ENTRY_VALUE || any[entry->depth + 1];
        entry->live = entry->type != ENTRY_NOTE && !entry->reason && filled;
        if (entry->type == ENTRY_SECTION)
            any[entry->depth + 1] = false;
        any[entry->depth] = any[entry->depth] || entry->live;
    }
    unsigned dead = UINT32_MAX; /* depth of the section that is a comment */
    for (size_t i = 0; i < document->n_entries; i++) {
        struct entry *entry = &document->entries[i];
        if (entry->depth > dead)
            entry->live = false;
        else
            dead = entry->type == ENTRY_SECTION && !entry->live ? entry->depth : UINT32_MAX;
    }
}

char *document_render(struct document *document)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    struct rendering r = {.stream = open_memstream(&text, &size), .line = 1};
    if (!r.stream)
        return NULL;
    find_live(document);
    for (size_t i = 0; i < document->n_entries; i++)
        put_entry(&r, &document->entries[i], i > 0 ? &document->entries[i - 1] : NULL);
    if (!memory_stream_close(r.stream, &text) || document->no_memory)
        return NULL;
    return TAKE_PTR(text);
}
