/*
 * Looks at the master again and again. It is asked, and may answer when it likes: keys and signals are heard meanwhile, and a
 * master that is silent is told as such, over what was known of it last.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/narrow.h"
#include "reloaderctl/numbers.h"
#include "reloaderctl/terminal.h"
#include "reloaderctl/top.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_USEC (3 * USEC_PER_SEC) /* then it is told */

struct top {
    const struct invocation *invocation;
    const struct top_kind *kind;
    struct client client;
    struct terminal terminal;
    struct top_view view;
    struct top_rows rows;
    json_t *status;     /* of the last look; NULL before the first */
    uint64_t next_usec; /* when to ask; USEC_INFINITY while an answer is awaited */
    uint64_t asked_usec;
    uint64_t looks;
    bool over;
};

static void top_clear(struct top *top)
{
    terminal_leave(&top->terminal);
    top_rows_clear(&top->rows);
    json_decref(top->status);
    client_close(&top->client);
}

/* Showing */

static void show(struct top *top)
{
    struct screen screen = screen_look(STDOUT_FILENO);
    if (!top->status || top->invocation->json)
        return;
    top_rows_sort(&top->rows, top->view.order, top->view.reverse);
    /* One column stays free: a character in the last one makes some terminals wrap. */
    if (screen.terminal)
        screen.width--;
    CLEANUP_FREE char *frame = top->kind->frame
                                   ? top->kind->frame(top->status, top->invocation->pss, &top->view,
                                                      &screen)
                                   : top_frame(&top->rows, top->status, &top->view, &screen);
    if (top->terminal.entered) {
        terminal_show(frame, screen.height);
        return;
    }
    (void)printf("%s%s", top->looks > 1 ? "\n" : "", frame);
    (void)fflush(stdout);
}

/* Asking */

static int ask_again(struct top *top)
{
    int r = client_call(&top->client, "Status", NULL, false);
    top->asked_usec = clock_monotonic_usec();
    top->next_usec = USEC_INFINITY;
    return r < 0 ? complain_of_connection(&top->client, r) : EXIT_CODE_OK;
}

static void take_status(struct top *top, json_t *status)
{
    struct top_rows now;
    /* A name that means nothing any more may mean something again. */
    (void)status_narrow(status, top->invocation->arguments);
    numbers_add(status, top->client.pid, top->invocation->pss);
    top_rows_read(status, top->invocation->pss, &top->rows, &now);
    top_rows_clear(&top->rows);
    top->rows = now;
    json_decref(top->status);
    top->status = json_incref(status);
    top->view.trouble = NULL;
    top->looks++;
    top->next_usec = top->asked_usec + top->invocation->interval_usec;
    top->over = top->looks == top->invocation->count;
    if (top->invocation->json)
        print_json(status, false);
    show(top);
}

static int take_answer(struct top *top)
{
    CLEANUP_REPLY struct client_reply reply = {0};
    int r = client_receive(&top->client, USEC_PER_MSEC, &reply);
    if (r == -ETIMEDOUT)
        return EXIT_CODE_OK;
    if (r < 0 || reply.error)
        terminal_leave(&top->terminal);
    if (r < 0)
        return complain_of_connection(&top->client, r);
    if (reply.error)
        return complain_of_error(&reply);
    take_status(top, reply.parameters);
    return EXIT_CODE_OK;
}

/* People who look at a screen may want to see when it comes back; a script would wait for ever. */
static int judge_silence(struct top *top)
{
    if (top->next_usec != USEC_INFINITY)
        return EXIT_CODE_OK;
    uint64_t silence = clock_monotonic_usec() - top->asked_usec;
    if (silence >= CLIENT_ANSWER_USEC && (!top->terminal.entered || !top->status)) {
        terminal_leave(&top->terminal);
        return complain_of_connection(&top->client, -ETIMEDOUT);
    }
    if (silence >= SILENCE_USEC && top->terminal.entered && !top->view.trouble) {
        top->view.trouble = "the master is silent: is it stopped, frozen, or very busy?";
        show(top);
    }
    return EXIT_CODE_OK;
}

/* Keys and signals */

static void scroll(struct top_view *view, int key)
{
    size_t page = view->page,
           up = key == KEY_UP        ? 1
                : key == KEY_PAGE_UP ? page
                                     : 0,
           down = key == KEY_DOWN        ? 1
                  : key == KEY_PAGE_DOWN ? page
                                         : 0;
    view->first = view->first > up ? view->first - up : 0;
    view->first += down;
    if (key == KEY_HOME)
        view->first = 0;
    if (key == KEY_END)
        view->first = SIZE_MAX;
}

static void press(struct top *top, int key)
{
    struct top_view *view = &top->view;
    if (!top->kind->frame && top_order_of_key(key, &view->order)) {
        view->reverse = false;
        view->first = 0;
        view->help = false;
    } else if (key == 'r' || key == 'R') {
        view->reverse = !view->reverse;
    } else if (key == '?' || key == 'h') {
        view->help = !view->help;
    } else if (key == 'q' || key == 'Q') {
        top->over = true;
    } else if (key == ' ' && top->next_usec != USEC_INFINITY) {
        top->next_usec = 0;
    } else {
        view->help = false;
        scroll(view, key);
    }
}

static void take_keys(struct top *top)
{
    char bytes[64];
    size_t used = 0;
    int key;
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    top->terminal.has_keys = n > 0 || (n < 0 && errno == EINTR);
    const char *at = bytes, *end = bytes + MAX(n, (ssize_t)0);
    while (!top->over && (key = terminal_parse_key(at, (size_t)(end - at), &used)) != 0) {
        press(top, key);
        at += used;
    }
    if (!top->over)
        show(top);
}

static int take_signals(struct top *top)
{
    int number;
    while ((number = terminal_next_signal(&top->terminal)) != 0) {
        if (number == SIGTSTP) {
            int r = terminal_stop(&top->terminal);
            if (r < 0)
                return EXIT_CODE_FAILED;
        } else if (number != SIGWINCH) {
            terminal_end(&top->terminal, number);
        }
        show(top);
    }
    return EXIT_CODE_OK;
}

/* The loop */

/* Until the next look, but at most until a silence is to be judged. */
static int poll_timeout(const struct top *top)
{
    uint64_t now = clock_monotonic_usec(), until = MIN(top->next_usec, now + USEC_PER_SEC / 2);
    return until > now ? (int)((until - now) / USEC_PER_MSEC + 1) : 0;
}

static int wait_and_act(struct top *top)
{
    bool live = top->terminal.entered;
    struct pollfd fds[] = {
        {.fd = top->client.fd, .events = POLLIN},
        {.fd = live ? top->terminal.signal_fd : -1, .events = POLLIN},
        {.fd = live && top->terminal.has_keys ? STDIN_FILENO : -1, .events = POLLIN},
    };
    int code = EXIT_CODE_OK;
    if (poll(fds, ARRAY_SIZE(fds), poll_timeout(top)) < 0)
        return errno == EINTR ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    if (fds[1].revents)
        code = take_signals(top);
    if (code == EXIT_CODE_OK && fds[2].revents)
        take_keys(top);
    if (code == EXIT_CODE_OK && fds[0].revents && !top->over)
        code = take_answer(top);
    return code;
}

static int look_on(struct top *top)
{
    int code = ask_again(top);
    while (code == EXIT_CODE_OK && !top->over) {
        code = wait_and_act(top);
        if (code == EXIT_CODE_OK)
            code = judge_silence(top);
        if (code == EXIT_CODE_OK && !top->over && top->next_usec <= clock_monotonic_usec())
            code = ask_again(top);
    }
    return code;
}

int top_run(const struct invocation *invocation, const struct top_kind *kind)
{
    CLEANUP(top_clear)
    struct top top = {
        .invocation = invocation,
        .kind = kind,
        .client = {.fd = -1},
        .terminal = {.signal_fd = -1},
        .view = {.pss = invocation->pss, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0}};
    int code = connect_or_complain(invocation, &top.client);
    if (code != EXIT_CODE_OK)
        return code;
    if (isatty(STDOUT_FILENO) && !invocation->json) {
        int r = terminal_enter(&top.terminal);
        if (r < 0) {
            complain("the terminal: %s", strerror(-r));
            return EXIT_CODE_FAILED;
        }
    }
    code = look_on(&top);
    return code == EXIT_CODE_OK && kind->code && top.status ? kind->code(top.status) : code;
}

int command_top(const struct invocation *invocation)
{
    static const struct top_kind kind = {0};
    return top_run(invocation, &kind);
}
