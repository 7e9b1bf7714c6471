/*
 * problem.h - the errors of the command table, and some of ours, as HTTP tells them: problem details (RFC 9457). Pure.
 *
 * The type of one is where its description is: /v1/openapi.json#/components/schemas/NoSuchProgram. So it can be compared as a whole, and looked up.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"
#define PROBLEM_TYPE_PREFIX  "/v1/openapi.json#/components/schemas/"

struct problem_kind {
    const char *name; /* of the error, without its interface */
    bool ours;        /* none of the table: the gateway's own */
    unsigned status;
    const char *title;
    const char *before, *after; /* the detail, around the value of the error's `member` */
    const char *member;         /* a string; NULL: the detail is `before` alone */
};

extern const struct problem_kind problem_kinds[];
extern const size_t problem_n_kinds;

/* Of an error with its interface or without, or of ours, or NULL. */
const struct problem_kind *problem_find(const char *error);

/* What is answered: type, title, status, detail and the error's own members (borrowed, may be NULL). NULL when memory is short. */
json_t *problem_new(const struct problem_kind *kind, json_t *members);
