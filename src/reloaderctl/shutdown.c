/*
 * Ends the master and waits until it is gone, by a pidfd opened before the call: the connection's end alone would only say
 * that its socket is closed. Where the pid can't be seen (another pid namespace), that must do.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_pidfd(pid_t pid)
{
    return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* No bound: workers drain as long as their disconnect_timeout allows, and the user may stop waiting. */
static int wait_for_end(struct client *client, int pidfd)
{
    if (pidfd >= 0) {
        struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
        while (poll(&poll_fd, 1, -1) < 0)
            if (errno != EINTR)
                return -errno;
        return 0;
    }
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, USEC_INFINITY, &reply);
        if (r < 0)
            return r == -ECONNRESET ? 0 : r;
    }
}

static void say_gone(const struct invocation *invocation, pid_t pid, uint64_t usec)
{
    char duration[DURATION_TEXT_SIZE];
    json_auto_t *result = json_pack("{s:i, s:I}", "pid", (int)pid, "duration_usec",
                                    (json_int_t)usec);
    if (invocation->json)
        print_json(result, false);
    else
        (void)printf("the master (pid %d) is gone after %s\n", (int)pid,
                     duration_to_text(usec, duration));
}

int command_shutdown(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK)
        return code;
    CLEANUP_FD int pidfd = open_pidfd(client.pid);
    uint64_t began = clock_monotonic_usec();
    code = ask(&client, "Shutdown", json_pack("{s:b}", "force", invocation->force), false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    if (!invocation->force && !invocation->json && isatty(STDOUT_FILENO))
        (void)printf("the master (pid %d) lets its workers drain; `reloaderctl shutdown --force` "
                     "hurries it\n",
                     (int)client.pid);
    (void)fflush(stdout);
    int r = wait_for_end(&client, pidfd);
    if (r < 0)
        return complain_of_connection(&client, r);
    say_gone(invocation, client.pid, clock_monotonic_usec() - began);
    return EXIT_CODE_OK;
}
