#include "import/document-internal.h"

#include "base/strv.h"
#include "config/quote.h"
#include "config/values.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct document *document_new(void)
{
    struct document *document = calloc(1, sizeof(*document));
    if (document)
        document->frames[0] = (struct frame){.type = FRAME_KEYS, .table = &root_table};
    return document;
}

static void entry_clear(struct entry *entry)
{
    free(entry->key);
    free(entry->text);
    free(entry->reason);
}

struct document *document_free(struct document *document)
{
    if (!document)
        return NULL;
    for (size_t i = 0; i < document->n_entries; i++)
        entry_clear(&document->entries[i]);
    free(document->entries);
    free(document);
    return NULL;
}

void document_no_memory(struct document *document)
{
    document->no_memory = true;
}

static struct entry *append(struct document *document, enum entry_type type, struct origin origin)
{
    if (document->n_entries == document->n_allocated) {
        size_t n = document->n_allocated > 0 ? 2 * document->n_allocated : 64;
        struct entry *larger = reallocarray(document->entries, n, sizeof(*larger));
        if (!larger) {
            document->no_memory = true;
            return NULL;
        }
        document->entries = larger;
        document->n_allocated = n;
    }
    struct entry *entry = &document->entries[document->n_entries++];
    *entry = (struct entry){.type = type, .depth = document->depth, .origin = origin};
    return entry;
}

static const struct frame *top(const struct document *document)
{
    return &document->frames[document->depth];
}

bool document_knows(const struct document *document, const char *key)
{
    const struct key *found;
    switch (top(document)->type) {
    case FRAME_KEYS:
        found = key_find(top(document)->table, key);
        return found && found->type;
    case FRAME_NAMES:
    case FRAME_ANY:
        return true;
    case FRAME_UNKNOWN:
        return false;
    }
    return false;
}

static struct entry *append_key(struct document *document, enum entry_type type,
                                struct origin origin, const char *key)
{
    struct entry *entry = append(document, type, origin);
    if (!entry)
        return NULL;
    entry->key = yaml_quote(key);
    bool missing = top(document)->type == FRAME_KEYS && !document_knows(document, key);
    if (missing)
        entry->reason = string_format(
            "reloader %s does not have '%s' yet; this would be it:", RELOADER_VERSION, key);
    if (!entry->key || (missing && !entry->reason))
        document->no_memory = true;
    return entry;
}

static struct frame frame_below(const struct document *document, const char *key)
{
    const struct frame *frame = top(document);
    if (frame->type == FRAME_NAMES)
        return (struct frame){.type = FRAME_KEYS, .table = frame->table};
    if (frame->type != FRAME_KEYS)
        return *frame;
    if (!document_knows(document, key))
        return (struct frame){.type = FRAME_UNKNOWN};
    const struct key *found = key_find(frame->table, key);
    if (found->type == &type_sockets || found->type == &type_programs)
        return (struct frame){.type = FRAME_NAMES, .table = found->table};
    return (struct frame){.type = found->table ? FRAME_KEYS : FRAME_ANY, .table = found->table};
}

void document_open(struct document *document, struct origin origin, const char *key)
{
    (void)append_key(document, ENTRY_SECTION, origin, key);
    if (document->depth == DEPTH_MAX)
        abort(); /* a translator nests no deeper than it is written to */
    document->frames[document->depth + 1] = frame_below(document, key);
    document->depth++;
}

void document_close(struct document *document)
{
    document->depth--;
    if (document->n_entries == 0)
        return;
    struct entry *last = &document->entries[document->n_entries - 1];
    if (last->type != ENTRY_SECTION || last->depth != document->depth)
        return;
    entry_clear(last);
    document->n_entries--;
}

void document_put_yaml(struct document *document, struct origin origin, const char *key,
                       const char *yaml)
{
    struct entry *entry = append_key(document, ENTRY_VALUE, origin, key);
    if (entry && !(entry->text = strdup(yaml)))
        document->no_memory = true;
}

void document_put(struct document *document, struct origin origin, const char *key,
                  const char *text)
{
    CLEANUP_FREE char *quoted = yaml_quote(text);
    document_put_yaml(document, origin, key, quoted ? quoted : "");
    document->no_memory = document->no_memory || !quoted;
}

void document_put_list(struct document *document, struct origin origin, const char *key,
                       char *const *texts)
{
    CLEANUP_FREE char *list = NULL;
    size_t size;
    FILE *stream = open_memstream(&list, &size);
    if (!stream) {
        document->no_memory = true;
        return;
    }
    (void)fputc('[', stream);
    STRV_FOREACH (text, texts) {
        CLEANUP_FREE char *quoted = yaml_quote(*text);
        (void)fprintf(stream, "%s%s", text == texts ? "" : ", ", quoted ? quoted : "");
        document->no_memory = document->no_memory || !quoted;
    }
    (void)fputc(']', stream);
    if (memory_stream_close(stream, &list))
        document_put_yaml(document, origin, key, list);
    else
        document->no_memory = true;
}

void document_insist(struct document *document)
{
    if (document->n_entries > 0)
        document->entries[document->n_entries - 1].insists = true;
}

PRINTF_LIKE(3, 0)
static void append_note(struct document *document, struct origin origin, const char *format,
                        va_list arguments)
{
    struct entry *entry = append(document, ENTRY_NOTE, origin);
    if (entry && vasprintf(&entry->text, format, arguments) < 0) {
        entry->text = NULL;
        document->no_memory = true;
    }
}

void document_say(struct document *document, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_note(document, (struct origin){0}, format, arguments);
    va_end(arguments);
}

void document_refuse(struct document *document, struct origin origin, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_note(document, origin, format, arguments);
    va_end(arguments);
    document->n_refused++;
}

int document_write(struct document *document, FILE *stream, unsigned *ret_refused, char **ret_error)
{
    CLEANUP_FREE char *text = NULL;
    int r = document_settle(document, &text, ret_error);
    if (r < 0 && r != -ENODATA)
        return r;
    unsigned n = document->n_refused;
    for (size_t i = 0; i < document->n_entries; i++)
        n += document->entries[i].reason && document->entries[i].origin.file;
    (void)fputs(text, stream);
    *ret_refused = n;
    return r;
}
