#include "master/release.h"

#include <stdlib.h>

void release_clear(struct release *release)
{
    for (size_t i = 0; release->listeners && release->listeners[i]; i++)
        (void)listener_unref(release->listeners[i]);
    free(release->listeners);
    if (release->prepared)
        release->discard(release->prepared);
    (void)config_unref(release->config);
    *release = (struct release){0};
}

struct listener *release_listener(const struct release *release, const struct config_socket *socket)
{
    for (size_t i = 0; release->config && release->listeners && i < release->config->n_sockets; i++)
        if (release->config->sockets[i] == socket)
            return release->listeners[i];
    return NULL;
}

size_t release_wants(const struct release *release, const struct listener *listener)
{
    size_t wanted = 0;
    for (size_t i = 0; release->listeners && release->listeners[i]; i++) {
        const struct config_socket *socket = release->config->sockets[i];
        if (release->listeners[i] != listener)
            continue;
        const struct config_program *user = config_find_user(release->config, socket);
        size_t n = config_socket_is_of_slots(socket) && user ? user->workers : 1;
        wanted = MAX(wanted, n);
    }
    return wanted;
}

bool release_keeps(const struct release *release, const struct listener_socket *socket)
{
    for (size_t i = 0; release->listeners && release->listeners[i]; i++) {
        const struct listener *listener = release->listeners[i];
        size_t n = MIN(listener->n_sockets, release_wants(release, listener));
        for (size_t j = 0; j < n; j++)
            if (listener->sockets[j] == socket)
                return true;
    }
    return false;
}
