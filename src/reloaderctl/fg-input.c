#include "reloaderctl/fg-input.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

void fg_input_turn(struct fg_input *input, int to)
{
    (void)fd_close(input->to);
    input->to = to;
    input->begin = input->end = 0;
    input->stalled = false;
}

void fg_input_read(struct fg_input *input)
{
    ssize_t n = read(input->from, input->data, sizeof(input->data));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    input->ended = n <= 0;
    input->begin = 0;
    input->end = n > 0 ? (size_t)n : 0;
}

int fg_input_write(struct fg_input *input)
{
    while (fg_input_pending(input) > 0) {
        ssize_t n = write(input->to, input->data + input->begin, fg_input_pending(input));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            input->stalled = true;
            return 0;
        }
        if (n < 0)
            return -errno;
        input->begin += (size_t)n;
    }
    input->stalled = false;
    return 0;
}

size_t fg_input_unread(const struct fg_input *input)
{
    int unread = 0;
    if (input->to < 0 || ioctl(input->to, FIONREAD, &unread) < 0 || unread < 0)
        return 0;
    return (size_t)unread;
}
