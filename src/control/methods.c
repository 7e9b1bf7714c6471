/*
 * The one command table. Methods of the design that this version does not have are rows too: they are refused by that word,
 * and the description leaves them out.
 */
#include "control/methods.h"

#include "control/client.h"

static const struct command varlink_commands[] = {
    {
        .name = "GetInfo",
        .help = "Who serves here, and which interfaces.",
        .reply =
            "(vendor: string, product: string, version: string, url: string, interfaces: []string)",
        .method = METHOD_GET_INFO,
    },
    {
        .name = "GetInterfaceDescription",
        .help = "The description of an interface, in Varlink's language.",
        .parameters = {{.name = "interface", .type = COMMAND_STRING, .required = true}},
        .reply = "(description: string)",
        .method = METHOD_GET_INTERFACE_DESCRIPTION,
    },
};

static const char varlink_errors[] = "\nerror InterfaceNotFound (interface: string)\n"
                                     "\nerror MethodNotFound (method: string)\n"
                                     "\nerror MethodNotImplemented (method: string)\n"
                                     "\nerror InvalidParameter (parameter: string)\n"
                                     "\nerror ExpectedMore ()\n";

static const char reload_reply[] =
    "(\n  id: ?int,\n"
    "  result: ?(committed, rolled_back, superseded, degraded, refused, would_commit),\n"
    "  reason: ?string,\n  undo: ?bool,\n  kind: ?ReloadKind,\n  asked: ?object,\n"
    "  cause: ?ReloadCause,\n  also: ?int,\n  began_usec: ?int,\n  duration_usec: ?int,\n"
    "  phases: ?[string]int,\n  programs: ?[]object,\n  plan: ?object,\n"
    "  sequence: ?int,\n  event: ?object\n)";

static const char job_reply[] = "(id: int, results: ?[]JobResult, sequence: ?int, event: ?object)";

static const struct command control_commands[] = {
    {
        .name = "Status",
        .help = "The running state: the master, its last or running reload, programs with their "
                "slots and workers, listeners.",
        .reply = "(master: Master, reload: ?ReloadState, programs: []Program, listeners: "
                 "[]Listener, strays: ?[]Stray, gateway: ?Gateway)",
        .method = METHOD_STATUS,
    },
    {
        .name = "Reload",
        .help =
            "Reads the configuration again and replaces the workers. A reload that did not "
            "commit is a reply too.\n"
            "Replies when it has ended; with `wait` false at once, with its id alone. With "
            "`more`, the first reply is\n"
            "the id, then one for each event of type reload, rollout and worker, and at last "
            "the result.\n"
            "`programs` alone takes no changes but theirs; with `changed_only`, those join that "
            "changed. With `dry_run`\n"
            "nothing is done: the result is would_commit or refused, with the plan.",
        .parameters = {{.name = "wait", .type = COMMAND_BOOL},
                       {.name = "programs", .type = COMMAND_STRINGS},
                       {.name = "changed_only", .type = COMMAND_BOOL},
                       {.name = "dry_run", .type = COMMAND_BOOL}},
        .reply = reload_reply,
        .acts = true,
        .more = true,
        .method = METHOD_RELOAD,
    },
    {
        .name = "Undo",
        .help = "Goes back to what was committed before the last reload that committed: its "
                "configuration, directory and\n"
                "environment. It is a reload itself, with an id and a result, and can be undone. "
                "The file is not read.",
        .parameters = {{.name = "wait", .type = COMMAND_BOOL}},
        .reply = reload_reply,
        .acts = true,
        .more = true,
        .method = METHOD_UNDO,
    },
    {
        .name = "Start",
        .help = "Starts what is stopped, has done its work or was given up: `all`, programs, "
                "GROUP:*, PROGRAM:SLOT or a\n"
                "worker's name, in the order of their priorities. Replies when each is ready or "
                "has failed; with `wait` false\n"
                "at once. With `more`, the first reply is the id, then one for each target that is "
                "done.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "wait", .type = COMMAND_BOOL}},
        .reply = job_reply,
        .acts = true,
        .more = true,
        .method = METHOD_START,
    },
    {
        .name = "Stop",
        .help = "Stops likewise, in the opposite order, until somebody starts it again: workers "
                "drain first; with `force`\n"
                "they are stopped at once. Sockets stay open. Replies when their processes are "
                "gone.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "wait", .type = COMMAND_BOOL},
                       {.name = "force", .type = COMMAND_BOOL}},
        .reply = job_reply,
        .acts = true,
        .more = true,
        .method = METHOD_STOP,
    },
    {
        .name = "Restart",
        .help = "Replaces workers by others of the very same kind: nothing is read again. "
                "Programs are restarted by a reload,\n"
                "with canary and way back; slots one at a time, ready-first. What was stopped is "
                "started.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "wait", .type = COMMAND_BOOL}},
        .reply = job_reply,
        .acts = true,
        .more = true,
        .method = METHOD_RESTART,
    },
    {
        .name = "Scale",
        .help =
            "Gives a program another number of `workers`, or so many more or fewer (`by`), until "
            "the next reload that reads\n"
            "the configuration. Nobody is replaced. Replies with the result of that reload, "
            "before added workers are ready.",
        .parameters = {{.name = "program", .type = COMMAND_STRING, .required = true},
                       {.name = "workers", .type = COMMAND_INT},
                       {.name = "by", .type = COMMAND_INT}},
        .reply = reload_reply,
        .acts = true,
        .method = METHOD_SCALE,
    },
    {
        .name = "History",
        .help = "How the last 100 reloads ended, the oldest first.",
        .reply = "(reloads: []PastReload)",
        .method = METHOD_HISTORY,
    },
    {
        .name = "Logs",
        .help = "Where what workers print goes; names as of Start, of both streams or one. With "
                "`more`, replies go on with\n"
                "`lines`, as they are printed, of what does not go to inherit or null.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "stream", .type = COMMAND_STRING}},
        .reply = "(outputs: ?[]Output, log: ?(to: string, path: ?string, identifier: ?string), "
                 "lines: ?Lines)",
        .more = true,
        .method = METHOD_LOGS,
    },
    {
        .name = "Why",
        .help = "Why workers are still here that have to leave: what they wait for, how long they "
                "may, and their open connections.\n"
                "With `all`, also what those do that stay; names as of Start, none: all programs. "
                "Of connections and processes\n"
                "some are listed and all counted.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS},
                       {.name = "all", .type = COMMAND_BOOL}},
        .reply = "(workers: []Leaving, failure: ?string)",
        .method = METHOD_WHY,
    },
    {
        .name = "Attach",
        .help = "The worker that runs in a slot now: PROGRAM:SLOT, a worker's name, or a program "
                "with one slot. With `stdin: pipe`,\n"
                "the end of that pipe that is written to comes with the reply (SCM_RIGHTS), but "
                "not if it is the worker with the pid\n"
                "`attached`. It does not block, others may have it too, and it is of that worker "
                "alone: a successor is attached to\n"
                "anew. What is printed comes by Logs.",
        .parameters = {{.name = "name", .type = COMMAND_STRING, .required = true},
                       {.name = "attached", .type = COMMAND_INT}},
        .reply = "(program: string, slot: int, name: string, pid: int, generation: int, "
                 "state: string, stdin: (null, pipe, socket))",
        .role = CONTROL_ROLE_OPERATOR,
        .acts = true,
        .method = METHOD_ATTACH,
    },
    {
        .name = "CheckConfig",
        .help = "What a reload of everything would do now: would_commit with the plan, or refused "
                "with the reason.",
        .reply = "(result: (would_commit, refused), reason: ?string, plan: ?object)",
        .method = METHOD_CHECK_CONFIG,
    },
    {
        .name = "Signal",
        .help = "Sends a signal (TERM, SIGTERM, 15) to each worker that is there, of names as of "
                "Start: to its process, or with\n"
                "`group` to its process group. It changes no wish: who ends is started again.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "signal", .type = COMMAND_STRING, .required = true},
                       {.name = "group", .type = COMMAND_BOOL}},
        .reply = "(results: []Signalled)",
        .role = CONTROL_ROLE_OPERATOR,
        .acts = true,
        .method = METHOD_SIGNAL,
    },
    {
        .name = "Sockets",
        .help = "All listening sockets that are open, those of old generations too, and who has "
                "them.",
        .reply = "(sockets: []Socket)",
        .method = METHOD_SOCKETS,
    },
    {
        .name = "Subscribe",
        .help =
            "Events from now on, of these types or of all: master, reload, rollout, worker, "
            "job, message, log, socket;\n"
            "of `programs` alone (PROGRAM, PROGRAM:SLOT, or a worker's name, which need not be "
            "there yet), and messages\n"
            "with these `commands` alone: their member cmd. With `since`, a number, those after "
            "it come first, with\n"
            "`since_usec` those since then, as far as they are kept: the last 4096, of 1 MiB "
            "together.\n"
            "The first reply has neither sequence nor event: `start` says whose numbers they are, "
            "the real time in\n"
            "microseconds at which the master began, `last` is the newest one's. Give `start` "
            "back with `since`: of another\n"
            "master's, all is told, and the first reply says `restarted`. Nothing comes twice; "
            "what a client did not read\n"
            "before it was forgotten is `missed`, from the number `first` (if that is known) to "
            "`last`, of whatever type.\n"
            "The last reply, when the master leaves, has no member. An event has its type, "
            "time_usec (of the real clock)\n"
            "and its own fields; one of more than 512 KiB has the names of those that it is told "
            "without in `omitted`.",
        .parameters = {{.name = "types", .type = COMMAND_STRINGS},
                       {.name = "programs", .type = COMMAND_STRINGS},
                       {.name = "commands", .type = COMMAND_STRINGS},
                       {.name = "since", .type = COMMAND_INT},
                       {.name = "since_usec", .type = COMMAND_INT},
                       {.name = "start", .type = COMMAND_INT}},
        .reply = "(start: ?int, last: ?int, restarted: ?bool, sequence: ?int, event: ?object, "
                 "missed: ?(first: ?int, last: int))",
        .more = true,
        .streams = true,
        .method = METHOD_SUBSCRIBE,
    },
    {
        .name = "Send",
        .help = "A message to workers, any JSON value: names as of Start. Each worker's own result "
                "tells whether it was sent,\n"
                "which does not wait until it is read: what a worker does not read is kept for it, "
                "at most 64 KiB.",
        .parameters = {{.name = "programs", .type = COMMAND_STRINGS, .required = true},
                       {.name = "message", .type = COMMAND_ANY, .required = true}},
        .reply = "(results: []SendResult)",
        .acts = true,
        .method = METHOD_SEND,
    },
    {
        .name = "Shutdown",
        .help = "Ends the master: gracefully, every worker drains first; with `force` at once. "
                "Replies before it begins;\n"
                "the connection ends when the master does.",
        .parameters = {{.name = "force", .type = COMMAND_BOOL}},
        .reply = "()",
        .acts = true,
        .method = METHOD_SHUTDOWN,
    },
    {
        .name = "Connect",
        .help = "Another connection with the rights of this one: its descriptor comes with the reply "
                "(SCM_RIGHTS). For who has no path to\n"
                "connect to, and makes a call that goes on beside others.",
        .reply = "()",
        .acts = true,
        .method = METHOD_CONNECT,
    },
    {
        .name = "Version",
        .help = "The version of the running master.",
        .reply = "(version: string)",
        .method = METHOD_VERSION,
    },
    {.name = "Upgrade"},
};

static const char control_types[] =
    "\n# logger: reloader-log, which writes workers' output, and how often it died. prober: "
    "likewise\n"
    "# reloader-probe, which checks them.\n"
    "# loop_delays: how many waited for at most so long; where most_usec is absent, all.\n"
    "# loop_delay: the longest that something had to wait for its turn in the last minute, in "
    "microseconds.\n"
    "# loop_delay_sum: of all together. reloads: how many ended so since the master began.\n"
    "type Master (pid: int, version: string, state: string, uptime_usec: int, loop_delay: int, "
    "loop_delay_sum: int, loop_delays: []Delay, reloads: []ReloadCount, "
    "logger: ?(pid: int, died: int), prober: ?(pid: int, died: int))\n"
    "\ntype Delay (most_usec: ?int, count: int)\n"
    "\n# duration_usec: of all of them together.\n"
    "type ReloadCount (result: (committed, rolled_back, superseded, degraded, refused), "
    "count: int, duration_usec: int)\n"
    "\ntype ReloadState (id: int, state: string, result: ?string, reason: ?string)\n"
    "\n# undo: by Undo; read: the configuration, anew; the others read nothing.\n"
    "type ReloadKind (read, current, restart, scale, undo)\n"
    "\n# by: the signal, control, http (whose pid and uid are the gateway's), or what else asked for "
    "it; path: of a file that changed.\n"
    "type ReloadCause (by: string, pid: ?int, uid: ?int, path: ?string)\n"
    "\n# also: how many more asked before it began; phases: microseconds spent in each.\n"
    "type PastReload (\n  id: int,\n  undo: bool,\n  kind: ReloadKind,\n  asked: object,\n"
    "  result: (committed, rolled_back, superseded, degraded, refused),\n  reason: ?string,\n"
    "  cause: ReloadCause,\n  also: int,\n  began_usec: int,\n  duration_usec: int,\n"
    "  phases: [string]int,\n  programs: []object\n)\n"
    "\n# A process. since_usec is when its state began, by the real clock; mixed: it is made of\n"
    "# something else than its generation began with (a program file replaced, a directory "
    "removed); left_usec: how long\n"
    "# its state may last, of one that starts, drains or stops; reason: why it is in a state that "
    "is not READY.\n"
    "type Worker (pid: int, generation: int, state: string, reason: ?string, text: ?string, "
    "since_usec: int, "
    "restarts: int, mixed: bool, left_usec: ?int,\n"
    "health: ?(state: (unknown, healthy, unhealthy), failures: int, text: ?string))\n"
    "\n# reason: how its last worker ended, or why it was given up, where nobody is in it for that; retry_usec:\n"
    "# when the next start is due, by the real clock.\n"
    "type Slot (slot: int, name: string, state: string, restarts: int, reason: ?string, retry_usec: "
    "?int, workers: []Worker)\n"
    "\n# output: what its workers printed that could not be written, and what reloader-log had "
    "read\n"
    "# when it was killed. waits_for: the program that has to be started before, by their priority.\n"
    "type Program (name: string, state: string, generation: int, workers: int, ready: int, "
    "slots: []Slot, output: ?(dropped_lines: int, dropped_bytes: int, lost_bytes: int), "
    "groups: ?[]string, health: ?string, waits_for: ?string)\n"
    "\n# The HTTP gateway: FAILED where there is none, though one is configured; reason: why what is "
    "configured is not so.\n"
    "type Gateway (address: ?string, state: string, reason: ?string, program: ?Program)\n"
    "\n# A process that left its worker's group, and lives on though the worker has gone.\n"
    "type Stray (pid: int, process: string, worker: string)\n"
    "\n# redirected: stderr goes where stdout goes. path: of a file.\n"
    "type Output (program: string, slot: int, name: ?string, stream: string, to: (inherit, null, "
    "file, journal, syslog, log), redirected: bool, path: ?string)\n"
    "\n# Why a worker is here. reason: why it was told to leave, in which reload, if any; "
    "leaves_since_usec: since when, by\n"
    "# the real clock. waits_for, until the time of the key `limit` is over, in left_usec (extended: as it "
    "asked for). killed:\n"
    "# by SIGKILL. message_unread: it was told and has not read it. incomplete: there is a "
    "process at which the master may\n"
    "# not look, whose connections are not among these. The counts are missing where they could "
    "not be found out; then the reply's `failure` tells why.\n"
    "type Leaving (\n  program: string,\n  name: string,\n  slot: int,\n  pid: int,\n  "
    "generation: int,\n  state: string,\n  since_usec: int,\n"
    "  leaves_since_usec: ?int,\n  reason: ?string,\n  reload: ?int,\n"
    "  waits_for: ?(ready, fully_closed, exit, rest),\n  limit: ?(start_timeout, "
    "disconnect_timeout, stop_timeout),\n"
    "  left_usec: ?int,\n  extended: ?bool,\n  killed: ?bool,\n  message_unread: ?bool,\n"
    "  incomplete: ?bool,\n  process_count: ?int,\n  processes: ?[]Process,\n  connection_count: ?int,\n  "
    "connections: ?[]Connection\n)\n"
    "\n# One of a worker's processes; unreadable: why its connections are not known.\n"
    "type Process (pid: int, name: string, state: (running, sleeping, uninterruptible, stopped, "
    "traced, zombie), unreadable: ?string)\n"
    "\n# The least idle ones come first; Unix and UDP, of which no times are known, last. "
    "accepted: by the worker; else it\n"
    "# connected itself. pids: of the worker, who hold it. unread and unsent: bytes that the "
    "worker has not read, and that\n"
    "# its peer has not taken. unanswered: how often in a row they were sent again. Its age is "
    "known if one side never sent\n"
    "# anything, else how old it is at least.\n"
    "type Connection (\n  protocol: (tcp, udp, unix),\n  state: string,\n  accepted: bool,\n  "
    "pids: []int,\n"
    "  local: ?string,\n  peer: ?string,\n  peer_pid: ?int,\n  idle_usec: ?int,\n  "
    "age_usec: ?int,\n  age_at_least_usec: ?int,\n"
    "  unanswered: ?int,\n  unread: ?int,\n  unsent: ?int\n)\n"
    "\n# text: whole lines, each with its end; missed: how many were left out before them, as they "
    "were too many.\n"
    "type Lines (program: string, name: string, slot: int, pid: int, generation: int, stream: "
    "string, text: string, missed: ?int)\n"
    "\n# slot: where one slot alone was asked for.\n"
    "type JobResult (program: string, slot: ?int, result: (started, already_started, exited, "
    "stopped, already_stopped, restarted, superseded, failed), reason: ?string)\n"
    "\n# One of each worker of a slot; of a slot or program without any, not_running. failed: the "
    "reason tells.\n"
    "type Signalled (program: string, slot: ?int, name: ?string, pid: ?int, result: (sent, "
    "not_running, failed), reason: ?string)\n"
    "\n# slot: of a socket that one slot alone has. programs: those which the configuration in "
    "force gives it to;\n"
    "# workers: who has it.\n"
    "type Socket (name: string, address: string, inode: int, taken_over: ?bool, queue: ?int, "
    "backlog: ?int, drops: ?int, slot: ?int,\n"
    "  programs: []string, workers: [](program: string, slot: int, name: string, pid: int, "
    "generation: int, state: string))\n"
    "\n# Of a worker, or of a slot that has none. no_channel: it closed its end; full: it has not "
    "read 64 KiB\n"
    "# of earlier messages. unread: it has not read all that was sent before.\n"
    "type SendResult (program: string, slot: int, name: ?string, pid: ?int, generation: ?int, "
    "result: (sent, draining, stopping, no_channel, full, not_running), unread: ?bool)\n"
    "\n# queue and backlog: how many wait to be accepted and how many may, of UDP in bytes; drops: "
    "for\n"
    "# how many there was no room since it was bound.\n"
    "type Listener (name: string, address: string, inode: int, taken_over: ?bool, "
    "queue: ?int, backlog: ?int, drops: ?int)\n";

static const char control_errors[] =
    "\nerror PermissionDenied ()\n"
    "\n# All places for clients are taken.\n"
    "error TooManyClients ()\n"
    "\n# Designed, but this version does not have it: the method, or this parameter of it.\n"
    "error NotInThisVersion (method: string, parameter: ?string)\n"
    "\nerror NoSuchProgram (name: string)\n"
    "\n# The program has no such slot, and no worker of that name.\n"
    "error NoSuchWorker (name: string)\n"
    "\n# It names several, the first of which are told.\n"
    "error NotOneWorker (name: string, workers: []string)\n"
    "\n# No worker runs in the slot now; comes: one will, without anybody starting it.\n"
    "error NotRunning (program: string, slot: int, state: string, comes: bool)\n"
    "\nerror ShuttingDown ()\n"
    "\nerror Failed (reason: string)\n";

static const struct command_interface varlink_interface = {
    .name = VARLINK_SERVICE,
    .help = "What every Varlink service offers.",
    .types = "",
    .errors = varlink_errors,
    .commands = varlink_commands,
    .n_commands = ARRAY_SIZE(varlink_commands),
};

static const struct command_interface control_interface = {
    .name = CONTROL_INTERFACE,
    .help = "Control of a running reloader.",
    .types = control_types,
    .errors = control_errors,
    .commands = control_commands,
    .n_commands = ARRAY_SIZE(control_commands),
};

const struct command_interface *const methods_interfaces[] = {&varlink_interface,
                                                              &control_interface};
const size_t methods_n_interfaces = ARRAY_SIZE(methods_interfaces);
