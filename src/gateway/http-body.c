/* Bodies that many answers share. libmicrohttpd asks for them piece by piece, so none of the answers has a copy. */
#include "gateway/http-internal.h"

#include <errno.h>
#include <string.h>

/* What is copied at a time. */
#define BLOCK ((size_t)32 * 1024)

struct http_body {
    unsigned refs;
    char *data, *packed; /* packed: NULL unless somebody accepted it, and it was worth it */
    size_t size, packed_size;
    bool was_packed; /* or would have been */
    void (*freed)(void *userdata);
    void *userdata;
};

int http_body_new(char *data, size_t size, void (*freed)(void *userdata), void *userdata,
                  struct http_body **ret)
{
    struct http_body *body = malloc(sizeof(*body));
    if (!body)
        return -ENOMEM;
    *body = (struct http_body){
        .refs = 1, .data = data, .size = size, .freed = freed, .userdata = userdata};
    *ret = body;
    return 0;
}

struct http_body *http_body_ref(struct http_body *body)
{
    if (body)
        body->refs++;
    return body;
}

struct http_body *http_body_unref(struct http_body *body)
{
    if (!body || --body->refs > 0)
        return NULL;
    if (body->freed)
        body->freed(body->userdata);
    free(body->data);
    free(body->packed);
    free(body);
    return NULL;
}

static ssize_t read_packed(void *userdata, uint64_t position, char *buffer, size_t most)
{
    const struct http_body *body = userdata;
    size_t n = MIN(most, body->packed_size - (size_t)position);
    memcpy(buffer, body->packed + position, n);
    return (ssize_t)n;
}

static ssize_t read_body(void *userdata, uint64_t position, char *buffer, size_t most)
{
    const struct http_body *body = userdata;
    size_t n = MIN(most, body->size - (size_t)position);
    memcpy(buffer, body->data + position, n);
    return (ssize_t)n;
}

static void free_body(void *userdata)
{
    (void)http_body_unref(userdata);
}

/* Once for all who accept it. */
static bool pack(struct http_request *request, struct http_body *body)
{
    if (!http_gzip_is_wanted(request, body->size))
        return false;
    if (!body->was_packed)
        (void)http_gzip(body->data, body->size, &body->packed, &body->packed_size);
    body->was_packed = true;
    return body->packed && http_try_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
}

void http_reply_body(struct http_request *request, unsigned status, const char *type,
                     struct http_body *body)
{
    http_add_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    bool is_packed = pack(request, body);
    struct MHD_Response *response = MHD_create_response_from_callback(
        is_packed ? body->packed_size : body->size, BLOCK, is_packed ? read_packed : read_body,
        http_body_ref(body), free_body);
    if (!response)
        (void)http_body_unref(body);
    request->gone = NULL;
    http_reply_with(request, status, response, HTTP_ANSWERED);
}
