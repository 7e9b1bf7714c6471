/*
 * fuzz-varlink.c - whatever a client writes to the control socket: framing, calls, parameters, the methods. The first byte
 * chooses how the input is cut into writes; events and a result come in between, as a master sends them.
 */
#include "base/log.h"
#include "control/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pretender {
    uint64_t reload_id, sequence;
    json_t *result;
};

static json_t *fake_status(UNUSED void *userdata)
{
    return json_pack("{s:{}, s:[]}", "master", "programs");
}

static int fake_scale(UNUSED const char *program, UNUSED bool relative, UNUSED int64_t workers,
                      UNUSED const struct control_peer *peer, UNUSED void *userdata,
                      UNUSED uint64_t *ret_id)
{
    return -EBUSY;
}

static json_t *fake_plan(UNUSED const struct control_reload *wish, UNUSED void *userdata)
{
    return json_pack("{s:s}", "result", "would_commit");
}

static int fake_reload(UNUSED const struct control_reload *wish,
                       UNUSED const struct control_peer *peer, void *userdata, uint64_t *ret_id)
{
    *ret_id = ++((struct pretender *)userdata)->reload_id;
    return 0;
}

static json_t *fake_reload_result(uint64_t id, void *userdata)
{
    struct pretender *pretender = userdata;
    return id == pretender->reload_id ? json_incref(pretender->result) : NULL;
}

static void fake_shutdown(UNUSED bool force, UNUSED void *userdata)
{
}

static json_t *fake_history(UNUSED void *userdata)
{
    return json_pack("{s:[]}", "reloads");
}

static int fake_job(const struct control_job *job, UNUSED const struct control_peer *peer,
                    void *userdata, uint64_t *ret_id, const char **ret_name)
{
    if (!job->names)
        return -ESHUTDOWN;
    *ret_name = job->names[0];
    *ret_id = ((struct pretender *)userdata)->reload_id;
    return job->force ? -ENOENT : 0;
}

static int fake_signal(const struct control_signal *signal, UNUSED const struct control_peer *peer,
                       UNUSED void *userdata, json_t **ret, const char **ret_name)
{
    if (!signal->names || signal->group) {
        *ret_name = signal->names ? signal->names[0] : "";
        return signal->number == 1 ? -ENOENT : -ESRCH;
    }
    *ret = json_pack("{s:[]}", "results");
    return 0;
}

static json_t *fake_sockets(UNUSED void *userdata)
{
    return json_pack("{s:[]}", "sockets");
}

/* Some are answered at once, others later; of those some leave before. */
static int fake_why(char *const *names, bool all, void *userdata, uint64_t *ret_id, json_t **ret,
                    const char **ret_name)
{
    if (names)
        *ret_name = names[0];
    if (names && !all)
        return -ENOENT;
    if (all)
        *ret_id = ((struct pretender *)userdata)->reload_id + 1;
    else
        *ret = json_pack("{s:[]}", "workers");
    return 0;
}

static void fake_forget(UNUSED uint64_t id, UNUSED void *userdata)
{
}

static int fake_send(const struct control_send *send, UNUSED void *userdata, json_t **ret,
                     const char **ret_name)
{
    if (!send->names)
        return -EMSGSIZE;
    *ret_name = send->names[0];
    if (!json_is_object(send->message))
        return -ESRCH;
    *ret = json_pack("[O]", send->message);
    return *ret ? 0 : -ENOMEM;
}

static int fake_logs(const struct control_logs *logs, UNUSED void *userdata, json_t **ret,
                     uint64_t *ret_id, const char **ret_name)
{
    if (!logs->names) {
        *ret_name = "all";
        return -ENOENT;
    }
    *ret_id = 1;
    *ret = json_pack("{s:[]}", "outputs");
    return *ret ? 0 : -ENOMEM;
}

static void fake_unfollow(UNUSED uint64_t id, UNUSED void *userdata)
{
}

static int fake_attach(const struct control_attach *wish, UNUSED const struct control_peer *peer,
                       UNUSED void *userdata, json_t **ret, int *ret_input_fd)
{
    static const int failures[] = {0, -ENOENT, -ESRCH, -E2BIG, -ENOTCONN, -EMFILE};
    int r = failures[strlen(wish->name) % ARRAY_SIZE(failures)];
    if (r == 0)
        *ret_input_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (r == 0 || r == -E2BIG || r == -ENOTCONN)
        *ret = json_pack("{s:s}", "name", wish->name);
    return r;
}

static const struct control_ops ops = {
    .status = fake_status,
    .reload = fake_reload,
    .scale = fake_scale,
    .plan = fake_plan,
    .reload_result = fake_reload_result,
    .job = fake_job,
    .why = fake_why,
    .forget = fake_forget,
    .send = fake_send,
    .logs = fake_logs,
    .unfollow = fake_unfollow,
    .attach = fake_attach,
    .history = fake_history,
    .shutdown = fake_shutdown,
    .signal = fake_signal,
    .sockets = fake_sockets,
};

static void turn(sd_event *event, int client)
{
    char answers[4096];
    for (int i = 0; i < 64 && sd_event_run(event, 0) > 0; i++)
        while (recv(client, answers, sizeof(answers), MSG_DONTWAIT) > 0)
            ;
}

static void publish(struct service *service, struct pretender *pretender)
{
    json_auto_t *worker = json_pack("{s:s, s:I, s:s, s:i}", "type", "worker", "time_usec",
                                    (json_int_t)pretender->sequence, "program", "web", "slot", 0),
                *ended = json_pack("{s:s, s:s, s:I}", "type", "reload", "state", "ended", "id",
                                   (json_int_t)pretender->reload_id);
    service_publish(service, "worker", ++pretender->sequence, worker);
    service_publish(service, "reload", ++pretender->sequence, ended);
    service_publish(service, "job", ++pretender->sequence, ended);
    service_answer(service, pretender->reload_id + 1, worker);
    json_auto_t *lines = json_pack("{s:s}", "text", "a line\n");
    service_pass_lines(service, 1, lines);
}

static void feed(sd_event *event, int client, struct service *service, struct pretender *pretender,
                 const uint8_t *data, size_t size)
{
    size_t piece = size > 0 ? (size_t)data[0] * 16 + 1 : 1;
    for (size_t at = 1; at < size; at += piece) {
        if (send(client, data + at, MIN(piece, size - at), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        turn(event, client);
        publish(service, pretender);
        turn(event, client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pretender pretender = {0};
    const struct service_options options = {
        .ops = &ops,
        .userdata = &pretender,
        .message_timeout_usec = 60 * USEC_PER_SEC,
        .idle_timeout_usec = 60 * USEC_PER_SEC,
    };
    const struct control_peer peer = {.pid = 1, .role = CONTROL_ROLE_OPERATOR};
    sd_event *event = NULL;
    struct service *service = NULL;
    int fds[2];
    log_set_level(LOG_LEVEL_ERROR);
    if (sd_event_new(&event) < 0 || service_new(event, &options, &service) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
        service_add(service, fds[0], &peer) < 0)
        abort();
    service_keep_events(service, size % 4 > 0);
    feed(event, fds[1], service, &pretender, data, size);
    pretender.result = size % 2 ? json_object() : NULL;
    service_finish(service, 0);
    (void)close(fds[1]);
    (void)service_free(service);
    (void)sd_event_unref(event);
    json_decref(pretender.result);
    return 0;
}
