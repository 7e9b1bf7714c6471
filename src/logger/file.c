#include "logger/file.h"

#include "base/fd.h"
#include "logger/target.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)64 * 1024)

struct file {
    struct target target; /* the thread's alone */
    struct done *done;
    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t changed;
    struct list jobs;
    struct file_settings settings;
    bool reopen, ends;
};

int done_init(struct done *done)
{
    list_init(&done->jobs);
    done->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return done->event_fd < 0 ? -errno : -pthread_mutex_init(&done->mutex, NULL);
}

static void move_all(struct list *from, struct list *to)
{
    while (!list_is_empty(from)) {
        struct list *link = from->next;
        list_remove(link);
        list_append(to, link);
    }
}

void done_take(struct done *done, struct list *ret)
{
    uint64_t count;
    (void)!read(done->event_fd, &count, sizeof(count));
    (void)pthread_mutex_lock(&done->mutex);
    move_all(&done->jobs, ret);
    (void)pthread_mutex_unlock(&done->mutex);
}

static void put_done(struct done *done, struct job *job)
{
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&done->mutex);
    list_append(&done->jobs, &job->link);
    (void)pthread_mutex_unlock(&done->mutex);
    (void)!write(done->event_fd, &one, sizeof(one));
}

/* Waits for something to do. False: the end. */
static bool await_work(struct file *file, struct list *ret)
{
    (void)pthread_mutex_lock(&file->mutex);
    while (list_is_empty(&file->jobs) && !file->reopen && !file->ends)
        (void)pthread_cond_wait(&file->changed, &file->mutex);
    move_all(&file->jobs, ret);
    if (file->reopen)
        target_close(&file->target);
    file->reopen = false;
    file->target.settings = file->settings;
    bool more = !file->ends || !list_is_empty(ret);
    (void)pthread_mutex_unlock(&file->mutex);
    return more;
}

static void release(struct file *file)
{
    target_clear(&file->target);
    (void)pthread_cond_destroy(&file->changed);
    (void)pthread_mutex_destroy(&file->mutex);
    free(file);
}

static void *run(void *userdata)
{
    struct file *file = userdata;
    struct list jobs;
    list_init(&jobs);
    while (await_work(file, &jobs))
        LIST_FOREACH_SAFE(job, &jobs, struct job, link) {
            list_remove(&job->link);
            target_write(&file->target, job);
            put_done(file->done, job);
        }
    release(file);
    return NULL;
}

static int start(struct file *file)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);
    if (r != 0)
        return -r;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    r = pthread_create(&thread, &attributes, run, file);
    (void)pthread_attr_destroy(&attributes);
    return -r;
}

int file_new(const char *path, const struct file_settings *settings, bool again, struct done *done,
             struct file **ret)
{
    struct file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct file){
        .target = {.fd = -1, .path = strdup(path), .marks_cut = again, .settings = *settings},
        .done = done,
        .settings = *settings,
    };
    list_init(&file->jobs);
    (void)pthread_mutex_init(&file->mutex, NULL);
    (void)pthread_cond_init(&file->changed, NULL);
    int r = file->target.path ? start(file) : -ENOMEM;
    if (r < 0) {
        release(file);
        return r;
    }
    *ret = file;
    return 0;
}

const char *file_path(const struct file *file)
{
    return file->target.path;
}

void file_set(struct file *file, const struct file_settings *settings)
{
    (void)pthread_mutex_lock(&file->mutex);
    file->settings = *settings;
    (void)pthread_mutex_unlock(&file->mutex);
}

void file_write(struct file *file, struct job *job)
{
    (void)pthread_mutex_lock(&file->mutex);
    list_append(&file->jobs, &job->link);
    (void)pthread_cond_signal(&file->changed);
    (void)pthread_mutex_unlock(&file->mutex);
}

void file_reopen(struct file *file)
{
    (void)pthread_mutex_lock(&file->mutex);
    file->reopen = true;
    (void)pthread_cond_signal(&file->changed);
    (void)pthread_mutex_unlock(&file->mutex);
}

struct file *file_free(struct file *file)
{
    if (!file)
        return NULL;
    (void)pthread_mutex_lock(&file->mutex);
    file->ends = true;
    (void)pthread_cond_signal(&file->changed);
    (void)pthread_mutex_unlock(&file->mutex);
    return NULL;
}
