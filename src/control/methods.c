/*
 * The one command table, and what its methods do. Methods of the design that this version does not have are rows too: they
 * are refused by that word, and the description leaves them out.
 */
#include "control/methods.h"

#include "base/strv.h"
#include "control/methods-logs.h"
#include "control/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void reply(struct client *client, json_t *parameters)
{
    client_reply(client, parameters, false);
    json_decref(parameters);
}

static void reply_failed(struct client *client, int r)
{
    json_auto_t *parameters = json_pack("{s:s}", "reason", strerror(-r));
    client_error(client, SERVICE_ERROR_FAILED, parameters);
}

static void handle_get_info(UNUSED const struct command *command,
                            UNUSED const struct varlink_call *call, struct client *client)
{
    json_auto_t *names = json_array();
    for (size_t i = 0; i < methods_n_interfaces; i++)
        (void)json_array_append_new(names, json_string(methods_interfaces[i]->name));
    reply(client,
          json_pack("{s:s, s:s, s:s, s:s, s:O}", "vendor", "reloader", "product", "reloader",
                    "version", RELOADER_VERSION, "url", "", "interfaces", names));
}

static void handle_get_interface_description(UNUSED const struct command *command,
                                             const struct varlink_call *call, struct client *client)
{
    json_t *name = json_object_get(call->parameters, "interface");
    const char *text = json_string_value(name);
    const struct command_interface *interface = command_find_interface(
        methods_interfaces, methods_n_interfaces, text, strlen(text));
    if (!interface) {
        json_auto_t *parameters = json_pack("{s:O}", "interface", name);
        client_error(client, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
        return;
    }
    CLEANUP_FREE char *description = command_describe(interface);
    if (description)
        reply(client, json_pack("{s:s}", "description", description));
    else
        reply_failed(client, -ENOMEM);
}

static void reply_or_fail(struct client *client, json_t *parameters)
{
    if (parameters)
        reply(client, parameters);
    else
        reply_failed(client, -ENOMEM);
}

static void handle_status(UNUSED const struct command *command,
                          UNUSED const struct varlink_call *call, struct client *client)
{
    reply_or_fail(client, client_ops(client)->status(client_ops_userdata(client)));
}

static void handle_history(UNUSED const struct command *command,
                           UNUSED const struct varlink_call *call, struct client *client)
{
    reply_or_fail(client, client_ops(client)->history(client_ops_userdata(client)));
}

static int read_names(json_t *list, char ***ret)
{
    json_t *item;
    size_t i;
    int r = 0;
    json_array_foreach(list, i, item) r = r < 0 ? r : strv_append(ret, json_string_value(item));
    return r;
}

static void wait_for_reload(const struct control_reload *wish, const struct varlink_call *call,
                            struct client *client)
{
    uint64_t id = 0;
    int r = client_ops(client)->reload(wish, client_peer(client), client_ops_userdata(client), &id);
    if (r == -ESHUTDOWN) {
        client_error(client, SERVICE_ERROR_SHUTTING_DOWN, NULL);
        return;
    }
    if (r < 0) {
        reply_failed(client, r);
        return;
    }
    json_auto_t *accepted = json_pack("{s:I}", "id", (json_int_t)id);
    bool wait = !json_is_false(json_object_get(call->parameters, "wait"));
    if (!wait || call->more)
        client_reply(client, accepted, wait);
    if (wait)
        client_wait_for_reload(client, id, call->more);
}

static void handle_reload(UNUSED const struct command *command, const struct varlink_call *call,
                          struct client *client)
{
    CLEANUP_STRV char **programs = NULL;
    int r = read_names(json_object_get(call->parameters, "programs"), &programs);
    if (r < 0) {
        reply_failed(client, r);
        return;
    }
    const struct control_reload wish = {
        .changed_only = json_is_true(json_object_get(call->parameters, "changed_only")),
        .programs = programs};
    if (json_is_true(json_object_get(call->parameters, "dry_run")))
        reply_or_fail(client, client_ops(client)->plan(&wish, client_ops_userdata(client)));
    else
        wait_for_reload(&wish, call, client);
}

static void refuse_name(struct client *client, const char *error, const char *name)
{
    json_auto_t *parameters = json_pack("{s:s}", "name", name);
    client_error(client, error, parameters);
}

static void refuse_job(struct client *client, int r, const char *name)
{
    json_auto_t *busy = json_pack("{s:s}", "reason",
                                  "too many starts, stops and restarts are under way already");
    switch (-r) {
    case ENOENT:
        refuse_name(client, SERVICE_ERROR_NO_PROGRAM, name);
        break;
    case ESRCH:
        refuse_name(client, SERVICE_ERROR_NO_WORKER, name);
        break;
    case ESHUTDOWN:
        client_error(client, SERVICE_ERROR_SHUTTING_DOWN, NULL);
        break;
    case EBUSY:
        client_error(client, SERVICE_ERROR_FAILED, busy);
        break;
    default:
        reply_failed(client, r);
    }
}

static void run_job(enum control_verb verb, const struct varlink_call *call, struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *unknown = "";
    uint64_t id = 0;
    int r = read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_job job = {
        .verb = verb,
        .force = json_is_true(json_object_get(call->parameters, "force")),
        .names = names};
    if (r == 0)
        r = client_ops(client)->job(&job, client_peer(client), client_ops_userdata(client), &id,
                                    &unknown);
    if (r < 0) {
        refuse_job(client, r, unknown);
        return;
    }
    json_auto_t *accepted = json_pack("{s:I}", "id", (json_int_t)id);
    bool wait = !json_is_false(json_object_get(call->parameters, "wait"));
    if (!wait || call->more)
        client_reply(client, accepted, wait);
    if (wait)
        client_wait_for_job(client, id, call->more);
}

static void handle_start(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    run_job(CONTROL_START, call, client);
}

static void handle_stop(UNUSED const struct command *command, const struct varlink_call *call,
                        struct client *client)
{
    run_job(CONTROL_STOP, call, client);
}

static void handle_restart(UNUSED const struct command *command, const struct varlink_call *call,
                           struct client *client)
{
    run_job(CONTROL_RESTART, call, client);
}

static void handle_undo(UNUSED const struct command *command, const struct varlink_call *call,
                        struct client *client)
{
    const struct control_reload wish = {.undo = true};
    wait_for_reload(&wish, call, client);
}

static void refuse_scale(struct client *client, int r, const char *program)
{
    char range[64];
    (void)snprintf(range, sizeof(range), "the number of workers is from 1 to %d",
                   CONFIG_WORKERS_MAX);
    json_auto_t *parameters = json_pack(
        "{s:s}", "reason",
        r == -ERANGE ? range
                     : "a reload is about, which sets the number of workers itself; try again "
                       "when it has ended");
    switch (-r) {
    case ENOENT:
        refuse_name(client, SERVICE_ERROR_NO_PROGRAM, program);
        break;
    case EBUSY:
    case ERANGE:
        client_error(client, SERVICE_ERROR_FAILED, parameters);
        break;
    case ESHUTDOWN:
        client_error(client, SERVICE_ERROR_SHUTTING_DOWN, NULL);
        break;
    default:
        reply_failed(client, r);
    }
}

static void handle_scale(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    const char *program = json_string_value(json_object_get(call->parameters, "program"));
    json_t *workers = json_object_get(call->parameters, "workers"),
           *by = json_object_get(call->parameters, "by");
    uint64_t id = 0;
    if (json_is_integer(workers) == json_is_integer(by)) {
        json_auto_t *parameters = json_pack("{s:s}", "parameter", by ? "by" : "workers");
        client_error(client, VARLINK_ERROR_INVALID_PARAMETER, parameters);
        return;
    }
    int r = client_ops(client)->scale(program, json_is_integer(by),
                                      json_integer_value(json_is_integer(by) ? by : workers),
                                      client_peer(client), client_ops_userdata(client), &id);
    if (r < 0)
        refuse_scale(client, r, program);
    else
        client_wait_for_reload(client, id, false);
}

static void handle_check_config(UNUSED const struct command *command,
                                UNUSED const struct varlink_call *call, struct client *client)
{
    const struct control_reload wish = {0};
    reply_or_fail(client, client_ops(client)->plan(&wish, client_ops_userdata(client)));
}

static void handle_subscribe(UNUSED const struct command *command, const struct varlink_call *call,
                             struct client *client)
{
    json_t *types = json_object_get(call->parameters, "types"), *type;
    unsigned set = json_is_array(types) ? 0 : SERVICE_EVENTS_ALL;
    size_t i;
    json_array_foreach(types, i, type)
    {
        unsigned bit = service_event_type(json_string_value(type));
        if (bit == 0) {
            json_auto_t *parameters = json_pack("{s:s}", "parameter", "types");
            client_error(client, VARLINK_ERROR_INVALID_PARAMETER, parameters);
            return;
        }
        set |= bit;
    }
    client_reply(client, NULL, true);
    client_subscribe(client, set);
}

static void handle_shutdown(UNUSED const struct command *command, const struct varlink_call *call,
                            struct client *client)
{
    client_reply(client, NULL, false);
    bool force = json_is_true(json_object_get(call->parameters, "force"));
    client_ops(client)->shutdown(force, client_ops_userdata(client));
}

static void handle_version(UNUSED const struct command *command,
                           UNUSED const struct varlink_call *call, struct client *client)
{
    reply(client, json_pack("{s:s}", "version", RELOADER_VERSION));
}

static const struct command varlink_commands[] = {
    {
        .name = "GetInfo",
        .help = "Who serves here, and which interfaces.",
        .reply =
            "(vendor: string, product: string, version: string, url: string, interfaces: []string)",
        .handle = handle_get_info,
    },
    {
        .name = "GetInterfaceDescription",
        .help = "The description of an interface, in Varlink's language.",
        .parameters = {{.name = "interface", .type = COMMAND_STRING, .required = true}},
        .reply = "(description: string)",
        .handle = handle_get_interface_description,
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
    "  reason: ?string,\n  duration_usec: ?int,\n  programs: ?[]object,\n  plan: ?object,\n"
    "  sequence: ?int,\n  event: ?object\n)";

static const char job_reply[] = "(id: int, results: ?[]JobResult, sequence: ?int, event: ?object)";

static const struct command control_commands[] = {
    {
        .name = "Status",
        .help = "The running state: the master, its last or running reload, programs with their "
                "slots and workers, listeners.",
        .reply =
            "(master: Master, reload: ?ReloadState, programs: []Program, listeners: []Listener)",
        .handle = handle_status,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_reload,
    },
    {
        .name = "Undo",
        .help = "Goes back to what was committed before the last reload that committed: its "
                "configuration, directory and\n"
                "environment. It is a reload itself, with an id and a result, and can be undone. "
                "The file is not read.",
        .parameters = {{.name = "wait", .type = COMMAND_BOOL}},
        .reply = reload_reply,
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_undo,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_start,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_stop,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_restart,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_scale,
    },
    {
        .name = "History",
        .help = "How the last 100 reloads ended, the oldest first.",
        .reply = "(reloads: []PastReload)",
        .handle = handle_history,
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
        .role = CONTROL_ROLE_OPERATOR,
        .handle = methods_handle_logs,
    },
    {
        .name = "CheckConfig",
        .help = "What a reload of everything would do now: would_commit with the plan, or refused "
                "with the reason.",
        .reply = "(result: (would_commit, refused), reason: ?string, plan: ?object)",
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_check_config,
    },
    {
        .name = "Subscribe",
        .help = "Events from now on, of these types or of all: master, reload, rollout, worker, "
                "job, message, log, socket.\n"
                "The first reply has neither member: it says that nothing is missed from here on. "
                "The last one, when the\n"
                "master leaves, has neither. An event has its type, time_usec (of the real clock) "
                "and its own fields.",
        .parameters = {{.name = "types", .type = COMMAND_STRINGS}},
        .reply = "(sequence: ?int, event: ?object)",
        .streams = true,
        .handle = handle_subscribe,
    },
    {
        .name = "Shutdown",
        .help = "Ends the master: gracefully, every worker drains first; with `force` at once. "
                "Replies before it begins;\n"
                "the connection ends when the master does.",
        .parameters = {{.name = "force", .type = COMMAND_BOOL}},
        .reply = "()",
        .role = CONTROL_ROLE_OPERATOR,
        .handle = handle_shutdown,
    },
    {
        .name = "Version",
        .help = "The version of the running master.",
        .reply = "(version: string)",
        .handle = handle_version,
    },
    {.name = "Signal"},
    {.name = "Send"},
    {.name = "Attach"},
    {.name = "Sockets"},
    {.name = "Why"},
    {.name = "Upgrade"},
};

static const char control_types[] =
    "\n# logger: reloader-log, which writes workers' output, and how often it died. prober: likewise\n"
    "# reloader-probe, which checks them.\n"
    "# loop_delay: the longest that something had to wait for its turn in the last minute, in "
    "microseconds.\n"
    "type Master (pid: int, version: string, state: string, uptime_usec: int, loop_delay: int, "
    "logger: ?(pid: int, died: int), prober: ?(pid: int, died: int))\n"
    "\ntype ReloadState (id: int, state: string, result: ?string, reason: ?string)\n"
    "\n# by: the signal, or control; also: how many more asked before it began; phases: "
    "microseconds "
    "spent in each.\n"
    "type PastReload (\n  id: int,\n  undo: bool,\n  kind: (read, current, restart, scale, "
    "undo),\n  "
    "asked: "
    "object,\n"
    "  result: (committed, rolled_back, superseded, degraded, refused),\n  reason: ?string,\n"
    "  cause: (by: string, pid: ?int, uid: ?int, path: ?string),\n  also: int,\n  began_usec: "
    "int,\n"
    "  duration_usec: int,\n  phases: [string]int,\n  programs: []object\n)\n"
    "\n# A process. since_usec is when its state began, by the real clock; mixed: it is made of\n"
    "# something else than its generation began with (a program file replaced, a directory "
    "removed).\n"
    "type Worker (pid: int, generation: int, state: string, text: ?string, since_usec: int, "
    "restarts: int, mixed: bool,\n"
    "health: ?(state: (unknown, healthy, unhealthy), failures: int, text: ?string))\n"
    "\ntype Slot (slot: int, name: string, state: string, workers: []Worker)\n"
    "\n# output: what its workers printed that could not be written, and what reloader-log had read\n"
    "# when it was killed.\n"
    "type Program (name: string, state: string, generation: int, workers: int, ready: int, "
    "slots: []Slot, output: ?(dropped_lines: int, dropped_bytes: int, lost_bytes: int), "
    "health: ?string)\n"
    "\n# redirected: stderr goes where stdout goes. path: of a file.\n"
    "type Output (program: string, slot: int, name: ?string, stream: string, to: (inherit, null, "
    "file, journal, syslog, log), redirected: bool, path: ?string)\n"
    "\n# text: whole lines, each with its end; missed: how many were left out before them, as they "
    "were too many.\n"
    "type Lines (program: string, name: string, slot: int, pid: int, generation: int, stream: "
    "string, text: string, missed: ?int)\n"
    "\n# slot: where one slot alone was asked for.\n"
    "type JobResult (program: string, slot: ?int, result: (started, already_started, exited, "
    "stopped, already_stopped, restarted, superseded, failed), reason: ?string)\n"
    "\n# queue and backlog: how many wait to be accepted and how many may, of UDP in bytes; drops: for\n"
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
    .name = SERVICE_INTERFACE,
    .help = "Control of a running reloader.",
    .types = control_types,
    .errors = control_errors,
    .commands = control_commands,
    .n_commands = ARRAY_SIZE(control_commands),
};

const struct command_interface *const methods_interfaces[] = {&varlink_interface,
                                                              &control_interface};
const size_t methods_n_interfaces = ARRAY_SIZE(methods_interfaces);
