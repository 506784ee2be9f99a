/* What inspect says of every kind of path, and of paths that are none of ours. */
#include "tests/check.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <mpi.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cohort_writer.h"
#include "data/durable.h"
#include "data/scores.h"
#include "runner/inspect.h"

/* A folder of the test's own; paths in it are made by `in`. */
static char folder[64] = "/tmp/nightshift-test-inspect-XXXXXX";

static const char *in(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text, size_t n_bytes)
{
    FILE *file = fopen(in(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name)
{
    if (mkdir(in(name), 0777) != 0) assert_int_equal(errno, EEXIST);
}

/* The description equals this JSON, and its print contains each of the words (separated by ';'). */
static void check_description(const char *name, const char *want, const char *words)
{
    json_t *got, *wanted = json_loads(want, 0, NULL);
    assert_non_null(wanted);
    CHECK_OK(ns_inspect(&got, in(name)));
    if (!json_equal(got, wanted)) {
        char *text = json_dumps(got, 0);
        fail_msg("%s\nnot: %s", text, want);
    }
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *to = open_memstream(&text, &n_bytes);
    assert_non_null(to);
    ns_inspect_print(to, got);
    assert_int_equal(fclose(to), 0);
    for (const char *p = words; *p != '\0';) {
        char word[100];
        size_t n = strcspn(p, ";");
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (strstr(text, word) == NULL) fail_msg("no \"%s\" in: %s", word, text);
        p += n + (p[n] == ';');
    }
    free(text);
    json_decref(got);
    json_decref(wanted);
}

static void write_cohort(const char *path)
{
    ns_cohort_writer *writer;
    const ns_cohort_options options = {.deflate = -1};
    const float ages[3] = {41.0F, NAN, 77.0F};
    const int32_t sexes[3] = {0, 1, -1};
    const int64_t integers[3] = {1, 2, 3};
    ns_texts levels = {0}, ids = {0};
    CHECK_OK(ns_texts_append(&levels, "SECRET1", 7));
    CHECK_OK(ns_texts_append(&levels, "SECRET2", 7));
    for (int i = 0; i < 3; i++) CHECK_OK(ns_texts_append(&ids, "SECRET", 6));
    CHECK_OK(ns_cohort_writer_open(&writer, path, &options));
    CHECK_OK(ns_cohort_writer_column(writer, "stay", NS_COL_ID, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_id_ints(writer, integers, 3));
    CHECK_OK(ns_cohort_writer_column(writer, "patient", NS_COL_ID, true, NULL, NULL));
    CHECK_OK(ns_cohort_writer_id_texts(writer, &ids));
    CHECK_OK(ns_cohort_writer_column(writer, "age", NS_COL_NUMBER, false, "a", "at admission"));
    CHECK_OK(ns_cohort_writer_numbers(writer, ages, 3));
    CHECK_OK(ns_cohort_writer_column(writer, "sex", NS_COL_CATEGORY, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_codes(writer, sexes, 3));
    CHECK_OK(ns_cohort_writer_levels(writer, &levels));
    CHECK_OK(ns_cohort_writer_column(writer, "came", NS_COL_TIME, false, NULL, NULL));
    CHECK_OK(ns_cohort_writer_times(writer, integers, 3));
    CHECK_OK(ns_cohort_writer_finish(writer));
    ns_cohort_writer_close(&writer);
    ns_texts_destroy(&levels);
    ns_texts_destroy(&ids);
}

static void a_cohort_is_described(void **state)
{
    (void)state;
    char want[1000];
    struct stat facts;
    write_cohort(in("cohort.h5"));
    assert_int_equal(stat(in("cohort.h5"), &facts), 0);
    snprintf(
        want, sizeof want,
        "{\"kind\": \"cohort\", \"n_rows\": 3, \"layout\": \"columns\", \"n_bytes\": %lld, \"columns\": ["
        "{\"name\": \"age\", \"kind\": \"number\", \"unit\": \"a\", \"description\": \"at admission\"},"
        "{\"name\": \"came\", \"kind\": \"time\"},"
        "{\"name\": \"patient\", \"kind\": \"id\", \"text\": true},"
        "{\"name\": \"sex\", \"kind\": \"category\", \"levels\": 2},"
        "{\"name\": \"stay\", \"kind\": \"id\", \"text\": false}]}",
        (long long)facts.st_size);
    check_description("cohort.h5", want, "cohort of 3 rows, 5 columns;age;at admission;2 levels;time;text");
    json_t *got;
    CHECK_OK(ns_inspect(&got, in("cohort.h5")));
    char *text = json_dumps(got, 0);
    assert_null(strstr(text, "SECRET"));
    free(text);
    json_decref(got);
}

static void a_score_file_is_described(void **state)
{
    (void)state;
    const ns_scores_setup setup = {.path = in("scores.h5"),
                                   .n_rows = 3,
                                   .id_bytes = 1,
                                   .name = "readmission-30d",
                                   .version = "v3",
                                   .bundle_id = "abc",
                                   .as_of = "2026-11-20"};
    const int64_t ids[3] = {1, 2, 3};
    const uint8_t statuses[3] = {NS_SCORED, NS_OUTSIDE_COHORT, NS_SCORED};
    const float risks[3] = {0.25F, NAN, 0.5F};
    const ns_scores_block block = {.n_rows = 3, .id_int = ids, .status = statuses, .risk = risks};
    ns_scores_writer *writer;
    char content[65], want[1000];
    CHECK_OK(ns_scores_writer_open(&writer, &setup));
    CHECK_OK(ns_scores_writer_append(writer, &block));
    CHECK_OK(ns_scores_writer_finish(writer, content));
    ns_scores_writer_close(&writer);
    snprintf(want, sizeof want,
             "{\"kind\": \"scores\", \"n_rows\": 3, \"columns\": [{\"name\": \"id\", \"kind\": \"id\"}, "
             "{\"name\": \"status\","
             "\"kind\": \"status\"}, {\"name\": \"risk\", \"kind\": \"number\"}], \"name\": "
             "\"readmission-30d\", \"version\": "
             "\"v3\", \"bundle_id\": \"abc\", \"as_of\": \"2026-11-20\", \"counts\": {\"scored\": 2, "
             "\"outside_cohort\": 1,"
             "\"id_missing\": 0, \"id_duplicate\": 0, \"value_infinite\": 0}, \"content\": \"%s\"}",
             content);
    check_description("scores.h5", want, "scores of 3 rows;outside_cohort;readmission-30d v3;2026-11-20");
}

static const char bundle_manifest[] = "{\"kind\": \"bundle\", \"format\": 1, \"name\": \"readmission-30d\", "
                                      "\"lineage\": {\"columns\": {\"age\": \"00\", \"sex\":"
                                      " \"11\"}}, \"files\": [{\"name\": \"model.safetensors\", \"bytes\": "
                                      "1000, \"sha256\": \"aa\"}, {\"name\": \"job.yaml\","
                                      " \"bytes\": 20, \"sha256\": \"bb\"}]}";
static const char bundle_id[] = "b2199289eaa12d492deb35422bbcb00f0e722f6787d1fc866b3de36e18bf729f";
static const char checkpoint_manifest[] = "{\"kind\": \"checkpoint\", \"format\": 1, \"name\": \"fallback\", "
                                          "\"progress\": {\"rounds\": 120}, \"files\": []}";

static void a_bundle_is_described(void **state)
{
    (void)state;
    make_folder("bundle");
    write_text("bundle/manifest.json", bundle_manifest, sizeof bundle_manifest - 1);
    char want[1200];
    snprintf(want, sizeof want,
             "{\"kind\": \"bundle\", \"n_rows\": null, \"columns\": [{\"name\": \"age\"}, {\"name\": "
             "\"sex\"}], \"id\": \"%s\","
             "\"n_bytes\": 1020, %s",
             bundle_id, bundle_manifest + strlen("{\"kind\": \"bundle\", "));
    check_description("bundle", want, "bundle, 2 columns;readmission-30d;model.safetensors;1000 bytes");
}

static void a_checkpoint_is_described(void **state)
{
    (void)state;
    make_folder("000120");
    write_text("000120/manifest.json", checkpoint_manifest, sizeof checkpoint_manifest - 1);
    json_t *got;
    CHECK_OK(ns_inspect(&got, in("000120")));
    assert_string_equal(json_string_value(json_object_get(got, "kind")), "checkpoint");
    assert_true(json_is_null(json_object_get(got, "columns")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(got, "progress"), "rounds")), 120);
    json_decref(got);
}

static void a_run_is_described(void **state)
{
    (void)state;
    static const char lives[] =
        "{\"kind\": \"run\", \"format\": 1, \"lives\": [{\"life\": \"aa\"}, {\"life\": \"bb\"}]}";
    static const char begun[] =
        "{\"kind\": \"run\", \"n_rows\": null, \"columns\": null, \"name\": null, \"lives\": 2,"
        "\"last_life\": {\"life\": \"bb\"}, \"checkpoints\": [], \"bundle_id\": null}";
    make_folder("run");
    write_text("run/run.json", lives, sizeof lives - 1);
    check_description("run", begun, "run\n;lives        2;none;not yet");

    static const char saved[] =
        "{\"kind\": \"run\", \"n_rows\": null, \"columns\": null, \"name\": \"fallback\", \"lives\": 2,"
        "\"last_life\": {\"life\": \"bb\"}, \"checkpoints\": [\"000060\", \"000120\"],"
        "\"bundle_id\": null}";
    make_folder("run/checkpoints");
    make_folder("run/checkpoints/000120");
    make_folder("run/checkpoints/000060");
    make_folder("run/checkpoints/000180.tmp");
    write_text("run/checkpoints/000120/manifest.json", checkpoint_manifest, sizeof checkpoint_manifest - 1);
    check_description("run", saved, "000060 000120;fallback");

    char ended[600];
    make_folder("run/bundle");
    write_text("run/bundle/manifest.json", bundle_manifest, sizeof bundle_manifest - 1);
    snprintf(ended, sizeof ended,
             "{\"kind\": \"run\", \"n_rows\": null, \"columns\": null, \"name\": \"readmission-30d\", "
             "\"lives\": 2,"
             "\"last_life\": {\"life\": \"bb\"}, \"checkpoints\": [\"000060\", \"000120\"], \"bundle_id\": "
             "\"%s\"}",
             bundle_id);
    check_description("run", ended, "readmission-30d");
}

/* What the last life did on a GPU. */
static void a_run_on_a_gpu_tells_its_launches(void **state)
{
    (void)state;
#define ON_GPU                                                                                                               \
    "{\"life\": \"cc\", \"gpu\": {\"name\": \"a GPU\", \"sums\": \"nccl\", \"launches\": {\"choose\": 37, \"advance\": 8}, "        \
    "\"kernel_s\": {\"choose\": 0.25, \"advance\": 0.5}, \"graph_launches\": 28, \"copies_in\": 5, \"bytes_in\": 600, "            \
    "\"copies_out\": 70, \"bytes_out\": 8000, \"waits\": 9, \"histogram_rows\": 110, \"parted_rows\": 120}}"
    static const char lives[] = "{\"kind\": \"run\", \"format\": 1, \"lives\": [{\"life\": \"bb\"}, " ON_GPU "]}";
    static const char want[] = "{\"kind\": \"run\", \"n_rows\": null, \"columns\": null, \"name\": null, \"lives\": 2, \"last_life\": " ON_GPU
                               ", \"checkpoints\": [], \"bundle_id\": null}";
    make_folder("on-gpu");
    write_text("on-gpu/run.json", lives, sizeof lives - 1);
    check_description("on-gpu", want, "a GPU, sums over ranks: nccl;5 in, 600 bytes; 70 out, 8000 bytes; 9 waits;110 in histograms, 120 parted;28 graphs;37     0.250000 s;advance");
}

static void foreign_paths_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n_bytes;
        const char *words;
    } cases[] = {
        {"", 0, "is an empty file"},
        {"a,b\n1,2\n", 8, "it seems to be a text file; a CSV becomes a cohort by"},
        {"\x1f\x8b\x08", 3, "it seems to be a gzip file"},
        {"\xfd"
         "7zXZ",
         5, "it seems to be an xz file"},
        {"PK\x03\x04", 4, "it seems to be a ZIP or Excel file"},
        {"PAR1", 4, "it seems to be a Parquet file"},
        {"{\"a\": 1}", 8, "it seems to be a JSON file"},
        {"\x10\0\0\0\0\0\0\0{\"a\":1}", 15, "it seems to be a safetensors file"},
        {"\x01\x02\x03\x04", 4, "is neither an HDF5 file nor anything else"},
    };
    json_t *got;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text("foreign", cases[i].bytes, cases[i].n_bytes);
        CHECK_FAILS(ns_inspect(&got, in("foreign")), NS_EFORMAT, cases[i].words);
        assert_null(got);
    }
    CHECK_FAILS(ns_inspect(&got, in("nothing")), NS_EFORMAT, "cannot open");
    CHECK_FAILS(ns_inspect(&got, "/dev/null"), NS_EFORMAT, "is neither a file nor a folder");
    CHECK_FAILS(ns_inspect(&got, folder), NS_EFORMAT, "is a folder without manifest.json or run.json");
    make_folder("odd");
    write_text("odd/manifest.json", "{\"kind\": \"x\"}", 13);
    CHECK_FAILS(ns_inspect(&got, in("odd")), NS_EFORMAT, "names neither a bundle nor a checkpoint");
    write_text("odd/manifest.json", "[1]", 3);
    CHECK_FAILS(ns_inspect(&got, in("odd")), NS_EFORMAT, "is not a JSON object");
    write_text("odd/manifest.json", "{\"kind", 6);
    CHECK_FAILS(ns_inspect(&got, in("odd")), NS_EFORMAT, "is not a JSON object");
    unlink(in("odd/manifest.json"));
    write_text("odd/run.json", "{\"lives\": 3}", 12);
    CHECK_FAILS(ns_inspect(&got, in("odd")), NS_EFORMAT, "has no list of lives");
}

/* A cohort cut short, and an HDF5 file of another kind: the reader's own words. */
static void torn_and_foreign_hdf5_files_are_refused(void **state)
{
    (void)state;
    json_t *got;
    struct stat facts;
    write_cohort(in("torn.h5"));
    assert_int_equal(stat(in("torn.h5"), &facts), 0);
    assert_int_equal(truncate(in("torn.h5"), facts.st_size / 2), 0);
    CHECK_FAILS(ns_inspect(&got, in("torn.h5")), NS_EFORMAT, "torn.h5");
    assert_null(got);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (mkdtemp(folder) == NULL) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cohort_is_described),
        cmocka_unit_test(a_score_file_is_described),
        cmocka_unit_test(a_bundle_is_described),
        cmocka_unit_test(a_checkpoint_is_described),
        cmocka_unit_test(a_run_is_described), cmocka_unit_test(a_run_on_a_gpu_tells_its_launches),
        cmocka_unit_test(foreign_paths_are_named),
        cmocka_unit_test(torn_and_foreign_hdf5_files_are_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (ns_durable_remove(folder, "test") != NS_OK) failed = 1;
    MPI_Finalize();
    return failed;
}
