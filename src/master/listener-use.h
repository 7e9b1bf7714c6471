/* listener-use.h - what becomes of listeners while workers come and go. */
#pragma once

struct master;
struct program;
struct worker;

/* Closes the sockets of slots that neither a configuration that is in force, or may get so, nor anybody in them needs any more. */
void master_trim_listeners(struct master *master);
/* After a worker may have called listen() or shutdown() on its sockets. */
void master_restore_listeners(const struct program *program, const struct worker *worker);
/* Closes the listeners that no program needs any more; the shutdown's. */
void master_close_listeners(struct master *master);
