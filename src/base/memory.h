/* memory.h - what a process that will sleep for long gives back. */
#pragma once

/*
 * Returns what the process has no use for while it sleeps: freed heap, and pages of code and constants, of the program and its libraries, that
 * only the work just done had needed. The latter are clean file pages; what is needed after all comes back from the page
 * cache (some 20 minor faults at the next event). Cheap, but nothing for a hot path.
 */
void memory_give_back(void);
