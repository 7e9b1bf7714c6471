/* listener-view.h - listeners as Status and Sockets tell of them. */
#pragma once

#include "net/listener.h"

#include <jansson.h>

/* Members of Varlink's type Listener; NULL when memory is short. */
json_t *listener_view(const struct listener *listener, const struct listener_socket *socket);
/* Sockets' op, as control.h describes it. */
json_t *listener_view_all(void *userdata);
