/*
 * reloaderctl - the command line client of a running reloader.
 *
 *   client      finds the control socket, calls, receives
 *   screen      makes text safe, aligned and coloured for terminals
 *   start, stop and restart (job),
 *   status (cells, numbers), top (top-rows, top-frame, graph, terminal), reload and update (progress), check (plan), events (event-text), tail (tail-place, file-tail), shutdown, version: the commands; common and field: what they share
 *
 * Exit codes: 0 done, 1 it failed, 2 usage, 3 no master, 4 (status) something that should run is not ready.
 */
#include "reloaderctl/commands.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

enum option_bit {
    OPTION_JSON = 1 << 0,
    OPTION_NO_WAIT = 1 << 1,
    OPTION_FORCE = 1 << 2,
    OPTION_DRY_RUN = 1 << 3,
    OPTION_QUIET = 1 << 4,
    OPTION_PSS = 1 << 5,
    OPTION_DELAY = 1 << 6,
    OPTION_COUNT = 1 << 7,
    OPTION_FOLLOW = 1 << 8,
    OPTION_EVENTS = 1 << 9, /* --type, --program, --cmd, --since */
};

struct verb {
    const char *name;
    const char *aliases;   /* each followed by a blank */
    const char *arguments; /* for the help; NULL: it takes none */
    const char *help;
    unsigned options;
    int (*run)(const struct invocation *invocation); /* NULL: not in this version */
};

static const struct verb verbs[] = {
    {"status", "list ls ", NULL,
     "programs, workers and listeners; exits 4 unless all that should run is ready",
     OPTION_JSON | OPTION_PSS, command_status},
    {"top", "", NULL,
     "what workers use, again and again; -d SECONDS apart, -n COUNT times; on a terminal ? tells "
     "the keys",
     OPTION_JSON | OPTION_PSS | OPTION_DELAY | OPTION_COUNT, command_top},
    {"reload", "", "[PROGRAM...]",
     "read the configuration, replace the workers (of those programs), and wait; exits 1 unless "
     "it committed",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET | OPTION_DRY_RUN, command_reload},
    {"update", "", NULL, "the same for what changed alone",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET | OPTION_DRY_RUN, command_update},
    {"start", "", "NAME...",
     "start what is stopped or was given up, and wait until it is ready; NAME: all, PROGRAM, "
     "GROUP:*, PROGRAM:SLOT, a worker's",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET, command_start},
    {"stop", "", "NAME...", "drain and stop, and wait until it is gone; sockets stay open",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET | OPTION_FORCE, command_stop},
    {"restart", "", "NAME...",
     "replace workers by the very same kind, without reading anything again, and wait",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET, command_restart},
    {"scale", "", "PROGRAM N|+N|-N",
     "so many workers, or so many more or fewer, until the next reload", OPTION_JSON,
     command_scale},
    {"check", "reread ", "[FILE]",
     "what a reload would do now; of a file, whether it is valid. Exits 1 when it is not",
     OPTION_JSON, command_check},
    {"undo", "", NULL, "go back to what was committed before the last reload, and wait likewise",
     OPTION_JSON | OPTION_NO_WAIT | OPTION_QUIET, command_undo},
    {"history", "", "[ID]", "how the last 100 reloads ended; of one, all that is known",
     OPTION_JSON, command_history},
    {"events", "", "[TYPE...]",
     "what happens, as it happens: master reload rollout worker job message log socket; --type, "
     "--program, --cmd: that alone; --since NUMBER|5m|TIME: from then on",
     OPTION_JSON | OPTION_EVENTS, command_events},
    {"send", "", "NAME... JSON",
     "a message to workers, which `events --type message` shows answers to; exits 1 unless all "
     "were sent it",
     OPTION_JSON | OPTION_QUIET, command_send},
    {"tail", "logs ", "NAME [stdout|stderr]",
     "what workers printed last, -n LINES of it (10); -f: and what they print from now on",
     OPTION_JSON | OPTION_COUNT | OPTION_FOLLOW, command_tail},
    {"shutdown", "quit ", NULL, "drain the workers and end the master; waits until it is gone",
     OPTION_JSON | OPTION_FORCE, command_shutdown},
    {"version", "", NULL, "of this program and of the running master", OPTION_JSON,
     command_version},
};

/* Designed, and known to people from similar tools. */
static const char *const later_verbs[] = {
    "signal", "fg", "sockets", "why", "upgrade", "shell",
};

#define HELP_COLUMN 20

static void print_help(void)
{
    (void)printf("usage: reloaderctl [-s SOCKET] COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        char words[64];
        (void)snprintf(words, sizeof(words), "%s%s%s%s%s%s%s", verbs[i].name,
                       verbs[i].arguments ? " " : "", verbs[i].arguments ? verbs[i].arguments : "",
                       verbs[i].options & OPTION_NO_WAIT ? " [--no-wait]" : "",
                       verbs[i].options & OPTION_DRY_RUN ? " [--dry-run]" : "",
                       verbs[i].options & OPTION_FORCE ? " [--force]" : "",
                       verbs[i].options & OPTION_PSS ? " [--pss]" : "");
        bool beside = strlen(words) <= HELP_COLUMN;
        (void)printf("  %-*s%s%-*s %s\n", HELP_COLUMN, words, beside ? "" : "\n",
                     beside ? 0 : HELP_COLUMN + 2, "", verbs[i].help);
    }
    (void)printf(
        "\n"
        "  -s, --socket SOCKET  the master's control socket; else RELOADER_CONTROL, else the "
        "default places\n"
        "      --json           for machines; every command takes it\n"
        "  -q, --quiet          nothing but the result; start, stop and restart: nothing but "
        "failures\n"
        "      --dry-run        reload and update: tell what they would do, and do nothing\n"
        "  -h, --help           this text\n"
        "  -V, --version        the version of this program alone\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 no master, 4 not everything is ready.\n");
}

static bool has_alias(const struct verb *verb, const char *name)
{
    size_t length = strlen(name);
    for (const char *alias = verb->aliases; *alias != '\0'; alias += strcspn(alias, " ") + 1)
        if (strcspn(alias, " ") == length && memcmp(alias, name, length) == 0)
            return true;
    return false;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0 || has_alias(&verbs[i], name))
            return &verbs[i];
    return NULL;
}

static bool is_for_later(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(later_verbs); i++)
        if (strcmp(later_verbs[i], name) == 0)
            return true;
    return false;
}

static int refuse_verb(const char *name)
{
    if (is_for_later(name))
        complain("'%s' is not in this version", name);
    else
        complain("unknown command '%s'; `reloaderctl --help` lists them", name);
    return EXIT_CODE_USAGE;
}

static int refuse_options(const struct verb *verb, unsigned options)
{
    complain("%s does not take %s", verb->name,
             options & OPTION_DRY_RUN   ? "--dry-run"
             : options & OPTION_NO_WAIT ? "--no-wait"
             : options & OPTION_FORCE   ? "--force"
             : options & OPTION_QUIET   ? "--quiet"
             : options & OPTION_PSS     ? "--pss"
             : options & OPTION_DELAY   ? "-d"
             : options & OPTION_COUNT   ? "-n"
             : options & OPTION_FOLLOW  ? "-f"
             : options & OPTION_EVENTS  ? "--type, --program, --cmd and --since"
                                        : "--json");
    return EXIT_CODE_USAGE;
}

static int run_verb(struct invocation *invocation, unsigned options)
{
    const char *name = invocation->arguments[0];
    const struct verb *verb = find_verb(name);
    if (!verb)
        return refuse_verb(name);
    if (options & ~verb->options)
        return refuse_options(verb, options & ~verb->options);
    invocation->arguments++;
    if (invocation->arguments[0] && !verb->arguments) {
        complain("%s takes no argument, but got '%s'", verb->name, invocation->arguments[0]);
        return EXIT_CODE_USAGE;
    }
    return verb->run(invocation);
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

static void add_word(char ***words, const char *word)
{
    if (strv_append(words, word) < 0)
        die_of_memory();
}

static int refuse_value(const char *option, const char *value, const char *wanted)
{
    complain("%s takes %s; '%s' is not that", option, wanted, value);
    return EXIT_CODE_USAGE;
}

int main(int argc, char **argv)
{
    enum { LONG_JSON = 256, LONG_NO_WAIT, LONG_FORCE, LONG_DRY_RUN, LONG_PSS, LONG_TYPE, LONG_PROGRAM, LONG_CMD, LONG_SINCE };
    static const struct option long_options[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, LONG_JSON},
        {"no-wait", no_argument, NULL, LONG_NO_WAIT},
        {"force", no_argument, NULL, LONG_FORCE},
        {"dry-run", no_argument, NULL, LONG_DRY_RUN},
        {"pss", no_argument, NULL, LONG_PSS},
        {"delay", required_argument, NULL, 'd'},
        {"count", required_argument, NULL, 'n'},
        {"follow", no_argument, NULL, 'f'},
        {"lines", required_argument, NULL, 'n'},
        {"type", required_argument, NULL, LONG_TYPE},
        {"program", required_argument, NULL, LONG_PROGRAM},
        {"cmd", required_argument, NULL, LONG_CMD},
        {"since", required_argument, NULL, LONG_SINCE},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    struct invocation invocation = {.socket = getenv("RELOADER_CONTROL"),
                                    .interval_usec = USEC_PER_SEC};
    unsigned options = 0;
    int option;
    (void)setlocale(LC_CTYPE, "");
    hide_numbers(argv);
    while ((option = getopt_long(argc, argv, "s:d:n:fqhV", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            invocation.socket = optarg;
            break;
        case 'q':
            options |= OPTION_QUIET;
            break;
        case LONG_JSON:
            options |= OPTION_JSON;
            break;
        case 'd':
            options |= OPTION_DELAY;
            if (parse_interval(optarg, &invocation.interval_usec) < 0)
                return refuse_value("-d", optarg, "seconds, from 0.1 to 3600");
            break;
        case 'n':
            options |= OPTION_COUNT;
            if (parse_unsigned(optarg, 1, UINT32_MAX, &invocation.count) < 0)
                return refuse_value("-n", optarg, "a number, from 1 on");
            break;
        case 'f':
            options |= OPTION_FOLLOW;
            break;
        case LONG_NO_WAIT:
            options |= OPTION_NO_WAIT;
            break;
        case LONG_FORCE:
            options |= OPTION_FORCE;
            break;
        case LONG_DRY_RUN:
            options |= OPTION_DRY_RUN;
            break;
        case LONG_PSS:
            options |= OPTION_PSS;
            break;
        case LONG_TYPE:
        case LONG_PROGRAM:
        case LONG_CMD:
            options |= OPTION_EVENTS;
            add_word(option == LONG_TYPE      ? &invocation.types
                     : option == LONG_PROGRAM ? &invocation.programs
                                              : &invocation.commands,
                     optarg);
            break;
        case LONG_SINCE:
            options |= OPTION_EVENTS;
            invocation.since = optarg;
            break;
        case 'h':
            print_help();
            return EXIT_CODE_OK;
        case 'V':
            (void)printf("reloaderctl %s\n", RELOADER_VERSION);
            return EXIT_CODE_OK;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (invocation.socket && invocation.socket[0] == '\0')
        invocation.socket = NULL;
    if (optind >= argc) {
        complain("which command? `reloaderctl --help` lists them");
        return EXIT_CODE_USAGE;
    }
    invocation.json = options & OPTION_JSON;
    invocation.no_wait = options & OPTION_NO_WAIT;
    invocation.force = options & OPTION_FORCE;
    invocation.quiet = options & OPTION_QUIET;
    invocation.dry_run = options & OPTION_DRY_RUN;
    invocation.pss = options & OPTION_PSS;
    invocation.follow = options & OPTION_FOLLOW;
    invocation.arguments = argv + optind;
    return run_verb(&invocation, options);
}
