/*
 * suggest.h - "did you mean 'workers'?"
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* A search for the candidate nearest to a wrong word. */
struct suggestion {
    const char *wrong;
    const char *best; /* NULL: nothing is near enough */
    unsigned distance;
};

void suggestion_init(struct suggestion *suggestion, const char *wrong);
void suggestion_try(struct suggestion *suggestion, const char *candidate);

/* " (did you mean 'X'?)", or "" where nothing is near. Returns buffer. */
#define SUGGESTION_TEXT_SIZE 100
const char *suggestion_to_text(const struct suggestion *suggestion,
                               char buffer[SUGGESTION_TEXT_SIZE]);
