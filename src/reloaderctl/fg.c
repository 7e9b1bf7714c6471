/*
 * One worker in the foreground: what it prints is shown, and what is typed goes into its standard input, by a descriptor that the master
 * hands over. Three connections: lines, events of workers, and one for each question who runs in the slot now.
 *
 * It is the slot that is followed. After each event of it the master is asked who runs there; where that is another one, input goes to
 * that from then on. What was read for one worker is never given to another.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "reloaderctl/fg-input.h"
#include "reloaderctl/fg-text.h"
#include "reloaderctl/interrupt.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* While nobody runs in the slot: not everything that ends that has an event. */
#define ASK_AGAIN_MSEC 1000
/* What a worker printed at its end comes after the event of that: lines are waited for until none has come for so long. */
#define LAST_LINES_MSEC 300
/* A worker that dies closes its stdin a moment before its end is known. */
#define DEATH_USEC (300 * USEC_PER_MSEC)

struct fg {
    const struct invocation *invocation;
    bool terminal; /* somebody types */
    bool ending;   /* nothing but last lines may come */
    bool over;
    int code;
    struct client events, lines, asked; /* fd -1: there is none */
    int asked_fd;                       /* what came with the answer */
    bool ask_again;
    char *place;   /* "web:0"; NULL before it is known */
    char *program; /* as in events */
    uint64_t slot;
    char *worker;         /* "web/0", clean */
    uint64_t pid;         /* of the one that is attached to; 0: none */
    uint64_t closed_usec; /* when nobody was found to read its input any more; 0: not yet */
    bool told_waiting, told_refused;
    struct fg_input input;
};

static void end(struct fg *fg, int code)
{
    fg->over = true;
    fg->code = MAX(fg->code, code);
}

/* Input */

static void tell_undelivered(struct fg *fg, size_t size, const char *why)
{
    complain("%s, pid %llu, %s: %zu bytes of input%s are not delivered", fg->worker,
             (unsigned long long)fg->pid, why, size,
             fg->terminal || fg->input.ended ? "" : ", and what is behind them,");
    if (!fg->terminal)
        end(fg, EXIT_CODE_FAILED);
}

/* Input for one that takes none (any more). */
static void refuse_input(struct fg *fg, const char *why)
{
    size_t size = fg_input_pending(&fg->input);
    fg_input_turn(&fg->input, -1);
    fg->closed_usec = 0;
    if (!fg->told_refused)
        tell_undelivered(fg, size, why);
    fg->told_refused = true;
}

static void deliver(struct fg *fg)
{
    bool stalled = fg->input.stalled;
    if (fg_input_pending(&fg->input) == 0 || fg->closed_usec != 0)
        return;
    if (fg->input.to < 0) {
        refuse_input(fg, "takes no input");
        return;
    }
    int r = fg_input_write(&fg->input);
    if (r == -EPIPE)
        fg->closed_usec = clock_monotonic_usec();
    else if (r < 0)
        refuse_input(fg, strerror(-r));
    else if (fg->input.stalled && !stalled && fg->terminal)
        complain("%s, pid %llu, does not read its input: its pipe is full; Ctrl-C leaves it alone",
                 fg->worker, (unsigned long long)fg->pid);
}

static void take_input(struct fg *fg)
{
    fg_input_read(&fg->input);
    deliver(fg);
}

/* Who runs in the slot */

static void ask_who_runs(struct fg *fg, const char *name)
{
    if (fg->ending)
        return;
    if (fg->asked.fd >= 0) {
        fg->ask_again = true;
        return;
    }
    fg->ask_again = false;
    int code = connect_or_complain(fg->invocation, &fg->asked);
    int r = code == EXIT_CODE_OK
                ? client_call(
                      &fg->asked, "Attach",
                      json_pack("{s:s, s:I}", "name", name, "attached", (json_int_t)fg->pid), false)
                : 0;
    if (r < 0)
        code = complain_of_connection(&fg->asked, r);
    if (code != EXIT_CODE_OK)
        end(fg, code);
}

static void set_place(struct fg *fg, json_t *parameters)
{
    if (fg->place)
        return;
    const char *program = json_string_value(json_object_get(parameters, "program"));
    fg->program = strdup(program ? program : "");
    fg->slot = get_number(parameters, "slot");
    fg->place = string_format("%s:%llu", program, (unsigned long long)fg->slot);
    if (!fg->place || !fg->program)
        die_of_memory();
}

static void introduce(struct fg *fg, json_t *parameters, bool first)
{
    const char *kind = json_string_value(json_object_get(parameters, "stdin"));
    const char *text = "what is typed goes to it, line by line; Ctrl-C or Ctrl-D leaves it running";
    if (fg->input.to < 0)
        text = string_equal(kind, "socket")
                   ? "its stdin is its socket, so it takes no input; Ctrl-C leaves it running"
                   : "it takes no input, `stdin: pipe` in its program would change that; Ctrl-C "
                     "leaves it running";
    if (!first)
        complain("%s: pid %llu, generation %llu, has taken over%s", fg->worker,
                 (unsigned long long)fg->pid,
                 (unsigned long long)get_number(parameters, "generation"),
                 fg->input.to >= 0 ? ", and gets the input from now on" : "");
    else if (fg->terminal)
        complain("%s, pid %llu: %s", fg->worker, (unsigned long long)fg->pid, text);
}

static void take_worker(struct fg *fg, json_t *parameters)
{
    uint64_t pid = get_number(parameters, "pid");
    if (pid == fg->pid)
        return;
    /* The one before may still read: what was read for it is not for others. */
    if (fg->pid != 0 && fg_input_pending(&fg->input) > 0) {
        fg->ask_again = true;
        return;
    }
    bool first = !fg->worker;
    free(fg->worker);
    fg->worker = get_text(parameters, "name");
    fg->pid = pid;
    fg->told_waiting = fg->told_refused = false;
    fg->closed_usec = 0;
    fg_input_turn(&fg->input, TAKE_FD(fg->asked_fd));
    introduce(fg, parameters, first);
}

static void lose_worker(struct fg *fg, const char *how)
{
    size_t unread = fg_input_unread(&fg->input), pending = fg_input_pending(&fg->input);
    CLEANUP_FREE char *text = string_format("%s%s",
                                            string_starts_with(how, "SIG") ? "ended by " : "", how);
    CLEANUP_FREE char *clean = text_clean(text);
    if (unread + pending > 0)
        complain("%s, pid %llu: %s; %zu bytes of its input were not read", fg->worker,
                 (unsigned long long)fg->pid, clean, unread + pending);
    else
        complain("%s, pid %llu: %s", fg->worker, (unsigned long long)fg->pid, clean);
    fg_input_turn(&fg->input, -1);
    fg->pid = 0;
    fg->closed_usec = 0;
    if (pending > 0 && !fg->terminal)
        end(fg, EXIT_CODE_FAILED);
}

static bool is_leaving(const char *state)
{
    return string_equal(state, "DRAINING") || string_equal(state, "STOPPING");
}

static void miss_worker(struct fg *fg, json_t *parameters)
{
    bool comes = json_is_true(json_object_get(parameters, "comes")), first = !fg->worker;
    CLEANUP_FREE char *state = get_text(parameters, "state");
    /* How it has ended is about to be told. */
    if (is_leaving(state) && (fg->pid != 0 || !comes) && !first)
        return;
    if (fg->pid != 0)
        lose_worker(fg, "is gone");
    if (comes) {
        if (!fg->told_waiting && (first || string_equal(state, "BACKOFF")))
            complain("%s is %s: waiting for its next worker; Ctrl-C leaves", fg->place, state);
        fg->told_waiting = true;
        return;
    }
    complain("%s is %s, and nobody else is started there; `reloaderctl start %s` would do that",
             fg->place, state, fg->place);
    if (first || string_equal(state, "FATAL"))
        fg->code = EXIT_CODE_FAILED;
    fg->ending = true;
}

static void handle_error(struct fg *fg, struct client_reply *reply)
{
    if (string_equal(reply->error, "NotRunning")) {
        set_place(fg, reply->parameters);
        miss_worker(fg, reply->parameters);
        return;
    }
    if (string_equal(reply->error, "NotOneWorker"))
        fg_explain_several(json_object_get(reply->parameters, "workers"));
    else
        (void)complain_of_error(reply);
    if (string_equal(reply->error, "NoSuchProgram") || string_equal(reply->error, "NoSuchWorker"))
        fg_explain_names(fg->invocation);
    end(fg, EXIT_CODE_FAILED);
}

/* `usec`: how long to wait for it. */
static void take_answer(struct fg *fg, uint64_t usec)
{
    CLEANUP_REPLY struct client_reply reply = {0};
    int r = client_receive_fd(&fg->asked, usec, &reply, &fg->asked_fd);
    if (r == -ETIMEDOUT && usec <= USEC_PER_MSEC)
        return;
    if (r < 0)
        end(fg, complain_of_connection(&fg->asked, r));
    client_close(&fg->asked);
    if (r == 0 && reply.error) {
        handle_error(fg, &reply);
    } else if (r == 0) {
        set_place(fg, reply.parameters);
        take_worker(fg, reply.parameters);
    }
    fg->asked_fd = fd_close(fg->asked_fd);
}

/* Events */

static void handle_event(struct fg *fg, json_t *event)
{
    const char *program = json_string_value(json_object_get(event, "program")),
               *how = json_string_value(json_object_get(event, "exit"));
    if (!event || !string_equal(program, fg->program) || get_number(event, "slot") != fg->slot ||
        json_object_get(event, "health"))
        return;
    if (how && fg->pid != 0 && get_number(event, "pid") == fg->pid)
        lose_worker(fg, how);
    if (!fg->over)
        ask_who_runs(fg, fg->place);
}

/* One reply of a connection that goes on. False: there is none yet, or no more at all. */
static bool receive_next(struct fg *fg, struct client *client, struct client_reply *ret)
{
    int r = client_receive(client, USEC_PER_MSEC, ret);
    if (r == -ETIMEDOUT)
        return false;
    if (r < 0)
        end(fg, complain_of_connection(client, r));
    else if (ret->error)
        end(fg, complain_of_error(ret));
    else if (!ret->continues)
        complain("the master has left");
    if (r < 0 || ret->error || !ret->continues) {
        fg->over = true;
        return false;
    }
    return true;
}

static void take_events(struct fg *fg)
{
    bool more = true;
    while (more && !fg->over) {
        CLEANUP_REPLY struct client_reply reply = {0};
        more = receive_next(fg, &fg->events, &reply);
        if (more)
            handle_event(fg, json_object_get(reply.parameters, "event"));
    }
}

/* Lines */

static void take_lines(struct fg *fg)
{
    bool more = true;
    while (more && !fg->over) {
        CLEANUP_REPLY struct client_reply reply = {0};
        more = receive_next(fg, &fg->lines, &reply);
        if (more)
            fg_print_lines(fg->invocation->json, json_object_get(reply.parameters, "lines"));
    }
    if (fflush(stdout) != 0)
        end(fg, EXIT_CODE_FAILED);
}

/* The start */

static int begin_stream(struct fg *fg, struct client *client, const char *method,
                        json_t *parameters, struct client_reply *ret)
{
    int code = connect_or_complain(fg->invocation, client);
    if (code == EXIT_CODE_OK)
        return ask(client, method, parameters, true, ret);
    json_decref(parameters);
    return code;
}

static int begin(struct fg *fg, const char *name)
{
    CLEANUP_REPLY struct client_reply subscribed = {0}, logs = {0};
    int code = begin_stream(fg, &fg->events, "Subscribe", json_pack("{s:[s]}", "types", "worker"),
                            &subscribed);
    if (code != EXIT_CODE_OK)
        return code;
    ask_who_runs(fg, name);
    if (!fg->over)
        take_answer(fg, CLIENT_ANSWER_USEC);
    if (fg->over || fg->ending) {
        fg->over = true;
        return fg->code;
    }
    code = begin_stream(fg, &fg->lines, "Logs", json_pack("{s:[s]}", "programs", fg->place), &logs);
    if (code == EXIT_CODE_OK)
        fg_explain_outputs(json_object_get(logs.parameters, "outputs"),
                           json_object_get(logs.parameters, "log"));
    return code;
}

/* The loop */

static bool takes_input(const struct fg *fg)
{
    return fg->pid != 0 && !fg->input.ended && fg_input_pending(&fg->input) == 0;
}

static bool delivers(const struct fg *fg)
{
    return fg_input_pending(&fg->input) > 0 && fg->closed_usec == 0;
}

static void detach(struct fg *fg)
{
    if (fg->terminal && fg->pid != 0)
        complain("%s, pid %llu, is left running", fg->worker, (unsigned long long)fg->pid);
    fg->over = true;
}

static void detach_at_interrupt(struct fg *fg)
{
    if (fg->terminal)
        (void)fputc('\n', stderr); /* behind the ^C */
    detach(fg);
}

static void take_rest(struct fg *fg)
{
    if (fg->lines.in.end > fg->lines.in.begin)
        take_lines(fg);
    if (!fg->over && fg->events.in.end > fg->events.in.begin)
        take_events(fg);
    if (!fg->over && fg->ask_again && fg_input_pending(&fg->input) == 0)
        ask_who_runs(fg, fg->place);
}

/* Of poll(). */
static int time_left(const struct fg *fg)
{
    if (fg->ending)
        return LAST_LINES_MSEC;
    if (fg->pid == 0)
        return ASK_AGAIN_MSEC;
    if (fg->closed_usec == 0)
        return -1;
    uint64_t now = clock_monotonic_usec(), until = fg->closed_usec + DEATH_USEC;
    return until > now ? (int)((until - now) / USEC_PER_MSEC + 1) : 0;
}

static void wait_and_take(struct fg *fg, int signal_fd)
{
    struct pollfd fds[] = {
        {.fd = signal_fd, .events = POLLIN},
        {.fd = fg->lines.fd, .events = POLLIN},
        {.fd = fg->ending ? -1 : fg->events.fd, .events = POLLIN},
        {.fd = fg->asked.fd, .events = POLLIN},
        {.fd = delivers(fg) ? fg->input.to : -1, .events = POLLOUT},
        {.fd = takes_input(fg) ? fg->input.from : -1, .events = POLLIN},
    };
    int n = poll(fds, ARRAY_SIZE(fds), time_left(fg));
    if (n == 0 && fg->ending)
        fg->over = true;
    if (n == 0 && fg->pid == 0)
        ask_who_runs(fg, fg->place);
    if (fg->closed_usec != 0 && time_left(fg) == 0)
        refuse_input(fg, "has closed its stdin");
    if (n <= 0)
        return;
    if (fds[0].revents)
        detach_at_interrupt(fg);
    if (!fg->over && fds[1].revents)
        take_lines(fg);
    if (!fg->over && fds[2].revents)
        take_events(fg);
    if (!fg->over && fds[3].revents && fg->asked.fd == fds[3].fd)
        take_answer(fg, USEC_PER_MSEC);
    if (!fg->over && fds[4].revents)
        deliver(fg);
    if (!fg->over && fds[5].revents && takes_input(fg))
        take_input(fg);
}

static void run(struct fg *fg)
{
    CLEANUP(interrupt_give_back) struct interrupt interrupt = interrupt_take();
    while (!fg->over) {
        take_rest(fg);
        if (!fg->over)
            wait_and_take(fg, interrupt.fd);
        if (!fg->over && fg->input.ended && fg_input_pending(&fg->input) == 0 &&
            !fg->invocation->follow)
            detach(fg);
    }
    if (fg_input_pending(&fg->input) > 0)
        refuse_input(fg, "has not read all");
    (void)fflush(stdout);
}

int command_fg(const struct invocation *invocation)
{
    struct fg fg = {.invocation = invocation,
                    .terminal = isatty(STDIN_FILENO),
                    .events = {.fd = -1},
                    .lines = {.fd = -1},
                    .asked = {.fd = -1},
                    .asked_fd = -1,
                    .input = {.from = STDIN_FILENO, .to = -1}};
    if (strv_length(invocation->arguments) != 1) {
        complain("fg takes the name of one worker: `reloaderctl fg web:0`");
        return EXIT_CODE_USAGE;
    }
    int code = begin(&fg, invocation->arguments[0]);
    if (code == EXIT_CODE_OK && !fg.over) {
        run(&fg);
        code = fg.code;
    }
    client_close(&fg.events);
    client_close(&fg.lines);
    client_close(&fg.asked);
    fg_input_turn(&fg.input, -1);
    free(fg.place);
    free(fg.program);
    free(fg.worker);
    return code;
}
