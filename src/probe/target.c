#include "probe/target.h"

#include "base/address.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>

void target_clear(struct target *target)
{
    free(target->url);
    free(target->unix_path);
    *target = (struct target){0};
}

static int set(struct target *ret, char *url, char *unix_path, bool with_path)
{
    struct target target = {.url = url, .unix_path = unix_path};
    if (!url || (with_path && !unix_path)) {
        target_clear(&target);
        return -ENOMEM;
    }
    *ret = target;
    return 0;
}

/* "/run/web.sock:/health": the path ends at the first colon. */
static int from_unix_url(size_t scheme, const char *text, const char *rest, struct target *ret)
{
    size_t length = strcspn(rest, ":");
    const char *uri = rest[length] == ':' ? rest + length + 1 : "/";
    if (rest[0] != '/' || length < 2)
        return -EINVAL;
    return set(ret,
               string_format("%.*slocalhost%s%s", (int)scheme, text, *uri == '/' ? "" : "/", uri),
               strndup(rest, length), true);
}

int target_from_url(const char *text, struct target *ret)
{
    const char *host = strstr(text, "://");
    if (!host || !(string_starts_with(text, "http://") || string_starts_with(text, "https://")))
        return -EINVAL;
    host += strlen("://");
    if (string_starts_with(host, "unix:"))
        return from_unix_url((size_t)(host - text), text, host + strlen("unix:"), ret);
    return set(ret, strdup(text), NULL, false);
}

static int from_unix_address(const char *text, struct target *ret)
{
    const char *name = text + strlen("unix:");
    bool abstract = *name == '@';
    int r = set(ret, strdup("http://localhost/"), strdup(name + abstract), true);
    if (r == 0)
        ret->abstract = abstract;
    return r;
}

int target_from_address(const char *text, struct target *ret)
{
    struct address address;
    const char *reason;
    if (address_parse(text, &address, &reason) < 0 || address.datagram)
        return -EINVAL;
    CLEANUP_FREE char *canonical = address_to_text(&address);
    if (!canonical)
        return -ENOMEM;
    int r = string_starts_with(canonical, "unix:")
                ? from_unix_address(canonical, ret)
                : set(ret, string_format("http://%s/", canonical), NULL, false);
    if (r == 0)
        ret->connects = true;
    return r;
}
