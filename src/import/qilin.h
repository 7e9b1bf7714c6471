/* qilin.h - from a qilin-daemon.json to reloader's keys. */
#pragma once

#include "import/document.h"

/*
 * `path` is absolute, and is kept by the document. 0; -EINVAL with *ret_error "FILE:LINE: what is wrong, what is expected"
 * (malloc-ed); or -ENOMEM.
 */
int qilin_translate(const char *text, size_t size, const char *path, struct document *document,
                    char **ret_error);
