#include "import/import.h"

#include "base/fd.h"
#include "base/strv.h"
#include "config/config.h"
#include "config/files.h"
#include "config/glob.h"
#include "config/paths.h"
#include "import/document.h"
#include "import/ini.h"
#include "import/qilin.h"
#include "import/supervisor.h"
#include "import/template.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SIZE_MAX_OF_ALL ((size_t)4 << 20)

struct import {
    const char *path; /* absolute */
    struct document *document;
    struct ini ini;
    size_t size;         /* of all files */
    unsigned n_included; /* files, and patterns */
    char **ret_error;
};

static void import_clear(struct import *import)
{
    (void)document_free(import->document);
    ini_clear(&import->ini);
}

static int fail(struct import *import, int error, char *text)
{
    *import->ret_error = text;
    return text ? -error : -ENOMEM;
}

/* Both formats are text: UTF-8 without NUL. */
static int check_text(struct import *import, const char *path, const char *text, size_t size)
{
    CLEANUP_FREE char *clean = strdup(text);
    if (!clean)
        return -ENOMEM;
    string_make_utf8(clean);
    size_t wrong = strlen(text);
    for (size_t i = 0; clean[i] != '\0'; i++)
        if (clean[i] != text[i]) {
            wrong = i;
            break;
        }
    if (wrong == size)
        return 0;
    unsigned line = 1;
    for (size_t i = 0; i < wrong; i++)
        line += text[i] == '\n';
    return fail(
        import, EINVAL,
        string_format("%s:%u: this is no text in UTF-8: convert it, as by iconv(1)", path, line));
}

static const char *skip_mark(const char *text)
{
    return string_starts_with(text, "\xef\xbb\xbf") ? text + 3 : text;
}

static int add_ini(struct import *import, const char *path, const char *text, size_t size)
{
    int r = check_text(import, path, text, size);
    return r < 0 ? r : ini_parse(&import->ini, path, skip_mark(text), import->ret_error);
}

static int read_file(struct import *import, const char *path, char **ret, size_t *ret_size)
{
    int r = fd_read_file(path, CONFIG_FILE_SIZE_MAX, ret, ret_size);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return fail(import, -r,
                    string_format("%s: cannot read it: %s", path, files_describe_failure(-r)));
    import->size += *ret_size;
    if (import->size > SIZE_MAX_OF_ALL)
        return fail(import, EFBIG,
                    string_format("%s: all files together are larger than 4 MiB: import a part "
                                  "of them",
                                  path));
    return 0;
}

static int count(struct import *import)
{
    if (++import->n_included <= CONFIG_FILES_MAX)
        return 0;
    return fail(import, E2BIG,
                string_format("%s: it includes more than %d files: import a part of them",
                              import->path, CONFIG_FILES_MAX));
}

static int include_file(struct import *import, const char *path)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    int r = count(import);
    if (r == 0)
        r = read_file(import, path, &text, &size);
    return r < 0 ? r : add_ini(import, path, text, size);
}

static int include_pattern(struct import *import, const struct ini_option *option,
                           const char *pattern)
{
    CLEANUP_FREE char *directory = path_directory(import->path),
                      *absolute = directory ? path_join(directory, pattern) : NULL, *reason = NULL;
    CLEANUP_STRV char **paths = NULL;
    if (!absolute)
        return -ENOMEM;
    int r = count(import);
    if (r == 0)
        r = glob_find(absolute, &paths, &reason);
    if (r < 0 && reason)
        return fail(import, -r, string_format("%s:%u: %s", option->file, option->line, reason));
    if (r == 0 && !paths)
        document_refuse(import->document,
                        (struct origin){.file = option->file, .line = option->line},
                        "include: no file is called %.200s", pattern);
    STRV_FOREACH (path, paths)
        if (r == 0)
            r = include_file(import, *path);
    return r;
}

/* Once: as there, a file that is included includes nothing. */
static int include(struct import *import)
{
    const struct ini_option *option = ini_find_option(ini_find(&import->ini, "include"), "files");
    CLEANUP_FREE char *here = path_directory(import->path), *files = NULL, *reason = NULL;
    if (!option)
        return 0;
    /* What is read next may move the option. */
    const struct ini_option fixed = {.file = option->file, .line = option->line};
    const struct template_names names = {.here = here};
    int r = here ? template_evaluate(option->value, &names, &files, &reason) : -ENOMEM;
    if (r == -EINVAL && reason)
        return fail(import, EINVAL, string_format("%s:%u: %s", fixed.file, fixed.line, reason));
    for (char *rest = files, *pattern; r == 0 && (pattern = strsep(&rest, " \t\r\n"));)
        if (*pattern != '\0')
            r = include_pattern(import, &fixed, pattern);
    return r;
}

static bool is_json(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{';
}

static int translate(struct import *import, const char *text, size_t size, bool with_includes)
{
    const char *begin = skip_mark(text);
    size -= (size_t)(begin - text);
    document_say(import->document, "From %s, by 'reloader import' of reloader %s.", import->path,
                 RELOADER_VERSION);
    document_say(import->document, "What could not be translated is a comment that begins with "
                                   "the name of the file.");
    if (is_json(begin)) {
        int r = check_text(import, import->path, begin, size);
        return r < 0 ? r
                     : qilin_translate(begin, size, import->path, import->document,
                                       import->ret_error);
    }
    int r = add_ini(import, import->path, begin, size);
    if (r == 0 && with_includes)
        r = include(import);
    return r < 0 ? r : supervisor_translate(&import->ini, import->path, import->document);
}

static int run(struct import *import, const char *text, size_t size, bool with_includes,
               FILE *stream, unsigned *ret_refused)
{
    import->document = document_new();
    if (!import->document)
        return -ENOMEM;
    int r = translate(import, text, size, with_includes);
    if (r == 0)
        r = document_write(import->document, stream, ret_refused, import->ret_error);
    if (r == -ENODATA)
        return fail(import, EINVAL,
                    string_format("%s: no program in it can be run: expected [program:NAME] with a "
                                  "command; comments in the output say why others were left out",
                                  import->path));
    return r;
}

int import_text(const char *text, size_t size, const char *path, FILE *stream,
                unsigned *ret_refused, char **ret_error)
{
    CLEANUP(import_clear) struct import import = {.path = path, .ret_error = ret_error};
    *ret_error = NULL;
    return run(&import, text, size, false, stream, ret_refused);
}

int import_file(const char *path, FILE *stream, unsigned *ret_refused, char **ret_error)
{
    CLEANUP_FREE char *absolute = path_absolute(path), *text = NULL;
    CLEANUP(import_clear) struct import import = {.path = absolute, .ret_error = ret_error};
    size_t size;
    *ret_error = NULL;
    if (!absolute)
        return -ENOMEM;
    int r = read_file(&import, absolute, &text, &size);
    return r < 0 ? r : run(&import, text, size, true, stream, ret_refused);
}
