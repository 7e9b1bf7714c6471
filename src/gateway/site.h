/* site.h - where a browser believes itself to be: what `Host`, `Origin` and `Sec-Fetch-Site` say. */
#pragma once

#include <stdbool.h>

/*
 * Is this Host one that a page from elsewhere can't have? "localhost" or a numeric address, with a port or without: no name server has a say in these, so
 * nobody can make his own name lead to us (DNS rebinding). NULL or "": no browser sends that.
 */
bool site_host_is_local(const char *host);

/*
 * Does a browser send this from another site? Sec-Fetch-Site decides, which no page can set; browsers that don't send it say at least by Origin for
 * what host and port their page is. Neither is there: it is no browser. All may be NULL.
 */
bool site_is_foreign(const char *fetch_site, const char *origin, const char *host);
