/* checker.h - one program under examination: what the files have in common that say whether its keys go together (validate-*.c). */
#pragma once

#include "config/expand.h"
#include "config/keys.h"

struct checker {
    struct reader *reader;
    const struct config_program *program;
    const struct draft *draft;
    unsigned process_num;
    uint64_t generation;
    struct expansion expansion; /* its own, of its first slot */
};

/* Says what is wrong with a key of the program, at the key's value; where it has none (NULL), at the program's name. */
void checker_fail(const struct checker *c, const struct tree_node *node, const char *key,
                  const char *format, ...) PRINTF_LIKE(4, 5);
/* The text with its expansions, malloc-ed. NULL: that failed, and was said. */
char *checker_expand(const struct checker *c, const struct tree_node *node, const char *key,
                     const char *text);
