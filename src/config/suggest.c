#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

/*
 * Edit distance with neighbours swapped counted as one (optimal string alignment): insertions, deletions and swaps are how
 * people mistype. Three rows are enough.
 */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned moved = MIN(above[j], row[j - 1]) + 1;
            row[j] = MIN(replaced, moved);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void suggestion_init(struct suggestion *suggestion, const char *wrong)
{
    *suggestion = (struct suggestion){.wrong = wrong};
}

void suggestion_try(struct suggestion *suggestion, const char *candidate)
{
    size_t length = strlen(suggestion->wrong);
    if (length > WORD_MAX || strlen(candidate) > WORD_MAX)
        return;
    /* A third of a word may be wrong: more is another word. */
    unsigned allowed = length < 3 ? 0 : length < 6 ? 1 : length < 12 ? 2 : 3;
    unsigned distance = edit_distance(suggestion->wrong, candidate);
    if (distance > allowed || (suggestion->best && distance >= suggestion->distance))
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}

const char *suggestion_to_text(const struct suggestion *suggestion,
                               char buffer[SUGGESTION_TEXT_SIZE])
{
    buffer[0] = '\0';
    if (suggestion->best)
        (void)snprintf(buffer, SUGGESTION_TEXT_SIZE, " (did you mean '%s'?)", suggestion->best);
    return buffer;
}
