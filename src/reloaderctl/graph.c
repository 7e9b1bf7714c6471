#include "reloaderctl/graph.h"

#include "base/macros.h"

#include <string.h>

void graph_add(struct graph *graph, double sample)
{
    if (graph->n == GRAPH_SAMPLES) {
        memmove(graph->samples, graph->samples + 1, (GRAPH_SAMPLES - 1) * sizeof(double));
        graph->n--;
    }
    graph->samples[graph->n++] = sample;
}

/* Nothing at all has a level of its own: the least that there is can be seen. */
static size_t level_of(double sample, double full, size_t n_levels)
{
    if (sample <= 0)
        return 0;
    size_t level = 1 + (size_t)(sample / full * (double)(n_levels - 1));
    return MIN(level, n_levels - 1);
}

const char *graph_to_text(const struct graph *graph, double full, bool utf8,
                          char buffer[GRAPH_TEXT_SIZE])
{
    static const char *const blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"},
                             *const plain[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    _Static_assert(ARRAY_SIZE(blocks) == ARRAY_SIZE(plain), "as many levels");
    char *out = buffer;
    for (size_t i = 0; i < graph->n; i++)
        full = MAX(full, graph->samples[i]);
    for (size_t i = 0; i < graph->n; i++) {
        size_t level = level_of(graph->samples[i], full, ARRAY_SIZE(blocks));
        const char *mark = graph->samples[i] < 0 ? " " : (utf8 ? blocks : plain)[level];
        out = stpcpy(out, mark);
    }
    *out = '\0';
    return buffer;
}
