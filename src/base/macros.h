/*
 * macros.h - ownership helpers and small arithmetic that every layer uses.
 *
 * Ownership is written down where a variable is declared: CLEANUP(x_freep) frees it at the end of its
 * scope, TAKE_PTR / TAKE_FD hand it on and leave nothing behind to be freed twice.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CLEANUP(function) __attribute__((cleanup(function)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define UNUSED __attribute__((unused))

/* Defines `x_freep(struct x **)`, to be named in CLEANUP(), from `x_free(struct x *)`. */
#define DEFINE_FREEP(type, function)                                                               \
    static inline void function##p(type *p)                                                        \
    {                                                                                              \
        (void)function(*p);                                                                        \
    }

#define TAKE_PTR(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(&(pointer)) _taken_from = &(pointer);                                           \
        __typeof__(pointer) _taken = *_taken_from;                                                 \
        *_taken_from = NULL;                                                                       \
        _taken;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int *_taken_from = &(fd);                                                                  \
        int _taken = *_taken_from;                                                                 \
        *_taken_from = -1;                                                                         \
        _taken;                                                                                    \
    })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define MIN(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) _min_a = (a);                                                                \
        __typeof__(b) _min_b = (b);                                                                \
        _min_a < _min_b ? _min_a : _min_b;                                                         \
    })

#define MAX(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) _max_a = (a);                                                                \
        __typeof__(b) _max_b = (b);                                                                \
        _max_a > _max_b ? _max_a : _max_b;                                                         \
    })

#define USEC_PER_MSEC ((uint64_t)1000)
#define USEC_PER_SEC  ((uint64_t)1000000)
#define NSEC_PER_USEC ((uint64_t)1000)
#define USEC_INFINITY UINT64_MAX

static inline void free_charp(char **p)
{
    free(*p);
}
#define CLEANUP_FREE CLEANUP(free_charp)
