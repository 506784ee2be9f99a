/* Layers, answers, echo and differences of a job. */
#include "tests/check.h"

#include "jobs/job.h"
#include "tests/jobs/sources.h"

static const char full_job[] = "name: readmission-30d\n"
                               "data:\n"
                               "  cohort: [cohort/2023-*.h5, /abs/x.h5]\n"
                               "  id: 00123\n"
                               "  group: patient_id\n"
                               "  label: {column: readmitted, positive: NO}\n"
                               "  where: \"age >= 18 and disposition not in ('11', '13')\"\n"
                               "  features: {include: ['*', \"a: b\"], exclude: payer_code}\n"
                               "  split: {by: group, train: 0.8, test: 0.2}\n"
                               "model:\n"
                               "  learning_rate: 5e-2\n"
                               "  rounds: 120\n"
                               "evaluate: {subgroups: [sex, \"r\\u00e4ce\\n\"]}\n"
                               "score:\n"
                               "  out: \"scores/{as_of}.h5\"\n"
                               "  keep: []\n"
                               "  max_rejected:\n"
                               "run: {checkpoint_every: 5m, memory: 4GiB, share: ~}\n";

static ns_job *parse(const char *job_text, const char *site, const char *const *sets, int32_t n_sets)
{
    const ns_job_sources sources = sources_of(job_text, site, sets, n_sets);
    ns_job *job;
    CHECK_OK(ns_job_parse(&job, &sources));
    return job;
}

static void test_answers(void **state)
{
    (void)state;
    ns_job *job = parse(full_job, NULL, NULL, 0);
    const char *const *items;
    assert_string_equal(ns_job_text(job, "name"), "readmission-30d");
    assert_string_equal(ns_job_text(job, "data.id"), "00123");
    assert_int_equal(ns_job_list(job, "data.cohort", &items), 2);
    assert_string_equal(items[0], "/jobs/cohort/2023-*.h5");
    assert_string_equal(items[1], "/abs/x.h5");
    assert_int_equal(ns_job_list(job, "data.label.positive", &items), 1);
    assert_string_equal(items[0], "NO");
    assert_int_equal(ns_job_list(job, "score.keep", &items), 0);
    assert_true(ns_job_given(job, "score.keep"));
    assert_int_equal(ns_job_integer(job, "model.rounds"), 120);
    assert_true(ns_job_number(job, "model.learning_rate") == 0.05);
    assert_true(ns_job_number(job, "data.split.train") == 0.8);
    assert_true(ns_job_number(job, "data.split.valid") == 0); /* not given, where others are */
    assert_false(ns_job_given(job, "data.split.valid"));
    assert_true(ns_job_number(job, "run.checkpoint_every") == 300);
    assert_true(ns_job_integer(job, "run.memory") == INT64_C(4294967296));
    assert_string_equal(ns_job_text(job, "score.out"), "/jobs/scores/{as_of}.h5");
    assert_string_equal(ns_job_place(job, "model.rounds"), "readmission.yaml:12");
    assert_string_equal(ns_job_place(job, "data.cohort"), "readmission.yaml:3");
    assert_string_equal(ns_job_place(job, "score.max_rejected"), "default");
    assert_true(ns_job_number(job, "score.max_rejected") == 0.01); /* nothing behind the key: the default */
    assert_false(ns_job_given(job, "run.share"));
    assert_string_equal(ns_job_text(job, "run.share"), "private");
    assert_null(ns_job_text(job, "score.where"));
    assert_false(ns_job_has(job, "score.where"));
    ns_job_destroy(&job);
}

static void test_later_layers_win(void **state)
{
    (void)state;
    const char *site = "run: {threads: 4, device: cpu, share: group}\nlog: {format: json}\n";
    const char *text = "run:\n  threads: 8\n  share:\nmodel: {rounds: 7}\n";
    const char *const sets[] = {"model.rounds=8", "log.format=text", "model.rounds=9"};
    ns_job *job = parse(text, site, sets, 3);
    assert_int_equal(ns_job_integer(job, "run.threads"), 8);
    assert_string_equal(ns_job_place(job, "run.threads"), "readmission.yaml:2");
    assert_string_equal(ns_job_text(job, "run.device"), "cpu");
    assert_string_equal(ns_job_place(job, "run.device"), "site.yaml:1");
    assert_string_equal(ns_job_text(job, "run.share"), "private"); /* unset by the job file */
    assert_string_equal(ns_job_place(job, "run.share"), "default");
    assert_string_equal(ns_job_text(job, "log.format"), "text");
    assert_string_equal(ns_job_place(job, "log.format"), "--set");
    assert_int_equal(ns_job_integer(job, "model.rounds"), 9);
    ns_job_destroy(&job);
}

static void test_set(void **state)
{
    (void)state;
    static const struct {
        const char *set, *key, *items; /* items joined by |; NULL: unset */
    } cases[] = {
        {"data.label.positive=[\"<30\"]", "data.label.positive", "<30"},
        {"data.label.positive=<30", "data.label.positive", "<30"},
        {"data.label.positive=[a, 'b, c']", "data.label.positive", "a|b, c"},
        {"data.label.positive= x ", "data.label.positive", "x"},
        {"data.label.positive=\" x \"", "data.label.positive", " x "},
        {"data.label.positive=[a", "data.label.positive", "[a"}, /* no YAML: taken as it is */
        {"data.label.positive='a' b", "data.label.positive", "'a' b"},
        {"data.label.positive=a: b # c", "data.label.positive", "a: b # c"},
        {"data.label.positive=a=b", "data.label.positive", "a=b"},
        {"data.features.include=*_id", "data.features.include", "*_id"},
        {"data.features.exclude=[\"*_id\", x]", "data.features.exclude", "*_id|x"},
        {"data.label.positive=", "data.label.positive", NULL},
        {"data.label.positive=~", "data.label.positive", NULL},
        {"data.cohort=x.h5", "data.cohort", "/home/ada/x.h5"},
        {"data.cohort=[a, /b]", "data.cohort", "/home/ada/a|/b"},
        {"score.keep=[]", "score.keep", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_job *job = parse("data: {label: {column: y, positive: old}}\n", NULL, &cases[i].set, 1);
        const char *const *items;
        char joined[200] = "";
        int64_t n = ns_job_list(job, cases[i].key, &items);
        for (int64_t j = 0; j < n; j++) {
            if (j > 0) strncat(joined, "|", 2);
            strncat(joined, items[j], 80);
        }
        assert_int_equal(ns_job_given(job, cases[i].key), cases[i].items != NULL);
        assert_string_equal(joined, cases[i].items == NULL ? "" : cases[i].items);
        ns_job_destroy(&job);
    }
    static const char *const more[] = {"score.out={as_of}/x.h5", "data.where=`a b` >= 18 and c != 'x'"};
    ns_job *job = parse(NULL, NULL, more, 2);
    assert_string_equal(ns_job_text(job, "score.out"), "/home/ada/{as_of}/x.h5");
    assert_string_equal(ns_job_text(job, "data.where"), "`a b` >= 18 and c != 'x'");
    ns_job_destroy(&job);
}

static const char all_dates[] =
    "data: {time: t, group: p, label: {column: y, window: 30d}, split: {by: time, valid_from: '2024-01-01T06:30+01:00',\n"
    "  test_from: 2024-07-01, until: 2024-12-31T23:59:59, returning: keep}}\ntrain: {stop_after: 9}\n";

static void test_good_combinations(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "# nothing\n",
        "---\n",
        "{}",
        "model:\ndata: {}\n",
        "data: {group: p, split: {by: group}}\n",
        "data: {split: {by: column, column: part}}\ntrain: {stop_after: 9}\n",
        "data: {split: {train: 1}}\n",
        "data: {split: {train: 0.333333333333, valid: 0.333333333333, test: 0.333333333334}}\n",
        "data: {split: {by: row, train: 0.6, valid: 0.4}}\ntrain: {stop_after: 9}\n",
        "train: {stop_after: 9}\n",
        "data: {time: t, split: {by: time, test_from: 2024-01-01}}\n",
        all_dates,
        "data: {time: t, label: {column: y, window: 0}, split: {until: 1999-12-31}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ns_job *job = parse(texts[i], NULL, NULL, 0), *again;
        char *echo, *other;
        CHECK_OK(ns_job_echo(&echo, job, NS_ECHO_ALL)); /* which is a job too, the same */
        again = parse(echo, NULL, NULL, 0);
        CHECK_OK(ns_job_echo(&other, again, NS_ECHO_ALL));
        assert_string_equal(echo, other);
        free(echo);
        free(other);
        ns_job_destroy(&job);
        ns_job_destroy(&again);
    }
}

/* Times of options: seconds, and the shortest text in the echo. */
static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text, *echo;
        int64_t seconds;
    } cases[] = {
        {"1970-01-01", "\"1970-01-01\"", 0},
        {"2024-02-29T00:00:00Z", "\"2024-02-29\"", 1709164800},
        {"2024-03-01 00:00+01:00", "\"2024-02-29T23:00:00Z\"", 1709247600},
        {"1969-12-31T23:59:59", "\"1969-12-31T23:59:59Z\"", -1},
        {"1800-01-01", "\"1800-01-01\"", -5364662400},
        {"2200-12-31T23:59:59", "\"2200-12-31T23:59:59Z\"", 7289654399},
        {"2000-12-31", "\"2000-12-31\"", 978220800},
        {"1900-03-01", "\"1900-03-01\"", -2203891200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200], want[100];
        snprintf(text, sizeof text, "data: {time: t, split: {by: time, test_from: '%s'}}\n", cases[i].text);
        ns_job *job = parse(text, NULL, NULL, 0);
        assert_true(ns_job_time(job, "data.split.test_from") == cases[i].seconds);
        assert_true(ns_job_time(job, "data.split.until") == 0);
        char *echo;
        CHECK_OK(ns_job_echo(&echo, job, NS_ECHO_BUNDLE));
        snprintf(want, sizeof want, "    test_from: %s\n", cases[i].echo);
        assert_non_null(strstr(echo, want));
        free(echo);
        ns_job_destroy(&job);
    }
}

static void test_dated_paths(void **state)
{
    (void)state;
    ns_job *job = parse(full_job, NULL, NULL, 0);
    char *path;
    CHECK_OK(ns_job_dated_path(&path, job, "score.out", ns_job_text(job, "score.out"), "2026-11-20"));
    assert_string_equal(path, "/jobs/scores/2026-11-20.h5");
    free(path);
    CHECK_OK(ns_job_dated_path(&path, job, "score.cohort", "{as_of}/{as_of}", "D"));
    assert_string_equal(path, "D/D");
    free(path);
    CHECK_OK(ns_job_dated_path(&path, job, "data.cohort", "/no/date%s", NULL));
    assert_string_equal(path, "/no/date%s");
    free(path);
    CHECK_FAILS(ns_job_dated_path(&path, job, "score.out", ns_job_text(job, "score.out"), NULL), NS_EINVAL,
                "readmission.yaml:15: score.out: {as_of} needs the date of the night");
    assert_null(path);
    ns_job_destroy(&job);
}

static char *echo(const ns_job *job, ns_echo what)
{
    char *text;
    CHECK_OK(ns_job_echo(&text, job, what));
    return text;
}

static void test_echo_reads_back(void **state)
{
    (void)state;
    const char *const sets[] = {
        "data.weight=w \"q\" \\ \t\xC2\x85\xE2\x80\xA8\xEF\xBB\xBF\xF0\x9F\x98\x80\x01", "data.time=on",
        "train.seed=9007199254740992"};
    ns_job *job = parse(full_job, "run: {threads: 3}\n", sets, 3);
    char *first = echo(job, NS_ECHO_ALL);
    assert_non_null(strstr(first, "  where: \"age >= 18 and disposition not in ('11', '13')\"\n"));
    assert_non_null(strstr(first, "  id: \"00123\"\n"));
    assert_non_null(strstr(first, "\n  time: \"on\"\n"));
    assert_non_null(strstr(first, "  label:\n    column: readmitted\n    positive: [\"NO\"]\n"));
    assert_non_null(strstr(first, "  include: [\"*\", \"a: b\"]\n"));
    assert_non_null(strstr(first, "\n  threads: 3\n"));
    assert_non_null(strstr(first, "\n  checkpoint_every: 300s\n"));
    assert_non_null(strstr(first, "\n  keep: []\n"));
    assert_non_null(strstr(first, "\\u0085\\u2028\\uFEFF\xF0\x9F\x98\x80\\u0001\"\n"));
    assert_null(strstr(first, "score.where"));
    ns_job *again = parse(first, NULL, NULL, 0);
    char *second = echo(again, NS_ECHO_ALL);
    assert_string_equal(first, second);
    for (int32_t i = 0; i < ns_n_options; i++) {
        const ns_option *o = &ns_options[i];
        const char *const *a, *const *b;
        assert_int_equal(ns_job_has(job, o->key), ns_job_has(again, o->key));
        if (o->kind == NS_OPT_INTEGER || o->kind == NS_OPT_BYTES)
            assert_true(ns_job_integer(job, o->key) == ns_job_integer(again, o->key));
        else if (o->kind == NS_OPT_NUMBER || o->kind == NS_OPT_SECONDS)
            assert_true(ns_job_number(job, o->key) == ns_job_number(again, o->key));
        else if (o->kind == NS_OPT_TEXTS || o->kind == NS_OPT_PATHS) {
            int64_t n = ns_job_list(job, o->key, &a);
            assert_int_equal(n, ns_job_list(again, o->key, &b));
            for (int64_t j = 0; j < n; j++) assert_string_equal(a[j], b[j]);
        } else if (o->kind == NS_OPT_FLAG)
            assert_int_equal(ns_job_flag(job, o->key), ns_job_flag(again, o->key));
        else if (o->kind == NS_OPT_TIME)
            assert_true(ns_job_time(job, o->key) == ns_job_time(again, o->key));
        else if (ns_job_has(job, o->key))
            assert_string_equal(ns_job_text(job, o->key), ns_job_text(again, o->key));
    }
    free(first);
    free(second);
    ns_job_destroy(&job);
    ns_job_destroy(&again);
}

/* Whatever the way a value is written and wherever it comes from, the bundle's part has the same bytes. */
static void test_bundle_echo_is_stable(void **state)
{
    (void)state;
    static const char *const one_way = "name: x\ndata: {cohort: a, label: {column: y, positive: NO}}\nmodel: "
                                       "{learning_rate: 0.05, rounds: 100, l2: 1.0}\nrun: {device: cpu}\n";
    static const char *const another =
        "model:\n  l2: 1\n  rounds: '0100'\n  learning_rate: 5.0e-2\ndata:\n  label: {positive: [\"NO\"], "
        "column: \"y\"}\n  cohort: [/b/c]\n"
        "  split: {train: .7, valid: 0.10, test: 2e-1}\ntrain: {seed: 2}\nname: \"x\"\n";
    static const char *const set = "train.seed=1";
    ns_job *a = parse(one_way, NULL, NULL, 0), *b = parse(another, "run: {threads: 9}\n", &set, 1);
    char *x = echo(a, NS_ECHO_BUNDLE), *y = echo(b, NS_ECHO_BUNDLE), key[128];
    assert_string_equal(x, y);
    assert_false(ns_job_differs(x, y, key));
    assert_string_equal(x, "name: x\n"
                           "data:\n"
                           "  label:\n"
                           "    column: \"y\"\n"
                           "    positive: [\"NO\"]\n"
                           "  features:\n"
                           "    include: [\"*\"]\n"
                           "  infinite: error\n"
                           "  split:\n"
                           "    train: 0.7\n"
                           "    valid: 0.1\n"
                           "    test: 0.2\n"
                           "model:\n"
                           "  type: gbdt\n"
                           "  rounds: 100\n"
                           "  learning_rate: 0.05\n"
                           "  max_leaves: 31\n"
                           "  max_depth: 0\n"
                           "  l1: 0\n"
                           "  l2: 1\n"
                           "  min_gain: 0\n"
                           "  min_rows: 20\n"
                           "  min_hessian: 0.001\n"
                           "  max_bins: 255\n"
                           "  category_min_rows: 20\n"
                           "  category_smoothing: 200\n"
                           "  category_l2: 10\n"
                           "  category_split_rows: 20\n"
                           "  category_max_levels: 16\n"
                           "  row_sample: 1\n"
                           "  column_sample: 1\n"
                           "  column_sample_node: 1\n"
                           "  gradient_bits: auto\n"
                           "train:\n"
                           "  seed: 1\n"
                           "  stop_after: 0\n"
                           "  stop_metric: loss\n"
                           "evaluate:\n"
                           "  min_cell: 11\n");
    free(x);
    free(y);
    ns_job_destroy(&a);
    ns_job_destroy(&b);
}

static void test_differs(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *key; /* key NULL: no difference */
    } cases[] = {
        {"", "", NULL},
        {"model: {rounds: 500}\n", "", NULL}, /* an option the older program had not: its default */
        {"", "model: {rounds: 500, l2: 1}\ndata: {features: {include: ['*']}}\n", NULL},
        {"model: {rounds: 500}\n", "model: {rounds: 501}\n", "model.rounds"},
        {"", "model: {rounds: 501}\n", "model.rounds"},
        {"train: {seed: 2}\nname: a\n", "name: b\ntrain: {seed: 3}\n", "name"}, /* in table order */
        {"data: {id: x}\n", "", "data.id"},
        {"data: {features: {exclude: [a, b]}}\n", "data: {features: {exclude: [a]}}\n",
         "data.features.exclude"},
        {"data: {features: {exclude: [a]}}\n", "data: {features: {exclude: a}}\n", "data.features.exclude"},
        {"model: {forgotten: 1}\n", "", "model.forgotten"}, /* an option that is no more */
        {"", "model: {forgotten: 1}\n", "model.forgotten"},
        {"model: {forgotten: 1}\n", "model: {forgotten: 1}\ntrain: {seed: 1}\n", NULL},
        {"model: {forgotten: 1}\n", "model: {forgotten: 2}\n", "model.forgotten"},
        {"model: [\n", "", "(not readable)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[128] = "before";
        bool differs = ns_job_differs(cases[i].a, cases[i].b, key);
        if (differs != (cases[i].key != NULL) || strcmp(key, cases[i].key == NULL ? "" : cases[i].key) != 0)
            fail_msg("case %d: %d '%s'", (int)i, differs, key);
    }
    static const char *const sets[] = {"model.max_leaves=32", "evaluate.subgroups=[a]"};
    ns_job *a = parse(full_job, NULL, NULL, 0), *b = parse(full_job, NULL, sets, 2);
    char *x = echo(a, NS_ECHO_BUNDLE), *y = echo(b, NS_ECHO_BUNDLE), key[128];
    assert_true(ns_job_differs(x, y, key));
    assert_string_equal(key, "model.max_leaves");
    assert_int_equal(ns_last_error()->code, NS_OK);
    free(x);
    free(y);
    ns_job_destroy(&a);
    ns_job_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_later_layers_win),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_good_combinations), cmocka_unit_test(test_times),
        cmocka_unit_test(test_dated_paths),
        cmocka_unit_test(test_echo_reads_back),
        cmocka_unit_test(test_bundle_echo_is_stable),
        cmocka_unit_test(test_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
