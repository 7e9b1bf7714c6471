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
 *   reloader/   this: arguments, daemonizing, one run of a master
 * Beside it: reloaderctl/ (the command line client, on base/ alone) and client/ (libreloader, the worker's side).
 */
#include "base/log.h"
#include "reloader/process-title.h"
#include "reloader/run.h"

#include <signal.h>
#include <stdio.h>

#define EXIT_CONFIGURATION 3

/* None of them may have its default effect, not even before the loop runs: they wait in the queue until it does. */
static void block_signals(void)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    block_signals();
    if (process_title_init(argc, &argv) < 0)
        return EXIT_FAILURE;
    const struct config_source source = {.path = argc > 1 ? argv[argc - 1] : "reloader.yaml"};
    CLEANUP_CONFIG struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    if (config_load(&source, &config, &errors) < 0) {
        (void)fprintf(stderr, "%s\n", errors ? errors : "out of memory");
        return EXIT_CONFIGURATION;
    }
    return run(config, &(struct run_options){.source = &source});
}
