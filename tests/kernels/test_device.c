/* Opening a device: names, instruction sets, and the check of every thread's arithmetic. */
#include "tests/check.h"

#include <fenv.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "kernels/device.h"
#include "kernels/level.h"

static ns_status open_as(const char *name, const char *level)
{
    ns_link alone = ns_link_alone();
    ns_device *device;
    if (level == NULL)
        unsetenv("NIGHTSHIFT_CPU");
    else
        setenv("NIGHTSHIFT_CPU", level, 1);
    ns_status status = ns_device_open(&device, name, 2, &alone);
    assert_true((status == NS_OK) == (device != NULL));
    if (device != NULL) {
        assert_string_equal(device->name, "cpu");
        assert_string_equal(device->level, device->loops->name);
        assert_true(device->forest != NULL && device->scorer != NULL && device->n_threads == 2);
        if (level != NULL) assert_string_equal(device->level, level);
    }
    ns_device_close(&device);
    assert_null(device);
    unsetenv("NIGHTSHIFT_CPU");
    return status;
}

static void devices_have_names(void **state)
{
    (void)state;
    setenv("NIGHTSHIFT_CUDA", "/nowhere/nightshift_cuda.so", 1); /* also where there is a GPU */
    CHECK_OK(open_as("cpu", NULL));
    CHECK_OK(open_as("auto", NULL));
    CHECK_OK(open_as("cpu", "baseline"));
    CHECK_FAILS(open_as("cuda", NULL), NS_EUNAVAILABLE, "device cuda: nightshift_cuda.so cannot be loaded");
    setenv("NIGHTSHIFT_CUDA", "/proc/self/exe", 1);
    CHECK_FAILS(open_as("cuda", NULL), NS_EUNAVAILABLE, "device cuda: ");
    CHECK_FAILS(open_as("gpu", NULL), NS_EINVAL, "must be auto, cpu or cuda");
    CHECK_FAILS(open_as("cpu", "sse9"), NS_EINVAL, "must be baseline, avx2 or avx512");
    unsetenv("NIGHTSHIFT_CUDA");
}

/* Where there is no GPU, auto says so; asking changes nothing. */
static void auto_says_why_not(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    ns_device *device;
    char text[256];
    setenv("NIGHTSHIFT_CUDA", "/nowhere/nightshift_cuda.so", 1);
    CHECK_OK(ns_device_open(&device, "auto", 2, &alone));
    assert_string_equal(device->name, "cpu");
    assert_non_null(strstr(device->why_not, "cannot be loaded"));
    assert_true(ns_last_error()->code == NS_OK);
    ns_device_close(&device);
    CHECK_OK(ns_device_open(&device, "cpu", 2, &alone));
    assert_true(device->why_not[0] == '\0' && device->close == NULL);
    ns_device_close(&device);
    CHECK_FAILS(ns_device_look_for_cuda(text, sizeof text), NS_EUNAVAILABLE, "device cuda: ");
    unsetenv("NIGHTSHIFT_CUDA");
}

/* A level that the processor has not is refused, one that it has is used. */
static void levels_are_taken_or_refused(void **state)
{
    (void)state;
    const char *names[] = {"avx2", "avx512"};
    for (int i = 0; i < 2; i++) {
        const ns_level *level;
        if (ns_level_pick(&level, names[i]) == NS_OK) {
            CHECK_OK(open_as("cpu", names[i]));
            continue;
        }
        ns_error_clear();
        CHECK_FAILS(open_as("cpu", names[i]), NS_EUNAVAILABLE, "this processor has not");
    }
}

static void every_loop_is_set(void **state)
{
    (void)state;
    const char *names[] = {"baseline", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        const ns_level *l;
        if (ns_level_pick(&l, names[i]) != NS_OK) {
            ns_error_clear();
            continue;
        }
        const ns_histogram_loops *h = l->histogram;
        assert_true(l->bin->number && l->gradient->binary && l->gradient->multiclass &&
                    l->gradient->regression && l->gradient->poisson && l->gradient->quantile &&
                    l->gradient->round_narrow && l->gradient->round_wide);
        assert_true(h->gather_narrow && h->gather_wide && h->tile_narrow && h->tile_wide && h->flush_narrow &&
                    h->flush_wide && h->flush_packed && h->fold_narrow && h->fold_wide && h->unpack && h->pack &&
                    h->column_narrow && h->column_wide && h->subtract && l->bin->tile && l->split->number);
        assert_true(l->partition->bytes && l->partition->wide && l->partition->place && l->leaf->sum);
        assert_true(l->loss->add && l->loss->binary && l->loss->multiclass && l->loss->regression &&
                    l->loss->poisson && l->loss->quantile && l->walk->leaves && l->walk->rest &&
                    l->code->bin && l->code->sum && l->code->risks);
    }
}

static void wrong_arithmetic_is_refused(void **state)
{
    (void)state;
    const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int i = 0; i < 3; i++) {
        ns_status status;
        ns_error_clear();
        fesetround(modes[i]);
        status = open_as("cpu", NULL);
        fesetround(FE_TONEAREST);
        assert_int_equal(status, NS_EUNAVAILABLE);
        assert_non_null(strstr(ns_last_error()->message, "does not round to nearest"));
    }
    ns_error_clear();
#if defined(__x86_64__)
    const struct {
        unsigned bit;
        const char *says;
    } flags[] = {{0x8000u, "flushes subnormal results"}, {0x0040u, "takes subnormal numbers for zero"}};
    for (int i = 0; i < 2; i++) {
        unsigned before = _mm_getcsr();
        _mm_setcsr(before | flags[i].bit);
        ns_status status = open_as("cpu", NULL);
        _mm_setcsr(before);
        assert_int_equal(status, NS_EUNAVAILABLE);
        assert_non_null(strstr(ns_last_error()->message, flags[i].says));
        ns_error_clear();
    }
#endif
    CHECK_OK(open_as("cpu", NULL));
}

/* Only one thread of the team is wrong: it is found. LLVM's OpenMP gives each team the modes of its first
   thread, so that there is nothing to find with it. */
static void every_thread_is_checked(void **state)
{
    (void)state;
    ns_link alone = ns_link_alone();
    ns_device *device;
    int n_wrong = 0;
    CHECK_OK(ns_device_open(&device, "cpu", 2, &alone));
    CHECK_OK(ns_device_check(device));
#pragma omp parallel for schedule(static, 1) num_threads(2)
    for (int i = 0; i < 2; i++)
        if (i == 1) fesetround(FE_UPWARD);
#pragma omp parallel num_threads(2) reduction(+ : n_wrong)
    n_wrong += fegetround() != FE_TONEAREST;
    if (n_wrong > 0) CHECK_FAILS(ns_device_check(device), NS_EUNAVAILABLE, "does not round to nearest");
#pragma omp parallel num_threads(2)
    fesetround(FE_TONEAREST);
    CHECK_OK(ns_device_check(device));
    ns_device_close(&device);
}

static void a_link_alone_leaves_values(void **state)
{
    (void)state;
    ns_link link = ns_link_alone();
    int64_t values[2] = {3, -4};
    ns_i128 big = (ns_i128)1 << 100;
    link.sum_i64(link.context, values, 2);
    link.max_i64(link.context, values, 2);
    link.sum_i128(link.context, &big, 1);
    assert_true(link.rank == 0 && link.n_ranks == 1 && values[0] == 3 && values[1] == -4 &&
                big == (ns_i128)1 << 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_have_names),      cmocka_unit_test(levels_are_taken_or_refused),
        cmocka_unit_test(auto_says_why_not),
        cmocka_unit_test(every_loop_is_set),       cmocka_unit_test(wrong_arithmetic_is_refused),
        cmocka_unit_test(every_thread_is_checked), cmocka_unit_test(a_link_alone_leaves_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
