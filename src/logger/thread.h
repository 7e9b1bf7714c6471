/* thread.h - threads that nobody waits for. */
#pragma once

/* Runs until `run` returns; with a small stack. 0 or -errno. */
int thread_start(void *(*run)(void *userdata), void *userdata);
