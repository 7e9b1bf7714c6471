/*
 * What the reader of configurations refuses becomes a comment with its reason, until it refuses nothing. So every rule for
 * values has one home, the key tables and their validation, and what is imported passes --check.
 */
#include "import/document-internal.h"

#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>

#define NAME       "import"
#define ROUNDS_MAX 64 /* each gives up to ERRORS_MAX refusals */

static struct entry *find_line(struct document *document, unsigned line)
{
    for (size_t i = 0; i < document->n_entries; i++)
        if (document->entries[i].live && document->entries[i].line == line)
            return &document->entries[i];
    return NULL;
}

static bool read_line_number(const char *error, unsigned *ret)
{
    char digits[16];
    uint64_t line;
    if (!string_starts_with(error, NAME ":"))
        return false;
    error += strlen(NAME ":");
    size_t length = strcspn(error, ":");
    if (length >= sizeof(digits))
        return false;
    memcpy(digits, error, length);
    digits[length] = '\0';
    if (parse_unsigned(digits, 1, UINT32_MAX, &line) < 0)
        return false;
    *ret = (unsigned)line;
    return true;
}

/* "import:12:5: programs.web.nice: TEXT" */
static const char *text_of(const char *error)
{
    const char *text = strstr(error, ": ");
    const char *after_path = text ? strstr(text + 2, ": ") : NULL;
    return after_path ? after_path + 2 : text ? text + 2 : error;
}

/* What the entry is in; what is in nothing concerns all programs. */
static struct entry *find_section(struct document *document, const struct entry *entry)
{
    for (size_t i = 0; entry->depth == 0 && i < document->n_entries; i++)
        if (string_equal(document->entries[i].key, "programs"))
            return &document->entries[i];
    for (struct entry *section = (struct entry *)entry; section-- > document->entries;)
        if (section->type == ENTRY_SECTION && section->depth < entry->depth)
            return section;
    return NULL;
}

/* As root instead of a user that is not there, say. */
static int refuse_section(struct document *document, const struct entry *entry)
{
    struct entry *section = find_section(document, entry);
    if (!section || section->reason)
        return 1;
    section->reason = string_format("left out, as it would be another program without its '%s':",
                                    entry->key);
    return section->reason ? 1 : -ENOMEM;
}

/* 1: it is a comment now. 0: nothing here can be made one. */
static int refuse(struct document *document, const char *error)
{
    unsigned line;
    struct entry *entry = read_line_number(error, &line) ? find_line(document, line) : NULL;
    if (!entry)
        return 0;
    if (entry->reason)
        return 1;
    entry->reason = string_format("%s; this is left out:", text_of(error));
    if (!entry->reason)
        return -ENOMEM;
    return entry->insists ? refuse_section(document, entry) : 1;
}

static int refuse_all(struct document *document, const char *errors)
{
    int any = 0;
    while (*errors != '\0') {
        size_t length = strcspn(errors, "\n");
        CLEANUP_FREE char *error = strndup(errors, length);
        int r = error ? refuse(document, error) : -ENOMEM;
        if (r < 0)
            return r;
        any |= r;
        errors += length + (errors[length] == '\n');
    }
    return any;
}

static int try_once(struct document *document, const char *text, char **ret_error)
{
    const struct config_source source = {.text = text, .name = NAME, .directory = "/"};
    CLEANUP_CONFIG struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r != -EINVAL || !errors)
        return r;
    int any = refuse_all(document, errors);
    if (any != 0)
        return any < 0 ? any : -EAGAIN;
    *ret_error = TAKE_PTR(errors);
    return -EINVAL;
}

static bool has_program(const struct document *document)
{
    bool in_programs = false;
    for (size_t i = 0; i < document->n_entries; i++) {
        const struct entry *entry = &document->entries[i];
        if (entry->depth == 0)
            in_programs = entry->type == ENTRY_SECTION && string_equal(entry->key, "programs");
        else if (in_programs && entry->depth == 1 && entry->live)
            return true;
    }
    return false;
}

int document_settle(struct document *document, char **ret_text, char **ret_error)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        CLEANUP_FREE char *text = document_render(document);
        if (!text)
            return -ENOMEM;
        int r = !has_program(document)                ? -ENODATA
                : strlen(text) > CONFIG_FILE_SIZE_MAX ? -EFBIG
                                                      : try_once(document, text, ret_error);
        if (r == 0 || r == -ENODATA)
            *ret_text = TAKE_PTR(text);
        if (r == -EFBIG) {
            *ret_error = strdup("the translation is larger than the 1 MiB that a configuration "
                                "may have: import a part of it");
            return *ret_error ? -EINVAL : -ENOMEM;
        }
        if (r != -EAGAIN)
            return r;
    }
    *ret_error = strdup("too much of it is not valid here: import a part of it");
    return *ret_error ? -EINVAL : -ENOMEM;
}
