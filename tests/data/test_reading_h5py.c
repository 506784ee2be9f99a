/* test_reading_h5py FOLDER: files that h5py wrote there (h5py_zoo.py) are read alike both ways. */
#include <glob.h>
#include <mpi.h>

#include "data/h5.h"
#include "tests/check.h"
#include "tests/data/both_ways.h"

static const char *folder;

static void read_all(const char *pattern, expected_share share, size_t at_least)
{
    char all[400];
    glob_t found;
    snprintf(all, sizeof all, "%s/%s", folder, pattern);
    assert_int_equal(glob(all, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= at_least);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        print_message("%s\n", found.gl_pathv[i]);
        check_both_ways(found.gl_pathv[i], share);
    }
    globfree(&found);
}

static void reads_common_files_past_hdf5(void **state)
{
    (void)state;
    read_all("fast-*.h5", ALL_FAST, 11);
}

static void reads_any_file_right(void **state)
{
    (void)state;
    read_all("any-*.h5", ANY_SHARE, 3);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (argc != 2) return 2;
    folder = argv[1];
    ns_h5_quiet();
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_common_files_past_hdf5), cmocka_unit_test(reads_any_file_right)};
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return result;
}
