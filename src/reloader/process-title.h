/*
 * process-title.h - what ps shows: written over the memory of the arguments, which the kernel reads for /proc/PID/cmdline.
 */
#pragma once

/* Call once, before anything keeps pointers into argv or environ: both are copied away. 0 or -ENOMEM. */
int process_title_init(int argc, char ***argv);
/* Sets the title, cut to the room that there is, and the name that top and killall use (15 characters). */
void process_title_set(const char *title);
