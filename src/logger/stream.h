/*
 * stream.h - what one worker prints on stdout or stderr: read from its pipe, cut into lines, given to a writer.
 *
 * What was read is written before more is read. But nobody waits for longer than PATIENCE: then the stream is "behind", reads
 * on and drops whole lines until the writer has taken the ones before. While the writer goes on to be so slow, it is not waited for again.
 * So a worker is not held up by a disk, but for that one moment.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "logger/writer.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

#define STREAM_LINE_MAX  ((size_t)1024 * 1024) /* longer ones are dropped */

struct logger;

struct stream {
    struct list link; /* the logger's */
    struct logger *logger;
    uint64_t number;
    struct origin origin; /* its strings are ours */
    int fd;
    bool strips_ansi;
    struct writer *writer;
    struct output_counters *counters;
    sd_event_source *source;

    char *carry; /* the beginning of a line whose end has not come yet */
    size_t n_carry, carry_allocated;
    struct job *job; /* on its way */
    uint64_t job_usec; /* monotonic: since when */
    bool behind;
    bool late;     /* the last job took too long: nobody waits for this one */
    bool skipping; /* within a line that is dropped */
    bool tapped;   /* the master gets its lines, too: tap.h */
    bool at_end;   /* nobody writes any more, or nobody wants to know */

    uint64_t tap_missed; /* lines that were left out there, and it was not told of */
    uint64_t unsaid_lines, unsaid_bytes; /* dropped, and not yet in the log */
    uint64_t said_usec; /* monotonic; 0: never */
    char *why; /* the last reason; for people */
};

struct stream_params {
    uint64_t number;
    struct origin origin; /* borrowed strings */
    int fd; /* taken over, also on failure */
    bool strips_ansi, tapped;
    struct writer *writer; /* borrowed, must outlive the stream */
    struct output_counters *counters;
};

int stream_new(struct logger *logger, const struct stream_params *params, struct stream **ret);
/* Its file is opened before there is anything to write, and what fails is said: a quiet worker's last words would be lost. */
void stream_open(struct stream *stream);
struct stream *stream_free(struct stream *stream);
DEFINE_FREEP(struct stream *, stream_free)

/* Its job came back. */
void stream_job_done(struct stream *stream, struct job *job);
/* Does the master want its lines? */
void stream_tap(struct stream *stream, bool on);
/* Time has passed: is its job late, is there something to say? True: look again. */
bool stream_look(struct stream *stream, uint64_t now_usec);
/* Reads what is there now; with nothing there, that is its end when the logger is finishing. */
void stream_read(struct stream *stream);
/* All is written (or dropped) that will ever come. */
bool stream_is_over(const struct stream *stream);
/* Says what was dropped, if anything. */
void stream_say(struct stream *stream);
