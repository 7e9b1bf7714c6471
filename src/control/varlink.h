/*
 * varlink.h - the messages of Varlink (https://varlink.org): JSON objects, each ended by a NUL byte. Pure.
 *
 *   call   {"method":"io.reloader.Control.Status","parameters":{},"oneway":false,"more":false,"upgrade":false}
 *   reply  {"parameters":{},"continues":true}   or   {"error":"org.varlink.service.MethodNotFound","parameters":{}}
 */
#pragma once

#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>

#define VARLINK_SERVICE "org.varlink.service"

#define VARLINK_ERROR_INTERFACE_NOT_FOUND    VARLINK_SERVICE ".InterfaceNotFound" /* (interface) */
#define VARLINK_ERROR_METHOD_NOT_FOUND       VARLINK_SERVICE ".MethodNotFound"    /* (method) */
#define VARLINK_ERROR_METHOD_NOT_IMPLEMENTED VARLINK_SERVICE ".MethodNotImplemented" /* (method) */
#define VARLINK_ERROR_INVALID_PARAMETER      VARLINK_SERVICE ".InvalidParameter" /* (parameter) */
#define VARLINK_ERROR_EXPECTED_MORE          VARLINK_SERVICE ".ExpectedMore"     /* () */

struct varlink_call {
    json_t *message;    /* owns what follows */
    const char *method; /* with its interface, "a.b.Method"; never empty */
    json_t *parameters; /* an object, never NULL */
    bool oneway, more, upgrade;
};

/*
 * Reads a frame (without its NUL). 0, or -EBADMSG if it is no call: no JSON object, a doubled key, no method,
 * a member of the wrong type. Members that Varlink does not know are ignored.
 */
int varlink_call_parse(const char *frame, size_t size, struct varlink_call *ret);
void varlink_call_clear(struct varlink_call *call);
#define CLEANUP_VARLINK_CALL CLEANUP(varlink_call_clear)

/* The method's name without its interface; *ret_interface_length is how long that is, 0 if there is none. Borrowed. */
const char *varlink_method_name(const char *method, size_t *ret_interface_length);

/*
 * The text of a reply, malloc-ed; *ret_size counts its NUL, which ends the message. `parameters` are borrowed
 * and may be NULL for none. 0 or -ENOMEM.
 */
int varlink_encode_reply(json_t *parameters, bool continues, char **ret, size_t *ret_size);
int varlink_encode_error(const char *error, json_t *parameters, char **ret, size_t *ret_size);
