/*
 * config.h - one immutable, validated description of what shall run.
 *
 * Made once from a YAML file (or from the command line), then never changed; shared by reference: the master holds
 * the current one, each generation the one it was made from. Strings are owned by the config. Every reference in here
 * is resolved (paths absolute, percentages kept as written and resolved by config_amount()), every number in its range;
 * whoever reads a struct config checks nothing again.
 */
#pragma once

#include "base/address.h"
#include "base/log.h"
#include "base/macros.h"
#include "config/identity.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define CONFIG_FILE_SIZE_MAX ((size_t)1 << 20)
#define CONFIG_FILES_MAX     1000 /* the main one and those that it includes */
#define CONFIG_WORKERS_MAX   1024
#define CONFIG_SIGNAL_UNSET  0

enum config_nonblocking { CONFIG_NONBLOCKING_AUTO, CONFIG_NONBLOCKING_TRUE, CONFIG_NONBLOCKING_FALSE };

/* A file that was read. */
struct config_file {
    char *path;      /* absolute; NULL: the command line */
    char *directory; /* its own, else the current one: %(here)s in it, and where its relative paths begin */
    unsigned number; /* place in config->files: 0 is the main one */
};

struct names;

/* One pattern of `include:`. */
struct config_include {
    char *pattern;  /* absolute, as of glob(7), but without backslashes; of a single file, too */
    size_t n_files; /* that it matched */
};

#define CONFIG_INTERFACE_SIZE 16 /* IFNAMSIZ */

/* What is 0, false or empty is left as the kernel has it. */
struct config_socket_options {
    bool nodelay, keepalive;     /* TCP; the connections inherit them */
    uint64_t defer_accept_usec;  /* TCP; the kernel counts seconds */
    unsigned fastopen;           /* TCP: how many may be under way */
    bool freebind, transparent;  /* internet */
    char device[CONFIG_INTERFACE_SIZE];
    unsigned mark;
    uint64_t receive_buffer, send_buffer; /* bytes for the user; the kernel's own are added */
};

enum config_sharing {
    CONFIG_SHARED,     /* one socket for all workers */
    CONFIG_PER_WORKER, /* one for each slot, of one SO_REUSEPORT group */
};

/* One entry of `sockets:`, or the private socket(s) of a program's `listen:`. */
struct config_socket {
    char *name;     /* for a private one: the program's name, then "NAME-2", … */
    char *listen;   /* as written; expansions still in it */
    const struct config_file *file; /* that holds it; borrowed from the config */
    bool is_private;  /* of a program's `listen:` */
    bool per_slot;  /* `listen` names %(process_num)s: one socket per slot, of exactly one program */
    struct address
        address;    /* unset if per_slot: config_socket_address() tells a slot's; and for fd:N */
    int fd;         /* of `listen: fd:N`; -1: none */
    int backlog;    /* 0: the most that the system gives */
    enum config_sharing sharing;
    bool ipv6_only;
    enum config_nonblocking nonblocking;
    bool mode_set;
    mode_t mode;
    struct config_id owner, group; /* of a Unix socket's file */
    struct config_socket_options options;
    unsigned line, column;
};

enum config_handoff {
    CONFIG_HANDOFF_ENV = 1 << 0,
    CONFIG_HANDOFF_NODE_IPC = 1 << 1,
    CONFIG_HANDOFF_STDIN = 1 << 2,
    CONFIG_HANDOFF_SCM_RIGHTS = 1 << 3,
};

enum config_ready {
    CONFIG_READY_AUTO,
    CONFIG_READY_NOTIFY,
    CONFIG_READY_MESSAGE,
    CONFIG_READY_AFTER,
    CONFIG_READY_CHECK, /* ready_check is good */
};
enum config_drain { CONFIG_DRAIN_AUTO, CONFIG_DRAIN_MESSAGE, CONFIG_DRAIN_SIGNAL };
enum config_input { CONFIG_INPUT_NULL, CONFIG_INPUT_PIPE };
enum config_kill_mode {
    CONFIG_KILL_MIXED,
    CONFIG_KILL_GROUP,
    CONFIG_KILL_PROCESS,
    CONFIG_KILL_TREE,
};
enum config_order { CONFIG_ORDER_DRAIN_FIRST, CONFIG_ORDER_READY_FIRST };

/* A number, or a share of `workers`. */
struct config_amount {
    unsigned value;
    bool percent;
};

struct config_backoff {
    uint64_t initial_usec, max_usec;
    double factor, jitter;
};

enum config_restart { CONFIG_RESTART_ALWAYS, CONFIG_RESTART_UNEXPECTED, CONFIG_RESTART_NEVER };

#define CONFIG_START_RETRIES_UNLIMITED UINT32_MAX
#define CONFIG_RESTARTS_MAX            1000

struct config_max_restarts {
    unsigned count; /* 0: no such limit */
    uint64_t within_usec;
};

/* What a hook can be run for: types of events, and two kinds of EVENT_WORKER that have a name of their own. */
enum config_event {
    CONFIG_EVENT_FATAL = 1 << 0, /* a slot was given up */
    CONFIG_EVENT_CRASH = 1 << 1, /* a worker died that nobody had told to leave */
    CONFIG_EVENT_MASTER = 1 << 2,
    CONFIG_EVENT_RELOAD = 1 << 3,
    CONFIG_EVENT_ROLLOUT = 1 << 4,
    CONFIG_EVENT_WORKER = 1 << 5,
    CONFIG_EVENT_SOCKET = 1 << 6,
    CONFIG_EVENT_JOB = 1 << 7,
    CONFIG_EVENT_MESSAGE = 1 << 8,
};
/* The word for it in a configuration. */
const char *config_event_to_string(enum config_event event);

struct config_on_event {
    unsigned types; /* enum config_event; 0: there is no hook */
    char **command; /* expansions still in it, without its sockets' fds */
};

struct config_recycle {
    uint64_t max_memory;   /* bytes; 0: no such limit */
    uint64_t max_age_usec; /* likewise */
    double jitter;
};

/*
 * What reloader-probe looks at: one of the two, or neither. Expansions still in it. An URL may be "http://unix:/PATH:/URI"; an address is as of
 * base/address.h.
 */
struct config_check {
    char *http, *tcp;
};

struct config_health {
    struct config_check check; /* neither: none is made */
    uint64_t interval_usec, timeout_usec;
    unsigned failures; /* so many in a row: it is unhealthy */
};

struct config_reload {
    enum config_order order;
    bool canary; /* default: true with sockets, false without */
    struct config_amount max_unavailable, max_surge;
    bool probation_auto;     /* 0 where workers announce that they are ready, else 3 s */
    uint64_t probation_usec; /* when not auto */
    char **check_command; /* expansions still in it, without its sockets' fds; NULL: none */
};

/* Where what a worker prints goes. */
enum config_output_to {
    CONFIG_OUTPUT_INHERIT, /* the master's own */
    CONFIG_OUTPUT_NULL,
    CONFIG_OUTPUT_FILE, /* this and all that follow are written by reloader-log */
    CONFIG_OUTPUT_JOURNAL,
    CONFIG_OUTPUT_SYSLOG,
    CONFIG_OUTPUT_LOG, /* the master's log, a line each */
};

/* As it is written in a file: "inherit" … */
const char *config_output_to_to_string(enum config_output_to to);

struct config_output {
    enum config_output_to to; /* `silent` is resolved */
    char *path; /* of a file: absolute, expansions still in it; NULL: PROGRAM-SLOT.STREAM.log in log_directory */
    uint64_t max_size; /* a file that would grow beyond it is rotated */
    unsigned backups;  /* rotated files that are kept; 0: the file is emptied instead */
    bool compress;     /* rotated files are, with gzip */
    bool events;       /* each line is one, too */
    bool strip_ansi;   /* escape sequences of terminals are left out */
};

enum config_stream { CONFIG_STDOUT, CONFIG_STDERR };
#define CONFIG_STREAMS 2

struct config_program {
    char *name;
    /*
     * Expansions in the strings of a program know its names, here, host, process_num, generation, its sockets' fds, and
     * %(ENV_X)s of the master's own environment (as Supervisor has it); all were tried out when the config was loaded.
     */
    char **command;         /* at least one word; expansions still in it */
    struct config_socket **sockets; /* borrowed from the config, in the order of hand-over; NULL-terminated */
    size_t n_sockets;
    unsigned workers; /* 1 to CONFIG_WORKERS_MAX; `auto` is resolved */
    unsigned numprocs_start;
    char *worker_name;      /* expansions still in it */
    char *directory;        /* absolute; expansions still in it */
    char **environment;     /* "NAME=value", what all programs have first; expansions still in the values */
    char *environment_file; /* absolute or NULL */
    bool clear_environment;
    struct config_identity identity;
    unsigned handoff; /* enum config_handoff; NODE_IPC is added where the command is node */

    enum config_ready ready;
    uint64_t ready_after_usec; /* CONFIG_READY_AFTER */
    struct config_check ready_check; /* CONFIG_READY_CHECK */
    uint64_t watchdog_usec;          /* 0: none */
    struct config_health health;
    enum config_drain drain;
    uint64_t drain_grace_usec;
    int drain_signal; /* resolved: stop_signal where unset */
    char *drain_message; /* text of the message, "graceful_shutdown" */
    uint64_t disconnect_timeout_usec, disconnect_spread_usec;
    unsigned max_draining; /* generations at a time */
    uint64_t start_seconds_usec, start_timeout_usec;
    char **groups; /* names; the first is %(group_name)s, which is else the program's own */
    enum config_restart restart;
    uint64_t expected_exit_codes[4]; /* a bit for each of 256 */
    uint32_t start_retries;
    struct config_max_restarts max_restarts;
    bool exit_on_fatal;
    struct config_backoff backoff;
    struct config_recycle recycle;
    struct config_on_event on_event;
    int stop_signal;
    uint64_t stop_timeout_usec;
    enum config_kill_mode kill_mode;
    struct config_reload reload;
    bool watch;          /* its program file, and: */
    char **watch_paths;  /* relative to `directory`, with wildcards (base/pattern.h); known expansions only */
    char **watch_ignore; /* names of files and directories below them */
    uint64_t reload_delay_usec;
    bool autostart;
    unsigned priority;
    enum config_input input; /* `stdin` */
    bool silent;
    bool redirect_stderr; /* stderr goes where stdout goes */
    struct config_output output[CONFIG_STREAMS];
    const struct config_file *file; /* that holds it; borrowed from the config */
    unsigned line, column;
    unsigned number; /* place in config->programs */
};

enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON, CONFIG_LOG_JOURNAL };

/* What the gateway serves without a password. */
enum config_public {
    CONFIG_PUBLIC_HEALTHZ = 1 << 0,
    CONFIG_PUBLIC_READYZ = 1 << 1,
    CONFIG_PUBLIC_METRICS = 1 << 2,
};

struct config_gateway {
    bool is_on; /* else the rest means nothing */
    struct address address;
    char *username;                 /* NULL: nobody is asked for a password */
    /*
     * One of them with a username; a path is absolute. The password, and each copy of ours of the text that it was written in, is wiped where it
     * is freed. What libyaml had read ahead it frees as it is; and --set stays in the arguments.
     */
    char *password, *password_file;
    unsigned public;                /* enum config_public */
    struct config_account account;  /* a user alone; unset: nobody, where the master is root */
};

struct config {
    unsigned references;
    struct config *base; /* it owns what this one has, but for programs that differ; NULL: a configuration of its own */
    const char *path; /* absolute path of the main file; NULL when made from the command line */
    const char *here; /* directory of the main file, else the current one */
    struct config_file **files; /* NULL-terminated: the main one, then those that it includes, in order */
    size_t n_files;
    struct config_include *includes; /* where to look for new ones */
    size_t n_includes;

    struct config_account account; /* the master's own, after binding: a user alone */
    struct config_limit limits[RLIM_NLIMITS]; /* at least this much, for the master itself */
    struct config_umask umask; /* these three are in the programs already */
    char *directory;
    char **environment;
    char *pid_file; /* absolute or NULL */
    char *process_title;
    char *identifier;        /* of log records in the journal */
    char *runtime_directory; /* absolute; the default is resolved (design 3) */
    bool runtime_directory_default;
    struct {
        enum log_level level;
        enum config_log_format format;
        uint64_t max_size; /* of the file */
        unsigned backups;
        char *file; /* absolute or NULL: stderr */
    } log;
    char *log_directory; /* absolute or NULL: files need a path */
    bool watch_config;
    struct {
        char *socket; /* absolute; NULL: none */
        mode_t mode;
        struct config_id owner, group;
        bool expose; /* its path is told to workers */
    } control;

    struct config_gateway gateway;

    struct config_socket **sockets; /* NULL-terminated, in the order of the files, private ones last */
    size_t n_sockets;
    struct config_program **programs; /* NULL-terminated, in the order of the files */
    size_t n_programs;
};

/*
 * Where a configuration comes from; kept by the master so that a reload reads the same again. All strings borrowed.
 *   path      the file; NULL together with `text` for `reloader run`, whose arguments are translated to YAML text
 *   text      used instead of reading path (NUL-terminated)
 *   name      what messages call `text`, with its lines; NULL: "command line", of which people know no lines
 *   sets      "KEY=VALUE" of --set, in order, NULL-terminated; they win over the file
 *   names     who knows users and groups: what is not known yet is -EAGAIN and an open question there. NULL: they are
 *             asked at once, see names.h for how long
 *   runtime_directory  what its default is; NULL: as for this user
 */
struct config_source {
    const char *path;
    const char *text;
    const char *name;
    char *const *sets;
    const char *directory; /* base of relative paths for `text`; NULL: the current one */
    struct names *names;
    const char *runtime_directory;
};

/*
 * Loads and validates. 0 and a new reference in *ret, or -errno and in *ret_errors every error of its files, one per line,
 * each ended by a newline, "FILE:LINE:COLUMN: path.to.key: what is wrong, what is expected" (malloc-ed). -EINVAL is an invalid file; others are
 * open's and read's, with a line of text just the same (*ret_errors may be NULL when memory is short).
 */
int config_load(const struct config_source *source, struct config **ret, char **ret_errors);

/*
 * The same configuration, but for the number of workers of one program (1 to CONFIG_WORKERS_MAX). 0 and a new reference, or -ENOMEM.
 */
int config_with_workers(struct config *config, const struct config_program *program,
                        unsigned workers, struct config **ret);

struct config *config_ref(struct config *config);
struct config *config_unref(struct config *config);
DEFINE_FREEP(struct config *, config_unref)
#define CLEANUP_CONFIG CLEANUP(config_unrefp)

/*
 * What of the configuration this process may not do, being who it is: one line for each program that is to run as somebody else, as
 * "FILE:LINE:COLUMN: programs.web.user: …", each ended by a newline. 0; -EPERM with *ret_errors, or -ENOMEM.
 */
int config_check_privileges(const struct config *config, char **ret_errors);

/* Writes the whole effective configuration, defaults included, as YAML that loads to the same. 0 or -errno. */
int config_print(const struct config *config, FILE *stream);

/* What messages call a file: its path, or "command line". */
const char *config_file_name(const struct config_file *file);

/* What `watch_ignore` is where it is not set. 0 or -ENOMEM. */
int config_default_watch_ignore(char ***ret);

/* Prints every key with type, default and a line of help, from the key tables. */
void config_print_keys(FILE *stream);

/*
 * The address of a socket for one slot: that of all slots, or `listen` expanded for the slot's process number.
 * 0, -EINVAL (cannot happen for slots below the program's `workers` in a loaded config) or -ENOMEM.
 */
int config_socket_address(const struct config_socket *socket, const struct config_program *program,
                          unsigned slot, struct address *ret);

/* Is this exit code one that the program ends with when it has done its work? */
bool config_expects_exit(const struct config_program *program, int code);
/* %(group_name)s. Borrowed. */
const char *config_group_name(const struct config_program *program);
/* Is the program in a group of that name? */
bool config_program_is_in(const struct config_program *program, const char *group);

/* By its name, or NULL. */
const struct config_program *config_find_program(const struct config *config, const char *name);

/* The first program that uses the socket, or NULL. */
const struct config_program *config_find_user(const struct config *config,
                                              const struct config_socket *socket);

/* Has each slot a socket of its own: at an address of its own, or of a group? */
static inline bool config_socket_is_of_slots(const struct config_socket *socket)
{
    return socket->per_slot || socket->sharing == CONFIG_PER_WORKER;
}

/* Are its workers replaced only when their successors are ready? Where the two share a slot's socket, always. */
bool config_program_ready_first(const struct config_program *program);

/*
 * Is O_NONBLOCK to be set? For `auto`: where a program that uses the socket is handed it by node-ipc
 * (a loaded config has no socket whose programs disagree).
 */
/* Are its sockets among the fds that a worker begins with (else they come over the channel alone)? */
bool config_program_inherits(const struct config_program *program);
bool config_socket_nonblocking(const struct config *config, const struct config_socket *socket);

static inline bool config_has_check(const struct config_check *check)
{
    return check->http || check->tcp;
}

/* Is it known of its workers whether they are healthy? */
static inline bool config_looks_at_health(const struct config_program *program)
{
    return program->watchdog_usec > 0 || config_has_check(&program->health.check);
}

/* Does reloader-log write it? */
static inline bool config_output_is_logged(const struct config_output *output)
{
    return output->to != CONFIG_OUTPUT_INHERIT && output->to != CONFIG_OUTPUT_NULL;
}

/* Percent of workers rounded down, but at least 1 unless it is 0%. */
unsigned config_amount(struct config_amount amount, unsigned workers);

/*
 * Reads an environment file in systemd's EnvironmentFile= syntax into "NAME=value" strings.
 * 0, or -errno with *ret_error "FILE:LINE: what is wrong" (malloc-ed). At most CONFIG_FILE_SIZE_MAX bytes, regular files only.
 */
int config_read_environment_file(const char *path, char ***ret, char **ret_error);
