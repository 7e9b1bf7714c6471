/*
 * shell: commands one after the other, as they are typed or read. Each runs in a process of its own, so that whatever ends it (Ctrl-C, a master
 * that is gone) leaves the shell where it was; connections are made anew for each.
 */
#include "reloaderctl/arguments.h"
#include "reloaderctl/complete.h"
#include "reloaderctl/editor.h"
#include "reloaderctl/help.h"
#include "reloaderctl/screen.h"

#include "base/strv.h"
#include "base/words.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_SIZE 65536

struct shell {
    const struct invocation *invocation; /* its own */
    bool asks;                           /* there is somebody at a terminal */
    bool over;
    int code; /* of the first command that failed */
};

/* One command */

static int run_words(const struct shell *shell, char **argv)
{
    struct invocation invocation = {
        .socket = shell->invocation->socket, .interval_usec = USEC_PER_SEC, .in_shell = true};
    const struct verb *verb = NULL;
    switch (arguments_parse(argv, &invocation, &verb)) {
    case ARGUMENTS_RUN:
        return verb->run(&invocation);
    case ARGUMENTS_HELP:
        if (verb)
            help_print_verb(verb);
        else
            help_print(true);
        return EXIT_CODE_OK;
    case ARGUMENTS_VERSION:
    case ARGUMENTS_LIST_COMMANDS:
    case ARGUMENTS_COMPLETE:
        complain("%s is not for the shell; `help` lists the commands", argv[1]);
        break;
    case ARGUMENTS_WRONG:
        break;
    }
    return EXIT_CODE_USAGE;
}

/* As a shell would have it: 128 and the number of the signal that ended it. */
static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_CODE_FAILED;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    /* Behind "^C", as terminals write it. */
    (void)fputc('\n', stderr);
    return 128 + WTERMSIG(status);
}

static int run_apart(const struct shell *shell, char **argv)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        complain("cannot start another process: %s", strerror(errno));
        return EXIT_CODE_FAILED;
    }
    if (pid > 0)
        return wait_for(pid);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    int code = run_words(shell, argv);
    (void)fflush(NULL);
    /* What the parent has in its buffers and at its exit is the parent's. */
    _exit(code);
}

static bool is_sure(const struct shell *shell)
{
    char answer[16];
    if (!shell->asks)
        return true;
    (void)printf("End the master and all of its workers? [y/N] ");
    (void)fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void note(struct shell *shell, int code)
{
    if (shell->code == EXIT_CODE_OK)
        shell->code = code;
}

static void run_line(struct shell *shell, const char *line)
{
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *reason = NULL;
    if (line[strspn(line, " \t")] == '#')
        return;
    int r = words_split_plain(line, &words, &reason);
    if (r < 0) {
        complain("%s", reason ? reason : "out of memory");
        note(shell, EXIT_CODE_USAGE);
        return;
    }
    if (!words)
        return;
    const struct verb *verb = verb_find(words[0], true);
    if (verb && verb->run == command_exit) {
        shell->over = true;
        return;
    }
    if (verb && verb->run == command_shutdown && !is_sure(shell)) {
        (void)puts("nothing is done");
        return;
    }
    CLEANUP_STRV char **argv = NULL;
    r = strv_append(&argv, "reloaderctl");
    STRV_FOREACH (word, words)
        r = r < 0 ? r : strv_append(&argv, *word);
    if (r < 0)
        die_of_memory();
    note(shell, run_apart(shell, argv));
}

/* Somebody types */

static char **complete_line(const char *line, void *userdata)
{
    const struct shell *shell = userdata;
    const struct invocation invocation = {.socket = shell->invocation->socket, .in_shell = true};
    CLEANUP_STRV char **words = NULL;
    const char *at = line;
    for (;;) {
        at += strspn(at, " \t");
        size_t length = strcspn(at, " \t");
        CLEANUP_FREE char *word = strndup(at, length);
        if (!word || strv_append(&words, word) < 0)
            die_of_memory();
        at += length;
        if (*at == '\0')
            return complete_words(&invocation, words);
    }
}

/* $XDG_STATE_HOME/reloader/history, else ~/.local/state/…; its directories are made. NULL: there is no home. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(geteuid());
    home = user ? user->pw_dir : home;
    bool named = state && state[0] == '/';
    if (!named && (!home || home[0] != '/'))
        return NULL;
    char *path = named ? string_format("%s/reloader/history", state)
                       : string_format("%s/.local/state/reloader/history", home);
    if (!path)
        die_of_memory();
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    return path;
}

static void read_typed(struct shell *shell)
{
    CLEANUP_FREE char *history = history_path();
    const struct editor_options options = {
        .prompt = "reloader> ", .history = history, .complete = complete_line, .userdata = shell};
    CLEANUP(editor_freep) struct editor *editor = editor_new(&options);
    (void)printf("`help` lists the commands, Tab completes, `exit` leaves.\n");
    while (!shell->over) {
        CLEANUP_FREE char *line = editor_read(editor);
        if (!line)
            break;
        run_line(shell, line);
    }
}

/* Or not */

static void read_lines(struct shell *shell)
{
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while (!shell->over && (length = getline(&line, &size, stdin)) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (length > LINE_MAX_SIZE) {
            complain("a line of more than %d bytes is no command", LINE_MAX_SIZE);
            note(shell, EXIT_CODE_USAGE);
        } else {
            run_line(shell, line);
        }
    }
}

int command_shell(const struct invocation *invocation)
{
    struct shell shell = {.invocation = invocation,
                          .asks = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    if (invocation->in_shell) {
        complain("this is the shell already");
        return EXIT_CODE_USAGE;
    }
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    if (!shell.asks) {
        (void)setvbuf(stdin, NULL, _IONBF, 0);
        read_lines(&shell);
        return shell.code;
    }
    read_typed(&shell);
    return EXIT_CODE_OK;
}

/* The shell itself does it: see run_line(). */
int command_exit(UNUSED const struct invocation *invocation)
{
    return EXIT_CODE_OK;
}
