#include "gateway/site.h"

#include "base/parse.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <string.h>

/* Longer names are none. */
#define NAME_SIZE 256

struct authority {
    char name[NAME_SIZE]; /* an IPv6 address without its brackets */
    bool bracketed;
    uint64_t port;
};

/* "name", "name:port", "[::1]:port"; a port that is not there is the default one. */
static bool authority_parse(const char *text, uint64_t default_port, struct authority *ret)
{
    struct authority authority = {.bracketed = text[0] == '[', .port = default_port};
    const char *name = text + authority.bracketed;
    size_t n = strcspn(name, authority.bracketed ? "]" : ":");
    const char *rest = name + n;
    if (n == 0 || n >= sizeof(authority.name) || (authority.bracketed && *rest++ != ']'))
        return false;
    memcpy(authority.name, name, n);
    if (strpbrk(authority.name, " \t\r\n/\\@?#[]"))
        return false;
    if (*rest != '\0' && *rest != ':')
        return false;
    if (rest[0] == ':' && rest[1] != '\0' &&
        parse_unsigned(rest + 1, 0, UINT16_MAX, &authority.port) < 0)
        return false;
    *ret = authority;
    return true;
}

bool site_host_is_local(const char *host)
{
    struct authority authority;
    struct in6_addr address;
    if (!host || !*host)
        return true;
    if (!authority_parse(host, 0, &authority))
        return false;
    if (authority.bracketed)
        return inet_pton(AF_INET6, authority.name, &address) == 1;
    return strcasecmp(authority.name, "localhost") == 0 ||
           inet_pton(AF_INET, authority.name, &address) == 1;
}

static bool authority_equal(const struct authority *a, const struct authority *b)
{
    return a->bracketed == b->bracketed && a->port == b->port && strcasecmp(a->name, b->name) == 0;
}

/* A proxy may have taken off TLS, so the scheme says only which port is meant where none is named. */
static bool is_origin_of(const char *origin, const char *host)
{
    static const struct {
        const char *prefix;
        uint64_t port;
    } schemes[] = {{"http://", 80}, {"https://", 443}};
    struct authority from, to;
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t n = strlen(schemes[i].prefix);
        if (strncasecmp(origin, schemes[i].prefix, n) == 0)
            return authority_parse(origin + n, schemes[i].port, &from) &&
                   authority_parse(host, schemes[i].port, &to) && authority_equal(&from, &to);
    }
    return false;
}

bool site_is_foreign(const char *fetch_site, const char *origin, const char *host)
{
    if (fetch_site)
        return !string_equal(fetch_site, "same-origin") && !string_equal(fetch_site, "none");
    if (origin)
        return !host || !is_origin_of(origin, host);
    return false;
}
