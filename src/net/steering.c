#include "net/steering.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void steering_clear(struct steering *steering)
{
    free(steering->index);
    *steering = (struct steering){0};
}

int steering_add(struct steering *steering)
{
    unsigned *larger = reallocarray(steering->index, steering->n + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    steering->index = larger;
    larger[steering->n] = (unsigned)steering->n;
    steering->n++;
    return 0;
}

/* Whoever has the last place moves to this one. */
static void fill_place(struct steering *steering, unsigned place)
{
    for (size_t i = 0; i < steering->n; i++)
        if (steering->index[i] == steering->n - 1)
            steering->index[i] = place;
}

void steering_remove_last(struct steering *steering)
{
    fill_place(steering, steering->index[steering->n - 1]);
    steering->n--;
}

void steering_again(struct steering *steering, size_t number)
{
    fill_place(steering, steering->index[number]);
    steering->index[number] = (unsigned)steering->n - 1;
}

int steering_attach(int fd, struct sock_filter *program, size_t n)
{
    struct sock_fprog attached;
    /* Its padding, too: no byte of our stack is the kernel's business. */
    memset(&attached, 0, sizeof(attached));
    attached.len = (unsigned short)n;
    attached.filter = program;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof(attached)) < 0)
        return -errno;
    return 0;
}

int steering_found_group(int fd)
{
    struct sock_filter itself = {.code = BPF_RET | BPF_K, .k = 0};
    int on = 1, off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    int r = steering_attach(fd, &itself, 1);
    if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off)) < 0)
        r = -errno;
    return r;
}
