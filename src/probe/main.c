/*
 * reloader-probe: checks workers by HTTP and TCP, for `ready` and `health`. A process of its own, because libcurl may wait for names to be
 * resolved and parses what others send; the master must do neither.
 *
 * What the master says (base/message.h, over a SOCK_SEQPACKET pair that is our fd 3):
 *   check    NUMBER, KIND (http or tcp), TARGET, INTERVAL and TIMEOUT in microseconds, COUNTS: made from now on, at once and at each interval
 *   drop     NUMBER: not any more
 *   reset    none of them any more
 * And what we say: result NUMBER GOOD TEXT, where there is something new (report.h).
 *
 * Who is well answers an URL with a status from 200 to 399 (redirects are not followed), or takes a connection. An answer is waited for until
 * TIMEOUT, headers and body together; of the body no more than 64 KiB.
 *
 * If we are killed the master starts another one of us, and tells it of all checks. If the master is gone, so are we. Signals that end others
 * (a terminal's, a service manager's to the whole group) do not end us: workers are checked until the master says otherwise.
 */
#include "base/macros.h"
#include "probe/prober.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { MASTER_FD = 3 };

static void ignore_signals(void)
{
    static const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                  SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)signal(numbers[i], SIG_IGN);
}

int main(int argc, char **argv)
{
    if (argc != 1) {
        (void)fprintf(stderr, "%s: it is started by reloader, and takes no arguments\n", argv[0]);
        return 2;
    }
    ignore_signals();
    return prober_run(MASTER_FD) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
