/*
 * The machine that runs kernels on the host: right kernels give their values in every order, planted errors are
 * noticed. Which build notices what is said below; the race build and the sanitizer build do not replace each other.
 */
#include "tests/check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda_host/machine.h"
#include "tests/cuda_host/planted.h"
#include "tests/cuda_host/runtime.h"
#include "tests/cuda_host/poison.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_SANITIZER true
#else
#define HAS_SANITIZER false
#endif

enum { SEEDS = 16 };

/* Runs one in a child. 0: its value was right, 1: wrong, 2: it was stopped; text: the first line it said. */
/* The kernels of this test are launched without a backend. */
void ns_launch_begins(cudaStream_t stream);
void ns_launch_begins(cudaStream_t stream)
{
    (void)stream;
}

static int outcome(planted what, uint64_t seed, char text[512])
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 2);
        close(out[0]);
        ns_host_seed(seed);
        _exit(planted_run(what) ? 0 : 1);
    }
    close(out[1]);
    size_t n = 0;
    char rest[256];
    for (ssize_t got; (got = read(out[0], n < 511 ? text + n : rest, n < 511 ? 511 - n : sizeof rest)) > 0;)
        if (n < 511) n += (size_t)got;
    text[n] = '\0';
    close(out[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? WEXITSTATUS(status) : 2;
}

static void right_kernels_are_right(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        char text[512];
        if (outcome(PLANT_NOTHING, seed, text) != 0) fail_msg("seed %d: %s", (int)seed, text);
    }
}

/* In how many of the seeds it is noticed, stopped with `says` or by a wrong value. */
static int noticed(planted what, const char *says)
{
    int n = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char text[512];
        int got = outcome(what, seed, text);
        if (got == 2 && strstr(text, says) == NULL) fail_msg("planted %d: no \"%s\" in: %s", (int)what, says, text);
        n += got != 0;
    }
    return n;
}

static void misuse_is_stopped(void **state)
{
    (void)state;
    assert_int_equal(noticed(PLANT_LEFT, "names threads that left"), SEEDS);
    assert_int_equal(noticed(PLANT_DIVERGENT, "is at the barrier of line"), SEEDS);
    assert_int_equal(noticed(PLANT_OUTSIDE, "which is not in the mask"), SEEDS);
    assert_int_equal(noticed(PLANT_WARP_DEADLOCK, "deadlock"), SEEDS);
    assert_int_equal(noticed(PLANT_HOST_POINTER, "host's memory"), SEEDS);
    assert_int_equal(noticed(PLANT_NOT_ZEROED, ""), SEEDS);
    assert_int_equal(noticed(PLANT_NO_DEVICE, "has not said of which device"), SEEDS);
}

static void missing_waits_are_noticed(void **state)
{
    (void)state;
    assert_int_equal(noticed(PLANT_EARLY_READ, ""), SEEDS);
    assert_int_equal(noticed(PLANT_EARLY_WRITE, ""), SEEDS);
    assert_int_equal(noticed(PLANT_OTHER_MARK, ""), SEEDS);
}

static void memory_is_guarded(void **state)
{
    (void)state;
    assert_int_equal(noticed(PLANT_DEVICE_BEYOND, HAS_SANITIZER ? "AddressSanitizer" : "beyond the end"), SEEDS);
    if (HAS_SANITIZER) assert_int_equal(noticed(PLANT_SHARED_BEYOND, "AddressSanitizer"), SEEDS);
}

static void missing_barriers_are_noticed(void **state)
{
    (void)state;
#ifdef HAS_RACE_DETECTOR
    assert_int_equal(noticed(PLANT_BARRIER, "race"), SEEDS);
    assert_int_equal(noticed(PLANT_WARP_BARRIER, "race"), SEEDS);
    assert_int_equal(noticed(PLANT_PLAIN_ADD, "race"), SEEDS);
#else
    assert_true(noticed(PLANT_BARRIER, "") > 0); /* values alone: for most seeds */
    assert_true(noticed(PLANT_WARP_BARRIER, "") > SEEDS / 2);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_kernels_are_right),
        cmocka_unit_test(misuse_is_stopped),
        cmocka_unit_test(missing_waits_are_noticed),
        cmocka_unit_test(memory_is_guarded),
        cmocka_unit_test(missing_barriers_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
