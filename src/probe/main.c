/*
 * reloader-probe: checks workers by HTTP and TCP, for `ready` and `health`. A process of its own, because libcurl may wait for names to be
 * resolved and parses what others send; the master must do neither.
 *
 * What the master says (base/message.h, over a SOCK_SEQPACKET pair that is our fd 3):
 *   check    NUMBER, KIND (http or tcp), TARGET, INTERVAL and TIMEOUT in microseconds, COUNTS: made from now on, at once and at each interval
 *   drop     NUMBER: not any more
 *   reset    none of them any more
 *   ping     are you there? pong says so
 * And what we say: result NUMBER GOOD TEXT, where there is something new (report.h); unmade NUMBER TEXT, where a check could not be made.
 *
 * Who is well answers an URL with a status from 200 to 399 (redirects are not followed), or takes a connection. An answer is waited for until
 * TIMEOUT, headers and body together; of the body no more than 64 KiB.
 *
 * If we are killed the master starts another one of us, and tells it of all checks. If the master is gone, so are we.
 */
#include "helper/master-link.h"
#include "probe/prober.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    int r = master_link_prepare(argc, argv);
    if (r != 0)
        return r;
    return prober_run(MASTER_LINK_FD) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
