/* fg-text.h - what `fg` shows of a worker's output, and says of names and places. */
#pragma once

#include "reloaderctl/commands.h"

/* Lines of Logs: those of stderr onto ours. */
void fg_print_lines(bool json, json_t *lines);
/* Of the outputs of a slot, with the log of that reply: those that Logs does not bring, and where they are. */
void fg_explain_outputs(json_t *outputs, json_t *log);
/* Of NotOneWorker. */
void fg_explain_several(json_t *workers);
/* Which names there are, for one who asked for another. */
void fg_explain_names(const struct invocation *invocation);
