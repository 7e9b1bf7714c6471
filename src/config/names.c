/*
 * The process that asks is a copy of this one with none of its descriptors: modules of the C library may connect, wait and print as they
 * like. It answers question by question, one JSON value a line; what it did not get to when the patience ends is open for ever.
 * It dies with us.
 */
#include "config/names.h"

#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "config/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_SIZE_MAX   ((size_t)8 << 20)   /* of passwd and group */
#define ANSWER_SIZE_MAX ((size_t)128 << 10) /* NAMES_GROUPS_MAX numbers, and a few words */
#define QUESTIONS_MAX   4096
#define DEATH_MSEC      200

enum kind { USER, LOCAL_USER, GROUP };

struct question {
    enum kind kind;
    char *text;
    int answer;             /* 0 or -errno; -EAGAIN: open */
    struct names_user user; /* of a group: gid alone */
};

struct names {
    const char *directory;
    char *passwd, *group;        /* NULL: not read yet */
    struct question **questions; /* each stays where it is */
    size_t n;
    int pidfd;  /* of who asks; -1: nobody */
    int fd;     /* of his answers */
    char *line; /* of an answer, what there is of it */
    size_t n_line;
};

struct names *names_new(const char *directory)
{
    struct names *names = calloc(1, sizeof(*names));
    if (!names)
        return NULL;
    names->directory = directory;
    names->pidfd = names->fd = -1;
    return names;
}

void names_forget(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        names_user_clear(&names->questions[i]->user);
        free(names->questions[i]->text);
        free(names->questions[i]);
    }
    free(TAKE_PTR(names->questions));
    names->n = 0;
    free(TAKE_PTR(names->passwd));
    free(TAKE_PTR(names->group));
}

/* False: he is still there, to be looked for again. Whoever reaps what is left to a PID 1 may have had him before us. */
static bool reap_asker(struct names *names, int patience_msec)
{
    struct pollfd ended = {.fd = names->pidfd, .events = POLLIN};
    siginfo_t info = {0};
    if (names->pidfd < 0)
        return true;
    (void)poll(&ended, 1, patience_msec);
    if (waitid(P_PIDFD, (id_t)names->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
        return false;
    names->pidfd = fd_close(names->pidfd);
    return true;
}

/*
 * Who asks has nothing of ours: he is killed whenever his answers are not wanted any more. Then he is gone at once, unless the kernel holds
 * him, as for a file system that hangs.
 */
static void end_asking(struct names *names)
{
    if (names->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, names->pidfd, SIGKILL, NULL, 0);
    (void)reap_asker(names, DEATH_MSEC);
    names->fd = fd_close(names->fd);
    names->n_line = 0;
}

struct names *names_free(struct names *names)
{
    if (!names)
        return NULL;
    end_asking(names);
    (void)fd_close(names->pidfd);
    names_forget(names);
    free(names->line);
    free(names);
    return NULL;
}

/* Looking */

/* A file that is not there, or not to be read, knows nobody. */
static int read_file(const char *directory, const char *name, char **text)
{
    size_t size;
    if (*text)
        return 0;
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    int r = path ? fd_read_file(path, FILE_SIZE_MAX, text, &size) : -ENOMEM;
    if (r < 0 && r != -ENOMEM)
        *text = strdup("");
    return *text ? 0 : -ENOMEM;
}

static int look_into_files(struct names *names, struct question *question)
{
    int r = read_file(names->directory, "passwd", &names->passwd);
    if (r == 0)
        r = read_file(names->directory, "group", &names->group);
    if (r < 0)
        return r;
    if (question->kind == GROUP)
        return accounts_find_group(names->group, question->text, &question->user.gid);
    return accounts_find_user(names->passwd, names->group, question->text, &question->user);
}

static int add_question(struct names *names, enum kind kind, const char *text)
{
    if (names->n == QUESTIONS_MAX)
        return -E2BIG;
    struct question **larger = reallocarray(names->questions, names->n + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    names->questions = larger;
    struct question *question = calloc(1, sizeof(*question));
    char *copy = strdup(text);
    if (!question || !copy) {
        free(question);
        free(copy);
        return -ENOMEM;
    }
    *question = (struct question){.kind = kind, .text = copy};
    question->answer = look_into_files(names, question);
    if (question->answer == -ENOENT && kind != LOCAL_USER)
        question->answer = -EAGAIN;
    larger[names->n++] = question;
    return 0;
}

static int find(struct names *names, enum kind kind, const char *text, const struct question **ret)
{
    size_t i = 0;
    while (i < names->n &&
           (names->questions[i]->kind != kind || strcmp(names->questions[i]->text, text) != 0))
        i++;
    int r = i == names->n ? add_question(names, kind, text) : 0;
    if (r < 0)
        return r;
    *ret = names->questions[i];
    return (*ret)->answer;
}

static int find_user(struct names *names, enum kind kind, const char *text,
                     const struct names_user **ret)
{
    const struct question *question;
    int r = find(names, kind, text, &question);
    if (r == 0)
        *ret = &question->user;
    return r;
}

int names_find_user(struct names *names, const char *text, const struct names_user **ret)
{
    return find_user(names, USER, text, ret);
}

int names_find_local_user(struct names *names, const char *text, const struct names_user **ret)
{
    return find_user(names, LOCAL_USER, text, ret);
}

int names_find_group(struct names *names, const char *text, gid_t *ret)
{
    const struct question *question;
    int r = find(names, GROUP, text, &question);
    if (r == 0)
        *ret = question->user.gid;
    return r;
}

static struct question *next_open(const struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->questions[i]->answer == -EAGAIN)
            return names->questions[i];
    return NULL;
}

bool names_are_wanted(const struct names *names)
{
    return next_open(names) != NULL;
}

/* Asking: in the process of its own */

static json_t *groups_of(const struct passwd *user)
{
    gid_t groups[NAMES_GROUPS_MAX];
    int n = NAMES_GROUPS_MAX;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
        return NULL;
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        (void)json_array_append_new(list, json_integer(groups[i]));
    return list;
}

static json_t *ask_user(const char *text)
{
    uint64_t uid;
    errno = 0;
    const struct passwd *user = parse_unsigned(text, 0, UINT32_MAX - 1, &uid) == 0
                                    ? getpwuid((uid_t)uid)
                                    : getpwnam(text);
    if (!user)
        return NULL;
    json_t *groups = groups_of(user);
    if (!groups) {
        errno = E2BIG;
        return NULL;
    }
    /* What is no UTF-8 cannot be told this way: then it is not known. */
    return json_pack("{s:I, s:I, s:o, s:o*, s:o*, s:o*}", "uid", (json_int_t)user->pw_uid, "gid",
                     (json_int_t)user->pw_gid, "groups", groups, "name", json_string(user->pw_name),
                     "home", json_string(user->pw_dir), "shell", json_string(user->pw_shell));
}

static json_t *ask_group(const char *text)
{
    errno = 0;
    const struct group *group = getgrnam(text);
    return group ? json_pack("{s:I}", "gid", (json_int_t)group->gr_gid) : NULL;
}

/* "Not found" has many numbers, as getpwnam(3) tells. */
static int failure_of_nss(int error)
{
    return error == 0 || error == ESRCH || error == EBADF || error == EPERM || error == ENOENT
               ? ENOENT
               : error;
}

static bool tell(int fd, const json_t *answer)
{
    CLEANUP_FREE char *text = json_dumps(answer, JSON_COMPACT);
    size_t size = text ? strlen(text) + 1 : 0;
    if (!text)
        return false;
    text[size - 1] = '\n';
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, text + done, size - done);
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Nothing of ours may be held open by somebody who hangs. */
static void leave_everything(int *fd)
{
    enum { KEPT = 3 };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (*fd != KEPT && dup2(*fd, KEPT) == KEPT)
        *fd = KEPT;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = STDIN_FILENO; null_fd >= 0 && i <= STDERR_FILENO; i++)
        (void)dup2(null_fd, i);
#ifdef SYS_close_range
    if (*fd == KEPT && syscall(SYS_close_range, KEPT + 1, ~0U, 0) == 0)
        return;
#endif
    for (int i = KEPT + 1, end = (int)sysconf(_SC_OPEN_MAX); i < end; i++)
        if (i != *fd)
            (void)close(i);
}

static _Noreturn void answer_all(struct names *names, int fd)
{
    leave_everything(&fd);
    for (struct question *question; (question = next_open(names)); question->answer = 0) {
        json_t *answer = question->kind == GROUP ? ask_group(question->text)
                                                 : ask_user(question->text);
        int error = errno;
        if (!answer)
            answer = json_pack("{s:i}", "error", failure_of_nss(error));
        bool told = tell(fd, answer);
        json_decref(answer);
        if (!told)
            _exit(EXIT_FAILURE);
    }
    _exit(EXIT_SUCCESS);
}

/* Asking: here */

/* -EAGAIN is what a question is that nobody has answered. */
static int final(int answer)
{
    return answer == -EAGAIN ? -EBUSY : answer;
}

static void answer_rest(struct names *names, int answer)
{
    for (struct question *question; (question = next_open(names));)
        question->answer = final(answer);
    end_asking(names);
}

static int start_asking(struct names *names, int answers_fd)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        answer_all(names, answers_fd);
    names->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (names->pidfd < 0) {
        int r = -errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return r;
    }
    return fcntl(names->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int names_ask(struct names *names, int *ret_fd)
{
    int pipe_fds[2];
    if (!names->line)
        names->line = malloc(ANSWER_SIZE_MAX);
    int r = !names->line ? -ENOMEM : 0;
    /* One that hangs is enough. */
    if (r == 0 && !reap_asker(names, 0))
        r = -ETIMEDOUT;
    if (r == 0 && pipe2(pipe_fds, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0) {
        names->fd = pipe_fds[0];
        r = start_asking(names, pipe_fds[1]);
        (void)fd_close(pipe_fds[1]);
    }
    if (r < 0) {
        answer_rest(names, r);
        return r;
    }
    *ret_fd = names->fd;
    return 0;
}

static int take_groups(const json_t *list, struct names_user *user)
{
    size_t n = json_array_size(list);
    user->groups = calloc(n + 1, sizeof(*user->groups));
    if (!user->groups)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        user->groups[i] = (gid_t)json_integer_value(json_array_get(list, i));
    user->n_groups = n;
    return 0;
}

static int copy_text(const json_t *answer, const char *key, char **ret)
{
    const char *text = json_string_value(json_object_get(answer, key));
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

static int take_answer(struct question *question, const json_t *answer)
{
    struct names_user *user = &question->user;
    json_int_t error = json_integer_value(json_object_get(answer, "error"));
    if (!answer || error != 0)
        return answer ? -(int)error : -EBADMSG;
    user->uid = (uid_t)json_integer_value(json_object_get(answer, "uid"));
    user->gid = (gid_t)json_integer_value(json_object_get(answer, "gid"));
    if (question->kind == GROUP)
        return 0;
    int r = take_groups(json_object_get(answer, "groups"), user);
    if (r == 0)
        r = copy_text(answer, "name", &user->name);
    if (r == 0)
        r = copy_text(answer, "home", &user->home);
    return r < 0 ? r : copy_text(answer, "shell", &user->shell);
}

static void take_lines(struct names *names)
{
    char *newline;
    while ((newline = memchr(names->line, '\n', names->n_line))) {
        size_t length = (size_t)(newline - names->line);
        struct question *question = next_open(names);
        json_t *answer = json_loadb(names->line, length, 0, NULL);
        if (question)
            question->answer = final(take_answer(question, answer));
        json_decref(answer);
        names->n_line -= length + 1;
        memmove(names->line, newline + 1, names->n_line);
    }
}

int names_receive(struct names *names)
{
    ssize_t n = names->n_line < ANSWER_SIZE_MAX
                    ? read(names->fd, names->line + names->n_line, ANSWER_SIZE_MAX - names->n_line)
                    : 0;
    if (n < 0)
        return 0;
    names->n_line += (size_t)n;
    take_lines(names);
    if (n > 0 && names_are_wanted(names))
        return 0;
    /* A module may have crashed. */
    answer_rest(names, -EPROTO);
    return 1;
}

void names_give_up(struct names *names)
{
    answer_rest(names, -ETIMEDOUT);
}

void names_ask_and_wait(struct names *names)
{
    int fd;
    if (names_ask(names, &fd) < 0)
        return;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    do {
        if (poll(&readable, 1, (int)(NAMES_PATIENCE_USEC / USEC_PER_MSEC)) <= 0) {
            names_give_up(names);
            return;
        }
    } while (names_receive(names) == 0);
}
