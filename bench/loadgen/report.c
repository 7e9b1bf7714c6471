/* report.c - one JSON object at the end of a run. */
#include "loadgen/load.h"

#include <stdio.h>
#include <string.h>

void report_integer(json_t *object, const char *name, uint64_t value)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *report_latency(const struct histogram *latency)
{
    json_t *report = json_object();
    report_integer(report, "p50", histogram_quantile(latency, 0.5));
    report_integer(report, "p90", histogram_quantile(latency, 0.9));
    report_integer(report, "p99", histogram_quantile(latency, 0.99));
    report_integer(report, "p99_9", histogram_quantile(latency, 0.999));
    report_integer(report, "max", latency->max);
    report_integer(report, "above_10ms", histogram_above(latency, 10 * USEC_PER_MSEC));
    report_integer(report, "above_100ms", histogram_above(latency, 100 * USEC_PER_MSEC));
    report_integer(report, "above_1s", histogram_above(latency, USEC_PER_SEC));
    return report;
}

static json_t *report_mode(const struct mode *mode)
{
    json_t *report = json_object(), *counts = json_object(), *failures = json_array();
    for (enum outcome outcome = OUTCOME_OK; outcome < OUTCOME_MAX; outcome++)
        report_integer(counts, outcome_to_string(outcome), mode->tally.counts[outcome]);
    for (unsigned i = 0; i < mode->tally.n_failures; i++)
        (void)json_array_append_new(failures, json_string(mode->tally.failures[i]));
    (void)json_object_set_new(report, "counts", counts);
    report_integer(report, "failed", tally_failed(&mode->tally));
    mode->ops->report(mode, report);
    (void)json_object_set_new(report, "latency_usec", report_latency(&mode->tally.latency));
    report_integer(report, "max_gap_usec", mode->tally.max_gap_usec);
    (void)json_object_set_new(report, "first_failures", failures);
    return report;
}

static json_t *report_servers(const struct load *load)
{
    json_t *report = json_array();
    for (size_t i = 0; i < load->servers.n_entries; i++) {
        const struct server *server = &load->servers.entries[i];
        json_t *entry = json_object();
        (void)json_object_set_new(entry, "server", json_string(server->identity));
        report_integer(entry, "count", server->count);
        report_integer(entry, "first_usec", server->first_usec - load->began_usec);
        report_integer(entry, "last_usec", server->last_usec - load->began_usec);
        (void)json_array_append_new(report, entry);
    }
    return report;
}

/* Adds the answers of an identity like "slot=0 generation=3 pid=4711" to those of each of its words. */
static void add_words(json_t *served, const struct server *server)
{
    char words[SERVER_IDENTITY_SIZE], *save = NULL;
    (void)snprintf(words, sizeof(words), "%s", server->identity);
    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = '\0';
        json_t *of_name = json_object_get(served, word);
        if (!of_name) {
            of_name = json_object();
            (void)json_object_set_new(served, word, of_name);
        }
        json_int_t before = json_integer_value(json_object_get(of_name, value));
        report_integer(of_name, value, (uint64_t)before + server->count);
    }
}

static json_t *report_served(const struct servers *servers)
{
    json_t *served = json_object();
    for (size_t i = 0; i < servers->n_entries; i++)
        add_words(served, &servers->entries[i]);
    return served;
}

json_t *report_new(const struct load *load, struct mode *const *modes, uint64_t now_usec)
{
    json_t *report = json_object(), *by_mode = json_object();
    (void)json_object_set_new(report, "target", json_string(load->options->target));
    report_integer(report, "began_usec", load->began_usec);
    (void)json_object_set_new(report, "seconds",
                              json_real((double)(now_usec - load->began_usec) / 1e6));
    (void)json_object_set_new(report, "ok", json_boolean(report_is_good(modes)));
    for (; *modes; modes++)
        (void)json_object_set_new(by_mode, (*modes)->name, report_mode(*modes));
    (void)json_object_set_new(report, "modes", by_mode);
    (void)json_object_set_new(report, "servers", report_servers(load));
    (void)json_object_set_new(report, "served_by", report_served(&load->servers));
    report_integer(report, "servers_forgotten", load->servers.forgotten);
    return report;
}

bool report_is_good(struct mode *const *modes)
{
    for (; *modes; modes++)
        if (tally_failed(&(*modes)->tally) > 0 || (*modes)->tally.counts[OUTCOME_OK] == 0)
            return false;
    return true;
}
