#include "live.h"

#include "base/strv.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void live_run_ready(sd_event *event)
{
    int r;
    while ((r = sd_event_run(event, 0)) > 0)
        ;
    assert_int_equal(r, 0);
}

char *live_make_directory(void)
{
    char path[] = "/tmp/reloader-test-XXXXXX";
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

void live_remove_directory(char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (unlinkat(dirfd(directory), entry->d_name, 0) < 0)
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    (void)closedir(directory);
    assert_int_equal(rmdir(path), 0);
    free(path);
}

void live_write_file(const char *directory, const char *name, const char *text)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* JSON's strings are YAML's, and a percent sign is an expansion's. */
static char *quote(const char *script)
{
    CLEANUP_FREE char *doubled = calloc(2, strlen(script) + 1);
    char *to = doubled;
    for (const char *from = script; *from; from++) {
        if (*from == '%')
            *to++ = '%';
        *to++ = *from;
    }
    json_t *string = json_string(doubled);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    assert_non_null(quoted);
    return quoted;
}

struct config *live_config(const char *directory, const char *settings, const char *script)
{
    CLEANUP_FREE char *quoted = quote(script);
    CLEANUP_FREE char *text = string_format("runtime_directory: %s\n"
                                            "programs:\n"
                                            "  web:\n"
                                            "    command: [sh, -c, %s]\n"
                                            "%s",
                                            directory, quoted, settings);
    const struct config_source source = {.text = text, .directory = directory};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    if (config_load(&source, &config, &errors) < 0)
        fail_msg("%s", errors);
    return config;
}

pid_t live_fork(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        _exit(99);
    return pid;
}

unsigned live_count_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void limit_descriptors(rlim_t soft)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = MIN(soft, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

void live_begin_scarcity(unsigned spare)
{
    int fd = -1;
    for (unsigned found = 0; found <= spare; found += fcntl(fd, F_GETFD) < 0)
        fd++;
    limit_descriptors((rlim_t)fd);
}

void live_end_scarcity(void)
{
    limit_descriptors(RLIM_INFINITY);
}
