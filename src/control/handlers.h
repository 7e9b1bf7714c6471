/*
 * handlers.h - what the methods do, for dispatch alone. A handler gets parameters that were checked against its row,
 * and answers or leaves its call waiting (client.h).
 */
#pragma once

#include "control/command.h"

struct client;

/* Of a method, or NULL: not in this version. */
struct handler {
    void (*handle)(const struct command *command, const struct varlink_call *call,
                   struct client *client);
};
const struct handler *handler_of(unsigned method);

void methods_handle_get_info(const struct command *command, const struct varlink_call *call,
                             struct client *client);
void methods_handle_get_interface_description(const struct command *command,
                                              const struct varlink_call *call,
                                              struct client *client);
void methods_handle_status(const struct command *command, const struct varlink_call *call,
                           struct client *client);
void methods_handle_reload(const struct command *command, const struct varlink_call *call,
                           struct client *client);
void methods_handle_undo(const struct command *command, const struct varlink_call *call,
                         struct client *client);
void methods_handle_start(const struct command *command, const struct varlink_call *call,
                          struct client *client);
void methods_handle_stop(const struct command *command, const struct varlink_call *call,
                         struct client *client);
void methods_handle_restart(const struct command *command, const struct varlink_call *call,
                            struct client *client);
void methods_handle_scale(const struct command *command, const struct varlink_call *call,
                          struct client *client);
void methods_handle_history(const struct command *command, const struct varlink_call *call,
                            struct client *client);
void methods_handle_logs(const struct command *command, const struct varlink_call *call,
                         struct client *client);
void methods_handle_why(const struct command *command, const struct varlink_call *call,
                        struct client *client);
void methods_handle_attach(const struct command *command, const struct varlink_call *call,
                           struct client *client);
void methods_handle_check_config(const struct command *command, const struct varlink_call *call,
                                 struct client *client);
void methods_handle_subscribe(const struct command *command, const struct varlink_call *call,
                              struct client *client);
void methods_handle_send(const struct command *command, const struct varlink_call *call,
                         struct client *client);
void methods_handle_shutdown(const struct command *command, const struct varlink_call *call,
                             struct client *client);
void methods_handle_connect(const struct command *command, const struct varlink_call *call,
                            struct client *client);
void methods_handle_version(const struct command *command, const struct varlink_call *call,
                            struct client *client);
void methods_handle_signal(const struct command *command, const struct varlink_call *call,
                           struct client *client);
void methods_handle_sockets(const struct command *command, const struct varlink_call *call,
                            struct client *client);
