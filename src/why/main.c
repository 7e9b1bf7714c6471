/*
 * reloader-why PID[,PID...]...: what workers still have to do. Those are the leaders of their process groups; it tells as JSON which processes
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

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_MAX 10 /* the master loses its patience before */

/* The words are PID or PID,PID...: a leader, and processes that it has lost sight of. */
struct question {
    struct asked asked;
    pid_t *leaders;
    struct member_root *roots;
};

static void question_clear(struct question *question)
{
    free(question->leaders);
    free(question->roots);
}

/* -ENOMEM or -EINVAL. */
static int read_word(struct question *question, const char *word, size_t leader)
{
    CLEANUP_FREE char *copy = strdup(word);
    char *rest = copy;
    bool lost = false;
    uint64_t pid;
    if (!copy)
        return -ENOMEM;
    for (const char *number = strsep(&rest, ","); number; number = strsep(&rest, ",")) {
        size_t n = question->asked.n_roots;
        struct member_root *larger = reallocarray(question->roots, n + 1, sizeof(*larger));
        if (larger)
            question->roots = larger;
        if (!larger)
            return -ENOMEM;
        if (parse_unsigned(number, 2, INT32_MAX, &pid) < 0)
            return -EINVAL;
        larger[n] = (struct member_root){.pid = (pid_t)pid, .leader = leader, .lost = lost};
        question->asked.n_roots = n + 1;
        if (!lost)
            question->leaders[leader] = (pid_t)pid;
        lost = true;
    }
    return 0;
}

static int read_question(char *const *words, size_t n, struct question *question)
{
    int r = n > 0 ? 0 : -EINVAL;
    question->leaders = calloc(n + 1, sizeof(*question->leaders));
    if (!question->leaders)
        return -ENOMEM;
    for (size_t i = 0; i < n && r == 0; i++)
        r = read_word(question, words[i], i);
    question->asked.n = n;
    question->asked.leaders = question->leaders;
    question->asked.roots = question->roots;
    return r;
}

int main(int argc, char **argv)
{
    CLEANUP(gathered_clear) struct gathered gathered = {0};
    CLEANUP(question_clear) struct question question = {0};
    int r = read_question(argv + 1, argc > 1 ? (size_t)argc - 1 : 0, &question);
    if (r == -EINVAL) {
        (void)fprintf(
            stderr, "usage: reloader-why PID[,PID...]...\n"
                    "Tells as JSON which processes these leaders of process groups have, and their "
                    "connections. Behind a leader, processes of it that have left its group.\n");
        return 2;
    }
    (void)alarm(SECONDS_MAX);
    if (r == 0)
        r = gather(&question.asked, &gathered);
    if (r == 0)
        r = report_print(&gathered, stdout);
    if (r == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "reloader-why: %s\n", strerror(-r));
    return EXIT_FAILURE;
}
