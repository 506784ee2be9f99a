#include "runner/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/cohort.h"
#include "data/durable.h"
#include "data/hash.h"
#include "data/scores.h"
#include "runner/json.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static ns_status no_memory(const char *path)
{
    return ns_fail(NS_ENOMEM, "no memory to inspect '%s'", path);
}

/* ---- cohorts and score files ---- */

static json_t *column_json(const ns_column *column)
{
    ns_status status = NS_OK;
    json_t *out = json_object();
    ns_json_add(&status, out, "name", json_string(column->name));
    ns_json_add(&status, out, "kind", json_string(ns_column_kind_name(column->kind)));
    if (column->kind == NS_COL_CATEGORY)
        ns_json_add(&status, out, "levels", json_integer(column->levels == NULL ? 0 : column->levels->n));
    if (column->kind == NS_COL_ID) ns_json_add(&status, out, "text", json_boolean(column->is_text));
    if (column->unit[0] != '\0') ns_json_add(&status, out, "unit", json_string(column->unit));
    if (column->description[0] != '\0')
        ns_json_add(&status, out, "description", json_string(column->description));
    if (status == NS_OK) return out;
    json_decref(out);
    return NULL;
}

/* Levels are counted, so the columns are prepared. */
static ns_status count_levels(ns_cohort *cohort)
{
    int32_t n = ns_cohort_n_columns(cohort), n_wanted = 0;
    int32_t *wanted = malloc(((size_t)n + 1) * sizeof *wanted);
    if (wanted == NULL) return ns_fail(NS_ENOMEM, "no memory for %d columns", (int)n);
    for (int32_t i = 0; i < n; i++)
        if (ns_cohort_column(cohort, i)->kind == NS_COL_CATEGORY) wanted[n_wanted++] = i;
    ns_status status = ns_cohort_prepare(cohort, wanted, n_wanted, MPI_COMM_SELF);
    free(wanted);
    return status;
}

static ns_status describe_cohort(json_t *out, ns_cohort *cohort, ns_layout layout)
{
    int64_t first_row, n_rows, n_bytes;
    NS_TRY(count_levels(cohort));
    ns_cohort_file(cohort, 0, &first_row, &n_rows, &n_bytes);
    ns_status status = NS_OK;
    json_t *columns = json_array();
    for (int32_t i = 0; i < ns_cohort_n_columns(cohort); i++)
        ns_json_append(&status, columns, column_json(ns_cohort_column(cohort, i)));
    ns_json_add(&status, out, "kind", json_string("cohort"));
    ns_json_add(&status, out, "n_rows", json_integer(ns_cohort_n_rows(cohort)));
    ns_json_add(&status, out, "columns", columns);
    ns_json_add(&status, out, "layout", json_string(layout == NS_LAYOUT_MATRIX ? "matrix" : "columns"));
    ns_json_add(&status, out, "n_bytes", json_integer(n_bytes));
    return status;
}

/* As columns, else as a matrix; where it is neither, the first failure is the one that is told. */
static ns_status inspect_cohort(json_t *out, const char *path)
{
    ns_texts files = {0};
    ns_cohort *cohort = NULL;
    ns_layout layout = NS_LAYOUT_COLUMNS;
    ns_status status = ns_texts_append(&files, path, (int64_t)strlen(path));
    if (status == NS_OK) status = ns_cohort_open(&cohort, &files, layout, MPI_COMM_SELF);
    if (status == NS_EFORMAT) {
        ns_error first = *ns_last_error();
        ns_error_clear();
        layout = NS_LAYOUT_MATRIX;
        if (ns_cohort_open(&cohort, &files, layout, MPI_COMM_SELF) == NS_OK)
            status = NS_OK;
        else
            *ns_last_error() = first;
    }
    if (status == NS_OK) status = describe_cohort(out, cohort, layout);
    ns_cohort_close(&cohort);
    ns_texts_destroy(&files);
    return status;
}

static json_t *score_columns(const ns_scores_info *info)
{
    const char *const names[][2] = {{"id", "id"}, {"status", "status"}, {ns_score_kind_link(info->kind), "number"}};
    ns_status status = NS_OK;
    json_t *out = json_array();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *column = json_pack("{s:s, s:s}", "name", names[i][0], "kind", names[i][1]);
        if (i == 2 && info->kind == NS_SCORE_CLASS_RISKS) ns_json_add(&status, column, "classes", json_integer(info->n_values));
        ns_json_append(&status, out, column);
    }
    if (status == NS_OK) return out;
    json_decref(out);
    return NULL;
}

static ns_status inspect_scores(json_t *out, const char *path)
{
    ns_scores_info info;
    NS_TRY(ns_scores_inspect(&info, path));
    ns_status status = NS_OK;
    json_t *counts = json_object();
    for (int i = 0; i < NS_N_STATUS; i++)
        ns_json_add(&status, counts, ns_score_status_name((ns_score_status)i), json_integer(info.counts[i]));
    ns_json_add(&status, out, "kind", json_string("scores"));
    ns_json_add(&status, out, "n_rows", json_integer(info.n_rows));
    ns_json_add(&status, out, "columns", score_columns(&info));
    ns_json_add(&status, out, "name", json_string(info.name));
    ns_json_add(&status, out, "version", json_string(info.version));
    ns_json_add(&status, out, "bundle_id", json_string(info.bundle_id));
    ns_json_add(&status, out, "as_of", json_string(info.as_of));
    ns_json_add(&status, out, "counts", counts);
    ns_json_add(&status, out, "content", json_string(info.content));
    return status;
}

/* What a file that is not HDF5 seems to be; NULL: no idea. */
static const char *seems(const unsigned char *bytes, size_t n_bytes)
{
    static const struct {
        size_t at;
        const char *magic, *words;
    } known[] = {
        {0, "\x1f\x8b", "a gzip file; a CSV in it goes in by: nightshift import FILE OUT.h5"},
        {0,
         "\xfd"
         "7zXZ",
         "an xz file; a CSV in it goes in by: xzcat FILE | nightshift import - OUT.h5"},
        {0, "PK\x03\x04", "a ZIP or Excel file"},
        {0, "PAR1", "a Parquet file; pandas can convert it"},
        {8, "{\"", "a safetensors file; inspect the bundle or checkpoint that it lies in"},
        {0, "{", "a JSON file"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t length = strlen(known[i].magic);
        if (n_bytes >= known[i].at + length && memcmp(bytes + known[i].at, known[i].magic, length) == 0)
            return known[i].words;
    }
    for (size_t i = 0; i < n_bytes; i++)
        if (bytes[i] < 9 || (bytes[i] > 13 && bytes[i] < 32)) return NULL;
    return "a text file; a CSV becomes a cohort by: nightshift import FILE OUT.h5";
}

/* HDF5 may begin behind a user block: at 0, 512, 1024, 2048, … */
static bool has_hdf5_signature(FILE *file)
{
    for (long at = 0; at <= 1L << 20; at = at == 0 ? 512 : at * 2) {
        unsigned char bytes[8];
        if (fseek(file, at, SEEK_SET) != 0 || fread(bytes, 1, sizeof bytes, file) != sizeof bytes)
            return false;
        if (memcmp(bytes, "\x89HDF\r\n\x1a\n", sizeof bytes) == 0) return true;
    }
    return false;
}

static ns_status inspect_file(json_t *out, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return ns_fail(NS_EFORMAT, "cannot open '%s': %s", path, strerror(errno));
    unsigned char bytes[256];
    size_t n_bytes = fread(bytes, 1, sizeof bytes, file);
    bool is_hdf5 = has_hdf5_signature(file);
    fclose(file);
    if (is_hdf5) return ns_scores_is(path) ? inspect_scores(out, path) : inspect_cohort(out, path);
    if (n_bytes == 0) return ns_fail(NS_EFORMAT, "'%s' is an empty file", path);
    const char *words = seems(bytes, n_bytes);
    if (words == NULL)
        return ns_fail(NS_EFORMAT, "'%s' is neither an HDF5 file nor anything else of nightshift's", path);
    return ns_fail(NS_EFORMAT, "'%s' is no HDF5 file; it seems to be %s", path, words);
}

/* ---- folders ---- */

static char *join(const char *folder, const char *name)
{
    size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path != NULL) snprintf(path, room, "%s/%s", folder, name);
    return path;
}

/* A JSON object in a folder; *out is NULL and NS_OK where there is no such file. sha256 may be NULL. */
static ns_status read_json(json_t **out, const char *folder, const char *name, char sha256[65])
{
    char *path = join(folder, name), *text = NULL;
    size_t n_bytes = 0;
    bool found = false;
    *out = NULL;
    ns_status status = path == NULL ? no_memory(folder) : ns_read_whole(path, &text, &n_bytes, &found);
    if (status == NS_OK && found) {
        *out = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(*out))
            status = ns_fail(NS_EFORMAT, "'%s' is not a JSON object", path);
        else if (sha256 != NULL)
            ns_sha256_hex(sha256, text, n_bytes);
    }
    free(text);
    free(path);
    if (status == NS_OK) return NS_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

static int64_t sum_bytes(const json_t *files)
{
    int64_t sum = 0;
    for (size_t i = 0; i < json_array_size(files); i++)
        sum += json_integer_value(json_object_get(json_array_get(files, i), "bytes"));
    return sum;
}

/* The names of lineage.columns as [{name}], null where there are none. */
static json_t *lineage_columns(json_t *manifest)
{
    json_t *columns = json_object_get(json_object_get(manifest, "lineage"), "columns");
    if (!json_is_object(columns)) return json_null();
    ns_status status = NS_OK;
    json_t *out = json_array();
    for (void *i = json_object_iter(columns); i != NULL; i = json_object_iter_next(columns, i))
        ns_json_append(&status, out, json_pack("{s:s}", "name", json_object_iter_key(i)));
    if (status == NS_OK) return out;
    json_decref(out);
    return NULL;
}

static ns_status describe_package(json_t *out, const char *path, json_t *manifest, const char *id)
{
    const char *kind = json_string_value(json_object_get(manifest, "kind"));
    if (kind == NULL || (strcmp(kind, "bundle") != 0 && strcmp(kind, "checkpoint") != 0))
        return ns_fail(NS_EFORMAT, "'%s/manifest.json' names neither a bundle nor a checkpoint", path);
    ns_status status = NS_OK;
    ns_json_add(&status, out, "kind", json_string(kind));
    ns_json_add(&status, out, "n_rows", json_null());
    ns_json_add(&status, out, "columns", lineage_columns(manifest));
    ns_json_add(&status, out, "id", json_string(id));
    ns_json_add(&status, out, "n_bytes", json_integer(sum_bytes(json_object_get(manifest, "files"))));
    if (status == NS_OK && json_object_update_missing(out, manifest) != 0) status = no_memory(path);
    return status;
}

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Names of the entries of RUN/checkpoints that are numbers, ascending; an empty list where there is no such
 * folder. */
static ns_status list_checkpoints(json_t *list, const char *path)
{
    char *folder = join(path, "checkpoints");
    if (folder == NULL) return no_memory(path);
    DIR *open = opendir(folder);
    free(folder);
    if (open == NULL) return NS_OK;
    char **names = NULL;
    size_t n = 0;
    ns_status status = NS_OK;
    for (struct dirent *entry = readdir(open); entry != NULL && status == NS_OK; entry = readdir(open)) {
        if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name)) continue;
        char **more = realloc(names, (n + 1) * sizeof *names);
        if (more != NULL) names = more;
        char *name = more == NULL ? NULL : strdup(entry->d_name);
        if (name == NULL)
            status = no_memory(path);
        else
            names[n++] = name;
    }
    closedir(open);
    if (n > 0) qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        ns_json_append(&status, list, json_string(names[i]));
        free(names[i]);
    }
    free(names);
    return status;
}

/* The name of the job and the id of the bundle, from RUN/bundle, or else the name from the newest checkpoint.
 */
static ns_status find_name(json_t **name, json_t **bundle_id, const char *path, const json_t *checkpoints)
{
    char id[65], inner[64];
    json_t *manifest = NULL;
    *name = *bundle_id = NULL;
    NS_TRY(read_json(&manifest, path, "bundle/manifest.json", id));
    if (manifest != NULL) *bundle_id = json_string(id);
    size_t n = json_array_size(checkpoints);
    if (manifest == NULL && n > 0) {
        snprintf(inner, sizeof inner, "checkpoints/%.30s/manifest.json",
                 json_string_value(json_array_get(checkpoints, n - 1)));
        NS_TRY(read_json(&manifest, path, inner, NULL));
    }
    const char *text = json_string_value(json_object_get(manifest, "name"));
    if (text != NULL) *name = json_string(text);
    json_decref(manifest);
    return NS_OK;
}

static ns_status describe_run(json_t *out, const char *path, json_t *document)
{
    const json_t *lives = json_object_get(document, "lives");
    if (!json_is_array(lives))
        return ns_fail(NS_EFORMAT, "'%s/run.json' has no list of lives; it is no run of ours", path);
    size_t n = json_array_size(lives);
    json_t *checkpoints = json_array(), *name, *bundle_id;
    ns_status status = checkpoints == NULL ? no_memory(path) : list_checkpoints(checkpoints, path);
    if (status == NS_OK) status = find_name(&name, &bundle_id, path, checkpoints);
    if (status != NS_OK) {
        json_decref(checkpoints);
        return status;
    }
    ns_json_add(&status, out, "kind", json_string("run"));
    ns_json_add(&status, out, "n_rows", json_null());
    ns_json_add(&status, out, "columns", json_null());
    ns_json_add(&status, out, "name", name != NULL ? name : json_null());
    ns_json_add(&status, out, "lives", json_integer((json_int_t)n));
    ns_json_add(&status, out, "last_life",
                n > 0 ? json_deep_copy(json_array_get(lives, n - 1)) : json_null());
    ns_json_add(&status, out, "checkpoints", checkpoints);
    ns_json_add(&status, out, "bundle_id", bundle_id != NULL ? bundle_id : json_null());
    return status;
}

/* RUN/sweep.json, without its members. */
static ns_status describe_sweep(json_t *out, const char *path, const json_t *document)
{
    static const char *const keys[] = {"kind", "name", "metric", "n_members", "done", "failed", "unfinished", "missing", "best"};
    if (strcmp(text_of(document, "kind"), "sweep") != 0) return ns_fail(NS_EFORMAT, "'%s/sweep.json' is no table of a sweep", path);
    ns_status status = NS_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(document, keys[i]);
        ns_json_add(&status, out, keys[i], value != NULL ? json_incref(value) : json_null());
    }
    return status;
}

static ns_status inspect_folder(json_t *out, const char *path)
{
    char id[65];
    json_t *document = NULL;
    NS_TRY(read_json(&document, path, "manifest.json", id));
    if (document != NULL) {
        ns_status status = describe_package(out, path, document, id);
        json_decref(document);
        return status;
    }
    NS_TRY(read_json(&document, path, "run.json", NULL));
    if (document == NULL) {
        NS_TRY(read_json(&document, path, "sweep.json", NULL));
        if (document == NULL)
            return ns_fail(NS_EFORMAT, "'%s' is a folder without manifest.json or run.json: no bundle, checkpoint or run", path);
        ns_status status = describe_sweep(out, path, document);
        json_decref(document);
        return status;
    }
    ns_status status = describe_run(out, path, document);
    json_decref(document);
    return status;
}

ns_status ns_inspect(json_t **out, const char *path)
{
    struct stat facts;
    *out = NULL;
    if (stat(path, &facts) != 0) return ns_fail(NS_EFORMAT, "cannot open '%s': %s", path, strerror(errno));
    json_t *description = json_object();
    ns_status status;
    if (description == NULL)
        status = no_memory(path);
    else if (S_ISDIR(facts.st_mode))
        status = inspect_folder(description, path);
    else if (S_ISREG(facts.st_mode))
        status = inspect_file(description, path);
    else
        status = ns_fail(NS_EFORMAT, "'%s' is neither a file nor a folder", path);
    if (status == NS_OK)
        *out = description;
    else
        json_decref(description);
    return status;
}

/* ---- for people ---- */

static void print_columns(FILE *to, const json_t *columns)
{
    int width = 8;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        size_t length = strlen(text_of(json_array_get(columns, i), "name"));
        if (length > (size_t)width) width = length > 40 ? 40 : (int)length;
    }
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        fprintf(to, "  %-*s  %-8s", width, text_of(column, "name"), text_of(column, "kind"));
        const json_t *levels = json_object_get(column, "levels");
        if (levels != NULL) fprintf(to, "  %" JSON_INTEGER_FORMAT " levels", json_integer_value(levels));
        if (json_is_true(json_object_get(column, "text"))) fprintf(to, "  text");
        if (text_of(column, "unit")[0] != '\0') fprintf(to, "  %s", text_of(column, "unit"));
        if (text_of(column, "description")[0] != '\0') fprintf(to, "  %s", text_of(column, "description"));
        fprintf(to, "\n");
    }
}

static void print_scores(FILE *to, const json_t *description)
{
    json_t *counts = json_object_get(description, "counts");
    for (void *i = json_object_iter(counts); i != NULL; i = json_object_iter_next(counts, i))
        fprintf(to, "  %-14s  %" JSON_INTEGER_FORMAT "\n", json_object_iter_key(i),
                json_integer_value(json_object_iter_value(i)));
    fprintf(to, "  model    %s %s\n  bundle   %s\n  content  %s\n", text_of(description, "name"),
            text_of(description, "version"), text_of(description, "bundle_id"),
            text_of(description, "content"));
    if (text_of(description, "as_of")[0] != '\0')
        fprintf(to, "  as of    %s\n", text_of(description, "as_of"));
}

static void print_package(FILE *to, const json_t *description)
{
    const json_t *files = json_object_get(description, "files");
    fprintf(to, "  name  %s\n  id    %s\n", text_of(description, "name"), text_of(description, "id"));
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        fprintf(to, "  %-20s  %12" JSON_INTEGER_FORMAT " bytes  %.16s\n", text_of(file, "name"),
                json_integer_value(json_object_get(file, "bytes")), text_of(file, "sha256"));
    }
}

static long long whole_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* What the last life did on a GPU; nothing where it used none. */
static void print_gpu(FILE *to, const json_t *gpu)
{
    const char *kernel;
    json_t *n;
    if (!json_is_object(gpu)) return;
    fprintf(to, "  gpu          %s, sums over ranks: %s\n", text_of(gpu, "name"), text_of(gpu, "sums"));
    fprintf(to, "  copies       %lld in, %lld bytes; %lld out, %lld bytes; %lld waits\n", whole_of(gpu, "copies_in"), whole_of(gpu, "bytes_in"),
            whole_of(gpu, "copies_out"), whole_of(gpu, "bytes_out"), whole_of(gpu, "waits"));
    fprintf(to, "  rows         %lld in histograms, %lld parted\n", whole_of(gpu, "histogram_rows"), whole_of(gpu, "parted_rows"));
    fprintf(to, "  launches     %lld graphs of them\n", whole_of(gpu, "graph_launches"));
    json_object_foreach(json_object_get(gpu, "launches"), kernel, n)
    {
        const json_t *seconds = json_object_get(json_object_get(gpu, "kernel_s"), kernel);
        fprintf(to, "    %-24s %10" JSON_INTEGER_FORMAT, kernel, json_integer_value(n));
        if (seconds != NULL) fprintf(to, " %12.6f s", json_real_value(seconds));
        fprintf(to, "\n");
    }
}

static void print_run(FILE *to, const json_t *description)
{
    const json_t *checkpoints = json_object_get(description, "checkpoints");
    const char *bundle = text_of(description, "bundle_id");
    fprintf(to, "  name         %s\n  lives        %" JSON_INTEGER_FORMAT "\n  checkpoints ",
            text_of(description, "name"), json_integer_value(json_object_get(description, "lives")));
    for (size_t i = 0; i < json_array_size(checkpoints); i++)
        fprintf(to, " %s", json_string_value(json_array_get(checkpoints, i)));
    if (json_array_size(checkpoints) == 0) fprintf(to, " none");
    fprintf(to, "\n  bundle       %s\n", bundle[0] != '\0' ? bundle : "not yet");
    print_gpu(to, json_object_get(json_object_get(description, "last_life"), "gpu"));
}

static void print_sweep(FILE *to, const json_t *description)
{
    const json_t *best = json_object_get(description, "best");
    fprintf(to, "  name     %s\n  members  %lld: %lld done, %lld failed, %lld still to do\n", text_of(description, "name"),
            whole_of(description, "n_members"), whole_of(description, "done"), whole_of(description, "failed"),
            whole_of(description, "unfinished") + whole_of(description, "missing"));
    if (!json_is_object(best)) {
        fprintf(to, "  best     none\n");
        return;
    }
    char *values = json_dumps(json_object_get(best, "values"), JSON_REAL_PRECISION(6));
    fprintf(to, "  best     setting %lld, mean %s %.6g: %s\n", whole_of(best, "setting"), text_of(description, "metric"),
            json_number_value(json_object_get(best, "mean")), values != NULL ? values : "");
    free(values);
}

void ns_inspect_print(FILE *to, const json_t *description)
{
    const char *kind = text_of(description, "kind");
    const json_t *n_rows = json_object_get(description, "n_rows"),
                 *columns = json_object_get(description, "columns");
    fprintf(to, "%s", kind);
    if (json_is_integer(n_rows)) fprintf(to, " of %" JSON_INTEGER_FORMAT " rows", json_integer_value(n_rows));
    if (json_is_array(columns)) fprintf(to, ", %zu columns", json_array_size(columns));
    fprintf(to, "\n");
    if (strcmp(kind, "cohort") == 0)
        print_columns(to, columns);
    else if (strcmp(kind, "scores") == 0)
        print_scores(to, description);
    else if (strcmp(kind, "run") == 0)
        print_run(to, description);
    else if (strcmp(kind, "sweep") == 0)
        print_sweep(to, description);
    else
        print_package(to, description);
}
