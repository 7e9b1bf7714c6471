#include "logger/thread.h"

#include <pthread.h>
#include <stddef.h>

#define STACK_SIZE ((size_t)64 * 1024)

int thread_start(void *(*run)(void *userdata), void *userdata)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);
    if (r != 0)
        return -r;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    r = pthread_create(&thread, &attributes, run, userdata);
    (void)pthread_attr_destroy(&attributes);
    return -r;
}
