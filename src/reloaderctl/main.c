/*
 * reloaderctl - the command line client of a running reloader.
 *
 *   client      finds the control socket, calls, receives
 *   screen      makes text safe, aligned and coloured for terminals
 *   verbs       the one table of commands and their options; arguments: command lines by it; help: its words for people
 *   status (cells, numbers), top (top-rows, top-frame, graph, terminal), reload and update (progress), start, stop and
 *   restart (job), check (plan), events (event-text), tail (tail-place, file-tail, line-print), fg (fg-input, fg-text, interrupt), why (why-text), shutdown,
 *   version: the commands; common and field: what they share
 *   shell (editor) runs them one after the other; complete: what words may become, completion: for other shells
 *
 * Exit codes: 0 done, 1 it failed, 2 usage, 3 no master, 4 (status) something that should run is not ready.
 */
#include "reloaderctl/arguments.h"
#include "reloaderctl/complete.h"
#include "reloaderctl/help.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static int show_help(const struct verb *verb)
{
    if (verb)
        help_print_verb(verb);
    else
        help_print(false);
    return EXIT_CODE_OK;
}

static int show_version(void)
{
    (void)printf("reloaderctl %s\n", RELOADER_VERSION);
    return EXIT_CODE_OK;
}

static int list_commands(void)
{
    help_list_commands();
    return EXIT_CODE_OK;
}

int main(UNUSED int argc, char **argv)
{
    struct invocation invocation = {.socket = getenv("RELOADER_CONTROL"),
                                    .interval_usec = USEC_PER_SEC};
    const struct verb *verb = NULL;
    (void)setlocale(LC_CTYPE, "");
    switch (arguments_parse(argv, &invocation, &verb)) {
    case ARGUMENTS_RUN:
        return verb->run(&invocation);
    case ARGUMENTS_HELP:
        return show_help(verb);
    case ARGUMENTS_VERSION:
        return show_version();
    case ARGUMENTS_LIST_COMMANDS:
        return list_commands();
    case ARGUMENTS_COMPLETE:
        return complete_print(&invocation);
    case ARGUMENTS_WRONG:
        break;
    }
    return EXIT_CODE_USAGE;
}
