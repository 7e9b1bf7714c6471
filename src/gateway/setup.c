#include "gateway/setup.h"

#include "client/reloader.h"
#include "gateway/http.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LISTENER_CONTROL  "control"
#define LISTENER_PASSWORD "password"

void setup_clear(struct setup *setup)
{
    free(setup->username);
    *setup = (struct setup){.is_told = false};
}

static unsigned public_from_json(const json_t *list)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        {"healthz", HTTP_PUBLIC_HEALTHZ},
        {"readyz", HTTP_PUBLIC_READYZ},
        {"metrics", HTTP_PUBLIC_METRICS},
    };
    unsigned public = 0;
    size_t index;
    const json_t *item;
    json_array_foreach(list, index,
                       item) for (size_t i = 0; i < ARRAY_SIZE(known);
                                  i++) if (json_is_string(item) &&
                                           strcmp(json_string_value(item), known[i].name) ==
                                               0) public |= known[i].bit;
    return public;
}

static int take(struct setup *setup, const json_t *message)
{
    const char *command = json_string_value(json_object_get(message, "cmd"));
    if (setup->is_told || !command || strcmp(command, "gateway") != 0)
        return -ENOMSG;
    const json_t *username = json_object_get(message, "username");
    if (username && !json_is_string(username))
        return -EBADMSG;
    if (username) {
        setup->username = strdup(json_string_value(username));
        if (!setup->username)
            return -ENOMEM;
    }
    setup->public = public_from_json(json_object_get(message, "public"));
    setup->has_password = json_is_true(json_object_get(message, "password"));
    setup->is_told = true;
    /* Asking for a name and no password would let everybody in. */
    return setup->username && !setup->has_password ? -EBADMSG : 0;
}

int setup_hear(struct setup *setup, const char *text, size_t length)
{
    json_t *message = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    int r = take(setup, message);
    json_decref(message);
    return r;
}

bool setup_is_complete(const struct setup *setup, const struct reloader *reloader)
{
    return setup->is_told && reloader_listener_by_name(reloader, LISTENER_CONTROL) >= 0 &&
           (!setup->has_password || reloader_listener_by_name(reloader, LISTENER_PASSWORD) >= 0);
}

int setup_read_password(int fd, char **ret_password)
{
    CLEANUP_FREE char *text = malloc(SETUP_PASSWORD_MAX + 1);
    size_t size = 0;
    if (!text)
        return -ENOMEM;
    for (;;) {
        ssize_t n = pread(fd, text + size, SETUP_PASSWORD_MAX + 1 - size, (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > SETUP_PASSWORD_MAX)
            return -EFBIG;
    }
    if (memchr(text, '\0', size))
        return -EBADMSG;
    if (size > 0 && text[size - 1] == '\n')
        size--;
    if (size > 0 && text[size - 1] == '\r')
        size--;
    text[size] = '\0';
    *ret_password = TAKE_PTR(text);
    return 0;
}
