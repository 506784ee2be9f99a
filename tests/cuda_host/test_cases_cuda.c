/*
 * Every case on the cuda backend against the cpu's bytes: trees, losses, margins, risks. Where kernels run on the host,
 * NIGHTSHIFT_CUDA_SEEDS=FIRST-LAST says in which orders (0-1), and with NIGHTSHIFT_CUDA_DEAL=N each order is for one case
 * in N; on a GPU there is one order.
 */
#include "tests/check.h"

#include "tests/kernels/backend.h"
#include "tests/kernels/cases.h"

void ns_host_seed(uint64_t seed) __attribute__((weak));

static test_result train(const test_case *c, const test_table *table, const char *backend, int64_t **margin, float **risk)
{
    test_result result;
    ns_link alone = ns_link_alone();
    size_t n = (size_t)table->n_rows * (size_t)(c->recipe.n_classes > 1 ? c->recipe.n_classes : 1) + 1;
    test_backend = backend;
    test_case_train(c, table, &alone, NULL, &result);
    *margin = calloc(n, sizeof **margin);
    *risk = calloc(n, sizeof **risk);
    test_score(&result, table, 1, *margin, *risk);
    return result;
}

static void compare(const test_case *c, const test_table *table, const test_result *want, const float *want_risk, uint64_t seed)
{
    int64_t *margin;
    float *risk;
    test_result got = train(c, table, "cuda", &margin, &risk);
    size_t n = (size_t)(table->n_rows * want->n_outputs);
    if (got.hash != want->hash)
        fail_msg("%s: seed %d: other trees than the cpu's (%d nodes, not %d)", c->name, (int)seed, (int)got.trees->n_nodes, (int)want->trees->n_nodes);
    if (memcmp(got.margin, want->margin, n * sizeof *margin) != 0) fail_msg("%s: seed %d: other margins", c->name, (int)seed);
    if (memcmp(margin, want->margin, n * sizeof *margin) != 0) fail_msg("%s: seed %d: other scores", c->name, (int)seed);
    if (memcmp(risk, want_risk, n * sizeof *risk) != 0) fail_msg("%s: seed %d: other risks", c->name, (int)seed);
    free(margin);
    free(risk);
    test_result_free(&got);
}

static void all_cases_give_the_bytes_of_the_cpu(void **state)
{
    (void)state;
    unsigned long first = 0, last = 1;
    const char *seeds = getenv("NIGHTSHIFT_CUDA_SEEDS");
    uint64_t deal = getenv("NIGHTSHIFT_CUDA_DEAL") == NULL ? 1 : strtoull(getenv("NIGHTSHIFT_CUDA_DEAL"), NULL, 10);
    const char *only = getenv("NIGHTSHIFT_TEST_CASE");
    if (seeds != NULL && sscanf(seeds, "%lu-%lu", &first, &last) != 2) fail_msg("NIGHTSHIFT_CUDA_SEEDS is '%s', not FIRST-LAST", seeds);
    for (int i = 0; i < test_n_cases; i++) {
        const test_case *c = &test_cases[i];
        if (only != NULL && strstr(c->name, only) == NULL) continue;
        test_table table;
        int64_t *margin;
        float *risk;
        test_table_make(&table, &c->recipe);
        test_result want = train(c, &table, "cpu", &margin, &risk);
        for (uint64_t seed = first; seed <= last; seed++) {
            if ((seed + (uint64_t)i) % deal != 0 && ns_host_seed != NULL) continue;
            if (ns_host_seed != NULL) ns_host_seed(seed * 1000 + (uint64_t)i);
            compare(c, &table, &want, risk, seed);
            if (ns_host_seed == NULL) break;
        }
        print_message("%-40s the cpu's bytes, %d nodes\n", c->name, (int)want.trees->n_nodes);
        free(margin);
        free(risk);
        test_result_free(&want);
        test_table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases_give_the_bytes_of_the_cpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
