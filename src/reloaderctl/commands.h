/* commands.h - what a command gets and returns. */
#pragma once

#include "reloaderctl/client.h"
#include "reloaderctl/field.h"

#include <stdbool.h>

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NO_MASTER = 3,
    EXIT_CODE_NOT_READY = 4,
};

struct invocation {
    const char *socket; /* as named by the user, or NULL: search */
    bool json, no_wait, force, quiet, dry_run, pss, follow, group, watch, all;
    uint64_t interval_usec; /* of top */
    uint64_t count;         /* how often, of tail how many lines, of why how many connections; 0: it was not said */
    char **arguments;       /* behind the command's name; NULL-terminated */
    char **types, **programs, **commands; /* of events; as often as each was given */
    const char *since;                    /* likewise; NULL: it was not said */
    bool in_shell;                        /* of ours: somebody types one command after the other */
};

int command_status(const struct invocation *invocation);
int command_reload(const struct invocation *invocation);
int command_update(const struct invocation *invocation);
int command_check(const struct invocation *invocation);
int command_start(const struct invocation *invocation);
int command_stop(const struct invocation *invocation);
int command_restart(const struct invocation *invocation);
int command_scale(const struct invocation *invocation);
int command_undo(const struct invocation *invocation);
int command_history(const struct invocation *invocation);
int command_events(const struct invocation *invocation);
int command_send(const struct invocation *invocation);
int command_shutdown(const struct invocation *invocation);
int command_top(const struct invocation *invocation);
int command_why(const struct invocation *invocation);
int command_fg(const struct invocation *invocation);
int command_tail(const struct invocation *invocation);
int command_version(const struct invocation *invocation);
int command_signal(const struct invocation *invocation);
int command_sockets(const struct invocation *invocation);
int command_pid(const struct invocation *invocation);
int command_shell(const struct invocation *invocation);
int command_exit(const struct invocation *invocation);
int command_completion(const struct invocation *invocation);
int command_help(const struct invocation *invocation);

/* "reloaderctl: …" on stderr; or a line of JSON, {"message": …} and of an error of the master's its name as "error". */
void complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* That nobody is called so; returns the exit code. */
int complain_of_name(const char *name);
/* For the rest of this process. */
void complain_as_json(bool json);

/* Connects, or complains and returns the exit code. */
int connect_or_complain(const struct invocation *invocation, struct client *ret);
/* Says why a call failed, by r of client_call() and client_receive() or by the error that was replied; the exit code. */
int complain_of_connection(const struct client *client, int r);
int complain_of_error(const struct client_reply *reply);
/* Calls and receives one reply within CLIENT_ANSWER_USEC; complains, and returns the exit code, 0 for a good one. */
int ask(struct client *client, const char *method, json_t *parameters, bool more,
        struct client_reply *ret);

/* The names as a list for the master, or complains and returns the exit code. */
int names_from_arguments(char *const *arguments, json_t **ret);

/* Calls a method that tells what it would do, and shows that. `parameters` is taken over. */
int show_plan(const struct invocation *invocation, const char *method, json_t *parameters);

/* Prints as one line, or indented. */
void print_json(json_t *value, bool indented);
