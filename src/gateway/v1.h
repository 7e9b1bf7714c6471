/*
 * v1.h - /v1/…: the methods of the control socket over HTTP.
 *
 *   v1-command.c  what a request asks for      v1.c       whether it may, and the call
 *   problem.c     what errors become           v1-call.c  its answer, or its stream
 */
#pragma once

struct gateway;
struct http_request;

void v1_handle(struct http_request *request, struct gateway *gateway);
/* The description of all paths, made at start. */
void v1_openapi(struct http_request *request, struct gateway *gateway);
