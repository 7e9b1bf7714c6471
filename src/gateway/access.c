#include "gateway/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/credentials.h"
#include "gateway/failures.h"
#include "gateway/keyed-hash.h"
#include "gateway/password.h"
#include "gateway/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct access {
    bool asks; /* for a password; else the following is not there */
    struct password *password;
    struct failures *failures;
    struct keyed_hash_key key;
    struct keyed_hash username;

    bool local; /* nobody from another machine comes here */
    unsigned public;

    uint64_t turns_usec; /* until then all turns are taken */
    uint64_t rest_usec;  /* until then nobody's turn begins, as the last one took as long */
    uint64_t cost_usec;  /* of that one */
};

/* Setting up */

static bool is_local(const struct sockaddr *address)
{
    if (!address)
        return false;
    const struct sockaddr_in *in = (const void *)address;
    const struct sockaddr_in6 *in6 = (const void *)address;
    switch (address->sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    default:
        return false;
    }
}

static int set_credentials(struct access *access, const struct access_settings *settings)
{
    const char *reason = NULL;
    access->asks = true;
    int r = password_new(settings->password ? settings->password : "", &access->password, &reason);
    if (r == -EINVAL)
        log_error("the gateway's password can't be used: %s", reason);
    if (r >= 0)
        r = keyed_hash_make_key(&access->key);
    if (r < 0)
        return r;
    access->username = keyed_hash(&access->key, settings->username, strlen(settings->username));
    return failures_new(ACCESS_DELAY_MAX_USEC, &access->failures);
}

int access_new(const struct access_settings *settings, struct access **ret)
{
    CLEANUP(access_freep) struct access *access = calloc(1, sizeof(*access));
    if (!access)
        return -ENOMEM;
    access->local = is_local(settings->listens_on);
    access->public = settings->public;
    int r = settings->username ? set_credentials(access, settings) : 0;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(access);
    return 0;
}

struct access *access_free(struct access *access)
{
    if (!access)
        return NULL;
    (void)password_free(access->password);
    (void)failures_free(access->failures);
    explicit_bzero(access, sizeof(*access));
    free(access);
    return NULL;
}

/* Deciding */

static const struct access_answer granted = {.verdict = ACCESS_GRANTED};

static struct access_answer refused(enum access_verdict verdict, const char *why)
{
    return (struct access_answer){.verdict = verdict, .why = why};
}

/* The next turn that is free. False: there is none. */
static bool assign_turn(struct access *access, uint64_t now_usec, uint64_t *ret_turn)
{
    uint64_t turn = MAX(access->turns_usec, now_usec);
    if (turn - now_usec > ACCESS_TURNS_MAX_USEC)
        return false;
    access->turns_usec = turn + 2 * access->cost_usec;
    *ret_turn = turn;
    return true;
}

/*
 * May its password be checked now? *ret_answer if not. Turns are assigned by what the last check cost; when checks take longer than that, whose
 * turn has come waits for the rest nevertheless, and keeps it.
 */
static bool take_turn(struct access *access, const struct access_request *request,
                      uint64_t now_usec, struct access_answer *ret_answer)
{
    if (!password_is_costly(access->password))
        return true;
    uint64_t turn = request->turn_usec;
    if (turn == 0 && !assign_turn(access, now_usec, &turn)) {
        *ret_answer = refused(ACCESS_BUSY, "too many passwords are being checked, try again");
        return false;
    }
    uint64_t begin = MAX(turn, access->rest_usec);
    if (begin <= now_usec)
        return true;
    *ret_answer = (struct access_answer){
        .verdict = ACCESS_LATER, .turn_usec = turn, .delay_usec = begin - now_usec};
    return false;
}

/* A costly check has the time after it belong to others, as much as it took. */
static bool is_password(struct access *access, const char *given, uint64_t now_usec)
{
    if (!password_is_costly(access->password))
        return password_is(access->password, given);
    uint64_t begin = clock_monotonic_usec();
    bool is = password_is(access->password, given);
    access->cost_usec = clock_monotonic_usec() - begin;
    access->rest_usec = now_usec + 2 * access->cost_usec;
    access->turns_usec = MAX(access->turns_usec, access->rest_usec);
    return is;
}

/* None of both is left out when the other one is wrong already: time would tell which one it was. */
static bool are_right(struct access *access, const struct credentials *credentials,
                      uint64_t now_usec)
{
    struct keyed_hash user = keyed_hash(&access->key, credentials->user, strlen(credentials->user));
    bool user_is_right = keyed_hash_equal(&user, &access->username);
    bool password_is_right = is_password(access, credentials->password, now_usec);
    return user_is_right & password_is_right;
}

static struct access_answer fail(struct access *access, const struct access_request *request,
                                 uint64_t now_usec, const char *why)
{
    struct access_answer answer = refused(ACCESS_UNAUTHORIZED, why);
    answer.delay_usec = failures_add(access->failures, request->peer, now_usec);
    return answer;
}

static struct access_answer ask(struct access *access, const struct access_request *request,
                                uint64_t now_usec)
{
    CLEANUP(credentials_forget) struct credentials credentials;
    struct access_answer answer;
    /* Browsers ask without at first; that is no guess, and does not wait. */
    if (!request->authorization)
        return refused(ACCESS_UNAUTHORIZED, "a user name and a password are needed");
    if (credentials_parse(request->authorization, &credentials) < 0)
        return fail(access, request, now_usec,
                    "the Authorization header is not of the form `Basic …`");
    if (!take_turn(access, request, now_usec, &answer))
        return answer;
    if (!are_right(access, &credentials, now_usec))
        return fail(access, request, now_usec, "user name or password are wrong");
    return granted;
}

struct access_answer access_decide(struct access *access, const struct access_request *request,
                                   uint64_t now_usec)
{
    const struct http_route *route = request->route;
    bool public = route && (route->public & access->public);
    if (!access->asks && !public && !site_host_is_local(request->host))
        return refused(ACCESS_MISDIRECTED,
                       "without a username only local names are served: localhost, or an address");
    if (request->acts &&
        site_is_foreign(request->fetch_site, request->origin, request->host))
        return refused(ACCESS_FORBIDDEN, "this is not done for a page of another site");
    if (public)
        return granted;
    if (access->asks)
        return ask(access, request, now_usec);
    if (access->local)
        return granted;
    return refused(ACCESS_FORBIDDEN,
                   "without a username nothing but the `public` paths is served at this address");
}
