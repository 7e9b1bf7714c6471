/*
 * reloader.c - libreloader: the worker's end of the channel.
 *
 * The fd that callers wait on is an epoll of ours around the channel. So they need no interest in writability when
 * words wait, a program without a master has an fd as well (one that never becomes readable), and an end-of-file is
 * taken out of it once it is told, instead of waking the caller for ever.
 *
 * The channel's own O_NONBLOCK is left alone; every call says MSG_DONTWAIT.
 */
#include "client/reloader.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "base/parse.h"
#include "client/environment.h"
#include "client/notify.h"
#include "client/received.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define QUEUE_FOR_MESSAGES 262144
/* Kept free by messages, so that the library's own words still fit behind a full queue of them. */
#define QUEUE_FOR_WORDS 65536
#define STATUS_MAX      4096
/* Reads that bring no event within one call: a master that floods must not keep the caller. */
#define READS_MAX 64

struct reloader {
    struct environment environment;
    int epoll_fd;
    bool has_channel; /* there was one at the start: then the notify socket is not for us to use */
    bool drain_told;
    bool unheard; /* the channel takes no words any more; what is to be read is still there */
    bool gone;    /* the channel came to its end, which is still to be told */
    bool wants_write;
    unsigned spread_msec; /* as it was told */
    double spread_offset; /* 0 to 1 */
    bool has_held; /* an event that came while listeners were waited for */
    struct reloader_event held;
    struct buffer input, output;
    struct received received;
};

struct reloader *reloader_free(struct reloader *reloader)
{
    if (!reloader)
        return NULL;
    struct environment *environment = &reloader->environment;
    for (size_t i = 0; i < environment->n_listeners; i++)
        free(environment->listeners[i].name);
    free(environment->listeners);
    free(environment->notify_socket);
    free(environment->program);
    received_close(&reloader->received);
    (void)fd_close(environment->channel_fd);
    (void)fd_close(reloader->epoll_fd);
    buffer_clear(&reloader->input);
    buffer_clear(&reloader->output);
    free(reloader);
    return NULL;
}

DEFINE_FREEP(struct reloader *, reloader_free)

static double random_unit(void)
{
    uint32_t value;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
        return 0.5;
    return (double)value / ((double)UINT32_MAX + 1);
}

int reloader_new(unsigned flags, struct reloader **ret)
{
    if (flags & ~RELOADER_UNSET_ENVIRONMENT)
        return -EINVAL;
    CLEANUP(reloader_freep) struct reloader *reloader = calloc(1, sizeof(*reloader));
    if (!reloader)
        return -ENOMEM;
    buffer_init(&reloader->input, RELOADER_LINE_MAX);
    buffer_init(&reloader->output, QUEUE_FOR_MESSAGES + QUEUE_FOR_WORDS);
    reloader->epoll_fd = -1;
    reloader->spread_offset = random_unit();
    /* Before any fd of our own, which could take the place of one that the environment names and is not there. */
    int r = environment_read(&reloader->environment);
    if (r < 0)
        return r;
    reloader->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (reloader->epoll_fd < 0)
        return -errno;
    int channel_fd = reloader->environment.channel_fd;
    struct epoll_event event = {.events = EPOLLIN};
    if (channel_fd >= 0 && epoll_ctl(reloader->epoll_fd, EPOLL_CTL_ADD, channel_fd, &event) < 0)
        return -errno;
    reloader->has_channel = channel_fd >= 0;
    if (flags & RELOADER_UNSET_ENVIRONMENT)
        environment_unset();
    *ret = TAKE_PTR(reloader);
    return 0;
}

bool reloader_has_master(const struct reloader *reloader)
{
    return reloader->environment.channel_fd >= 0 && !reloader->unheard;
}

const char *reloader_program(const struct reloader *reloader)
{
    return reloader->environment.program;
}

long reloader_slot(const struct reloader *reloader)
{
    return reloader->environment.slot;
}

long reloader_generation(const struct reloader *reloader)
{
    return reloader->environment.generation;
}

size_t reloader_listener_count(const struct reloader *reloader)
{
    return reloader->environment.n_listeners;
}

int reloader_listener(const struct reloader *reloader, size_t index)
{
    if (index >= reloader->environment.n_listeners)
        return -ENOENT;
    return reloader->environment.listeners[index].fd;
}

const char *reloader_listener_name(const struct reloader *reloader, size_t index)
{
    if (index >= reloader->environment.n_listeners)
        return NULL;
    return reloader->environment.listeners[index].name;
}

int reloader_listener_by_name(const struct reloader *reloader, const char *name)
{
    for (size_t i = 0; i < reloader->environment.n_listeners; i++)
        if (strcmp(reloader->environment.listeners[i].name, name) == 0)
            return reloader->environment.listeners[i].fd;
    return -ENOENT;
}

int reloader_get_fd(const struct reloader *reloader)
{
    return reloader->epoll_fd;
}

/* Sends what the channel takes, and waits for room where it does not take all. */
static int flush_queue(struct reloader *reloader)
{
    int channel_fd = reloader->environment.channel_fd;
    if (channel_fd < 0 || reloader->unheard)
        return 0;
    int r = buffer_send(&reloader->output, channel_fd);
    if (r < 0) {
        reloader->unheard = true;
        buffer_clear(&reloader->output);
    }
    bool wants_write = r == 0;
    if (wants_write == reloader->wants_write)
        return 0;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0)};
    if (epoll_ctl(reloader->epoll_fd, EPOLL_CTL_MOD, channel_fd, &event) < 0)
        return -errno;
    reloader->wants_write = wants_write;
    return 0;
}

/* 1 something came, 0 nothing there, or the master has gone: no channel any more. */
static int receive(struct reloader *reloader)
{
    struct environment *environment = &reloader->environment;
    if (environment->channel_fd < 0)
        return 0;
    char *space;
    size_t size;
    int r = buffer_reserve(&reloader->input, &space, &size);
    if (r < 0)
        return r;
    ssize_t n = received_read(&reloader->received, environment->channel_fd, space, size);
    if (n > 0) {
        buffer_commit(&reloader->input, (size_t)n);
        return 1;
    }
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    /* Closing it takes it out of the epoll, too. A child may hold a duplicate, so not by closing alone. */
    (void)epoll_ctl(reloader->epoll_fd, EPOLL_CTL_DEL, environment->channel_fd, NULL);
    environment->channel_fd = fd_close(environment->channel_fd);
    buffer_clear(&reloader->output);
    reloader->gone = true;
    return 1;
}

/* {"reloader":"disconnect_spread","msec":30000} */
static bool read_spread(struct reloader *reloader, const char *line)
{
    static const char begin[] = "{\"reloader\":\"disconnect_spread\",\"msec\":";
    char digits[16];
    uint64_t msec;
    if (strncmp(line, begin, strlen(begin)) != 0)
        return false;
    line += strlen(begin);
    size_t length = strcspn(line, "}");
    if (length >= sizeof(digits) || strcmp(line + length, "}") != 0)
        return false;
    memcpy(digits, line, length);
    digits[length] = '\0';
    if (parse_unsigned(digits, 0, UINT_MAX, &msec) < 0 || msec == reloader->spread_msec)
        return false;
    reloader->spread_msec = (unsigned)msec;
    return true;
}

/* The master's own words: 1 and an event, 0 if there is nothing in it for the program, or -errno. */
static int read_own(struct reloader *reloader, const char *line, bool due,
                    struct reloader_event *ret)
{
    size_t added = 0;
    if (read_spread(reloader, line)) {
        *ret = (struct reloader_event){.type = RELOADER_DISCONNECT_SPREAD};
        return reloader->drain_told;
    }
    int r = received_take(&reloader->received, due, line, &reloader->environment, &added);
    if (r < 0)
        return r;
    reloader->environment.awaited -= MIN((size_t)r, reloader->environment.awaited);
    if (added == 0)
        return 0;
    *ret = (struct reloader_event){.type = RELOADER_LISTENERS, .length = added};
    return 1;
}

/* Turns a line into an event: likewise. */
static int read_line(struct reloader *reloader, const char *line, size_t size, bool due,
                     struct reloader_event *ret)
{
    static const char drain[] = "\"graceful_shutdown\"", own[] = "{\"reloader\":";
    if (size == 0)
        return 0;
    if (strncmp(line, own, strlen(own)) == 0)
        return read_own(reloader, line, due, ret);
    if (size != strlen(drain) || memcmp(line, drain, size) != 0) {
        *ret = (struct reloader_event){.type = RELOADER_MESSAGE, .message = line, .length = size};
        return 1;
    }
    if (reloader->drain_told)
        return 0;
    reloader->drain_told = true;
    *ret = (struct reloader_event){.type = RELOADER_GRACEFUL_SHUTDOWN};
    return 1;
}

/* The next event among the lines that are there already: likewise. */
static int next_event(struct reloader *reloader, struct reloader_event *ret)
{
    char *line;
    size_t size;
    int r = 0, found;
    while (r == 0 && (found = buffer_next_frame(&reloader->input, '\n', &line, &size)) != 0) {
        bool due = received_is_due(&reloader->received, buffer_size(&reloader->input));
        if (found > 0)
            r = read_line(reloader, line, size, due, ret);
        if (due)
            received_close(&reloader->received); /* what was not taken */
    }
    return r;
}

int reloader_process(struct reloader *reloader, struct reloader_event *ret)
{
    if (reloader->has_held) {
        reloader->has_held = false;
        *ret = reloader->held;
        return 1;
    }
    int r = flush_queue(reloader);
    for (unsigned reads = 0; r >= 0 && reads < READS_MAX; reads++) {
        r = next_event(reloader, ret);
        if (r != 0)
            return r;
        r = receive(reloader);
        if (r == 0)
            break;
    }
    if (r < 0)
        return r;
    if (reloader->gone) {
        reloader->gone = false;
        *ret = (struct reloader_event){.type = RELOADER_MASTER_GONE};
        return 1;
    }
    return 0;
}

unsigned reloader_disconnect_spread(const struct reloader *reloader)
{
    return reloader->spread_msec;
}

unsigned reloader_disconnect_delay(const struct reloader *reloader, size_t index, size_t count)
{
    if (index >= count)
        return count > 0 ? reloader->spread_msec : 0;
    return (unsigned)((double)reloader->spread_msec *
                      (((double)index + reloader->spread_offset) / (double)count));
}

size_t reloader_listeners_awaited(const struct reloader *reloader)
{
    return reloader->environment.awaited;
}

static int64_t now_msec(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0: look again, or -ETIMEDOUT. */
static int wait_until(const struct reloader *reloader, int64_t deadline_msec)
{
    struct pollfd fd = {.fd = reloader->epoll_fd, .events = POLLIN};
    int64_t left = deadline_msec - now_msec();
    if (left <= 0)
        return -ETIMEDOUT;
    return poll(&fd, 1, (int)left) < 0 && errno != EINTR ? -errno : 0;
}

static int await_line(struct reloader *reloader, int64_t deadline_msec)
{
    if (reloader->has_held)
        return -EPROTO;
    if (reloader->environment.channel_fd < 0 && !reloader->gone)
        return -ECONNRESET;
    struct reloader_event event;
    int r = reloader_process(reloader, &event);
    if (r < 0)
        return r;
    if (r == 0)
        return reloader->environment.awaited > 0 ? wait_until(reloader, deadline_msec) : 0;
    if (event.type == RELOADER_LISTENERS)
        return 0;
    reloader->has_held = true;
    reloader->held = event;
    return event.type == RELOADER_MASTER_GONE ? -ECONNRESET : -EPROTO;
}

int reloader_wait_listeners(struct reloader *reloader, unsigned timeout_msec)
{
    int64_t deadline_msec = now_msec() + (int64_t)MIN(timeout_msec, (unsigned)INT_MAX);
    int r = 0;
    while (r == 0 && reloader->environment.awaited > 0)
        r = await_line(reloader, deadline_msec);
    return r;
}

int reloader_dispatch(struct reloader *reloader, reloader_callback callback, void *userdata)
{
    struct reloader_event event;
    int count = 0, r;
    while ((r = reloader_process(reloader, &event)) > 0) {
        callback(reloader, &event, userdata);
        count++;
    }
    return r < 0 ? r : count;
}

/* Queues a line that ends with its newline, unless that makes the queue longer than `limit`, and lets out what can go. */
static int say(struct reloader *reloader, const char *line, size_t limit)
{
    size_t size = strlen(line);
    if (buffer_size(&reloader->output) + size > limit)
        return -ENOBUFS;
    int r = buffer_append(&reloader->output, line, size);
    return r < 0 ? r : flush_queue(reloader);
}

static int say_word(struct reloader *reloader, const char *line)
{
    return reloader_has_master(reloader) ? say(reloader, line, reloader->output.limit) : 0;
}

int reloader_hello(struct reloader *reloader)
{
    return say_word(reloader, "{\"reloader\":\"hello\",\"drain\":true}\n");
}

int reloader_hello_spread(struct reloader *reloader)
{
    if (!reloader->environment.spread)
        return reloader_hello(reloader);
    return say_word(reloader, "{\"reloader\":\"hello\",\"drain\":true,\"spread\":true}\n");
}

int reloader_ready(struct reloader *reloader)
{
    if (reloader->has_channel || !reloader->environment.notify_socket)
        return say_word(reloader, "\"ready\"\n");
    return notify_send(reloader->environment.notify_socket, "READY=1");
}

int reloader_fully_closed(struct reloader *reloader)
{
    return say_word(reloader, "\"fully_closed\"\n");
}

/* Room for size bytes in the worst case, where each becomes \u00XX. */
static char *put_json_string(char *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20) {
            out += sprintf(out, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = (char)c;
    }
    return out;
}

static int notify_status(const struct reloader *reloader, const char *text)
{
    char line[sizeof("STATUS=") + STATUS_MAX];
    (void)snprintf(line, sizeof(line), "STATUS=%s", text);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return notify_send(reloader->environment.notify_socket, line);
}

int reloader_status(struct reloader *reloader, const char *text)
{
    static const char begin[] = "{\"reloader\":\"status\",\"text\":\"", end[] = "\"}\n";
    size_t size = strnlen(text, STATUS_MAX + 1);
    if (size > STATUS_MAX)
        return -EMSGSIZE;
    if (!reloader->has_channel && reloader->environment.notify_socket)
        return notify_status(reloader, text);
    CLEANUP_FREE char *line = malloc(sizeof(begin) + 6 * size + sizeof(end));
    if (!line)
        return -ENOMEM;
    char *out = put_json_string(stpcpy(line, begin), text, size);
    memcpy(out, end, sizeof(end));
    return say_word(reloader, line);
}

int reloader_send(struct reloader *reloader, const char *json)
{
    size_t size = strnlen(json, RELOADER_LINE_MAX);
    if (size + 1 > RELOADER_LINE_MAX)
        return -EMSGSIZE;
    if (size == 0 || memchr(json, '\n', size))
        return -EINVAL;
    if (!reloader_has_master(reloader))
        return -ENOTCONN;
    CLEANUP_FREE char *line = malloc(size + 2);
    if (!line)
        return -ENOMEM;
    memcpy(line, json, size);
    memcpy(line + size, "\n", 2);
    return say(reloader, line, QUEUE_FOR_MESSAGES);
}
