/*
 * tcp-echo - an echo server that can be replaced while it serves: a worker in C, with libreloader and nothing else.
 *
 *     tcp-echo [--who] [ADDRESS…]
 *
 * Under reloader it serves all listeners that it is given, TCP and Unix. By itself it listens on the addresses.
 * On graceful_shutdown, on the first SIGTERM or SIGINT, and when the master is gone, it drains: connection.c says
 * what that means for a client. A signal while it drains ends it at once.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to, int code)
{
    fputs("Usage: tcp-echo [--who] [ADDRESS...]\n"
          "\n"
          "Echoes what clients send. Takes the listeners that reloader (or systemd) hands over;\n"
          "without any it listens on ADDRESS: 7000, 127.0.0.1:7000, [::1]:7000 or unix:/path.\n"
          "\n"
          "  --who   answer a client whose first line is WHO with slot, generation and pid\n",
          to);
    return code;
}

int main(int argc, char **argv)
{
    struct server server = {.epoll_fd = -1, .signals.fd = -1};
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--help") == 0)
            return usage(stdout, 0);
        if (strcmp(argv[first], "--who") != 0)
            return usage(stderr, 2);
        server.answers_who = true;
    }
    int r = server_open(&server, argv + first);
    if (r == 0)
        r = server_run(&server);
    server_close(&server);
    if (r == -EDESTADDRREQ)
        return usage(stderr, 2);
    if (r < 0)
        fprintf(stderr, "tcp-echo: %s\n", strerror(-r));
    return r < 0 ? 1 : 0;
}
