#include "jobs/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jobs/number.h"
#include "jobs/words.h"
#include "jobs/yaml.h"

/* Entries come in the order of the file, those of one column together; what must hold between the keys of a
   column is checked when all are read. */
static const char *const kinds[] = {[NS_SCHEMA_NUMBER] = "number",
                                    [NS_SCHEMA_CATEGORY] = "category",
                                    [NS_SCHEMA_ID] = "id",
                                    [NS_SCHEMA_TIME] = "time",
                                    [NS_SCHEMA_SKIP] = "skip"};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const char *const column_keys[] = {"kind", "format", "zone", "prefix", "unit", "description"};
enum { N_COLUMN_KEYS = sizeof column_keys / sizeof *column_keys };

typedef struct reading {
    ns_schema *schema;
    const char *path;
} reading;

/* "PATH:LINE: KEY: what", the key as in the file: columns.age.kind. */
static ns_status refuse(const reading *r, int32_t line, const ns_yaml_entry *entry, const char *what)
{
    char key[3 * NS_CUT_ROOM + 8] = "";
    size_t n = 0;
    for (int32_t i = 0; i < entry->n_keys && i < 3; i++) {
        char cut[NS_CUT_ROOM];
        int wrote = snprintf(key + n, sizeof key - n, "%s%s", i == 0 ? "" : ".",
                             ns_cut(cut, entry->keys[i], strlen(entry->keys[i])));
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    return ns_fail(NS_EINVAL, "%s:%d: %s: %s", r->path, (int)line, key, what);
}

static ns_status refuse_unknown(const reading *r, const ns_yaml_entry *entry, const char *key,
                                const char *const *known, size_t n_known)
{
    const char *nearest = known[0];
    for (size_t i = 1; i < n_known; i++)
        if (ns_distance(key, known[i]) < ns_distance(key, nearest)) nearest = known[i];
    char what[100];
    snprintf(what, sizeof what, "unknown key; the nearest is %s", nearest);
    return refuse(r, entry->line, entry, what);
}

static bool is_nothing(const ns_yaml_entry *entry)
{
    return entry->kind == NS_YAML_EMPTY_SECTION || (entry->kind == NS_YAML_SCALAR && entry->items[0].is_null);
}

/* Here ~ and an empty text are cells of a CSV like any other. */
static ns_status read_missing(const reading *r, const ns_yaml_entry *entry)
{
    if (entry->n_keys > 1 || entry->kind == NS_YAML_EMPTY_SECTION)
        return refuse(r, entry->line, entry, "expected a list of texts, such as [\"\", \"NA\"]");
    if (is_nothing(entry)) return NS_OK;
    ns_schema *schema = r->schema;
    schema->missing = calloc((size_t)entry->n_items + 1, sizeof *schema->missing); /* + 1: never zero bytes */
    if (schema->missing == NULL) return ns_fail(NS_ENOMEM, "out of memory for the schema");
    for (int64_t i = 0; i < entry->n_items; i++) schema->missing[i] = entry->items[i].text;
    schema->n_missing = entry->n_items;
    return NS_OK;
}

static ns_status read_kind(const reading *r, const ns_yaml_entry *entry, ns_schema_column *column)
{
    const ns_yaml_scalar *value = &entry->items[0];
    for (int i = NS_SCHEMA_NUMBER; i < N_KINDS; i++)
        if (strcmp(value->text, kinds[i]) == 0) {
            column->kind = (ns_schema_kind)i;
            return NS_OK;
        }
    char cut[NS_CUT_ROOM], what[200];
    snprintf(what, sizeof what, "'%s' is not one of number, category, id, time, skip",
             ns_cut(cut, value->text, strlen(value->text)));
    return refuse(r, value->line, entry, what);
}

static ns_status read_prefix(const reading *r, const ns_yaml_entry *entry, ns_schema_column *column)
{
    enum { MOST = 1000 };
    const ns_yaml_scalar *value = &entry->items[0];
    int64_t prefix = 0;
    if (ns_integer_read(value->text, strlen(value->text), &prefix) && prefix >= 1 && prefix <= MOST) {
        column->prefix = (int32_t)prefix;
        return NS_OK;
    }
    char cut[NS_CUT_ROOM], what[200];
    snprintf(what, sizeof what, "%s is not a whole number from 1 to %d",
             ns_cut(cut, value->text, strlen(value->text)), MOST);
    return refuse(r, value->line, entry, what);
}

static ns_status read_column_key(const reading *r, const ns_yaml_entry *entry, ns_schema_column *column)
{
    const char *key = entry->keys[2];
    bool known = false;
    for (size_t i = 0; i < N_COLUMN_KEYS; i++) known = known || strcmp(key, column_keys[i]) == 0;
    if (!known) return refuse_unknown(r, entry, key, column_keys, N_COLUMN_KEYS);
    if (entry->n_keys > 3 || entry->kind != NS_YAML_SCALAR)
        return refuse(r, entry->line, entry, "takes one value, not a list or section");
    if (is_nothing(entry)) return NS_OK;
    const char *text = entry->items[0].text;
    if (strcmp(key, "kind") == 0) return read_kind(r, entry, column);
    if (strcmp(key, "prefix") == 0) return read_prefix(r, entry, column);
    if (*text == '\0') return refuse(r, entry->items[0].line, entry, "is empty");
    if (strcmp(key, "format") == 0)
        column->format = text;
    else if (strcmp(key, "zone") == 0)
        column->zone = text;
    else if (strcmp(key, "unit") == 0)
        column->unit = text;
    else
        column->description = text;
    return NS_OK;
}

static ns_status read_column(const reading *r, const ns_yaml_entry *entry)
{
    ns_schema *schema = r->schema;
    const char *name = entry->keys[1];
    ns_schema_column *column = schema->n_columns > 0 ? &schema->columns[schema->n_columns - 1] : NULL;
    if (entry->n_keys == 2 && !is_nothing(entry))
        return refuse(r, entry->line, entry, "expected keys such as {kind: number}");
    if (column == NULL ||
        strcmp(column->name, name) != 0) { /* a name stands once: the reader refuses a second */
        column = &schema->columns[schema->n_columns++];
        *column = (ns_schema_column){.name = name, .line = entry->line};
    }
    return entry->n_keys == 2 ? NS_OK : read_column_key(r, entry, column);
}

static ns_status read_entry(const reading *r, const ns_yaml_entry *entry)
{
    static const char *const sections[] = {"missing", "columns"};
    if (entry->n_keys == 0) {
        if (is_nothing(entry)) return NS_OK;
        return ns_fail(NS_EINVAL, "%s:%d: expected the keys missing and columns", r->path, (int)entry->line);
    }
    if (strcmp(entry->keys[0], "missing") == 0) return read_missing(r, entry);
    if (strcmp(entry->keys[0], "columns") != 0) return refuse_unknown(r, entry, entry->keys[0], sections, 2);
    if (entry->n_keys > 1) return read_column(r, entry);
    return is_nothing(entry)
               ? NS_OK
               : refuse(r, entry->line, entry, "expected the names of columns, each with its keys");
}

/* A key that its column's kind makes no use of would be a wish that nobody hears. */
static ns_status check_column(const reading *r, const ns_schema_column *column)
{
    const char *key = NULL, *needs = NULL;
    if (column->format != NULL && column->kind != NS_SCHEMA_TIME) {
        key = "format";
        needs = "time";
    } else if (column->zone != NULL && column->kind != NS_SCHEMA_TIME) {
        key = "zone";
        needs = "time";
    } else if (column->prefix > 0 && column->kind != NS_SCHEMA_CATEGORY) {
        key = "prefix";
        needs = "category";
    } else if (column->unit != NULL && column->kind != NS_SCHEMA_NUMBER &&
               column->kind != NS_SCHEMA_INFERRED) {
        key = "unit";
        needs = "number";
    }
    if (key == NULL) return NS_OK;
    char cut[NS_CUT_ROOM];
    return ns_fail(NS_EINVAL, "%s:%d: columns.%s.%s: only a column of kind %s has one", r->path,
                   (int)column->line, ns_cut(cut, column->name, strlen(column->name)), key, needs);
}

static ns_status read_all(const reading *r, const ns_yaml *yaml)
{
    r->schema->columns =
        calloc((size_t)yaml->n_entries + 1, sizeof *r->schema->columns); /* + 1: never zero bytes */
    if (r->schema->columns == NULL) return ns_fail(NS_ENOMEM, "out of memory for the schema");
    for (int64_t i = 0; i < yaml->n_entries; i++) NS_TRY(read_entry(r, &yaml->entries[i]));
    for (int64_t i = 0; i < r->schema->n_columns; i++) NS_TRY(check_column(r, &r->schema->columns[i]));
    return NS_OK;
}

ns_status ns_schema_parse(ns_schema **out, const char *text, const char *path)
{
    *out = NULL;
    ns_yaml_problem problem;
    ns_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL) return ns_fail(NS_ENOMEM, "out of memory for the schema");
    const reading r = {.schema = schema, .path = path};
    ns_status status = ns_yaml_read(&schema->texts, text, &problem);
    if (status == NS_EINVAL) ns_fail(NS_EINVAL, "%s:%d: %s", path, (int)problem.line, problem.message);
    if (status == NS_OK) status = read_all(&r, schema->texts);
    if (status != NS_OK) ns_schema_destroy(&schema);
    *out = schema;
    return status;
}

void ns_schema_destroy(ns_schema **schema)
{
    if (*schema == NULL) return;
    ns_yaml_destroy(&(*schema)->texts);
    free((*schema)->missing);
    free((*schema)->columns);
    free(*schema);
    *schema = NULL;
}

const ns_schema_column *ns_schema_find(const ns_schema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_columns; i++)
        if (strcmp(schema->columns[i].name, name) == 0) return &schema->columns[i];
    return NULL;
}

/* --- printing --- */

/* Plain where nobody could take it for anything but this text, else in double quotes. */
static void print_text(FILE *to, const char *text)
{
    static const char *const taken[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    bool plain = isalpha((unsigned char)text[0]) != 0;
    for (const char *p = text; *p != '\0'; p++) plain = plain && (isalnum((unsigned char)*p) || *p == '_');
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) plain = plain && strcasecmp(text, taken[i]) != 0;
    if (plain) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(to, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(to, "\\x%02x", *p);
        else
            fputc(*p, to);
    }
    fputc('"', to);
}

static void print_key(FILE *to, const char *key, const char *text)
{
    if (text == NULL) return;
    fprintf(to, ", %s: ", key);
    print_text(to, text);
}

static void print_column(FILE *to, const ns_schema_column *column)
{
    fputs("  ", to);
    print_text(to, column->name);
    if (column->kind == NS_SCHEMA_INFERRED) {
        fputs(":\n", to);
        return;
    }
    fprintf(to, ": {kind: %s", kinds[column->kind]);
    print_key(to, "format", column->format);
    print_key(to, "zone", column->zone);
    if (column->prefix > 0) fprintf(to, ", prefix: %d", (int)column->prefix);
    print_key(to, "unit", column->unit);
    print_key(to, "description", column->description);
    fputs("}\n", to);
}

ns_status ns_schema_print(char **out, const ns_schema *schema, const char *const *comments)
{
    size_t size = 0;
    *out = NULL;
    FILE *to = open_memstream(out, &size);
    if (to == NULL) return ns_fail(NS_ENOMEM, "out of memory for the schema");
    fputs("# Cells with exactly one of these texts are missing.\nmissing: [", to);
    for (int64_t i = 0; i < schema->n_missing; i++) {
        if (i > 0) fputs(", ", to);
        print_text(to, schema->missing[i]);
    }
    fputs("]\n\n# kind: number, category, id, time or skip; see the reference of the job file.\ncolumns:\n", to);
    for (int64_t i = 0; i < schema->n_columns; i++) {
        if (comments != NULL && comments[i] != NULL) fputs(comments[i], to);
        print_column(to, &schema->columns[i]);
    }
    bool whole = !ferror(to);
    if (fclose(to) == 0 && whole) return NS_OK;
    free(*out);
    *out = NULL;
    return ns_fail(NS_ENOMEM, "out of memory for the schema");
}
