/* Any text is either refused with a reason, or an address whose canonical text means the same again. */
#include "base/address.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_round_trip(const struct address *address)
{
    struct address again;
    const char *reason = NULL;
    CLEANUP_FREE char *text = address_to_text(address), *key = address_to_starter_key(address);

    check(text && key);
    check(address_parse(text, &again, &reason) == 0);
    check(address_equal(address, &again));
    CLEANUP_FREE char *canonical = address_to_text(&again);
    check(canonical && strcmp(text, canonical) == 0);
    check(address->length <= sizeof(address->socket));
    const char *path = address_unix_path(address);
    check(!path || (path[0] == '/' && strcmp(path, key) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = malloc(size + 1);
    const char *reason = NULL;
    struct address address;

    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (address_parse(text, &address, &reason) == 0)
        check_round_trip(&address);
    else
        check(reason && *reason);
    return 0;
}
