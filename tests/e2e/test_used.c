/* What a run used is in its record, in the log and where Prometheus looks, for training and for nights. */
#include <jansson.h>
#include <sys/stat.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"

static int enter(void **state)
{
    (void)state;
    drive_enter("used");
    drive_must(0, "synth stays.h5 --rows 3000 --seed 3 --true-risk --quiet");
    drive_job("job.yaml", "used", "stays.h5",
              "model: {rounds: 3}\nscore: {cohort: [stays.h5], out: scores.h5}\nrun: {out: run, prometheus_dir: prom, cost_per_gpu_hour: 2.5}\n");
    return 0;
}

static int leave(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

/* "used" of the last life of a record, with the phases named; each figure is ordered. */
static void check_record(const char *path, const char *const *phases)
{
    json_t *document = json_load_file(path, 0, NULL), *lives = json_object_get(document, "lives");
    const json_t *used = json_object_get(json_array_get(lives, json_array_size(lives) - 1), "used"), *by_phase = json_object_get(used, "phases");
    static const char *const figures[] = {"cpu_s", "waiting_share", "peak_bytes", "read_bytes", "sent_bytes", NULL};
    if (used == NULL) fail_msg("%s tells nothing", path);
    for (int i = 0; figures[i] != NULL; i++) {
        const json_t *spread = json_object_get(used, figures[i]);
        double least = json_real_value(json_object_get(spread, "least")), median = json_real_value(json_object_get(spread, "median")),
               most = json_real_value(json_object_get(spread, "most"));
        if (!(0 <= least && least <= median && median <= most)) fail_msg("%s: %s", path, figures[i]);
    }
    assert_true(json_real_value(json_object_get(json_object_get(used, "cpu_s"), "least")) > 0);
    assert_true(json_real_value(json_object_get(used, "wall_s")) > 0);
    for (int i = 0; phases[i] != NULL; i++)
        if (!json_is_real(json_object_get(json_object_get(by_phase, phases[i]), "most"))) fail_msg("%s: no phase %s", path, phases[i]);
    assert_true(json_real_value(json_object_get(used, "cost")) == 0); /* no GPU was used */
    json_decref(document);
}

static void check_prometheus(const char *path, const char *line)
{
    struct stat info;
    char *text = drive_read(path);
    if (text == NULL) fail_msg("no %s", path);
    if (strstr(text, line) == NULL) fail_msg("no '%s' in %s", line, path);
    free(text);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644); /* though run.share is private */
}

static void is_told_everywhere(void **state)
{
    (void)state;
    static const char *const of_training[] = {"read", "train", "evaluate", NULL};
    static const char *const of_a_night[] = {"prepare", "read", "hash", "score", "write", NULL};
    assert_int_equal(mkdir("prom", 0755), 0);
    drive_result trained = drive_ranks(3, "train job.yaml");
    if (trained.code != 0) fail_msg("%s", trained.err);
    assert_non_null(strstr(trained.err, " event=used wall_s="));
    drive_free(&trained);
    check_record("run/run.json", of_training);
    check_prometheus("prom/nightshift_used_train.prom", "nightshift_exit_code{job_name=\"used\",verb=\"train\"} 0\n");
    drive_must(2, "score job.yaml --as-of 2026-11-20 --quiet");
    drive_must(0, "--version"); /* leaves nothing there */
    drive_result found = drive_shell(20, "ls run/nights/*/night.json");
    assert_int_equal(found.code, 0);
    found.out[strcspn(found.out, "\n")] = '\0';
    check_record(found.out, of_a_night);
    drive_free(&found);
    check_prometheus("prom/nightshift_used_score.prom", "nightshift_phase_seconds{job_name=\"used\",verb=\"score\",phase=\"read\"} ");
}

/* On simulated GPUs, with an NVML that is not real: two ranks on two, two on one, and none where there is no NVML. */
static void gpus_tell_what_they_did(void **state)
{
    (void)state;
    if (USED_CUDA_HOST[0] == '\0') skip(); /* no C++ compiler, or another processor */
    setenv("NIGHTSHIFT_CUDA", USED_CUDA_HOST, 1);
    static const struct {
        const char *devices, *nvml;
        int n_gpus;
        double energy;
    } cases[] = {{"2", USED_FAKE_NVML, 2, 2}, {"1", USED_FAKE_NVML, 1, 1}, {"1", "/nowhere.so", 1, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("NIGHTSHIFT_CUDA_DEVICES", cases[i].devices, 1);
        setenv("NIGHTSHIFT_NVML", cases[i].nvml, 1);
        drive_result trained = drive_ranks(2, "train job.yaml --restart --set run.device=cuda --set run.out=gpu --set model.rounds=1 --set model.max_leaves=4");
        if (trained.code != 0) fail_msg("%s", trained.err);
        bool told = strstr(trained.err, " gpu_utilization=0.") != NULL && strstr(trained.err, " gpu_energy_kj=") != NULL;
        assert_int_equal(told, cases[i].energy >= 0);
        drive_free(&trained);
        json_t *document = json_load_file("gpu/run.json", 0, NULL);
        const json_t *used = json_object_get(json_array_get(json_object_get(document, "lives"), 0), "used");
        const json_t *busy = json_object_get(used, "gpu_utilization"), *energy = json_object_get(used, "gpu_energy_j");
        double hours = json_real_value(json_object_get(used, "gpu_hours")), wall = json_real_value(json_object_get(used, "wall_s"));
        assert_int_equal(json_integer_value(json_object_get(used, "gpus")), cases[i].n_gpus);
        assert_true(hours > 0 && hours == cases[i].n_gpus * wall / 3600);
        assert_true(json_real_value(json_object_get(used, "cost")) == hours * 2.5);
        if (cases[i].energy < 0) assert_true(busy == NULL && energy == NULL); /* not 0: nobody knows */
        else assert_true(json_real_value(energy) == cases[i].energy && json_real_value(json_object_get(busy, "least")) >= 0.4);
        json_decref(document);
    }
    unsetenv("NIGHTSHIFT_CUDA");
    unsetenv("NIGHTSHIFT_CUDA_DEVICES");
    unsetenv("NIGHTSHIFT_NVML");
    check_prometheus("prom/nightshift_used_train.prom", "nightshift_gpu_hours{job_name=\"used\",verb=\"train\"} ");
}

/* The figures are worth less than the run. */
static void a_folder_that_is_not_there_is_a_warning(void **state)
{
    (void)state;
    drive_result result = drive_ranks(0, "train job.yaml --set run.prometheus_dir=nowhere --set run.out=other");
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.err, "level=warn"));
    assert_non_null(strstr(result.err, "event=prometheus"));
    drive_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_told_everywhere),
        cmocka_unit_test(gpus_tell_what_they_did),
        cmocka_unit_test(a_folder_that_is_not_there_is_a_warning),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
