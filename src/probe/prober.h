/* prober.h - all checks of reloader-probe, and what it and the master say to each other. */
#pragma once

/* `master` (taken over) is a socket as of base/message.h. Until the other end is closed: 0, or -errno. */
int prober_run(int master);
