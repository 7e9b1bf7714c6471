/* What a worker may write to its notify socket: one datagram. */
#include "worker/notify.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notify_message message;
    char *datagram = malloc(size + 1);
    if (!datagram)
        abort();
    memcpy(datagram, data, size);
    datagram[size] = '\0';
    notify_parse(datagram, &message);
    if (message.status && (message.status < datagram || message.status > datagram + size))
        abort();
    free(datagram);
    return 0;
}
