/*
 * The life of a cohort. Rank 0 alone looks at all files; what it found travels as one pack and every rank,
 * rank 0 too, builds the object from it, so that all hold the same. Sources of the rest: cohort_private.h.
 */
#include "data/cohort.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster/again.h"
#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "data/cohort_private.h"
#include "data/crash.h"

const char *ns_column_kind_name(ns_column_kind kind)
{
    switch (kind) {
    case NS_COL_NUMBER:
        return "number";
    case NS_COL_CATEGORY:
        return "category";
    case NS_COL_ID:
        return "id";
    case NS_COL_TIME:
        return "time";
    }
    return "unknown";
}

/* ---- expanding ---- */

static ns_status add_matches(ns_texts *out, const glob_t *found, const char *pattern, const char *what)
{
    int64_t had = out->n;
    for (size_t i = 0; i < found->gl_pathc; i++) {
        const char *path = found->gl_pathv[i];
        size_t n_bytes = strlen(path);
        if (n_bytes > 0 && path[n_bytes - 1] == '/') continue; /* a folder, by GLOB_MARK */
        NS_TRY(ns_texts_append(out, path, (int64_t)n_bytes));
    }
    if (out->n == had) return ns_fail(NS_EFORMAT, "%s: '%s' matches no file", what, pattern);
    return NS_OK;
}

static ns_status expand_one(ns_texts *out, const char *pattern, const char *what)
{
    struct stat facts;
    /* A name that is there is meant, even with a bracket in it. */
    int tries = 0, result;
    do result = stat(pattern, &facts);
    while (result != 0 && ns_again(&tries));
    bool there = result == 0;
    int cause = errno;
    if (there && S_ISDIR(facts.st_mode))
        return ns_fail(NS_EFORMAT, "%s: '%s' is a folder, not a file (all files in it: %s/*.h5)", what,
                       pattern, pattern);
    if (there) return ns_texts_append(out, pattern, (int64_t)strlen(pattern));
    if (strpbrk(pattern, "*?[") == NULL)
        return ns_fail(NS_EFORMAT, "%s: '%s': %s", what, pattern,
                       cause == ENOENT ? "no such file" : strerror(cause));
    glob_t found = {0};
    result = glob(pattern, GLOB_MARK | GLOB_NOSORT, NULL, &found);
    ns_status status;
    if (result == 0)
        status = add_matches(out, &found, pattern, what);
    else if (result == GLOB_NOSPACE)
        status = ns_fail(NS_ENOMEM, "%s: no memory to expand '%s'", what, pattern);
    else if (result == GLOB_NOMATCH)
        status = ns_fail(NS_EFORMAT, "%s: '%s' matches no file", what, pattern);
    else
        status = ns_fail(NS_EFORMAT, "%s: '%s': its folder cannot be read", what, pattern);
    globfree(&found);
    return status;
}

ns_status ns_cohort_expand(ns_texts *out, const char *const *patterns, int64_t n_patterns, const char *what)
{
    for (int64_t i = 0; i < n_patterns; i++) NS_TRY(expand_one(out, patterns[i], what));
    return ns_texts_sort_unique(out);
}

/* ---- the schema of all files, on rank 0 ---- */

/* Kinds and storage of the table so far. A file without rows says nothing about types it did not declare. */
typedef struct table_schema {
    ns_file_schema base;
    const char *base_path;
    bool *kind_firm, *type_firm; /* [base.n_columns] */
    uint8_t *storage, *source;   /* [n_columns][n_files] */
} table_schema;

static void table_destroy(table_schema *table)
{
    ns_file_schema_destroy(&table->base);
    free(table->kind_firm);
    free(table->type_firm);
    free(table->storage);
    free(table->source);
}

static bool is_firm_kind(const ns_file_schema *file, int32_t i)
{
    return file->n_rows > 0 || file->columns[i].declared;
}

static ns_status same_names(const table_schema *table, const ns_file_schema *file, const char *path,
                            ns_layout layout)
{
    const ns_file_schema *base = &table->base;
    if (layout == NS_LAYOUT_MATRIX && base->n_columns != file->n_columns)
        return ns_fail(NS_EFORMAT, "%s: has %d columns in /x and /y, %s has %d", path, file->n_columns,
                       table->base_path, base->n_columns);
    for (int32_t i = 0; i < base->n_columns || i < file->n_columns; i++) {
        const char *mine = i < base->n_columns ? base->columns[i].name : NULL;
        const char *theirs = i < file->n_columns ? file->columns[i].name : NULL;
        int order = mine == NULL ? 1 : theirs == NULL ? -1 : strcmp(mine, theirs);
        if (order < 0)
            return ns_fail(NS_EFORMAT, "%s: has no column '%s', which %s has", path, mine, table->base_path);
        if (order > 0)
            return ns_fail(NS_EFORMAT, "%s: has no column '%s', which %s has", table->base_path, theirs,
                           path);
    }
    return NS_OK;
}

static ns_status same_column(table_schema *table, const ns_file_schema *file, int32_t i, const char *path)
{
    ns_column_schema *base = &table->base.columns[i];
    const ns_column_schema *column = &file->columns[i];
    if (is_firm_kind(file, i)) {
        if (table->kind_firm[i] && base->kind != column->kind)
            return ns_fail(NS_EFORMAT, "%s: column '%s' is of kind %s, in %s of kind %s", path, base->name,
                           ns_column_kind_name(column->kind), table->base_path,
                           ns_column_kind_name(base->kind));
        base->kind = column->kind;
        table->kind_firm[i] = true;
    }
    if (file->n_rows > 0) {
        bool text = column->storage == NS_STORED_TEXT;
        if (table->type_firm[i] && base->kind == NS_COL_ID && (base->storage == NS_STORED_TEXT) != text)
            return ns_fail(NS_EFORMAT, "%s: column '%s' holds %s, in %s %s", path, base->name,
                           text ? "strings" : "integers", table->base_path, text ? "integers" : "strings");
        if (!table->type_firm[i]) base->storage = column->storage;
        table->type_firm[i] = true;
    }
    return NS_OK;
}

/* Takes file f into the table; the first one becomes its base. */
static ns_status join_file(table_schema *table, ns_file_schema *file, int32_t f, int32_t n_files,
                           const char *path, ns_layout layout)
{
    if (f == 0) {
        table->base = *file;
        *file = (ns_file_schema){0};
        table->base_path = path;
        size_t n = (size_t)table->base.n_columns;
        table->kind_firm = calloc(n, sizeof *table->kind_firm);
        table->type_firm = calloc(n, sizeof *table->type_firm);
        table->storage = calloc(n * (size_t)n_files, 1);
        table->source = calloc(n * (size_t)n_files, 1);
        if (table->kind_firm == NULL || table->type_firm == NULL || table->storage == NULL ||
            table->source == NULL)
            return ns_fail(NS_ENOMEM, "no memory for %zu columns of %d files", n, n_files);
        file = &table->base;
    } else {
        NS_TRY(same_names(table, file, path, layout));
    }
    for (int32_t i = 0; i < file->n_columns; i++) {
        size_t at = (size_t)i * (size_t)n_files + (size_t)f;
        table->storage[at] = (uint8_t)file->columns[i].storage;
        table->source[at] = (uint8_t)file->columns[i].levels;
        NS_TRY(same_column(table, file, i, path));
    }
    return NS_OK;
}

/* Looks at one file and packs its facts. */
static ns_status survey_file(ns_pack *pack, table_schema *table, int32_t f, int32_t n_files, char *path,
                             ns_layout layout)
{
    ns_table_file facts = {.path = path};
    ns_file_schema schema = {0};
    hid_t file = -1;
    ns_status status = ns_cohort_file_facts(&facts);
    const char *before = ns_crash_watch(path);
    if (status == NS_OK) status = ns_h5_open_read(&file, path, NS_EFORMAT);
    if (status == NS_OK) status = ns_file_schema_read(&schema, file, path, layout);
    if (file >= 0) H5Fclose(file);
    ns_crash_watch(before);
    if (status == NS_OK) {
        ns_pack_text(pack, path);
        ns_pack_int(pack, schema.n_rows);
        ns_pack_int(pack, facts.n_bytes);
        ns_pack_int(pack, facts.seconds);
        ns_pack_int(pack, facts.nanoseconds);
        ns_pack_int(pack, (int64_t)facts.inode);
        status = join_file(table, &schema, f, n_files, path, layout);
    }
    ns_file_schema_destroy(&schema);
    return status;
}

/* Packs the optional attribute of a column; "" where it is absent, or not text. */
static void pack_note(ns_pack *pack, hid_t file, const char *link, const char *name, const char *path)
{
    char *text = NULL;
    hid_t dataset = file >= 0 ? H5Dopen2(file, link, H5P_DEFAULT) : -1;
    if (dataset >= 0 && ns_h5_read_text_attribute(&text, dataset, name, path, NS_EFORMAT) != NS_OK)
        ns_error_clear();
    ns_pack_text(pack, text != NULL ? text : "");
    free(text);
    if (dataset >= 0) H5Dclose(dataset);
}

static ns_status pack_columns(ns_pack *pack, const table_schema *table, int32_t n_files, ns_layout layout)
{
    hid_t file = -1;
    if (layout == NS_LAYOUT_COLUMNS) NS_TRY(ns_h5_open_read(&file, table->base_path, NS_EFORMAT));
    ns_pack_int(pack, table->base.n_columns);
    for (int32_t i = 0; i < table->base.n_columns && !pack->failed; i++) {
        const ns_column_schema *column = &table->base.columns[i];
        bool in_x = layout == NS_LAYOUT_MATRIX && column->name[0] == 'x';
        char *link = layout == NS_LAYOUT_COLUMNS ? ns_h5_encode_name("/columns/", column->name) : NULL;
        pack->failed = pack->failed || (layout == NS_LAYOUT_COLUMNS && link == NULL);
        if (pack->failed) break;
        const char *path = link != NULL ? link : in_x ? "/x" : "/y";
        ns_pack_text(pack, column->name);
        ns_pack_text(pack, path);
        ns_pack_int(pack, column->kind);
        ns_pack_int(pack, column->kind == NS_COL_ID && column->storage == NS_STORED_TEXT);
        ns_pack_int(pack, layout == NS_LAYOUT_COLUMNS ? i : in_x ? 0 : 1);
        ns_pack_int(pack, in_x ? i : -1);
        pack_note(pack, file, path, "unit", table->base_path);
        pack_note(pack, file, path, "description", table->base_path);
        ns_pack_bytes(pack, table->storage + (size_t)i * (size_t)n_files, (size_t)n_files);
        ns_pack_bytes(pack, table->source + (size_t)i * (size_t)n_files, (size_t)n_files);
        free(link);
    }
    if (file >= 0) H5Fclose(file);
    return NS_OK;
}

/* files as C strings, since a path goes into system calls. */
static ns_status survey(ns_pack *pack, const ns_texts *files, ns_layout layout)
{
    table_schema table = {0};
    int32_t n_files = (int32_t)files->n;
    char **paths = calloc((size_t)n_files + 1, sizeof *paths);
    ns_status status = paths == NULL ? ns_fail(NS_ENOMEM, "no memory for %d files", n_files) : NS_OK;
    if (status == NS_OK && n_files == 0) status = ns_fail(NS_EFORMAT, "a cohort needs at least one file");
    ns_pack_int(pack, n_files);
    for (int32_t f = 0; f < n_files && status == NS_OK; f++) {
        int64_t n_bytes;
        const char *text = ns_text_at(files, f, &n_bytes);
        paths[f] = calloc((size_t)n_bytes + 1, 1);
        if (paths[f] == NULL) {
            status = ns_fail(NS_ENOMEM, "no memory for %d files", n_files);
            break;
        }
        memcpy(paths[f], text, (size_t)n_bytes);
        status = survey_file(pack, &table, f, n_files, paths[f], layout);
    }
    if (status == NS_OK) status = pack_columns(pack, &table, n_files, layout);
    if (status == NS_OK && pack->failed)
        status = ns_fail(NS_ENOMEM, "no memory for the columns of %d files", n_files);
    for (int32_t f = 0; f < n_files && paths != NULL; f++) free(paths[f]);
    free(paths);
    table_destroy(&table);
    return status;
}

/* ---- the object, on all ranks ---- */

static char *copy_text(ns_pack *pack)
{
    const char *text = ns_unpack_text(pack);
    size_t n_bytes = strlen(text) + 1;
    char *copy = malloc(n_bytes);
    if (copy != NULL) memcpy(copy, text, n_bytes);
    return copy;
}

static uint8_t *copy_bytes(ns_pack *pack, int32_t n)
{
    const void *bytes = ns_unpack_bytes(pack, (size_t)n);
    uint8_t *copy = malloc((size_t)n);
    if (copy != NULL) memcpy(copy, bytes, (size_t)n);
    return copy;
}

static ns_status unpack_files(ns_cohort *cohort, ns_pack *pack)
{
    int32_t n = (int32_t)ns_unpack_int(pack);
    cohort->files = calloc((size_t)n, sizeof *cohort->files);
    if (cohort->files == NULL) return ns_fail(NS_ENOMEM, "no memory for %d files", n);
    for (int32_t f = 0; f < n; f++) {
        ns_table_file *file = &cohort->files[f];
        file->id = -1;
        file->descriptor = -1;
        cohort->n_files++;
        file->path = copy_text(pack);
        if (file->path == NULL) return ns_fail(NS_ENOMEM, "no memory for %d files", n);
        file->n_rows = ns_unpack_int(pack);
        file->n_bytes = ns_unpack_int(pack);
        file->seconds = ns_unpack_int(pack);
        file->nanoseconds = ns_unpack_int(pack);
        file->inode = (uint64_t)ns_unpack_int(pack);
        file->first_row = cohort->n_rows;
        if (file->n_rows > INT64_MAX / 16 - cohort->n_rows)
            return ns_fail(NS_EFORMAT, "%s: n_rows = %" PRId64 ", more rows than can be counted", file->path,
                           file->n_rows);
        cohort->n_rows += file->n_rows;
    }
    return NS_OK;
}

static ns_status unpack_columns(ns_cohort *cohort, ns_pack *pack)
{
    int32_t n = (int32_t)ns_unpack_int(pack);
    cohort->columns = calloc((size_t)n, sizeof *cohort->columns);
    if (cohort->columns == NULL) return ns_fail(NS_ENOMEM, "no memory for %d columns", n);
    for (int32_t i = 0; i < n; i++) {
        ns_table_column *column = &cohort->columns[i];
        cohort->n_columns++;
        column->shown.name = copy_text(pack);
        column->link = copy_text(pack);
        column->shown.kind = (ns_column_kind)ns_unpack_int(pack);
        column->shown.is_text = ns_unpack_int(pack) != 0;
        column->slot = (int32_t)ns_unpack_int(pack);
        column->matrix_at = (int32_t)ns_unpack_int(pack);
        column->shown.unit = copy_text(pack);
        column->shown.description = copy_text(pack);
        column->storage = copy_bytes(pack, cohort->n_files);
        column->source = copy_bytes(pack, cohort->n_files);
        if (column->shown.name == NULL || column->link == NULL || column->shown.unit == NULL ||
            column->shown.description == NULL || column->storage == NULL || column->source == NULL)
            return ns_fail(NS_ENOMEM, "no memory for %d columns", n);
    }
    return NS_OK;
}

static ns_status build(ns_cohort **out, ns_pack *pack, ns_layout layout)
{
    ns_cohort *cohort = calloc(1, sizeof *cohort);
    *out = cohort;
    if (cohort == NULL) return ns_fail(NS_ENOMEM, "no memory for a cohort");
    cohort->layout = layout;
    const char *way = getenv("NIGHTSHIFT_READ");
    cohort->hdf5_only = way != NULL && strcmp(way, "hdf5") == 0;
    cohort->scratch = malloc(NS_PIECE_ROWS * sizeof(long double));
    if (cohort->scratch == NULL) return ns_fail(NS_ENOMEM, "no memory for a cohort");
    NS_TRY(unpack_files(cohort, pack));
    return unpack_columns(cohort, pack);
}

ns_status ns_cohort_open(ns_cohort **out, const ns_texts *files, ns_layout layout, MPI_Comm comm)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    *out = NULL;
    ns_pack pack = {0};
    ns_h5_quiet();
    ns_status status = ns_agree(rank == 0 ? survey(&pack, files, layout) : NS_OK, comm);
    if (status != NS_OK) goto done;
    void *bytes = pack.bytes;
    status = ns_share_bytes(&bytes, &pack.n, 0, comm);
    pack.bytes = bytes;
    if (status != NS_OK) goto done;
    status = ns_agree(build(out, &pack, layout), comm);
done:
    free(pack.bytes);
    if (status != NS_OK) ns_cohort_close(out);
    return status;
}

static void column_destroy(ns_table_column *column)
{
    free((char *)column->shown.name);
    free((char *)column->shown.unit);
    free((char *)column->shown.description);
    free(column->link);
    free(column->storage);
    free(column->source);
    ns_text_index_destroy(&column->index);
    ns_texts_destroy(&column->levels);
    free(column->level_hash);
    for (int32_t i = 0; i < column->n_maps; i++) free(column->maps[i].code);
    free(column->maps);
    free(column->map_of_file);
}

void ns_cohort_close(ns_cohort **handle)
{
    ns_cohort *cohort = *handle;
    if (cohort == NULL) return;
    ns_cohort_close_files(cohort);
    ns_cohort_forget_kept(cohort);
    ns_pool_destroy(&cohort->pool);
    for (int32_t f = 0; f < cohort->n_files; f++) free(cohort->files[f].path);
    for (int32_t i = 0; i < cohort->n_columns; i++) column_destroy(&cohort->columns[i]);
    ns_matrix_forget(cohort);
    free(cohort->files);
    free(cohort->columns);
    free(cohort->scratch);
    free(cohort);
    *handle = NULL;
}

int64_t ns_cohort_n_rows(const ns_cohort *cohort)
{
    return cohort->n_rows;
}

int32_t ns_cohort_n_columns(const ns_cohort *cohort)
{
    return cohort->n_columns;
}

const ns_column *ns_cohort_column(const ns_cohort *cohort, int32_t column)
{
    return &cohort->columns[column].shown;
}

int32_t ns_cohort_find(const ns_cohort *cohort, const char *name)
{
    int32_t low = 0, high = cohort->n_columns - 1;
    while (low <= high) {
        int32_t middle = low + (high - low) / 2;
        int order = strcmp(name, cohort->columns[middle].shown.name);
        if (order == 0) return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

int32_t ns_cohort_n_files(const ns_cohort *cohort)
{
    return cohort->n_files;
}

const char *ns_cohort_file(const ns_cohort *cohort, int32_t file, int64_t *first_row, int64_t *n_rows,
                           int64_t *n_bytes)
{
    const ns_table_file *at = &cohort->files[file];
    if (first_row != NULL) *first_row = at->first_row;
    if (n_rows != NULL) *n_rows = at->n_rows;
    if (n_bytes != NULL) *n_bytes = at->n_bytes;
    return at->path;
}

int64_t ns_cohort_inexact(const ns_cohort *cohort, int32_t column)
{
    return cohort->columns[column].n_inexact;
}

ns_status ns_cohort_check_exact(ns_cohort *cohort, MPI_Comm comm)
{
    int64_t n = cohort->n_columns;
    int64_t *seen = malloc((size_t)(2 * n + 1) * sizeof *seen); /* per column: inexact, fraction */
    ns_status status =
        ns_agree(seen == NULL ? ns_fail(NS_ENOMEM, "no memory to check columns") : NS_OK, comm);
    if (status != NS_OK) goto done;
    for (int64_t i = 0; i < n; i++) {
        seen[2 * i] = cohort->columns[i].shown.kind == NS_COL_NUMBER ? cohort->columns[i].n_inexact : 0;
        seen[2 * i + 1] = cohort->columns[i].has_fraction;
    }
    ns_sum_i64(seen, 2 * n, comm);
    for (int64_t i = 0; i < n && status == NS_OK; i++)
        if (seen[2 * i] > 0 && seen[2 * i + 1] == 0)
            status = ns_fail(NS_EFORMAT,
                             "column '%s': %" PRId64
                             " whole numbers do not fit float32 (exact up to 16777216) and would change; "
                             "give it the kind id or category, or leave it out of the features",
                             cohort->columns[i].shown.name, seen[2 * i]);
    status = ns_agree(status, comm);
done:
    free(seen);
    return status;
}

ns_status ns_cohort_unchanged(ns_cohort *cohort, MPI_Comm comm)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    ns_status status = NS_OK;
    for (int32_t f = 0; f < cohort->n_files && status == NS_OK; f++)
        if (rank == 0 || cohort->files[f].seen) status = ns_cohort_file_unchanged(&cohort->files[f]);
    status = ns_agree(status, comm);
    return status == NS_OK ? ns_cohort_report_reading(cohort, comm) : status;
}
