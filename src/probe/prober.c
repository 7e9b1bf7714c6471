#include "probe/prober.h"

#include "base/fd.h"
#include "base/list.h"
#include "base/message.h"
#include "base/strv.h"
#include "helper/master-link.h"
#include "probe/check.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>

struct prober {
    sd_event *event;
    int master;
    sd_event_source *master_source;
    struct transfers *transfers;
    struct list checks;
};

static bool on_result(uint64_t number, bool good, const char *text, void *userdata)
{
    struct prober *prober = userdata;
    CLEANUP_STRV char **fields = NULL;
    if (strv_append(&fields, "TYPE=result") < 0 ||
        strv_appendf(&fields, "NUMBER=%" PRIu64, number) < 0 ||
        strv_appendf(&fields, "GOOD=%d", good) < 0 || strv_appendf(&fields, "TEXT=%s", text) < 0)
        return false;
    return master_link_tell(prober->master, fields);
}

static bool on_unmade(uint64_t number, const char *why, void *userdata)
{
    const struct prober *prober = userdata;
    CLEANUP_STRV char **fields = NULL;
    return strv_append(&fields, "TYPE=unmade") == 0 &&
           strv_appendf(&fields, "NUMBER=%" PRIu64, number) == 0 &&
           strv_appendf(&fields, "TEXT=%s", why) == 0 && master_link_tell(prober->master, fields);
}

static int add_check(struct prober *prober, char **fields)
{
    const char *target = strv_env_get(fields, "TARGET");
    struct check_params params = {
        .number = master_link_number(fields, "NUMBER"),
        .interval_usec = master_link_number(fields, "INTERVAL"),
        .timeout_usec = master_link_number(fields, "TIMEOUT"),
        .counts = master_link_number(fields, "COUNTS") > 0,
        .result = on_result,
        .unmade = on_unmade,
        .userdata = prober,
    };
    struct check *check = NULL;
    if (!target || params.interval_usec == 0 || params.timeout_usec == 0)
        return -EINVAL;
    int r = string_equal(strv_env_get(fields, "KIND"), "http")
                ? target_from_url(target, &params.target)
                : target_from_address(target, &params.target);
    if (r == 0)
        r = check_new(prober->event, prober->transfers, &params, &check);
    if (r == 0)
        list_append(&prober->checks, &check->link);
    return r;
}

static void drop_checks(struct prober *prober, bool all, uint64_t number)
{
    LIST_FOREACH_SAFE (check, &prober->checks, struct check, link) {
        if (all || check->params.number == number)
            (void)check_free(check);
    }
}

static void handle_message(struct prober *prober, char **fields)
{
    const char *type = strv_env_get(fields, "TYPE");
    uint64_t number = master_link_number(fields, "NUMBER");
    if (master_link_answer(prober->master, fields))
        return;
    if (string_equal(type, "check")) {
        if (add_check(prober, fields) < 0)
            (void)on_result(number, false, "it cannot be checked", prober);
    } else if (string_equal(type, "drop")) {
        drop_checks(prober, false, number);
    } else if (string_equal(type, "reset")) {
        drop_checks(prober, true, 0);
    }
}

static int on_master(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct prober *prober = userdata;
    CLEANUP_STRV char **fields = NULL;
    CLEANUP_FD int passed = -1;
    int r = message_receive(prober->master, &fields, &passed);
    if (r == 1)
        handle_message(prober, fields);
    else if (r != -EAGAIN && r != -EBADMSG && r != -ENOMEM)
        return sd_event_exit(prober->event, 0);
    return 0;
}

static int run(struct prober *prober)
{
    int r = sd_event_new(&prober->event);
    if (r >= 0)
        r = transfers_new(prober->event, check_ended, &prober->transfers);
    if (r >= 0)
        r = sd_event_add_io(prober->event, &prober->master_source, prober->master, EPOLLIN,
                            on_master, prober);
    return r < 0 ? r : sd_event_loop(prober->event);
}

int prober_run(int master)
{
    struct prober prober = {.master = master};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    list_init(&prober.checks);
    int r = run(&prober);
    drop_checks(&prober, true, 0);
    (void)transfers_free(prober.transfers);
    (void)sd_event_source_disable_unref(prober.master_source);
    (void)sd_event_unref(prober.event);
    (void)fd_close(prober.master);
    curl_global_cleanup();
    return r;
}
