#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Reads digits; *s is left behind them. */
static int read_digits(const char **s, uint64_t *ret)
{
    if (!isdigit((unsigned char)**s))
        return -EINVAL;
    uint64_t value = 0;
    int r = 0;
    for (; isdigit((unsigned char)**s); (*s)++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value))
            r = -ERANGE;
    }
    if (r == 0)
        *ret = value;
    return r;
}

int parse_unsigned(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    int r = read_digits(&s, &value);
    if (*s != '\0')
        return -EINVAL;
    if (r < 0)
        return r;
    if (value < min || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}

static const struct {
    const char *name;
    uint64_t usec;
} duration_units[] = {
    {"us", 1},
    {"ms", USEC_PER_MSEC},
    {"s", USEC_PER_SEC},
    {"m", 60 * USEC_PER_SEC},
    {"min", 60 * USEC_PER_SEC},
    {"h", 3600 * USEC_PER_SEC},
    {"d", 86400 * USEC_PER_SEC},
};

static uint64_t find_duration_unit(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
        if (strcmp(name, duration_units[i].name) == 0)
            return duration_units[i].usec;
    return 0;
}

/* Reads ".25" as parts of one unit; digits behind the sixth count for nothing. */
static int read_fraction(const char **s, uint64_t *ret_numerator, uint64_t *ret_denominator)
{
    uint64_t numerator = 0, denominator = 1;
    if (**s == '.') {
        (*s)++;
        if (!isdigit((unsigned char)**s))
            return -EINVAL;
        for (; isdigit((unsigned char)**s); (*s)++)
            if (denominator < 1000000) {
                numerator = numerator * 10 + (uint64_t)(**s - '0');
                denominator *= 10;
            }
    }
    *ret_numerator = numerator;
    *ret_denominator = denominator;
    return 0;
}

int parse_duration(const char *s, uint64_t *ret_usec)
{
    if (strcmp(s, "0") == 0) {
        *ret_usec = 0;
        return 0;
    }
    uint64_t whole = 0, numerator, denominator, value;
    int r = read_digits(&s, &whole);
    if (r == -EINVAL || read_fraction(&s, &numerator, &denominator) < 0)
        return -EINVAL;
    uint64_t unit = find_duration_unit(s);
    if (unit == 0)
        return -EINVAL;
    /* A century is more than anybody waits; it keeps sums of durations far from overflow. */
    if (r < 0 || __builtin_mul_overflow(whole, unit, &value) ||
        value > UINT64_C(36500) * 86400 * USEC_PER_SEC)
        return -ERANGE;
    *ret_usec = value + unit * numerator / denominator;
    return 0;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
    uint64_t value = 0;
    int r = read_digits(&s, &value);
    if (r == -EINVAL)
        return r;
    unsigned shift = 0;
    if (*s != '\0') {
        const char *units = "KMGT", *unit = strchr(units, *s);
        if (!unit || s[1] != '\0')
            return -EINVAL;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (r < 0 || (value << shift) >> shift != value || value << shift > INT64_MAX)
        return -ERANGE;
    *ret_bytes = value << shift;
    return 0;
}

int parse_percent(const char *s, unsigned *ret)
{
    uint64_t value = 0;
    int r = read_digits(&s, &value);
    if (strcmp(s, "%") != 0)
        return -EINVAL;
    if (r < 0)
        return r;
    if (value > 100000)
        return -ERANGE;
    *ret = (unsigned)value;
    return 0;
}

/* glibc tells these only since 2.32. */
static const char *const signal_names[] = {
    [SIGHUP] = "HUP",   [SIGINT] = "INT",       [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
    [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
    [SIGKILL] = "KILL", [SIGUSR1] = "USR1",     [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
    [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",     [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
    [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",     [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
    [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",     [SIGURG] = "URG",   [SIGXCPU] = "XCPU",
    [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
    [SIGPOLL] = "POLL", [SIGPWR] = "PWR",       [SIGSYS] = "SYS",
};

static const char *signal_name(int signal)
{
    return signal > 0 && (size_t)signal < ARRAY_SIZE(signal_names) ? signal_names[signal] : NULL;
}

static int find_signal(const char *name)
{
    for (int i = 1; i < (int)ARRAY_SIZE(signal_names); i++) {
        const char *known = signal_name(i);
        if (known && strcasecmp(name, known) == 0)
            return i;
    }
    return -EINVAL;
}

static int parse_realtime_signal(const char *offset, int *ret)
{
    uint64_t value = 0;
    if (*offset != '\0') {
        if (*offset != '+')
            return -EINVAL;
        int r = parse_unsigned(offset + 1, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &value);
        if (r < 0)
            return r;
    }
    *ret = SIGRTMIN + (int)value;
    return 0;
}

int parse_signal(const char *s, int *ret)
{
    uint64_t number;
    int r = parse_unsigned(s, 1, (uint64_t)SIGRTMAX, &number);
    if (r == 0)
        *ret = (int)number;
    if (r != -EINVAL)
        return r;
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    if (strncasecmp(s, "RTMIN", 5) == 0)
        return parse_realtime_signal(s + 5, ret);
    int found = find_signal(s);
    if (found < 0)
        return found;
    *ret = found;
    return 0;
}

int parse_mode(const char *s, unsigned *ret)
{
    if (*s == '\0' || strspn(s, "01234567") != strlen(s))
        return -EINVAL;
    unsigned long value = strtoul(s, NULL, 8);
    if (value > 07777)
        return -ERANGE;
    *ret = (unsigned)value;
    return 0;
}

int parse_bool(const char *s, bool *ret)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (int value = 0; value < 2; value++)
        for (size_t i = 0; i < 3; i++)
            if (strcmp(s, words[value][i]) == 0) {
                *ret = value;
                return 0;
            }
    return -EINVAL;
}

const char *signal_to_string(int signal, char buffer[SIGNAL_NAME_SIZE])
{
    const char *name = signal_name(signal);
    if (name)
        (void)snprintf(buffer, SIGNAL_NAME_SIZE, "SIG%s", name);
    else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
        (void)snprintf(buffer, SIGNAL_NAME_SIZE, "SIGRTMIN+%d", signal - SIGRTMIN);
    else
        (void)snprintf(buffer, SIGNAL_NAME_SIZE, "signal %d", signal);
    return buffer;
}

const char *size_to_text(uint64_t bytes, char buffer[SIZE_TEXT_SIZE])
{
    static const char units[] = "\0KMGTPE";
    size_t unit = 0;
    double value = (double)bytes;
    /* What would be written as 1024 is 1.0 of the next unit. */
    for (; value >= 1023.5; unit++)
        value /= 1024;
    (void)snprintf(buffer, SIZE_TEXT_SIZE, "%.*f%.1s", unit > 0 && value < 99.95, value,
                   &units[unit]);
    return buffer;
}

static uint64_t divide_rounded(uint64_t value, uint64_t unit)
{
    return value / unit + (value % unit >= unit / 2);
}

const char *duration_to_text(uint64_t usec, char buffer[DURATION_TEXT_SIZE])
{
    uint64_t msec = divide_rounded(usec, USEC_PER_MSEC);
    uint64_t seconds = divide_rounded(usec, USEC_PER_SEC);
    if (usec == USEC_INFINITY)
        (void)snprintf(buffer, DURATION_TEXT_SIZE, "forever");
    else if (msec < 1000)
        (void)snprintf(buffer, DURATION_TEXT_SIZE, "%" PRIu64 " ms", msec);
    else if (msec < 60000)
        (void)snprintf(buffer, DURATION_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " s", msec / 1000,
                       msec % 1000 / 100);
    else if (seconds < 3600)
        (void)snprintf(buffer, DURATION_TEXT_SIZE, "%" PRIu64 " min %" PRIu64 " s", seconds / 60,
                       seconds % 60);
    else
        (void)snprintf(buffer, DURATION_TEXT_SIZE, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
                       seconds / 60 % 60);
    return buffer;
}

const char *duration_to_config(uint64_t usec, char buffer[DURATION_TEXT_SIZE])
{
    static const struct {
        const char *name;
        uint64_t usec;
    } units[] = {
        {"h", 3600 * USEC_PER_SEC},
        {"m", 60 * USEC_PER_SEC},
        {"s", USEC_PER_SEC},
        {"ms", USEC_PER_MSEC},
        {"us", 1},
    };
    size_t i = 0;
    while (usec % units[i].usec != 0)
        i++;
    if (usec == 0)
        i = 2;
    (void)snprintf(buffer, DURATION_TEXT_SIZE, "%" PRIu64 "%s", usec / units[i].usec,
                   units[i].name);
    return buffer;
}
