/* What one configuration changes against another: a table of pairs, every key of the tables, and both directions. */
#include "config-test.h"

#include "base/fd.h"
#include "base/strv.h"
#include "config/diff.h"
#include "config/keys.h"
#include "config/values.h"

#include <fcntl.h>
#include <unistd.h>

/* Telling a diff in one line: what is kept is left out */

static void tell_keys(FILE *stream, char *const *keys)
{
    const char *before = " {";
    STRV_FOREACH (key, keys) {
        (void)fprintf(stream, "%s%s", before, *key);
        before = ", ";
    }
    (void)fputs(keys ? "}" : "", stream);
}

static const char *tell_fate(enum config_fate fate)
{
    switch (fate) {
    case CONFIG_KEPT:
        return "=";
    case CONFIG_CHANGED:
        return "~";
    case CONFIG_ADDED:
        return "+";
    case CONFIG_REMOVED:
        return "-";
    }
    return "?";
}

static void tell_socket(FILE *stream, const struct config_socket_change *change)
{
    const char *name = (change->to ? change->to : change->from)->name;
    if (change->fate == CONFIG_KEPT) {
        assert_false(change->renamed || change->moved || change->rebind || change->keys);
        return;
    }
    assert_int_equal(change->fate == CONFIG_ADDED, !change->from);
    assert_int_equal(change->fate == CONFIG_REMOVED, !change->to);
    (void)fprintf(stream, "%s:%s", tell_fate(change->fate), name);
    if (change->renamed)
        (void)fprintf(stream, " was %s", change->from->name);
    if (change->fate == CONFIG_CHANGED)
        (void)fprintf(stream, "%s%s", change->rebind ? " rebind" : "",
                      change->moved ? " moved" : "");
    tell_keys(stream, change->keys);
    (void)fputs("; ", stream);
}

static void tell_program(FILE *stream, const struct config_program_change *change)
{
    const char *name = (change->to ? change->to : change->from)->name;
    assert_int_equal(change->rolls, change->fate == CONFIG_ADDED || change->fate == CONFIG_CHANGED);
    if (change->fate == CONFIG_KEPT) {
        assert_false(change->renamed || change->only_more_sockets || change->keys);
        return;
    }
    assert_int_equal(change->fate == CONFIG_ADDED, !change->from);
    assert_int_equal(change->fate == CONFIG_REMOVED, !change->to);
    (void)fprintf(stream, "%s%s", tell_fate(change->fate), name);
    if (change->renamed)
        (void)fprintf(stream, " was %s", change->from->name);
    (void)fputs(change->only_more_sockets ? " more" : "", stream);
    tell_keys(stream, change->keys);
    (void)fputs("; ", stream);
}

/* "~:SOCKET was NAME rebind moved {keys}; +PROGRAM; settings {keys}" */
static char *tell(const struct config_diff *diff)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    for (size_t i = 0; i < diff->n_sockets; i++)
        tell_socket(stream, &diff->sockets[i]);
    for (size_t i = 0; i < diff->n_programs; i++)
        tell_program(stream, &diff->programs[i]);
    if (diff->settings) {
        (void)fputs("settings", stream);
        tell_keys(stream, diff->settings);
    }
    assert_int_equal(fclose(stream), 0);
    if (size > 1 && strcmp(text + size - 2, "; ") == 0)
        text[size - 2] = '\0';
    return text;
}

/* Both directions */

static enum config_fate mirror_fate(enum config_fate fate)
{
    switch (fate) {
    case CONFIG_ADDED:
        return CONFIG_REMOVED;
    case CONFIG_REMOVED:
        return CONFIG_ADDED;
    case CONFIG_KEPT:
    case CONFIG_CHANGED:
        break;
    }
    return fate;
}

/* "SOMETHING: 1 -> 2" and "SOMETHING: 2 -> 1" */
static bool is_mirrored_key(const char *key, const char *other)
{
    const char *arrow = strstr(key, " -> ");
    if (!arrow)
        return strcmp(key, other) == 0;
    for (const char *colon = strstr(key, ": "); colon && colon < arrow;
         colon = strstr(colon + 2, ": ")) {
        CLEANUP_FREE char *swapped = string_format("%.*s: %s -> %.*s", (int)(colon - key), key,
                                                   arrow + 4, (int)(arrow - colon - 2), colon + 2);
        if (strcmp(swapped, other) == 0)
            return true;
    }
    return false;
}

/* A socket that took another's name: in the other direction that may be the name of one that was added. */
static bool is_about_name(const char *key)
{
    return strstr(key, "': is what '");
}

/* What is about a socket has its new name in it, which is another one in the other direction. */
static const char *skip_socket(const char *key)
{
    return string_starts_with(key, "socket '") ? strchr(key, ':') : key;
}

static void assert_mirrored_keys(char *const *keys, char *const *others)
{
    size_t n = 0;
    STRV_FOREACH (key, keys) {
        if (is_about_name(*key))
            continue;
        assert_non_null(others);
        while (others[n] && is_about_name(others[n]))
            n++;
        assert_non_null(others[n]);
        if (!is_mirrored_key(skip_socket(*key), skip_socket(others[n])))
            print_error("'%s' is not the mirror of '%s'\n", others[n], *key);
        assert_true(is_mirrored_key(skip_socket(*key), skip_socket(others[n])));
        n++;
    }
    while (others && others[n])
        assert_true(is_about_name(others[n++]));
}

static void assert_mirrored_socket(const struct config_diff *back,
                                   const struct config_socket_change *change)
{
    size_t found = 0;
    for (size_t i = 0; i < back->n_sockets; i++) {
        const struct config_socket_change *other = &back->sockets[i];
        if (other->from != change->to || other->to != change->from)
            continue;
        found++;
        /* One that further programs have has moved; one that fewer have has not. */
        bool only_moved = (change->moved || other->moved) && !change->renamed && !change->rebind &&
                          !change->keys;
        if (!only_moved)
            assert_int_equal(other->fate, mirror_fate(change->fate));
        assert_int_equal(other->renamed, change->renamed);
        if (change->from && change->to)
            assert_int_equal(other->rebind, change->rebind);
        assert_mirrored_keys(change->keys, other->keys);
    }
    assert_int_equal(found, 1);
}

static void assert_mirrored_program(const struct config_diff *back,
                                    const struct config_program_change *change)
{
    size_t found = 0;
    for (size_t i = 0; i < back->n_programs; i++) {
        const struct config_program_change *other = &back->programs[i];
        if (other->from != change->to || other->to != change->from)
            continue;
        found++;
        assert_int_equal(other->fate, mirror_fate(change->fate));
        assert_int_equal(other->renamed, change->renamed);
        if (change->from && change->to)
            assert_int_equal(other->rolls, change->rolls);
        assert_false(change->only_more_sockets && other->only_more_sockets);
        assert_mirrored_keys(change->keys, other->keys);
    }
    assert_int_equal(found, 1);
}

static struct config_diff *diff_of(const struct config *from, const struct config *to)
{
    struct config_diff *diff = NULL;
    assert_int_equal(config_diff_new(from, to, &diff), 0);
    return diff;
}

static void assert_mirrored(const struct config_diff *diff, const struct config *from,
                            const struct config *to)
{
    CLEANUP(config_diff_freep) struct config_diff *back = diff_of(to, from);
    assert_int_equal(back->n_sockets, diff->n_sockets);
    for (size_t i = 0; i < diff->n_sockets; i++)
        assert_mirrored_socket(back, &diff->sockets[i]);
    assert_int_equal(back->n_programs, diff->n_programs);
    for (size_t i = 0; i < diff->n_programs; i++)
        assert_mirrored_program(back, &diff->programs[i]);
    assert_mirrored_keys(diff->settings, back->settings);
}

static void assert_empty(const struct config *from, const struct config *to)
{
    CLEANUP(config_diff_freep) struct config_diff *diff = diff_of(from, to);
    CLEANUP_FREE char *text = tell(diff);
    assert_string_equal(text, "");
    assert_true(config_diff_is_empty(diff));
    assert_int_equal(diff->n_sockets, to->n_sockets);
    assert_int_equal(diff->n_programs, to->n_programs);
    for (size_t i = 0; i < diff->n_programs; i++)
        assert_ptr_equal(config_diff_program(diff, to->programs[i]->name), &diff->programs[i]);
}

/* As if it were of a file. */
static struct config *load_file(const char *text)
{
    const struct config_source source = {.path = "/reloader.yaml", .text = text};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s\nis wrong: %s\n", text, errors);
    assert_int_equal(r, 0);
    return config;
}

/* The text of the difference between two texts; in passing, what holds of any two. */
static char *tell_texts(const char *old, const char *new)
{
    CLEANUP_CONFIG struct config *from = load_file(old), *to = load_file(new),
                                 *again = load_file(new);
    assert_empty(from, from);
    assert_empty(to, again);
    CLEANUP(config_diff_freep) struct config_diff *diff = diff_of(from, to);
    assert_mirrored(diff, from, to);
    char *text = tell(diff);
    assert_int_equal(config_diff_is_empty(diff), text[0] == '\0');
    return text;
}

/* The table */

#define C(sockets, programs) "{sockets: {" sockets "}, programs: {" programs "}}"
#define P(keys)              "p: {command: x, " keys "}"
#define ONE(socket)          C("a: {" socket "}", P("sockets: a"))
#define TWO(sockets)         C(sockets, P("sockets: [a, b]"))
#define SETTING(key)         "{" key ", programs: {p: {command: x}}}"

struct pair {
    const char *old, *new, *expected;
};

#define SLOTS(listen, keys)                                                                        \
    C("a: {listen: '127.0.0.1:" listen "'}", P("sockets: a, workers: 3, " keys))

static const struct pair pairs[] = {
    /* Sockets: added, removed, in another order */
    {C("a: {listen: 80}", P("sockets: a")), C("a: {listen: 80}, b: {listen: 81}", P("sockets: a")),
     "+:b"},
    {C("a: {listen: 80}, b: {listen: 81}", P("sockets: a")), C("a: {listen: 80}", P("sockets: a")),
     "-:b"},
    {C("a: {listen: 80}, b: {listen: 81}", P("sockets: a")),
     C("b: {listen: 81}, a: {listen: 80}", P("sockets: a")), ""},
    {C("a: {listen: 80}", P("sockets: a")), TWO("a: {listen: 80}, b: {listen: 81}"),
     "+:b; ~p more {sockets: [a] -> [a, b]}"},
    {C("a: {listen: 80}, b: {listen: 81}", P("sockets: [a]")),
     TWO("a: {listen: 80}, b: {listen: 81}"), "~:b moved; ~p more {sockets: [a] -> [a, b]}"},
    {C("a: {listen: 80}", P("sockets: a")),
     C("a: {listen: 80}, b: {listen: 81}", P("sockets: [b, a]")),
     "+:b; ~p {sockets: [a] -> [b, a]}"},
    {TWO("a: {listen: 80}, b: {listen: 81}"),
     C("a: {listen: 80}, b: {listen: 81}", P("sockets: [b, a]")), "~p {sockets: [a, b] -> [b, a]}"},
    {C("", P("")), C("a: {listen: 80}", P("sockets: a")),
     "+:a; ~p {sockets: [] -> [a], reload.canary: false -> true}"},
    {C("a: {listen: 80}", P("sockets: a, handoff: [env, scm-rights]")),
     C("a: {listen: 80}, b: {listen: 81}",
       P("sockets: [a, b], handoff: [env, scm-rights], workers: 2")),
     "+:b; ~p {workers: 1 -> 2, sockets: [a] -> [a, b]}"},
    {C("a: {listen: 80}", P("sockets: a")),
     C("a: {listen: 80, sharing: per_worker}, b: {listen: 81}", P("sockets: [a, b]")),
     "~:a {sharing: shared -> per_worker}; +:b; ~p {sockets: [a] -> [a, b], socket 'a': sharing: "
     "shared -> per_worker}"},

    /* Sockets: changed in place, which replaces nobody */
    {ONE("listen: 80"), ONE("listen: 80, backlog: 128"), "~:a {backlog: unset -> 128}"},
    {ONE("listen: 80, backlog: 5"), ONE("listen: 80, backlog: 128"), "~:a {backlog: 5 -> 128}"},
    {ONE("listen: 80"), ONE("listen: 80, nonblocking: true"), "~:a {nonblocking: auto -> true}"},
    {ONE("listen: '[::]:80'"), ONE("listen: '[::]:80', ipv6_only: true"),
     "~:a {ipv6_only: false -> true}"},
    {ONE("listen: unix:/a"), ONE("listen: unix:/a, mode: '0660'"), "~:a {mode: unset -> 0660}"},
    {ONE("listen: unix:/a, owner: 1"), ONE("listen: unix:/a, owner: 2"), "~:a {owner: 1 -> 2}"},
    {ONE("listen: unix:/a"), ONE("listen: unix:/a, group: 2"), "~:a {group: unset -> 2}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {nodelay: true}"),
     "~:a {options.nodelay: false -> true}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {keepalive: true}"),
     "~:a {options.keepalive: false -> true}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {defer_accept: 5s}"),
     "~:a {options.defer_accept: 0s -> 5s}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {fastopen: 9}"),
     "~:a {options.fastopen: 0 -> 9}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {freebind: true}"),
     "~:a {options.freebind: false -> true}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {transparent: true}"),
     "~:a {options.transparent: false -> true}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {device: lo}"),
     "~:a {options.device: unset -> lo}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {mark: 7}"), "~:a {options.mark: 0 -> 7}"},
    {ONE("listen: 80"), ONE("listen: 80, options: {receive_buffer: 64K, send_buffer: 64K}"),
     "~:a {options.receive_buffer: unset -> 65536, options.send_buffer: unset -> 65536}"},
    {ONE("listen: 80"),
     ONE("listen: 80, options: {nodelay: false}, sharing: shared, nonblocking: auto"), ""},
    {ONE("listen: 80"), ONE("listen: '*:80'"), "~:a {listen: 80 -> \"*:80\"}"},

    /* Sockets: others, for their workers */
    {ONE("listen: 80"), ONE("listen: 80, sharing: per_worker"),
     "~:a {sharing: shared -> per_worker}; ~p {socket 'a': sharing: shared -> per_worker}"},
    {ONE("listen: 80"), ONE("listen: 81"),
     "~:a rebind {listen: 80 -> 81}; ~p {socket 'a': listen: 80 -> 81}"},
    {ONE("listen: 127.0.0.1:80"), ONE("listen: 127.0.0.2:80"),
     "~:a rebind {listen: \"127.0.0.1:80\" -> \"127.0.0.2:80\"}; ~p {socket 'a': listen: "
     "\"127.0.0.1:80\" -> \"127.0.0.2:80\"}"},
    {ONE("listen: 80"), ONE("listen: udp:80"),
     "~:a rebind {listen: 80 -> \"udp:80\"}; ~p {socket 'a': listen: 80 -> \"udp:80\"}"},
    {ONE("listen: 80"), ONE("listen: '[::]:80'"),
     "~:a rebind {listen: 80 -> \"[::]:80\"}; ~p {socket 'a': listen: 80 -> \"[::]:80\"}"},
    {ONE("listen: unix:/a"), ONE("listen: unix:@a"),
     "~:a rebind {listen: \"unix:/a\" -> \"unix:@a\"}; ~p {socket 'a': listen: \"unix:/a\" -> "
     "\"unix:@a\"}"},
    {ONE("listen: fd:3"), ONE("listen: fd:4"),
     "~:a rebind {listen: \"fd:3\" -> \"fd:4\"}; ~p {socket 'a': listen: \"fd:3\" -> \"fd:4\"}"},
    {ONE("listen: 80"), ONE("listen: fd:4"),
     "~:a rebind {listen: 80 -> \"fd:4\"}; ~p {socket 'a': listen: 80 -> \"fd:4\"}"},
    {ONE("listen: 80, backlog: 5"), ONE("listen: 81, backlog: 6"),
     "~:a rebind {listen: 80 -> 81, backlog: 5 -> 6}; ~p {socket 'a': listen: 80 -> 81, socket "
     "'a': backlog: 5 -> 6}"},

    /* Sockets: other names */
    {ONE("listen: 80"), C("b: {listen: 80}", P("sockets: b")),
     "~:b was a; ~p {sockets: [a] -> [b]}"},
    {ONE("listen: 80, backlog: 5"), C("b: {listen: 80, backlog: 6}", P("sockets: b")),
     "~:b was a {backlog: 5 -> 6}; ~p {sockets: [a] -> [b], socket 'b': backlog: 5 -> 6}"},
    {ONE("listen: 80"), C("b: {listen: 81}", P("sockets: b")),
     "+:b; -:a; ~p {sockets: [a] -> [b]}"},
    {TWO("a: {listen: 80}, b: {listen: 81}"), TWO("a: {listen: 81}, b: {listen: 80}"),
     "~:a was b; ~:b was a; ~p {socket 'a': is what 'b' was, socket 'b': is what 'a' was}"},
    {TWO("a: {listen: 80}, b: {listen: 81}"),
     C("a: {listen: 81}, b: {listen: 80}", P("sockets: [b, a]")),
     "~:a was b; ~:b was a; ~p {sockets: [a, b] -> [b, a]}"},
    {TWO("a: {listen: 80}, b: {listen: 81}"), TWO("a: {listen: 81}, b: {listen: 82}"),
     "~:a was b; +:b; -:a; ~p {socket 'a': is what 'b' was}"},
    {TWO("a: {listen: 80}, b: {listen: 81}"), C("b: {listen: 80}", P("sockets: b")),
     "~:b was a; -:b; ~p {sockets: [a, b] -> [b]}"},

    /* Private sockets, named ones, and other programs */
    {C("", P("listen: 80")), C("p: {listen: 80}", P("sockets: p")),
     "~p {sockets: [] -> [p], listen: [80] -> []}"},
    {C("", P("listen: 80")), ONE("listen: 80"),
     "~:a was p; ~p {sockets: [] -> [a], listen: [80] -> []}"},
    {C("", P("listen: 80")), C("", P("listen: [80, 81]")),
     "+:p-2; ~p more {listen: [80] -> [80, 81]}"},
    {C("", P("listen: [80, 81]")), C("", P("listen: 81")),
     "~:p was p-2; -:p; ~p {listen: [80, 81] -> [81], socket 'p': is what 'p-2' was}"},
    {C("", P("listen: 80")), C("", P("listen: 81")),
     "~:p rebind {listen: 80 -> 81}; ~p {listen: [80] -> [81], socket 'p': listen: 80 -> 81}"},
    {C("a: {listen: 80}", "p: {command: x, sockets: a}, q: {command: x}"),
     C("a: {listen: 80}", "p: {command: x}, q: {command: x, sockets: a}"),
     "~:a moved; ~p {sockets: [a] -> [], reload.canary: true -> false}; ~q {sockets: [] -> [a], "
     "reload.canary: false -> true}"},
    {C("a: {listen: 80}", "p: {command: x, sockets: a}, q: {command: x}"),
     C("a: {listen: 80}", "p: {command: x, sockets: a}, q: {command: x, sockets: a}"),
     "~:a moved; ~q {sockets: [] -> [a], reload.canary: false -> true}"},
    {C("a: {listen: 80}", "p: {command: x, sockets: a}, q: {command: x, sockets: a}"),
     C("a: {listen: 80}", "p: {command: x, sockets: a}, q: {command: x}"),
     "~q {sockets: [a] -> [], reload.canary: true -> false}"},
    {C("", "p: {command: x, listen: 80}, q: {command: y, listen: 81}"),
     C("", "p: {command: x, listen: 81}, q: {command: y, listen: 80}"),
     "~:p was q moved; ~:q was p moved; ~p {listen: [80] -> [81], socket 'p': is what 'q' was}; "
     "~q {listen: [81] -> [80], socket 'q': is what 'p' was}"},
    {ONE("listen: 80"), C("a: {listen: 80}", "q: {command: y, sockets: a}"), "~:a moved; +q; -p"},

    /* A socket for each slot */
    {SLOTS("70%(process_num)02d", ""), SLOTS("71%(process_num)02d", ""),
     "~:a rebind {listen: \"127.0.0.1:70%(process_num)02d\" -> \"127.0.0.1:71%(process_num)02d\"}; "
     "~p {socket 'a': listen: \"127.0.0.1:70%(process_num)02d\" -> "
     "\"127.0.0.1:71%(process_num)02d\"}"},
    {SLOTS("70%(process_num)02d", ""), SLOTS("70%(process_num)02d", "numprocs_start: 1"),
     "~:a rebind; ~p {numprocs_start: 0 -> 1}"},
    {SLOTS("70%(process_num)02d", ""), SLOTS("700%(process_num)s", ""),
     "~:a {listen: \"127.0.0.1:70%(process_num)02d\" -> \"127.0.0.1:700%(process_num)s\"}"},
    {C("", P("workers: 2, listen: '70%(process_num)02d'")),
     C("", P("workers: 4, listen: '70%(process_num)02d'")), "~p {workers: 2 -> 4}"},
    {C("", P("workers: 4, listen: '70%(process_num)02d'")),
     C("", P("workers: 2, listen: '70%(process_num)02d'")), "~p {workers: 4 -> 2}"},
    {C("", P("workers: 1, listen: '70%(process_num)02d'")), C("", P("listen: 7000")),
     "~:p rebind {listen: 70%(process_num)02d -> 7000}; "
     "~p {listen: [70%(process_num)02d] -> [7000], socket 'p': listen: 70%(process_num)02d -> "
     "7000}"},
    {SLOTS("70%(process_num)02d", ""),
     C("b: {listen: '127.0.0.1:70%(process_num)02d'}", P("workers: 3, sockets: b")),
     "~:b was a; ~p {sockets: [a] -> [b]}"},
    /* 111 and 1111 are both of the first and the last slot, but the second has 121 and not 112 any more. */
    {C("", P("workers: 11, numprocs_start: 1, listen: '1%(process_num)s1'")),
     C("", P("workers: 11, numprocs_start: 1, listen: '11%(process_num)s'")),
     "~:p rebind {listen: 1%(process_num)s1 -> 11%(process_num)s}; "
     "~p {listen: [1%(process_num)s1] -> [11%(process_num)s], socket 'p': listen: "
     "1%(process_num)s1 -> 11%(process_num)s}"},
    {C("a: {listen: 80, sharing: per_worker}", P("sockets: a, workers: 2")),
     C("a: {listen: 80, sharing: per_worker}", P("sockets: a, workers: 3")),
     "~p {workers: 2 -> 3}"},

    /* Programs */
    {C("", P("")), C("", P("") ", q: {command: y}"), "+q"},
    {C("", P("") ", q: {command: y}"), C("", P("")), "-q"},
    {C("", P("")), C("", P("") ", q: {command: y, listen: 80}"), "+:q; +q"},
    {C("", P("") ", q: {command: y, listen: 80}"), C("", P("")), "-:q; -q"},
    {C("", P("") ", q: {command: y}"), C("", "q: {command: y}, " P("")), ""},
    {C("", P("")), C("", "q: {command: x}"), "~q was p"},
    {C("", P("listen: 80")), C("", "q: {command: x, listen: 80}"), "~:q was p; ~q was p"},
    {C("", P("listen: [80, 81]")), C("", "q: {command: x, listen: [80, 81]}"),
     "~:q was p; ~:q-2 was p-2; ~q was p"},
    {ONE("listen: 80"), C("a: {listen: 80}", "q: {command: x, sockets: a}"), "~q was p"},
    {C("", P("")), C("", "q: {command: x, workers: 2}"), "+q; -p"},
    {C("", P("listen: 80")), C("", "q: {command: y, listen: 80}"), "~:q was p moved; +q; -p"},
    {C("", P("listen: 'unix:/%(program_name)s'")),
     C("", "q: {command: x, listen: 'unix:/%(program_name)s'}"), "+:q; -:p; ~q was p"},
    {C("", P("") ", q: {command: y}"), C("", "p: {command: y}, q: {command: x}"),
     "~p {command: [x] -> [\"y\"]}; ~q {command: [\"y\"] -> [x]}"},
    {C("", P("") ", q: {command: x}"), C("", "r: {command: x}"), "~r was p; -q"},
    {C("", P("")), C("", "r: {command: x}, q: {command: x}"), "~r was p; +q"},
    {C("", P("") ", q: {command: y}"), C("", "r: {command: x}, s: {command: y}"),
     "~r was p; ~s was q"},
    {C("", P("workers: 2")), C("", P("workers: 4")), "~p {workers: 2 -> 4}"},
    {C("", P("workers: 4")), C("", P("workers: 2")), "~p {workers: 4 -> 2}"},
    {C("", P("stop_signal: INT")), C("", P("stop_signal: QUIT")),
     "~p {drain_signal: SIGINT -> SIGQUIT, stop_signal: SIGINT -> SIGQUIT}"},
    {C("", "p: {command: [x]}"), C("", P("")), ""},
    {C("", P("stop_timeout: 1m")), C("", P("stop_timeout: 60s")), ""},
    {C("", P("reload: {order: drain-first}, stop_timeout: 10s, environment: {}")), C("", P("")),
     ""},

    /* Both sides of one thing */
    {C("a: {listen: 80}", P("sockets: a") ", q: {command: y}"),
     C("a: {listen: 80, backlog: 9}", P("sockets: a, workers: 2")),
     "~:a {backlog: unset -> 9}; ~p {workers: 1 -> 2}; -q"},

    /* Settings */
    {SETTING("log: {level: info}"), SETTING("log: {level: debug}"),
     "settings {log.level: info -> debug}"},
    {SETTING("log: {level: info}"), SETTING("identifier: reloader"), ""},
    {SETTING("log: {file: /a}"), SETTING("log: {file: /b, format: json}"),
     "settings {log.format: auto -> json, log.file: /a -> /b}"},
    {SETTING("control: {socket: /a}"), SETTING("control: {socket: none}"),
     "settings {control.socket: /a -> none}"},
    {SETTING("control: {mode: '0600'}"), SETTING("control: {mode: '0660'}"),
     "settings {control.mode: 0600 -> 0660}"},
    {SETTING("pid_file: /a"), SETTING("pid_file: /b"), "settings {pid_file: /a -> /b}"},
    {SETTING("identifier: a"), SETTING("identifier: b"), "settings {identifier: a -> b}"},
    {SETTING("gateway: none"), SETTING("gateway: {listen: unix:/a}"),
     "settings {gateway: none -> unix:/a}"},
    {SETTING("gateway: {listen: unix:/a}"), SETTING("gateway: {listen: unix:/b, public: readyz}"),
     "settings {gateway.listen: \"unix:/a\" -> \"unix:/b\", gateway.public: [] -> [readyz]}"},
    {SETTING("gateway: {listen: unix:/a, username: u, password: secret}"),
     SETTING("gateway: {listen: unix:/a, username: u, password: other}"),
     "settings {gateway.password}"},
    {SETTING("runtime_directory: /a"), SETTING("runtime_directory: /b"),
     "settings {runtime_directory: /a -> /b, control.socket: /a/control.sock -> /b/control.sock}"},
};

static void test_pairs(void **state UNUSED)
{
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        CLEANUP_FREE char *text = tell_texts(pairs[i].old, pairs[i].new);
        if (strcmp(text, pairs[i].expected) == 0)
            continue;
        print_error("%s\n-> %s\nis: %s\nnot: %s\n", pairs[i].old, pairs[i].new, text,
                    pairs[i].expected);
        wrong++;
    }
    assert_true(ARRAY_SIZE(pairs) >= 60);
    assert_int_equal(wrong, 0);
}

/* Every key of the tables */

struct sample {
    const char *key, *one, *other;
    const char *with; /* other keys that it needs */
};

static char environment_path[] = "/tmp/reloader-test-diff-XXXXXX";

static int make_environment(void **state UNUSED)
{
    CLEANUP_FD int fd = mkostemp(environment_path, O_CLOEXEC);
    return fd < 0 ? -1 : 0;
}

static int remove_environment(void **state UNUSED)
{
    return unlink(environment_path);
}

/* Of those whose type does not say it. */
static const struct sample samples[] = {
    {"sockets.NAME.listen", "80", "81", ""},
    {"sockets.NAME.backlog", "5", "6", NULL},
    {"sockets.NAME.ipv6_only", "true", "false", "listen: '[::]:80'"},
    {"sockets.NAME.mode", "'0600'", "'0660'", "listen: unix:/a"},
    {"sockets.NAME.owner", "1", "2", "listen: unix:/a"},
    {"sockets.NAME.group", "1", "2", "listen: unix:/a"},
    {"programs.NAME.command", "[x, y]", "[x, z]", ""},
    {"programs.NAME.workers", "1", "2", NULL},
    {"programs.NAME.sockets", "[s]", "[]", NULL},
    {"programs.NAME.listen", "81", "82", NULL},
    {"programs.NAME.handoff", "env", "scm-rights", "command: x, listen: 81"},
    {"programs.NAME.worker_name", "'a%(process_num)s'", "'b%(process_num)s'", NULL},
    {"programs.NAME.directory", "/", "/tmp", NULL},
    {"programs.NAME.environment", "{A: one}", "{A: two}", NULL},
    {"programs.NAME.environment_file", environment_path, "null", NULL},
    {"programs.NAME.groups", "[a]", "[b]", NULL},
    {"programs.NAME.group", "1", "2", NULL},
    {"programs.NAME.supplementary_groups", "[1]", "[2]", NULL},
    {"programs.NAME.cpu_affinity", "[0]", "per_worker", NULL},
    {"programs.NAME.capabilities", "[chown]", "[kill]", NULL},
    {"programs.NAME.expected_exit_codes", "[1]", "[2]", NULL},
    {"programs.NAME.start_retries", "3", "4", NULL},
    {"programs.NAME.stdout.events", "true, to: log", "false, to: log", NULL},
    {"programs.NAME.stderr.events", "true, to: log", "false, to: log", NULL},
    {"programs.NAME.max_restarts", "{count: 3}", "{count: 4}", NULL},
    {"programs.NAME.on_event", "{types: fatal, command: a}", "{types: reload, command: a}", NULL},
    {"programs.NAME.watch", "true", "[lib]", NULL},
    {"programs.NAME.watch_ignore", "[a]", "[b]", NULL},
    {"programs.NAME.ready", "notify", "{tcp: 81}", NULL},
    {"programs.NAME.health", "{tcp: 81}", "{tcp: 81, failures: 4}", NULL},
    {"programs.NAME.reload.max_unavailable", "1", "2", NULL},
    {"programs.NAME.reload.max_surge", "1", "2", NULL},
    {"programs.NAME.reload.probation", "1s", "2s", NULL},
    {"programs.NAME.reload.check_command", "[a]", "[b]", NULL},
    {"control.socket", "/a", "/b", NULL},
    {"gateway", "{listen: unix:/a}", "{listen: unix:/b}", NULL},
    {"directory", "/", "/tmp", NULL},
    {"environment", "{A: one}", "{A: two}", NULL},
};

static void set_sample(struct sample *sample, const char *one, const char *other)
{
    if (!sample->one) {
        sample->one = one;
        sample->other = other;
    }
}

static void set_limit_sample(struct sample *sample, const struct key *key)
{
    switch ((enum limit_unit)key->min) {
    case LIMIT_NUMBER:
        set_sample(sample, "3", "4");
        break;
    case LIMIT_BYTES:
        set_sample(sample, "64K", "128K");
        break;
    case LIMIT_SECONDS:
    case LIMIT_MICROSECONDS:
        set_sample(sample, "1s", "2s");
        break;
    }
}

/* Two values of a key, or those of the table. */
static struct sample find_sample(const char *path, const struct key *key)
{
    struct sample sample = {.key = path};
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        if (strcmp(samples[i].key, path) == 0)
            sample = samples[i];
    if (key->type == &type_bool)
        set_sample(&sample, "true", "false");
    if (key->type == &type_choice)
        set_sample(&sample, key->words[0], key->words[1]);
    if (key->type == &type_duration)
        set_sample(&sample, "1s", "2s");
    if (key->type == &type_number)
        set_sample(&sample, "3", "4");
    if (key->type == &type_factor)
        set_sample(&sample, key->max <= 100 ? "0.3" : "3", key->max <= 100 ? "0.4" : "4");
    if (key->type == &type_size)
        set_sample(&sample, "1M", "2M");
    if (key->type == &type_signal)
        set_sample(&sample, "INT", "QUIT");
    if (key->type == &type_integer)
        set_sample(&sample, "3", "4");
    if (key->type == &type_limit)
        set_limit_sample(&sample, key);
    if (key->type == &type_mode || key->type == &type_umask)
        set_sample(&sample, "'0600'", "'0660'");
    if (key->type == &type_user || key->type == &type_group || key->type == &type_account_user)
        set_sample(&sample, "1", "2");
    if (key->type == &type_text || key->type == &type_interface)
        set_sample(&sample, "one", "two");
    if (key->type == &type_path || key->type == &type_directory ||
        key->type == &type_template_path ||
        key->type == &type_runtime_directory || key->type == &type_environment_file)
        set_sample(&sample, "/a", "/b");
    if (!sample.one)
        print_error("%s: test-config-diff.c needs two values of it\n", path);
    assert_non_null(sample.one);
    return sample;
}

/* What is at the top for programs that have none of their own. */
static bool is_inherited(const char *path)
{
    return strcmp(path, "umask") == 0 || strcmp(path, "directory") == 0 ||
           strcmp(path, "environment") == 0;
}

/* "KEY: VALUE", or "SECTION: {KEY: VALUE}". */
static char *write_key(const char *section, const char *name, const char *value)
{
    return *section ? string_format("%s: {%s: %s}", section, name, value)
                    : string_format("%s: %s", name, value);
}

enum level { LEVEL_TOP, LEVEL_SOCKET, LEVEL_PROGRAM };

static char *write_config(enum level level, const struct sample *sample, const char *text)
{
    switch (level) {
    case LEVEL_TOP:
        return string_format("{%s, programs: {p: {command: x}}}", text);
    case LEVEL_SOCKET:
        return string_format("{sockets: {s: {%s, %s}}, programs: {p: {command: x, sockets: s}}}",
                             text, sample->with ? sample->with : "listen: 80");
    case LEVEL_PROGRAM:
        return string_format("{sockets: {s: {listen: 80}}, programs: {p: {%s, %s}}}", text,
                             sample->with ? sample->with : "command: x");
    }
    return NULL;
}

static void assert_seen(enum level level, const char *section, const struct key *key,
                        const char *path)
{
    const struct sample sample = find_sample(path, key);
    CLEANUP_FREE char *one = write_key(section, key->name, sample.one),
                      *other = write_key(section, key->name, sample.other);
    CLEANUP_FREE char *old = write_config(level, &sample, one),
                      *new = write_config(level, &sample, other);
    CLEANUP_FREE char *text = tell_texts(old, new);
    CLEANUP_FREE char *seen = string_format("%s%s%s", section, *section ? "." : "", key->name);
    if (!strstr(text, seen))
        print_error("%s\n-> %s\nis: '%s'\n", old, new, text);
    assert_non_null(strstr(text, seen));
    /* A setting concerns no program, and a key of a program that program alone. */
    assert_int_equal(strstr(text, "settings") != NULL, level == LEVEL_TOP);
    if (level != LEVEL_SOCKET)
        assert_int_equal(strstr(text, "~p") != NULL, level == LEVEL_PROGRAM || is_inherited(path));
}

static size_t assert_all_seen(enum level level, const struct key_table *table, const char *section)
{
    size_t n = 0;
    for (const struct key *key = table->keys; key->name; key++) {
        /* What include brings is compared where it belongs. */
        if (!key->type || key->type == &type_sockets || key->type == &type_programs ||
            key->type == &type_include)
            continue;
        if (key_is_section(key)) {
            n += assert_all_seen(level, key->table, key->name);
            continue;
        }
        CLEANUP_FREE char *path = string_format("%s%s%s", table->path, *table->path ? "." : "",
                                                key->name);
        assert_seen(level, section, key, path);
        n++;
    }
    return n;
}

static void test_every_key(void **state UNUSED)
{
    assert_true(assert_all_seen(LEVEL_TOP, &root_table, "") >= 8);
    assert_true(assert_all_seen(LEVEL_SOCKET, &socket_table, "") >= 15);
    assert_true(assert_all_seen(LEVEL_PROGRAM, &program_table, "") >= 30);
}

static void test_secrets(void **state UNUSED)
{
    static const char *const pairs_of_secrets[][2] = {
        {C("", P("environment: {PASSWORD: hunter1}")),
         C("", P("environment: {PASSWORD: hunter2}"))},
        {C("", P("environment: {A: b}")), C("", P("environment: {A: b, PASSWORD: hunter2}"))},
        {C("", P("environment: {PASSWORD: hunter1}")), C("", P("environment: {}"))},
        {C("", P("environment: {PASSWORD: \"hun\\nter1\"}")),
         C("", P("environment: {PASSWORD: 'hunter2'}"))},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs_of_secrets); i++) {
        CLEANUP_FREE char *text = tell_texts(pairs_of_secrets[i][0], pairs_of_secrets[i][1]);
        assert_string_equal(text, "~p {environment}");
    }
    /* Not even of one that has another name as well, or is another program. */
    CLEANUP_FREE char *renamed = tell_texts(C("", P("environment: {A: hunter1}")),
                                            C("", "q: {command: x, environment: {A: hunter1}}"));
    assert_string_equal(renamed, "~q was p");
    CLEANUP_FREE char *replaced = tell_texts(C("", P("environment: {A: hunter1}")),
                                             C("", "q: {command: x, environment: {A: hunter2}}"));
    assert_string_equal(replaced, "+q; -p");
}

/* A setting at the top, but for those whose files are there. */
static void test_log_directory(void **state UNUSED)
{
    CLEANUP_FREE char *text = tell_texts(
        "{log_directory: /a, programs: {p: {command: x, stdout: file}, q: {command: x}, "
        "r: {command: x, stderr: /r}}}",
        "{log_directory: /b, programs: {p: {command: x, stdout: file}, q: {command: x}, "
        "r: {command: x, stderr: /r}}}");
    assert_string_equal(text, "~p {log_directory: /a -> /b}; settings {log_directory: /a -> /b}");
}

static void test_long_values(void **state UNUSED)
{
    CLEANUP_FREE char *text = tell_texts(
        C("", P("drain_message: short")),
        C("",
          P("drain_message: 0123456789012345678901234567890123456789012345678901234567890123")));
    assert_string_equal(text, "~p {drain_message}");
}

static void test_lookups(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *from = load_text(
        "{log: {level: info}, programs: {a: {command: x}, b: {command: y}, c: {command: z}}}");
    CLEANUP_CONFIG struct config *to = load_text(
        "{log: {level: debug}, programs: {d: {command: x}, b: {command: y, workers: 2}}}");
    CLEANUP(config_diff_freep) struct config_diff *diff = diff_of(from, to);
    assert_int_equal(config_diff_program(diff, "d")->fate, CONFIG_CHANGED);
    assert_null(config_diff_program(diff, "a"));
    assert_int_equal(config_diff_program(diff, "b")->fate, CONFIG_CHANGED);
    assert_int_equal(config_diff_program(diff, "c")->fate, CONFIG_REMOVED);
    assert_true(config_diff_has_setting(diff, "log"));
    assert_true(config_diff_has_setting(diff, "log.level"));
    assert_false(config_diff_has_setting(diff, "log.lev"));
    assert_false(config_diff_has_setting(diff, "lo"));
    assert_false(config_diff_has_setting(diff, "control"));
    assert_null(config_diff_free(NULL));
}

/* A file that was split in two says the same. */
static void test_split(void **state UNUSED)
{
    char directory[] = "/tmp/reloader-test-diff-XXXXXX";
    assert_non_null(mkdtemp(directory));
    CLEANUP_FREE char *main_path = string_format("%s/main.yaml", directory),
                      *part_path = string_format("%s/part.yaml", directory);
    static const char *const texts[][2] = {
        {"{sockets: {a: {listen: 80}}, programs: {p: {command: x, directory: ., sockets: a}, q: "
         "{command: '%(here)s/y'}}}",
         ""},
        {"{include: part.yaml, sockets: {a: {listen: 80}}, programs: {p: {command: x, directory: "
         "., "
         "sockets: a}}}",
         "{programs: {q: {command: '%(here)s/y'}}}"},
        {"{include: part.yaml, programs: {q: {command: '%(here)s/y'}}}",
         "{sockets: {a: {listen: 80}}, programs: {p: {command: x, directory: ., sockets: a}}}"},
    };
    struct config *configs[ARRAY_SIZE(texts)] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        FILE *main_file = fopen(main_path, "w"), *part = fopen(part_path, "w");
        assert_true(main_file && part && fputs(texts[i][0], main_file) >= 0 &&
                    fputs(texts[i][1], part) >= 0);
        assert_true(fclose(main_file) == 0 && fclose(part) == 0);
        const struct config_source source = {.path = main_path};
        char *errors = NULL;
        int r = config_load(&source, &configs[i], &errors);
        if (r < 0)
            print_error("%s\n", errors);
        assert_int_equal(r, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        for (size_t j = 0; j < ARRAY_SIZE(texts); j++)
            assert_empty(configs[i], configs[j]);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        (void)config_unref(configs[i]);
    assert_int_equal(unlink(main_path) + unlink(part_path) + rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),   cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_secrets), cmocka_unit_test(test_log_directory),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_lookups), cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, make_environment, remove_environment);
}
