/* What socket options need beyond numbers and truths: sizes and names of network interfaces. */
#include "config/values.h"

#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int parse_size_value(const struct key *key, const char *text, void *field)
{
    uint64_t size;
    int r = parse_size(text, &size);
    if (r == 0 && (size < key->min || size > key->max))
        r = -ERANGE;
    if (r == 0)
        *(uint64_t *)field = size;
    return r;
}

/* 0 is what it is where nothing was set. */
static bool format_size(const struct key *key UNUSED, const void *field,
                        char buffer[VALUE_TEXT_SIZE])
{
    uint64_t size = *(const uint64_t *)field;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%" PRIu64, size);
    return size > 0;
}

static void expect_size(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a size from %" PRIu64 "K to %" PRIu64 "M, as 512K",
                   key->min >> 10, key->max >> 20);
}

const struct value_type type_size = {
    .label = "size",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_size_value,
    .format = format_size,
    .expect = expect_size,
};

/* As the kernel's dev_valid_name(). */
static int parse_interface(const struct key *key UNUSED, const char *text, void *field)
{
    size_t length = strlen(text);
    if (length == 0 || length >= CONFIG_INTERFACE_SIZE || strcmp(text, ".") == 0 ||
        strcmp(text, "..") == 0)
        return -EINVAL;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '/' || *c == ':' || *c == 0x7f)
            return -EINVAL;
    memcpy(field, text, length + 1);
    return 0;
}

static bool format_interface(const struct key *key UNUSED, const void *field,
                             char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%s", (const char *)field);
    return *buffer != '\0';
}

static void expect_interface(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE,
                   "the name of a network interface, as eth0 (at most %d bytes)",
                   CONFIG_INTERFACE_SIZE - 1);
}

const struct value_type type_interface = {
    .label = "interface",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_interface,
    .format = format_interface,
    .expect = expect_interface,
};
