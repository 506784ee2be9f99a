#include "tests/check.h"

#include <stdbool.h>

#include "jobs/schema.h"

static void test_a_schema(void **state)
{
    (void)state;
    ns_schema *schema;
    CHECK_OK(ns_schema_parse(&schema,
                             "missing: ['', NA, ~, \"?\"]\n"
                             "columns:\n"
                             "  encounter_id: {kind: id}\n"
                             "  admitted at: {kind: time, format: '%d.%m.%Y', zone: Europe/Vienna}\n"
                             "  diag.1: {prefix: 3, kind: category}\n"
                             "  age:\n"
                             "  lactate:\n"
                             "    unit: mmol/L\n"
                             "    description: first value\n"
                             "  notes: {kind: skip}\n"
                             "  weight: {kind: number, unit: kg, format: }\n",
                             "s.yaml"));
    assert_int_equal(schema->n_missing, 4);
    assert_string_equal(schema->missing[0], "");
    assert_string_equal(schema->missing[1], "NA");
    assert_string_equal(schema->missing[2], "~");
    assert_string_equal(schema->missing[3], "?");
    assert_int_equal(schema->n_columns, 7);
    const ns_schema_column *c = schema->columns;
    assert_string_equal(c[0].name, "encounter_id");
    assert_int_equal(c[0].kind, NS_SCHEMA_ID);
    assert_int_equal(c[0].line, 3);
    assert_string_equal(c[1].name, "admitted at");
    assert_int_equal(c[1].kind, NS_SCHEMA_TIME);
    assert_string_equal(c[1].format, "%d.%m.%Y");
    assert_string_equal(c[1].zone, "Europe/Vienna");
    assert_string_equal(c[2].name, "diag.1");
    assert_int_equal(c[2].kind, NS_SCHEMA_CATEGORY);
    assert_int_equal(c[2].prefix, 3);
    assert_int_equal(c[3].kind, NS_SCHEMA_INFERRED);
    assert_null(c[3].unit);
    assert_int_equal(c[3].prefix, 0);
    assert_string_equal(c[4].unit, "mmol/L");
    assert_string_equal(c[4].description, "first value");
    assert_int_equal(c[5].kind, NS_SCHEMA_SKIP);
    assert_int_equal(c[6].kind, NS_SCHEMA_NUMBER);
    assert_null(c[6].format);
    assert_ptr_equal(ns_schema_find(schema, "age"), &c[3]);
    assert_null(ns_schema_find(schema, "diag"));
    ns_schema_destroy(&schema);
    assert_null(schema);
    ns_schema_destroy(&schema);
}

static void test_schemas_that_say_little(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "# nothing\n", "columns:\n", "columns: {}\nmissing:\n", "missing: []\n", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ns_schema *schema;
        CHECK_OK(ns_schema_parse(&schema, texts[i], "s.yaml"));
        assert_int_equal(schema->n_columns + schema->n_missing, 0);
        ns_schema_destroy(&schema);
    }
    ns_schema *schema;
    CHECK_OK(ns_schema_parse(&schema, "missing: NA", "s.yaml")); /* a list of one */
    assert_int_equal(schema->n_missing, 1);
    ns_schema_destroy(&schema);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"columns:\n  a: {kind: nummer}\n",
         "s.yaml:2: columns.a.kind: 'nummer' is not one of number, category, id, time, skip"},
        {"columns:\n  a: {kind: inferred}\n", "is not one of"},
        {"columns:\n  a:\n    knid: id\n", "s.yaml:3: columns.a.knid: unknown key; the nearest is kind"},
        {"colums:\n  a: {kind: id}\n", "s.yaml:2: colums.a.kind: unknown key; the nearest is columns"},
        {"misssing: [x]\n", "s.yaml:1: misssing: unknown key; the nearest is missing"},
        {"columns: [a, b]\n", "s.yaml:1: columns: expected the names of columns"},
        {"columns:\n  a: number\n", "s.yaml:2: columns.a: expected keys such as {kind: number}"},
        {"columns:\n  a: [kind]\n", "s.yaml:2: columns.a: expected keys"},
        {"columns:\n  a: {kind: [id]}\n", "s.yaml:2: columns.a.kind: takes one value"},
        {"columns:\n  a: {kind: {x: y}}\n", "s.yaml:2: columns.a.kind: takes one value"},
        {"columns:\n  a: {kind: category, prefix: 0}\n",
         "s.yaml:2: columns.a.prefix: 0 is not a whole number from 1 to 1000"},
        {"columns:\n  a: {kind: category, prefix: two}\n", "two is not a whole number"},
        {"columns:\n  a: {kind: time, format: ''}\n", "s.yaml:2: columns.a.format: is empty"},
        {"columns:\n  b: {kind: id}\n  a: {kind: id, format: x}\n",
         "s.yaml:3: columns.a.format: only a column of kind time"},
        {"columns:\n  a: {zone: UTC}\n", "columns.a.zone: only a column of kind time"},
        {"columns:\n  a: {kind: number, prefix: 2}\n", "columns.a.prefix: only a column of kind category"},
        {"columns:\n  a: {kind: id, unit: kg}\n", "columns.a.unit: only a column of kind number"},
        {"missing: {a: b}\n", "s.yaml:1: missing.a: expected a list of texts"},
        {"missing: {}\n", "s.yaml:1: missing: expected a list of texts"},
        {"columns:\n  a: {kind: id}\n  a: {kind: id}\n", "s.yaml:3: duplicate key 'a'"},
        {"columns:\n  a: {kind: &x id}\n", "s.yaml:2: anchors"},
        {"a\n", "s.yaml:1: expected the keys missing and columns"},
        {"columns: [\n", "s.yaml:2: not YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_schema *schema = (ns_schema *)&cases;
        CHECK_FAILS(ns_schema_parse(&schema, cases[i].text, "s.yaml"), NS_EINVAL, cases[i].message);
        assert_null(schema);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What is printed is read back to the same, whatever stands in names and texts. */
static void test_printing(void **state)
{
    (void)state;
    const char *missing[] = {"", "?", "NA", "null", "a \"b\"\\", "tab\there", "- x", "#", "M\xc3\xbcller", "~"};
    ns_schema_column columns[] = {
        {.name = "age", .kind = NS_SCHEMA_NUMBER, .unit = "a: [1]", .description = "in \"years\", #1"},
        {.name = "null", .kind = NS_SCHEMA_ID},
        {.name = "no", .kind = NS_SCHEMA_SKIP},
        {.name = "1st name, or \"other\"", .kind = NS_SCHEMA_CATEGORY, .prefix = 3},
        {.name = "gr\xc3\xb6\xc3\x9f" "e", .kind = NS_SCHEMA_INFERRED},
        {.name = "at: x", .kind = NS_SCHEMA_TIME, .format = "%d.%m.%Y %H:%M", .zone = "Europe/Vienna"},
    };
    enum { N = sizeof columns / sizeof *columns };
    const char *comments[N] = {"  # look\n", NULL, "  # one\n  # two\n", NULL, NULL, NULL};
    const ns_schema schema = {.missing = missing, .n_missing = sizeof missing / sizeof *missing, .columns = columns, .n_columns = N};
    char *text;
    ns_schema *back;
    CHECK_OK(ns_schema_print(&text, &schema, comments));
    assert_non_null(strstr(text, "  # look\n  age: {kind: number"));
    CHECK_OK(ns_schema_parse(&back, text, "printed"));
    assert_int_equal(back->n_missing, schema.n_missing);
    for (int64_t i = 0; i < schema.n_missing; i++) assert_string_equal(back->missing[i], missing[i]);
    assert_int_equal(back->n_columns, N);
    for (int i = 0; i < N; i++) {
        const ns_schema_column *a = &columns[i], *b = &back->columns[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->prefix, b->prefix);
        assert_true(same_text(a->format, b->format) && same_text(a->zone, b->zone));
        assert_true(same_text(a->unit, b->unit) && same_text(a->description, b->description));
    }
    ns_schema_destroy(&back);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_schema),
                                       cmocka_unit_test(test_printing),
                                       cmocka_unit_test(test_schemas_that_say_little),
                                       cmocka_unit_test(test_mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
