/* What GPUs did, as an NVML that is not real tells it: one GPU for each rank, one that all share, GPUs that tell little or nothing. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster/gpu_meter.h"

static int rank, n_ranks;

static bool is_near(double got, double want)
{
    return fabs(got - want) <= 1e-12;
}

static ns_gpu_meters gathered(void)
{
    ns_gpu_meters meters;
    assert_int_equal(ns_gpu_meters_gather(&meters, MPI_COMM_WORLD), NS_OK);
    return meters;
}

static void one_for_each_rank(void **state)
{
    (void)state;
    char bus[32], joules[8];
    snprintf(bus, sizeof bus, "0000:%02x:00.0", (unsigned)rank);
    snprintf(joules, sizeof joules, "%d", 10 * (rank + 1)); /* of this process */
    setenv("FAKE_NVML_JOULES", joules, 1);
    ns_gpu_meter_open(bus);
    ns_gpu_meters meters = gathered(); /* too short for a look by itself: one is made */
    assert_int_equal(meters.n_gpus, n_ranks);
    assert_true(meters.has_utilisation && meters.has_energy);
    assert_true(is_near(meters.utilisation.least, 0.4) && is_near(meters.utilisation.most, 0.4));
    assert_true(is_near(meters.energy_j, 10.0 * n_ranks * (n_ranks + 1) / 2));

    for (int i = 0; i < 3; i++) ns_gpu_meter_look(); /* at most one a second */
    usleep(1100000);
    ns_gpu_meter_look();
    ns_gpu_meter_look();
    meters = gathered();
    assert_true(is_near(meters.utilisation.median, 0.5)); /* 0.4 and 0.6 */
    assert_true(is_near(meters.energy_j, 2 * 10.0 * n_ranks * (n_ranks + 1) / 2));
    unsetenv("FAKE_NVML_JOULES");
}

static void a_shared_one_counts_once(void **state)
{
    (void)state;
    ns_gpu_meter_open("0000:80:00.0");
    ns_gpu_meters meters = gathered();
    assert_int_equal(meters.n_gpus, 1);
    assert_true(is_near(meters.energy_j, 1));
}

static void the_silent_count_as_gpus_alone(void **state)
{
    (void)state;
    ns_gpu_meter_open("0000:f8:00.0"); /* NVML does not know it */
    ns_gpu_meters meters = gathered();
    assert_int_equal(meters.n_gpus, 1);
    assert_false(meters.has_utilisation || meters.has_energy);

    setenv("FAKE_NVML_ENERGY", "0", 1); /* too old for a counter */
    ns_gpu_meter_open("0000:81:00.0");
    meters = gathered();
    assert_true(meters.has_utilisation && !meters.has_energy);
    unsetenv("FAKE_NVML_ENERGY");

    ns_gpu_meter_open(rank == 0 ? "0000:82:00.0" : ""); /* ranks without a GPU */
    meters = gathered();
    assert_true(meters.n_gpus == 1 && meters.has_energy);

    ns_gpu_meter_open(NULL);
    ns_gpu_meter_look();
    meters = gathered();
    assert_true(meters.n_gpus == 0 && !meters.has_utilisation && !meters.has_energy);
}

int main(int argc, char **argv)
{
    setenv("NIGHTSHIFT_NVML", FAKE_NVML, 1);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_for_each_rank),
        cmocka_unit_test(a_shared_one_counts_once),
        cmocka_unit_test(the_silent_count_as_gpus_alone),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
