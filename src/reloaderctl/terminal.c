/* The sequences are those that every terminal of the last decades understands; there is nothing to look up. */
#include "reloaderctl/terminal.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ENTER_SCREEN "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
#define LEAVE_SCREEN "\x1b[?25h\x1b[?1049l"

static sigset_t our_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaddset(&set, numbers[i]);
    return set;
}

static void put(const char *text)
{
    (void)fputs(text, stdout);
    (void)fflush(stdout);
}

int terminal_enter(struct terminal *terminal)
{
    sigset_t set = our_signals();
    struct termios raw;
    terminal->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (terminal->signal_fd < 0)
        return -errno;
    (void)sigprocmask(SIG_BLOCK, &set, &terminal->mask_before);
    terminal->is_raw = terminal->has_keys = tcgetattr(STDIN_FILENO, &terminal->before) == 0;
    if (terminal->is_raw) {
        raw = terminal->before;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    terminal->entered = true;
    put(ENTER_SCREEN);
    return 0;
}

void terminal_leave(struct terminal *terminal)
{
    if (!terminal->entered)
        return;
    terminal->entered = false;
    put(LEAVE_SCREEN);
    if (terminal->is_raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->before);
    terminal->signal_fd = fd_close(terminal->signal_fd);
    (void)sigprocmask(SIG_SETMASK, &terminal->mask_before, NULL);
}

int terminal_next_signal(struct terminal *terminal)
{
    struct signalfd_siginfo info;
    ssize_t n = read(terminal->signal_fd, &info, sizeof(info));
    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

int terminal_stop(struct terminal *terminal)
{
    terminal_leave(terminal);
    (void)raise(SIGTSTP);
    return terminal_enter(terminal);
}

void terminal_end(struct terminal *terminal, int number)
{
    terminal_leave(terminal);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    _exit(128 + number);
}

/* Keys */

/* The end of a sequence, ESC [ or ESC O and what follows: "5~" or "A". */
static int key_of_sequence(const char *end, size_t size)
{
    static const struct {
        const char *end;
        int key;
    } keys[] = {
        {"A", KEY_UP},   {"B", KEY_DOWN}, {"5~", KEY_PAGE_UP}, {"6~", KEY_PAGE_DOWN},
        {"H", KEY_HOME}, {"F", KEY_END},  {"1~", KEY_HOME},    {"4~", KEY_END},
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strlen(keys[i].end) == size && memcmp(keys[i].end, end, size) == 0)
            return keys[i].key;
    return KEY_OTHER;
}

int terminal_parse_key(const char *bytes, size_t size, size_t *ret_used)
{
    if (size == 0)
        return 0;
    *ret_used = 1;
    if (bytes[0] != '\x1b')
        return (unsigned char)bytes[0];
    if (size == 1 || (bytes[1] != '[' && bytes[1] != 'O'))
        return KEY_OTHER;
    size_t used = 2;
    /* Parameters, and one letter or '~' that ends it. */
    while (used < size && bytes[used] >= 0x20 && bytes[used] < 0x40)
        used++;
    used = MIN(used + 1, size);
    *ret_used = used;
    return key_of_sequence(bytes + 2, used - 2);
}

void terminal_show(const char *lines, size_t height)
{
    (void)fputs("\x1b[H", stdout);
    for (size_t row = 0; row < height && *lines != '\0'; row++) {
        size_t length = strcspn(lines, "\n");
        (void)printf("%s%.*s\x1b[K", row > 0 ? "\n" : "", (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
    put("\x1b[J");
}
