/* The keys of a program's `stdout` and `stderr`. */
#include "config/keys.h"

#include "config/values.h"

#define PROGRAM_AT(member) offsetof(struct config_program, member)
#define CALLED(ours)       "called '" ours "' here"

static const char *const output_words[] = {"inherit", "null",   "file",
                                           "journal", "syslog", "log", NULL};

const char *config_output_to_to_string(enum config_output_to to)
{
    return output_words[to];
}

/* The keys of `stdout` and `stderr`, which have a place each. */
#define OUTPUT_KEYS(stream)                                                                        \
    {                                                                                              \
        {"to", &type_choice, PROGRAM_AT(output[stream].to), "inherit", .words = output_words,      \
         .help = "where it goes: where reloader's own goes, nowhere, to a file, to the journal, "  \
                 "to syslog, or line by line into reloader's own log"},                            \
        {"path", &type_template_path, PROGRAM_AT(output[stream].path),                             \
         .default_help = "a file in log_directory", .help = "the file"},                           \
        {"max_size", &type_size, PROGRAM_AT(output[stream].max_size), "50M", .min = 4096,          \
         .max = (uint64_t)1 << 40, .help = "a file that would be larger is rotated"},              \
        {"backups", &type_number, PROGRAM_AT(output[stream].backups), "10", .max = 1000,           \
         .help = "how many rotated files are kept, as PATH.1, PATH.2, ...; 0: the file is "        \
                 "emptied instead"},                                                               \
        {"strip_ansi", &type_bool, PROGRAM_AT(output[stream].strip_ansi), "false",                 \
         .help = "leaves out colours and other escape sequences of terminals"},                    \
        {"compress", &type_bool, PROGRAM_AT(output[stream].compress), "false",                     \
         .help = "compresses rotated files with gzip, as PATH.1.gz, ..."},                         \
        {"events", &type_bool, PROGRAM_AT(output[stream].events), "false",                         \
         .help = "each line is an event of type log, too; not more than 1000 a second"},           \
        {0},                                                                                       \
    }

static const struct key stdout_keys[] = OUTPUT_KEYS(CONFIG_STDOUT);
static const struct key stderr_keys[] = OUTPUT_KEYS(CONFIG_STDERR);
static const struct foreign_key output_foreign[] = {
    {"file", CALLED("path")},
    {"filename", CALLED("path")},
    {"logfile", CALLED("path")},
    {"maxbytes", CALLED("max_size")},
    {"max_bytes", CALLED("max_size")},
    {"backup_count", CALLED("backups")},
    {0},
};
const struct key_table output_tables[CONFIG_STREAMS] = {
    [CONFIG_STDOUT] = {"programs.NAME.stdout", stdout_keys, output_foreign},
    [CONFIG_STDERR] = {"programs.NAME.stderr", stderr_keys, output_foreign},
};
