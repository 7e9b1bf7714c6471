/* why-text.h - one worker of Why's reply, for people. */
#pragma once

#include "reloaderctl/screen.h"

#include <jansson.h>

/* Of its connections at most so many. */
void why_print_worker(json_t *worker, size_t connections, const struct screen *screen,
                      FILE *stream);
