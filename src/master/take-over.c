#include "master/take-over.h"

#include "base/log.h"
#include "base/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A shell in between, say: the variables then mean the shell, and nobody takes the sockets. */
static void warn_of_another_pid(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    CLEANUP_FREE char *own = string_format("%d", (int)getpid());
    if (pid && fds && own && strcmp(pid, own) != 0)
        log_warning(
            "LISTEN_FDS is not for this process, but for pid %s (LISTEN_PID): ignored; what "
            "starts reloader has to exec it",
            pid);
}

static int collect_number(const struct config_socket *socket, struct passed_sockets *passed,
                          char **ret_error)
{
    CLEANUP_FREE char *reason = NULL;
    int r = passed_add(passed, socket->fd, &reason);
    if (r < 0)
        *ret_error = string_format("%s:%u:%u: socket '%s': listen: %s",
                                   config_file_name(socket->file), socket->line, socket->column,
                                   socket->name, reason ? reason : strerror(-r));
    return r;
}

int take_over_collect(const struct config *config, struct passed_sockets *ret, char **ret_error)
{
    CLEANUP(passed_clear) struct passed_sockets passed = {0};
    warn_of_another_pid();
    int r = passed_from_systemd(&passed, ret_error);
    for (size_t i = 0; r >= 0 && i < config->n_sockets; i++)
        if (config->sockets[i]->fd >= 0)
            r = collect_number(config->sockets[i], &passed, ret_error);
    if (r < 0)
        return r;
    *ret = passed;
    passed = (struct passed_sockets){0};
    return 0;
}

void take_over_clear(struct take_over *plan)
{
    free(plan->wishes);
}

static int add_wishes(struct take_over *plan, const struct config *config,
                      const struct config_socket *socket)
{
    const struct config_program *program = config_find_user(config, socket);
    unsigned slots = socket->per_slot ? program->workers : 1;
    struct passed_wish *larger = reallocarray(plan->wishes, plan->n + slots, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    plan->wishes = larger;
    for (unsigned slot = 0; slot < slots; slot++) {
        struct passed_wish wish = {
            .name = socket->name,
            .number = socket->fd,
            .address_only = slots > 1,
        };
        int r = config_socket_address(socket, program, slot, &wish.address);
        if (r < 0)
            return r;
        wish.type = wish.address.datagram ? SOCK_DGRAM : SOCK_STREAM;
        plan->wishes[plan->n++] = wish;
    }
    return 0;
}

int take_over_plan(const struct config *config, struct passed_sockets *passed,
                   struct take_over *ret, char **ret_error)
{
    CLEANUP(take_over_clear) struct take_over plan = {0};
    for (size_t i = 0; i < config->n_sockets; i++) {
        int r = add_wishes(&plan, config, config->sockets[i]);
        if (r < 0)
            return r;
    }
    passed_match(plan.wishes, plan.n, passed);
    *ret_error = passed_describe_unclaimed(passed);
    if (*ret_error)
        return -EINVAL;
    *ret = plan;
    plan = (struct take_over){0};
    return 0;
}

bool take_over_any(const struct passed_wish *wishes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (wishes[i].taken)
            return true;
    return false;
}

static void tell(const struct config_socket *socket, const struct passed_wish *wish)
{
    const struct passed_socket *taken = wish->taken;
    CLEANUP_FREE char *text = address_to_text(&taken->address);
    if (wish->number >= 0)
        log_info("%s: taken over, descriptor %d, %s", socket->name, wish->number, text);
    else
        log_info("%s: taken over from systemd, %s", socket->name, text);
    if (wish->elsewhere) {
        CLEANUP_FREE char *wished = address_to_text(&wish->address);
        log_warning(
            "%s: systemd passed %s under this name, but 'listen' says %s: it is taken as it "
            "is; make both the same",
            socket->name, text, wished);
    }
    if (taken->address.socket.generic.sa_family == AF_INET6 && socket->ipv6_only &&
        taken->dual_stack)
        log_warning("%s: ipv6_only is set, but the socket that was passed takes IPv4 as well "
                    "(BindIPv6Only= of the .socket unit)",
                    socket->name);
}

static int adopt(struct listener *listener, const struct passed_wish *wish, char **ret_error)
{
    struct passed_socket *taken = wish->taken;
    struct address address = taken->address;
    /* The port alone, as it was written. */
    address.wildcard = wish->number < 0 && !wish->elsewhere && wish->address.wildcard;
    int r = listener_adopt(listener, taken->fd, &address, ret_error);
    if (r == 0)
        taken->fd = -1;
    return r;
}

int take_over_listener(const struct config_socket *socket, const struct listener_options *options,
                       const struct passed_wish *wishes, size_t n, struct listener **ret,
                       char **ret_error)
{
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    int r = listener_new(socket->name, NULL, 0, options, &listener, ret_error);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = wishes[i].taken ? adopt(listener, &wishes[i], ret_error)
                            : listener_add(listener, &wishes[i].address, 1, ret_error);
        if (r >= 0 && wishes[i].taken)
            tell(socket, &wishes[i]);
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(listener);
    return 0;
}
