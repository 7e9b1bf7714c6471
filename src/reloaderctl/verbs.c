#include "reloaderctl/verbs.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <string.h>

const struct verb_option_row verb_options[VERB_OPTIONS] = {
    [OPTION_NO_WAIT] = {"no-wait", 0, NULL, "ask for it, and do not wait for its end"},
    [OPTION_DRY_RUN] = {"dry-run", 0, NULL, "tell what it would do, and do nothing"},
    [OPTION_FORCE] = {"force", 0, NULL, "nobody drains"},
    [OPTION_PSS] = {"pss", 0, NULL, "memory as PSS: of what is shared a part alone"},
    [OPTION_GROUP] = {"group", 0, NULL, "to the whole process group of each worker"},
    [OPTION_WATCH] = {"watch", 'w', NULL, "again and again, until q or Ctrl-C"},
    [OPTION_FOLLOW] = {"follow", 'f', NULL, "and what comes from now on"},
    [OPTION_ALL] = {"all", 'a', NULL, "also of workers that do not have to leave"},
    [OPTION_DELAY] = {"delay", 'd', "SECONDS", "how long between two looks (1)"},
    [OPTION_COUNT] = {"count", 'n', "COUNT", "end after so many looks"},
    [OPTION_LINES] = {"lines", 'n', "LINES", "how many lines (10)"},
    [OPTION_CONNECTIONS] = {"connections", 'n', "COUNT",
                            "how many connections of each worker (10)"},
    [OPTION_TYPE] = {"type", 0, "TYPE[,TYPE]", "of these types alone, as behind the command"},
    [OPTION_PROGRAM] = {"program", 0, "NAME", "of this program, PROGRAM:SLOT or worker alone"},
    [OPTION_CMD] = {"cmd", 0, "COMMAND",
                    "of applications' messages only those whose member cmd is that"},
    [OPTION_SINCE] = {"since", 0, "WHEN",
                      "what happened since then first: an event's number, 5m (ago), or "
                      "2026-01-31T12:00:00Z"},
    [OPTION_QUIET] = {"quiet", 'q', NULL,
                      "nothing but the result; start, stop and restart: nothing but failures"},
    [OPTION_JSON] = {"json", 0, NULL, "for machines; every command takes it"},
};

#define WAITING (OPTION_BIT(JSON) | OPTION_BIT(NO_WAIT) | OPTION_BIT(QUIET))
#define LOOKS   (OPTION_BIT(DELAY) | OPTION_BIT(COUNT))
#define PLACES(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

#define NAMES_NOTE                                                                                 \
    "NAME is all, a PROGRAM, GROUP:*, PROGRAM:SLOT (web:0) or the name of a worker (web/0)."

const struct verb verbs[] = {
    {.name = "status",
     .aliases = "list ls avail ",
     .arguments = "[NAME...]",
     .help = "programs, workers and listeners, or those of the names; exits 4 unless all that "
             "should run is ready",
     .note = "With -w it goes on until q or Ctrl-C, one look each SECONDS; keys scroll.",
     .options = OPTION_BIT(JSON) | OPTION_BIT(PSS) | OPTION_BIT(WATCH) | LOOKS,
     .places = PLACES(PLACE_NAME),
     .run = command_status},
    {.name = "top",
     .aliases = "monit ",
     .help = "what workers use, again and again; on a terminal ? tells the keys",
     .options = OPTION_BIT(JSON) | OPTION_BIT(PSS) | LOOKS,
     .run = command_top},
    {.name = "reload",
     .aliases = "",
     .arguments = "[PROGRAM...]",
     .help = "read the configuration, replace the workers (of those programs), and wait; exits 1 "
             "unless it committed",
     .note = "It is graceful, and the master stays: Supervisor's command of that name ends and "
             "starts the whole daemon.",
     .options = WAITING | OPTION_BIT(DRY_RUN),
     .places = PLACES(PLACE_PROGRAM),
     .run = command_reload},
    {.name = "update",
     .aliases = "",
     .help = "the same for what changed alone",
     .options = WAITING | OPTION_BIT(DRY_RUN),
     .run = command_update},
    {.name = "start",
     .aliases = "",
     .arguments = "NAME...",
     .help = "start what is stopped or was given up, and wait until it is ready; NAME: all, "
             "PROGRAM, GROUP:*, PROGRAM:SLOT, a worker's",
     .note = NAMES_NOTE,
     .options = WAITING,
     .places = PLACES(PLACE_NAME),
     .run = command_start},
    {.name = "stop",
     .aliases = "",
     .arguments = "NAME...",
     .help = "drain and stop, and wait until it is gone; sockets stay open",
     .note = NAMES_NOTE,
     .options = WAITING | OPTION_BIT(FORCE),
     .places = PLACES(PLACE_NAME),
     .run = command_stop},
    {.name = "restart",
     .aliases = "",
     .arguments = "NAME...",
     .help = "replace workers by the very same kind, without reading anything again, and wait",
     .note = NAMES_NOTE,
     .options = WAITING,
     .places = PLACES(PLACE_NAME),
     .run = command_restart},
    {.name = "scale",
     .aliases = "",
     .arguments = "PROGRAM N|+N|-N",
     .help = "so many workers, or so many more or fewer, until the next reload",
     .options = OPTION_BIT(JSON),
     .places = PLACES(PLACE_PROGRAM, PLACE_OTHER),
     .run = command_scale},
    {.name = "signal",
     .aliases = "",
     .arguments = "SIGNAL NAME...",
     .help = "send a signal to the workers of those names: TERM, SIGTERM or 15; to the process, or "
             "with --group to its group",
     .note = NAMES_NOTE "\nWho ends by it is started again: `stop` is what ends a worker for good.",
     .options = OPTION_BIT(JSON) | OPTION_BIT(GROUP) | OPTION_BIT(QUIET),
     .places = PLACES(PLACE_SIGNAL, PLACE_NAME),
     .run = command_signal},
    {.name = "sockets",
     .aliases = "",
     .help = "listening sockets: what waits at them, what was dropped, and who has them",
     .options = OPTION_BIT(JSON),
     .run = command_sockets},
    {.name = "check",
     .aliases = "reread ",
     .arguments = "[FILE]",
     .help = "what a reload would do now; of a file, whether it is valid. Exits 1 when it is not",
     .options = OPTION_BIT(JSON),
     .places = PLACES(PLACE_FILE, PLACE_OTHER),
     .run = command_check},
    {.name = "undo",
     .aliases = "",
     .help = "go back to what was committed before the last reload, and wait likewise",
     .options = WAITING,
     .run = command_undo},
    {.name = "history",
     .aliases = "",
     .arguments = "[ID]",
     .help = "how the last 100 reloads ended; of one, all that is known",
     .options = OPTION_BIT(JSON),
     .run = command_history},
    {.name = "events",
     .aliases = "",
     .arguments = "[TYPE...]",
     .help = "what happens, as it happens: master reload rollout worker job message log socket; "
             "--since 5m: what happened, too",
     .note = "--type, --program and --cmd may be given several times: one of each must fit.",
     .options = OPTION_BIT(JSON) | OPTION_BIT(TYPE) | OPTION_BIT(PROGRAM) | OPTION_BIT(CMD) |
                OPTION_BIT(SINCE),
     .places = PLACES(PLACE_EVENT_TYPE),
     .run = command_events},
    {.name = "send",
     .aliases = "",
     .arguments = "NAME... JSON",
     .help = "a message of the application to workers; exits 1 unless it was sent to all",
     .note = NAMES_NOTE " What workers answer are events of type message.",
     .options = OPTION_BIT(JSON) | OPTION_BIT(QUIET),
     .places = PLACES(PLACE_NAME),
     .run = command_send},
    {.name = "tail",
     .aliases = "logs ",
     .arguments = "NAME [stdout|stderr]",
     .help = "what workers printed last, -n LINES of it (10); -f: and what they print from now on",
     .options = OPTION_BIT(JSON) | OPTION_BIT(LINES) | OPTION_BIT(FOLLOW),
     .places = PLACES(PLACE_NAME, PLACE_STREAM),
     .run = command_tail},
    {.name = "fg",
     .aliases = "",
     .arguments = "NAME",
     .help = "what one worker prints; with stdin: pipe what is typed goes to it. Ctrl-C and Ctrl-D "
             "leave it running",
     .note = "NAME is PROGRAM:SLOT (web:0), the name of a worker (web/0), or a program with a "
             "single worker. Input that is no terminal is\n"
             "delivered completely; with -f its end, or Ctrl-D, is not the end.",
     .options = OPTION_BIT(JSON) | OPTION_BIT(FOLLOW),
     .places = PLACES(PLACE_NAME, PLACE_OTHER),
     .run = command_fg},
    {.name = "why",
     .aliases = "",
     .arguments = "[NAME...]",
     .help = "why workers that have to leave are still here: what they wait for, and their open "
             "connections",
     .note = NAMES_NOTE,
     .options = OPTION_BIT(JSON) | OPTION_BIT(ALL) | OPTION_BIT(CONNECTIONS),
     .places = PLACES(PLACE_NAME),
     .run = command_why},
    {.name = "pid",
     .aliases = "",
     .arguments = "[NAME...]",
     .help = "the process id of the master, or of all workers of those names",
     .options = OPTION_BIT(JSON),
     .places = PLACES(PLACE_NAME),
     .run = command_pid},
    {.name = "shell",
     .aliases = "",
     .help = "commands one after the other, with history and completion; from a file or pipe, a "
             "command a line",
     .note = "Lines that are not typed: its exit status is that of the first command that failed; "
             "the others run nevertheless. Empty lines and those that begin with # are skipped.",
     .not_in_shell = true,
     .run = command_shell},
    {.name = "exit",
     .aliases = "quit ",
     .help = "leave the shell; the master stays (`shutdown` ends that)",
     .shell_only = true,
     .run = command_exit},
    {.name = "completion",
     .aliases = "",
     .arguments = "bash|zsh|fish",
     .help = "the script by which that shell completes our commands and the names of programs",
     .not_in_shell = true,
     .places = PLACES(PLACE_SHELL, PLACE_OTHER),
     .run = command_completion},
    {.name = "shutdown",
     .aliases = "quit ",
     .help = "drain the workers and end the master; waits until it is gone",
     .options = OPTION_BIT(JSON) | OPTION_BIT(FORCE),
     .run = command_shutdown},
    {.name = "version",
     .aliases = "",
     .help = "of this program and of the running master",
     .options = OPTION_BIT(JSON),
     .run = command_version},
    {.name = "help",
     .aliases = "",
     .arguments = "[COMMAND]",
     .help = "this text, or all about one command",
     .places = PLACES(PLACE_COMMAND, PLACE_OTHER),
     .run = command_help},
};

const size_t n_verbs = ARRAY_SIZE(verbs);

/* Designed, and known to people from similar tools. */
static const char *const later_verbs[] = {
    "upgrade",
};

/* What people from similar tools type. */
static const struct {
    const char *name, *hint;
} foreign_verbs[] = {
    {"add", "`reloaderctl update` starts what is new in the configuration"},
    {"remove", "`reloaderctl update` ends what is no longer in the configuration"},
    {"rm", "`reloaderctl update` ends what is no longer in the configuration"},
    {"delete", "`reloaderctl update` ends what is no longer in the configuration"},
    {"clear", "files of output are rotated: see max_size in reloader.yaml(5)"},
    {"flush", "files of output are rotated: see max_size in reloader.yaml(5)"},
    {"maintail", "reloader's own log is where log.file says, else on its standard error; under "
                 "systemd: journalctl -u reloader"},
    {"log", "`reloaderctl tail -f NAME` shows what workers print"},
    {"incr", "`reloaderctl scale NAME +1` does that"},
    {"decr", "`reloaderctl scale NAME -1` does that"},
    {"stats", "`reloaderctl top` shows what workers use"},
    {"describe", "`reloaderctl status NAME` tells about one"},
    {"show", "`reloaderctl status NAME` tells about one"},
    {"info", "`reloaderctl status NAME` tells about one"},
    {"kill", "`reloaderctl shutdown` ends the master, `reloaderctl stop` a program"},
    {"ping", "`reloaderctl version` tells whether the master answers"},
};

const char *verb_hint(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(foreign_verbs); i++)
        if (strcmp(foreign_verbs[i].name, name) == 0)
            return foreign_verbs[i].hint;
    return "`reloaderctl --help` lists them";
}

static bool has_alias(const struct verb *verb, const char *name)
{
    size_t length = strlen(name);
    for (const char *alias = verb->aliases; *alias != '\0'; alias += strcspn(alias, " ") + 1)
        if (strcspn(alias, " ") == length && memcmp(alias, name, length) == 0)
            return true;
    return false;
}

const struct verb *verb_find(const char *name, bool in_shell)
{
    for (size_t i = 0; i < n_verbs; i++)
        if ((in_shell || !verbs[i].shell_only) &&
            (strcmp(verbs[i].name, name) == 0 || has_alias(&verbs[i], name)))
            return &verbs[i];
    return NULL;
}

bool verb_is_for_later(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(later_verbs); i++)
        if (strcmp(later_verbs[i], name) == 0)
            return true;
    return false;
}

void verb_each_alias(const struct verb *verb, void (*take)(const char *alias, void *userdata),
                     void *userdata)
{
    for (const char *alias = verb->aliases; *alias != '\0'; alias += strcspn(alias, " ") + 1) {
        CLEANUP_FREE char *word = strndup(alias, strcspn(alias, " "));
        if (!word)
            die_of_memory();
        take(word, userdata);
    }
}

/* Places */

static bool repeats(const struct verb *verb)
{
    return verb->arguments && strstr(verb->arguments, "...");
}

enum verb_place verb_place_at(const struct verb *verb, size_t i)
{
    size_t last = VERB_PLACES_MAX - 1;
    while (last > 0 && verb->places[last] == PLACE_OTHER)
        last--;
    if (!verb->arguments || (i > last && !repeats(verb)))
        return PLACE_OTHER;
    return verb->places[MIN(i, last)];
}

const char *verb_place_to_string(enum verb_place place)
{
    static const char *const names[VERB_PLACES] = {
        [PLACE_OTHER] = "other",   [PLACE_PROGRAM] = "program", [PLACE_NAME] = "name",
        [PLACE_SIGNAL] = "signal", [PLACE_STREAM] = "stream",   [PLACE_EVENT_TYPE] = "event",
        [PLACE_FILE] = "file",     [PLACE_COMMAND] = "command", [PLACE_SHELL] = "shell",
    };
    return names[place];
}

const char *const *verb_place_words(enum verb_place place)
{
    static const char *const signals[] = {"HUP",  "INT",  "QUIT",  "USR1", "USR2", "TERM",
                                          "CONT", "STOP", "TSTP",  "TTIN", "TTOU", "KILL",
                                          "ABRT", "ALRM", "WINCH", NULL},
                             *const streams[] = {"stdout", "stderr", NULL},
                             *const events[] = {"master",  "reload", "rollout", "worker", "job",
                                                "message", "log",    "socket",  NULL},
                             *const shells[] = {"bash", "zsh", "fish", NULL};
    static const char *const *const words[VERB_PLACES] = {
        [PLACE_SIGNAL] = signals,
        [PLACE_STREAM] = streams,
        [PLACE_EVENT_TYPE] = events,
        [PLACE_SHELL] = shells,
    };
    return words[place];
}
