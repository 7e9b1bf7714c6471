/* page-internal.h - the files of the page, as page/embed.py writes them into the program when it is built. */
#pragma once

#include <stddef.h>

struct page_file {
    const char *path; /* NULL ends the list */
    const char *type;
    const char *tag; /* for ETag, with its quotes: of what the file holds */
    const unsigned char *data;
    size_t size;
};

extern const struct page_file page_files[];
