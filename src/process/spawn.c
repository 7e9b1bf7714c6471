/*
 * The child mostly lives in our memory and on a stack of its own until it execs, while we are suspended: it allocates nothing, takes
 * no lock and calls only what is async-signal-safe. Its descriptors, signals, limits and directory are copies, so what it
 * changes there is not seen by us; memory and errno are shared, which is how a failure comes back.
 *
 * Signals are blocked around clone(), so that none of our handlers ever runs in the child: it sets all to their default
 * first and unblocks them then. It leaves by returning, as glibc's clone() then ends it without running anything of ours.
 *
 * One that becomes another user works on a copy of all that, as the kernel lets that user's other processes stop it, and trace it
 * where its memory allows: sharing ours, it would keep us waiting and change whether we can be traced ourselves. It writes
 * its failure into a pipe that exec closes. Who stops it is answered by SIGCONT; if it is still not there in the end, it is killed.
 *
 * Descriptors are moved in two steps. Those that lie where another one has to go are first duplicated to above the target
 * range; then each is put in its place. So no dup2() ever covers one that is still needed.
 */
#include "process/spawn.h"

#include "base/clock.h"
#include "base/fd.h"
#include "process/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_STANDARD 3
#define STACK_SIZE                                                                                 \
    ((size_t)128 << 10) /* what runs on it needs about 1 KiB, some times that under a sanitizer */
#define EXIT_NOT_EXECUTED 127
#define WAIT_STEP_MSEC    50 /* between two looks whether somebody has stopped it */

struct child {
    const struct spawn_params *params;
    int *sources; /* of the targets 0, 1, 2, 3, …; -1: stays as it is */
    int n_sources;
    int directory_fd; /* 0: none */
    int report_fd; /* where a failure is written to, for a child with a memory of its own; else -1 */
    struct spawn_failure failure;
};

static bool fail(struct child *child, enum spawn_step step)
{
    child->failure = (struct spawn_failure){.step = step, .error = errno};
    return false;
}

/* async-signal-safe: it runs in the child */
static void write_pid(char *text)
{
    char digits[SPAWN_PID_SIZE];
    size_t n = 0;
    for (unsigned pid = (unsigned)getpid(); pid > 0 && n < sizeof(digits) - 1; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    while (n > 0)
        *text++ = digits[--n];
    *text = '\0';
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    /* KILL, STOP and the two that glibc keeps for itself are refused, and are at their default. */
    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool move_out_of_the_way(int *fd, int n_targets)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, n_targets);
    if (moved < 0) {
        /* This is how fcntl() says that the range begins above the limit. */
        if (errno == EINVAL)
            errno = EMFILE;
        return false;
    }
    *fd = moved;
    return true;
}

/* These are not handed over, but needed until exec. */
static bool move_own_fds(struct child *child)
{
    if (child->directory_fd > 0 && child->directory_fd < child->n_sources &&
        !move_out_of_the_way(&child->directory_fd, child->n_sources))
        return false;
    return child->report_fd < 0 || child->report_fd >= child->n_sources ||
           move_out_of_the_way(&child->report_fd, child->n_sources);
}

static bool move_fds(struct child *child)
{
    if (!move_own_fds(child))
        return false;
    for (int target = 0; target < child->n_sources; target++) {
        int *source = &child->sources[target];
        if (*source < 0 || *source == target || *source >= child->n_sources)
            continue;
        if (!move_out_of_the_way(source, child->n_sources))
            return false;
    }
    for (int target = 0; target < child->n_sources; target++) {
        int source = child->sources[target];
        if (source < 0)
            continue;
        if (source == target ? fcntl(target, F_SETFD, 0) < 0 : dup2(source, target) < 0)
            return false;
    }
    return true;
}

static bool change_directory(const struct child *child)
{
    if (child->directory_fd > 0)
        return fchdir(child->directory_fd) == 0;
    return !child->params->directory || chdir(child->params->directory) == 0;
}

static bool set_nofile(const struct spawn_params *params)
{
    if (!params->nofile ||
        (params->identity && (params->identity->limits_set & 1u << RLIMIT_NOFILE)))
        return true;
    struct rlimit limit = *params->nofile, now;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return true;
    /* Somebody may have lowered ours meanwhile. */
    if (errno != EPERM || getrlimit(RLIMIT_NOFILE, &now) < 0)
        return false;
    limit.rlim_max = MIN(limit.rlim_max, now.rlim_max);
    limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool prepare_and_exec(struct child *child)
{
    const struct spawn_params *params = child->params;

    if (setpgid(0, 0) < 0)
        return fail(child, SPAWN_STEP_GROUP);
    reset_signals();
    /* Before the limits: what is in the way needs room above. */
    if (!move_fds(child))
        return fail(child, SPAWN_STEP_FDS);
    if (!set_nofile(params)) {
        (void)fail(child, SPAWN_STEP_LIMITS);
        child->failure.detail = RLIMIT_NOFILE;
        return false;
    }
    if (params->identity && !identity_take(params->identity, &child->failure))
        return false;
    /* As the user that it is now: one that may not enter could not work there either. */
    if (!change_directory(child))
        return fail(child, SPAWN_STEP_DIRECTORY);
    if (params->identity && !identity_seal(params->identity, &child->failure))
        return false;
    for (size_t i = 0; i < SPAWN_PID_TEXTS; i++)
        if (params->pid_texts[i])
            write_pid(params->pid_texts[i]);
    (void)execve(params->executable, params->argv, params->envp);
    return fail(child, SPAWN_STEP_EXEC);
}

static int run_child(void *argument)
{
    struct child *child = argument;
    (void)prepare_and_exec(child);
    if (child->report_fd >= 0)
        (void)!write(child->report_fd, &child->failure, sizeof(child->failure));
    return EXIT_NOT_EXECUTED;
}

struct stack {
    char *memory;
    size_t size;
};

static int stack_map(struct stack *ret)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE), size = STACK_SIZE + guard;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
                        -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *ret = (struct stack){.memory = memory, .size = size};
    /* Stacks grow downwards on all that Linux runs on but PA-RISC: what overruns it shall fault. */
    if (mprotect(memory, guard, PROT_NONE) < 0)
        return -errno;
    return 0;
}

static void stack_unmapp(struct stack *stack)
{
    if (stack->memory)
        (void)munmap(stack->memory, stack->size);
}

static int clone_child(struct child *child, int flags, pid_t *ret_pid, int *ret_pidfd)
{
    CLEANUP(stack_unmapp) struct stack stack = {0};
    sigset_t all, before;
    int pidfd = -1;

    int r = stack_map(&stack);
    if (r < 0)
        return r;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(run_child, stack.memory + stack.size, flags | CLONE_PIDFD | SIGCHLD, child,
                      &pidfd);
    r = pid < 0 ? -errno : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return r;
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

static void reap(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
}

static int *list_sources(const struct spawn_params *params)
{
    int *sources = malloc((N_STANDARD + params->n_fds) * sizeof(int));
    if (!sources)
        return NULL;
    sources[STDIN_FILENO] = params->stdin_fd;
    sources[STDOUT_FILENO] = params->stdout_fd;
    sources[STDERR_FILENO] = params->stderr_fd;
    for (size_t i = 0; i < params->n_fds; i++)
        sources[N_STANDARD + i] = params->fds[i];
    return sources;
}

static void free_sources(int **sources)
{
    free(*sources);
}

/* A child with our memory: it is over when clone() returns. */
static int clone_and_wait(struct child *child, pid_t *ret_pid, int *ret_pidfd)
{
    return clone_child(child, CLONE_VM | CLONE_VFORK, ret_pid, ret_pidfd);
}

/* True: the child has execed, failed or died; it closed its end of the pipe. */
static bool await_report(int report_fd, int pidfd, struct spawn_failure *failure)
{
    struct pollfd report = {.fd = report_fd, .events = POLLIN};
    const uint64_t deadline = clock_monotonic_usec() + SPAWN_WAIT_USEC;
    for (;;) {
        int r = poll(&report, 1, WAIT_STEP_MSEC);
        if (r > 0) {
            (void)!read(report_fd, failure, sizeof(*failure));
            return true;
        }
        if (clock_monotonic_usec() > deadline)
            return false;
        if (r == 0)
            (void)process_signal(pidfd, SIGCONT);
    }
}

static int clone_and_listen(struct child *child, pid_t *ret_pid, int *ret_pidfd)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    CLEANUP_FD int report_fd = pipe_fds[0];
    child->report_fd = pipe_fds[1];
    int r = clone_child(child, 0, ret_pid, ret_pidfd);
    child->report_fd = fd_close(child->report_fd);
    if (r < 0 || await_report(report_fd, *ret_pidfd, &child->failure))
        return r;
    (void)process_signal(*ret_pidfd, SIGKILL);
    child->failure = (struct spawn_failure){.step = SPAWN_STEP_EXEC, .error = ETIMEDOUT};
    return 0;
}

int spawn(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
          struct spawn_failure *ret_failure)
{
    int saved = errno;
    CLEANUP(free_sources) int *sources = list_sources(params);
    struct child child = {.params = params,
                          .sources = sources,
                          .n_sources = N_STANDARD + (int)params->n_fds,
                          .directory_fd = params->directory_fd,
                          .report_fd = -1};
    pid_t pid = -1;
    CLEANUP_FD int pidfd = -1;

    int r = -ENOMEM;
    if (sources)
        r = identity_changes_user(params->identity) ? clone_and_listen(&child, &pid, &pidfd)
                                                    : clone_and_wait(&child, &pid, &pidfd);
    if (r < 0) {
        *ret_failure = (struct spawn_failure){.step = SPAWN_STEP_CLONE, .error = -r};
        return r;
    }
    errno = saved;
    if (child.failure.error != 0) {
        reap(pid);
        *ret_failure = child.failure;
        return -child.failure.error;
    }
    *ret_pid = pid;
    *ret_pidfd = TAKE_FD(pidfd);
    return 0;
}
