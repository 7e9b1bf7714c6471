/* options.h - the command line of loadgen. */
#pragma once

#include "loadgen/load.h"

/* 1: `ret` is filled and borrows from argv; 0: help was asked for and printed; -EINVAL: said on stderr what is wrong. */
int options_parse(int argc, char **argv, struct options *ret);
