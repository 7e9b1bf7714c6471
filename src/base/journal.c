#include "base/journal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

bool journal_is_behind(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    char end;
    if (!text || sscanf(text, "%ju:%ju%c", &device, &inode, &end) != 2 || fstat(fd, &st) < 0)
        return false;
    return st.st_dev == device && st.st_ino == inode;
}

int journal_open(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

/* NAME=value, or where a newline is in it NAME, the length in 8 bytes (little endian), and the value. */
static size_t put_field(const struct journal_field *field, char *buffer, size_t size)
{
    size_t name = strlen(field->name), value = strlen(field->value);
    bool several = strchr(field->value, '\n') != NULL;
    uint64_t length = htole64((uint64_t)value);
    size_t n = name + 1 + (several ? sizeof(length) : 0) + value + 1;
    if (n > size)
        return 0;
    memcpy(buffer, field->name, name);
    buffer += name;
    *buffer++ = several ? '\n' : '=';
    if (several) {
        memcpy(buffer, &length, sizeof(length));
        buffer += sizeof(length);
    }
    memcpy(buffer, field->value, value);
    buffer[value] = '\n';
    return n;
}

size_t journal_serialize(const struct journal_field *fields, size_t n, char *buffer, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        size_t added = put_field(&fields[i], buffer + length, size - length);
        if (added == 0)
            return 0;
        length += added;
    }
    return length;
}

int journal_send(int fd, const char *path, const char *record, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    ssize_t n = sendto(fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
                       sizeof(address));
    if (n >= 0)
        return 0;
    return errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}
