#include "reloaderctl/help.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HELP_COLUMN   20
#define OPTION_COLUMN 22

/* All */

/* Options that are told with each command which has them. */
#define TOLD_WITH_VERB (~(OPTION_BIT(JSON) | OPTION_BIT(QUIET)))

/* "[--no-wait]", "[-n LINES]". */
static void put_option(FILE *stream, const struct verb_option_row *row)
{
    if (row->letter)
        (void)fprintf(stream, " [-%c", row->letter);
    else
        (void)fprintf(stream, " [--%s", row->name);
    (void)fprintf(stream, "%s%s]", row->value ? " " : "", row->value ? row->value : "");
}

/* "reload [PROGRAM...] [--no-wait] [--dry-run]"; malloc-ed. */
static char *usage_of(const struct verb *verb, unsigned options)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    (void)fprintf(stream, "%s%s%s", verb->name, verb->arguments ? " " : "",
                  verb->arguments ? verb->arguments : "");
    for (int i = 0; i < VERB_OPTIONS; i++)
        if (verb->options & options & 1u << i)
            put_option(stream, &verb_options[i]);
    if (fclose(stream) != 0)
        die_of_memory();
    return text;
}

/* The rest of a line that has come to `column`, and further ones that begin there; broken at blanks where it is a terminal. */
static void print_text(const char *text, size_t column)
{
    size_t width = screen_look(STDOUT_FILENO).width, used = column;
    while (*text != '\0') {
        size_t length = strcspn(text, " \n");
        if (used > column && (used + 1 + length > width || text[-1] == '\n')) {
            (void)printf("\n%*s", (int)column, "");
            used = column;
        }
        used += (size_t)printf("%s%.*s", used > column ? " " : "", (int)length, text);
        text += length + (text[length] != '\0');
    }
    (void)fputc('\n', stdout);
}

static void print_row(const struct verb *verb)
{
    CLEANUP_FREE char *usage = usage_of(verb, TOLD_WITH_VERB);
    if (strlen(usage) <= HELP_COLUMN) {
        (void)printf("  %-*s ", HELP_COLUMN, usage);
    } else {
        (void)fputs("  ", stdout);
        print_text(usage, 6);
        (void)printf("%*s", HELP_COLUMN + 3, "");
    }
    print_text(verb->help, HELP_COLUMN + 3);
}

/* "  -q, --quiet           nothing but the result". */
static void print_option(const struct verb_option_row *row)
{
    char letter[8] = "    ";
    if (row->letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    CLEANUP_FREE char *name = string_format("%s--%s%s%s", letter, row->name, row->value ? " " : "",
                                            row->value ? row->value : "");
    (void)printf("  %-*s ", OPTION_COLUMN, name ? name : row->name);
    print_text(row->help, OPTION_COLUMN + 3);
}

static void print_socket_option(void)
{
    static const struct verb_option_row row = {
        "socket", 's', "SOCKET",
        "the master's control socket; else RELOADER_CONTROL, else the default places"};
    print_option(&row);
}

static void print_common_options(void)
{
    static const struct verb_option_row rows[] = {
        {"help", 'h', NULL, "this text; behind a command, all about that"},
        {"version", 'V', NULL, "the version of this program alone"},
        {"list-commands", 0, NULL, "commands, their options and arguments, for machines"},
    };
    print_socket_option();
    print_option(&verb_options[OPTION_JSON]);
    print_option(&verb_options[OPTION_QUIET]);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        print_option(&rows[i]);
    (void)fputc('\n', stdout);
    print_text("Exit codes: 0 done, 1 failed, 2 usage, 3 no master, 4 not everything is ready.", 0);
}

void help_print(bool in_shell)
{
    if (!in_shell)
        (void)printf("usage: reloaderctl [-s SOCKET] COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < n_verbs; i++)
        if (in_shell ? !verbs[i].not_in_shell : !verbs[i].shell_only)
            print_row(&verbs[i]);
    if (in_shell)
        return;
    (void)fputc('\n', stdout);
    print_common_options();
}

/* One */

static void print_alias(const char *alias, void *userdata)
{
    bool *first = userdata;
    (void)printf("%s%s", *first ? "\nalso called: " : ", ", alias);
    *first = false;
}

void help_print_verb(const struct verb *verb)
{
    CLEANUP_FREE char *usage = usage_of(verb, ~0u);
    bool first = true;
    (void)printf("usage: %s", verb->shell_only ? "" : "reloaderctl [-s SOCKET] ");
    print_text(usage, verb->shell_only ? 7 : 31);
    (void)fputc('\n', stdout);
    print_text(verb->help, 0);
    if (verb->note)
        print_text(verb->note, 0);
    verb_each_alias(verb, print_alias, &first);
    (void)fputs(first ? "\n" : "\n\n", stdout);
    if (!verb->shell_only)
        print_socket_option();
    for (int i = 0; i < VERB_OPTIONS; i++)
        if (verb->options & 1u << i)
            print_option(&verb_options[i]);
}

int command_help(const struct invocation *invocation)
{
    const char *name = invocation->arguments[0];
    const struct verb *verb = name ? verb_find(name, invocation->in_shell) : NULL;
    if (verb)
        help_print_verb(verb);
    else if (!name)
        help_print(invocation->in_shell);
    else
        complain("there is no command '%s'; `reloaderctl help` lists them", name);
    return verb || !name ? EXIT_CODE_OK : EXIT_CODE_USAGE;
}

/* For machines */

static void append_alias(const char *alias, void *userdata)
{
    (void)json_array_append_new(userdata, json_string(alias));
}

static json_t *options_of(const struct verb *verb)
{
    json_t *options = json_array();
    for (int i = 0; i < VERB_OPTIONS; i++) {
        const struct verb_option_row *row = &verb_options[i];
        const char letter[] = {row->letter, '\0'};
        if (verb->options & 1u << i)
            (void)json_array_append_new(options,
                                        json_pack("{s:s, s:s*, s:s*, s:s}", "name", row->name,
                                                  "letter", row->letter ? letter : NULL, "value",
                                                  row->value, "help", row->help));
    }
    return options;
}

static json_t *places_of(const struct verb *verb)
{
    json_t *places = json_array();
    for (size_t i = 0; verb->arguments && i < VERB_PLACES_MAX; i++)
        (void)json_array_append_new(places,
                                    json_string(verb_place_to_string(verb_place_at(verb, i))));
    return places;
}

void help_list_commands(void)
{
    for (size_t i = 0; i < n_verbs; i++) {
        const struct verb *verb = &verbs[i];
        json_auto_t *aliases = json_array();
        verb_each_alias(verb, append_alias, aliases);
        json_auto_t *row = json_pack("{s:s, s:O, s:s*, s:s, s:o, s:o, s:b}", "name", verb->name,
                                     "aliases", aliases, "arguments", verb->arguments, "help",
                                     verb->help, "options", options_of(verb), "places",
                                     places_of(verb), "shell_only", verb->shell_only);
        if (!row)
            die_of_memory();
        print_json(row, false);
    }
}
