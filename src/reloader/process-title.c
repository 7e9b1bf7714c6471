#include "reloader/process-title.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The kernel's one region of arguments and environment belongs to the process as a whole. */
static struct {
    char *start;
    size_t size;
    /* The copies, for the life of the process: what leaves the environment stays ours, and so does its list. */
    char **argv, **environment, **environment_list;
} room;

static char *end_of(char *const *v, char *end)
{
    STRV_FOREACH (s, v) {
        if (*s != end)
            break;
        end = *s + strlen(*s) + 1;
    }
    return end;
}

int process_title_init(int argc, char ***argv)
{
    if (argc < 1)
        return 0;
    char *start = (*argv)[0];
    char *end = end_of(environ, end_of(*argv, start));
    CLEANUP_STRV char **new_argv = NULL, **new_environment = NULL;
    char **list = calloc(strv_length(environ) + 1, sizeof(*list));
    if (!list || strv_copy(*argv, &new_argv) < 0 || strv_copy(environ, &new_environment) < 0) {
        free(list);
        return -ENOMEM;
    }
    for (size_t i = 0; i < strv_length(new_environment); i++)
        list[i] = new_environment[i];
    environ = room.environment_list = list;
    room.environment = TAKE_PTR(new_environment);
    *argv = room.argv = TAKE_PTR(new_argv);
    room.start = start;
    room.size = (size_t)(end - start);
    return 0;
}

void process_title_set(const char *title)
{
    (void)prctl(PR_SET_NAME, title, 0, 0, 0);
    if (room.size < 2)
        return;
    memset(room.start, 0, room.size);
    memcpy(room.start, title, strnlen(title, room.size - 1));
}
