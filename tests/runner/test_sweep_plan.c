/* Which members a sweep has, what they are set to, and which rows their folds hold. */
#include <mpi.h>

#include "tests/check.h"

#include "jobs/job.h"
#include "kernels/numerics.h"
#include "runner/training/parts.h"
#include "runner/sweep/sweep_gather.h"
#include "runner/sweep/sweep_plan.h"
#include "runner/training/table.h"

static ns_job *parse(const char *text)
{
    ns_job *job;
    const ns_job_sources sources = {.job_path = "s.yaml", .job_text = text, .job_folder = "/jobs", .site_folder = "", .working_folder = "/home/ada"};
    CHECK_OK(ns_job_parse(&job, &sources));
    return job;
}

static void check_sets(const ns_sweep_plan *plan, int64_t number, const char *want)
{
    ns_sweep_member member = ns_sweep_member_of(plan, number);
    char **sets, text[1024] = "";
    int32_t n;
    size_t at = 0;
    assert_int_equal(member.number, number);
    CHECK_OK(ns_sweep_member_sets(&sets, &n, plan, &member));
    for (int32_t i = 0; i < n; i++) at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i == 0 ? "" : " ", sets[i]);
    free(sets);
    if (strcmp(text, want) != 0) fail_msg("member %d: %s\nnot %s", (int)number, text, want);
}

static void test_order(void **state)
{
    (void)state;
    ns_job *job = parse("train: {seed: 7}\nsweep:\n  seeds: 2\n  folds: 3\n  grid: {model.max_leaves: [4, 8], model.l1: [0, 0.5]}\n");
    ns_sweep_plan plan;
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    assert_int_equal(plan.n_members, 24);
    assert_int_equal(plan.n_settings, 4);
    assert_string_equal(plan.metric, "log_loss");
    assert_false(plan.larger_is_better);
    check_sets(&plan, 1, "model.max_leaves=4 model.l1=0 train.seed=7 data.split.seed=7 data.split.folds=3 data.split.fold=1");
    check_sets(&plan, 3, "model.max_leaves=4 model.l1=0 train.seed=7 data.split.seed=7 data.split.folds=3 data.split.fold=3");
    check_sets(&plan, 4, "model.max_leaves=4 model.l1=0 train.seed=8 data.split.seed=7 data.split.folds=3 data.split.fold=1");
    check_sets(&plan, 7, "model.max_leaves=4 model.l1=0.5 train.seed=7 data.split.seed=7 data.split.folds=3 data.split.fold=1");
    check_sets(&plan, 13, "model.max_leaves=8 model.l1=0 train.seed=7 data.split.seed=7 data.split.folds=3 data.split.fold=1");
    check_sets(&plan, 24, "model.max_leaves=8 model.l1=0.5 train.seed=8 data.split.seed=7 data.split.folds=3 data.split.fold=3");
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);

    job = parse("model: {objective: regression}\nsweep: {metric: r2, grid: {model.max_leaves: [4, 8]}}\n");
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    assert_string_equal(plan.metric, "r2");
    assert_true(plan.larger_is_better);
    check_sets(&plan, 2, "model.max_leaves=8"); /* one seed, no folds: nothing else is set */
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);

    job = parse("data: {split: {seed: 3}}\nsweep: {seeds: 2}\n"); /* the job's own split stays */
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    check_sets(&plan, 2, "train.seed=2 data.split.seed=3");
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);
}

/* Golden, from a Philox in Python and the words of sweep_plan.h: settings that were drawn once are drawn for ever, since runs on disk
   were made with them. */
static void test_draws(void **state)
{
    (void)state;
    ns_job *job = parse("train: {seed: 7}\nsweep: {random: {members: 4, model.l2: [0.1, 10, log], model.min_rows: [5, 50], "
                        "model.gradient_bits: [narrow, wide]}}\n");
    ns_sweep_plan plan;
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    check_sets(&plan, 1, "model.l2=0.3473 model.min_rows=18 model.gradient_bits=wide");
    check_sets(&plan, 2, "model.l2=0.3782 model.min_rows=24 model.gradient_bits=narrow");
    check_sets(&plan, 3, "model.l2=0.1815 model.min_rows=21 model.gradient_bits=narrow");
    check_sets(&plan, 4, "model.l2=3.478 model.min_rows=49 model.gradient_bits=wide");
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);

    /* neither another option nor more members nor a grid change a draw */
    job = parse("train: {seed: 7}\nsweep: {random: {members: 9, model.l1: [0, 1], model.min_rows: [5, 50]}, grid: {model.max_leaves: [4, 8]}}\n");
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    assert_int_equal(plan.n_settings, 18);
    assert_string_equal(ns_sweep_word(&plan, 3, 2), "49");
    assert_string_equal(ns_sweep_word(&plan, 9 + 3, 2), "49");
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);
}

/* Draws stay in their range, reach all of it, and are even: on the scale that was asked for. */
static void test_draws_fill_their_range(void **state)
{
    (void)state;
    enum { N = 9000 };
    ns_job *job = parse("sweep: {random: {members: 9000, model.l2: [0.01, 100, log], model.l1: [1, 3], model.min_rows: [1, 8], "
                        "model.max_leaves: [2, 65536, log], train.stop_metric: [loss, auroc]}}\ntrain: {stop_after: 3}\n");
    ns_sweep_plan plan;
    CHECK_OK(ns_sweep_plan_make(&plan, job));
    int64_t decade[4] = {0}, half[2] = {0}, eighth[8] = {0}, power[16] = {0}, word[2] = {0};
    for (int64_t s = 0; s < N; s++)
        for (int32_t a = 0; a < plan.n_axes; a++) {
            const char *key = ns_options[plan.axes[a].option].key, *text = ns_sweep_word(&plan, s, a);
            double x = strtod(text, NULL);
            if (strcmp(key, "model.l2") == 0) {
                assert_true(x >= 0.01 && x <= 100 && strlen(text) <= 7); /* four digits */
                decade[x < 0.1 ? 0 : x < 1 ? 1 : x < 10 ? 2 : 3]++;
            } else if (strcmp(key, "model.l1") == 0) {
                assert_true(x >= 1 && x <= 3);
                half[x >= 2]++;
            } else if (strcmp(key, "model.min_rows") == 0) {
                assert_true(x >= 1 && x <= 8 && strlen(text) == 1);
                eighth[(int)x - 1]++;
            } else if (strcmp(key, "model.max_leaves") == 0) {
                assert_true(x >= 2 && x <= 65536);
                int p = 0;
                while (x >= 4) x /= 2, p++;
                power[p > 15 ? 15 : p]++;
            } else {
                word[strcmp(text, "loss") == 0]++;
            }
        }
    const struct {
        const int64_t *count;
        int n;
    } sets[] = {{decade, 4}, {half, 2}, {eighth, 8}, {power, 15}, {word, 2}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (int k = 0; k < sets[i].n; k++) {
            double want = (double)N / sets[i].n, gap = (double)sets[i].count[k] - want;
            if (!(gap * gap <= 25 * want)) fail_msg("set %zu: %d of %g in class %d", i, (int)sets[i].count[k], want, k);
        }
    ns_sweep_plan_forget(&plan);
    ns_job_destroy(&job);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *job, *message;
    } cases[] = {
        {"name: x\n", "sweep: is not set in the job"},
        {"sweep: {metric: auroc}\n", "sweep: is not set in the job"},
        {"sweep: {seeds: 2}\ndata: {split: {train: 0.8, test: 0.2}}\n", "default: data.split.valid: a sweep chooses by validation rows"},
        {"sweep: {seeds: 2}\ndata: {time: t, split: {by: time, test_from: 2024-01-01}}\n",
         "default: data.split.valid_from: a sweep chooses by validation rows"},
        {"sweep: {folds: 3}\ndata: {split: {folds: 3, fold: 1}}\n", "s.yaml:2: data.split.folds: is what sweep.folds sets"},
        {"train: {seed: 9007199254740992}\nsweep: {seeds: 2}\n", "s.yaml:2: sweep.seeds: seeds counted up"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_job *job = parse(cases[i].job);
        ns_sweep_plan plan;
        CHECK_FAILS(ns_sweep_plan_make(&plan, job), NS_EINVAL, cases[i].message);
        ns_sweep_plan_forget(&plan);
        ns_job_destroy(&job);
    }
}

/* --- folds of a table --- */

enum { N_ROWS = 3000, N_PATIENTS = 700, N_FOLDS = 4 };

static void assign(uint8_t *part, ns_table *table, const char *by, int fold, int seed)
{
    char text[200];
    ns_part_rule rule = {.by = strcmp(by, "group") == 0 ? NS_SPLIT_GROUP : NS_SPLIT_ROW};
    snprintf(text, sizeof text, "data: {group: g, split: {by: %s, seed: 1, folds: %d, fold: %d}}\ntrain: {seed: %d}\n", by, N_FOLDS, fold, seed);
    if (fold == 0) snprintf(text, sizeof text, "data: {group: g, split: {by: %s}}\n", by);
    ns_job *job = parse(text);
    table->job = job;
    memset(&table->parts, 0, sizeof table->parts);
    CHECK_OK(ns_parts_assign(table, &rule));
    memcpy(part, table->part, N_ROWS);
    ns_job_destroy(&job);
}

/* Every row that is not tested is held out by exactly one fold, and with it all rows of its patient; the test part is as without folds. */
static void test_folds_of_a_table(void **state)
{
    (void)state;
    static uint8_t plain[N_ROWS], part[N_FOLDS][N_ROWS], other[N_ROWS], marks[N_ROWS];
    static ns_hash128 patient[N_ROWS];
    static int64_t row[N_ROWS];
    static float label[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) {
        row[i] = i;
        label[i] = (float)(i % 2);
        if (i % 10 != 0) patient[i] = ns_hash128_of_int(i % N_PATIENTS); /* every tenth row is a patient of its own */
    }
    ns_table table = {.comm = MPI_COMM_WORLD, .n_kept = N_ROWS, .patient = patient, .row = row, .label = label, .part = marks, .group = 0};
    for (int by_group = 0; by_group < 2; by_group++) {
        const char *by = by_group ? "group" : "row";
        assign(plain, &table, by, 0, 1);
        for (int fold = 1; fold <= N_FOLDS; fold++) assign(part[fold - 1], &table, by, fold, 1);
        int of_patient[N_PATIENTS];
        for (int p = 0; p < N_PATIENTS; p++) of_patient[p] = -1;
        for (int i = 0; i < N_ROWS; i++) {
            int n_held = 0, held = -1;
            for (int f = 0; f < N_FOLDS; f++) {
                if ((part[f][i] == NS_PART_TEST) != (plain[i] == NS_PART_TEST)) fail_msg("by %s: fold %d moves the test part", by, f + 1);
                if (part[f][i] == NS_PART_VALID) n_held++, held = f;
            }
            if (n_held != (plain[i] != NS_PART_TEST)) fail_msg("by %s: row %d is held out %d times", by, i, n_held);
            if (held < 0 || i % 10 == 0) continue;
            int *mine = &of_patient[i % N_PATIENTS];
            if (*mine >= 0 && *mine != held) fail_msg("by %s: a patient is in two folds", by);
            *mine = held;
        }
        assign(other, &table, by, 1, 2); /* another seed deals other folds, and tests the same rows */
        int64_t n_moved = 0;
        for (int i = 0; i < N_ROWS; i++) {
            n_moved += other[i] != part[0][i];
            if ((other[i] == NS_PART_TEST) != (plain[i] == NS_PART_TEST)) fail_msg("by %s: a seed moves the test part", by);
        }
        assert_true(n_moved > N_ROWS / 10);
    }
}

/* --- the best --- */

/* Six settings of two members each: metrics, NAN for a member that is not done. */
static int64_t best_of(const double metrics[12], bool larger_is_better)
{
    ns_sweep_plan plan = {.n_settings = 6, .n_members = 12, .n_seeds = 2, .split_seed = 1, .metric = "auroc", .larger_is_better = larger_is_better};
    ns_member_record records[12] = {{0}};
    for (int i = 0; i < 12; i++) {
        records[i].metric = metrics[i];
        records[i].state = metrics[i] == metrics[i] ? NS_MEMBER_DONE : NS_MEMBER_FAILED;
    }
    ns_sweep_gathered gathered = {.plan = &plan, .records = records, .results = calloc(6, sizeof *gathered.results)};
    ns_sweep_compare(&gathered);
    free(gathered.results);
    return gathered.best;
}

static void test_best(void **state)
{
    (void)state;
    const double nan = ns_from_bits(UINT64_C(0x7ff8000000000000));
    const double plain[12] = {1, 2, 3, 4, 2, 2, 0, 9, 5, 4, 2, 5};
    assert_int_equal(best_of(plain, true), 3);  /* means 1.5 3.5 2 4.5 4.5 3.5: the first of equal ones */
    assert_int_equal(best_of(plain, false), 0);
    const double holes[12] = {1, nan, 3, 4, nan, nan, 0, nan, 9, nan, 2, 6};
    assert_int_equal(best_of(holes, true), 5); /* the 9 that lost its other member does not win */
    assert_int_equal(best_of(holes, false), 1);
    const double halves[12] = {1, nan, nan, 4, nan, nan, nan, 0, nan, nan, nan, nan};
    assert_int_equal(best_of(halves, true), 1); /* none has more than one */
    const double none[12] = {nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan};
    assert_int_equal(best_of(none, true), -1);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),    cmocka_unit_test(test_draws),
                                       cmocka_unit_test(test_draws_fill_their_range), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_folds_of_a_table), cmocka_unit_test(test_best)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
