#include "loadgen/options.h"

#include "base/parse.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum option_type {
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_DURATION,
    OPTION_SET,
    OPTION_CLEAR,
    OPTION_HELP
};

/* One table: what getopt knows, how a value is read and where it goes, and the help. */
static const struct option_rule {
    const char *name, *argument, *help;
    enum option_type type;
    size_t offset;
    uint64_t min, max;
} rules[] = {
#define TO(member) offsetof(struct options, member)
    {"target", "ADDRESS", "127.0.0.1:7000, [::1]:7000, unix:/path or unix:@name", OPTION_TEXT,
     TO(target), 0, 0},
    {"echo-rate", "N", "short echo connections a second", OPTION_COUNT, TO(echo_rate), 1, 1000000},
    {"echo-bytes", "N", "their largest payload (1024)", OPTION_COUNT, TO(echo_bytes), 1, 1 << 24},
    {"who-rate", "N", "questions a second to an echo server with --who", OPTION_COUNT, TO(who_rate),
     1, 1000000},
    {"http-rate", "N", "GET requests a second", OPTION_COUNT, TO(http_rate), 1, 1000000},
    {"http-keep-alive", "N", "idle connections to keep (0: one request each)", OPTION_COUNT,
     TO(http_keep_alive), 0, 100000},
    {"http-path", "PATH", "what to get (/)", OPTION_TEXT, TO(http_path), 0, 0},
    {"http-body", "TEXT", "what the body must be, to the letter", OPTION_TEXT, TO(http_body), 0, 0},
    {"http-identity", "NAME", "header that says who served (X-Worker)", OPTION_TEXT,
     TO(http_identity), 0, 0},
    {"request-window", "N",
     "no more are begun while so many are under way (no limit)", OPTION_COUNT,
     TO(request_window), 1, UINT64_MAX},
    {"streams", "N", "echo streams, always as many", OPTION_COUNT, TO(streams), 1, 100000},
    {"stream-bytes", "N", "a stream's piece (1024)", OPTION_COUNT, TO(stream_bytes), 1, 65536},
    {"stream-interval", "TIME", "from piece to piece (20ms)", OPTION_DURATION,
     TO(stream_interval_usec), 100, 3600 * USEC_PER_SEC},
    {"stream-linger", "TIME", "how long it sends on after the server's end, at most (500ms)",
     OPTION_DURATION, TO(stream_linger_usec), 0, USEC_INFINITY},
    {"no-reopen", NULL, "a stream that has ended is not opened again", OPTION_CLEAR,
     TO(stream_reopen), 0, 0},
    {"udp-rate", "N", "datagrams a second to a UDP server that answers who it is and the datagram",
     OPTION_COUNT, TO(udp_rate), 1, 1000000},
    {"udp-flows", "N", "sockets that they come from in turn (64)", OPTION_COUNT, TO(udp_flows), 1,
     100000},
    {"udp-window", "N", "no more is sent while so many of them are awaited (no limit)",
     OPTION_COUNT, TO(udp_window), 1, UINT64_MAX},
    {"udp-bytes", "N", "their largest payload (512)", OPTION_COUNT, TO(udp_bytes), 1, 60000},
    {"timeout", "TIME", "for a request, a datagram, and for the silence of a stream (5s)",
     OPTION_DURATION, TO(timeout_usec), 1, USEC_INFINITY},
    {"duration", "TIME", "of the run; without it: until SIGTERM or SIGINT", OPTION_DURATION,
     TO(duration_usec), 1, USEC_INFINITY},
    {"stop-on-eof", NULL, "end-of-file on stdin ends the run, too", OPTION_SET, TO(stop_on_eof), 0,
     0},
    {"finish", "TIME", "for what is open at the end (10s)", OPTION_DURATION, TO(finish_usec), 0,
     USEC_INFINITY},
    {"sources", "N", "loopback addresses to come from (32; 0: the kernel's choice)", OPTION_COUNT,
     TO(sources), 0, 4096},
    {"seed", "N", "of sizes and payloads", OPTION_COUNT, TO(seed), 0, UINT64_MAX},
    {"help", NULL, "this text", OPTION_HELP, 0, 0, 0},
#undef TO
};

static void print_help(FILE *to)
{
    fputs("Usage: loadgen --target ADDRESS MODE... [OPTION...]\n\n"
          "Open-loop load: work begins when it is due, whatever became of the work before.\n"
          "Modes are --echo-rate, --who-rate, --http-rate, --streams and --udp-rate, any of them "
          "together.\n"
          "Says \"loadgen: started\" on stderr when all of them flow, and prints one JSON object "
          "at the end.\n"
          "Exit code: 0 all is well, 1 something failed, 2 usage.\n\n",
          to);
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s %s", rules[i].name,
                       rules[i].argument ? rules[i].argument : "");
        (void)fprintf(to, "  %-26s %s\n", left, rules[i].help);
    }
}

static int read_value(const struct option_rule *rule, const char *text, struct options *options)
{
    void *to = (char *)options + rule->offset;
    uint64_t value;
    int r = 0;
    switch (rule->type) {
    case OPTION_TEXT:
        *(const char **)to = text;
        return 0;
    case OPTION_SET:
    case OPTION_CLEAR:
        *(bool *)to = rule->type == OPTION_SET;
        return 0;
    case OPTION_COUNT:
        r = parse_unsigned(text, rule->min, rule->max, &value);
        break;
    case OPTION_DURATION:
        r = parse_duration(text, &value);
        if (r == 0 && (value < rule->min || value > rule->max))
            r = -ERANGE;
        break;
    case OPTION_HELP:
        return 0;
    }
    if (r == 0)
        *(uint64_t *)to = value;
    return r;
}

static int complain(const char *what, const char *value, const char *why)
{
    (void)fprintf(stderr, "loadgen: %s%s %s; see --help\n", what, value, why);
    return -EINVAL;
}

static int check(const struct options *options)
{
    if (!options->target)
        return complain("--target", "", "is missing");
    if (options->echo_rate + options->who_rate + options->http_rate + options->streams +
            options->udp_rate ==
        0)
        return complain("no mode", "", "is given");
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret)
{
    struct option known[ARRAY_SIZE(rules) + 1] = {{.name = NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        known[i] = (struct option){rules[i].name,
                                   rules[i].argument ? required_argument : no_argument, NULL, 0};
    struct options options = {
        .sources = 32,
        .seed = 1,
        .timeout_usec = 5 * USEC_PER_SEC,
        .duration_usec = USEC_INFINITY,
        .finish_usec = 10 * USEC_PER_SEC,
        .echo_bytes = 1024,
        .http_path = "/",
        .http_identity = "X-Worker",
        .stream_bytes = 1024,
        .stream_interval_usec = 20 * USEC_PER_MSEC,
        .stream_linger_usec = 500 * USEC_PER_MSEC,
        .stream_reopen = true,
        .udp_flows = 64,
        .udp_window = UINT64_MAX,
        .request_window = UINT64_MAX,
        .udp_bytes = 512,
    };
    int found, index;
    while ((found = getopt_long(argc, argv, "", known, &index)) == 0) {
        if (rules[index].type == OPTION_HELP) {
            print_help(stdout);
            return 0;
        }
        if (read_value(&rules[index], optarg, &options) < 0)
            return complain("--", rules[index].name,
                            "has a value that is not of its form or out of its range");
    }
    if (found != -1)
        return -EINVAL;
    if (optind < argc)
        return complain("", argv[optind], "is no option");
    int r = check(&options);
    if (r < 0)
        return r;
    *ret = options;
    return 1;
}
