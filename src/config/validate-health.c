#include "config/validate-health.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/strv.h"
#include "config/section.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WATCHDOG_MIN_USEC (10 * USEC_PER_MSEC)
#define TARGET_MAX        4096 /* with what else is said of it, it goes in one message */

/* What follows "http://unix:", a path and perhaps ":/URI". */
static bool is_unix_url(const char *rest)
{
    return rest[0] == '/' && rest[1] != '\0' && rest[1] != ':';
}

static void check_url(struct checker *c, const struct tree_node *node, const char *key,
                      const char *url)
{
    const char *rest = strstr(url, "://");
    bool good = rest && (string_starts_with(url, "http://") || string_starts_with(url, "https://"));
    rest = good ? rest + strlen("://") : url;
    if (good && string_starts_with(rest, "unix:"))
        good = is_unix_url(rest + strlen("unix:"));
    else
        good = good && *rest != '\0' && !strchr("/:?#", *rest);
    if (!good || strpbrk(url, " \t\r\n"))
        checker_fail(c, node, key,
                     "'%.200s' is no URL for a check, expected http://HOST:PORT/PATH, https://… or "
                     "http://unix:/PATH/OF/SOCKET:/PATH",
                     url);
}

/* Also 127.0.0.1:80 where it listens at all addresses. */
static bool is_reached_at(const struct address *own, const struct address *address)
{
    sa_family_t family = own->socket.generic.sa_family, other = address->socket.generic.sa_family;
    bool any4 = family == AF_INET && own->socket.in.sin_addr.s_addr == htonl(INADDR_ANY);
    bool any6 = family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&own->socket.in6.sin6_addr);
    bool inet = other == AF_INET || (other == AF_INET6 && any6);
    /* The port is at the same place in both. */
    if (!own->datagram && (any4 || any6) && inet)
        return own->socket.in.sin_port == address->socket.in.sin_port;
    return address_equal(own, address);
}

static bool is_own_socket(const struct config_program *program, const struct address *address)
{
    for (size_t i = 0; i < program->n_sockets; i++) {
        struct address own;
        const struct config_socket *socket = program->sockets[i];
        if (socket->fd < 0 && config_socket_address(socket, program, 0, &own) == 0 &&
            is_reached_at(&own, address))
            return true;
    }
    return false;
}

static void check_address(struct checker *c, const struct tree_node *node, const char *key,
                          const char *text)
{
    struct address address;
    const char *reason = NULL;
    if (address_parse(text, &address, &reason) < 0)
        checker_fail(c, node, key, "'%.200s' is no address: %s", text, reason);
    else if (address.datagram)
        checker_fail(c, node, key, "'%.200s' has no connections that could be tried", text);
    else if (is_own_socket(c->program, &address))
        checker_fail(
            c, node, key,
            "reloader itself listens at '%.200s' for as long as it runs, so a connection there "
            "says "
            "nothing of a worker: use http, or an address of the worker's own",
            text);
}

static void check_target(struct checker *c, const char *section, const char *name, const char *text)
{
    if (!text)
        return;
    const struct tree_node *node = tree_get2(c->draft->value, section, name);
    char key[40];
    (void)snprintf(key, sizeof(key), "%s.%s", section, name);
    CLEANUP_FREE char *expanded = checker_expand(c, node, key, text);
    if (!expanded)
        return;
    if (strlen(expanded) > TARGET_MAX)
        checker_fail(c, node, key, "longer than %d characters", TARGET_MAX);
    else if (strcmp(name, "http") == 0)
        check_url(c, node, key, expanded);
    else
        check_address(c, node, key, expanded);
}

static void check_targets(struct checker *c, const char *section, const struct config_check *check)
{
    check_target(c, section, "http", check->http);
    check_target(c, section, "tcp", check->tcp);
}

void validate_health(struct checker *c)
{
    const struct config_program *program = c->program;
    check_targets(c, "ready", &program->ready_check);
    check_targets(c, "health", &program->health.check);
    if (program->watchdog_usec > 0 && program->watchdog_usec < WATCHDOG_MIN_USEC)
        checker_fail(c, tree_get(c->draft->value, "watchdog"), "watchdog",
                     "out of range, expected 0s, or from 10ms to 7d");
}
