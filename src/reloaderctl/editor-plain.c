/* Without libedit: what the terminal offers by itself. */
#include "reloaderctl/editor.h"

#include "reloaderctl/screen.h"

#include <stdio.h>
#include <string.h>

struct editor {
    const struct editor_options *options;
};

struct editor *editor_new(const struct editor_options *options)
{
    struct editor *editor = malloc(sizeof(*editor));
    if (!editor)
        die_of_memory();
    *editor = (struct editor){options};
    return editor;
}

struct editor *editor_free(struct editor *editor)
{
    free(editor);
    return NULL;
}

char *editor_read(struct editor *editor)
{
    char *line = NULL;
    size_t size = 0;
    (void)fputs(editor->options->prompt, stdout);
    (void)fflush(stdout);
    if (getline(&line, &size, stdin) < 0) {
        free(line);
        (void)fputc('\n', stdout);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}
