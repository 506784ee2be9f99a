/* The option table, and values by the kind of their row. */
#include "tests/check.h"

#include "jobs/job.h"
#include "jobs/value.h"
#include "jobs/yaml.h"
#include "tests/jobs/sources.h"

static void test_table_is_well_formed(void **state)
{
    (void)state;
    static const unsigned all = NS_OPT_BUNDLE | NS_OPT_SITE | NS_OPT_SCALAR_TOO | NS_OPT_NAME;
    for (int32_t i = 0; i < ns_n_options; i++) {
        const ns_option *o = &ns_options[i];
        bool is_list = o->kind == NS_OPT_TEXTS || o->kind == NS_OPT_PATHS;
        bool is_number = o->kind == NS_OPT_INTEGER || o->kind == NS_OPT_NUMBER || o->kind == NS_OPT_SECONDS ||
                         o->kind == NS_OPT_BYTES;
        bool ok = strlen(o->help) > 20 && o->help[strlen(o->help) - 1] == '.' && o->unit != NULL &&
                  (o->flags & ~all) == 0;
        ok = ok && (o->kind == NS_OPT_CHOICE) == (o->choices != NULL);
        ok = ok && is_list == ((o->flags & NS_OPT_SCALAR_TOO) != 0);
        ok = ok && is_number == (o->most > 0) && o->least <= o->most && o->most <= NS_VALUE_MOST;
        ok = ok && !((o->flags & NS_OPT_SITE) &&
                     (o->flags & NS_OPT_BUNDLE)); /* nothing of a site enters a bundle */
        if (!ok) fail_msg("row of %s", o->key);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(ns_options[j].key, o->key) == 0) fail_msg("%s stands twice", o->key);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    ns_job *job;
    const ns_job_sources none = sources_of(NULL, NULL, NULL, 0);
    CHECK_OK(ns_job_parse(&job, &none));
    for (int32_t i = 0; i < ns_n_options; i++) {
        assert_int_equal(ns_job_has(job, ns_options[i].key), ns_options[i].fallback != NULL);
        assert_false(ns_job_given(job, ns_options[i].key));
        assert_string_equal(ns_job_place(job, ns_options[i].key), "default");
    }
    static const struct {
        const char *key;
        double value;
    } numbers[] = {{"data.split.train", 0.7},
                   {"data.split.valid", 0.1},
                   {"data.split.test", 0.2},
                   {"model.learning_rate", 0.05},
                   {"model.l1", 0},
                   {"model.l2", 1},
                   {"model.min_gain", 0},
                   {"model.min_hessian", 1e-3},
                   {"model.category_smoothing", 200},
                   {"model.category_l2", 10},
                   {"model.row_sample", 1},
                   {"model.column_sample", 1},
                   {"model.column_sample_node", 1},
                   {"score.max_rejected", 0.01},
                   {"run.checkpoint_every", 60},
                   {"run.stall_limit", 1800}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (ns_job_number(job, numbers[i].key) != numbers[i].value) fail_msg("%s", numbers[i].key);
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"model.rounds", 500},
                    {"model.max_leaves", 31},
                    {"model.max_depth", 0},
                    {"model.min_rows", 20},
                    {"model.max_bins", 255},
                    {"model.category_min_rows", 20},
                    {"model.category_split_rows", 20},
                    {"train.seed", 1},
                    {"train.stop_after", 0},
                    {"evaluate.min_cell", 11},
                    {"run.threads", 0},
                    {"run.memory", 0}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (ns_job_integer(job, integers[i].key) != integers[i].value) fail_msg("%s", integers[i].key);
    static const struct {
        const char *key, *value;
    } texts[] = {{"data.layout", "columns"},      {"data.infinite", "error"},    {"model.type", "gbdt"},
                 {"model.gradient_bits", "auto"}, {"train.stop_metric", "loss"}, {"evaluate.name", "test"},
                 {"run.device", "auto"},          {"run.share", "private"},      {"log.format", "text"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_string_equal(ns_job_text(job, texts[i].key), texts[i].value);
    assert_null(ns_job_text(job, "data.split.by"));
    const char *const *items;
    assert_int_equal(ns_job_list(job, "data.features.include", &items), 1);
    assert_string_equal(items[0], "*");
    assert_int_equal(ns_job_list(job, "score.keep", &items), 0);
    ns_job_destroy(&job);
    assert_null(job);
    ns_job_destroy(&job);
}

/* Every numeric row: its bounds are taken, what lies beyond is refused with the range in the message. */
static void test_every_range(void **state)
{
    (void)state;
    for (int32_t i = 0; i < ns_n_options; i++) {
        const ns_option *o = &ns_options[i];
        if (o->most <= 0) continue;
        char range[256], text[64];
        ns_option_range(range, o);
        bool whole = o->kind == NS_OPT_INTEGER;
        const double tries[] = {o->least, o->most, o->least - 1,
                                o->most < NS_VALUE_MOST ? o->most + 1 : o->most * 2};
        for (int t = 0; t < 4; t++) {
            snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", tries[t]);
            ns_yaml_scalar scalar = {.text = text, .line = 3};
            ns_yaml_entry entry = {.line = 3, .kind = NS_YAML_SCALAR, .items = &scalar, .n_items = 1};
            ns_value value;
            ns_yaml_problem problem = {0};
            ns_status status = ns_value_read(&value, o, &entry, "/", &problem);
            char wanted[400];
            snprintf(wanted, sizeof wanted, "is not from %s", range);
            bool good =
                t < 2 ? status == NS_OK
                      : status == NS_EINVAL && problem.line == 3 && strstr(problem.message, wanted) != NULL;
            if (!good) fail_msg("%s: %s: %d %s", o->key, text, (int)status, problem.message);
            ns_value_clear(&value);
        }
    }
}

static ns_status read_one(ns_value *value, const ns_option *option, const char *text,
                          ns_yaml_problem *problem)
{
    ns_yaml *yaml;
    assert_int_equal(ns_yaml_read(&yaml, text, problem), NS_OK);
    ns_status status = ns_value_read(value, option, &yaml->entries[0], "/jobs", problem);
    ns_yaml_destroy(&yaml);
    return status;
}

static void test_values_by_kind(void **state)
{
    (void)state;
    static const ns_option flag = {.kind = NS_OPT_FLAG},
                           choice = {.kind = NS_OPT_CHOICE, .choices = "ab|a|abc"},
                           one = {.kind = NS_OPT_CHOICE, .choices = "gbdt"}, whole = {.kind = NS_OPT_INTEGER},
                           number = {.kind = NS_OPT_NUMBER}, span = {.kind = NS_OPT_SECONDS, .most = 864000},
                           size = {.kind = NS_OPT_BYTES, .most = NS_VALUE_MOST}, text = {.kind = NS_OPT_TEXT},
                           name = {.kind = NS_OPT_TEXT, .flags = NS_OPT_NAME}, path = {.kind = NS_OPT_PATH},
                           texts = {.kind = NS_OPT_TEXTS, .flags = NS_OPT_SCALAR_TOO},
                           only_list = {.kind = NS_OPT_TEXTS},
                           paths = {.kind = NS_OPT_PATHS, .flags = NS_OPT_SCALAR_TOO},
                           where = {.kind = NS_OPT_WHERE};
    setenv("NS_TEST_HOME", "/data/x", 1);
    setenv("NS_TEST_EMPTY", "", 1);
    setenv("NS_TEST_NESTED", "${HOME}", 1);
    setenv("NS_TEST_LATIN1", "/\xE4", 1);
    unsetenv("NS_TEST_UNSET");
    const struct {
        const ns_option *option;
        const char *yaml, *result; /* result: items joined by |, or the start of the message after ! */
        double number;             /* of number, integer and flag */
    } cases[] = {
        {&flag, "true", "true", 1},
        {&flag, "false", "false", 0},
        {&flag, "yes", "!'yes' is not true or false", 0},
        {&choice, "a", "a", 0},
        {&choice, "abc", "abc", 0},
        {&choice, "A", "!'A' is not one of ab, a, abc", 0},
        {&choice, "ab|a", "!'ab|a' is not one of", 0},
        {&choice, "abcd", "!'abcd' is not one of", 0},
        {&one, "mlp", "!'mlp' is not gbdt", 0},
        {&whole, "7", "7", 7},
        {&whole, "'7'", "7", 7},
        {&whole, "7.0", "!'7.0' is not a whole number", 0},
        {&whole, "1e3", "!'1e3' is not a whole number", 0},
        {&whole, "seven", "!'seven' is not a whole number", 0},
        {&number, "1e-3", "1e-3", 1e-3},
        {&number, "0,5", "!'0,5' is not a number", 0},
        {&number, ".nan", "!'.nan' is not a number", 0},
        {&number, ".inf", "!'.inf' is not a number", 0},
        {&number, "1 2", "!'1 2' is not a number", 0},
        {&span, "60", "60", 60},
        {&span, "60s", "60s", 60},
        {&span, "5m", "5m", 300},
        {&span, "1.5h", "1.5h", 5400},
        {&span, "2 h", "2 h", 7200},
        {&span, "1d", "1d", 86400},
        {&span, "0", "0", 0},
        {&span, "5min", "!'5min' is not a time span", 0},
        {&span, "s", "!'s' is not a time span", 0},
        {&span, "11d", "!11d is not from 0 to 864000 s", 0},
        {&span, "-1s", "!-1s is not from 0", 0},
        {&size, "1024", "1024", 1024},
        {&size, "512MiB", "512MiB", 536870912},
        {&size, "4GiB", "4GiB", 4294967296},
        {&size, "1.5GiB", "1.5GiB", 1610612736},
        {&size, "2GB", "2GB", 2e9},
        {&size, "3 kB", "3 kB", 3000},
        {&size, "1TiB", "1TiB", 0x1p40},
        {&size, "4G", "!'4G' is not a size", 0},
        {&size, "GiB", "!'GiB' is not a size", 0},
        {&size, "-1", "!-1 is not from 0 to 2^53 bytes", 0},
        {&text, "NO", "NO", 0},
        {&text, "00123", "00123", 0},
        {&text, "null", "null", 0},
        {&text, "''", "!is empty", 0},
        {&text, "[a]", "!takes one value, not a list", 0},
        {&text, "{}", "!is a value, not a section", 0},
        {&name, "readmission-30d_v1.2", "readmission-30d_v1.2", 0},
        {&name, "..", "!'..' is not a name", 0},
        {&name, ".hidden", "!'.hidden' is not a name", 0},
        {&name, "a/b", "!'a/b' is not a name", 0},
        {&name, "a b", "!'a b' is not a name", 0},
        {&name, "\xC3\xA4rger", "!'\xC3\xA4rger' is not a name", 0},
        {&path, "x.h5", "/jobs/x.h5", 0},
        {&path, "./x.h5", "/jobs/x.h5", 0},
        {&path, "../x.h5", "/jobs/../x.h5", 0},
        {&path, "/abs/x.h5", "/abs/x.h5", 0},
        {&path, "${NS_TEST_HOME}/y", "/data/x/y", 0},
        {&path, "a/${NS_TEST_HOME}b", "/jobs/a//data/xb", 0},
        {&path, "tonight/{as_of}/x", "/jobs/tonight/{as_of}/x", 0},
        {&path, "$HOME/x", "/jobs/$HOME/x", 0},
        {&path, "${NS_TEST_UNSET}/y",
         "!'${NS_TEST_UNSET}/y' cannot be expanded: the environment variable NS_TEST_UNSET is not set", 0},
        {&path, "${NS_TEST_EMPTY}/y", "!'${NS_TEST_EMPTY}/y' cannot be expanded", 0},
        {&path, "${NS_TEST_NESTED}/y",
         "!'${NS_TEST_NESTED}/y' cannot be expanded: the environment variable NS_TEST_NESTED holds ${", 0},
        {&path, "${NS_TEST_LATIN1}/y", "!'${NS_TEST_LATIN1}/y' is not UTF-8", 0},
        {&path, "${}/y", "!'${}/y' has a ${ } that names no variable", 0},
        {&path, "'${HOME'", "!'${HOME' has a ${ without its }", 0},
        {&texts, "a", "a", 0},
        {&texts, "[a, \"<30\", NO]", "a|<30|NO", 0},
        {&texts, "[]", "", 0},
        {&texts, "[a, '']", "!is empty", 0},
        {&texts, "[a, ~]", "!is empty", 0},
        {&only_list, "a", "!takes a list", 0},
        {&paths, "[b.h5, /a-*.h5]", "/jobs/b.h5|/a-*.h5", 0},
        {&paths, "x", "/jobs/x", 0},
        {&paths, "[]", "!is an empty list", 0},
        {&where, "age >= 18", "age >= 18", 0},
        {&where, "age >", "!character 6: expected a number or a text in quotes, found the end", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_value value;
        ns_yaml_problem problem = {0};
        ns_status status = read_one(&value, cases[i].option, cases[i].yaml, &problem);
        if (cases[i].result[0] == '!') {
            size_t n = strlen(cases[i].result) - 1;
            if (status != NS_EINVAL || strncmp(problem.message, cases[i].result + 1, n) != 0 ||
                problem.line != 1)
                fail_msg("%s: %d %s", cases[i].yaml, (int)status, problem.message);
            assert_null(value.items);
            continue;
        }
        if (status != NS_OK) fail_msg("%s: %s", cases[i].yaml, problem.message);
        char joined[300] = "";
        for (int64_t j = 0; j < value.n_items; j++) {
            if (j > 0) strncat(joined, "|", 2);
            strncat(joined, value.items[j], 100);
        }
        assert_string_equal(joined, cases[i].result);
        double got = value.flag ? 1 : value.integer != 0 ? (double)value.integer : value.number;
        if (got != cases[i].number) fail_msg("%s: %g", cases[i].yaml, got);
        ns_value_clear(&value);
    }
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    static const ns_option name = {.kind = NS_OPT_TEXT, .flags = NS_OPT_NAME};
    char text[102];
    memset(text, 'a', sizeof text);
    ns_value value;
    ns_yaml_problem problem = {0};
    text[100] = '\0';
    assert_int_equal(read_one(&value, &name, text, &problem), NS_OK);
    ns_value_clear(&value);
    text[100] = 'a';
    text[101] = '\0';
    assert_int_equal(read_one(&value, &name, text, &problem), NS_EINVAL);
    assert_non_null(strstr(problem.message, "aaa...' is not a name"));
    assert_true(strlen(problem.message) < 170);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_well_formed), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_range),          cmocka_unit_test(test_values_by_kind),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
