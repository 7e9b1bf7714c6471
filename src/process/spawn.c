/*
 * The child lives in our memory and on a stack of its own until it execs, while we are suspended: it allocates nothing, takes
 * no lock and calls only what is async-signal-safe. Its descriptors, signals, limits and directory are copies, so what it
 * changes there is not seen by us; memory and errno are shared, which is how a failure comes back.
 *
 * Signals are blocked around clone(), so that none of our handlers ever runs in the child: it sets all to their default
 * first and unblocks them then. It leaves by returning, as glibc's clone() then ends it without running anything of ours.
 *
 * Descriptors are moved in two steps. Those that lie where another one has to go are first duplicated to above the target
 * range; then each is put in its place. So no dup2() ever covers one that is still needed.
 */
#include "process/spawn.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_STANDARD 3
#define STACK_SIZE                                                                                 \
    ((size_t)128 << 10) /* what runs on it needs about 1 KiB, some times that under a sanitizer */
#define EXIT_NOT_EXECUTED 127

struct child {
    const struct spawn_params *params;
    int *sources; /* of the targets 0, 1, 2, 3, …; -1: stays as it is */
    int n_sources;
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

static bool move_fds(const struct child *child)
{
    for (int target = 0; target < child->n_sources; target++) {
        int *source = &child->sources[target];
        if (*source < 0 || *source == target || *source >= child->n_sources)
            continue;
        int moved = fcntl(*source, F_DUPFD_CLOEXEC, child->n_sources);
        if (moved < 0) {
            /* This is how fcntl() says that the range begins above the limit. */
            if (errno == EINVAL)
                errno = EMFILE;
            return false;
        }
        *source = moved;
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

static bool change_directory(const struct spawn_params *params)
{
    if (params->directory_fd > 0)
        return fchdir(params->directory_fd) == 0;
    return !params->directory || chdir(params->directory) == 0;
}

static bool prepare_and_exec(struct child *child)
{
    const struct spawn_params *params = child->params;

    if (setpgid(0, 0) < 0)
        return fail(child, SPAWN_STEP_GROUP);
    reset_signals();
    /* Before the descriptors are moved: the directory's is not among them, and may lie where one of them goes. */
    if (!change_directory(params))
        return fail(child, SPAWN_STEP_DIRECTORY);
    if (!move_fds(child))
        return fail(child, SPAWN_STEP_FDS);
    if (params->nofile && setrlimit(RLIMIT_NOFILE, params->nofile) < 0)
        return fail(child, SPAWN_STEP_LIMITS);
    if (params->pid_text)
        write_pid(params->pid_text);
    (void)execve(params->executable, params->argv, params->envp);
    return fail(child, SPAWN_STEP_EXEC);
}

static int run_child(void *argument)
{
    (void)prepare_and_exec(argument);
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

static int clone_child(struct child *child, pid_t *ret_pid, int *ret_pidfd)
{
    CLEANUP(stack_unmapp) struct stack stack = {0};
    sigset_t all, before;
    int pidfd = -1;

    int r = stack_map(&stack);
    if (r < 0)
        return r;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(run_child, stack.memory + stack.size,
                      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &pidfd);
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

int spawn(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
          struct spawn_failure *ret_failure)
{
    int saved = errno;
    CLEANUP(free_sources) int *sources = list_sources(params);
    struct child child = {
        .params = params, .sources = sources, .n_sources = N_STANDARD + (int)params->n_fds};
    pid_t pid = -1;
    CLEANUP_FD int pidfd = -1;

    int r = sources ? clone_child(&child, &pid, &pidfd) : -ENOMEM;
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
