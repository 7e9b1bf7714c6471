/*
 * verbs.h - the one table of commands and of their options. Parsing, help, complaints about usage, the shell and the completions of
 * bash, zsh and fish are all made from it.
 */
#pragma once

#include "reloaderctl/commands.h"

#include <stddef.h>

enum verb_option {
    OPTION_NO_WAIT,
    OPTION_DRY_RUN,
    OPTION_FORCE,
    OPTION_PSS,
    OPTION_GROUP,
    OPTION_WATCH,
    OPTION_FOLLOW,
    OPTION_ALL,
    OPTION_DELAY,
    OPTION_COUNT,
    OPTION_LINES,
    OPTION_CONNECTIONS,
    OPTION_TYPE,
    OPTION_PROGRAM,
    OPTION_CMD,
    OPTION_SINCE,
    OPTION_QUIET,
    OPTION_JSON,
    VERB_OPTIONS
};

#define OPTION_BIT(option) (1u << OPTION_##option)

struct verb_option_row {
    const char *name;  /* the long one */
    char letter;       /* 0: none. Several may have the same one if no command takes both */
    const char *value; /* what it is called in the help; NULL: it has none */
    const char *help;
};

extern const struct verb_option_row verb_options[VERB_OPTIONS];

/* What stands at a place, so that it can be completed. */
enum verb_place {
    PLACE_OTHER, /* nobody knows */
    PLACE_PROGRAM,
    PLACE_NAME, /* all, PROGRAM, PROGRAM:SLOT, a worker's */
    PLACE_SIGNAL,
    PLACE_STREAM,
    PLACE_EVENT_TYPE,
    PLACE_FILE,
    PLACE_COMMAND,
    PLACE_SHELL,
    VERB_PLACES
};

/* "name": as --list-commands tells it. */
const char *verb_place_to_string(enum verb_place place);
/* What may stand there, if that is always the same; else NULL. NULL-terminated. */
const char *const *verb_place_words(enum verb_place place);

#define VERB_PLACES_MAX 2

struct verb {
    const char *name;
    const char *aliases;   /* each followed by a blank */
    const char *arguments; /* for the help; NULL: it takes none */
    const char *help;
    const char *note; /* what `help COMMAND` tells beyond that; NULL: nothing */
    unsigned options;
    enum verb_place
        places[VERB_PLACES_MAX]; /* the last one again and again if the arguments end in "..." */
    int (*run)(const struct invocation *invocation);
    bool shell_only, not_in_shell;
};

extern const struct verb verbs[];
extern const size_t n_verbs;

/* By its name or an alias; NULL. Some words mean another command in the shell. */
const struct verb *verb_find(const char *name, bool in_shell);
/* Designed, but not in this version. */
bool verb_is_for_later(const char *name);
/* What whoever typed it may look for; of words from similar tools what does that here. */
const char *verb_hint(const char *name);
/* The place of argument number `i`, from 0. */
enum verb_place verb_place_at(const struct verb *verb, size_t i);
/* Calls take() with each of the aliases. */
void verb_each_alias(const struct verb *verb, void (*take)(const char *alias, void *userdata),
                     void *userdata);
