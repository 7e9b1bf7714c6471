/*
 * libnss_slow.so.2 - a directory service that knows carol, and says so only when somebody has opened the FIFO $NSS_SLOW_GATE for writing.
 * For tests, by way of "passwd: files slow" in nsswitch.conf(5) and LD_LIBRARY_PATH.
 */
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAROLS_UID 4711
#define CAROLS_GID 4712

enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *ret, char *buffer,
                                     size_t size, int *ret_error);

enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *ret, char *buffer,
                                     size_t size, int *ret_error)
{
    static const char text[] = "carol\0/home/carol\0/bin/sh";
    const char *gate = getenv("NSS_SLOW_GATE");
    if (!gate || strcmp(name, "carol") != 0)
        return NSS_STATUS_NOTFOUND;
    if (size < sizeof(text)) {
        *ret_error = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    int fd = open(gate, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    memcpy(buffer, text, sizeof(text));
    *ret = (struct passwd){.pw_name = buffer,
                           .pw_passwd = buffer + strlen("carol"),
                           .pw_uid = CAROLS_UID,
                           .pw_gid = CAROLS_GID,
                           .pw_gecos = buffer + strlen("carol"),
                           .pw_dir = buffer + sizeof("carol"),
                           .pw_shell = buffer + sizeof("carol\0/home/carol")};
    return NSS_STATUS_SUCCESS;
}
