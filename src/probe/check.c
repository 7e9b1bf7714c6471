#include "probe/check.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* More of an answer is not read: who sends that much serves. */
#define BODY_MAX ((size_t)64 * 1024)

bool check_is_good_status(long status)
{
    return status >= 200 && status < 400;
}

static size_t on_body(char *data UNUSED, size_t size, size_t n, void *userdata)
{
    struct check *check = userdata;
    check->received += size * n;
    return check->received > BODY_MAX ? 0 : size * n;
}

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose UNUSED,
                                    struct curl_sockaddr *address)
{
    struct check *check = userdata;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        check->shortage = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* No proxy, whatever the environment says; no redirects; who has a certificate need not be known, as nothing secret is sent. */
static void set_options(CURL *easy, struct check *check)
{
    const struct check_params *params = &check->params;
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, check);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, check->error);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "reloader-probe/" RELOADER_VERSION);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, check);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, check);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                           (long)MAX(params->timeout_usec / USEC_PER_MSEC, (uint64_t)1));
    (void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, params->target.connects ? 1L : 0L);
    if (params->target.unix_path)
        (void)curl_easy_setopt(
            easy, params->target.abstract ? CURLOPT_ABSTRACT_UNIX_SOCKET : CURLOPT_UNIX_SOCKET_PATH,
            params->target.unix_path);
}

static void arm(struct check *check, uint64_t at)
{
    (void)sd_event_source_set_time(check->timer, at);
    (void)sd_event_source_set_enabled(check->timer, SD_EVENT_ONESHOT);
}

static void tell_unmade(struct check *check)
{
    const struct check_params *params = &check->params;
    if (!check->told_unmade)
        check->told_unmade = params->unmade(params->number, strerror(check->shortage),
                                            params->userdata);
}

static void tell(struct check *check, bool good, const char *text)
{
    const struct check_params *params = &check->params;
    check->told_unmade = false;
    if (report_next(&check->report, params->counts, good, text))
        check->report.said = params->result(params->number, good, text, params->userdata);
}

static int begin(struct check *check)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return -ENOMEM;
    check->received = 0;
    check->shortage = 0;
    check->error[0] = '\0';
    set_options(easy, check);
    if (curl_easy_setopt(easy, CURLOPT_URL, check->params.target.url) != CURLE_OK ||
        transfers_add(check->transfers, easy) < 0) {
        curl_easy_cleanup(easy);
        return -ENOMEM;
    }
    check->easy = easy;
    return 0;
}

/* Without memory nothing is known, and so nothing is said. */
static int on_time(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct check *check = userdata;
    check->began_usec = clock_monotonic_usec();
    if (begin(check) < 0)
        arm(check, check->began_usec + check->params.interval_usec);
    return 0;
}

/* What libcurl itself says of a Unix socket names a host and a port that nobody asked for. */
static const char *connect_error(CURL *easy)
{
    long error = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
    return error > 0 ? strerror((int)error) : "nobody answers there";
}

static bool is_good(const struct check *check, CURL *easy, CURLcode result, char *text, size_t size)
{
    char limit[DURATION_TEXT_SIZE];
    long status = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    bool answered = result == CURLE_OK ||
                    (result == CURLE_WRITE_ERROR && check->received > BODY_MAX);
    if (answered && check->params.target.connects) {
        (void)snprintf(text, size, "connected");
        return true;
    }
    if (answered)
        (void)snprintf(text, size, "status %ld", status);
    else if (result == CURLE_OPERATION_TIMEDOUT)
        (void)snprintf(text, size, "no answer within %s",
                       duration_to_text(check->params.timeout_usec, limit));
    else if (result == CURLE_COULDNT_CONNECT && check->params.target.unix_path)
        (void)snprintf(text, size, "cannot connect: %s", connect_error(easy));
    else
        (void)snprintf(text, size, "%s",
                       check->error[0] ? check->error : curl_easy_strerror(result));
    return answered && check_is_good_status(status);
}

/* To one of its addresses, though there was no socket for another. */
static bool has_connected(CURL *easy)
{
    curl_off_t usec = 0;
    return curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &usec) == CURLE_OK && usec > 0;
}

void check_ended(void *userdata, CURL *easy, CURLcode result)
{
    struct check *check = userdata;
    char text[REPORT_TEXT_SIZE];
    bool good = is_good(check, easy, result, text, sizeof(text));
    bool made = check->shortage == 0 || has_connected(easy);
    curl_easy_cleanup(easy);
    check->easy = NULL;
    arm(check, MAX(check->began_usec + check->params.interval_usec, clock_monotonic_usec()));
    if (!good && !made)
        tell_unmade(check);
    else
        tell(check, good, text);
}

int check_new(sd_event *event, struct transfers *transfers, const struct check_params *params,
              struct check **ret)
{
    CLEANUP(check_freep) struct check *check = calloc(1, sizeof(*check));
    struct target target = params->target;
    if (!check) {
        target_clear(&target);
        return -ENOMEM;
    }
    check->params = *params;
    check->transfers = transfers;
    list_init(&check->link);
    /* Not on the dot: so checks of many workers wake us once. */
    int r = sd_event_add_time(event, &check->timer, CLOCK_MONOTONIC, 0,
                              MAX(params->interval_usec / 20, USEC_PER_MSEC), on_time, check);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(check->timer, "check");
    *ret = TAKE_PTR(check);
    return 0;
}

struct check *check_free(struct check *check)
{
    if (!check)
        return NULL;
    if (check->easy) {
        transfers_remove(check->transfers, check->easy);
        curl_easy_cleanup(check->easy);
    }
    list_remove(&check->link);
    (void)sd_event_source_disable_unref(check->timer);
    target_clear(&check->params.target);
    free(check);
    return NULL;
}
