/*
 * The golden files of every numerics version (README.md): each bundle verifies and scores as on the day it was made, on any ranks and
 * instruction set; the jobs of this version train to the recorded models, and the version moves when they do, and only then. What a
 * program cannot know, a newer format or newer numerics, is refused.
 */
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/hash.h"
#include "kernels/numerics.h"
#include "runner/models/gbdt_file.h"
#include "tests/check.h"
#include "tests/e2e/drive.h"
#include "tests/golden/recorded.h"

#define HOW " (" GOLDEN_FOLDER "/README.md)"
enum { MOST = 128, N_OBJECTIVES = NS_QUANTILE + 1 };

typedef struct golden {
    int version;
    char job[64], model[65], content[65]; /* vN/models.txt */
    char at[512];                         /* GOLDEN_FOLDER/vN/JOB: the bundle; with .yaml the job, with .h5 the scores */
    char night[512];
} golden;

static golden all[MOST];
static int n_all;

static void folder_of(char *path, size_t size, int version, const char *file)
{
    snprintf(path, size, "%s/v%d%s", GOLDEN_FOLDER, version, file);
}

static void add(int version, const char *line)
{
    golden g = {.version = version};
    if (n_all == MOST || sscanf(line, "%63s %64s %64s", g.job, g.model, g.content) != 3)
        fail_msg("v%d/models.txt: '%s' is not JOB MODEL CONTENT, or there are more than %d lines", version, line, (int)MOST);
    snprintf(g.at, sizeof g.at, "%s/v%d/%s", GOLDEN_FOLDER, version, g.job);
    folder_of(g.night, sizeof g.night, version, "/night.h5");
    all[n_all++] = g;
}

static int read_all(void **state)
{
    (void)state;
    drive_enter("golden");
    for (int version = 1; version <= NS_NUMERICS_VERSION; version++) {
        char path[512], line[512];
        folder_of(path, sizeof path, version, "/models.txt");
        FILE *file = fopen(path, "r");
        if (file == NULL)
            fail_msg("numerics version %d has no golden files: make '%s/v%d' with make.sh" HOW, version, GOLDEN_FOLDER, version);
        while (fgets(line, sizeof line, file) != NULL) add(version, line);
        fclose(file);
    }
    return 0;
}

static int leave(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

static ns_gbdt_model *model_of(const char *bundle)
{
    char path[600];
    struct stat info;
    ns_gbdt_model *model = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", bundle);
    char *bytes = drive_read(path);
    assert_non_null(bytes);
    assert_int_equal(stat(path, &info), 0);
    CHECK_OK(ns_gbdt_parse(&model, (const uint8_t *)bytes, (size_t)info.st_size, path));
    free(bytes);
    return model;
}

/* --- what is there --- */

static void versions_are_whole(void **state)
{
    (void)state;
    char next[512];
    bool objective[N_OBJECTIVES] = {false}, monotone = false;
    for (int i = 0; i < n_all; i++) {
        char hex[65], path[600];
        ns_gbdt_model *model = model_of(all[i].at);
        assert_int_equal(model->numerics_version, all[i].version);
        if (all[i].version == NS_NUMERICS_VERSION) {
            objective[model->objective] = true;
            snprintf(path, sizeof path, "%s/job.yaml", all[i].at);
            char *job = drive_read(path);
            monotone |= job != NULL && strstr(job, "rising: [") != NULL && strstr(job, "falling: [") != NULL;
            free(job);
        }
        ns_gbdt_destroy(&model);
        snprintf(path, sizeof path, "%s/model.safetensors", all[i].at);
        drive_hash(hex, path);
        if (strcmp(hex, all[i].model) != 0) fail_msg("'%s' is not the model of models.txt", path);
    }
    for (int i = 0; i < N_OBJECTIVES; i++)
        if (!objective[i]) fail_msg("v%d has no bundle of objective %d" HOW, NS_NUMERICS_VERSION, i);
    assert_true(monotone);
    folder_of(next, sizeof next, NS_NUMERICS_VERSION + 1, "");
    if (access(next, F_OK) == 0)
        fail_msg("'%s' is there and NS_NUMERICS_VERSION is %d: raise it in kernels/numerics.h" HOW, next, NS_NUMERICS_VERSION);
}

/* --- scoring, of all versions --- */

static void every_bundle_verifies(void **state)
{
    (void)state;
    for (int i = 0; i < n_all; i++) {
        drive_must(0, "verify '%s' --quiet", all[i].at);
        drive_must(0, "verify '%s' --gold '%s' --expect '%s.h5' --quiet", all[i].at, all[i].night, all[i].at);
    }
}

static void check_scores(const golden *g, int n_ranks, const char *how)
{
    drive_must(n_ranks, "score '%s.yaml' --quiet --as-of 2026-11-20 --set 'score.bundle=%s' --set run.out=run --set score.out=scores.h5",
               g->at, g->at);
    json_t *manifest = json_load_file("scores.h5.manifest.json", 0, NULL);
    const char *content = json_string_value(json_object_get(manifest, "content"));
    if (content == NULL || strcmp(content, g->content) != 0)
        fail_msg("v%d/%s, %s: the scores are %s, on the day of the bundle they were %s. Scoring of a published bundle never changes: the "
                 "arithmetic of its numerics version must be kept beside a new one" HOW,
                 g->version, g->job, how, content != NULL ? content : "without content", g->content);
    json_decref(manifest);
    drive_remove("scores.h5.manifest.json");
    drive_remove("scores.h5");
    drive_remove("run");
}

static void every_bundle_scores_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < n_all; i++) {
        check_scores(&all[i], 1, "1 rank");
        check_scores(&all[i], 3, "3 ranks");
        setenv("NIGHTSHIFT_CPU", "baseline", 1);
        check_scores(&all[i], 0, "baseline");
        unsetenv("NIGHTSHIFT_CPU");
    }
}

/* Else the two tests above could not fail. */
static void other_scores_are_told(void **state)
{
    (void)state;
    for (int i = 1; i < n_all; i++) {
        drive_result result = drive_ranks(0, "verify '%s' --gold '%s' --expect '%s.h5' --quiet", all[i].at, all[i].night, all[i - 1].at);
        assert_int_equal(result.code, 5);
        if (all[i].version == all[i - 1].version) assert_non_null(strstr(drive_error_line(&result, NULL), "the gold cohort's scores differ"));
        drive_free(&result);
    }
}

/* --- training, and the version --- */

/* SHA-256 of the model that the job trains to, as if its numerics version were that of the golden file. */
static void train_again(char hex[65], const golden *g)
{
    uint8_t *bytes;
    size_t n_bytes;
    drive_must(0, "train '%s.yaml' --quiet --set run.out=again", g->at);
    ns_gbdt_model *model = model_of("again/bundle");
    assert_int_equal(model->numerics_version, NS_NUMERICS_VERSION);
    model->numerics_version = g->version;
    CHECK_OK(ns_gbdt_build(model, &bytes, &n_bytes));
    ns_sha256_hex(hex, bytes, n_bytes);
    free(bytes);
    ns_gbdt_destroy(&model);
    drive_remove("again");
}

static void models_of_this_version_are_the_recorded_ones(void **state)
{
    (void)state;
    for (int i = 0; i < n_all; i++) {
        char hex[65];
        if (all[i].version != NS_NUMERICS_VERSION) continue;
        train_again(hex, &all[i]);
        if (strcmp(hex, all[i].model) != 0)
            fail_msg("%s.yaml trains to the model %s, v%d has %s, and NS_NUMERICS_VERSION is %d as before. Unless this was meant, mend "
                     "what changed it. Where it was: raise NS_NUMERICS_VERSION in kernels/numerics.h and make v%d with make.sh" HOW,
                     all[i].at, hex, all[i].version, all[i].model, NS_NUMERICS_VERSION, NS_NUMERICS_VERSION + 1);
    }
}

/* A version that changes nothing would only keep runs from being continued. */
static void the_version_was_raised_for_a_reason(void **state)
{
    (void)state;
    int n_moved = recorded_lines_of(NS_NUMERICS_VERSION);
    for (int i = 0; i < n_all && n_moved == 0; i++) {
        char hex[65];
        if (all[i].version != NS_NUMERICS_VERSION - 1) continue;
        train_again(hex, &all[i]);
        n_moved += strcmp(hex, all[i].model) != 0;
    }
    if (n_moved == 0)
        fail_msg("NS_NUMERICS_VERSION is %d, but every job of v%d trains to the model it has, and recorded.txt has no line of version %d: "
                 "set it back, or add what shows the change" HOW,
                 NS_NUMERICS_VERSION, NS_NUMERICS_VERSION - 1, NS_NUMERICS_VERSION);
}

/* --- what is newer than the program --- */

/* Makes the manifest of the folder "newer" name the model that stands there. */
static void vouch(void)
{
    char hex[65];
    struct stat info;
    drive_hash(hex, "newer/model.safetensors");
    assert_int_equal(stat("newer/model.safetensors", &info), 0);
    json_t *manifest = json_load_file("newer/manifest.json", 0, NULL), *file;
    size_t i;
    json_array_foreach(json_object_get(manifest, "files"), i, file)
    {
        if (strcmp(json_string_value(json_object_get(file, "name")), "model.safetensors") != 0) continue;
        json_object_set_new(file, "bytes", json_integer((json_int_t)info.st_size));
        json_object_set_new(file, "sha256", json_string(hex));
    }
    assert_int_equal(json_dump_file(manifest, "newer/manifest.json", JSON_INDENT(1)), 0);
    json_decref(manifest);
}

/* The first `from` in the model's file becomes `to`, of the same length. */
static void edit_model(const char *bundle, const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    drive_result copied = drive_shell(60, "rm -rf newer && cp -r '%s' newer && sed -i 's/%s/%s/' newer/model.safetensors", bundle, from, to);
    assert_int_equal(copied.code, 0);
    drive_free(&copied);
    vouch();
}

static void check_refused(const golden *g, int n_ranks, const char *text)
{
    char words[2][1600];
    snprintf(words[0], sizeof words[0], "verify newer --gold '%s' --expect '%s.h5'", g->night, g->at);
    snprintf(words[1], sizeof words[1],
             "score '%s.yaml' --as-of 2026-11-20 --set score.bundle=newer --set run.out=run --set score.out=scores.h5", g->at);
    for (int i = 0; i < 2; i++) {
        int n_lines;
        drive_result result = drive_ranks(n_ranks, "%s", words[i]);
        if (result.code != 2 || strstr(drive_error_line(&result, &n_lines), text) == NULL || n_lines != 1)
            fail_msg("%s: exit %d, not 2 with '%s'\n%s", words[i], result.code, text, result.err);
        drive_free(&result);
        assert_int_not_equal(access("scores.h5", F_OK), 0);
    }
}

static void newer_bundles_are_refused(void **state)
{
    (void)state;
    char from[64], to[64], text[128];
    const golden *last = &all[n_all - 1];
    snprintf(from, sizeof from, "\"numerics_version\":\"%d\"", NS_NUMERICS_VERSION);
    snprintf(to, sizeof to, "\"numerics_version\":\"%d\"", NS_NUMERICS_VERSION + 1);
    snprintf(text, sizeof text, "is of numerics version %d; this program knows up to %d: use a newer nightshift", NS_NUMERICS_VERSION + 1,
             NS_NUMERICS_VERSION);
    edit_model(last->at, from, to);
    check_refused(last, 0, text);
    check_refused(last, 3, text);
    edit_model(last->at, "\"format_version\":\"1\"", "\"format_version\":\"2\"");
    check_refused(last, 0, "format version 2; this program reads up to 1: use a newer nightshift");
    edit_model(last->at, from, from); /* as it is: only what was edited was refused */
    drive_must(0, "verify newer --gold '%s' --expect '%s.h5' --quiet", last->night, last->at);
    drive_edit("newer/manifest.json", "\"format\": 1", "\"format\": 2");
    check_refused(last, 0, "is of format 2; this program reads up to 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_whole),
        cmocka_unit_test(every_bundle_verifies),
        cmocka_unit_test(every_bundle_scores_the_same),
        cmocka_unit_test(other_scores_are_told),
        cmocka_unit_test(models_of_this_version_are_the_recorded_ones),
        cmocka_unit_test(the_version_was_raised_for_a_reason),
        cmocka_unit_test(newer_bundles_are_refused),
    };
    return cmocka_run_group_tests(tests, read_all, leave);
}
