#include "reloader/daemonize.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Workers inherit them: one that kept the terminal, or a pipe, would keep waiting who reads from it. */
static void redirect_to_null(void)
{
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null_fd >= 0 && fd <= STDERR_FILENO; fd++)
        (void)dup2(null_fd, fd);
}

/* A byte: ready. End of file: the child has left before, with a code that we hand on. */
static _Noreturn void wait_for_child(pid_t child, int fd)
{
    char byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(EXIT_SUCCESS);
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            _exit(EXIT_FAILURE);
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int daemonize(int *ret_fd, int *ret_terminal)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    CLEANUP_FD int read_end = pipe_fds[0];
    CLEANUP_FD int write_end = pipe_fds[1];
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        write_end = fd_close(write_end);
        /* Who waits may be interrupted by hand; the master then goes on by itself. */
        sigset_t none;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        wait_for_child(child, read_end);
    }
    (void)setsid();
    int terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (terminal >= 0)
        log_set_stderr(terminal);
    redirect_to_null();
    *ret_terminal = terminal;
    *ret_fd = TAKE_FD(write_end);
    return 0;
}

int daemonize_ready(int fd, int terminal)
{
    ssize_t n;
    /* Before anybody hears of it: who waits for the end of our output is not to wait for us. */
    log_set_stderr(STDERR_FILENO);
    (void)fd_close(terminal);
    do
        n = write(fd, "", 1);
    while (n < 0 && errno == EINTR);
    return fd_close(fd);
}
