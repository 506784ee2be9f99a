/* A library that crashes while it reads a file becomes one line and exit 3; any other crash stays one. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/crash.h"
#include "tests/check.h"

/* The wait status of a child that watches path, then gets the signal; what it wrote to stderr. */
static int crash_in_child(const char *path, int number, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        ns_crash_watch("earlier.h5");
        ns_crash_watch(path);
        raise(number);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n < size - 1; n += (size_t)(got > 0 ? got : 0)) got = read(ends[0], text + n, size - 1 - n);
    text[n] = '\0';
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void a_watched_crash_is_a_damaged_file(void **state)
{
    (void)state;
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    for (int i = 0; i < 4; i++) {
        char text[500];
        int status = crash_in_child("c.h5", numbers[i], text, sizeof text);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 3);
        assert_memory_equal(text, "nightshift: 'c.h5' is damaged", 29);
        assert_int_equal(text[strlen(text) - 1], '\n');
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    }
}

static void an_unwatched_crash_stays_one(void **state)
{
    (void)state;
    char text[500];
    int status = crash_in_child(NULL, SIGBUS, text, sizeof text);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_null(strstr(text, "nightshift:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watched_crash_is_a_damaged_file),
        cmocka_unit_test(an_unwatched_crash_stays_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
