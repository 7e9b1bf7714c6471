/*
 * reloader-log: writes what workers print to files, to the journal, to syslog or into the master's log. A process of its own, because a disk may block and the master must not.
 *
 * Who owns what. Each worker has a pipe for each of its streams that is written here. The worker and its children have the writing end, the
 * master and we the reading end. We alone read; the master just holds it, so that what is in a pipe outlives us. Memory
 * that is shared with the master has counters for each pipe: read, written, dropped.
 *
 * What the master says (base/message.h, over a SOCK_SEQPACKET pair that is our fd 3; fd 4 is the counters):
 *   log      FORMAT (enum log_format), IDENTIFIER, PASSED: the master's log, and its descriptor if PASSED; comes first
 *   pipe     NUMBER (of the pipe, and of its counters), PROGRAM, WORKER, SLOT, GENERATION, PID, STREAM (stdout or stderr), STRIP_ANSI, TAP, TO (file,
 *            journal, syslog, log), of a file PATH, MAX_SIZE, BACKUPS, COMPRESS, AGAIN (another one of us had it), and its reading end
 *   reopen   files are opened anew
 *   tap      NUMBER, TAP (0 or 1): whether the master wants that stream's lines itself, as far as they are not too many (tap.h)
 *   ping     are you there? pong says so
 *   finish   nobody prints any more who matters: what is in the pipes is written, then we leave
 * And what we say: ended NUMBER: nobody writes into it any more and all of it is written; refused NUMBER TEXT: that pipe cannot be read, for want of
 * memory or descriptors, and is offered again after a while; log_refused: likewise; say NUMBER TEXT: for the log;
 * lines NUMBER MISSED TEXT: of a stream that is tapped.
 *
 * Reading and writing. One thread reads all pipes; each file, the journal, syslog and the log have a thread each that writes it (writer.h), as a write to a disk may take
 * its time, and then only those wait who print to that place, and not for long: see stream.h. Of each pipe at most one buffer (64 KiB, or one line of up
 * to 1 MiB) has been read and is not yet written. The pipe itself is the queue, and when it is full its worker waits for as long as we do.
 *
 * If we are killed, the master finds in the counters how many bytes we had read and neither written nor dropped, says so, and
 * starts another one of us, with all pipes. A file that ends within a line gets a mark there (target.h).
 * If the master is killed, its workers may live on: we go on until nobody writes into any of the pipes.
 * At a reload workers of the new generation come with settings of their own; for a path the last ones count.
 */
#include "helper/master-link.h"
#include "logger/logger.h"

#include <stdlib.h>
#include <unistd.h>

enum { COUNTERS_FD = 4 };

int main(int argc, char **argv)
{
    int r = master_link_prepare(argc, argv);
    if (r != 0)
        return r;
    r = logger_run(MASTER_LINK_FD, COUNTERS_FD);
    _exit(r < 0 ? EXIT_FAILURE : r);
}
