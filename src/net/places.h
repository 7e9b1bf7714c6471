/* places.h - where anybody listens, by which a connection that a server accepted is told from one that a process made itself. */
#pragma once

#include "net/diag.h"

#define PLACES_MAX ((size_t)1 << 20)

struct places {
    struct diag_place *all; /* sorted */
    size_t n, allocated;
};

/* TCP and Unix sockets that listen now. 0 or -errno: -EFBIG if they are more than PLACES_MAX. places_clear() also after a failure. */
int places_read(struct places *places);
void places_clear(struct places *places);

/* Does somebody listen there, or at that port of every address? */
bool places_have(const struct places *places, const struct diag_place *place);
