/*
 * plain.h - the paths for those who drive their daemon by curl: each answers {"result":…} or {"error":"…"}, and nothing else.
 *
 *   GET  /help            {"result":{"/help":"…",…}}
 *   GET  /stats, /info    plain-stats.h
 *   GET or POST /reload, /restart, /quit    {"result":"accepted"}, as soon as the master has taken it
 *
 * With ?wait=1 a reload is waited for: 200 {"result":"committed"}, or {"error":reason} with 409 if the configuration is refused or a newer reload
 * took its place, and 500 if it was rolled back, or even that failed (degraded). A client that leaves does not end the reload.
 * /quit is graceful: the gateway, which is the last to go, answers before.
 * Other errors: 400 a `wait` that is neither 0 nor 1 · 503 there is no master any more, it shuts down, or is too busy · 504 it does not answer.
 */
#pragma once

#include "gateway/gateway.h"

void plain_help(struct http_request *request, struct gateway *gateway);
void plain_stats(struct http_request *request, struct gateway *gateway);
void plain_reload(struct http_request *request, struct gateway *gateway);
void plain_quit(struct http_request *request, struct gateway *gateway);

/* What one answers, as pure functions: the status, and in *ret_text (malloc-ed, NULL: no memory) the word of a result or the reason of an error. */
unsigned plain_judge_reload(json_t *parameters, char **ret_text);
unsigned plain_judge_error(const struct link_reply *reply, char **ret_text);
