#include "logger/job.h"

#include "base/lines.h"

void job_drop(struct job *job, const char *data, size_t size)
{
    job->n_dropped += size;
    job->dropped_lines += lines_count(data, size);
}

void job_drop_from(struct job *job, size_t at)
{
    job_drop(job, job->data + at, job->size - at);
}

void job_settle(struct job *job)
{
    job->counters->written += job->n_dropped < job->came ? job->came - job->n_dropped : 0;
}
