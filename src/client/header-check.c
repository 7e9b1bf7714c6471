/* header-check.c - reloader.h alone, as strict C11: what a worker's own build may ask of it. Part of no library. */
#include "client/reloader.h"
