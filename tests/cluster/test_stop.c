/* A request to one rank stops all of them at the same place; a second one, later, ends the process with 75.
 */
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/log.h"
#include "cluster/stop.h"

static int rank, n_ranks;

static void nobody_asked(void **state)
{
    (void)state;
    assert_false(ns_stop_asked());
    CHECK_OK(ns_stop_check());
    assert_false(ns_stop_agreed(MPI_COMM_WORLD));
}

/* What a child does: asks itself with `number`, again at once, and (later) again after more than half a
 * second. */
static int exit_of_child(int number, int later)
{
    pid_t child = fork();
    if (child == 0) {
        raise(number);
        if (!ns_stop_asked()) _exit(10);
        raise(number); /* the same request */
        if (later) {
            double first = ns_seconds();
            while (ns_seconds() - first < 0.6) continue;
            raise(SIGTERM);
        }
        _exit(11);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void second_signal_leaves(void **state)
{
    (void)state;
    if (rank == 0) {
        static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            assert_int_equal(exit_of_child(numbers[i], 0), 11);
        assert_int_equal(exit_of_child(SIGUSR2, 1), 75);
    }
    assert_false(ns_stop_agreed(MPI_COMM_WORLD));
}

static void closed_pipe_is_an_error(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
}

static void one_rank_asked(void **state)
{
    (void)state;
    if (rank == n_ranks - 1) raise(SIGUSR2);
    assert_int_equal(ns_stop_asked(), rank == n_ranks - 1);
    assert_true(ns_stop_agreed(MPI_COMM_WORLD));
    if (ns_stop_asked()) CHECK_FAILS(ns_stop_check(), NS_ESTOPPED, "stopped on request; run the same command again");
    ns_stop_listen(); /* listening anew forgets nothing */
    assert_true(ns_stop_agreed(MPI_COMM_WORLD));
    assert_int_equal(ns_stop_asked(), rank == n_ranks - 1);
}

int main(int argc, char **argv)
{
    ns_stop_listen();
    MPI_Init(&argc, &argv);
    ns_stop_listen();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asked),
        cmocka_unit_test(second_signal_leaves),
        cmocka_unit_test(closed_pipe_is_an_error),
        cmocka_unit_test(one_rank_asked),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
