/*
 * What is wrong with a command line, an environment, a job, a cohort, a CSV or a bundle is said in one line
 * that names the place, with the exit code that design.md gives it, by one rank as by three; nothing that was
 * published changes, nothing is published in its place, and nothing hangs. Cohorts are of three files, a, b
 * and c, as long as one another: of three ranks the last one alone reads c, and c is the one that is spoiled.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/cohorts.h"
#include "tests/e2e/drive.h"

enum {
    ROWS = 2048, /* of each file in good/ and bad/: two blocks, so that each of three ranks reads one file */
    LAST = 1,    /* of three ranks the last one finds it */
    ALONE = 2,   /* the bare program only: another rank makes no difference */
    HELD = 4     /* the summary is told too */
};

typedef struct bad_case {
    const char *name;
    void (*prepare)(void); /* may be NULL */
    const char *job;       /* text of case.yaml, or NULL */
    const char *environment;
    const char *words;
    int code;
    const char *says;
    unsigned flags;
} bad_case;

/* Lines 1 to 8 of a job; what is added begins on line 9. */
#define HEAD                                                                                                 \
    "name: case\n"                                                                                           \
    "data:\n"                                                                                                \
    "  cohort: [good/*.h5]\n"                                                                                \
    "  id: encounter_id\n"                                                                                   \
    "  group: patient_id\n"                                                                                  \
    "  label: {column: readmitted, positive: [yes]}\n"                                                       \
    "  features: {include: [age, lab, sex, ward]}\n"                                                         \
    "run: {out: out/run, threads: 1}\n"
#define TAIL                                                                                                 \
    "model: {rounds: 4, max_leaves: 7}\n"                                                                    \
    "evaluate: {subgroups: [sex]}\n"                                                                         \
    "score: {bundle: pub/run/bundle, cohort: [good/*.h5], out: out/scores.h5, keep: [patient_id]}\n"

#define BAD   " --set 'data.cohort=[bad/*.h5]'"
#define NIGHT " --set 'score.cohort=[bad/*.h5]'"
#define C     "bad/c.h5"

/* --- what the cases are made of --- */

static void fresh_bad(void)
{
    file_copy("good/c.h5", C);
}

/* clang-format off */
static void c_absent(void) { unlink(C); }
static void c_folder(void)
{
    unlink(C);
    mkdir(C, 0700);
}
static void c_empty(void) { file_cut(C, 0); }
static void c_text(void) { drive_write(C, "encounter_id,age\n1,2\n"); }
static void c_half(void) { file_cut(C, file_size(C) / 2); }
static void c_tail(void) { file_cut(C, file_size(C) - 64); }
static void c_superblock(void) { file_flip(C, 20); }
static void c_signature(void) { file_flip(C, 0); }
static void c_not_marked(void) { cohort_drop_root(C, "nightshift_cohort"); }
static void c_newer(void) { cohort_set_root(C, "nightshift_cohort", 9); }
static void c_no_n_rows(void) { cohort_drop_root(C, "n_rows"); }
static void c_negative_n_rows(void) { cohort_set_root(C, "n_rows", -1); }
static void c_other_n_rows(void) { cohort_set_root(C, "n_rows", ROWS + 1); }
static void c_no_columns(void) { cohort_drop(C, "/columns"); }
static void c_no_lab(void) { cohort_drop(C, "/columns/lab"); }
static void c_extra(void) { cohort_replace_float(C, "lactate", "number", ROWS, 1); }
static void c_ragged(void) { cohort_replace_float(C, "lab", "number", ROWS - 1, 1); }
static void c_wide(void) { cohort_replace_wide(C, "lab", ROWS, 3); }
static void c_text_number(void) { cohort_replace_text(C, "lab", "number", ROWS, "12.5"); }
static void c_number_category(void) { cohort_replace_float(C, "sex", "number", ROWS, 1); }
static void c_unknown_kind(void) { cohort_set_kind(C, "lab", "laboratory"); }
static void c_wide_id(void) { cohort_replace_uint(C, "encounter_id", "id", ROWS, UINT64_MAX - 5); }
static void c_text_id(void) { cohort_replace_text(C, "encounter_id", "id", ROWS, "E1"); }
static void c_text_time(void) { cohort_replace_text(C, "admitted_at", "time", ROWS, "2026-11-20"); }
static void c_code(void) { cohort_poke_int(C, "sex", 1000, 7); }
static void c_level_twice(void) { cohort_set_levels(C, "sex", "F", "F"); }
static void c_inexact(void) { cohort_replace_int(C, "lab", "number", ROWS, 16777217); }
static void c_filter(void) { cohort_replace_filtered(C, "lab", ROWS, 32000); }
static void c_infinite(void) { cohort_poke_float(C, "lab", 1234, INFINITY); }
static void c_weight_negative(void) { cohort_poke_float(C, "weight", 1234, -1); }
static void c_weight_missing(void) { cohort_poke_float(C, "weight", 1234, NAN); }
static void c_weight_infinite(void) { cohort_poke_float(C, "weight", 1234, INFINITY); }
static void c_outcome(void) { cohort_poke_float(C, "outcome", 1234, 2); }
static void c_duplicate(void) { cohort_poke_int(C, "encounter_id", 1234, 700001); }
static void c_torn_patient(void) { cohort_poke_int(C, "part", 0, 0), cohort_poke_int(C, "part", 1, 1); }

static void c_flipped(void)
{
    int64_t offset, n_bytes;
    cohort_replace_checked(C, "lab", ROWS);
    cohort_chunk(C, "lab", &offset, &n_bytes);
    file_flip(C, offset + n_bytes / 2);
}

static void c_flipped_weight(void)
{
    cohort_replace_checked(C, "weight", ROWS);
    int64_t offset, n_bytes;
    cohort_chunk(C, "weight", &offset, &n_bytes);
    file_flip(C, offset + 17);
}

/* In all three files, so that no rank sees what another one could. */
static void all_files(void (*spoil)(const char *path))
{
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        char good[32], path[32];
        snprintf(good, sizeof good, "good/%s.h5", names[i]);
        snprintf(path, sizeof path, "bad/%s.h5", names[i]);
        unlink(path);
        file_copy(good, path);
        spoil(path);
    }
}

static void fill_outcome_0(const char *path) { cohort_fill(path, "outcome", 0); }
static void fill_outcome_1(const char *path) { cohort_fill(path, "outcome", 1); }
static void fill_outcome_nan(const char *path) { cohort_fill(path, "outcome", NAN); }
static void fill_weight_0(const char *path) { cohort_fill(path, "weight", 0); }
static void no_ward(const char *path) { cohort_drop(path, "/columns/ward"); }
static void ward_number(const char *path) { cohort_replace_float(path, "ward", "number", ROWS, 3); }
static void age_category(const char *path) { cohort_replace_text(path, "age", "category", ROWS, "old"); }
static void no_events(void) { all_files(fill_outcome_0); }
static void only_events(void) { all_files(fill_outcome_1); }
static void no_labels(void) { all_files(fill_outcome_nan); }
static void no_weight(void) { all_files(fill_weight_0); }
static void all_no_ward(void) { all_files(no_ward); }
static void all_ward_number(void) { all_files(ward_number); }
static void all_age_category(void) { all_files(age_category); }
static void site(void) { drive_write("site.yaml", "log: {format: text}\nmodel: {rounds: 3}\n"); }
static void site_syntax(void) { drive_write("site.yaml", "run:\n  threads: [1\n"); }
static void site_folder(void) { mkdir("site.d", 0700); }
static void run_is_file(void) { drive_write("out/run", "not a folder\n"); }

static void copy_bundle(void)
{
    drive_result result = drive_shell(30, "cp -r pub/run/bundle out/bundle");
    assert_int_equal(result.code, 0);
    drive_free(&result);
}

static void bundle_altered(void)
{
    copy_bundle();
    file_flip("out/bundle/model.safetensors", file_size("out/bundle/model.safetensors") - 5);
}
static void bundle_cut(void)
{
    copy_bundle();
    file_cut("out/bundle/profile.json", 20);
}
static void bundle_lacks(void)
{
    copy_bundle();
    unlink("out/bundle/metrics.json");
}
static void bundle_stranger(void)
{
    copy_bundle();
    drive_write("out/bundle/notes.txt", "hello\n");
}
static void bundle_manifest(void)
{
    copy_bundle();
    drive_write("out/bundle/manifest.json", "{\n");
}

static void bundle_newer(void)
{
    copy_bundle();
    drive_edit("out/bundle/manifest.json", "\"format\": 1", "\"format\": 2");
}

static void out_published(void)
{
    file_copy("pub/scores.h5", "out/scores.h5");
    file_copy("pub/scores.h5.manifest.json", "out/scores.h5.manifest.json");
}

static void out_altered(void)
{
    out_published();
    file_flip("out/scores.h5", file_size("out/scores.h5") - 9);
}
static void out_foreign(void) { file_copy("good/a.h5", "out/scores.h5"); }
static void out_folder(void) { mkdir("out/scores.h5", 0700); }

static void checkpoint_only(void)
{
    drive_result result = drive_shell(
        60, "NIGHTSHIFT_TEST_FAULT='rename:bundle:before:fail' '%s' train job.yaml --quiet", drive_program());
    assert_int_equal(result.code, 1);
    drive_free(&result);
}

static void csv_ragged(void) { drive_write("out/in.csv", "id,age\n1,2\n2,3,4\n3,4\n"); }
static void csv_nul(void) { drive_write("out/in.csv", "id,age\n1,2\n2,%c\n3,4\n", 0); }
static void csv_utf8(void) { drive_write("out/in.csv", "id,ward\n1,A\n2,\xff\xfe\xff\n3,B\n"); }
static void csv_twice(void) { drive_write("out/in.csv", "id,age,id\n1,2,3\n"); }
static void csv_unnamed(void) { drive_write("out/in.csv", "id,,age\n1,2,3\n"); }
static void csv_quote(void) { drive_write("out/in.csv", "id,ward\n1,A\n2,\"B\n3,C\n"); }
static void csv_empty(void) { drive_write("out/in.csv", "%s", ""); }
static void csv_hdf5(void) { file_copy("good/a.h5", "out/in.csv"); }
static void csv_good(void) { drive_write("out/in.csv", "id,age,at\n1,20,2026-01-01\n2,31,2026-01-02\n3,x,2026-02-30\n"); }
static void schema(const char *text)
{
    csv_good();
    drive_write("out/s.yaml", "%s", text);
}
static void schema_syntax(void) { schema("columns:\n  age: {kind: number\n"); }
static void schema_kind(void) { schema("columns:\n  age: {kind: float}\n"); }
static void schema_key(void) { schema("columns:\n  age: {kin: number}\n"); }
static void schema_column(void) { schema("missing: [\"\"]\ncolumns:\n  id: {kind: id}\n  weight: {kind: number}\n"); }
static void schema_value(void) { schema("columns:\n  age: {kind: number}\n"); }
static void schema_time(void) { schema("columns:\n  at: {kind: time}\n"); }
static void schema_format(void) { schema("columns:\n  at: {kind: time, format: \"%Q\"}\n"); }
static void schema_skip(void) { schema("columns:\n  id: {kind: skip}\n  age: {kind: skip}\n  at: {kind: skip}\n"); }

static const bad_case cases[] = {
    /* command line */
    {"unknown verb", NULL, NULL, "", "tain job.yaml", 2, "unknown verb 'tain'; the nearest is 'train'", 0},
    {"no verb", NULL, NULL, "", "", 2, "nightshift --help", ALONE},
    {"no job", NULL, NULL, "", "train", 2, "JOB", 0},
    {"two jobs", NULL, NULL, "", "train job.yaml job.yaml", 2, "JOB", 0},
    {"unknown option", NULL, NULL, "", "train job.yaml --restrat", 2, "unknown option '--restrat'; the nearest is '--restart'", 0},
    {"option of another verb", NULL, NULL, "", "train job.yaml --as-of 2026-11-20", 2, "unknown option '--as-of'", 0},
    {"option without its value", NULL, NULL, "", "score job.yaml --as-of", 2, "--as-of needs DATE", 0},
    {"flag with a value", NULL, NULL, "", "train job.yaml --restart=yes", 2, "--restart takes no value", 0},
    {"set without a value", NULL, NULL, "", "train job.yaml --set", 2, "--set needs section.key=value", 0},
    {"set without an equals sign", NULL, NULL, "", "train job.yaml --set model.rounds", 2, "write --set section.key=value", 0},
    {"set out of range", NULL, NULL, "", "train job.yaml --set model.rounds=0", 2, "--set: model.rounds: 0 is not from 1 to 100000", 0},
    {"set of an unknown key", NULL, NULL, "", "train job.yaml --set model.round=3", 2, "--set: model.round: unknown key; the nearest is model.rounds", 0},
    {"no such job file", NULL, NULL, "", "train nowhere.yaml", 2, "nowhere.yaml: the job file cannot be read: No such file", 0},
    {"a folder for a job file", NULL, NULL, "", "train good", 2, "good: is a folder, not a job file", 0},
    {"a cohort for a job file", NULL, NULL, "", "train good/a.h5", 2, "good/a.h5: ", 0},
    {"run without ranks", NULL, NULL, "", "run train job.yaml", 2, "run -n 2 train job.yaml", ALONE},
    {"run with no rank", NULL, NULL, "", "run -n 0 train job.yaml", 2, "-n", ALONE},
    {"run of an unknown verb", NULL, NULL, "", "run -n 2 tain job.yaml", 2, "unknown verb 'tain'", ALONE},
    {"synth without rows", NULL, NULL, "", "synth out/s.h5", 2, "--rows N", 0},
    {"synth with a bad number", NULL, NULL, "", "synth out/s.h5 --rows many", 2, "--rows", 0},
    {"synth into no folder", NULL, NULL, "", "synth nowhere/s.h5 --rows 10", 2, "synth: 'nowhere/s.h5': there is no folder 'nowhere'", 0},
    {"inspect of nothing", NULL, NULL, "", "inspect nowhere.h5", 3, "nowhere.h5': No such file", 0},
    {"gold without expect", NULL, NULL, "", "verify pub/run/bundle --gold good/a.h5", 2, "--expect", 0},
    {"expected scores absent", NULL, NULL, "", "verify pub/run/bundle --gold good/a.h5 --expect nowhere.h5", 2, "--expect: 'nowhere.h5' is not there", 0},

    /* environment and site file */
    {"unknown level", NULL, NULL, "NIGHTSHIFT_CPU=avx9", "train job.yaml", 2, "NIGHTSHIFT_CPU", 0},
    {"bad date in the environment", NULL, NULL, "NIGHTSHIFT_AS_OF=tomorrow", "score job.yaml", 2, "NIGHTSHIFT_AS_OF: 'tomorrow' is not a date", 0},
    {"site file absent", NULL, NULL, "NIGHTSHIFT_SITE=nowhere.yaml", "train job.yaml", 2, "NIGHTSHIFT_SITE: 'nowhere.yaml' is not there", 0},
    {"site file is a folder", site_folder, NULL, "NIGHTSHIFT_SITE=site.d", "train job.yaml", 2, "the site file 'site.d' (NIGHTSHIFT_SITE) cannot be read", 0},
    {"site file with a job's key", site, NULL, "NIGHTSHIFT_SITE=site.yaml", "train job.yaml", 2, "site.yaml:2: model.rounds: cannot stand in a site file", 0},
    {"site file is no YAML", site_syntax, NULL, "NIGHTSHIFT_SITE=site.yaml", "train job.yaml", 2, "site.yaml:3: not YAML", 0},
    {"test hook", NULL, NULL, "NIGHTSHIFT_TEST_FAULT=nonsense", "train job.yaml", 2, "NIGHTSHIFT_TEST_FAULT", 0},

    /* job file */
    {"YAML syntax", NULL, HEAD "model: {rounds: 3\nscore: {}\n", "", "train case.yaml", 2, "case.yaml:10: not YAML", 0},
    {"tab", NULL, HEAD "model:\n\trounds: 3\n", "", "train case.yaml", 2, "case.yaml:10: not YAML", 0},
    {"unknown key", NULL, HEAD "model:\n  round: 3\n", "", "train case.yaml", 2, "case.yaml:10: model.round: unknown key; the nearest is model.rounds", 0},
    {"unknown section", NULL, HEAD "modle: {rounds: 3}\n", "", "train case.yaml", 2, "case.yaml:9: modle.rounds: unknown key; the nearest is model.rounds", 0},
    {"duplicate key", NULL, HEAD "model:\n  rounds: 3\n  rounds: 4\n", "", "train case.yaml", 2, "case.yaml:11: duplicate key 'rounds': it stands on line 10", 0},
    {"duplicate section", NULL, HEAD "run: {threads: 2}\n", "", "train case.yaml", 2, "case.yaml:9: duplicate key 'run': it stands on line 8", 0},
    {"out of range", NULL, HEAD "model: {rounds: 0}\n", "", "train case.yaml", 2, "case.yaml:9: model.rounds: 0 is not from 1 to 100000", 0},
    {"not a number", NULL, HEAD "model: {rounds: many}\n", "", "train case.yaml", 2, "case.yaml:9: model.rounds: ", 0},
    {"not one of the choices", NULL, HEAD "model: {type: forest}\n", "", "train case.yaml", 2, "case.yaml:9: model.type: 'forest' is not gbdt", 0},
    {"a section for a value", NULL, HEAD "model: {rounds: {a: 1}}\n", "", "train case.yaml", 2, "case.yaml:9: model.rounds: is a value, not a section", 0},
    {"a value for a section", NULL, HEAD "model: 3\n", "", "train case.yaml", 2, "case.yaml:9: model: is a section", 0},
    {"anchor", NULL, HEAD "train: &a {seed: 1}\n", "", "train case.yaml", 2, "case.yaml:9: anchors and aliases", 0},
    {"second document", NULL, HEAD "---\nname: other\n", "", "train case.yaml", 2, "case.yaml:9: a second document begins", 0},
    {"not UTF-8", NULL, HEAD "score: {out: \"\xff\"}\n", "", "train case.yaml", 2, "case.yaml:9: not UTF-8", 0},
    {"unset variable in a path", NULL, HEAD "score: {out: \"${NOWHERE_SET}/s.h5\"}\n", "", "train case.yaml", 2, "case.yaml:9: score.out: ", 0},
    {"a name with a slash", NULL, NULL, "", "train job.yaml --set name=a/b", 2, "--set: name: ", 0},
    {"an evaluation with dots", NULL, NULL, "", "evaluate job.yaml --set evaluate.name=../x", 2, "--set: evaluate.name: ", 0},
    {"shares do not sum to 1", NULL, NULL, "", "train job.yaml --set data.split.train=0.5 --set data.split.test=0.6", 2, "data.split.", 0},
    {"where syntax", NULL, HEAD "score: {where: \"age >= and\"}\n", "", "train case.yaml", 2, "case.yaml:9: score.where: character 8", 0},
    {"no cohort", NULL, "name: case\ndata: {label: {column: x}}\n", "", "train case.yaml", 2, "data.cohort: is not set", 0},
    {"no label", NULL, "name: case\ndata: {cohort: [good/*.h5]}\n", "", "train case.yaml", 2, "data.label.column: is not set", 0},
    {"no name", NULL, "data: {cohort: [good/*.h5], label: {column: x}}\n", "", "train case.yaml", 2, "name: is not set", 0},
    {"empty job", NULL, "", "", "train case.yaml", 2, "is not set", 0},
    {"no such device", NULL, NULL, "", "train job.yaml --set run.device=cuda", 2, "device cuda", 0},
    {"too little memory, said by check", NULL, NULL, "", "check job.yaml --set run.memory=1MiB", 2, "--set: run.memory: each rank would need", HELD},
    {"too little memory, said by train", NULL, NULL, "", "train job.yaml --set run.memory=1MiB", 2, "--set: run.memory: each rank would need", 0},
    {"early stopping without rows to watch", NULL, NULL, "", "train job.yaml --set train.stop_after=5 --set data.split.train=1", 2, "train.stop_after: needs validation rows", 0},
    {"several problems, said by check", NULL, HEAD "model: {rounds: 0, l2: -1}\n", "", "check case.yaml", 2, "2 problems, the first: case.yaml:9: model.rounds: 0", HELD},
    {"subgroups of a number", NULL, NULL, "", "train job.yaml --set 'evaluate.subgroups=[age]'", 3, "--set: evaluate.subgroups: column 'age' is of kind number, not category", 0},

    /* job against cohort */
    {"pattern matches nothing", NULL, NULL, "", "train job.yaml --set 'data.cohort=[nowhere/*.h5]'", 3, "nowhere/*.h5' matches no file", 0},
    {"label column absent", NULL, NULL, "", "train job.yaml --set data.label.column=death", 3, "--set: data.label.column: the cohort has no column 'death'", 0},
    {"id column absent", NULL, NULL, "", "train job.yaml --set data.id=visit", 3, "--set: data.id: the cohort has no column 'visit'", 0},
    {"feature absent", NULL, NULL, "", "train job.yaml --set 'data.features.include=[age, aged]'", 3, "--set: data.features.include: the cohort has no column 'aged'", 0},
    {"no feature", NULL, NULL, "", "train job.yaml --set 'data.features.include=[zz*]'", 3, "no column of the cohort is a feature", 0},
    {"an id for a feature", NULL, NULL, "", "train job.yaml --set 'data.features.include=[encounter_id]'", 3, "column 'encounter_id' is of kind id", 0},
    {"label of kind time", NULL, NULL, "", "train job.yaml --set data.label.column=admitted_at", 3, "column 'admitted_at' is of kind time", 0},
    {"weight of kind category", NULL, NULL, "", "train job.yaml --set data.weight=sex", 3, "--set: data.weight: column 'sex' is of kind category, not number", 0},
    {"time of kind number", NULL, NULL, "", "train job.yaml --set data.time=age", 3, "--set: data.time: column 'age' is of kind number, not time", 0},
    {"positive names no level", NULL, NULL, "", "train job.yaml --set 'data.label.positive=[maybe]'", 3, "--set: data.label.positive: column 'readmitted' has no level 'maybe'", 0},
    {"positive names no level, said by check", NULL, NULL, "", "check job.yaml --set 'data.label.positive=[maybe]'", 3, "--set: data.label.positive: column 'readmitted' has no level 'maybe'", HELD},
    {"positive unset, said by check", NULL, "name: case\ndata: {cohort: [good/*.h5], label: {column: readmitted}}\n", "", "check case.yaml --set run.out=out/run", 2, "data.label.positive: column 'readmitted' is a category", HELD},
    {"positive names no number", NULL, NULL, "", "train job.yaml --set data.label.column=outcome", 3, "'yes' is no number", 0},
    {"positive unset for a category", NULL, "name: case\ndata: {cohort: [good/*.h5], label: {column: readmitted}}\n", "", "train case.yaml --set run.out=out/run", 2, "data.label.positive: column 'readmitted' is a category", 0},
    {"where names no column", NULL, NULL, "", "train job.yaml --set 'data.where=height > 3'", 3, "data.where: the cohort has no column 'height'", 0},
    {"where of the wrong kind", NULL, NULL, "", "train job.yaml --set \"data.where=age > '3'\"", 3, "data.where: character 7: column 'age' is a number", 0},
    {"where orders a category", NULL, NULL, "", "train job.yaml --set 'data.where=sex > 3'", 3, "data.where: character 1: column 'sex' is a category: it has no order", 0},
    {"where leaves nobody", NULL, NULL, "", "train job.yaml --set 'data.where=age > 1000'", 3, "job.yaml:3: data.cohort: no row of the cohort is left: 6144 rows, 6144 outside data.where", 0},
    {"where leaves one class", NULL, NULL, "", "train job.yaml --set \"data.where=readmitted == 'no'\"", 3, "data.label.column: of the 3434 training rows none has the outcome", 0},
    {"no training rows", NULL, NULL, "", "train job.yaml --set data.split.test=1", 3, "--set: data.split.test: no row is left for training", 0},

    /* cohort files */
    {"file absent", c_absent, NULL, "", "train job.yaml --set 'data.cohort=[bad/a.h5, " C "]'", 3, C "': no such file", 0},
    {"file is a folder", c_folder, NULL, "", "train job.yaml --set data.cohort=" C, 3, C "' is a folder", 0},
    {"file empty", c_empty, NULL, "", "train job.yaml" BAD, 3, C ": is empty, not an HDF5 file", 0},
    {"file not HDF5", c_text, NULL, "", "train job.yaml" BAD, 3, C ": is not an HDF5 file", 0},
    {"signature flipped", c_signature, NULL, "", "train job.yaml" BAD, 3, C ": is not an HDF5 file", 0},
    {"superblock flipped", c_superblock, NULL, "", "train job.yaml" BAD, 3, C ": is a truncated or damaged HDF5 file", 0},
    {"file cut in half", c_half, NULL, "", "train job.yaml" BAD, 3, C ": is a truncated or damaged HDF5 file", 0},
    {"file lacks its end", c_tail, NULL, "", "train job.yaml" BAD, 3, C ": is a truncated or damaged HDF5 file", 0},
    {"values flipped", c_flipped, NULL, "", "train job.yaml" BAD, 3, C ": cannot read column 'lab'", LAST},
    {"weights flipped", c_flipped_weight, NULL, "", "train job.yaml" BAD " --set data.weight=weight", 3, C ": cannot read column 'weight'", LAST},
    {"no cohort's mark", c_not_marked, NULL, "", "train job.yaml" BAD, 3, C ": is not a cohort", 0},
    {"newer cohort", c_newer, NULL, "", "train job.yaml" BAD, 3, C ": is a cohort of a newer format", 0},
    {"no n_rows", c_no_n_rows, NULL, "", "train job.yaml" BAD, 3, C ": has no root attribute n_rows", 0},
    {"negative n_rows", c_negative_n_rows, NULL, "", "train job.yaml" BAD, 3, C ": n_rows = -1", 0},
    {"wrong n_rows", c_other_n_rows, NULL, "", "train job.yaml" BAD, 3, C ": column 'admitted_at' has 2048 rows, attribute n_rows says 2049", 0},
    {"no columns", c_no_columns, NULL, "", "train job.yaml" BAD, 3, C ": has no group /columns", 0},
    {"column absent from one file", c_no_lab, NULL, "", "train job.yaml" BAD, 3, C ": has no column 'lab', which", 0},
    {"column in one file only", c_extra, NULL, "", "train job.yaml" BAD, 3, "bad/a.h5: has no column 'lactate', which", 0},
    {"ragged column", c_ragged, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab' has 2047 rows, attribute n_rows says 2048", 0},
    {"column of two dimensions", c_wide, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab' has 2 dimensions", 0},
    {"a number of texts", c_text_number, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab' is of kind number but holds strings", 0},
    {"another kind in one file", c_number_category, NULL, "", "train job.yaml" BAD, 3, C ": column 'sex' is of kind number, in", 0},
    {"unknown kind", c_unknown_kind, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab': attribute kind must be", 0},
    {"id too large", c_wide_id, NULL, "", "train job.yaml" BAD, 3, C ": column 'encounter_id', row 0 (counting from 0): an id above", LAST},
    {"ids of texts in one file", c_text_id, NULL, "", "train job.yaml" BAD, 3, C ": column 'encounter_id' holds strings, in", 0},
    {"times of texts", c_text_time, NULL, "", "train job.yaml" BAD, 3, C ": column 'admitted_at' is of kind time but holds strings", 0},
    {"code without a level", c_code, NULL, "", "train job.yaml" BAD, 3, C ": column 'sex', row 1000 (counting from 0): a code without a level", LAST},
    {"level twice", c_level_twice, NULL, "", "train job.yaml" BAD, 3, C ": column 'sex' has a level twice", 0},
    {"whole numbers that float32 changes", c_inexact, NULL, "", "train job.yaml --set data.cohort=" C, 3, "column 'lab'", 0},
    {"unknown filter", c_filter, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab' is compressed with a filter that this HDF5 lacks: lzf", LAST},
    {"infinite feature", c_infinite, NULL, "", "train job.yaml" BAD, 3, C ": column 'lab', row 1234 (counting from 0): the value is infinite", LAST},
    {"negative weight", c_weight_negative, NULL, "", "train job.yaml" BAD " --set data.weight=weight", 3, C ": column 'weight', row 1234 (counting from 0): a weight is a finite number from 0 on; this one is negative", LAST},
    {"missing weight", c_weight_missing, NULL, "", "train job.yaml" BAD " --set data.weight=weight", 3, C ": column 'weight', row 1234 (counting from 0): a weight is a finite number from 0 on; this one is missing", LAST},
    {"infinite weight", c_weight_infinite, NULL, "", "train job.yaml" BAD " --set data.weight=weight", 3, C ": column 'weight', row 1234 (counting from 0): a weight is a finite number from 0 on; this one is infinite", LAST},
    {"weights all zero", no_weight, NULL, "", "train job.yaml" BAD " --set data.weight=weight", 3, "--set: data.weight: by column 'weight' every training row of the cohort weighs 0", 0},
    {"label neither 0 nor 1", c_outcome, "name: case\ndata: {cohort: [bad/*.h5], label: {column: outcome}}\n", "", "train case.yaml --set run.out=out/run", 3, C ": column 'outcome', row 1234 (counting from 0): a label", LAST},
    {"label without an event", no_events, "name: case\ndata: {cohort: [bad/*.h5], label: {column: outcome}}\n", "", "train case.yaml --set run.out=out/run", 3, "case.yaml:2: data.label.column: of the 4402 training rows none has the outcome by column 'outcome'", 0},
    {"label of events alone", only_events, "name: case\ndata: {cohort: [bad/*.h5], label: {column: outcome}}\n", "", "train case.yaml --set run.out=out/run", 3, "case.yaml:2: data.label.column: of the 4402 training rows every one has the outcome by column 'outcome'", 0},
    {"label missing everywhere", no_labels, "name: case\ndata: {cohort: [bad/*.h5], label: {column: outcome}}\n", "", "train case.yaml --set run.out=out/run", 3, "6144 without a label", 0},
    {"duplicate id", c_duplicate, NULL, "", "train job.yaml" BAD, 3, "bad/a.h5: column 'encounter_id', row 0 (counting from 0): its id stands on another row too; 2 rows share theirs", 0},
    {"a patient in two parts", c_torn_patient, NULL, "", "train job.yaml" BAD " --set data.split.by=column --set data.split.column=part", 3, "--set: data.split.column: column 'part' puts the rows of 1 patient in more than one part", 0},

    /* evaluation and bundles */
    {"no bundle to evaluate", NULL, NULL, "", "evaluate job.yaml", 2, "there is no bundle at", 0},
    {"evaluation of another job", NULL, NULL, "", "evaluate job.yaml --set run.out=pub/run --set train.seed=9", 2, "another train.seed", 0},
    {"evaluation of other data", c_infinite, NULL, "", "evaluate job.yaml --set run.out=pub/run" BAD " --set data.infinite=error", 3, C ": row 1234 (counting from 0): a feature is infinite", LAST},
    {"verify of nothing", NULL, NULL, "", "verify nowhere", 2, "there is no bundle at 'nowhere'", 0},
    {"verify of a file", NULL, NULL, "", "verify good/a.h5", 2, "there is no bundle at 'good/a.h5'", 0},
    {"verify of a run folder", NULL, NULL, "", "verify pub/run", 2, "there is no bundle at 'pub/run'", 0},
    {"model altered", bundle_altered, NULL, "", "verify out/bundle", 5, "out/bundle/model.safetensors' was altered", 0},
    {"profile cut", bundle_cut, NULL, "", "verify out/bundle", 5, "out/bundle/profile.json' has 20 bytes, its manifest says", 0},
    {"metrics removed", bundle_lacks, NULL, "", "verify out/bundle", 5, "out/bundle/metrics.json' is missing", 0},
    {"a stranger in the bundle", bundle_stranger, NULL, "", "verify out/bundle", 5, "out/bundle' holds 'notes.txt'", 0},
    {"manifest broken", bundle_manifest, NULL, "", "verify out/bundle", 5, "out/bundle/manifest.json' is no manifest", 0},
    {"bundle of a newer format", bundle_newer, NULL, "", "verify out/bundle", 2, "out/bundle' is of format 2; this program reads up to 1", 0},
    {"gold scores of other rows", NULL, NULL, "", "verify pub/run/bundle --gold good/a.h5 --expect pub/scores.h5", 5, "2048 rows", 0},
    {"gold is no score file", NULL, NULL, "", "verify pub/run/bundle --gold good/a.h5 --expect good/a.h5", 5, "good/a.h5: is not a score file", 0},

    /* nights */
    {"no date", NULL, NULL, "", "score job.yaml --set 'score.out=out/{as_of}.h5'", 2, "--set: score.out: {as_of} needs the date of the night", 0},
    {"no date for the cohort", NULL, NULL, "", "score job.yaml --set 'score.cohort=[night/{as_of}/*.h5]'", 2, "--set: score.cohort: {as_of} needs the date", 0},
    {"no date at all", NULL, NULL, "", "score job.yaml --as-of tonight", 2, "--as-of: 'tonight' is not a date", 0},
    {"a date that no calendar has", NULL, NULL, "", "score job.yaml --as-of 2026-02-30", 2, "--as-of: '2026-02-30' is not a date", 0},
    {"a month that no calendar has", NULL, NULL, "", "score job.yaml --as-of 2026-13-01", 2, "--as-of: '2026-13-01' is not a date", 0},
    {"an hour that no day has", NULL, NULL, "", "score job.yaml --as-of 2026-11-20T24", 2, "--as-of: '2026-11-20T24' is not a date", 0},
    {"no bundle to score with", NULL, NULL, "", "score job.yaml --set score.bundle=nowhere", 2, "there is no bundle at", 0},
    {"a checkpoint for a bundle", checkpoint_only, NULL, "", "score job.yaml --set score.bundle=out/run/checkpoints/000004", 2, "is a checkpoint, not a bundle", 0},
    {"altered bundle at night", bundle_altered, NULL, "", "score job.yaml --set score.bundle=out/bundle", 5, "was altered", 0},
    {"newer bundle at night", bundle_newer, NULL, "", "score job.yaml --set score.bundle=out/bundle", 2, "is of format 2", 0},
    {"no score.out", NULL, HEAD "score: {cohort: [good/*.h5], bundle: pub/run/bundle}\n", "", "score case.yaml", 2, "score.out: is not set", 0},
    {"score.out is a folder", out_folder, NULL, "", "score job.yaml", 2, "out/scores.h5' is a folder", 0},
    {"score.out below a file", NULL, NULL, "", "score job.yaml --set score.out=good/a.h5/s.h5", 2, "good/a.h5' is not a folder", 0},
    {"score.out is another's file", out_foreign, NULL, "", "score job.yaml", 2, "out/scores.h5' is there and is not this night's", 0},
    {"published with another bundle", out_published, NULL, "", "score job.yaml --set score.bundle=pub/other/bundle", 2, "out/scores.h5' is published and the bundle differs; --replace", 0},
    {"published for another night", out_published, NULL, "", "score job.yaml --as-of 2026-11-21", 2, "out/scores.h5' is published and as_of differs", 0},
    {"published with other rows", out_published, NULL, "", "score job.yaml --set score.cohort=good/a.h5", 2, "out/scores.h5' is published and column 'age' of the cohort differs", 0},
    {"published with another where", out_published, NULL, "", "score job.yaml --set 'score.where=age > 30'", 2, "out/scores.h5' is published and score.where", 0},
    {"altered after publishing", out_altered, NULL, "", "score job.yaml", 2, "out/scores.h5' was altered after it was published", 0},
    {"too few files", NULL, NULL, "", "score job.yaml --set score.expect.files=4", 3, "--set: score.expect.files: 3 files are there, 4 are expected", 0},
    {"too few rows", NULL, NULL, "", "score job.yaml --set score.expect.min_rows=7000", 3, "--set: score.expect.min_rows: the cohort has 6144 rows, at least 7000", 0},
    {"not ready", NULL, NULL, "", "score job.yaml --set score.expect.ready=night/_DONE", 3, "night/_DONE' is not there yet", 0},
    {"no files at night", NULL, NULL, "", "score job.yaml --set 'score.cohort=[night/*.h5]'", 3, "night/*.h5' matches no file", 0},
    {"feature absent at night", all_no_ward, NULL, "", "score job.yaml" NIGHT, 3, "bad/a.h5: has no column 'ward', which the model needs", 0},
    {"a number where the model has a category", all_ward_number, NULL, "", "score job.yaml" NIGHT, 3, "bad/a.h5: column 'ward' is of kind number; the model was trained on a category", 0},
    {"a category where the model has a number", all_age_category, NULL, "", "score job.yaml" NIGHT, 3, "bad/a.h5: column 'age' is of kind category; the model was trained on a number", 0},
    {"keep names no column", NULL, NULL, "", "score job.yaml --set 'score.keep=[unit]'", 3, "--set: score.keep: the cohort has no column 'unit'", 0},
    {"where at night names no column", NULL, NULL, "", "score job.yaml --set 'score.where=unit is missing'", 3, "score.where: the cohort has no column 'unit'", 0},
    {"id absent at night", NULL, NULL, "", "score job.yaml --set data.id=visit", 3, "--set: data.id: the cohort has no column 'visit'", 0},
    {"too many rejects", c_duplicate, NULL, "", "score job.yaml" NIGHT " --set score.max_rejected=0", 4, "2 of 6144 rows are rejected, more than score.max_rejected 0 allows", HELD},

    /* run folders */
    {"run folder is a file", run_is_file, NULL, "", "train job.yaml", 2, "out/run' is not a folder", 0},
    {"run folder below a file", NULL, NULL, "", "train job.yaml --set run.out=good/a.h5/run", 2, "good/a.h5' is not a folder", 0},
    {"evaluation below a file", NULL, NULL, "", "evaluate job.yaml --set run.out=good/a.h5/run", 2, "there is no bundle at", 0},
    {"restart with a bad cohort", NULL, NULL, "", "train job.yaml --restart --set run.out=pub/run --set 'data.label.positive=[maybe]'", 3, "has no level 'maybe'", 0},
    {"more rounds without --extend", NULL, NULL, "", "train job.yaml --set run.out=pub/run --set model.rounds=9", 2, "another model.rounds", 0},
    {"fewer rounds with --extend", NULL, NULL, "", "train job.yaml --set run.out=pub/run --set model.rounds=2 --extend", 2, "rounds", 0},

    /* CSV and schema */
    {"no CSV", NULL, NULL, "", "import nowhere.csv out/o.h5", 3, "nowhere.csv: No such file", 0},
    {"CSV is a folder", NULL, NULL, "", "import good out/o.h5", 3, "good is a folder", 0},
    {"CSV empty", csv_empty, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv is empty", 0},
    {"CSV is HDF5", csv_hdf5, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv", 0},
    {"ragged row", csv_ragged, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 3: has 3 fields, the header has 2", 0},
    {"NUL in a CSV", csv_nul, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 3", 0},
    {"invalid UTF-8 in a CSV", csv_utf8, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 3", 0},
    {"column twice", csv_twice, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 1: columns 1 and 3 are both named 'id'", 0},
    {"column without a name", csv_unnamed, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 1: column 2 of 3 has no name", 0},
    {"quote never closed", csv_quote, NULL, "", "import out/in.csv out/o.h5", 3, "out/in.csv line 3", 0},
    {"no schema", csv_good, NULL, "", "import out/in.csv out/o.h5 --schema nowhere.yaml", 2, "--schema: 'nowhere.yaml' cannot be read", 0},
    {"schema syntax", schema_syntax, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 2, "out/s.yaml:3: not YAML", 0},
    {"schema with an unknown kind", schema_kind, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 2, "out/s.yaml:2: columns.age.kind: 'float' is not one of", 0},
    {"schema with an unknown key", schema_key, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 2, "out/s.yaml:2: columns.age.kin: unknown key; the nearest is kind", 0},
    {"schema with a column too many", schema_column, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 3, "out/in.csv has no column 'weight', which out/s.yaml:4 names", 0},
    {"schema with an unusable format", schema_format, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 2, "out/s.yaml:2: column 'at': the format cannot be used", 0},
    {"schema that skips all", schema_skip, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 2, "skips every column", 0},
    {"value of another kind", schema_value, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 3, "out/in.csv line 4", 0},
    {"time that no calendar has", schema_time, NULL, "", "import out/in.csv out/o.h5 --schema out/s.yaml", 3, "out/in.csv line 4", 0},
    {"import into no folder", csv_good, NULL, "", "import out/in.csv nowhere/o.h5", 2, "import: 'nowhere/o.h5': there is no folder 'nowhere'", 0},
};
/* clang-format on */
enum { N_CASES = sizeof cases / sizeof cases[0] };

/* --- running them --- */

/* Folders as every case finds them. */
static void fresh(void)
{
    static const char *const made[] = {"out", "bad", "site.d", "site.yaml", "case.yaml"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) drive_remove(made[i]);
    mkdir("out", 0700);
    mkdir("bad", 0700);
    assert_int_equal(link("good/a.h5", "bad/a.h5"), 0);
    assert_int_equal(link("good/b.h5", "bad/b.h5"), 0);
    fresh_bad();
}

/* What is published: bundles, checkpoints, scores. Logs of lives may grow. */
static void hash_published(char hex[65])
{
    static const char *const what[] = {
        "pub/run/bundle",   "pub/run/checkpoints",         "pub/run/evaluations",
        "pub/run/job.yaml", "pub/run/log.jsonl",           "pub/other/bundle",
        "pub/scores.h5",    "pub/scores.h5.manifest.json", "good"};
    char all[9][65] = {{0}};
    for (int i = 0; i < 9; i++) {
        drive_hash(all[i], what[i]);
        if (i != 2 && strcmp(all[i], "absent") == 0) fail_msg("'%s' is gone", what[i]);
    }
    FILE *list = fopen("published.list", "wb");
    assert_non_null(list);
    assert_int_equal(fwrite(all, sizeof all, 1, list), 1);
    assert_int_equal(fclose(list), 0);
    drive_hash(hex, "published.list");
}

static char published[65];

static void check_published(const char *name)
{
    char now[65];
    hash_published(now);
    if (strcmp(now, published) != 0) fail_msg("%s: something published was changed", name);
}

static drive_result run(const char *environment, int n_ranks, const char *words)
{
    char launch[32] = "";
    if (n_ranks > 1) snprintf(launch, sizeof launch, "run -n %d", n_ranks);
    return drive_shell(60, "%s exec '%s' %s %s", environment, drive_program(), launch, words);
}

static int n_failed;

/* Every case is judged, so that one run shows all that is wrong. */
static void complain(const char *name, int n_ranks, const char *what, const drive_result *result)
{
    n_failed++;
    print_error("%s, %d ranks: %s; exit %d\n%s", name, n_ranks, what, result->code, result->err);
}

static void judge(const bad_case *c, int n_ranks, const drive_result *result)
{
    int n_lines;
    char begins[32] = "nightshift: ";
    const char *line = drive_error_line(result, &n_lines);
    if (n_ranks > 1 && (c->flags & LAST) != 0)
        snprintf(begins, sizeof begins, "nightshift: rank %d: ", n_ranks - 1);
    if (getenv("NIGHTSHIFT_SHOW") != NULL) print_message("%d %s\n", result->code, line);
    if (result->timed_out)
        complain(c->name, n_ranks, "hangs", result);
    else if (result->code != c->code)
        complain(c->name, n_ranks, "another exit code", result);
    else if (n_lines != 1)
        complain(c->name, n_ranks, "not one error line", result);
    else if (strncmp(line, begins, strlen(begins)) != 0)
        complain(c->name, n_ranks, "another rank found it", result);
    else if (strstr(line, c->says) == NULL)
        complain(c->name, n_ranks, c->says, result);
    else if ((c->flags & HELD) == 0 && result->out[0] != '\0')
        complain(c->name, n_ranks, "speaks on stdout", result);
    else if (access("out/run/bundle", F_OK) == 0 || access("out/o.h5", F_OK) == 0)
        complain(c->name, n_ranks, "published something", result);
}

static void run_case(const bad_case *c, int n_ranks)
{
    char out_before[65], out_after[65];
    fresh();
    if (c->prepare != NULL) c->prepare();
    if (c->job != NULL) drive_write("case.yaml", "%s", c->job);
    drive_hash(out_before, "out/scores.h5");
    drive_result result = run(c->environment, n_ranks, c->words);
    judge(c, n_ranks, &result);
    drive_hash(out_after, "out/scores.h5");
    if (strcmp(out_before, out_after) != 0) complain(c->name, n_ranks, "changed the score file", &result);
    check_published(c->name);
    drive_free(&result);
}

static void test_cases(void **state)
{
    (void)state;
    n_failed = 0;
    const char *only = getenv("NIGHTSHIFT_ONLY"); /* part of a name, to look into one case */
    for (int i = 0; i < N_CASES; i++) {
        if (only != NULL && strstr(cases[i].name, only) == NULL) continue;
        run_case(&cases[i], 1);
        if ((cases[i].flags & ALONE) == 0) run_case(&cases[i], 3);
    }
    print_message("%d cases\n", (int)N_CASES);
    assert_int_equal(n_failed, 0);
}

/* --- main --- */

static int set_up(void **state)
{
    (void)state;
    drive_enter("bad-input");
    mkdir("good", 0700);
    cohort_write("good/a.h5", &cohort_plain, 0, ROWS);
    cohort_write("good/b.h5", &cohort_plain, ROWS, ROWS);
    cohort_write("good/c.h5", &cohort_plain, 2 * ROWS, ROWS);
    drive_write("job.yaml", HEAD TAIL);
    mkdir("pub", 0700);
    drive_must(0, "train job.yaml --quiet --set run.out=pub/run");
    drive_must(0, "train job.yaml --quiet --set run.out=pub/other --set train.seed=2");
    drive_must(0, "score job.yaml --quiet --set score.out=pub/scores.h5");
    hash_published(published);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    drive_leave();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
