#include "process/pidfd.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int process_signal(int pidfd, int signal)
{
    /* glibc has a function for it from 2.36 on only. */
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int process_signal_group(pid_t group, int signal)
{
    /* kill(0) would be our own group, kill(-1) everybody. */
    if (group <= 1)
        return -EINVAL;
    return kill(-group, signal) < 0 ? -errno : 0;
}

static int wait_without_waiting(pid_t pid, int options, siginfo_t *ret_info)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | options) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *ret_info = info;
    return 1;
}

int process_peek_exit(pid_t pid, siginfo_t *ret_info)
{
    return wait_without_waiting(pid, WNOWAIT, ret_info);
}

int process_reap(pid_t pid)
{
    siginfo_t ignored;
    int r = wait_without_waiting(pid, 0, &ignored);
    if (r < 0)
        return r;
    return r == 0 ? -EBUSY : 0;
}

const char *process_exit_to_text(const siginfo_t *info, char buffer[PROCESS_EXIT_TEXT_SIZE])
{
    char name[SIGNAL_NAME_SIZE];

    if (info->si_code == CLD_EXITED)
        (void)snprintf(buffer, PROCESS_EXIT_TEXT_SIZE, "exited with %d", info->si_status);
    else
        (void)snprintf(buffer, PROCESS_EXIT_TEXT_SIZE, "%s%s",
                       signal_to_string(info->si_status, name),
                       info->si_code == CLD_DUMPED ? " (core dumped)" : "");
    return buffer;
}
