/*
 * reloader.h - the worker's side of reloader: libreloader.
 *
 * A worker under reloader finds listening sockets and a channel to its master among its file descriptors. This
 * library reads the environment that says which, and speaks the words of the channel. It works just as well in a
 * program that was started by hand: there are no listeners then, nobody to talk to, and everything said is dropped.
 *
 *     struct reloader *reloader;
 *     if (reloader_new(0, &reloader) < 0) …
 *     if (reloader_wait_listeners(reloader, 10000) < 0) …      // they may come over the channel
 *     int listener = reloader_listener_by_name(reloader, "web");
 *     reloader_hello(reloader);
 *     … add reloader_get_fd(reloader) to the event loop, start serving …
 *     reloader_ready(reloader);
 *     … whenever that fd is readable:
 *     struct reloader_event event;
 *     while (reloader_process(reloader, &event) > 0)
 *         if (event.type == RELOADER_GRACEFUL_SHUTDOWN)
 *             … accept no more, finish the open connections, then reloader_fully_closed(reloader)
 *
 * Rules that hold for all functions:
 * - They return 0 (or what is said below) or a negative errno.
 * - None of them blocks, but for reloader_wait_listeners(). What the channel does not take at once waits in a bounded
 *   queue, which reloader_process() and every later word empty.
 * - A `struct reloader` is used by one thread at a time. There is no hidden state: several may exist, but the
 *   environment of a process is meant for one.
 * - Strings handed out belong to the library and live until reloader_free(), but for those of an event.
 *
 * C11 and C++ compatible; needs Linux and its C library, nothing else.
 */
#ifndef RELOADER_H
#define RELOADER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RELOADER_API __attribute__((visibility("default")))

/* The longest line the channel takes, its newline included. */
#define RELOADER_LINE_MAX 65536

struct reloader;

enum reloader_event_type {
    RELOADER_GRACEFUL_SHUTDOWN, /* accept no more, finish what is open, then say fully_closed. Reported once */
    RELOADER_MESSAGE, /* some other JSON value, sent by `reloaderctl send` */
    RELOADER_MASTER_GONE, /* the master is gone for good: finish and exit. Reported once, as the last event */
    RELOADER_LISTENERS, /* more listeners: the last `length` of reloader_listener_count(). See reloader_wait_listeners() */
    RELOADER_DISCONNECT_SPREAD, /* after GRACEFUL_SHUTDOWN: reloader_disconnect_spread() is another one now */
};

struct reloader_event {
    enum reloader_event_type type;
    /* RELOADER_MESSAGE: the line, NUL-terminated, not checked to be JSON; else NULL */
    const char *message;
    size_t length; /* of message; RELOADER_LISTENERS: how many there are more */
};

/* Flags of reloader_new(). */
#define RELOADER_UNSET_ENVIRONMENT                                                                 \
    1u /* drop the variables, so that no child process takes them for its own */

/*
 * Reads the environment:
 * - the listeners from LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, if they are meant for this process,
 *   else from SERVER_STARTER_PORT;
 * - the channel from RELOADER_CHANNEL_FD, and from RELOADER_LISTENERS how many listeners come over it. A number that is no Unix stream socket counts as no channel:
 *   the variable was then meant for a parent of this process;
 * - NOTIFY_SOCKET; RELOADER_PROGRAM, RELOADER_SLOT, RELOADER_GENERATION; RELOADER_DISCONNECT_SPREAD.
 * All fds get close-on-exec. O_NONBLOCK of the listeners is left as it is, for it belongs to everybody who shares
 * them; an event loop sets it itself before it accepts.
 *
 * *ret is to be given to reloader_free(). -EBADF: a listener that the environment names is not open;
 * -EINVAL: unknown flags or a variable that makes no sense; -E2BIG: more than 4096 listeners; -ENOMEM; -EMFILE.
 */
RELOADER_API int reloader_new(unsigned flags, struct reloader **ret);

/* Closes the channel and forgets everything; the listeners stay open. Returns NULL. NULL is allowed. */
RELOADER_API struct reloader *reloader_free(struct reloader *reloader);

/* True while there is a master to talk to: a channel, and it has not come to its end. */
RELOADER_API bool reloader_has_master(const struct reloader *reloader);

/* Who we are to the master: NULL, or -1 where it was not said. */
RELOADER_API const char *reloader_program(const struct reloader *reloader);
RELOADER_API long reloader_slot(const struct reloader *reloader);
RELOADER_API long reloader_generation(const struct reloader *reloader);

/*
 * With `handoff: scm-rights` the listeners come over the channel, as its first lines, and RELOADER_LISTENERS says how many:
 * so many are still awaited here. Else, and when all have come, it is 0.
 *
 * A program with an event loop gets RELOADER_LISTENERS from reloader_process(), once or more often, and says that it is ready
 * when none is awaited any more. A later master may hand listeners to a program that serves already, by the same event.
 * One that the environment named as well (`handoff: [env, scm-rights]`) is closed again and makes no event.
 */
RELOADER_API size_t reloader_listeners_awaited(const struct reloader *reloader);

/*
 * For the others: waits until all that are awaited have come; the one function here that blocks. They make no event then.
 * 0, at once where none is awaited, in a program without a master too. -ETIMEDOUT: not within timeout_msec;
 * -ECONNRESET: the master is gone; -EPROTO: something else came first (reloader_process() hands it out);
 * -EMFILE: this process may not open so many files; -EBADMSG: not as many fds as names; -E2BIG; -ENOMEM.
 */
RELOADER_API int reloader_wait_listeners(struct reloader *reloader, unsigned timeout_msec);

/* How many listeners there are; their indexes are 0 to that number - 1. */
RELOADER_API size_t reloader_listener_count(const struct reloader *reloader);

/* The fd of a listener, which is the caller's to close; -ENOENT if there is none of that index or name. */
RELOADER_API int reloader_listener(const struct reloader *reloader, size_t index);
RELOADER_API int reloader_listener_by_name(const struct reloader *reloader, const char *name);

/* Its name: the socket's in the configuration (with SERVER_STARTER_PORT alone: its address); NULL beyond the last. */
RELOADER_API const char *reloader_listener_name(const struct reloader *reloader, size_t index);

/*
 * The fd to wait on. It becomes readable when reloader_process() has something to do: a line came, the queue may
 * be emptied, the master is gone. It is always valid, the same for life, and is not to be read, written or closed.
 */
RELOADER_API int reloader_get_fd(const struct reloader *reloader);

/*
 * Empties the queue as far as the channel takes it, and takes the next event: 1 and *ret, or 0 if there is none.
 * Call it until it returns 0: more than one event may have arrived at once. *ret is valid until the next call.
 * Lines of 64 KiB and more, empty ones, and such of the master's own words as this version does not know are dropped,
 * and fds that came with anything but listeners are closed. The errors of reloader_wait_listeners() about listeners that
 * could not be taken are told here once; the next call goes on with what follows.
 */
RELOADER_API int reloader_process(struct reloader *reloader, struct reloader_event *ret);

/*
 * The same as callbacks: calls `callback` for each event that is there, and returns how many there were.
 * The callback may call everything but reloader_process(), reloader_dispatch() and reloader_free().
 */
typedef void (*reloader_callback)(struct reloader *reloader, const struct reloader_event *event,
                                  void *userdata);
RELOADER_API int reloader_dispatch(struct reloader *reloader, reloader_callback callback,
                                   void *userdata);

/*
 * Long-lived connections (event streams, WebSockets, idle keep-alive) whose ends are the worker's decision should not all end at
 * graceful_shutdown: their clients would come back in one instant. With `disconnect_spread` in the configuration a worker that has
 * said reloader_hello_spread() is told over how many milliseconds, from graceful_shutdown on, to end them: known here when
 * RELOADER_GRACEFUL_SHUTDOWN is reported. 0, as before that and without a master: at once. That is so in a shutdown of the master,
 * too; one that begins while this worker drains makes it 0, which is the event RELOADER_DISCONNECT_SPREAD.
 *
 * The worker accepts no more at once, as ever, and serves a connection until its time has come. Then it ends it where it would
 * have done so at graceful_shutdown: not within a request. disconnect_timeout is left for that behind the last one.
 */
RELOADER_API unsigned reloader_disconnect_spread(const struct reloader *reloader);

/*
 * When to end connection number `index` of `count`: milliseconds after graceful_shutdown, at even distances. All are moved by one
 * random part of a distance, which stays the same: workers that have a few connections each do not end them in step. Who does
 * not number its connections may take a random index below any large count for each.
 */
RELOADER_API unsigned reloader_disconnect_delay(const struct reloader *reloader, size_t index,
                                                size_t count);

/*
 * The words. Without a master, or when it is gone, they do nothing and return 0.
 * -ENOBUFS: the queue is full; -EAGAIN: the notify socket is full. Neither happens to a worker that says each once.
 */

/* "I understand graceful_shutdown", to be said first: no drain signal is sent then. */
RELOADER_API int reloader_hello(struct reloader *reloader);

/* The same, and: "I end my connections one by one, over reloader_disconnect_spread()." */
RELOADER_API int reloader_hello_spread(struct reloader *reloader);

/* "I serve." Over the channel; without a channel as READY=1 to NOTIFY_SOCKET. */
RELOADER_API int reloader_ready(struct reloader *reloader);

/* "All my connections are closed, I may be stopped." The master then sends the stop signal. */
RELOADER_API int reloader_fully_closed(struct reloader *reloader);

/*
 * One line for `reloaderctl status`, in UTF-8; without a channel as STATUS= to NOTIFY_SOCKET, where control
 * characters become blanks. -EMSGSIZE: longer than 4096 bytes.
 */
RELOADER_API int reloader_status(struct reloader *reloader, const char *text);

/*
 * The application's own message: any JSON value on one line, which is not checked, without the newline.
 * -ENOTCONN: no master; -EMSGSIZE: it does not fit into RELOADER_LINE_MAX; -EINVAL: empty, or with a newline;
 * -ENOBUFS: 256 KiB wait already; try again when reloader_process() has emptied the queue.
 */
RELOADER_API int reloader_send(struct reloader *reloader, const char *json);

#ifdef __cplusplus
}
#endif

#endif
