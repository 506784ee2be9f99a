/* The verb import: what is asked on the command line and in the schema file, what is said of the table. One process is enough;
   other ranks wait. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "data/durable.h"
#include "data/import.h"
#include "jobs/schema.h"
#include "runner/context.h"
#include "runner/writable.h"

/* What one import is asked. */
typedef struct request {
    const char *const *csvs;
    int64_t n_csvs;
    char *out, *rejects;      /* the file to write: beside the named one with --append */
    char *schema_text;
    ns_schema *schema;        /* NULL: none given */
    ns_import_column *columns;
    ns_import_schema as_import;
    ns_import_options options;
} request;

/* --- the schema file --- */

static ns_import_kind import_kind(ns_schema_kind kind)
{
    switch (kind) {
    case NS_SCHEMA_INFERRED: return NS_IMPORT_INFER;
    case NS_SCHEMA_NUMBER: return NS_IMPORT_NUMBER;
    case NS_SCHEMA_CATEGORY: return NS_IMPORT_CATEGORY;
    case NS_SCHEMA_ID: return NS_IMPORT_ID;
    case NS_SCHEMA_TIME: return NS_IMPORT_TIME;
    case NS_SCHEMA_SKIP: return NS_IMPORT_SKIP;
    }
    return NS_IMPORT_INFER;
}

/* The schema as data/import.h wants it; texts are borrowed from the request's. */
static ns_status convert_schema(request *r, const char *path)
{
    const ns_schema *schema = r->schema;
    r->columns = calloc((size_t)schema->n_columns + 1, sizeof *r->columns);
    if (r->columns == NULL) return ns_fail(NS_ENOMEM, "no memory for '%s'", path);
    for (int64_t i = 0; i < schema->n_columns; i++) {
        const ns_schema_column *c = &schema->columns[i];
        r->columns[i] = (ns_import_column){.name = c->name, .kind = import_kind(c->kind), .prefix = c->prefix, .format = c->format,
                                           .zone = c->zone, .unit = c->unit, .description = c->description, .line = c->line};
    }
    r->as_import = (ns_import_schema){.path = path, .missing = (const char *const *)schema->missing,
                                      .n_missing = schema->n_missing, .columns = r->columns, .n_columns = schema->n_columns};
    r->options.schema = &r->as_import;
    return NS_OK;
}

static ns_status read_schema(request *r, const char *path)
{
    size_t n = 0;
    bool found = true;
    ns_status status = ns_read_whole(path, &r->schema_text, &n, &found);
    if (status != NS_OK || !found) {
        ns_error_clear();
        return ns_fail(NS_EINVAL, "--schema: '%s' cannot be read", path);
    }
    if (strlen(r->schema_text) != n) return ns_fail(NS_EINVAL, "%s: holds a NUL byte, so it is not a schema", path);
    NS_TRY(ns_schema_parse(&r->schema, r->schema_text, path));
    return convert_schema(r, path);
}

/* --- the command line --- */

/* "50": lines; "0.1%": a share of all lines. */
static ns_status read_max_bad(request *r, const char *text)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    bool percent = strcmp(end, "%") == 0;
    bool whole = !percent && *end == '\0' && value == (double)(int64_t)(value < 1e15 && value >= 0 ? value : 0);
    if (end == text || errno != 0 || !(value >= 0) || !(percent ? value <= 100 : whole && value <= 1e12))
        return ns_fail(NS_EINVAL, "--max-bad: '%.40s' is neither a number of lines nor from 0%% to 100%%", text);
    r->options.max_bad.lines = percent ? (value > 0 ? INT64_MAX : 0) : (int64_t)value;
    r->options.max_bad.share = percent ? value / 100 : 1;
    return NS_OK;
}

static ns_status read_encoding(request *r, const char *text)
{
    static const char *const utf8[] = {"utf8", "utf-8", "UTF-8"}, *const latin1[] = {"latin1", "latin-1", "iso-8859-1", "ISO-8859-1"};
    for (size_t i = 0; i < sizeof utf8 / sizeof *utf8; i++)
        if (strcmp(text, utf8[i]) == 0) return NS_OK;
    for (size_t i = 0; i < sizeof latin1 / sizeof *latin1; i++) {
        if (strcmp(text, latin1[i]) != 0) continue;
        r->options.encoding = NS_CSV_LATIN1;
        return NS_OK;
    }
    return ns_fail(NS_EINVAL, "--encoding: '%.40s' is neither utf8 nor latin1", text);
}

/* Bytes of a path without the ".h5" or ".hdf5" at its end. */
static size_t stem_bytes(const char *path)
{
    static const char *const ends[] = {".h5", ".hdf5"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (n > end && path[n - end - 1] != '/' && strcmp(path + n - end, ends[i]) == 0) return n - end;
    }
    return n;
}

/* The file to write: OUT, or beside it the first of OUT_0002.h5, OUT_0003.h5, … that is not there; in the bytewise order of
   names they follow OUT.h5, as their rows do. */
static ns_status name_outputs(request *r, const char *out, bool append)
{
    enum { MOST = 9999 };
    size_t stem = stem_bytes(out), room = strlen(out) + 30;
    r->out = malloc(room);
    r->rejects = malloc(room);
    if (r->out == NULL || r->rejects == NULL) return ns_fail(NS_ENOMEM, "no memory for '%s'", out);
    snprintf(r->out, room, "%s", out);
    for (int n = 2; append && (n == 2 || ns_path_exists(r->out)); n++) {
        if (n > MOST) return ns_fail(NS_EINVAL, "--append: there are %d files beside '%s' already", MOST, out);
        snprintf(r->out, room, "%.*s_%04d%s", (int)stem, out, n, out + stem);
    }
    if (append) r->options.like = out;
    snprintf(r->rejects, room, "%.*s.rejects.csv", (int)stem_bytes(r->out), r->out);
    r->options.rejects = r->rejects;
    return NS_OK;
}

static void tell_bad_line(void *context, const char *message)
{
    (void)context;
    char quoted[1400];
    ns_log_event(NS_LOG_WARN, "bad_line", "where=%s", ns_log_value(quoted, sizeof quoted, message));
}

static ns_status check_inputs(const request *r)
{
    int n_standard = 0;
    for (int64_t i = 0; i < r->n_csvs; i++) n_standard += strcmp(r->csvs[i], "-") == 0;
    if (n_standard > 1) return ns_fail(NS_EINVAL, "import: standard input can be read only once");
    return NS_OK;
}

static ns_status read_request(request *r, const ns_args *args)
{
    const char *schema = ns_args_value(args, "--schema"), *write = ns_args_value(args, "--write-schema");
    const char *max_bad = ns_args_value(args, "--max-bad"), *encoding = ns_args_value(args, "--encoding");
    r->csvs = args->positional;
    r->n_csvs = args->n_positional - 1;
    r->options.bad_line = tell_bad_line;
    NS_TRY(check_inputs(r));
    if (max_bad != NULL) NS_TRY(read_max_bad(r, max_bad));
    if (encoding != NULL) NS_TRY(read_encoding(r, encoding));
    NS_TRY(name_outputs(r, args->positional[r->n_csvs], ns_args_value(args, "--append") != NULL));
    NS_TRY(ns_writable_file_here(r->out, "import"));
    if (write != NULL) {
        NS_TRY(ns_writable_file_here(write, "--write-schema"));
        if (ns_path_exists(write))
            return ns_fail(NS_EINVAL, "--write-schema: '%s' is there already; it may have been edited, so it is not replaced", write);
    }
    return schema != NULL ? read_schema(r, schema) : NS_OK;
}

/* --- what is said --- */

static const char *separator_name(char separator)
{
    return separator == ';' ? "semicolons" : separator == '\t' ? "tabs" : separator == '|' ? "bars (|)" : "commas";
}

static void say_files(const request *r, ns_context *context, const ns_import_report *report)
{
    json_t *files = json_array();
    for (int64_t i = 0; i < report->n_files; i++) {
        const ns_import_file_report *file = &report->files[i];
        const char *name = strcmp(r->csvs[i], "-") == 0 ? "standard input" : r->csvs[i];
        const char separator[2] = {file->separator, '\0'};
        if (file->separator != ',') fprintf(context->text, "  %s: its fields are separated by %s\n", name, separator_name(file->separator));
        if (file->mixed_ends) fprintf(context->text, "  %s: some of its lines end with LF, some with CRLF; both were taken\n", name);
        if (report->n_files > 1) fprintf(context->text, "  %s: %lld rows\n", name, (long long)file->n_rows);
        json_array_append_new(files, json_pack("{s:s, s:s, s:b, s:I}", "path", r->csvs[i], "separator", separator, "mixed_line_ends",
                                               file->mixed_ends, "rows", (json_int_t)file->n_rows));
    }
    if (r->as_import.missing == NULL)
        fprintf(context->text, "  taken as missing: empty cells and the texts ? NA NaN nan NULL; a schema may say others\n");
    json_object_set_new(context->summary, "files", files);
}

static void say_column(ns_context *context, const ns_import_column_report *c, json_t *columns)
{
    FILE *to = context->text;
    const char *kind = c->skipped ? "skip" : ns_column_kind_name(c->kind);
    json_t *advice = json_array();
    fprintf(to, "  %-28s %-9s %s", c->name, kind, c->inferred ? "inferred " : "as said  ");
    if (!c->skipped) {
        fprintf(to, "%lld missing, ", (long long)c->n_missing);
        fprintf(to, "%s%lld distinct", c->about ? "about " : "", (long long)c->n_distinct);
        if (c->n_inexact > 0) fprintf(to, ", %lld rounded to float32", (long long)c->n_inexact);
        if (c->n_zoneless > 0) fprintf(to, ", %lld without a time zone taken as UTC", (long long)c->n_zoneless);
    }
    fprintf(to, "\n");
    for (int i = 0; i < NS_N_ADVICE; i++) {
        if ((c->advice & 1U << i) == 0) continue;
        fprintf(to, "    look: %s\n", ns_advice_words(i));
        json_array_append_new(advice, json_string(ns_advice_words(i)));
    }
    json_array_append_new(columns, json_pack("{s:s, s:s, s:b, s:I, s:I, s:b, s:I, s:I, s:o}", "name", c->name, "kind", kind, "inferred",
                                             c->inferred, "missing", (json_int_t)c->n_missing, "distinct", (json_int_t)c->n_distinct,
                                             "distinct_about", c->about,
                                             "inexact", (json_int_t)c->n_inexact, "zoneless", (json_int_t)c->n_zoneless, "advice",
                                             advice));
}

static void say_import(const request *r, ns_context *context, const ns_import_report *report)
{
    json_t *columns = json_array();
    int64_t n_advised = 0;
    fprintf(context->text, "imported %lld rows, %lld columns to %s\n", (long long)report->n_rows, (long long)report->n_columns, r->out);
    say_files(r, context, report);
    if (report->n_bad > 0)
        fprintf(context->text, "  %lld bad lines were left out; they stand in %s\n", (long long)report->n_bad, r->rejects);
    for (int64_t i = 0; i < report->n_columns; i++) {
        say_column(context, &report->columns[i], columns);
        n_advised += report->columns[i].advice != 0;
    }
    if (n_advised > 0)
        fprintf(context->text, "%lld columns are worth a look (look: above); a schema decides: --write-schema FILE writes one to edit\n",
                (long long)n_advised);
    json_object_set_new(context->summary, "rows", json_integer(report->n_rows));
    json_object_set_new(context->summary, "bad_lines", json_integer(report->n_bad));
    json_object_set_new(context->summary, "rejects", report->n_bad > 0 ? json_string(r->rejects) : json_null());
    json_object_set_new(context->summary, "out", json_string(r->out));
    json_object_set_new(context->summary, "columns", columns);
}

/* --- the schema that is written --- */

static ns_schema_kind schema_kind(const ns_import_column_report *c)
{
    static const ns_schema_kind kinds[] = {[NS_COL_NUMBER] = NS_SCHEMA_NUMBER, [NS_COL_CATEGORY] = NS_SCHEMA_CATEGORY,
                                           [NS_COL_ID] = NS_SCHEMA_ID, [NS_COL_TIME] = NS_SCHEMA_TIME};
    return c->skipped ? NS_SCHEMA_SKIP : kinds[c->kind];
}

/* The advice about a column as comments; NULL where there is none. */
static char *comments_of(const ns_import_column_report *c)
{
    char *text = NULL;
    size_t size = 0;
    if (c->advice == 0) return NULL;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return NULL;
    for (int i = 0; i < NS_N_ADVICE; i++)
        if ((c->advice & 1U << i) != 0) fprintf(to, "  # %s\n", ns_advice_words(i));
    fclose(to);
    return text;
}

static ns_status print_schema(char **text, const request *r, const ns_import_report *report)
{
    static const char *usual[] = {"", "?", "NA", "NaN", "nan", "NULL"};
    size_t n = (size_t)report->n_columns + 1;
    ns_schema_column *columns = calloc(n, sizeof *columns);
    char **comments = calloc(n, sizeof *comments);
    ns_status status = columns == NULL || comments == NULL ? ns_fail(NS_ENOMEM, "no memory for the schema") : NS_OK;
    for (int64_t i = 0; status == NS_OK && i < report->n_columns; i++) {
        const ns_import_column_report *c = &report->columns[i];
        const ns_schema_column *said = r->schema != NULL ? ns_schema_find(r->schema, c->name) : NULL;
        if (said != NULL) columns[i] = *said;
        columns[i].name = c->name;
        columns[i].kind = schema_kind(c);
        comments[i] = comments_of(c);
    }
    ns_schema schema = {.missing = usual, .n_missing = (int64_t)(sizeof usual / sizeof *usual), .columns = columns,
                        .n_columns = report->n_columns};
    if (r->schema != NULL && r->schema->missing != NULL) {
        schema.missing = r->schema->missing;
        schema.n_missing = r->schema->n_missing;
    }
    if (status == NS_OK) status = ns_schema_print(text, &schema, (const char *const *)comments);
    for (size_t i = 0; comments != NULL && i < n; i++) free(comments[i]);
    free(comments);
    free(columns);
    return status;
}

static ns_status write_schema(const request *r, ns_context *context, const ns_import_report *report)
{
    const char *path = ns_args_value(context->args, "--write-schema");
    char *text = NULL;
    if (path == NULL) return NS_OK;
    ns_status status = print_schema(&text, r, report);
    if (status == NS_OK) status = ns_durable_publish(path, text, strlen(text), "schema");
    if (status == NS_OK) fprintf(context->text, "wrote the kinds to %s\n", path);
    free(text);
    return status;
}

static ns_status import(ns_context *context)
{
    request r = {0};
    ns_import_report report = {0};
    ns_status status = read_request(&r, context->args);
    if (status == NS_OK) status = ns_import_csv(&report, r.csvs, r.n_csvs, r.out, &r.options);
    if (status == NS_OK && r.options.max_bad.lines > 0 && report.n_bad == 0)
        status = ns_durable_remove(r.rejects, "rejects"); /* of an earlier import */
    if (status == NS_OK) {
        say_import(&r, context, &report);
        status = write_schema(&r, context, &report);
    }
    ns_import_report_free(&report);
    free(r.columns);
    ns_schema_destroy(&r.schema);
    free(r.schema_text);
    free(r.out);
    free(r.rejects);
    return status;
}

ns_status ns_verb_import(ns_context *context)
{
    return ns_agree(context->rank == 0 ? import(context) : NS_OK, context->comm);
}
