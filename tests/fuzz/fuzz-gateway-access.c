/*
 * What a request of the gateway says about who sends it. Lines: Authorization, Host, Origin, Sec-Fetch-Site, and a password as it might be configured;
 * a line that is missing is a header that is not there.
 */
#include "gateway/access.h"
#include "gateway/credentials.h"
#include "gateway/password.h"
#include "gateway/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *next_line(char **text)
{
    return *text ? strsep(text, "\n") : NULL;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_credentials(const char *header)
{
    struct credentials credentials;
    if (credentials_parse(header, &credentials) < 0)
        return;
    require(!strchr(credentials.user, ':'));
    require(credentials.password == credentials.user + strlen(credentials.user) + 1);
    require(strlen(credentials.password) < sizeof(credentials.buffer));
}

/* Whatever it looks like, there is nothing in it that a name server could say something else about. */
static void check_host(const char *host)
{
    if (!site_host_is_local(host) || !*host)
        return;
    size_t name = strcspn(host + (host[0] == '['), host[0] == '[' ? "]" : ":");
    require((name == 9 && strncasecmp(host, "localhost", 9) == 0) ||
            strspn(host, "0123456789abcdefABCDEF.:[]") == strlen(host));
}

static void check_password(const char *text)
{
    struct password *password = NULL;
    const char *reason = NULL;
    int r = password_new(text, &password, &reason);
    require(r == 0 || (r == -EINVAL && reason));
    if (r == 0 && !password_is_costly(password))
        require(password_is(password, text) == (text[0] != '{') || strpbrk(text, "\r\n"));
    (void)password_free(password);
}

/* Nobody guesses that one, and nobody comes from another machine, or as another name, where none is asked. */
static void check_access(const char *username, const struct access_request *request)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct access_settings settings = {
        .username = username,
        .password = "neither of these 64 bytes may be guessed by any fuzzer of today",
        .listens_on = (const struct sockaddr *)&local};
    struct access *access = NULL;
    require(access_new(&settings, &access) == 0);
    struct access_answer answer = access_decide(access, request, 1);
    require(answer.delay_usec <= ACCESS_DELAY_MAX_USEC);
    require((answer.verdict == ACCESS_GRANTED) == !answer.why);
    require(answer.verdict != ACCESS_GRANTED || (!username && site_host_is_local(request->host)));
    require(answer.verdict != ACCESS_LATER && answer.verdict != ACCESS_BUSY);
    (void)access_free(access);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_route acts = {.path = "/reload", .acts = HTTP_POST};
    char *text = malloc(size + 1), *rest = text;
    require(text);
    memcpy(text, data, size);
    text[size] = '\0';
    struct access_request request = {.route = &acts, .acts = true};
    request.authorization = next_line(&rest);
    request.host = next_line(&rest);
    request.origin = next_line(&rest);
    request.fetch_site = next_line(&rest);
    check_credentials(request.authorization);
    if (request.host)
        check_host(request.host);
    if (rest)
        check_password(rest);
    check_access("admin", &request);
    check_access(NULL, &request);
    free(text);
    return 0;
}
