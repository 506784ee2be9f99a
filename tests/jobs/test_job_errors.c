/* What is wrong with a job: one line each, with its place. */
#include "tests/check.h"

#include "jobs/job.h"
#include "tests/jobs/sources.h"

typedef struct mistake {
    const char *job, *site, *set;
    const char *message; /* begins with this */
} mistake;

static const mistake mistakes[] = {
    {"model:\n  rounds: 0\n", NULL, NULL, "readmission.yaml:2: model.rounds: 0 is not from 1 to 100000"},
    {"model:\n  round: 5\n", NULL, NULL,
     "readmission.yaml:2: model.round: unknown key; the nearest is model.rounds"},
    {"model: {learn_rate: 5}\n", NULL, NULL,
     "readmission.yaml:1: model.learn_rate: unknown key; the nearest is model.learning_rate"},
    {"seed: 5\n", NULL, NULL, "readmission.yaml:1: seed: unknown key; the nearest is train.seed"},
    {"model: {seed: 5}\n", NULL, NULL,
     "readmission.yaml:1: model.seed: unknown key; the nearest is train.seed"},
    {"cohorts: x\n", NULL, NULL, "readmission.yaml:1: cohorts: unknown key; the nearest is data.cohort"},
    {"data:\n  features: {exlude: [a]}\n", NULL, NULL,
     "readmission.yaml:2: data.features.exlude: unknown key; the nearest is data.features.exclude"},
    {"evaluate: {cohrt: a}\n", NULL, NULL,
     "readmission.yaml:1: evaluate.cohrt: unknown key; the nearest is evaluate.cohort"},
    {"Name: x\n", NULL, NULL, "readmission.yaml:1: Name: unknown key; the nearest is name"},
    {"model: 5\n", NULL, NULL, "readmission.yaml:1: model: is a section"},
    {"data:\n  split: row\n", NULL, NULL, "readmission.yaml:2: data.split: is a section"},
    {"data: [a]\n", NULL, NULL, "readmission.yaml:1: data: is a section"},
    {"name: {a: b}\n", NULL, NULL, "readmission.yaml:1: name: is a value, not a section"},
    {"name: {}\n", NULL, NULL, "readmission.yaml:1: name: is a value, not a section"},
    {"name: [a]\n", NULL, NULL, "readmission.yaml:1: name: takes one value, not a list"},
    {"data.cohort: x\n", NULL, NULL, "readmission.yaml:1: data.cohort: a key has no dots"},
    {"a\n", NULL, NULL, "readmission.yaml:1: expected sections with keys"},
    {"- a\n", NULL, NULL, "readmission.yaml:1: expected sections with keys"},
    {"name: x\nname: y\n", NULL, NULL, "readmission.yaml:2: duplicate key 'name'"},
    {"name: &a x\n", NULL, NULL, "readmission.yaml:1: anchors and aliases"},
    {"name: x\n---\nname: y\n", NULL, NULL, "readmission.yaml:2: a second document"},
    {"name: [\n", NULL, NULL, "readmission.yaml:2: not YAML"},
    {"data:\n  where: \"age >\"\n", NULL, NULL, "readmission.yaml:2: data.where: character 6: expected"},
    {"score:\n  where: age ~ 3\n", NULL, NULL,
     "readmission.yaml:2: score.where: character 5: '~' has no meaning"},
    {"data:\n  cohort:\n    - a\n    - ${NS_TEST_UNSET}/b\n", NULL, NULL,
     "readmission.yaml:4: data.cohort: '${NS_TEST_UNSET}/b' cannot be expanded: the environment variable "
     "NS_TEST_UNSET is not set"},
    {"data: {split: {train: 0.7, valid: 0.2, test: 0.2}}\n", NULL, NULL,
     "readmission.yaml:1: data.split.test: data.split.train, valid and test sum to 1.1, not to 1"},
    {"data:\n  split:\n    train: 0.7\n", NULL, NULL,
     "readmission.yaml:3: data.split.train: data.split.train, valid and test sum to 0.7"},
    {"data: {split: {train: 0.7, valid: 0.1, test: 0.2}}\n", NULL, "data.split.train=0.8",
     "--set: data.split.train: data.split.train, valid and test sum to 1.1"},
    {"data: {split: {train: 1.5, valid: 0.1, test: 0.2}}\n", NULL, NULL,
     "readmission.yaml:1: data.split.train: 1.5 is not from 0 to 1"},
    {"model:\n  objective: cox\n", NULL, NULL,
     "readmission.yaml:2: model.objective: 'cox' is not one of binary, multiclass, regression, poisson, quantile"},
    {"data:\n  label: {column: y, positive: [a]}\nmodel: {objective: regression}\n", NULL, NULL,
     "readmission.yaml:2: data.label.positive: is used only with model.objective: binary"},
    {"data:\n  label:\n    column: y\n    classes: [a, b, c]\n", NULL, NULL,
     "readmission.yaml:4: data.label.classes: is used only with model.objective: multiclass"},
    {"data:\n  label: {column: y, classes: [a, b]}\nmodel: {objective: multiclass}\n", NULL, NULL,
     "readmission.yaml:2: data.label.classes: names fewer than three classes"},
    {"data:\n  label: {column: y, classes: [a, b, a]}\nmodel: {objective: multiclass}\n", NULL, NULL,
     "readmission.yaml:2: data.label.classes: names a class twice"},
    {"data:\n  label: {classes: [a, b, c]}\nmodel: {objective: multiclass}\n", NULL, NULL,
     "readmission.yaml:2: data.label.classes: needs data.label.column"},
    {"model: {quantile: 0.9}\n", NULL, NULL, "readmission.yaml:1: model.quantile: is used only with model.objective: quantile"},
    {"model: {objective: quantile, quantile: 1}\n", NULL, NULL, "readmission.yaml:1: model.quantile: 1 is not from 0.001 to 0.999"},
    {"model: {objective: poisson, positive_weight: 3}\n", NULL, NULL,
     "readmission.yaml:1: model.positive_weight: is used only with model.objective: binary"},
    {"model: {positive_weight: 0}\n", NULL, NULL, "readmission.yaml:1: model.positive_weight: 0 is not from"},
    {"model: {objective: multiclass}\n", NULL, "model.monotone.rising=age", "--set: model.monotone.rising: is not used with model.objective: multiclass"},
    {"model:\n  monotone:\n    rising: [age]\n    falling: [gfr, age]\n", NULL, NULL,
     "readmission.yaml:4: model.monotone.falling: 'age' stands in model.monotone.rising too"},
    {"model: {objective: regression}\ntrain: {stop_metric: auroc}\n", NULL, NULL,
     "readmission.yaml:2: train.stop_metric: auroc is used only with model.objective: binary"},
    {"data:\n  split: {by: group}\n", NULL, NULL,
     "readmission.yaml:2: data.split.by: group needs data.group"},
    {"data:\n  split: {by: column}\n", NULL, NULL,
     "readmission.yaml:2: data.split.by: column needs data.split.column"},
    {"data:\n  split: {column: part}\n", NULL, NULL,
     "readmission.yaml:2: data.split.column: is used only with data.split.by: column"},
    {"data:\n  split: {by: row, column: part}\n", NULL, NULL,
     "readmission.yaml:2: data.split.column: is used only"},
    {"data:\n  split:\n    by: column\n    column: part\n    train: 1\n", NULL, NULL,
     "readmission.yaml:5: data.split.train: excludes data.split.by: column"},
    {"data:\n  split: {by: time, test_from: 2024-01-01}\n", NULL, NULL,
     "readmission.yaml:2: data.split.by: time needs data.time"},
    {"data:\n  time: t\n  split: {by: time}\n", NULL, NULL,
     "readmission.yaml:3: data.split.by: time needs data.split.test_from"},
    {"data:\n  time: t\n  split: {by: time, test_from: March 2024}\n", NULL, NULL,
     "readmission.yaml:3: data.split.test_from: 'March 2024' is not a time such as 2024-03-01"},
    {"data:\n  time: t\n  split: {by: time, test_from: 1799-12-31}\n", NULL, NULL,
     "readmission.yaml:3: data.split.test_from: '1799-12-31' is not in the years 1800 to 2200"},
    {"data:\n  time: t\n  split: {by: time, test_from: 2201-01-01}\n", NULL, NULL,
     "readmission.yaml:3: data.split.test_from: '2201-01-01' is not in the years"},
    {"data:\n  time: t\n  split:\n    by: time\n    valid_from: 2024-01-01\n    test_from: 2024-01-01\n", NULL, NULL,
     "readmission.yaml:6: data.split.test_from: must be after data.split.valid_from"},
    {"data:\n  time: t\n  split:\n    by: time\n    valid_from: 2024-01-01\n    until: 2023-01-01\n", NULL, NULL,
     "readmission.yaml:6: data.split.until: must be after data.split.valid_from"},
    {"data:\n  time: t\n  split:\n    by: time\n    test_from: 2024-01-01\n    until: 2023-01-01\n", NULL, NULL,
     "readmission.yaml:6: data.split.until: must be after data.split.test_from"},
    {"data:\n  time: t\n  split:\n    by: time\n    test_from: 2024-01-01\n    train: 0.5\n    valid: 0.5\n", NULL, NULL,
     "readmission.yaml:6: data.split.train: excludes data.split.by: time"},
    {"data:\n  split:\n    by: row\n    test_from: 2024-01-01\n", NULL, NULL,
     "readmission.yaml:4: data.split.test_from: is used only with data.split.by: time"},
    {"data:\n  group: p\n  split:\n    returning: keep\n", NULL, NULL,
     "readmission.yaml:4: data.split.returning: is used only with data.split.by: time"},
    {"data:\n  time: t\n  split:\n    by: time\n    test_from: 2024-01-01\n    returning: keep\n", NULL, NULL,
     "readmission.yaml:6: data.split.returning: needs data.group"},
    {"data:\n  split:\n    until: 2024-01-01\n", NULL, NULL, "readmission.yaml:3: data.split.until: needs data.time"},
    {"data:\n  time: t\n  label: {window: 30d}\n", NULL, NULL,
     "readmission.yaml:3: data.label.window: is used only with data.split.by: time or data.split.until"},
    {"data:\n  time: t\n  label: {window: 31d}\n  split: {by: time, valid_from: 2024-01-01, test_from: 2024-02-01}\n", NULL, NULL,
     "readmission.yaml:3: data.label.window: is as long as the validation part"},
    {"data:\n  time: t\n  label: {window: 31d}\n  split: {by: time, test_from: 2024-01-01, until: 2024-02-01}\n", NULL, NULL,
     "readmission.yaml:3: data.label.window: is as long as the last part"},
    {"data:\n  time: t\n  split: {by: time, test_from: 2024-01-01}\ntrain:\n  stop_after: 5\n", NULL, NULL,
     "readmission.yaml:5: train.stop_after: needs validation rows, and data.split.valid_from is not set"},
    {"data: {split: {train: 0.8, test: 0.2}}\ntrain: {stop_after: 5}\n", NULL, NULL,
     "readmission.yaml:2: train.stop_after: needs validation rows"},
    {"data:\n  label: {positive: a}\n", NULL, NULL,
     "readmission.yaml:2: data.label.positive: needs data.label.column"},
    {NULL, "run:\n  threads: -1\n", NULL, "site.yaml:2: run.threads: -1 is not from 0 to 4096"},
    {NULL, "model: {rounds: 5}\n", NULL, "site.yaml:1: model.rounds: cannot stand in a site file"},
    {NULL, "name: x\n", NULL, "site.yaml:1: name: cannot stand in a site file"},
    {NULL, "run: {out: x}\n", NULL, "site.yaml:1: run.out: cannot stand in a site file"},
    {NULL, "log: {fromat: json}\n", NULL, "site.yaml:1: log.fromat: unknown key; the nearest is log.format"},
    {NULL, "run: [\n", NULL, "site.yaml:2: not YAML"},
    {NULL, NULL, "model.rounds=0", "--set: model.rounds: 0 is not from 1 to 100000"},
    {NULL, NULL, "model.round=5", "--set: model.round: unknown key; the nearest is model.rounds"},
    {NULL, NULL, "model=5", "--set: model: is a section"},
    {NULL, NULL, "model.rounds", "--set: model.rounds: write --set section.key=value"},
    {NULL, NULL, "=5", "--set: =5: write --set section.key=value"},
    {NULL, NULL, "name=\xE4", "--set: not UTF-8 text"},
    {NULL, NULL, "name=[a]", "--set: name: takes one value, not a list"},
    {NULL, NULL, "data.where=x >", "--set: data.where: character 4: expected"},
    {"name: x\nmodel: {rounds: 0}\n", "log: {format: xml}\n", "train.seed=-1",
     "site.yaml:1: log.format: 'xml' is not one of text, json"},
};

static void test_each_mistake(void **state)
{
    (void)state;
    unsetenv("NS_TEST_UNSET");
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const mistake *m = &mistakes[i];
        const ns_job_sources sources = sources_of(m->job, m->site, &m->set, m->set == NULL ? 0 : 1);
        ns_job *job = (ns_job *)&mistakes; /* must become NULL */
        ns_error_clear();
        ns_status status = ns_job_parse(&job, &sources);
        const char *message = ns_last_error()->message;
        if (status != NS_EINVAL || strncmp(message, m->message, strlen(m->message)) != 0)
            fail_msg("%s: status %d: %s", m->message, (int)status, message);
        assert_null(job);
        assert_null(strchr(message, '\n'));
        assert_int_equal(ns_last_error()->code, NS_EINVAL);
        ns_error_clear();
    }
}

typedef struct heard {
    char text[4000];
    int n;
} heard;

static void hear(void *context, const char *message)
{
    heard *h = context;
    strncat(h->text, message, sizeof h->text - strlen(h->text) - 1);
    strncat(h->text, "\n", sizeof h->text - strlen(h->text) - 1);
    h->n++;
}

static void test_check_tells_all_in_order(void **state)
{
    (void)state;
    static const char *const sets[] = {"train.seed=x", "nmae=y", "train.seed=4"};
    const ns_job_sources sources = sources_of("model:\n"
                                              "  rounds: 0\n"
                                              "  type: mlp\n"
                                              "nonsense: 1\n"
                                              "data:\n"
                                              "  where: a =\n"
                                              "  label: {positive: x}\n"
                                              "  split: {train: 0.5}\n",
                                              "run:\n  threads: x\n  share: all\nname: z\n", sets, 3);
    heard h = {{0}, 0};
    ns_error_clear();
    assert_int_equal(ns_job_check(&sources, hear, &h), NS_EINVAL);
    assert_string_equal(
        h.text,
        "site.yaml:2: run.threads: 'x' is not a whole number\n"
        "site.yaml:3: run.share: 'all' is not one of private, group\n"
        "site.yaml:4: name: cannot stand in a site file, only in a job file\n"
        "readmission.yaml:2: model.rounds: 0 is not from 1 to 100000\n"
        "readmission.yaml:3: model.type: 'mlp' is not gbdt\n"
        "readmission.yaml:4: nonsense: unknown key; the nearest is slurm.nodes\n"
        "readmission.yaml:6: data.where: character 4: expected a number or a text in quotes, found the end\n"
        "readmission.yaml:7: data.label.positive: needs data.label.column, the column of the outcome\n"
        "readmission.yaml:8: data.split.train: data.split.train, valid and test sum to 0.5, not to 1\n"
        "--set: train.seed: 'x' is not a whole number\n"
        "--set: nmae: unknown key; the nearest is name\n");
    assert_int_equal(h.n, 11);
    assert_int_equal(ns_last_error()->code, NS_OK);
}

/* A file that cannot be read is one problem; the others are still heard. */
static void test_check_goes_on_after_a_broken_file(void **state)
{
    (void)state;
    static const char *const set = "model.rounds=0";
    const ns_job_sources sources = sources_of("a: [\n", "x: &y 1\n", &set, 1);
    heard h = {{0}, 0};
    assert_int_equal(ns_job_check(&sources, hear, &h), NS_EINVAL);
    assert_int_equal(h.n, 3);
    const ns_job_sources good = sources_of("name: x\n", NULL, NULL, 0);
    h.n = 0;
    CHECK_OK(ns_job_check(&good, hear, &h));
    assert_int_equal(h.n, 0);
}

/* What the author wrote may hold line breaks and be long; the message is one short line. */
static void test_messages_stay_one_line(void **state)
{
    (void)state;
    char text[3000] = "model: {rounds: \"line\\nbreak ";
    size_t n = strlen(text);
    memset(text + n, 'x', 2000);
    strcpy(text + n + 2000, "\"}\n");
    const ns_job_sources sources = sources_of(text, NULL, NULL, 0);
    ns_job *job;
    CHECK_FAILS(ns_job_parse(&job, &sources), NS_EINVAL, "'line break xxx");
    const ns_job_sources key = sources_of("\"two\\nlines\": 1\n", NULL, NULL, 0);
    heard h = {{0}, 0};
    assert_int_equal(ns_job_check(&key, hear, &h), NS_EINVAL);
    assert_int_equal(strchr(h.text, '\n') - h.text, (long)strlen(h.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake),
        cmocka_unit_test(test_check_tells_all_in_order),
        cmocka_unit_test(test_check_goes_on_after_a_broken_file),
        cmocka_unit_test(test_messages_stay_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
