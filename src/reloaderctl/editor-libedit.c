/*
 * With libedit. Ctrl-C is a key while a line is edited: it clears the line. The history is read when the editor comes and written when
 * it goes, to a file of its user alone that takes the place of the old one in one step.
 */
#include "reloaderctl/editor.h"

#include "base/fd.h"
#include "base/strv.h"
#include "reloaderctl/complete.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_SIZE 1000

struct editor {
    const struct editor_options *options;
    EditLine *line;
    History *history;
};

/* Completion */

static size_t word_length(const char *candidate)
{
    return strcspn(candidate, "\t");
}

static size_t common_length(char *const *found)
{
    size_t length = word_length(found[0]);
    STRV_FOREACH (candidate, found) {
        size_t same = 0;
        while (same < length && same < word_length(*candidate) &&
               (*candidate)[same] == found[0][same])
            same++;
        length = same;
    }
    return length;
}

static void list_candidates(char *const *found)
{
    struct screen screen = screen_look(STDOUT_FILENO);
    CLEANUP_TABLE struct table table = {.n_columns = 2};
    STRV_FOREACH (candidate, found) {
        size_t length = word_length(*candidate);
        table_add(&table, TONE_PLAIN, "%.*s", (int)length, *candidate);
        table_add(&table, TONE_DIM, "%s", (*candidate)[length] ? *candidate + length + 1 : "");
    }
    (void)fputc('\n', stdout);
    table_print(&table, &screen, 2, stdout);
    (void)fflush(stdout);
}

/* What is being typed: the end of the line that has no blank. */
static const char *last_word(const char *line)
{
    const char *blank = strrchr(line, ' ');
    return blank ? blank + 1 : line;
}

static unsigned char insert(EditLine *line, const char *text)
{
    return el_insertstr(line, text) < 0 ? CC_ERROR : CC_REFRESH;
}

static unsigned char on_tab(EditLine *edit, UNUSED int key)
{
    const struct editor *editor = NULL;
    const LineInfo *info = el_line(edit);
    if (el_get(edit, EL_CLIENTDATA, &editor) < 0)
        return CC_ERROR;
    CLEANUP_FREE char *line = strndup(info->buffer, (size_t)(info->cursor - info->buffer));
    if (!line)
        die_of_memory();
    CLEANUP_STRV char **found = editor->options->complete(line, editor->options->userdata);
    if (!found || string_equal(found[0], COMPLETE_FILES))
        return CC_ERROR;
    size_t typed = strlen(last_word(line)), common = common_length(found);
    CLEANUP_FREE char *more = strndup(found[0] + typed, common > typed ? common - typed : 0);
    if (!more)
        die_of_memory();
    if (strv_length(found) == 1) {
        CLEANUP_FREE char *whole = string_format("%s ", more);
        return whole ? insert(edit, whole) : CC_ERROR;
    }
    if (common > typed)
        return insert(edit, more);
    list_candidates(found);
    return CC_REDISPLAY;
}

/* History */

/* Whatever is in the way, of one who was killed or of somebody else's making, is not opened. */
static int write_history(const struct editor *editor, const char *temporary)
{
    HistEvent event;
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        (void)fd_close(fd);
        return -EIO;
    }
    int r = fchmod(fd, 0600) < 0 || history(editor->history, &event, H_SAVE_FP, file) < 0 ? -EIO
                                                                                          : 0;
    return fclose(file) != 0 ? -EIO : r;
}

/* What is not remembered is not worth a complaint: a home may be read-only. */
static void save_history(const struct editor *editor)
{
    if (!editor->options->history)
        return;
    CLEANUP_FREE char *temporary = string_format("%s.new", editor->options->history);
    if (!temporary)
        die_of_memory();
    if (write_history(editor, temporary) < 0 || rename(temporary, editor->options->history) < 0)
        (void)unlink(temporary);
}

/* Life */

static char *prompt(EditLine *line)
{
    const struct editor *editor = NULL;
    (void)el_get(line, EL_CLIENTDATA, &editor);
    return (char *)(editor ? editor->options->prompt : "");
}

static void set_up_history(struct editor *editor)
{
    HistEvent event;
    editor->history = history_init();
    if (!editor->history)
        die_of_memory();
    (void)history(editor->history, &event, H_SETSIZE, HISTORY_SIZE);
    (void)history(editor->history, &event, H_SETUNIQUE, 1);
    if (editor->options->history)
        (void)history(editor->history, &event, H_LOAD, editor->options->history);
    (void)el_set(editor->line, EL_HIST, history, editor->history);
}

struct editor *editor_new(const struct editor_options *options)
{
    struct editor *editor = malloc(sizeof(*editor));
    if (!editor)
        die_of_memory();
    *editor = (struct editor){.options = options,
                              .line = el_init("reloaderctl", stdin, stdout, stderr)};
    if (!editor->line)
        die_of_memory();
    (void)el_set(editor->line, EL_CLIENTDATA, editor);
    (void)el_set(editor->line, EL_PROMPT, prompt);
    (void)el_set(editor->line, EL_EDITOR, "emacs");
    (void)el_set(editor->line, EL_SIGNAL, 1);
    (void)el_set(editor->line, EL_ADDFN, "complete", "Completes a word", on_tab);
    (void)el_set(editor->line, EL_BIND, "^I", "complete", NULL);
    (void)el_set(editor->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_set(editor->line, EL_SETTY, "-d", "-isig", NULL);
    (void)el_set(editor->line, EL_BIND, "^C", "em-kill-line", NULL);
    set_up_history(editor);
    return editor;
}

struct editor *editor_free(struct editor *editor)
{
    if (!editor)
        return NULL;
    save_history(editor);
    history_end(editor->history);
    el_end(editor->line);
    free(editor);
    return NULL;
}

char *editor_read(struct editor *editor)
{
    HistEvent event;
    int size = 0;
    const char *line = el_gets(editor->line, &size);
    if (!line || size <= 0) {
        (void)fputc('\n', stdout);
        return NULL;
    }
    char *copy = strndup(line, strcspn(line, "\n"));
    if (!copy)
        die_of_memory();
    if (copy[strspn(copy, " \t")] != '\0' && copy[0] != ' ')
        (void)history(editor->history, &event, H_ENTER, copy);
    return copy;
}
