/*
 * reloader-why PID...: what workers still have to do. Those are the leaders of their process groups; it tells as JSON which processes
 * belong to each, and which connections these have.
 *
 * A process of its own, because all descriptors of a worker and all sockets of the machine are looked through for that: tens of
 * thousands of either take a tenth of a second, in which the master would do nothing else. It has the master's rights, which an operator need
 * not have. It is run once for each question, knows nothing of the master, and can be run by hand.
 *
 *   holdings   which sockets the processes hold
 *   gather     what the kernel tells of these
 *   report     that as JSON
 *
 * Bounded: it ends after a few seconds, whatever happens; of connections and processes it lists as many as people may want to
 * see, and counts the rest.
 */
#include "base/macros.h"
#include "base/parse.h"
#include "why/report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_MAX 10 /* the master loses its patience before */

static void leaders_freep(pid_t **leaders)
{
    free(*leaders);
}

static int read_leaders(char *const *arguments, size_t n, pid_t *leaders)
{
    uint64_t pid;
    for (size_t i = 0; i < n; i++) {
        if (parse_unsigned(arguments[i], 2, INT32_MAX, &pid) < 0)
            return -1;
        leaders[i] = (pid_t)pid;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)argc - 1 : 0;
    CLEANUP(leaders_freep) pid_t *leaders = calloc(n + 1, sizeof(*leaders));
    if (n == 0 || !leaders || read_leaders(argv + 1, n, leaders) < 0) {
        (void)fprintf(
            stderr, "usage: reloader-why PID...\n"
                    "Tells as JSON which processes these leaders of process groups have, and their "
                    "connections.\n");
        return 2;
    }
    (void)alarm(SECONDS_MAX);
    CLEANUP(gathered_clear) struct gathered gathered = {0};
    int r = gather(leaders, n, &gathered);
    if (r == 0)
        r = report_print(&gathered, stdout);
    if (r == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "reloader-why: %s\n", strerror(-r));
    return EXIT_FAILURE;
}
