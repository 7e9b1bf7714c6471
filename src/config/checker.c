#include "config/checker.h"

#include "config/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void checker_fail(const struct checker *c, const struct tree_node *node, const char *key,
                  const char *format, ...)
{
    char path[200];
    va_list arguments;
    (void)snprintf(path, sizeof(path), "programs.%s.%s", c->program->name, key);
    va_start(arguments, format);
    errors_add_list(c->reader->errors, node ? &node->place : &c->draft->key->place, path, format,
                    arguments);
    va_end(arguments);
}

char *checker_expand(const struct checker *c, const struct tree_node *node, const char *key,
                     const char *text)
{
    CLEANUP_FREE char *reason = NULL;
    char *expanded = NULL;
    int r = expand(text, &c->expansion, &expanded, &reason);
    if (r == -ENOMEM)
        c->reader->errors->no_memory = true;
    else if (r < 0)
        checker_fail(c, node, key, "%s", reason);
    return expanded;
}
