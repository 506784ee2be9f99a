/*
 * What test_launch starts under the launcher. Its first word says what it does; the exit code is the answer.
 *   exit CODE     all ranks leave with CODE
 *   world N       0 where there are N ranks, and the environment is that of `nightshift run`; else 10
 *   read TEXT     0 where rank 0 reads TEXT from standard input; else 10
 *   die           rank 1 kills itself with KILL
 *   stop          says "ready", waits for a signal: 75 for one USR2 on every rank, 11 for anything else
 *   late          as stop, but says "ready" before it listens, and listens once a line came in on standard
 * input deaf          says "ready" and stays, whatever signal comes lines         rank 1 meets the others in
 * a reduction that it calls from another line
 */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/log.h"
#include "cluster/reduce.h"

static volatile sig_atomic_t n_usr2, n_other;

static void on_signal(int number)
{
    if (number == SIGUSR2)
        n_usr2 = n_usr2 + 1;
    else
        n_other = n_other + 1;
}

static void listen_to_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
}

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

static int wait_for_signal(int rank)
{
    double start = ns_seconds();
    int all;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) say("ready");
    do {
        all = n_usr2 + n_other > 0;
        MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    } while (!all && ns_seconds() - start < 60.0);
    int good = n_usr2 == 1 && n_other == 0;
    MPI_Allreduce(MPI_IN_PLACE, &good, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (rank == 0) say(good ? "stopped" : "wrong signal");
    return good ? 75 : 11;
}

static int check_world(int rank, int n_ranks, const char *wanted)
{
    const char *ranks = getenv("NIGHTSHIFT_RANKS"), *job = getenv("SLURM_JOB_ID");
    int good = atoi(wanted) == n_ranks && ranks != NULL && strcmp(ranks, wanted) == 0 &&
               getenv("SLURM_NTASKS") == NULL && getenv("SLURM_NODELIST") == NULL &&
               getenv("SLURM_JOBID") == NULL && job != NULL && strcmp(job, "77") == 0;
    MPI_Allreduce(MPI_IN_PLACE, &good, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    (void)rank;
    return good ? 0 : 10;
}

static int read_input(int rank, const char *wanted)
{
    int good = 1;
    char line[256] = "";
    if (rank == 0) {
        good = fgets(line, sizeof line, stdin) != NULL;
        line[strcspn(line, "\n")] = '\0';
        good = good && strcmp(line, wanted) == 0;
    }
    MPI_Bcast(&good, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return good ? 0 : 10;
}

static int meet_in_lines(int rank)
{
    int64_t one = 1;
    if (rank == 1)
        ns_sum_i64(&one, 1, MPI_COMM_WORLD);
    else
        ns_sum_i64(&one, 1, MPI_COMM_WORLD);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) return 12;
    const char *verb = argv[1], *word = argc > 2 ? argv[2] : "";
    char line[256];
    if (strcmp(verb, "late") == 0 && isatty(STDIN_FILENO) == 0) {
        /* Rank 0 has the input; the others listen at once. Which rank this is only the launcher has said so
         * far. */
        const char *ranks[] = {getenv("OMPI_COMM_WORLD_RANK"), getenv("PMI_RANK")};
        const char *mine = ranks[0] != NULL ? ranks[0] : ranks[1];
        if (mine != NULL && strcmp(mine, "0") == 0) {
            say("ready");
            if (fgets(line, sizeof line, stdin) == NULL) return 13;
        }
    }
    listen_to_signals();
    int rank, n_ranks, code = 12;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    if (strcmp(verb, "exit") == 0) code = atoi(word);
    if (strcmp(verb, "world") == 0) code = check_world(rank, n_ranks, word);
    if (strcmp(verb, "read") == 0) code = read_input(rank, word);
    if (strcmp(verb, "die") == 0 && rank == 1) raise(SIGKILL);
    if (strcmp(verb, "stop") == 0 || strcmp(verb, "late") == 0) code = wait_for_signal(rank);
    if (strcmp(verb, "lines") == 0) code = meet_in_lines(rank);
    if (strcmp(verb, "deaf") == 0) {
        double start = ns_seconds();
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == 0) say("ready");
        while (ns_seconds() - start < 60.0) usleep(10000);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return code;
}
