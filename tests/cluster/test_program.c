/* Where a program of one file and an unpacked one find their parts. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/program.h"

static char root[] = "/tmp/nightshift-program-XXXXXX";

static const char *in_root(const char *name)
{
    static char path[4][PATH_MAX];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, PATH_MAX, "%s%s", root, name);
    return out;
}

static void put(const char *name, mode_t mode)
{
    FILE *file = fopen(in_root(name), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(in_root(name), mode), 0);
}

static int make_root(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    if (mkdtemp(root) == NULL || mkdir(in_root("/parts"), 0755) != 0 || mkdir(in_root("/bin"), 0755) != 0) return -1;
    put("/parts/ld-linux-x86-64.so.2", 0755);
    put("/parts/nightshift", 0755);
    put("/bin/nightshift", 0755);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void knows_an_unpacked_folder(void **state)
{
    (void)state;
    char home[PATH_MAX];
    assert_true(ns_program_home(in_root("/parts/ld-linux-x86-64.so.2"), home, sizeof home));
    assert_string_equal(home, root);
    assert_false(ns_program_home(in_root("/parts/nightshift"), home, sizeof home));
    assert_false(ns_program_home("/parts/ld-linux-x86-64.so.2", home, sizeof home));
    assert_false(ns_program_home(in_root("/parts/ld-linux-x86-64.so.2"), home, 4));
}

static void needs_every_part(void **state)
{
    (void)state;
    char home[PATH_MAX];
    assert_int_equal(chmod(in_root("/bin/nightshift"), 0644), 0);
    assert_false(ns_program_home(in_root("/parts/ld-linux-x86-64.so.2"), home, sizeof home));
    assert_int_equal(chmod(in_root("/bin/nightshift"), 0755), 0);
    assert_int_equal(unlink(in_root("/parts/nightshift")), 0);
    assert_false(ns_program_home(in_root("/parts/ld-linux-x86-64.so.2"), home, sizeof home));
}

static void is_one_file_when_built(void **state)
{
    (void)state;
    char file[PATH_MAX], starter[PATH_MAX], real[PATH_MAX], launcher[PATH_MAX];
    assert_int_equal(ns_program_file(file, sizeof file), NS_OK);
    assert_int_equal(ns_program_starter(starter, sizeof starter), NS_OK);
    assert_non_null(realpath("/proc/self/exe", real));
    assert_string_equal(file, real);
    assert_string_equal(starter, real);
    assert_false(ns_program_launcher(launcher, sizeof launcher));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_an_unpacked_folder, make_root, remove_root),
        cmocka_unit_test_setup_teardown(needs_every_part, make_root, remove_root),
        cmocka_unit_test(is_one_file_when_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
