/*
 * address.h - where a listener listens: parsed from what people write, printed as peers expect it.
 *
 * Forms: "8080" and "*:8080" (0.0.0.0), "127.0.0.1:8080", "localhost:8080" (127.0.0.1), "[::1]:8080", "[::]:8080",
 * "unix:/path", "unix:@abstract"; behind "udp:" the internet ones again. Nothing is ever resolved: any other host name is an error.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr generic;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } socket;
    socklen_t length;
    bool datagram; /* UDP; else a stream */
    bool wildcard; /* written as a port alone or with "*": SERVER_STARTER_PORT then names the port alone */
};

/*
 * 0 or -EINVAL with *ret_reason (static text for people, e.g. "a host name is not resolved here, give its address").
 * Port 0 is refused (-EINVAL) as are Unix paths that are relative or longer than the kernel takes.
 */
int address_parse(const char *text, struct address *ret, const char **ret_reason);

/* Canonical text, as the configuration writes it: "0.0.0.0:8080", "[::1]:81", "unix:/a.sock", "unix:@name", "udp:0.0.0.0:53". malloc-ed or NULL. */
char *address_to_text(const struct address *address);

/* The key of SERVER_STARTER_PORT, which does not tell UDP: "8080" where wildcard, else "127.0.0.1:81", "[::1]:82", "/a.sock". malloc-ed or NULL. */
char *address_to_starter_key(const struct address *address);

/* The path of a Unix socket in the file system, or NULL (also for abstract ones). Borrowed. */
const char *address_unix_path(const struct address *address);

/* Is it the same place? How it was written (`wildcard`) does not matter. */
bool address_equal(const struct address *a, const struct address *b);

/*
 * The address a bound socket has (getsockname); `wildcard` is false. 0 or -errno: -EAFNOSUPPORT for other families,
 * -ENAMETOOLONG for a Unix path of 108 bytes.
 */
int address_of_socket(int fd, struct address *ret);
