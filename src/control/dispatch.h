/* dispatch.h - from a call to its handler. */
#pragma once

#include "control/client.h"

/* Runs the method's handler, or answers with the error that says why not. */
void dispatch(struct client *client, const struct varlink_call *call);
