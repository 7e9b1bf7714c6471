/* graph.h - a small graph in a line of text: the last samples of a number, the newest at the right. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define GRAPH_SAMPLES 16

struct graph {
    double samples[GRAPH_SAMPLES]; /* the oldest first */
    size_t n;
};

/* The oldest one goes when there are too many. A negative one is a gap. */
void graph_add(struct graph *graph, double sample);

/*
 * One column a sample, blank for a gap and nothing for those that are not there yet. A full column is `full`, or the largest sample
 * where that is more. Block characters in UTF-8, else ASCII. Returns buffer.
 */
#define GRAPH_TEXT_SIZE (GRAPH_SAMPLES * 3 + 1)
const char *graph_to_text(const struct graph *graph, double full, bool utf8,
                          char buffer[GRAPH_TEXT_SIZE]);
