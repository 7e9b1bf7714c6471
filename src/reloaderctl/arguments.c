/*
 * Options may stand before or behind the command, and which there are depends on it: a first pass finds the command, for which
 * it has to know only which options of any command take a value; the second one knows what is right.
 */
#include "reloaderctl/arguments.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { WORD_BASE = 256, WORD_LIST_COMMANDS = WORD_BASE + VERB_OPTIONS };

#define COMMON_OPTIONS 4
/* A letter and its colon for each, and those of all commands: "+:" and s: h V. */
#define LETTERS_SIZE (2 * VERB_OPTIONS + 8)

struct words {
    char letters[LETTERS_SIZE];
    struct option options[VERB_OPTIONS + COMMON_OPTIONS + 1];
};

/* For the options of a set. */
static void make_words(unsigned set, struct words *ret)
{
    static const struct option common[COMMON_OPTIONS] = {
        {"socket", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"list-commands", no_argument, NULL, WORD_LIST_COMMANDS},
    };
    size_t n = 0;
    char *letter = stpcpy(ret->letters, ":s:hV");
    for (int i = 0; i < VERB_OPTIONS; i++) {
        const struct verb_option_row *row = &verb_options[i];
        if (!(set & 1u << i))
            continue;
        ret->options[n++] = (struct option){row->name, row->value ? required_argument : no_argument,
                                            NULL, WORD_BASE + i};
        if (row->letter && !strchr(ret->letters + 1, row->letter)) {
            *letter++ = row->letter;
            *letter = '\0';
            letter = row->value ? stpcpy(letter, ":") : letter;
        }
    }
    memcpy(ret->options + n, common, sizeof(common));
    ret->options[n + COMMON_OPTIONS] = (struct option){0};
}

/* "-1" behind a command is a number, and no option. */
static void hide_numbers(char **argv)
{
    STRV_FOREACH (word, argv)
        if ((*word)[0] == '-' && (*word)[1] != '\0' &&
            strspn(*word + 1, "0123456789") == strlen(*word + 1)) {
            char *blank = string_format(" %s", *word);
            if (!blank)
                die_of_memory();
            argv[word - argv] = blank;
        }
}

/* Seconds, or a time with its unit. */
static int parse_interval(const char *text, uint64_t *ret_usec)
{
    uint64_t usec;
    CLEANUP_FREE char *seconds = string_format("%ss", text);
    if (!seconds)
        return -ENOMEM;
    if (parse_duration(seconds, &usec) < 0 && parse_duration(text, &usec) < 0)
        return -EINVAL;
    if (usec < USEC_PER_SEC / 10 || usec > 3600 * USEC_PER_SEC)
        return -ERANGE;
    *ret_usec = usec;
    return 0;
}

static bool refuse_value(const char *option, const char *value, const char *wanted)
{
    complain("%s takes %s; '%s' is not that", option, wanted, value);
    return false;
}

static void add_word(char ***words, const char *word)
{
    if (strv_append(words, word) < 0)
        die_of_memory();
}

static bool set_option(struct invocation *invocation, enum verb_option option, const char *value)
{
    switch (option) {
    case OPTION_NO_WAIT:
        invocation->no_wait = true;
        break;
    case OPTION_DRY_RUN:
        invocation->dry_run = true;
        break;
    case OPTION_FORCE:
        invocation->force = true;
        break;
    case OPTION_PSS:
        invocation->pss = true;
        break;
    case OPTION_GROUP:
        invocation->group = true;
        break;
    case OPTION_WATCH:
        invocation->watch = true;
        break;
    case OPTION_FOLLOW:
        invocation->follow = true;
        break;
    case OPTION_ALL:
        invocation->all = true;
        break;
    case OPTION_DELAY:
        if (parse_interval(value, &invocation->interval_usec) < 0)
            return refuse_value("-d", value, "seconds, from 0.1 to 3600");
        break;
    case OPTION_COUNT:
    case OPTION_LINES:
    case OPTION_CONNECTIONS:
        if (parse_unsigned(value, 1, UINT32_MAX, &invocation->count) < 0)
            return refuse_value("-n", value, "a number, from 1 on");
        break;
    case OPTION_TYPE:
        add_word(&invocation->types, value);
        break;
    case OPTION_PROGRAM:
        add_word(&invocation->programs, value);
        break;
    case OPTION_CMD:
        add_word(&invocation->commands, value);
        break;
    case OPTION_SINCE:
        invocation->since = value;
        break;
    case OPTION_QUIET:
        invocation->quiet = true;
        break;
    case OPTION_JSON:
        invocation->json = true;
        break;
    case VERB_OPTIONS:
        break;
    }
    return true;
}

static enum verb_option option_of_letter(unsigned set, int letter)
{
    for (int i = 0; i < VERB_OPTIONS; i++)
        if (set & 1u << i && verb_options[i].letter == letter)
            return (enum verb_option)i;
    return VERB_OPTIONS;
}

static void refuse_option(const struct verb *verb, const char *word, bool lacks_value)
{
    const char *name = verb ? verb->name : "";
    if (optopt >= WORD_BASE && !lacks_value)
        complain("%s takes no value", word);
    else if (lacks_value)
        complain("%s needs a value; `reloaderctl help %s` tells which", word, name);
    else if (verb)
        complain("%s does not take %s; `reloaderctl help %s` tells what it takes", name, word,
                 name);
    else
        complain("there is no option %s; `reloaderctl --help` lists them", word);
}

/* What getopt() has just refused, without its value. */
static char *refused_word(char **argv)
{
    const char *word = argv[optind - 1];
    char *text = optopt > 0 && optopt < WORD_BASE ? string_format("-%c", optopt)
                                                  : strndup(word, strcspn(word, "="));
    if (!text)
        die_of_memory();
    return text;
}

/* In a copy: what getopt() has sorted, it would read otherwise the second time. */
static const struct verb *find_command(int argc, char **argv, bool in_shell)
{
    struct words words;
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    if (!copy)
        die_of_memory();
    memcpy(copy, argv, (size_t)argc * sizeof(*copy));
    make_words(~0u, &words);
    while (getopt_long(argc, copy, words.letters, words.options, NULL) != -1)
        ;
    const char *name = copy[optind];
    free(copy);
    optind = 0;
    return name ? verb_find(name, in_shell) : NULL;
}

static enum arguments_wish take_options(int argc, char **argv, const struct verb *verb,
                                        struct invocation *invocation)
{
    struct words words;
    enum arguments_wish wish = ARGUMENTS_RUN;
    unsigned set = verb ? verb->options : ~0u;
    int word;
    make_words(set, &words);
    while ((word = getopt_long(argc, argv, words.letters, words.options, NULL)) != -1) {
        if (word == '?' || word == ':') {
            CLEANUP_FREE char *refused = refused_word(argv);
            refuse_option(verb, refused, word == ':');
            return ARGUMENTS_WRONG;
        }
        if (word == 's')
            invocation->socket = optarg;
        else if (word == 'h')
            wish = ARGUMENTS_HELP;
        else if (word == 'V')
            wish = ARGUMENTS_VERSION;
        else if (word == WORD_LIST_COMMANDS)
            wish = ARGUMENTS_LIST_COMMANDS;
        else if (!set_option(invocation,
                             word >= WORD_BASE ? (enum verb_option)(word - WORD_BASE)
                                               : option_of_letter(set, word),
                             optarg))
            return ARGUMENTS_WRONG;
    }
    return wish;
}

static enum arguments_wish refuse_command(const char *name)
{
    if (!name)
        complain("which command? `reloaderctl --help` lists them");
    else if (verb_is_for_later(name))
        complain("'%s' is not in this version", name);
    else
        complain("unknown command '%s'; %s", name, verb_hint(name));
    return ARGUMENTS_WRONG;
}

enum arguments_wish arguments_parse(char **argv, struct invocation *invocation,
                                    const struct verb **ret_verb)
{
    int argc = (int)strv_length(argv);
    if (string_equal(argv[1], "--complete")) {
        /* Words that are not ours yet, options among them. */
        invocation->arguments = argv + 2;
        return ARGUMENTS_COMPLETE;
    }
    complain_as_json(strv_contains(argv, "--json"));
    opterr = 0;
    optind = 0;
    hide_numbers(argv);
    const struct verb *verb = *ret_verb = find_command(argc, argv, invocation->in_shell);
    enum arguments_wish wish = take_options(argc, argv, verb, invocation);
    if (invocation->socket && invocation->socket[0] == '\0')
        invocation->socket = NULL;
    invocation->arguments = argv + optind;
    if (wish != ARGUMENTS_RUN)
        return wish;
    if (!verb)
        return refuse_command(invocation->arguments[0]);
    invocation->arguments++;
    if (invocation->arguments[0] && !verb->arguments) {
        complain("%s takes no argument, but got '%s'", verb->name, invocation->arguments[0]);
        return ARGUMENTS_WRONG;
    }
    return ARGUMENTS_RUN;
}
