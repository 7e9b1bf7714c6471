#include "reloader/arguments.h"

#include "base/strv.h"
#include "config/paths.h"
#include "config/quote.h"
#include "config/suggest.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#define NAME_LENGTH_MAX 64

/* Long options without a letter. */
enum { OPTION_SET = 256, OPTION_PRINT_CONFIG, OPTION_LIST_KEYS, OPTION_LISTEN, OPTION_WORKERS };

/* With "-" getopt hands out words in their order; with ":" it leaves messages to us. */
static const char letters[] = "-:c:tnde:l:j:u:hV";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, 't'},
    {"print-config", no_argument, NULL, OPTION_PRINT_CONFIG},
    {"list-keys", no_argument, NULL, OPTION_LIST_KEYS},
    {"set", required_argument, NULL, OPTION_SET},
    {"foreground", no_argument, NULL, 'n'},
    {"daemonize", no_argument, NULL, 'd'},
    {"log-level", required_argument, NULL, 'e'},
    {"log-file", required_argument, NULL, 'l'},
    {"pid-file", required_argument, NULL, 'j'},
    {"user", required_argument, NULL, 'u'},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

void arguments_print_help(FILE *stream)
{
    (void)fputs(
        "reloader keeps listening sockets open while the programs behind them are replaced.\n"
        "\n"
        "  reloader [OPTIONS] [FILE]                       run what FILE describes\n"
        "  reloader run [OPTIONS] [--listen ADDRESS]… [--workers N] [--] COMMAND…\n"
        "                                                  run one program without a file\n"
        "  reloader import FILE                            print a configuration made of another\n"
        "                                                  supervisor's: supervisord.conf,\n"
        "                                                  qilin-daemon.json\n"
        "\n"
        "Without FILE: ./reloader.yaml, ./etc/reloader.yaml, /etc/reloader/reloader.yaml.\n"
        "\n"
        "  -c, --config FILE      the configuration\n"
        "  -t, --check            say whether the configuration is valid, and leave\n"
        "      --print-config     print the effective configuration, and leave\n"
        "      --list-keys        print every key of the configuration, and leave\n"
        "      --set KEY=VALUE    set a key, as programs.web.workers=8; may be repeated\n"
        "  -n, --foreground       stay in the foreground (default)\n"
        "  -d, --daemonize        go to the background once everything is ready\n"
        "  -e, --log-level LEVEL  error, warning, info, debug or trace\n"
        "  -l, --log-file FILE    log into this file\n"
        "  -j, --pid-file FILE    write the pid into this file\n"
        "  -u, --user USER        become USER once all sockets are bound\n"
        "  -h, --help             print this, and leave\n"
        "  -V, --version          print the version, and leave\n"
        "\n"
        "With run:\n"
        "      --listen ADDRESS   8080, 127.0.0.1:8080, [::1]:8080, udp:53, unix:/path,\n"
        "                         unix:@name or fd:3; may be repeated\n"
        "      --workers N        how many workers, or auto (default 1)\n"
        "\n"
        "Signals: HUP reloads, TERM and INT stop gracefully, QUIT stops now.\n"
        "Exit codes: 0 stopped as asked for, 1 failed, 2 wrong usage, 3 wrong configuration.\n"
        "Man pages: reloader(8), reloader.yaml(5), reloader-worker(7), reloaderctl(1),\n"
        "reloader-gateway(8), libreloader(3).\n",
        stream);
}

/* What the words say, before it is made into arguments. */
struct command_line {
    struct arguments arguments;
    char *file; /* borrowed from argv, as the rest is */
    bool run, import;
    char **command; /* of run: the rest of argv */
    char **listen;  /* owned */
    const char *workers;
};

static void command_line_clear(struct command_line *line)
{
    arguments_clear(&line->arguments);
    (void)strv_free(line->listen);
}

void arguments_clear(struct arguments *arguments)
{
    free(arguments->path);
    free(arguments->text);
    free(arguments->directory);
    (void)strv_free(arguments->sets);
    *arguments = (struct arguments){0};
}

static int fail(char **ret_error, int error, char *text)
{
    if (!text)
        return -ENOMEM;
    *ret_error = text;
    return error;
}

#define HINT "; see 'reloader --help'"

static int fail_unknown(const char *word, char **ret_error)
{
    struct suggestion suggestion;
    if (!string_starts_with(word, "--"))
        return fail(ret_error, -EINVAL, string_format("unknown option -%c" HINT, optopt));
    CLEANUP_FREE char *name = strndup(word + 2, strcspn(word + 2, "="));
    if (!name)
        return -ENOMEM;
    suggestion_init(&suggestion, name);
    for (const struct option *option = options; option->name; option++)
        suggestion_try(&suggestion, option->name);
    if (optopt != 0)
        return fail(ret_error, -EINVAL, string_format("option '--%s' takes no value" HINT, name));
    if (suggestion.best)
        return fail(ret_error, -EINVAL,
                    string_format("unknown option '--%s': did you mean '--%s'?" HINT, name,
                                  suggestion.best));
    return fail(ret_error, -EINVAL, string_format("unknown option '--%s'" HINT, name));
}

/* A value of an option is text, whatever YAML would make of it. */
static int add_set(struct command_line *line, const char *key, const char *value, char **ret_error)
{
    CLEANUP_FREE char *quoted = yaml_quote(value);
    if (!quoted)
        return fail(ret_error, -EINVAL,
                    string_format("the value for %s is no valid text (UTF-8)", key));
    return strv_appendf(&line->arguments.sets, "%s=%s", key, quoted);
}

/* Paths of the command line begin where the user is, not where the file is, and are no templates. */
static int add_set_path(struct command_line *line, const char *key, const char *path,
                        char **ret_error)
{
    CLEANUP_FREE char *absolute = path_absolute(path),
                      *doubled = absolute ? percent_double(absolute) : NULL;
    if (!doubled)
        return -ENOMEM;
    return add_set(line, key, doubled, ret_error);
}

static int set_file(struct command_line *line, char *file, char **ret_error)
{
    if (line->file)
        return fail(ret_error, -EINVAL,
                    string_format("two configurations, '%s' and '%s': expected one" HINT,
                                  line->file, file));
    line->file = file;
    return 0;
}

/* A word that is no option: a verb, a file, or the beginning of a command. */
static int take_word(struct command_line *line, char **words, char **ret_error)
{
    if (line->run) {
        line->command = words;
        return 0;
    }
    if (!line->file && strcmp(*words, "run") == 0) {
        line->run = true;
        return 0;
    }
    if (!line->file && !line->import && strcmp(*words, "import") == 0) {
        line->import = true;
        return 0;
    }
    return set_file(line, *words, ret_error);
}

static int take_option(struct command_line *line, int option, char *argv[], char **ret_error)
{
    switch (option) {
    case 1:
        return take_word(line, &argv[optind - 1], ret_error);
    case 'c':
        return set_file(line, optarg, ret_error);
    case 't':
        line->arguments.mode = ARGUMENTS_MODE_CHECK;
        return 0;
    case OPTION_PRINT_CONFIG:
        line->arguments.mode = ARGUMENTS_MODE_PRINT_CONFIG;
        return 0;
    case OPTION_LIST_KEYS:
        line->arguments.mode = ARGUMENTS_MODE_LIST_KEYS;
        return 0;
    case OPTION_SET:
        return strv_append(&line->arguments.sets, optarg);
    case 'n':
    case 'd':
        line->arguments.daemonize = option == 'd';
        return 0;
    case 'e':
        return add_set(line, "log.level", optarg, ret_error);
    case 'l':
        return add_set_path(line, "log.file", optarg, ret_error);
    case 'j':
        return add_set_path(line, "pid_file", optarg, ret_error);
    case 'u':
        return add_set(line, "user", optarg, ret_error);
    case OPTION_LISTEN:
        return strv_append(&line->listen, optarg);
    case OPTION_WORKERS:
        line->workers = optarg;
        return 0;
    case 'h':
        line->arguments.mode = ARGUMENTS_MODE_HELP;
        return 0;
    case 'V':
        line->arguments.mode = ARGUMENTS_MODE_VERSION;
        return 0;
    case ':':
        return fail(ret_error, -EINVAL,
                    string_format("option '%s' needs a value" HINT, argv[optind - 1]));
    }
    return fail_unknown(argv[optind - 1], ret_error);
}

static bool needs_configuration(const struct command_line *line)
{
    switch (line->arguments.mode) {
    case ARGUMENTS_MODE_MASTER:
    case ARGUMENTS_MODE_CHECK:
    case ARGUMENTS_MODE_PRINT_CONFIG:
        return true;
    case ARGUMENTS_MODE_IMPORT:
    case ARGUMENTS_MODE_LIST_KEYS:
    case ARGUMENTS_MODE_HELP:
    case ARGUMENTS_MODE_VERSION:
        return false;
    }
    return true;
}

static int read_words(int argc, char *argv[], struct command_line *line, char **ret_error)
{
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    while (!line->command) {
        int option = getopt_long(argc, argv, letters, options, NULL);
        if (option == -1)
            break;
        int r = take_option(line, option, argv, ret_error);
        /* --help helps whatever else is there. */
        if (r < 0 || line->arguments.mode == ARGUMENTS_MODE_HELP)
            return r;
    }
    for (; !line->command && optind < argc; optind++) {
        int r = take_word(line, &argv[optind], ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The command's base name, with what a name cannot have made '-'. */
static char *make_name(const char *command)
{
    const char *slash = strrchr(command, '/');
    const char *base = slash ? slash + 1 : command;
    char *name = strndup(*base != '\0' ? base : "program", NAME_LENGTH_MAX);
    for (char *s = name; s && *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            *s = '-';
    return name;
}

/* False if a text is no UTF-8 (or memory is short). */
static bool put_list(FILE *stream, const char *key, char *const *texts, bool literally)
{
    (void)fprintf(stream, "    %s: [", key);
    STRV_FOREACH (text, texts) {
        CLEANUP_FREE char *doubled = literally ? percent_double(*text) : strdup(*text);
        CLEANUP_FREE char *quoted = doubled ? yaml_quote(doubled) : NULL;
        if (!quoted)
            return false;
        (void)fprintf(stream, "%s%s", text == texts ? "" : ", ", quoted);
    }
    (void)fputs("]\n", stream);
    return true;
}

static bool put_program(FILE *stream, const struct command_line *line, const char *name)
{
    (void)fprintf(stream, "programs:\n  \"%s\":\n", name);
    if (line->workers) {
        CLEANUP_FREE char *workers = yaml_quote(line->workers);
        if (!workers)
            return false;
        (void)fprintf(stream, "    workers: %s\n", workers);
    }
    if (line->listen && !put_list(stream, "listen", line->listen, false))
        return false;
    return put_list(stream, "command", line->command, true);
}

static int write_text(struct command_line *line, char **ret_error)
{
    CLEANUP_FREE char *text = NULL, *name = make_name(line->command[0]);
    size_t size;
    FILE *stream = name ? open_memstream(&text, &size) : NULL;
    if (!stream)
        return -ENOMEM;
    bool valid = put_program(stream, line, name);
    if (!memory_stream_close(stream, &text))
        return -ENOMEM;
    if (!valid)
        return fail(ret_error, -EINVAL, strdup("the command is no valid text (UTF-8)"));
    line->arguments.text = TAKE_PTR(text);
    return 0;
}

static int check_run(struct command_line *line, char **ret_error)
{
    if (line->file)
        return fail(ret_error, -EINVAL,
                    string_format("'reloader run' takes no configuration, but '%s' is given" HINT,
                                  line->file));
    if (!line->command || !*line->command)
        return fail(ret_error, -EINVAL,
                    strdup("'reloader run' needs a command, as in: reloader run --listen 8080 -- "
                           "python3 server.py"));
    return write_text(line, ret_error);
}

static int find_file(const char **ret, char **ret_error)
{
    static const char *const places[] = {"./reloader.yaml", "./etc/reloader.yaml",
                                         "/etc/reloader/reloader.yaml"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (access(places[i], F_OK) == 0) {
            *ret = places[i];
            return 0;
        }
    return fail(
        ret_error, -ENOENT,
        string_format("no configuration: there is no %s, %s or %s; name one, or see 'reloader "
                      "run' in 'reloader --help'",
                      places[0], places[1], places[2]));
}

static int check_file(struct command_line *line, char **ret_error)
{
    const char *file = line->file;
    if (line->listen || line->workers)
        return fail(ret_error, -EINVAL,
                    string_format("--%s belongs to 'reloader run'" HINT,
                                  line->listen ? "listen" : "workers"));
    int r = file ? 0 : find_file(&file, ret_error);
    if (r < 0)
        return r;
    line->arguments.path = path_absolute(file);
    return line->arguments.path ? 0 : -ENOMEM;
}

/* What is for a configuration that is read, or run, has no meaning here. */
static int check_import(struct command_line *line, char **ret_error)
{
    const struct arguments *arguments = &line->arguments;
    if (!line->file)
        return fail(ret_error, -EINVAL,
                    strdup("'reloader import' needs a file, as in: reloader import "
                           "/etc/supervisor/supervisord.conf"));
    if (arguments->mode != ARGUMENTS_MODE_MASTER || arguments->daemonize || arguments->sets ||
        line->listen || line->workers)
        return fail(ret_error, -EINVAL,
                    strdup("'reloader import' takes no options, only a file" HINT));
    line->arguments.mode = ARGUMENTS_MODE_IMPORT;
    line->arguments.path = path_absolute(line->file);
    return line->arguments.path ? 0 : -ENOMEM;
}

static bool is_import(const struct command_line *line)
{
    return line->import && needs_configuration(line);
}

int arguments_parse(int argc, char *argv[], struct arguments *ret, char **ret_error)
{
    CLEANUP(command_line_clear) struct command_line line = {0};
    int r = read_words(argc, argv, &line, ret_error);
    if (r == 0 && is_import(&line)) {
        r = check_import(&line, ret_error);
    } else if (r == 0 && needs_configuration(&line)) {
        r = line.run ? check_run(&line, ret_error) : check_file(&line, ret_error);
        line.arguments.directory = path_absolute(".");
        if (r == 0 && !line.arguments.directory)
            r = fail(ret_error, -ENOENT,
                     string_format("the current directory is gone: %s", strerror(errno)));
    }
    if (r < 0)
        return r;
    *ret = line.arguments;
    line.arguments = (struct arguments){0};
    return 0;
}

struct config_source arguments_source(const struct arguments *arguments)
{
    return (struct config_source){
        .path = arguments->path,
        .text = arguments->text,
        .sets = arguments->sets,
        .directory = arguments->directory,
    };
}
