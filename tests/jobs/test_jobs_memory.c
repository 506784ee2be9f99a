/* Each allocation of jobs/ fails once: the call says NS_ENOMEM, leaves nothing behind (the sanitizers look)
 * and no result. */
#include "tests/check.h"

#include "jobs/job.h"
#include "jobs/schema.h"
#include "jobs/where.h"
#include "tests/jobs/sources.h"

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void *__real_realloc(void *block, size_t n_bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void *__wrap_realloc(void *block, size_t n_bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static int64_t left = -1; /* allocations until one fails; below 0: none does */
static bool failed;

static bool is_refused(void)
{
    if (left < 0) return false;
    failed = failed || left == 0;
    return left-- == 0;
}

void *__wrap_malloc(size_t n_bytes)
{
    return is_refused() ? NULL : __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t n, size_t n_bytes)
{
    return is_refused() ? NULL : __real_calloc(n, n_bytes);
}

void *__wrap_realloc(void *block, size_t n_bytes)
{
    return is_refused() ? NULL : __real_realloc(block, n_bytes);
}

char *__wrap_strdup(const char *text)
{
    return is_refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return is_refused() ? NULL : __real_strndup(text, n);
}

static const char job_text[] = "name: x\n"
                               "data:\n"
                               "  cohort: [a, b, '${NS_TEST_HOME}/c']\n"
                               "  where: age > 3 and sex in ('F', 'M')\n"
                               "  split: {train: 0.8, test: 0.2}\n"
                               "model: {rounds: 5}\n"
                               "sweep:\n"
                               "  grid: {model.l1: [0, 1], model.max_leaves: [4, 8]}\n"
                               "  random: {members: 2, model.l2: [0.1, 10, log], model.gradient_bits: [narrow, wide]}\n";

static const char broken_text[] = "nmae: x\nmodel: {rounds: 0}\ndata: {where: a >}\nsweep: {grid: {model.l1: [0, x]}, seeds: 1000, folds: 100}\n";

static ns_job_sources sources(const char *text)
{
    static const char *const sets[] = {"data.features.exclude=[\"a\", b]", "run.threads=3"};
    return sources_of(text, "run: {threads: 2}\n", sets, 2);
}

static ns_status parse_job(void)
{
    const ns_job_sources s = sources(job_text);
    ns_job *job = (ns_job *)&left;
    ns_status status = ns_job_parse(&job, &s);
    if (status != NS_OK) assert_null(job);
    ns_job_destroy(&job);
    return status;
}

static void ignore(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* NS_EINVAL is what this job deserves: NS_OK stands for it, so that all calls end alike. */
static ns_status check_job(void)
{
    const ns_job_sources s = sources(broken_text);
    ns_status status = ns_job_check(&s, ignore, NULL);
    return status == NS_EINVAL ? NS_OK : status;
}

static ns_job *shared_job;

static ns_status echo_job(void)
{
    char *text = (char *)&left;
    ns_status status = ns_job_echo(&text, shared_job, NS_ECHO_ALL);
    if (status != NS_OK) assert_null(text);
    free(text);
    return status;
}

static ns_status date_path(void)
{
    char *path = (char *)&left;
    ns_status status = ns_job_dated_path(&path, shared_job, "score.out", "/a/{as_of}/b", "2026-11-20");
    if (status != NS_OK) assert_null(path);
    free(path);
    return status;
}

static ns_status write_reference(void)
{
    char *text = (char *)&left;
    ns_status status = ns_job_reference(&text);
    if (status != NS_OK) assert_null(text);
    free(text);
    return status;
}

static ns_status write_help(void)
{
    char *text = (char *)&left;
    ns_status status = ns_job_help(&text);
    if (status != NS_OK) assert_null(text);
    free(text);
    return status;
}

static ns_status parse_schema(void)
{
    ns_schema *schema = (ns_schema *)&left;
    ns_status status =
        ns_schema_parse(&schema, "missing: [x]\ncolumns: {a: {kind: id}, b: {unit: kg}}\n", "s.yaml");
    if (status != NS_OK) assert_null(schema);
    ns_schema_destroy(&schema);
    return status;
}

static const char *level(const void *context, int64_t index, int64_t *n_bytes)
{
    (void)context;
    *n_bytes = 1;
    return index == 0 ? "F" : "M";
}

static ns_status bind_where(void)
{
    ns_where *where = (ns_where *)&left;
    const ns_where_column column = {NS_WHERE_CATEGORY, 2, level, NULL};
    ns_status status = ns_where_parse(&where, "sex in ('F', 'X') or sex == 'M'", "p");
    if (status == NS_OK)
        status = ns_where_bind(where, &column);
    else
        assert_null(where);
    ns_where_destroy(&where);
    return status;
}

/* A difference that cannot be looked for is one: no run goes on by mistake. */
static ns_status compare_echoes(void)
{
    char key[128];
    bool differs = ns_job_differs("model: {rounds: 500}\n", "train: {seed: 1}\n", key);
    assert_int_equal(differs, failed);
    return differs ? ns_last_error()->code : NS_OK;
}

static void run_out(ns_status (*call)(void))
{
    for (int64_t n = 0; n < 100000; n++) {
        ns_error_clear();
        failed = false;
        left = n;
        ns_status status = call();
        left = -1;
        if (!failed) {
            assert_int_equal(status, NS_OK);
            assert_true(n > 0);
            return;
        }
        if (status != NS_ENOMEM || ns_last_error()->code != NS_ENOMEM)
            fail_msg("allocation %d: status %d: %s", (int)n, (int)status, ns_last_error()->message);
    }
    fail_msg("it never ends");
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    static ns_status (*const calls[])(void) = {parse_job,    check_job,       echo_job,
                                               date_path,    write_reference, write_help,
                                               parse_schema, bind_where,      compare_echoes};
    setenv("NS_TEST_HOME", "/data", 1);
    const ns_job_sources s = sources(job_text);
    CHECK_OK(ns_job_parse(&shared_job, &s));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) run_out(calls[i]);
    ns_job_destroy(&shared_job);
    ns_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory_runs_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
