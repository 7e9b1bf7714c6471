#include "gateway/page.h"

#include "gateway/page-internal.h"

#include <string.h>

static const struct {
    const char *name, *value;
} headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"},
    {"X-Frame-Options", "DENY"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), usb=()"},
    /* It may be kept, but is asked for each time: with another gateway come other files, all at once. */
    {"Cache-Control", "private, no-cache"},
    {"Vary", "Authorization"},
};

static const struct page_file *find(const char *path)
{
    for (const struct page_file *file = page_files; file->path; file++)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

/* The tag at `at`, which may be weak, or the star that stands for any; `at` goes behind it. */
static bool take_tag(const char **at, const char *tag)
{
    const char *begin = *at;
    if (*begin == '*') {
        *at = begin + 1;
        return true;
    }
    if (strncmp(begin, "W/", 2) == 0)
        begin += 2;
    const char *end = *begin == '"' ? strchr(begin + 1, '"') : NULL;
    if (!end) {
        *at = begin + strlen(begin);
        return false;
    }
    *at = end + 1;
    size_t length = (size_t)(end + 1 - begin);
    return strlen(tag) == length && memcmp(begin, tag, length) == 0;
}

bool page_is_known(const char *if_none_match, const char *tag)
{
    const char *at = if_none_match ? if_none_match : "";
    while (*(at += strspn(at, " \t,")))
        if (take_tag(&at, tag))
            return true;
    return false;
}

void page_handle(struct http_request *request, struct gateway *gateway)
{
    (void)gateway;
    const struct page_file *file = find(http_path(request));
    if (!file) {
        http_reply_problem(request, 404, "the page has no such file");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        http_add_header(request, headers[i].name, headers[i].value);
    http_add_header(request, "ETag", file->tag);
    if (page_is_known(http_header(request, "If-None-Match"), file->tag))
        http_reply_static(request, 304, NULL, "", 0);
    else
        http_reply_static(request, 200, file->type, file->data, file->size);
}
