/* metrics-internal.h - what the files of metrics_render() share: objects of Status, and what is written of them. */
#pragma once

#include "gateway/exposition.h"
#include "gateway/metrics.h"

/* What a sample is about. Objects are borrowed from Status. */
struct place {
    const struct metrics_source *source;
    const json_t *object;
    const struct process_usage *usage; /* of the process that `object` is; NULL: not known */
    struct exposition_labels labels;
};

/* A text that is not there is "". */
const char *metrics_text(const json_t *object, const char *name);
/* False: it has none. */
bool metrics_number(const json_t *object, const char *name, uint64_t *ret);
/* NULL: it is no process, or was not looked at. */
const struct process_usage *metrics_usage(const struct metrics_source *source,
                                          const json_t *object);
/* Of the gateway, which is no program of the configuration; NULL: there is none. Borrowed. */
const json_t *metrics_gateway_slot(const json_t *status);
/* Borrowed; there is room for EXPOSITION_LABELS_MAX. */
void metrics_label(struct place *place, const char *name, const char *value);

/* The values of a place, each by the name of what it tells; nothing where it is not known. */
void metrics_write_up(struct exposition *out, const struct place *place);
void metrics_write_connections(struct exposition *out, const struct place *place);
void metrics_write_connections_limit(struct exposition *out, const struct place *place);
void metrics_write_version(struct exposition *out, const struct place *place);
void metrics_write_cpu(struct exposition *out, const struct place *place);
void metrics_write_memory(struct exposition *out, const struct place *place);
void metrics_write_start(struct exposition *out, const struct place *place);
void metrics_write_master_state(struct exposition *out, const struct place *place);
void metrics_write_program_state(struct exposition *out, const struct place *place);
void metrics_write_slot_state(struct exposition *out, const struct place *place);
void metrics_write_loop_delays(struct exposition *out, const struct place *place);
void metrics_write_deaths(struct exposition *out, const struct place *place);
void metrics_write_reload_runs(struct exposition *out, const struct place *place);
void metrics_write_durations(struct exposition *out, const struct place *place);
void metrics_write_strays(struct exposition *out, const struct place *place);
void metrics_write_draining(struct exposition *out, const struct place *place);
void metrics_write_dropped_lines(struct exposition *out, const struct place *place);
void metrics_write_dropped_bytes(struct exposition *out, const struct place *place);
void metrics_write_lost_bytes(struct exposition *out, const struct place *place);
void metrics_write_worker_info(struct exposition *out, const struct place *place);
void metrics_write_healthy(struct exposition *out, const struct place *place);
void metrics_write_queue_length(struct exposition *out, const struct place *place);
void metrics_write_queue_limit(struct exposition *out, const struct place *place);
void metrics_write_queue_bytes(struct exposition *out, const struct place *place);
void metrics_write_queue_bytes_limit(struct exposition *out, const struct place *place);
