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
