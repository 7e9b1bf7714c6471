/*
 * page.h - the page for browsers: `/`, and what it is made of below `/page/`. Its files are in page/, and in the program: nothing is read when it runs.
 *
 * It does nothing that a client of the other paths could not do. What a browser may do with it is as strict as can be: scripts, styles
 * and connections are of this server alone, nothing is inline, nobody may frame it.
 */
#pragma once

#include "gateway/gateway.h"

#include <stdbool.h>

void page_handle(struct http_request *request, struct gateway *gateway);

/* Does If-None-Match name the tag (with its quotes)? Weak ones count: what is compared is the same to the byte. NULL: it is not there. Pure. */
bool page_is_known(const char *if_none_match, const char *tag);
