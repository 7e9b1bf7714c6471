/* supervisor.h - from a supervisord.conf to reloader's keys. */
#pragma once

#include "import/document.h"
#include "import/ini.h"

/*
 * Writes all of `ini` into the document. Its files' names are absolute paths; `path` is the main one. 0 or -ENOMEM. The document
 * refers to the ini.
 */
int supervisor_translate(struct ini *ini, const char *path, struct document *document);
