#include "reloaderctl/help.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN   20
#define OPTION_COLUMN 22

/* All */

/* Options that are told with each command which has them. */
#define TOLD_WITH_VERB                                                                             \
    (OPTION_BIT(NO_WAIT) | OPTION_BIT(DRY_RUN) | OPTION_BIT(FORCE) | OPTION_BIT(PSS) |             \
     OPTION_BIT(GROUP) | OPTION_BIT(WATCH) | OPTION_BIT(FOLLOW) | OPTION_BIT(DELAY) |              \
     OPTION_BIT(COUNT) | OPTION_BIT(LINES))

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

static void print_row(const struct verb *verb)
{
    CLEANUP_FREE char *usage = usage_of(verb, TOLD_WITH_VERB);
    bool beside = strlen(usage) <= HELP_COLUMN;
    (void)printf("  %-*s%s%-*s %s\n", HELP_COLUMN, usage, beside ? "" : "\n",
                 beside ? 0 : HELP_COLUMN + 2, "", verb->help);
}

/* "  -q, --quiet           nothing but the result". */
static void print_option(const struct verb_option_row *row)
{
    char letter[8] = "    ";
    if (row->letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    CLEANUP_FREE char *name = string_format("%s--%s%s%s", letter, row->name, row->value ? " " : "",
                                            row->value ? row->value : "");
    (void)printf("  %-*s %s\n", OPTION_COLUMN, name ? name : row->name, row->help);
}

static const char about_socket[] =
    "  -s, --socket SOCKET    the master's control socket; else RELOADER_CONTROL, else the default "
    "places\n";

static void print_common_options(void)
{
    (void)fputs(about_socket, stdout);
    print_option(&verb_options[OPTION_JSON]);
    print_option(&verb_options[OPTION_QUIET]);
    (void)fputs("  -h, --help             this text; behind a command, all about that\n"
                "  -V, --version          the version of this program alone\n"
                "      --list-commands    commands, their options and arguments, for machines\n\n"
                "Exit codes: 0 done, 1 failed, 2 usage, 3 no master, 4 not everything is ready.\n",
                stdout);
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
    (void)printf("usage: %s%s\n\n%s\n", verb->shell_only ? "" : "reloaderctl [-s SOCKET] ", usage,
                 verb->help);
    if (verb->note)
        (void)printf("%s\n", verb->note);
    verb_each_alias(verb, print_alias, &first);
    (void)fputs(first ? "\n" : "\n\n", stdout);
    if (!verb->shell_only)
        (void)fputs(about_socket, stdout);
    for (int i = 0; i < VERB_OPTIONS; i++)
        if (verb->options & 1u << i)
            print_option(&verb_options[i]);
}

int command_help(const struct invocation *invocation)
{
    const char *name = invocation->arguments[0];
    const struct verb *verb = name ? verb_find(name) : NULL;
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
