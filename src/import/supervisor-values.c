/* Values of Supervisor's, one by one: expanded first, then taken for what they are, as it does itself. */
#include "import/supervisor-internal.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/paths.h"
#include "config/quote.h"
#include "import/variables.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define EXCERPT_MAX 160
#define NAME_MAX_   64

struct ini_option *part_get(const struct part *part, const char *name)
{
    struct ini_option *option = ini_find_option(part->section, name);
    if (option)
        option->used = true;
    return option;
}

struct origin section_origin(const struct ini_section *section)
{
    return section ? (struct origin){.file = section->file, .line = section->line}
                   : (struct origin){0};
}

struct origin option_origin(const struct ini_option *option)
{
    return option ? (struct origin){.file = option->file, .line = option->line}
                  : (struct origin){0};
}

/* What nobody needs any more is not spread. */
const char *option_shown(const struct ini_option *option)
{
    return strstr(option->name, "password") ? "(not shown)" : option->value;
}

void part_refuse(const struct part *part, const struct ini_option *option, const char *format, ...)
{
    const char *shown = option_shown(option);
    CLEANUP_FREE char *why = NULL, *value = string_format("%.*s%s", EXCERPT_MAX, shown,
                                                          strlen(shown) > EXCERPT_MAX ? "..." : "");
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&why, format, arguments) < 0)
        why = NULL;
    va_end(arguments);
    if (!why || !value) {
        document_no_memory(part->document);
        return;
    }
    string_make_utf8(value); /* it may have been cut within a character */
    string_make_utf8(why);
    document_refuse(part->document, option_origin(option), "%s = %s: %s", option->name, value, why);
}

void part_drop(const struct part *part, const char *name, const char *why)
{
    const struct ini_option *option = part_get(part, name);
    if (option)
        part_refuse(part, option, "%s", why);
}

void part_drop_rest(const struct part *part)
{
    for (size_t i = 0; part->section && i < part->section->n_options; i++) {
        const struct ini_option *option = &part->section->options[i];
        if (!option->used)
            part_refuse(part, option, "Supervisor has no such setting in [%.60s]: check its name",
                        part->section->name);
    }
}

typedef int translate_function(const char *text, const struct template_names *names, char **ret,
                               char **ret_reason);

static char *translate(const struct part *part, const struct ini_option *option,
                       translate_function *function)
{
    CLEANUP_FREE char *here = path_directory(option->file), *reason = NULL;
    char *text = NULL;
    struct template_names names = part->names;
    names.here = here;
    int r = here ? function(option->value, &names, &text, &reason) : -ENOMEM;
    if (r == -EINVAL && reason)
        part_refuse(part, option, "%s", reason);
    else if (r < 0)
        document_no_memory(part->document);
    return text;
}

char *part_template(const struct part *part, const struct ini_option *option)
{
    return translate(part, option, template_translate);
}

char *part_text(const struct part *part, const struct ini_option *option)
{
    return translate(part, option, template_evaluate);
}

char *part_path(const struct part *part, const struct ini_option *option)
{
    CLEANUP_FREE char *path = part_template(part, option);
    char *absolute = NULL;
    if (!path)
        return NULL;
    if (*path == '\0' || (*path == '~' && path[1] != '/')) {
        part_refuse(part, option, "expected a path: write it out");
        return NULL;
    }
    if (*path == '~')
        absolute = string_format("%%(ENV_HOME)s%s", path + 1);
    else if (string_starts_with(path, "%("))
        absolute = strdup(path); /* what it stands for may be absolute itself */
    else
        absolute = path_join(part->translation->directory, path);
    if (!absolute)
        document_no_memory(part->document);
    return absolute;
}

bool part_number(const struct part *part, const struct ini_option *option, uint64_t *ret)
{
    CLEANUP_FREE char *text = part_text(part, option);
    if (!text)
        return false;
    if (parse_unsigned(text, 0, UINT32_MAX, ret) == 0)
        return true;
    part_refuse(part, option, "expected a number from 0 on: write what is meant by hand");
    return false;
}

int part_word(const struct part *part, const struct ini_option *option, const char *const *words)
{
    CLEANUP_FREE char *text = part_text(part, option);
    for (int i = 0; text && words[i]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return i;
    if (text)
        part_refuse(part, option, "expected %s, %s or the like: write what is meant by hand",
                    words[0], words[1]);
    return -1;
}

bool part_bool(const struct part *part, const struct ini_option *option, bool *ret)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "1", "0", NULL};
    int word = part_word(part, option, words);
    if (word >= 0)
        *ret = word % 2 == 0;
    return word >= 0;
}

static void put_standard(const struct part *part, const char *key, const char *standard)
{
    if (standard)
        document_put(part->document, (struct origin){0}, key, standard);
}

static void put_with_unit(const struct part *part, const char *name, const char *key,
                          const char *standard, const char *unit)
{
    const struct ini_option *option = part_get(part, name);
    uint64_t number;
    char text[32];
    if (!option) {
        put_standard(part, key, standard);
    } else if (part_number(part, option, &number)) {
        (void)snprintf(text, sizeof(text), "%" PRIu64 "%s", number, unit);
        document_put(part->document, option_origin(option), key, text);
    }
}

void put_number(const struct part *part, const char *name, const char *key, const char *standard)
{
    put_with_unit(part, name, key, standard, "");
}

void put_seconds(const struct part *part, const char *name, const char *key, const char *standard)
{
    put_with_unit(part, name, key, standard, "s");
}

/* Supervisor's are 1KB, 50MB, 2GB, or plain bytes; ours have one letter. */
void put_size(const struct part *part, const char *name, const char *key)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    uint64_t bytes;
    if (!text)
        return;
    size_t length = strlen(text);
    if (length > 2 && tolower((unsigned char)text[length - 1]) == 'b') {
        text[length - 1] = '\0';
        text[length - 2] = (char)toupper((unsigned char)text[length - 2]);
    }
    if (parse_size(text, &bytes) < 0)
        part_refuse(part, option, "expected a size, as 50MB: write what is meant by hand");
    else if (bytes == 0)
        part_refuse(part, option, "0 lets a file grow without end; here it is always rotated");
    else
        document_put(part->document, option_origin(option), key, text);
}

void put_switch(const struct part *part, const char *name, const char *key)
{
    const struct ini_option *option = part_get(part, name);
    bool on;
    if (option && part_bool(part, option, &on))
        document_put_yaml(part->document, option_origin(option), key, on ? "true" : "false");
}

void put_template(const struct part *part, const char *name, const char *key)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *text = option ? part_template(part, option) : NULL;
    if (text)
        document_put(part->document, option_origin(option), key, text);
}

void put_text(const struct part *part, const char *name, const char *key)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    if (text)
        document_put(part->document, option_origin(option), key, text);
}

/* With quotes: else other readers of YAML take 022 for eighteen. */
void put_octal(const struct part *part, const char *name, const char *key, const char *standard)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *text = option ? part_text(part, option) : strdup(standard ? standard : "");
    char quoted[16];
    unsigned mode;
    if (!text || *text == '\0')
        return;
    if (parse_mode(text, &mode) < 0) {
        part_refuse(part, option, "expected an octal number, as 022: write what is meant by hand");
        return;
    }
    (void)snprintf(quoted, sizeof(quoted), "\"%.8s\"", text);
    document_put_yaml(part->document, option_origin(option), key, quoted);
}

void put_path(const struct part *part, const char *name, const char *key)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *path = option ? part_path(part, option) : NULL;
    if (path)
        document_put(part->document, option_origin(option), key, path);
}

static int translate_variable(const struct part *part, const struct ini_option *option,
                              const char *variable, char ***ret)
{
    CLEANUP_FREE char *here = path_directory(option->file), *value = NULL, *reason = NULL;
    struct template_names names = part->names;
    names.here = here;
    size_t name = strcspn(variable, "=");
    int r = here ? template_translate(variable + name + 1, &names, &value, &reason) : -ENOMEM;
    if (r == -EINVAL && reason) {
        part_refuse(part, option, "%s", reason);
        return 0;
    }
    return r < 0 ? r : strv_appendf(ret, "%.*s=%s", (int)name, variable, value);
}

char **part_variables(const struct part *part, const struct ini_option *option)
{
    CLEANUP_STRV char **variables = NULL, **translated = NULL;
    CLEANUP_FREE char *reason = NULL;
    int r = variables_parse(option->value, &variables, &reason);
    if (r == -EINVAL && reason) {
        part_refuse(part, option, "%s", reason);
        return NULL;
    }
    STRV_FOREACH (variable, variables)
        if (r == 0)
            r = translate_variable(part, option, *variable, &translated);
    if (r < 0)
        document_no_memory(part->document);
    return TAKE_PTR(translated);
}

void put_environment(const struct part *part, char *const *variables)
{
    const struct ini_option *option = ini_find_option(part->section, "environment");
    const struct origin origin = option_origin(option);
    if (!variables)
        return;
    document_open(part->document, origin, "environment");
    STRV_FOREACH (variable, variables) {
        CLEANUP_FREE char *name = strndup(*variable, strcspn(*variable, "="));
        if (name)
            document_put(part->document, origin, name, *variable + strlen(name) + 1);
        else
            document_no_memory(part->document);
    }
    document_close(part->document);
}

char *make_name(const char *name)
{
    char *made = strndup(*name != '\0' ? name : "program", NAME_MAX_);
    for (char *s = made; s && *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            *s = '-';
    return made;
}

void put_owner(const struct part *part, const char *name)
{
    const struct ini_option *option = part_get(part, name);
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    if (!text)
        return;
    char *colon = strchr(text, ':');
    if (colon)
        *colon = '\0';
    document_put(part->document, option_origin(option), "owner", text);
    if (colon)
        document_put(part->document, option_origin(option), "group", colon + 1);
}

/* Who it is matters more than that it runs. */
void put_user(const struct part *part)
{
    const struct ini_option *option = part_get(part, "user");
    CLEANUP_FREE char *user = option ? part_text(part, option) : NULL;
    if (!user)
        return;
    document_put(part->document, option_origin(option), "user", user);
    document_insist(part->document);
}
