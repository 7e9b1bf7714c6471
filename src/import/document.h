/*
 * document.h - the YAML that an import makes: keys of reloader's, each with the place that it comes from, and notes.
 *
 * Whoever translates writes what design and manual call a key, whether this version has it or not. What the key tables do
 * not know becomes a comment that says so, and so does what config_load() refuses: the rest is always a valid configuration.
 *
 * Functions without a result remember that memory was short; document_write() tells.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdio.h>

struct document;

/* A line of what is imported; `file` is borrowed until the document is freed. NULL: from nowhere, a default of that format. */
struct origin {
    const char *file;
    unsigned line;
};

struct document *document_new(void);
struct document *document_free(struct document *document);
DEFINE_FREEP(struct document *, document_free)

/* `key:` and what follows until document_close(). With nothing in it, it is not there; with nothing that is valid, a comment. */
void document_open(struct document *document, struct origin origin, const char *key);
void document_close(struct document *document);

/* `key: text`; the second one quotes. `yaml` is one line. */
void document_put_yaml(struct document *document, struct origin origin, const char *key,
                       const char *yaml);
void document_put(struct document *document, struct origin origin, const char *key,
                  const char *text);
/* A list of texts. */
void document_put_list(struct document *document, struct origin origin, const char *key,
                       char *const *texts);

/*
 * Without what was put last, the mapping that it is in is not to be: it would be something else. At the top: without it no
 * program is to be.
 */
void document_insist(struct document *document);

/* A comment. */
void document_say(struct document *document, const char *format, ...) PRINTF_LIKE(2, 3);
/* A comment for what cannot be translated: "FILE:LINE: …", counted. */
void document_refuse(struct document *document, struct origin origin, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Would the key be read here, in what was opened last? */
bool document_knows(const struct document *document, const char *key);

/* Memory ran out while something was written for it. */
void document_no_memory(struct document *document);

/*
 * Makes it valid and writes it; *ret_refused is how many settings became comments. 0; -EINVAL with *ret_error for people
 * (malloc-ed) when it cannot be made valid; -ENODATA when there is no program left in it, which is written all the same; -ENOMEM.
 */
int document_write(struct document *document, FILE *stream, unsigned *ret_refused,
                   char **ret_error);
