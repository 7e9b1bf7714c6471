/* report.h - what was gathered, as JSON: {"workers": [{pid, incomplete, processes, process_count, connections, connection_count}], "failure"}. */
#pragma once

#include "why/gather.h"

#include <stdio.h>

/* 0 or -errno. */
int report_print(const struct gathered *gathered, FILE *stream);
