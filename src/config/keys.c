/* Keys without a type are in the design, but not in this version: they are refused by name. */
#include "config/keys.h"

#include "config/values.h"

#define SECONDS(n) ((uint64_t)(n)*USEC_PER_SEC)

#define AT(member)         offsetof(struct config, member)
#define SOCKET_AT(member)  offsetof(struct config_socket, member)
#define PROGRAM_AT(member) offsetof(struct config_program, member)

static const char *const log_levels[] = {"error", "warning", "info", "debug", "trace", NULL};
static const char *const log_formats[] = {"auto", "text", "json", "journal", NULL};

static const struct key log_keys[] = {
    {"level", &type_choice, AT(log.level), "info", .words = log_levels,
     .help = "how much is logged"},
    {"format", &type_choice, AT(log.format), "auto", .words = log_formats,
     .help = "of a log line; auto is journal under systemd, else text"},
    {"file", &type_path, AT(log.file), .default_help = "standard error",
     .help = "where log lines go"},
    {"max_size", &type_size, AT(log.max_size), "50M", .min = 4096, .max = (uint64_t)1 << 40,
     .help = "a file that would be larger is rotated"},
    {"backups", &type_number, AT(log.backups), "10", .max = 1000,
     .help = "how many rotated files are kept, as FILE.1, FILE.2, ...; 0: the file is emptied "
             "instead"},
    {0},
};
static const struct foreign_key log_foreign[] = {
    {"path", CALLED("file")},
    {"loglevel", CALLED("level")},
    {"logfile", CALLED("file")},
    {"maxbytes", CALLED("max_size")},
    {"backup_count", CALLED("backups")},
    {0},
};
static const struct key_table log_table = {"log", log_keys, log_foreign};

static const struct key control_keys[] = {
    {"socket", &type_control_socket, AT(control.socket), "control.sock",
     .help = "of reloaderctl: a name in runtime_directory, a path, or none"},
    {"mode", &type_mode, AT(control.mode), .default_help = "0600, with a group 0660",
     .help = "of the socket's file"},
    {"owner", &type_user, AT(control.owner), .default_help = "the master's user",
     .help = "of the socket's file"},
    {"group", &type_group, AT(control.group), .default_help = "none",
     .help = "whose members may control the master"},
    {"expose", &type_bool, AT(control.expose), "false",
     .help = "workers find the socket's path in RELOADER_CONTROL"},
    {0},
};
static const struct foreign_key control_foreign[] = {
    {"file", CALLED("socket")},
    {"chmod", CALLED("mode")},
    {"chown", CALLED("group")},
    {"path", CALLED("socket")},
    {0},
};
static const struct key_table control_table = {"control", control_keys, control_foreign};

/* For the master itself: no less than this. */
static const struct key root_limit_keys[] = {
    {"nofile", &type_limit, AT(limits[RLIMIT_NOFILE]), .default_help = "as needed",
     .min = LIMIT_NUMBER, .max = INT32_MAX, .help = "open files of the master, at least"},
    {"nproc", &type_limit, AT(limits[RLIMIT_NPROC]), .default_help = "as it is",
     .min = LIMIT_NUMBER, .max = INT32_MAX, .help = "processes of its user, at least"},
    {0},
};
static const struct foreign_key root_limit_foreign[] = {
    {"minfds", CALLED("nofile")},
    {"minprocs", CALLED("nproc")},
    {0},
};
static const struct key_table root_limit_table = {"limits", root_limit_keys, root_limit_foreign};

static const struct key root_keys[] = {
    {"include", &type_include, .default_help = "none",
     .help = "files with more sockets and programs, as [conf.d/*.yaml]"},
    {"pid_file", &type_path, AT(pid_file), .default_help = "none",
     .help = "holds the master's pid, and is locked while it lives"},
    {"process_title", &type_text, AT(process_title), "reloader",
     .help = "what ps shows for the master"},
    {"identifier", &type_text, AT(identifier), "reloader",
     .help = "what log records are filed under in the journal"},
    {"runtime_directory", &type_runtime_directory, AT(runtime_directory),
     .default_help = "/run/reloader as root, else $XDG_RUNTIME_DIR/reloader",
     .help = "for the control socket"},
    {"watch_config", &type_bool, AT(watch_config), "false",
     .help = "reload when this file, or one that it includes, changes"},
    {"log", &type_section, .table = &log_table},
    {"log_directory", &type_path, AT(log_directory), .default_help = "none",
     .help = "where workers' output goes that is written to files without a path: "
             "PROGRAM-SLOT.stdout.log"},
    {"control", &type_section, .table = &control_table},
    {"sockets", &type_sockets, .table = &socket_table},
    {"programs", &type_programs, .table = &program_table},
    {"user", &type_account_user, AT(account.user_text), .default_help = "who starts it",
     .help = "who the master is once all sockets are bound; then its workers are no one else"},
    {"limits", &type_section, .table = &root_limit_table},
    {"umask", &type_umask, AT(umask), .default_help = "the master's",
     .help = "of all programs that have none of their own"},
    {"directory", &type_directory, AT(directory), .default_help = "that of a program's file",
     .help = "of all programs that have none of their own"},
    {"environment", &type_environment, AT(environment), .default_help = "{}",
     .help = "variables of all programs; their own win"},
    {"gateway", &type_gateway, .table = &gateway_table, .default_text = "none",
     .help = "an HTTP API, metrics and a web page"},
    {0},
};
static const struct foreign_key root_foreign[] = {
    {"apps", CALLED("programs")},
    {"services", CALLED("programs")},
    {"watchers", CALLED("programs")},
    {"pidfile", CALLED("pid_file")},
    {"pid", CALLED("pid_file")},
    {"proc_name", CALLED("process_title")},
    {"logfile", "called 'file' in 'log' here"},
    {"error_log", "called 'file' in 'log' here"},
    {"errorlog", "called 'file' in 'log' here"},
    {"loglevel", "called 'level' in 'log' here"},
    {"log_level", "called 'level' in 'log' here"},
    {"logfile_maxbytes", "called 'max_size' in 'log' here"},
    {"logfile_backups", "called 'backups' in 'log' here"},
    {"unix_http_server", CALLED("control")},
    {"control_socket", "called 'socket' in 'control' here"},
    {"inet_http_server", CALLED("gateway")},
    {"minfds", "called 'nofile' in 'limits' here"},
    {"minprocs", "called 'nproc' in 'limits' here"},
    {"setuid", CALLED("user")},
    {"uid", CALLED("user")},
    {"env", CALLED("environment")},
    {"rlimit_nofile", "called 'nofile' in 'limits' here"},
    {"worker_rlimit_nofile", "called 'nofile' in 'limits' of a program here"},
    {"childlogdir", CALLED("log_directory")},
    {"nodaemon", "the command line says it: reloader runs in the foreground unless -d is given"},
    {"daemon", "the command line says it: reloader -d"},
    {"daemonize", "the command line says it: reloader -d"},
    {0},
};
const struct key_table root_table = {"", root_keys, root_foreign};

static const char *const sharing_words[] = {"shared", "per_worker", NULL};
static const char *const nonblocking_words[] = {"auto", "true", "false", NULL};

static const struct key option_keys[] = {
    {"nodelay", &type_bool, SOCKET_AT(options.nodelay), "false",
     .help = "TCP_NODELAY of the connections"},
    {"keepalive", &type_bool, SOCKET_AT(options.keepalive), "false",
     .help = "SO_KEEPALIVE of the connections"},
    {"defer_accept", &type_duration, SOCKET_AT(options.defer_accept_usec), "0s",
     .max = SECONDS(3600),
     .help = "a TCP connection is accepted only once its first data are there"},
    {"fastopen", &type_number, SOCKET_AT(options.fastopen), "0", .max = 65535,
     .help = "TCP Fast Open: how many connections may be waiting for their handshake to end"},
    {"freebind", &type_bool, SOCKET_AT(options.freebind), "false",
     .help = "an address that no interface has (yet) will do"},
    {"transparent", &type_bool, SOCKET_AT(options.transparent), "false",
     .help = "for a transparent proxy (IP_TRANSPARENT)"},
    {"device", &type_interface, SOCKET_AT(options.device), .default_help = "all",
     .help = "the one network interface it serves"},
    {"mark", &type_number, SOCKET_AT(options.mark), "0", .max = UINT32_MAX,
     .help = "of the packets, for routing and filters (SO_MARK)"},
    {"receive_buffer", &type_size, SOCKET_AT(options.receive_buffer),
     .default_help = "the system's", .min = 4096, .max = 1023 << 20, .help = "SO_RCVBUF"},
    {"send_buffer", &type_size, SOCKET_AT(options.send_buffer), .default_help = "the system's",
     .min = 4096, .max = 1023 << 20, .help = "SO_SNDBUF"},
    {0},
};
static const struct key_table option_table = {"sockets.NAME.options", option_keys, NULL};

static const struct key socket_keys[] = {
    {"listen", &type_listen, SOCKET_AT(listen), .required = true,
     .help = "8080, 127.0.0.1:8080, [::1]:8080, udp:53, unix:/path, unix:@name or fd:3; with "
             "%(process_num)s one socket per slot"},
    {"backlog", &type_backlog, SOCKET_AT(backlog), .default_help = "the most the system gives",
     .min = 1, .max = 1 << 20, .help = "connections that may wait to be accepted"},
    {"sharing", &type_choice, SOCKET_AT(sharing), "shared", .words = sharing_words,
     .help = "one socket for all workers, or one for each slot, with new connections steered to "
             "slots that are ready"},
    {"nonblocking", &type_choice, SOCKET_AT(nonblocking), "auto", .words = nonblocking_words,
     .help = "O_NONBLOCK of the socket; auto sets it where a program gets it by node-ipc"},
    {"ipv6_only", &type_bool, SOCKET_AT(ipv6_only), "false",
     .help = "an IPv6 socket takes no IPv4 connections"},
    {"mode", &type_socket_mode, .default_help = "as the umask says",
     .help = "of a Unix socket's file"},
    {"owner", &type_user, SOCKET_AT(owner), .default_help = "the master's user",
     .help = "of a Unix socket's file"},
    {"group", &type_group, SOCKET_AT(group), .default_help = "the master's group",
     .help = "of a Unix socket's file"},
    {"options", &type_section, .table = &option_table},
    {0},
};
static const struct foreign_key socket_foreign[] = {
    {"bind", CALLED("listen")},
    {"address", CALLED("listen")},
    {"host", "write it in 'listen', as 127.0.0.1:8080"},
    {"port", "write it in 'listen', as 127.0.0.1:8080"},
    {"path", "write it in 'listen', as unix:/path"},
    {"chmod", CALLED("mode")},
    {"umask", CALLED("mode")},
    {"somaxconn", CALLED("backlog")},
    {"reuse_port", CALLED("sharing: per_worker")},
    {"reuseport", CALLED("sharing: per_worker")},
    {"so_reuseport", CALLED("sharing: per_worker")},
    {0},
};
const struct key_table socket_table = {"sockets.NAME", socket_keys, socket_foreign};

static const struct key backoff_keys[] = {
    {"initial", &type_duration, PROGRAM_AT(backoff.initial_usec), "200ms", .min = 10000,
     .max = SECONDS(86400), .help = "wait after the first failure"},
    {"max", &type_duration, PROGRAM_AT(backoff.max_usec), "30s", .min = 10000,
     .max = SECONDS(86400), .help = "the longest wait"},
    {"factor", &type_factor, PROGRAM_AT(backoff.factor), "2", .min = 100, .max = 10000,
     .help = "how much longer each wait is than the one before"},
    {"jitter", &type_factor, PROGRAM_AT(backoff.jitter), "0.2", .min = 0, .max = 100,
     .help = "spreads each wait by this share of it, so that slots do not march in step"},
    {0},
};
static const struct key_table backoff_table = {"programs.NAME.backoff", backoff_keys, NULL};

static const struct key max_restarts_keys[] = {
    {"count", &type_number, PROGRAM_AT(max_restarts.count), .default_help = "none",
     .required = true, .min = 1, .max = CONFIG_RESTARTS_MAX,
     .help = "restarts; one more within the time ends it"},
    {"within", &type_duration, PROGRAM_AT(max_restarts.within_usec), "1h", .min = 1000000,
     .max = SECONDS(30 * 86400), .help = "the time in which they are counted"},
    {0},
};
static const struct key_table max_restarts_table = {"programs.NAME.max_restarts", max_restarts_keys,
                                                    NULL};

static const struct key on_event_keys[] = {
    {"types", &type_event_types, PROGRAM_AT(on_event.types), .default_help = "none",
     .required = true,
     .help = "what for: fatal, crash, master, reload, rollout, worker, socket, job, message"},
    {"command", &type_command, PROGRAM_AT(on_event.command), .default_help = "none",
     .required = true,
     .help = "run for each event of these types about this program, with the event as JSON on its "
             "standard input"},
    {0},
};
static const struct key_table on_event_table = {"programs.NAME.on_event", on_event_keys, NULL};

static const struct key recycle_keys[] = {
    {"max_memory", &type_size, PROGRAM_AT(recycle.max_memory), .default_help = "none",
     .min = 1 << 20, .max = UINT64_C(1) << 50,
     .help = "a worker whose resident memory is larger is replaced"},
    {"max_age", &type_duration, PROGRAM_AT(recycle.max_age_usec), "0s",
     .max = SECONDS(3650 * UINT64_C(86400)), .help = "one that is older is; 0s: however old"},
    {"jitter", &type_factor, PROGRAM_AT(recycle.jitter), "0.1", .min = 0, .max = 100,
     .help = "spreads max_age by this share of it, so that workers are not all replaced in a row"},
    {0},
};
static const struct key_table recycle_table = {"programs.NAME.recycle", recycle_keys, NULL};

static const char *const restart_words[] = {"always", "unexpected", "never", NULL};
static const char *const order_words[] = {"drain-first", "ready-first", NULL};

static const struct key reload_keys[] = {
    {"order", &type_choice, PROGRAM_AT(reload.order), "drain-first", .words = order_words,
     .later = (const char *const[]){"switch", NULL},
     .help = "drain-first: a worker leaves, then its replacement starts; ready-first: the other "
             "way round"},
    {"canary", &type_bool, PROGRAM_AT(reload.canary),
     .default_help = "true with sockets, else false",
     .help = "one new worker proves itself before any old one is told to leave"},
    {"max_unavailable", &type_amount, PROGRAM_AT(reload.max_unavailable), "25%",
     .max = CONFIG_WORKERS_MAX, .help = "workers that may be missing at a time"},
    {"max_surge", &type_amount, PROGRAM_AT(reload.max_surge), "1", .max = CONFIG_WORKERS_MAX,
     .help = "workers that may run above 'workers'"},
    {"probation", &type_probation, .default_text = "auto", .max = SECONDS(3600),
     .help = "how long the canary must stay ready; auto: 0s where workers say that they are ready, "
             "else 3s"},
    {"check_command", &type_command, PROGRAM_AT(reload.check_command), .default_help = "none",
     .help = "run before anything is touched: unless it exits with 0, the reload is refused"},
    {0},
};
static const struct key_table reload_table = {"programs.NAME.reload", reload_keys, NULL};

#define LIMIT(name_, resource_, unit_, max_, help_)                                                \
    {                                                                                              \
        .name = name_, .type = &type_limit, .offset = PROGRAM_AT(identity.limits[resource_]),      \
        .default_help = "the master's", .min = unit_, .max = max_, .help = help_                   \
    }
static const struct key limit_keys[] = {
    LIMIT("nofile", RLIMIT_NOFILE, LIMIT_NUMBER, INT32_MAX, "open files"),
    LIMIT("nproc", RLIMIT_NPROC, LIMIT_NUMBER, INT32_MAX, "processes of their user"),
    LIMIT("core", RLIMIT_CORE, LIMIT_BYTES, 0, "size of core files"),
    LIMIT("as", RLIMIT_AS, LIMIT_BYTES, 0, "address space"),
    LIMIT("data", RLIMIT_DATA, LIMIT_BYTES, 0, "data segment"),
    LIMIT("stack", RLIMIT_STACK, LIMIT_BYTES, 0, "stack"),
    LIMIT("rss", RLIMIT_RSS, LIMIT_BYTES, 0, "resident memory (Linux ignores it)"),
    LIMIT("memlock", RLIMIT_MEMLOCK, LIMIT_BYTES, 0, "locked memory"),
    LIMIT("fsize", RLIMIT_FSIZE, LIMIT_BYTES, 0, "size of files they write"),
    LIMIT("cpu", RLIMIT_CPU, LIMIT_SECONDS, 0, "CPU time of each"),
    LIMIT("rttime", RLIMIT_RTTIME, LIMIT_MICROSECONDS, 0, "CPU time without a pause, real-time"),
    LIMIT("rtprio", RLIMIT_RTPRIO, LIMIT_NUMBER, 99, "real-time priority they may take"),
    LIMIT("nice", RLIMIT_NICE, LIMIT_NUMBER, 40, "20 minus the nice value they may take"),
    LIMIT("locks", RLIMIT_LOCKS, LIMIT_NUMBER, INT32_MAX, "file locks (Linux ignores it)"),
    LIMIT("msgqueue", RLIMIT_MSGQUEUE, LIMIT_BYTES, 0, "POSIX message queues of their user"),
    LIMIT("sigpending", RLIMIT_SIGPENDING, LIMIT_NUMBER, INT32_MAX, "signals that are queued"),
    {0},
};
static const struct key_table limit_table = {"programs.NAME.limits", limit_keys, NULL};

static const char *const drain_words[] = {"auto", "message", "signal", NULL};
static const char *const kill_words[] = {"mixed", "group", "process", "tree", NULL};
static const char *const stdin_words[] = {"null", "pipe", NULL};

static const struct key program_keys[] = {
    {"command", &type_command, PROGRAM_AT(command), .required = true,
     .help = "what each worker runs: [node, app.js], or one text that is split without a shell"},
    {"groups", &type_groups, .default_help = "none",
     .help = "for start, stop and restart of several programs; %(group_name)s is the first"},
    {"workers", &type_workers, .default_text = "1", .min = 1, .max = CONFIG_WORKERS_MAX,
     .help = "how many; auto: as many as there are CPUs for"},
    {"sockets", &type_socket_names, .default_help = "none",
     .help = "names of 'sockets', in the order of hand-over"},
    {"listen", &type_private_listen, .default_help = "none",
     .help = "one or more sockets of this program alone"},
    {"handoff", &type_handoff, PROGRAM_AT(handoff), "env",
     .help = "how workers get their sockets: env, scm-rights, stdin, "
             "node-ipc (added where the command is node)"},
    {"numprocs_start", &type_number, PROGRAM_AT(numprocs_start), "0", .max = 1000000,
     .help = "%(process_num)s of the first slot"},
    {"worker_name", &type_template, PROGRAM_AT(worker_name), "%(program_name)s/%(process_num)s",
     .help = "what a worker is called in status, logs and commands"},
    {"directory", &type_directory, PROGRAM_AT(directory), ".", .default_help = "that of this file",
     .help = "where workers start; links are followed at each reload"},
    {"environment", &type_environment, PROGRAM_AT(environment), .default_help = "{}",
     .help = "variables that are added to the master's own"},
    {"environment_file", &type_environment_file, PROGRAM_AT(environment_file),
     .default_help = "none", .help = "more of them, in systemd's syntax, read anew by each reload"},
    {"clear_environment", &type_bool, PROGRAM_AT(clear_environment), "false",
     .help = "workers get none of the master's own variables"},
    {"max_draining", &type_number, PROGRAM_AT(max_draining), "3", .min = 1, .max = 1000,
     .help = "generations that may still drain; beyond it the oldest one's workers are stopped"},
    {"autostart", &type_bool, PROGRAM_AT(autostart), "true", .help = "start it with the master"},
    {"priority", &type_number, PROGRAM_AT(priority), "999", .max = 1000000,
     .help = "lower ones start first and stop last"},
    {"start_seconds", &type_duration, PROGRAM_AT(start_seconds_usec), "1s", .max = SECONDS(86400),
     .help = "an exit before this is a failed start"},
    {"start_timeout", &type_duration, PROGRAM_AT(start_timeout_usec), "60s", .min = 1000,
     .max = SECONDS(86400), .help = "a worker that is not ready by then has failed"},
    {"start_retries", &type_retries, PROGRAM_AT(start_retries), "unlimited", .max = 1000000,
     .help = "failed starts in a row after the first one, beyond which a slot is FATAL"},
    {"restart", &type_choice, PROGRAM_AT(restart), "always", .words = restart_words,
     .help = "start a worker again that had started and left by itself"},
    {"expected_exit_codes", &type_exit_codes, PROGRAM_AT(expected_exit_codes), "0",
     .help = "those of a worker that has done its work, for restart: unexpected"},
    {"max_restarts", &type_max_restarts, .table = &max_restarts_table, .default_text = "none"},
    {"exit_on_fatal", &type_bool, PROGRAM_AT(exit_on_fatal), "false",
     .help = "end the master, with the worker's exit status, when a slot is FATAL"},
    {"backoff", &type_section, .table = &backoff_table},
    {"recycle", &type_section, .table = &recycle_table},
    {"ready", &type_ready, .default_text = "auto",
     .help = "what makes a worker ready: auto, notify, message, {after: 3s}, {http: URL}, "
             "{tcp: ADDRESS}"},
    {"watchdog", &type_duration, PROGRAM_AT(watchdog_usec), "0s", .max = SECONDS(7 * 86400),
     .help =
         "a ready worker that has not said WATCHDOG=1 for so long is replaced; 0s: it need not"},
    {"health", &type_health, .table = &health_table, .default_text = "none"},
    {"drain", &type_choice, PROGRAM_AT(drain), "auto", .words = drain_words,
     .help = "how a worker is told to finish: a message, a signal, or auto: a message, and a "
             "signal if it is not read"},
    {"drain_grace", &type_duration, PROGRAM_AT(drain_grace_usec), "500ms", .max = SECONDS(3600),
     .help = "how long the message may stay unread"},
    {"drain_signal", &type_signal, PROGRAM_AT(drain_signal), .default_help = "stop_signal",
     .help = "the signal"},
    {"drain_message", &type_text, PROGRAM_AT(drain_message), "graceful_shutdown",
     .help = "the message"},
    {"disconnect_timeout", &type_duration, PROGRAM_AT(disconnect_timeout_usec), "10s",
     .max = SECONDS(7 * 86400),
     .help = "the longest time connections have to end before stop_signal"},
    {"disconnect_spread", &type_duration, PROGRAM_AT(disconnect_spread_usec), "0s",
     .max = SECONDS(7 * 86400),
     .help = "at a reload, connections that have to be ended end spread over this time, beyond "
             "disconnect_timeout"},
    {"stop_signal", &type_signal, PROGRAM_AT(stop_signal), "TERM", .help = "asks a worker to exit"},
    {"stop_timeout", &type_duration, PROGRAM_AT(stop_timeout_usec), "10s",
     .max = SECONDS(7 * 86400), .help = "from stop_signal to SIGKILL"},
    {"kill_mode", &type_choice, PROGRAM_AT(kill_mode), "mixed", .words = kill_words,
     .help = "whom signals reach; mixed: the worker, SIGKILL its whole process group; tree: so, and "
             "what has left that group, when the worker is gone"},
    {"reload", &type_section, .table = &reload_table},
    {"watch", &type_watch, .default_text = "false",
     .help =
         "reload when the program file, or one of these paths below 'directory', changes; true: "
         "the program file alone"},
    {"watch_ignore", &type_watch_ignore, .default_help = "what version control and editors write",
     .help = "names below these paths that do not matter, as node_modules or *.tmp"},
    {"reload_delay", &type_duration, PROGRAM_AT(reload_delay_usec), "5s", .max = SECONDS(3600),
     .help = "how long nothing more must have changed before it is reloaded"},
    {"stdin", &type_choice, PROGRAM_AT(input), "null", .words = stdin_words,
     .help = "what workers read: nothing, or what is written by `reloaderctl fg`"},
    {"silent", &type_bool, PROGRAM_AT(silent), "false",
     .help = "workers' output goes to /dev/null"},
    {"redirect_stderr", &type_bool, PROGRAM_AT(redirect_stderr), "false",
     .help = "workers' standard error goes where their standard output goes"},
    {"stdout", &type_output, .table = &output_tables[CONFIG_STDOUT]},
    {"stderr", &type_output, .table = &output_tables[CONFIG_STDERR]},
    {"user", &type_account_user, PROGRAM_AT(identity.account.user_text),
     .default_help = "the master's",
     .help = "whom workers run as; their HOME, USER, LOGNAME and SHELL are his"},
    {"group", &type_account_group, PROGRAM_AT(identity.account.group_text),
     .default_help = "that of the user", .help = "and as which group"},
    {"supplementary_groups", &type_account_groups, PROGRAM_AT(identity.account.groups_text),
     .default_help = "[]", .help = "further groups, besides those that the user is in"},
    {"umask", &type_umask, PROGRAM_AT(identity.umask), .default_help = "the master's",
     .help = "which permissions new files do not get, as \"022\""},
    {"nice", &type_integer, PROGRAM_AT(identity.nice), .default_help = "the master's",
     .min = (uint64_t)-20, .max = 19, .help = "19 is the most patient"},
    {"limits", &type_section, .table = &limit_table},
    {"cpu_affinity", &type_affinity, PROGRAM_AT(identity.affinity), .default_help = "the master's",
     .help = "CPUs that workers run on, as [0, 2-3]; per_worker: one for each slot, in turn"},
    {"oom_score_adjust", &type_integer, PROGRAM_AT(identity.oom_score_adjust),
     .default_help = "the master's", .min = (uint64_t)-1000, .max = 1000,
     .help = "who is killed first when memory runs out; -1000: never"},
    {"no_new_privileges", &type_bool, PROGRAM_AT(identity.no_new_privileges), "false",
     .help = "nothing that workers execute gains privileges, as by setuid files"},
    {"capabilities", &type_capabilities, PROGRAM_AT(identity.capabilities),
     .default_help = "none with another user, else the master's",
     .help = "privileges that workers of another user than root keep (the ambient set)"},
    {"on_event", &type_on_event, .table = &on_event_table, .default_text = "none"},
    {0},
};
const struct key_table program_table = {"programs.NAME", program_keys, program_foreign};

const struct key_table *const key_tables[] = {
    &root_table,
    &log_table,
    &control_table,
    &root_limit_table,
    &socket_table,
    &option_table,
    &program_table,
    &limit_table,
    &backoff_table,
    &max_restarts_table,
    &recycle_table,
    &health_table,
    &on_event_table,
    &gateway_table,
    &reload_table,
    &output_tables[CONFIG_STDOUT],
    &output_tables[CONFIG_STDERR],
    NULL,
};
