/*
 * probes.h - for those who only ask whether all is well, a kubelet or a load balancer.
 *
 *   GET /healthz   200 {"result":"ok"}: the gateway and its master are alive: it answered. 503 {"error":reason}
 *   GET /readyz    200 {"result":"ready"}: all that should run is ready; 503 {"error":reason} if not, and while the master starts or stops, or
 *                  the gateway drains
 *
 * What is stopped by wish, or has done its work, should not run. A program that is being reloaded is ready while one of its workers is: that some are
 * replaced is what `max_unavailable` allows.
 */
#pragma once

#include "gateway/gateway.h"

void probes_healthz(struct http_request *request, struct gateway *gateway);
void probes_readyz(struct http_request *request, struct gateway *gateway);

/* Of the reply to Status: NULL if all is ready, else why not (malloc-ed); *ret_ready tells the one from the other when memory is short. Pure. */
char *probes_judge(json_t *status, bool *ret_ready);
