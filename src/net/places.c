#include "net/places.h"

#include "base/macros.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct diag_place));
}

static int make_room(struct places *places)
{
    if (places->n < places->allocated)
        return 0;
    if (places->n >= PLACES_MAX)
        return -EFBIG;
    size_t wanted = MAX(places->allocated * 2, (size_t)64);
    struct diag_place *larger = reallocarray(places->all, wanted, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    places->all = larger;
    places->allocated = wanted;
    return 0;
}

static int take_place(const struct diag_socket *socket, void *userdata)
{
    struct places *places = userdata;
    int r = socket->local.family == 0 ? 0 : make_room(places);
    if (r == 0 && socket->local.family != 0)
        places->all[places->n++] = socket->local;
    return r;
}

int places_read(struct places *places)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
        const struct diag_query query = {
            .family = families[i],
            .protocol = families[i] == AF_UNIX ? 0 : IPPROTO_TCP,
            .states = 1u << TCP_LISTEN,
        };
        r = diag_ask(&query, take_place, places);
    }
    if (r == 0 && places->n > 0)
        qsort(places->all, places->n, sizeof(*places->all), compare);
    return r;
}

void places_clear(struct places *places)
{
    free(places->all);
    *places = (struct places){0};
}

static bool is_place(const struct places *places, const struct diag_place *place)
{
    return places->n > 0 && bsearch(place, places->all, places->n, sizeof(*place), compare);
}

bool places_have(const struct places *places, const struct diag_place *place)
{
    const struct diag_place wildcard = {.family = place->family, .detail = place->detail};
    return is_place(places, place) || (place->family != AF_UNIX && is_place(places, &wildcard));
}
