/* What the files of the translation of a supervisord.conf share. */
#pragma once

#include "import/document.h"
#include "import/ini.h"
#include "import/template.h"

struct translation {
    struct ini *ini;
    struct document *document;
    char *directory;       /* where relative paths begin, as a template */
    char **environment;    /* of [supervisord]: "NAME=template" */
    char **names;          /* of programs that are taken */
    bool root_environment; /* is in the document already */
    bool strip_ansi, log_directory;
};

/* The section at hand. */
struct part {
    struct translation *translation;
    struct document *document;
    struct ini_section *section; /* NULL: there is none, and so no options */
    struct template_names names;
};

/* A program, or fcgi-program. */
struct program {
    struct ini_section *section;
    const char *name;                /* as in the file */
    char *key;                       /* as in the document */
    const struct ini_section *group; /* the first one that names it, or NULL */
    bool fcgi;
};

/* NULL: it is not set. What is asked for is not told as left over. */
struct ini_option *part_get(const struct part *part, const char *name);
/* Its value, but for passwords. Borrowed. */
const char *option_shown(const struct ini_option *option);
struct origin option_origin(const struct ini_option *option);
struct origin section_origin(const struct ini_section *section);
/* "FILE:LINE: name = value: WHY" */
void part_refuse(const struct part *part, const struct ini_option *option, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* For an option that nothing is made of, if it is there. */
void part_drop(const struct part *part, const char *name, const char *why);
/* All that nobody asked for. */
void part_drop_rest(const struct part *part);

/* The value as a template, or evaluated; malloc-ed. NULL after a refusal (or without memory, which the document knows). */
char *part_template(const struct part *part, const struct ini_option *option);
char *part_text(const struct part *part, const struct ini_option *option);
/* A template of an absolute path. */
char *part_path(const struct part *part, const struct ini_option *option);
/* False after a refusal. */
bool part_number(const struct part *part, const struct ini_option *option, uint64_t *ret);
bool part_bool(const struct part *part, const struct ini_option *option, bool *ret);
/* Evaluated, as one of the words; -1 after a refusal, whatever their case. */
int part_word(const struct part *part, const struct ini_option *option, const char *const *words);

/* Supervisor's name, ours, and what to write where it is not set (NULL: nothing). */
void put_number(const struct part *part, const char *name, const char *key, const char *standard);
void put_seconds(const struct part *part, const char *name, const char *key, const char *standard);
void put_size(const struct part *part, const char *name, const char *key);
void put_switch(const struct part *part, const char *name, const char *key);
void put_template(const struct part *part, const char *name, const char *key);
void put_text(const struct part *part, const char *name, const char *key);
void put_octal(const struct part *part, const char *name, const char *key, const char *standard);
void put_path(const struct part *part, const char *name, const char *key);
void put_environment(const struct part *part, char *const *variables);

/* USER or USER:GROUP, as `owner` and `group`. */
void put_owner(const struct part *part, const char *name);

void put_user(const struct part *part);

/* A name that reloader takes: its letters are its own, others become '-'. malloc-ed or NULL. */
char *make_name(const char *name);

/* Variables of an option, translated; NULL: none. */
char **part_variables(const struct part *part, const struct ini_option *option);

/* Does a [group:x] name the program? */
bool group_lists(const struct ini_section *group, const char *program);

/* [supervisord] and the http servers. */
void supervisord_translate(struct translation *translation);
void program_translate(struct translation *translation, const struct program *program);
/* The entry in `sockets` of an fcgi-program. */
void program_translate_socket(struct translation *translation, const struct program *program);
void output_translate(const struct part *part);
