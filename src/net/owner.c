/*
 * Two steps, as the kernel has no call for it: /proc/net tells the inode numbers of the sockets that listen there, and the
 * descriptors of all processes tell who has one of them open. Both are bounded; whoever is not found is not named.
 * Processes come in the order of their pids, so that of a server with workers its master is usually the one named.
 */
#include "net/listener.h"

#include "base/fd.h"
#include "base/parse.h"
#include "base/process-name.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INODES_MAX   16
#define LINES_MAX    100000
#define LINKS_MAX    200000 /* some tenths of a second */
#define TCP_LISTENS  0x0a
#define UNIX_LISTENS 0x10000 /* __SO_ACCEPTCON */

struct inodes {
    uint64_t inode[INODES_MAX];
    size_t n;
};

static void inodes_add(struct inodes *inodes, uint64_t inode)
{
    if (inodes->n < INODES_MAX)
        inodes->inode[inodes->n++] = inode;
}

static bool inodes_contain(const struct inodes *inodes, uint64_t inode)
{
    for (size_t i = 0; i < inodes->n; i++)
        if (inodes->inode[i] == inode)
            return true;
    return false;
}

static void file_closep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

static void directory_closep(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

/* Every address as IPv6, so that families can be compared. */
static struct in6_addr to_ipv6(const struct address *address)
{
    struct in6_addr result = address->socket.in6.sin6_addr;
    if (address->socket.generic.sa_family == AF_INET) {
        result = (struct in6_addr){0};
        result.s6_addr[10] = result.s6_addr[11] = 0xff;
        memcpy(&result.s6_addr[12], &address->socket.in.sin_addr, 4);
    }
    return result;
}

static bool is_any(const struct in6_addr *address)
{
    return IN6_IS_ADDR_UNSPECIFIED(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && memcmp(&address->s6_addr[12], "\0\0\0\0", 4) == 0);
}

/* Addresses are printed as 32-bit numbers of the machine's byte order, each 8 hexadecimal digits. */
static bool parse_ip(const char *text, size_t length, struct in6_addr *ret)
{
    struct address address = {.socket.generic.sa_family = length == 8 ? AF_INET : AF_INET6};
    uint32_t words[4];

    if (length != 8 && length != 32)
        return false;
    for (size_t i = 0; i < length / 8; i++)
        if (sscanf(text + 8 * i, "%8" SCNx32, &words[i]) != 1)
            return false;
    if (length == 8)
        memcpy(&address.socket.in.sin_addr, words, 4);
    else
        memcpy(&address.socket.in6.sin6_addr, words, 16);
    *ret = to_ipv6(&address);
    return true;
}

/*
 * "  sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt   uid  timeout inode …". False: the last one was
 * before it. TCP's listeners come before connections, of which there may be many.
 */
static bool parse_ip_line(const char *line, bool datagram, struct in6_addr *ret_local,
                          unsigned *ret_port, uint64_t *ret_inode)
{
    char local[33];
    unsigned state;

    if (sscanf(line, " %*u: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64, local, ret_port,
               &state, ret_inode) != 4 ||
        (!datagram && state != TCP_LISTENS))
        return false;
    return parse_ip(local, strlen(local), ret_local);
}

static void find_ip(const char *file, const struct address *wanted, struct inodes *inodes)
{
    CLEANUP(file_closep) FILE *stream = fopen(file, "re");
    struct in6_addr local, address = to_ipv6(wanted);
    char line[512];
    unsigned port;
    uint64_t inode;

    if (!stream || !fgets(line, sizeof(line), stream))
        return;
    for (unsigned n = 0; n < LINES_MAX && fgets(line, sizeof(line), stream); n++) {
        if (!parse_ip_line(line, wanted->datagram, &local, &port, &inode))
            return;
        if (port == ntohs(wanted->socket.in.sin_port) &&
            (is_any(&local) || is_any(&address) || IN6_ARE_ADDR_EQUAL(&local, &address)))
            inodes_add(inodes, inode);
    }
}

/* "Num       RefCount Protocol Flags    Type St Inode Path" */
static void find_unix(const struct address *wanted, struct inodes *inodes)
{
    CLEANUP(file_closep) FILE *stream = fopen("/proc/net/unix", "re");
    CLEANUP_FREE char *name = address_to_starter_key(wanted);
    char line[512];
    unsigned flags;
    uint64_t inode;
    int path;

    if (!stream || !name)
        return;
    for (unsigned n = 0; n < LINES_MAX && fgets(line, sizeof(line), stream); n++) {
        path = 0;
        if (sscanf(line, "%*x: %*x %*x %x %*x %*x %" SCNu64 " %n", &flags, &inode, &path) != 2 ||
            path == 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if ((flags & UNIX_LISTENS) && strcmp(line + path, name) == 0)
            inodes_add(inodes, inode);
    }
}

/* Does the process have one of them open? Counts the descriptors it looks at. */
static bool has_open(int proc, const char *pid, const struct inodes *inodes, unsigned *links)
{
    char path[64], target[64];
    uint64_t inode;

    (void)snprintf(path, sizeof(path), "%.20s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    CLEANUP(directory_closep) DIR *directory = fdopendir(fd);
    if (!directory) {
        (void)fd_close(fd);
        return false;
    }
    for (struct dirent *entry; *links < LINKS_MAX && (entry = readdir(directory)); (*links)++) {
        ssize_t n = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1 && inodes_contain(inodes, inode))
            return true;
    }
    return false;
}

static char *describe(const char *pid)
{
    uint64_t number = 0;
    CLEANUP_FREE char *name = parse_unsigned(pid, 1, INT32_MAX, &number) < 0
                                  ? NULL
                                  : process_name((pid_t)number);
    return name ? string_format("%s (pid %s)", name, pid) : string_format("pid %s", pid);
}

static char *find_processes(const struct inodes *inodes)
{
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    CLEANUP_FREE char *first = NULL;
    unsigned links = 0;

    if (!proc)
        return NULL;
    for (struct dirent *entry; links < LINKS_MAX && (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            !has_open(dirfd(proc), entry->d_name, inodes, &links))
            continue;
        if (first)
            return string_format("%s and others", first);
        first = describe(entry->d_name);
    }
    return TAKE_PTR(first);
}

char *listener_find_owner(const struct address *address)
{
    struct inodes inodes = {.n = 0};

    if (address->socket.generic.sa_family == AF_UNIX) {
        find_unix(address, &inodes);
    } else {
        static const char *const files[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
                                                {"/proc/net/udp", "/proc/net/udp6"}};
        bool ipv6 = address->socket.generic.sa_family == AF_INET6;
        find_ip(files[address->datagram][ipv6], address, &inodes);
        if (inodes.n == 0)
            find_ip(files[address->datagram][!ipv6], address, &inodes);
    }
    return inodes.n > 0 ? find_processes(&inodes) : NULL;
}
