/* What a worker of the gateway asks for. It is told over its channel, so that no secret is in a command line or environment. */
#include "base/fd.h"
#include "base/log.h"
#include "base/sealed-file.h"
#include "master/gateway.h"
#include "master/master.h"
#include "worker/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static json_t *list_public(unsigned public)
{
    static const struct {
        enum config_public bit;
        const char *name;
    } paths[] = {{CONFIG_PUBLIC_HEALTHZ, "healthz"},
                 {CONFIG_PUBLIC_READYZ, "readyz"},
                 {CONFIG_PUBLIC_METRICS, "metrics"}};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (public & paths[i].bit)
            (void)json_array_append_new(list, json_string(paths[i].name));
    return list;
}

static int send_settings(const struct gateway_version *version, struct worker *worker)
{
    const struct config_gateway *section = &version->config->gateway;
    json_auto_t *settings = json_pack("{s:s, s:s*, s:o, s:b}", "cmd", "gateway", "username",
                                      section->username, "public", list_public(section->public),
                                      "password", version->secret != NULL);
    return settings ? channel_send(worker->channel, settings) : -ENOMEM;
}

/* The other end is a client of the control service. */
static int connect_control(const struct gateway *gateway, const struct worker *worker, int *ret_fd)
{
    const struct master_options *options = &gateway->master->options;
    const struct config_account *account = &worker->generation->program->identity.account;
    const struct ucred peer = {.pid = worker->pid,
                               .uid = account->user.set ? account->user.id : geteuid(),
                               .gid = account->group.set ? account->group.id : getegid()};
    int ends[2];
    if (!options->connect)
        return -EOPNOTSUPP;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    int r = options->connect(ends[0], &peer, options->userdata);
    if (r < 0)
        (void)fd_close(ends[1]);
    else
        *ret_fd = ends[1];
    return r;
}

static int send_descriptors(const struct gateway *gateway, const struct gateway_version *version,
                            struct worker *worker)
{
    CLEANUP_FD int control = -1;
    CLEANUP_FD int secret = -1;
    json_auto_t *line = version->secret ? json_pack("{s:s, s:[s,s]}", "reloader", "listeners",
                                                    "names", "control", "password")
                                        : json_pack("{s:s, s:[s]}", "reloader", "listeners",
                                                    "names", "control");
    int r = line ? connect_control(gateway, worker, &control) : -ENOMEM;
    if (r == 0 && version->secret)
        r = sealed_file_new("reloader-gateway-password", version->secret, version->secret_size,
                            &secret);
    const int fds[] = {control, secret};
    return r < 0 ? r : channel_send_fds(worker->channel, line, fds, version->secret ? 2 : 1);
}

void gateway_answer(const struct gateway *gateway, const struct gateway_version *version,
                    struct worker *worker)
{
    int r = send_settings(version, worker);
    if (r == 0)
        r = send_descriptors(gateway, version, worker);
    if (r < 0)
        log_about(worker_subject(worker), LOG_LEVEL_ERROR,
                  "cannot be given its settings and control connection: %s", strerror(-r));
}
