#include "helper/master-link.h"

#include "base/message.h"
#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define ROOM_MSEC 1000

static void ignore_signals(void)
{
    static const int numbers[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                                  SIGUSR1, SIGUSR2, SIGXFSZ, SIGTSTP};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)signal(numbers[i], SIG_IGN);
}

/* As many as we may: workers that come later bring descriptors, too, and nothing of ours is indexed by them. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int master_link_prepare(int argc, char **argv)
{
    if (argc != 1) {
        (void)fprintf(stderr, "%s: it is started by reloader, and takes no arguments\n", argv[0]);
        return 2;
    }
    ignore_signals();
    raise_descriptors();
    return 0;
}

bool master_link_tell(int fd, char *const *fields)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int r = fd < 0 ? -EPIPE : message_send(fd, fields, -1);
    while (r == -EAGAIN && poll(&poll_fd, 1, ROOM_MSEC) > 0)
        r = message_send(fd, fields, -1);
    return r == 0;
}

bool master_link_answer(int fd, char *const *fields)
{
    static char *const pong[] = {(char *)(uintptr_t) "TYPE=pong", NULL};
    if (!string_equal(strv_env_get(fields, "TYPE"), "ping"))
        return false;
    (void)master_link_tell(fd, pong);
    return true;
}

uint64_t master_link_number(char *const *fields, const char *name)
{
    const char *text = strv_env_get(fields, name);
    uint64_t number;
    return text && parse_unsigned(text, 0, UINT64_MAX, &number) == 0 ? number : 0;
}
