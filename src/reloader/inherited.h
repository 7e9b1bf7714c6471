/*
 * inherited.h - what a process gets from whoever started it, and must not keep as it is.
 *
 * Standard descriptors that are closed would be given to the next socket, and log lines and workers' output would go there;
 * other descriptors that are open would leak into every worker; with SIGCHLD ignored the kernel would reap our children.
 */
#pragma once

/* Call it before anything is opened. 0, or -errno: /dev/null cannot be opened. */
int inherited_put_right(void);
