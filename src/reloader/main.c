/*
 * reloader: binds listening sockets once and replaces the workers behind them without a client noticing.
 *
 * The map of the house, from the ground up; a file includes only from its own folder and from those above it in this list:
 *   base/       knows nothing of reloading: ownership, fds, log, strict parsing, addresses, bounded buffers
 *   config/     YAML text -> one immutable struct config, by key tables
 *   net/        listeners: bound once, kept for as long as the master lives
 *   process/    starts processes at vfork speed, signals and reaps them by pidfd
 *   worker/     one worker: its state, channel, notify socket; the generation it is made from
 *   program/    slots; the pure deciders rollout_next() and restart_policy_next(), and the shell that performs
 *   master/     the event loop's owner: intent, reload transaction, signals, event bus
 *   control/    the Varlink service on the control socket
 *   import/     other supervisors' files -> YAML text, on base/ and config/ alone; no master uses it
 *   reloader/   this: arguments, daemonizing, one run of a master
 * Beside it: logger/ and probe/ (reloader-log, reloader-probe: helper processes of the master's) with their side of its socket, helper/;
 * reloaderctl/ (the command line client, on base/ alone) and client/ (libreloader, the worker's side).
 */
#include "import/import.h"
#include "reloader/arguments.h"
#include "reloader/inherited.h"
#include "reloader/obstacle.h"
#include "reloader/process-title.h"
#include "reloader/run.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_CONFIGURATION = 3 };

/*
 * None of them may have its default effect, not even before the loop runs: they wait in the queue until it does. Shells start
 * background jobs with some ignored, and an ignored signal would never get that far.
 */
static void block_signals(void)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    for (int number = 1; number < SIGRTMIN; number++)
        (void)signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
}

/* nohup(1): the end of the terminal is not to be the end of the master. */
static bool hangup_is_ignored(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Output that nobody got is a failure: of a full disk, say. */
static int end_output(int code)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? code : EXIT_FAILURE;
}

static void say_obstacles(struct config *config)
{
    for (size_t i = 0; i < config->n_programs; i++) {
        CLEANUP_FREE char *obstacle = obstacle_find(config, config->programs[i]);
        if (obstacle)
            (void)printf("but program '%s' would not start here: %s\n", config->programs[i]->name,
                         obstacle);
    }
}

static int say_valid(struct config *config)
{
    (void)printf("%s: valid, %zu %s, %zu %s\n", config->path ? config->path : "the command line",
                 config->n_programs, config->n_programs == 1 ? "program" : "programs",
                 config->n_sockets, config->n_sockets == 1 ? "socket" : "sockets");
    for (size_t i = 1; i < config->n_files; i++)
        (void)printf("included: %s\n", config->files[i]->path);
    for (size_t i = 0; i < config->n_includes; i++)
        if (config->includes[i].n_files == 0)
            (void)printf("matches no file: %s\n", config->includes[i].pattern);
    say_obstacles(config);
    /* Who checks it need not be who will run it. */
    CLEANUP_FREE char *excess = NULL;
    if (config_check_privileges(config, &excess) == -EPERM)
        (void)printf("but not to be run by user %u:\n%s", (unsigned)geteuid(), excess);
    return end_output(EXIT_SUCCESS);
}

static int with_config(const struct arguments *arguments, bool outlive_terminal)
{
    const struct config_source source = arguments_source(arguments);
    CLEANUP_CONFIG struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    if (config_load(&source, &config, &errors) < 0) {
        (void)fputs(errors ? errors : "out of memory\n", stderr);
        return EXIT_CONFIGURATION;
    }
    if (arguments->mode == ARGUMENTS_MODE_CHECK)
        return say_valid(config);
    if (arguments->mode == ARGUMENTS_MODE_PRINT_CONFIG)
        return end_output(config_print(config, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    if (config_check_privileges(config, &errors) < 0) {
        (void)fputs(errors ? errors : "out of memory\n", stderr);
        return EXIT_CONFIGURATION;
    }
    const struct run_options options = {
        .source = &source, .daemonize = arguments->daemonize, .outlive_terminal = outlive_terminal};
    return run(config, &options);
}

static int import(const char *path)
{
    CLEANUP_FREE char *error = NULL;
    unsigned refused;
    if (import_file(path, stdout, &refused, &error) < 0) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "%s\n", error ? error : "out of memory");
        return EXIT_CONFIGURATION;
    }
    if (refused > 0)
        (void)fprintf(stderr, "%s: %u %s not translated; comments in the output say why\n", path,
                      refused, refused == 1 ? "setting was" : "settings were");
    return end_output(EXIT_SUCCESS);
}

static int act(const struct arguments *arguments, bool outlive_terminal)
{
    switch (arguments->mode) {
    case ARGUMENTS_MODE_MASTER:
    case ARGUMENTS_MODE_CHECK:
    case ARGUMENTS_MODE_PRINT_CONFIG:
        return with_config(arguments, outlive_terminal);
    case ARGUMENTS_MODE_IMPORT:
        return import(arguments->path);
    case ARGUMENTS_MODE_LIST_KEYS:
        config_print_keys(stdout);
        return end_output(EXIT_SUCCESS);
    case ARGUMENTS_MODE_HELP:
        arguments_print_help(stdout);
        return end_output(EXIT_SUCCESS);
    case ARGUMENTS_MODE_VERSION:
        (void)printf("reloader %s\n", RELOADER_VERSION);
        return end_output(EXIT_SUCCESS);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    bool outlive_terminal = hangup_is_ignored();
    block_signals();
    if (inherited_put_right() < 0 || process_title_init(argc, &argv) < 0)
        return EXIT_FAILURE;
    CLEANUP_ARGUMENTS struct arguments arguments = {0};
    CLEANUP_FREE char *error = NULL;
    int r = arguments_parse(argc, argv, &arguments, &error);
    if (r < 0) {
        (void)fprintf(stderr, "%s\n", error ? error : "out of memory");
        return r == -ENOENT ? EXIT_CONFIGURATION : EXIT_USAGE;
    }
    return act(&arguments, outlive_terminal);
}
