/*
 * Whoever may write to the directory of a Unix socket may put something else in the place of its file, at any moment. Here it
 * happens right after bind(): what was put there is not ours to change.
 */
#include "control/control.h"
#include "net/listener.h"

#include "base/strv.h"
#include "live.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    const char *path;   /* of the socket that is replaced; NULL: none is */
    const char *target; /* a symbolic link to this takes its place, */
    const char *other;  /* or else this file */
} intruder;

/* Ours, in front of the C library's. */
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int fd, const struct sockaddr *address, socklen_t length);
    *(void **)(void *)&real = dlsym(RTLD_NEXT, "bind");
    int r = real(fd, address, length);
    if (r < 0 || !intruder.path || address->sa_family != AF_UNIX ||
        strcmp(((const struct sockaddr_un *)(const void *)address)->sun_path, intruder.path) != 0)
        return r;
    assert_int_equal(unlink(intruder.path), 0);
    assert_int_equal(intruder.target ? symlink(intruder.target, intruder.path)
                                     : link(intruder.other, intruder.path),
                     0);
    return r;
}

struct fixture {
    char *directory, *path, *victim;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = live_make_directory();
    fixture->path = string_format("%s/socket", fixture->directory);
    fixture->victim = string_format("%s/victim", fixture->directory);
    live_write_file(fixture->directory, "victim", "secret");
    assert_int_equal(chmod(fixture->victim, 0600), 0);
    intruder.path = fixture->path;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    memset(&intruder, 0, sizeof(intruder));
    live_remove_directory(fixture->directory);
    free(fixture->path);
    free(fixture->victim);
    free(fixture);
    return 0;
}

static void expect_unchanged(const struct fixture *fixture)
{
    struct stat st;
    assert_int_equal(stat(fixture->victim, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, geteuid());
}

/* To somebody else where we may, to ourselves where not. */
static struct config_id somebody(void)
{
    return (struct config_id){.set = true, .id = geteuid() == 0 ? 65534 : geteuid()};
}

static void expect_listener_refused(const struct fixture *fixture)
{
    const struct listener_options options = {.mode_set = true, .mode = 0666, .owner = somebody()};
    CLEANUP_FREE char *text = string_format("unix:%s", fixture->path), *error = NULL;
    struct address address;
    const char *reason;
    struct listener *listener = NULL;
    assert_int_equal(address_parse(text, &address, &reason), 0);
    assert_true(listener_new("web", &address, 1, &options, &listener, &error) < 0);
    assert_non_null(error);
    assert_non_null(strstr(error, fixture->path));
    expect_unchanged(fixture);
}

static void test_link_instead_of_a_listener(void **state)
{
    const struct fixture *fixture = *state;
    intruder.target = fixture->victim;
    expect_listener_refused(fixture);
}

static void test_file_instead_of_a_listener(void **state)
{
    const struct fixture *fixture = *state;
    intruder.other = fixture->victim;
    expect_listener_refused(fixture);
    assert_int_equal(access(fixture->path, F_OK), 0);
}

static void expect_control_refused(const struct fixture *fixture)
{
    static const struct control_ops none;
    const struct control_settings settings = {
        .path = fixture->path, .mode = 0666, .owner = somebody()};
    CLEANUP_FREE char *error = NULL;
    struct control *control = NULL;
    sd_event *event = NULL;
    assert_int_equal(sd_event_new(&event), 0);
    assert_true(control_new(event, &settings, &none, NULL, &control, &error) < 0);
    assert_non_null(error);
    expect_unchanged(fixture);
    (void)sd_event_unref(event);
}

static void test_link_instead_of_the_control_socket(void **state)
{
    const struct fixture *fixture = *state;
    intruder.target = fixture->victim;
    expect_control_refused(fixture);
}

static void test_file_instead_of_the_control_socket(void **state)
{
    const struct fixture *fixture = *state;
    intruder.other = fixture->victim;
    expect_control_refused(fixture);
}

/* Without an intruder it gets what was asked for. */
static void test_control_socket(void **state)
{
    const struct fixture *fixture = *state;
    static const struct control_ops none;
    const struct control_settings settings = {
        .path = fixture->path, .mode = 0620, .owner = somebody()};
    CLEANUP_FREE char *error = NULL;
    struct control *control = NULL;
    struct stat st;
    sd_event *event = NULL;
    intruder.path = NULL;
    assert_int_equal(sd_event_new(&event), 0);
    assert_int_equal(control_new(event, &settings, &none, NULL, &control, &error), 0);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0620);
    assert_int_equal(st.st_uid, somebody().id);
    (void)control_free(control);
    (void)sd_event_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_link_instead_of_a_listener, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_instead_of_a_listener, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_instead_of_the_control_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_instead_of_the_control_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_control_socket, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
