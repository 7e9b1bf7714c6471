/*
 * control.h - the Varlink service on the control socket, interface io.reloader.Control.
 *
 * The socket is a Unix stream socket in the file system. Peers are known by the kernel's word (SO_PEERCRED, SO_PEERGROUPS):
 * root, the master's user, `owner` and members of `group` may do everything, others are told PermissionDenied and closed. Clients,
 * their messages, what is queued for them and the time they take are all bounded; with no client it costs no wake-up.
 * What the methods tell and do comes from the owner, through `struct control_ops`.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"
#include "control/command.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct control;

struct control_settings {
    const char *path; /* absolute; borrowed for the call; NULL: no socket */
    mode_t mode;
    struct config_id owner, group; /* of the socket's file */
    /* 0: the defaults, 30 s for a client that owes us something and 5 min for an idle one. */
    uint64_t message_timeout_usec, idle_timeout_usec;
};

/* What a client asks for; its strings are borrowed. */
struct control_reload {
    bool undo;
    bool changed_only;
    char *const *programs; /* NULL without changed_only: all */
};

enum control_verb { CONTROL_START, CONTROL_STOP, CONTROL_RESTART };

struct control_job {
    enum control_verb verb;
    bool force;
    char *const *names; /* of programs, groups and slots */
};

struct control_logs {
    char *const *names; /* as those of a job */
    const char *stream; /* "stdout" or "stderr"; NULL: both */
    bool follow;
};

struct control_signal {
    char *const *names; /* as those of a job */
    int number;
    bool group; /* to the process groups of workers, not to their leaders alone */
};

struct control_send {
    char *const *names; /* as those of a job */
    json_t *message;
};

/* Who asks, as the kernel tells; one with the gateway's role does so for somebody whom it knows. */
struct control_peer {
    pid_t pid;
    uid_t uid;
    enum control_role role;
};

struct control_attach {
    const char *name; /* as those of a job, of one worker */
    int64_t attached; /* the pid of a worker whose input the client has already; 0: none */
};

/*
 * The owner's side. All are called from the event loop, never from inside control_publish(); none may call
 * control_finish() or control_free(), but each may call control_publish().
 */
struct control_ops {
    /* The parameters of Status' reply (its types are in methods.c); a new reference, NULL: no memory. */
    json_t *(*status)(void *userdata);
    /*
     * Asks for a reload on behalf of that peer. 0 and its id, or -ESHUTDOWN, or another -errno. The result comes as the event
     * {"type":"reload","id":…,"state":"ended",…}; every id gets exactly one, a reload that never began included.
     */
    int (*reload)(const struct control_reload *wish, const struct control_peer *peer,
                  void *userdata, uint64_t *ret_id);
    /*
     * Another number of workers, or so many more or fewer, until the next reload. 0 and the id of a reload; -ENOENT, -EBUSY (a reload is
     * about), -ERANGE, -ESHUTDOWN, or another -errno.
     */
    int (*scale)(const char *program, bool relative, int64_t workers,
                 const struct control_peer *peer, void *userdata, uint64_t *ret_id);
    /* What that reload would do: the parameters of the reply, as those of Status. */
    json_t *(*plan)(const struct control_reload *wish, void *userdata);
    /*
     * The final result {id, result, reason, duration_usec, programs[], …} if the reload has one already, else NULL; a new
     * reference. It must be there when the event "ended" is published, and some time after.
     */
    json_t *(*reload_result)(uint64_t id, void *userdata);
    /*
     * Starts, stops or restarts on behalf of that peer. 0 and an id; -ENOENT or -ESRCH: there is no program or no worker called
     * *ret_name (one of the names); -ESHUTDOWN, or another -errno. It ends with the event {"type":"job","id":…,"state":"ended","results":[…]}.
     */
    int (*job)(const struct control_job *job, const struct control_peer *peer, void *userdata,
               uint64_t *ret_id, const char **ret_name);
    /*
     * Where their output goes: the parameters of Logs' first reply. With `follow`, an id, by which the lines come to control_pass_lines()
     * until unfollow(). 0 or as job().
     */
    int (*logs)(const struct control_logs *logs, void *userdata, json_t **ret, uint64_t *ret_id,
                const char **ret_name);
    void (*unfollow)(uint64_t id, void *userdata);
    /*
     * Why those workers are still here; `all`: and those that stay (names NULL: of all programs). 0 and an id, by which the parameters of the reply come to control_answer() unless
     * forget() is called before; or id 0 and these at once. Else as job().
     */
    int (*why)(char *const *names, bool all, void *userdata, uint64_t *ret_id, json_t **ret,
               const char **ret_name);
    void (*forget)(uint64_t id, void *userdata);
    /*
     * Writes a message to their workers, without waiting: SendResult for each, a new reference. 0 or as job(); -EINVAL: it is one of
     * reloader's own words, -EMSGSIZE.
     */
    int (*send)(const struct control_send *send, void *userdata, json_t **ret,
                const char **ret_name);
    /*
     * The worker that such a name is of: the parameters of Attach's reply, and where `stdin: pipe` and it has another pid than `attached`, a
     * descriptor to write its input to, which is the caller's. 0; -ENOENT or -ESRCH as job(); -E2BIG: there are several, or -ENOTCONN: there is none now, and *ret has the parameters of the
     * error NotOneWorker or NotRunning; or another -errno.
     */
    int (*attach)(const struct control_attach *wish, const struct control_peer *peer,
                  void *userdata, json_t **ret, int *ret_input_fd);
    /* The parameters of History's reply, as those of Status. */
    json_t *(*history)(void *userdata);
    void (*shutdown)(bool force, void *userdata);
    /* The parameters of Signal's reply: who got it, and who did not. 0 or as job(). */
    int (*signal)(const struct control_signal *signal, const struct control_peer *peer,
                  void *userdata, json_t **ret, const char **ret_name);
    /* The parameters of Sockets' reply, as those of Status. */
    json_t *(*sockets)(void *userdata);
};

/*
 * Binds the socket; a stale one is replaced. Mode and group are set before anybody but root and our own user can connect.
 * Clients take the pid of the process that calls this for the master's: call it after the last fork.
 * 0, or -errno with one line for people (malloc-ed), e.g. -EADDRINUSE "/run/x.sock: the master with pid 4711 serves this control socket …".
 */
int control_new(sd_event *event, const struct control_settings *settings,
                const struct control_ops *ops, void *userdata, struct control **ret,
                char **ret_error);

/*
 * Other settings for a control that goes on: clients that are connected stay so. control_prepare() does all that can fail, a new socket is
 * bound and turns nobody away, but is not served before control_move(). Settings of the same path share the socket that `other` (NULL:
 * none), which was prepared and not taken yet, has bound. 0 or -errno with *ret_error, as control_new().
 */
struct control_change;
int control_prepare(struct control *control, const struct control_settings *settings,
                    struct control_change *other, struct control_change **ret, char **ret_error);
/* Makes it true; the old socket is unlinked, if it is another one. */
void control_move(struct control *control, struct control_change *change);
/* Returns NULL. */
struct control_change *control_change_free(struct control_change *change);
DEFINE_FREEP(struct control_change *, control_change_free)

/*
 * Tells all who subscribed, and those who wait for a reload: event is {"type":…, "time_usec":…, its fields}, borrowed.
 * Types: master, reload, rollout, worker, job, message, log, socket. `sequence` counts the events of this master from 1; one that is
 * left out was missed by all. While there is a socket, the last ones are kept (event-ring.h) for those who come later.
 * Returns at once; clients are written to from the event loop. Without a control (`socket: none`, NULL) this and the functions
 * below do nothing.
 */
void control_publish(struct control *control, const char *type, uint64_t sequence, json_t *event);
/* Lines for who follows by that id: {program, name, slot, …, text, missed}, borrowed. One who does not read misses some, and is told. */
void control_pass_lines(struct control *control, uint64_t id, json_t *lines);
/* The parameters of the reply that the client with that inquiry waits for, borrowed; NULL: there was no memory for them. */
void control_answer(struct control *control, uint64_t id, json_t *parameters);
/*
 * Takes over the fd of a connection that the gateway was given, with its role, also when it fails. It is served without a socket, too. 0 or -errno.
 */
int control_connect_gateway(struct control *control, int fd, const struct ucred *peer);
/* Would control_publish() reach anybody, now or later? */
bool control_is_heard(const struct control *control);

/*
 * The master leaves, before or after its event loop has ended: everybody who still waits gets a last reply (a reload without a result: the error ShuttingDown), and what is
 * queued is pushed out for at most half a second. New clients are not accepted any more. Connections end with control_free(),
 * so that "end of file" means to clients that nothing of the master is left but its exit.
 */
void control_finish(struct control *control);

/* Closes everything and unlinks the socket if it is still ours. Not from inside an op or control_publish(). Returns NULL. */
struct control *control_free(struct control *control);
DEFINE_FREEP(struct control *, control_free)
