#include "fake-master.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static json_t *fake_slot(int slot, const char *state, json_t *text)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "web/%d", slot);
    /* Half a minute from the next minute: what is shown does not depend on how fast the test is. */
    json_int_t since = (json_int_t)(clock_realtime_usec() -
                                    (uint64_t)(3600 * (slot + 1) + 210) * USEC_PER_SEC);
    return json_pack("{s:i, s:s, s:s, s:[{s:i, s:i, s:s, s:o, s:I, s:i}]}", "slot", slot, "name",
                     name, "state", state, "workers", "pid", 4710 + slot, "generation", 7, "state",
                     state, "text", text, "since_usec", since, "restarts", slot);
}

static json_t *fake_slots(struct fake_master *fake)
{
    json_t *slots = json_array();
    (void)json_array_append_new(slots, fake_slot(0, "READY", json_string("213 connections")));
    (void)json_array_append_new(slots, fake_slot(1, "READY", json_null()));
    /* What a worker says is not to be trusted: this one tries to clear the screen. */
    (void)json_array_append_new(slots, fake_slot(2, fake->not_ready ? "FATAL" : "READY",
                                                 json_string("\x1b[2Jgone\r\nnext line \xc3\xa9")));
    if (fake->huge_status) {
        char text[1024];
        memset(text, 'x', sizeof(text));
        for (int i = 3; i < 2048; i++)
            (void)json_array_append_new(slots,
                                        fake_slot(i, "READY", json_stringn(text, sizeof(text))));
    }
    json_t *slot = fake_slot(3, "READY", json_null());
    (void)json_array_append_new(
        json_object_get(slot, "workers"),
        json_pack("{s:i, s:i, s:s, s:s, s:I, s:i}", "pid", 4602, "generation", 6, "state",
                  "DRAINING", "text", "waits for 2 connections", "since_usec",
                  (json_int_t)(clock_realtime_usec() - 4 * USEC_PER_SEC), "restarts", 0));
    (void)json_array_append_new(slots, slot);
    return slots;
}

static json_t *fake_status(void *userdata)
{
    struct fake_master *fake = userdata;
    json_t *slots = fake_slots(fake);
    return json_pack("{s:{s:i, s:s, s:s, s:I}, s:{s:I, s:s, s:s, s:n}, s:[{s:s, s:s, s:i, s:i, "
                     "s:i, s:o}, {s:s, s:s, s:i, s:i, s:i, s:[]}],"
                     " s:[{s:s, s:s, s:i, s:i, s:i}, {s:s, s:s, s:i, s:n, s:n}]}",
                     "master", "pid", (int)getpid(), "version", "0.1.0", "state", "running",
                     "uptime_usec", (json_int_t)(93784 * USEC_PER_SEC), "reload", "id",
                     (json_int_t)6, "state", "ended", "result", "committed", "reason", "programs",
                     "name", "web", "state", fake->not_ready ? "PARTIAL" : "READY", "generation", 7,
                     "workers", 4, "ready", fake->not_ready ? 3 : 4, "slots", slots, "name", "jobs",
                     "state", "STOPPED", "generation", 1, "workers", 0, "ready", 0, "slots",
                     "listeners", "name", "web", "address", "127.0.0.1:7000", "inode", 81234,
                     "queue", 3, "backlog", 4096, "name", "api", "address", "unix:/run/api.sock",
                     "inode", 81235, "queue", "backlog");
}

void fake_master_publish(struct fake_master *fake, const char *type, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_auto_t *event = json_vpack_ex(NULL, 0, format, arguments);
    va_end(arguments);
    assert(event);
    (void)json_object_set_new(event, "type", json_string(type));
    (void)json_object_set_new(event, "time_usec", json_integer((json_int_t)clock_realtime_usec()));
    control_publish(fake->control, type, ++fake->sequence, event);
}

void fake_master_end_reload(struct fake_master *fake, const char *result, const char *reason)
{
    json_decref(fake->result);
    fake->result = json_pack("{s:I, s:s, s:s?, s:I, s:[{s:s, s:s}]}", "id",
                             (json_int_t)fake->reload_id, "result", result, "reason", reason,
                             "duration_usec", (json_int_t)1234567, "programs", "name", "web",
                             "result", result);
    assert(fake->result);
    fake_master_publish(fake, "reload", "{s:I, s:s, s:s, s:s?}", "id", (json_int_t)fake->reload_id,
                        "state", "ended", "result", result, "reason", reason);
}

static int fake_scale(UNUSED const char *program, UNUSED bool relative, UNUSED int64_t workers,
                      UNUSED const struct control_peer *peer, UNUSED void *userdata,
                      UNUSED uint64_t *ret_id)
{
    return -EBUSY;
}

static json_t *fake_plan(const struct control_reload *wish, UNUSED void *userdata)
{
    return json_pack("{s:s, s:{s:b}}", "result", "would_commit", "plan", "changed",
                     wish->changed_only);
}

static int fake_reload(UNUSED const struct control_reload *wish, UNUSED const struct control_peer *peer,
                       void *userdata, uint64_t *ret_id)
{
    struct fake_master *fake = userdata;
    if (fake->refuse_reload)
        return -ESHUTDOWN;
    fake->reload_id++;
    json_decref(fake->result);
    fake->result = NULL;
    *ret_id = fake->reload_id;
    fake_master_publish(fake, "reload", "{s:I, s:s}", "id", (json_int_t)fake->reload_id, "state",
                        "began");
    if (fake->end_reload_at_once)
        fake_master_end_reload(fake, "refused",
                               "reloader.yaml:3:5: programs.web.workers: 0 is too small");
    if (fake->on_reload)
        fake->on_reload(fake);
    return 0;
}

static json_t *fake_reload_result(uint64_t id, void *userdata)
{
    struct fake_master *fake = userdata;
    return id == fake->reload_id ? json_incref(fake->result) : NULL;
}

/* Nobody is called "nobody", and "web:9" is no worker. For the others it is too busy. */
static int fake_job(const struct control_job *job, UNUSED const struct control_peer *peer,
                    UNUSED void *userdata, UNUSED uint64_t *ret_id, const char **ret_name)
{
    *ret_name = job->names[0];
    if (strcmp(job->names[0], "nobody") == 0)
        return -ENOENT;
    return strcmp(job->names[0], "web:9") == 0 ? -ESRCH : -EBUSY;
}

/* The first slot of whom it was sent to gets it, the second drains. */
static int fake_send(const struct control_send *send, void *userdata, json_t **ret,
                     const char **ret_name)
{
    struct fake_master *fake = userdata;
    *ret_name = send->names[0];
    if (strcmp(send->names[0], "nobody") == 0)
        return -ENOENT;
    if (json_is_string(send->message))
        return -EINVAL;
    json_decref(fake->message);
    fake->message = json_incref(send->message);
    *ret = json_pack("[{s:s, s:i, s:s, s:i, s:s, s:b}, {s:s, s:i, s:s, s:i, s:s}]", "program",
                     send->names[0], "slot", 0, "name", "web/0", "pid", 4710, "result", "sent",
                     "unread", 1, "program", send->names[0], "slot", 1, "name", "web/1", "pid",
                     4711, "result", "draining");
    return 0;
}

/* "web:0" has a pipe, "web:1" does not run, "web" are several. */
static int fake_attach(const struct control_attach *wish, UNUSED const struct control_peer *peer,
                       void *userdata, json_t **ret, int *ret_input_fd)
{
    struct fake_master *fake = userdata;
    const char *name = wish->name;
    if (strcmp(name, "web") == 0) {
        *ret = json_pack("{s:s, s:[s, s]}", "name", name, "workers", "web:0", "web:1");
        return -E2BIG;
    }
    if (strcmp(name, "web:1") == 0) {
        *ret = json_pack("{s:s, s:i, s:s, s:b}", "program", "web", "slot", 1, "state", "FATAL",
                         "comes", 0);
        return -ENOTCONN;
    }
    if (strcmp(name, "web:0") != 0)
        return strcmp(name, "web:9") == 0 ? -ESRCH : -ENOENT;
    *ret = json_pack("{s:s, s:i, s:s, s:i, s:i, s:s, s:s}", "program", "web", "slot", 0, "name",
                     "web/0", "pid", 4710, "generation", 7, "state", "READY", "stdin",
                     fake->input_fd > 0 ? "pipe" : "null");
    *ret_input_fd = fake->input_fd > 0 ? fcntl(fake->input_fd, F_DUPFD_CLOEXEC, 0) : -1;
    return 0;
}

static json_t *fake_past_reload(int id, const char *result, const char *reason, const char *by)
{
    return json_pack(
        "{s:i, s:s, s:s*, s:{s:s, s:i, s:i}, s:i, s:I, s:i, s:{s:i, s:i, s:i, s:i}, s:[{s:s, s:s, "
        "s:i, s:i, s:s*}]}",
        "id", id, "result", result, "reason", reason, "cause", "by", by, "pid", 4700 + id, "uid", 0,
        "also", id - 1, "began_usec", (json_int_t)1700000000 * 1000000 + id, "duration_usec",
        1200000 * id, "phases", "preparing", 1000, "canaries", 120000, "rolling", 1079000,
        "rolling_back", 0, "programs", "name", "web", "result", result, "generation", 2 + id,
        "workers", 4, "reason", reason);
}

static json_t *fake_history(UNUSED void *userdata)
{
    return json_pack(
        "{s:[o, o]}", "reloads", fake_past_reload(1, "committed", NULL, "SIGHUP"),
        fake_past_reload(2, "rolled_back", "web/0 exited with 1 before it was ready", "control"));
}

/* Of "soon" somebody finds out, and answers by fake_master_answer(). */
static int fake_why(char *const *names, bool all, void *userdata, uint64_t *ret_id, json_t **ret,
                    const char **ret_name)
{
    struct fake_master *fake = userdata;
    if (names && strcmp(names[0], "nobody") == 0) {
        *ret_name = names[0];
        return -ENOENT;
    }
    if (names && strcmp(names[0], "soon") == 0)
        *ret_id = ++fake->inquiry;
    else
        *ret = json_pack("{s:[], s:s*}", "workers", "failure", all ? "no reloader-why" : NULL);
    return 0;
}

static void fake_forget(uint64_t id, void *userdata)
{
    struct fake_master *fake = userdata;
    fake->forgotten = id;
}

static void fake_shutdown(bool force, void *userdata)
{
    struct fake_master *fake = userdata;
    fake->shutdowns++;
    fake->forced += force;
    if (fake->on_shutdown)
        fake->on_shutdown(fake);
}

/* Like fake_job(); slot 1 runs nobody. */
static int fake_signal(const struct control_signal *signal, UNUSED const struct control_peer *peer,
                       UNUSED void *userdata, json_t **ret, const char **ret_name)
{
    *ret_name = signal->names[0];
    if (strcmp(signal->names[0], "nobody") == 0)
        return -ENOENT;
    if (strcmp(signal->names[0], "web:9") == 0)
        return -ESRCH;
    *ret = json_pack("{s:[{s:s, s:i, s:s, s:i, s:s}, {s:s, s:i, s:s}]}", "results", "program",
                     "web", "slot", 0, "name", "web/0", "pid", 4000 + signal->number, "result",
                     "sent", "program", "web", "slot", 1, "result",
                     signal->group ? "sent" : "not_running");
    return *ret ? 0 : -ENOMEM;
}

static json_t *fake_socket_user(const char *program, int slot)
{
    return json_pack("{s:s, s:i, s:s, s:i, s:i, s:s}", "program", program, "slot", slot, "name",
                     "x", "pid", 4710 + slot, "generation", 7, "state", "READY");
}

static json_t *fake_sockets(UNUSED void *userdata)
{
    return json_pack("{s:[{s:s, s:s, s:i, s:i, s:i, s:i, s:[s, s], s:[o, o, o, o, o, o]}]}",
                     "sockets", "name", "web", "address", "127.0.0.1:7000", "inode", 81234, "queue",
                     3, "backlog", 4096, "drops", 2, "programs", "web", "jobs", "workers",
                     fake_socket_user("web", 0), fake_socket_user("web", 1),
                     fake_socket_user("web", 1), fake_socket_user("web", 2),
                     fake_socket_user("web", 5), fake_socket_user("api", 0));
}

const struct control_ops fake_master_ops = {
    .status = fake_status,
    .reload = fake_reload,
    .scale = fake_scale,
    .plan = fake_plan,
    .job = fake_job,
    .why = fake_why,
    .forget = fake_forget,
    .send = fake_send,
    .attach = fake_attach,
    .history = fake_history,
    .reload_result = fake_reload_result,
    .shutdown = fake_shutdown,
    .signal = fake_signal,
    .sockets = fake_sockets,
};

void fake_master_start(struct fake_master *fake, const char *path, uint64_t message_timeout_usec,
                       uint64_t idle_timeout_usec)
{
    const struct control_settings settings = {
        .path = path,
        .mode = 0600,
        .message_timeout_usec = message_timeout_usec,
        .idle_timeout_usec = idle_timeout_usec,
    };
    char *error = NULL;
    if (sd_event_new(&fake->event) < 0)
        abort();
    if (control_new(fake->event, &settings, &fake_master_ops, fake, &fake->control, &error) < 0) {
        (void)fprintf(stderr, "%s\n", error);
        abort();
    }
}

void fake_master_stop(struct fake_master *fake)
{
    fake->control = control_free(fake->control);
    fake->event = sd_event_unref(fake->event);
    json_decref(fake->result);
    json_decref(fake->message);
    fake->result = fake->message = NULL;
}
