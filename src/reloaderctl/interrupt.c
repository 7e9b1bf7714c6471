#include "reloaderctl/interrupt.h"

#include "base/fd.h"

#include <sys/signalfd.h>
#include <unistd.h>

struct interrupt interrupt_take(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct interrupt interrupt = {.fd = -1};
    struct sigaction action;
    sigset_t set;
    (void)sigaction(SIGPIPE, &ignore, &interrupt.broken_pipe);
    (void)sigemptyset(&set);
    if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, &interrupt.mask);
    interrupt.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return interrupt;
}

void interrupt_give_back(struct interrupt *interrupt)
{
    struct signalfd_siginfo info;
    while (read(interrupt->fd, &info, sizeof(info)) > 0)
        ;
    interrupt->fd = fd_close(interrupt->fd);
    (void)sigprocmask(SIG_SETMASK, &interrupt->mask, NULL);
    (void)sigaction(SIGPIPE, &interrupt->broken_pipe, NULL);
}
