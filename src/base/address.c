/*
 * Parsing goes from the most telling prefix to the least: "unix:", "udp:", forms of other programs that are refused by name,
 * then HOST:PORT with the host in brackets (IPv6), a number, "*" or "localhost". What is refused is refused with the
 * remedy for the mistake it most likely is.
 *
 * A Unix address is kept as the kernel gives it back: the length counts the NUL behind a path, and just the bytes of
 * an abstract name. Paths have at most 107 bytes here, so that sun_path is always a string.
 */
#include "base/address.h"

#include "base/parse.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define UNIX_NAME_OFFSET offsetof(struct sockaddr_un, sun_path)
#define UNIX_NAME_MAX    (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static int refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return -EINVAL;
}

static int parse_unix(const char *name, struct address *ret, const char **ret_reason)
{
    size_t length = strlen(name);
    bool abstract = *name == '@';

    if (!abstract && *name != '/')
        return refuse(ret_reason,
                      "the path of a Unix socket must begin with / (or its abstract name with @)");
    if (length == 1)
        return refuse(ret_reason, "the name of the Unix socket is missing");
    if (length > UNIX_NAME_MAX)
        return refuse(ret_reason,
                      "the kernel takes at most 107 bytes for the path of a Unix socket");
    if (!abstract && name[length - 1] == '/')
        return refuse(ret_reason,
                      "the path of a Unix socket cannot end with /, name a file in that directory");
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return refuse(ret_reason, "the name of a Unix socket cannot hold control characters");

    *ret = (struct address){.socket.un.sun_family = AF_UNIX};
    memcpy(ret->socket.un.sun_path, name, length);
    if (abstract)
        ret->socket.un.sun_path[0] = '\0';
    ret->length = (socklen_t)(UNIX_NAME_OFFSET + length + (abstract ? 0 : 1));
    return 0;
}

static int parse_port(const char *text, in_port_t *ret, const char **ret_reason)
{
    uint64_t port;
    if (*text == '\0')
        return refuse(ret_reason, "the port is missing");
    int r = parse_unsigned(text, 0, UINT16_MAX, &port);
    if (r < 0)
        return refuse(ret_reason, "the port must be a number from 1 to 65535");
    if (port == 0)
        return refuse(ret_reason,
                      "port 0 would be another one at each start, name a port from 1 to 65535");
    *ret = htons((uint16_t)port);
    return 0;
}

static int parse_ipv6(const char *text, struct address *ret, const char **ret_reason)
{
    const char *end = strchr(text, ']');
    char host[INET6_ADDRSTRLEN];
    size_t length = end ? (size_t)(end - text) - 1 : 0;

    if (!end)
        return refuse(ret_reason, "the closing ] of the IPv6 address is missing");
    if (memchr(text, '%', length))
        return refuse(ret_reason, "zones (%eth0) of IPv6 addresses are not supported");
    if (length >= sizeof(host))
        return refuse(ret_reason, "what is in the brackets is no IPv6 address");
    memcpy(host, text + 1, length);
    host[length] = '\0';

    struct address address = {.socket.in6.sin6_family = AF_INET6,
                              .length = sizeof(struct sockaddr_in6)};
    if (inet_pton(AF_INET6, host, &address.socket.in6.sin6_addr) != 1)
        return refuse(ret_reason, "what is in the brackets is no IPv6 address");
    if (end[1] != ':')
        return refuse(ret_reason, "the port is missing, it follows the ] as in [::1]:8080");
    int r = parse_port(end + 2, &address.socket.in6.sin6_port, ret_reason);
    if (r < 0)
        return r;
    *ret = address;
    return 0;
}

static int parse_ipv4_host(const char *host, struct address *ret, const char **ret_reason)
{
    struct in6_addr ignored;

    if (strcmp(host, "*") == 0) {
        ret->socket.in.sin_addr.s_addr = htonl(INADDR_ANY);
        ret->wildcard = true;
    } else if (strcmp(host, "localhost") == 0) {
        ret->socket.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (*host == '\0') {
        return refuse(ret_reason, "the host is missing, write *:PORT for all addresses");
    } else if (inet_pton(AF_INET, host, &ret->socket.in.sin_addr) != 1) {
        if (inet_pton(AF_INET6, host, &ignored) == 1 || strchr(host, ':'))
            return refuse(ret_reason, "an IPv6 address needs brackets, as in [::1]:8080");
        if (host[strspn(host, "0123456789.")] == '\0')
            return refuse(ret_reason, "this is no IPv4 address, it has four numbers from 0 to 255");
        return refuse(ret_reason, "a host name is not resolved here, give its address");
    }
    return 0;
}

static int parse_ipv4(const char *text, struct address *ret, const char **ret_reason)
{
    struct address address = {.socket.in.sin_family = AF_INET,
                              .length = sizeof(struct sockaddr_in)};
    const char *colon = strrchr(text, ':');
    char host[256] = "*";
    int r;

    if (!colon && text[strspn(text, "0123456789")] != '\0')
        return refuse(ret_reason,
                      strchr(text, '.') || strcmp(text, "localhost") == 0 || strcmp(text, "*") == 0
                          ? "the port is missing, as in 127.0.0.1:8080"
                          : "expected PORT, HOST:PORT, [IPV6]:PORT or unix:/PATH");
    if (colon) {
        size_t length = (size_t)(colon - text);
        if (length >= sizeof(host))
            return refuse(ret_reason, "a host name is not resolved here, give its address");
        memcpy(host, text, length);
        host[length] = '\0';
    }
    r = parse_ipv4_host(host, &address, ret_reason);
    if (r < 0)
        return r;
    r = parse_port(colon ? colon + 1 : text, &address.socket.in.sin_port, ret_reason);
    if (r < 0)
        return r;
    *ret = address;
    return 0;
}

static int parse_ip(const char *text, struct address *ret, const char **ret_reason)
{
    return *text == '[' ? parse_ipv6(text, ret, ret_reason) : parse_ipv4(text, ret, ret_reason);
}

static int parse_udp(const char *text, struct address *ret, const char **ret_reason)
{
    if (*text == '\0')
        return refuse(ret_reason, "the port is missing");
    if (*text == '/' || *text == '@' || string_starts_with(text, "unix:"))
        return refuse(ret_reason,
                      "UDP has no paths, and a Unix socket is a stream here: leave out udp:");
    int r = parse_ip(text, ret, ret_reason);
    if (r == 0)
        ret->datagram = true;
    return r;
}

int address_parse(const char *text, struct address *ret, const char **ret_reason)
{
    if (*text == '\0')
        return refuse(ret_reason, "the address is empty");
    if (string_starts_with(text, "unix:"))
        return parse_unix(text + strlen("unix:"), ret, ret_reason);
    if (*text == '/' || *text == '@')
        return refuse(ret_reason, "a Unix socket is written with unix: before its path or @name");
    if (string_starts_with(text, "udp:"))
        return parse_udp(text + strlen("udp:"), ret, ret_reason);
    if (string_starts_with(text, "fd:"))
        return refuse(ret_reason, "a descriptor is no address");
    if (strstr(text, "://"))
        return refuse(ret_reason, "an address has no scheme, write HOST:PORT or unix:/PATH");
    return parse_ip(text, ret, ret_reason);
}

/* An abstract name may hold anything, NULs too, if somebody else bound it: shown as /proc/net/unix does. */
static char *abstract_to_text(const struct address *address, const char *prefix)
{
    char name[sizeof(address->socket.un.sun_path) + 1];
    size_t length = address->length - UNIX_NAME_OFFSET;

    for (size_t i = 0; i < length; i++)
        name[i] = address->socket.un.sun_path[i] ? address->socket.un.sun_path[i] : '@';
    name[length] = '\0';
    return string_format("%s%s", prefix, name);
}

static char *unix_to_text(const struct address *address, const char *prefix)
{
    const char *path = address_unix_path(address);
    return path ? string_format("%s%s", prefix, path) : abstract_to_text(address, prefix);
}

static char *ip_to_text(const struct address *address, const char *prefix)
{
    char host[INET6_ADDRSTRLEN];
    if (address->socket.generic.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->socket.in6.sin6_addr, host, sizeof(host));
        return string_format("%s[%s]:%u", prefix, host, ntohs(address->socket.in6.sin6_port));
    }
    (void)inet_ntop(AF_INET, &address->socket.in.sin_addr, host, sizeof(host));
    return string_format("%s%s:%u", prefix, host, ntohs(address->socket.in.sin_port));
}

char *address_to_text(const struct address *address)
{
    if (address->socket.generic.sa_family == AF_UNIX)
        return unix_to_text(address, "unix:");
    return ip_to_text(address, address->datagram ? "udp:" : "");
}

char *address_to_starter_key(const struct address *address)
{
    if (address->wildcard)
        return string_format("%u", ntohs(address->socket.in.sin_port));
    if (address->socket.generic.sa_family == AF_UNIX)
        return unix_to_text(address, "");
    return ip_to_text(address, "");
}

const char *address_unix_path(const struct address *address)
{
    if (address->socket.generic.sa_family != AF_UNIX || address->length <= UNIX_NAME_OFFSET ||
        address->socket.un.sun_path[0] == '\0')
        return NULL;
    return address->socket.un.sun_path;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->socket.generic.sa_family != b->socket.generic.sa_family || a->datagram != b->datagram)
        return false;
    if (a->socket.generic.sa_family == AF_INET)
        return a->socket.in.sin_port == b->socket.in.sin_port &&
               a->socket.in.sin_addr.s_addr == b->socket.in.sin_addr.s_addr;
    if (a->socket.generic.sa_family == AF_INET6)
        return a->socket.in6.sin6_port == b->socket.in6.sin6_port &&
               a->socket.in6.sin6_scope_id == b->socket.in6.sin6_scope_id &&
               memcmp(&a->socket.in6.sin6_addr, &b->socket.in6.sin6_addr,
                      sizeof(struct in6_addr)) == 0;
    return a->length == b->length && memcmp(&a->socket.un, &b->socket.un, a->length) == 0;
}

int address_of_socket(int fd, struct address *ret)
{
    struct address address = {.length = sizeof(address.socket)};
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockname(fd, &address.socket.generic, &address.length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    address.datagram = type == SOCK_DGRAM;
    sa_family_t family = address.socket.generic.sa_family;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return -EAFNOSUPPORT;
    if (family == AF_UNIX) {
        /* A path may fill sun_path to its last byte; the kernel then counts a NUL that is not in here. */
        const char *path = address_unix_path(&address);
        if (address.length > sizeof(address.socket) ||
            (path && strnlen(path, sizeof(address.socket.un.sun_path)) > UNIX_NAME_MAX))
            return -ENAMETOOLONG;
    }
    *ret = address;
    return 0;
}
