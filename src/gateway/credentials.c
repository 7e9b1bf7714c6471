#include "gateway/credentials.h"

#include <errno.h>
#include <nettle/base64.h>

#define SCHEME            "Basic"
#define BASE64_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* The base64 behind the scheme, without blanks around it; NULL: it is another scheme. */
static const char *find_token(const char *header, size_t *ret_size)
{
    size_t n = strlen(SCHEME);
    if (strncasecmp(header, SCHEME, n) != 0 || header[n] != ' ')
        return NULL;
    const char *token = header + n + strspn(header + n, " ");
    size_t size = strspn(token, BASE64_CHARACTERS);
    if (token[size + strspn(token + size, " \t")] != '\0')
        return NULL;
    *ret_size = size;
    return token;
}

int credentials_parse(const char *header, struct credentials *ret)
{
    struct base64_decode_ctx context;
    size_t size, n = sizeof(ret->buffer) - 1;
    if (strnlen(header, CREDENTIALS_HEADER_MAX) == CREDENTIALS_HEADER_MAX)
        return -EINVAL;
    const char *token = find_token(header, &size);
    if (!token)
        return -EINVAL;
    base64_decode_init(&context);
    if (!base64_decode_update(&context, &n, (uint8_t *)ret->buffer, size, token) ||
        !base64_decode_final(&context))
        return -EINVAL;
    ret->buffer[n] = '\0';
    char *colon = strchr(ret->buffer, ':');
    if (!colon || strlen(ret->buffer) != n)
        return -EINVAL;
    *colon = '\0';
    ret->user = ret->buffer;
    ret->password = colon + 1;
    return 0;
}
