#include "tests/check.h"

#include <math.h>
#include <stdbool.h>

#include "jobs/where.h"

/*
 * A small cohort. Row    0       1       2       3        4       5
 * age (number)           17      18      65      missing  0.1f    -5
 * sex (category)         F       M       F       missing  11      M
 * at (time, UTC)         2024-03-01, 2024-03-01T08:30, 2025-01-01, missing, 1969-12-31T23:59:59, 2024-02-29
 * enc (int64 id)         11      13      11      missing  -2      9007199254740993
 * pat (text id)          11      a       b       missing  ab      x'y
 */
enum { N = 6 };
static const float age[N] = {17, 18, 65, NAN, 0.1f, -5};
static const char *const sex_levels[] = {"M", "F", "11", "unused"};
static const int32_t sex[N] = {1, 0, 1, -1, 2, 0};
static const int64_t at[N] = {1709251200, 1709281800, 1735689600, INT64_MIN, -1, 1709164800};
static const int64_t enc[N] = {11, 13, 11, INT64_MIN, -2, INT64_C(9007199254740993)};
static const char pat_text[] = "11abab"
                               "x'y";
static const int64_t pat_offset[N + 1] = {0, 2, 3, 4, 4, 6, 9};

static const char *level(const void *context, int64_t index, int64_t *n_bytes)
{
    const char *const *levels = context;
    *n_bytes = (int64_t)strlen(levels[index]);
    return levels[index];
}

static void describe(const char *name, ns_where_column *column, ns_where_cells *cells)
{
    *cells = (ns_where_cells){0};
    *column = (ns_where_column){0};
    if (strcmp(name, "age") == 0 || strcmp(name, "AGE at `entry`") == 0 || strcmp(name, "in") == 0) {
        column->kind = NS_WHERE_NUMBER;
        cells->number = age;
    } else if (strcmp(name, "sex") == 0 || strcmp(name, "gr\xC3\xB6\xC3\x9F"
                                                        "e.x_1") == 0) {
        *column = (ns_where_column){NS_WHERE_CATEGORY, 4, level, sex_levels};
        cells->code = sex;
    } else if (strcmp(name, "at") == 0) {
        column->kind = NS_WHERE_TIME;
        cells->integer = at;
    } else if (strcmp(name, "enc") == 0) {
        column->kind = NS_WHERE_ID_INT;
        cells->integer = enc;
    } else if (strcmp(name, "pat") == 0) {
        column->kind = NS_WHERE_ID_TEXT;
        cells->text = pat_text;
        cells->offset = pat_offset;
    } else {
        fail_msg("no column '%s'", name);
    }
}

enum { MOST_COLUMNS = 16 };

static ns_status bind(ns_where *where, ns_where_cells *cells)
{
    ns_where_column columns[MOST_COLUMNS];
    int32_t n = ns_where_n_columns(where);
    assert_true(n <= MOST_COLUMNS);
    for (int32_t i = 0; i < n; i++) describe(ns_where_column_name(where, i), &columns[i], &cells[i]);
    return ns_where_bind(where, columns);
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rows; /* 1: the row belongs */
    } cases[] = {
        /* numbers; row 3 is missing */
        {"age == 18", "010000"},
        {"age = 18", "010000"},
        {"age != 18", "101111"},
        {"age < 18", "100011"},
        {"age <= 18", "110011"},
        {"age > 18", "001000"},
        {"age >= 18", "011000"},
        {"age >= +1.8e1", "011000"},
        {"age == 0.1", "000010"}, /* as float32 */
        {"age > 0.1", "111000"},
        {"age < -4.5", "000001"},
        {"age>-6", "111011"},
        {"age < 1e39", "111011"},
        {"age == 1e300", "000000"},
        {"age in (65, 17, .1)", "101010"},
        {"age not in (65, 17, .1)", "010101"},
        {"age in (1)", "000000"},
        {"age is missing", "000100"},
        {"age is not missing", "111011"},
        {"not age > 18", "110111"},
        {"not (age is missing)", "111011"},
        {"not age in (18)", "101111"},
        /* categories compare by text */
        {"sex == 'F'", "101000"},
        {"sex == \"F\"", "101000"},
        {"sex != 'F'", "010111"},
        {"sex == 11", "000010"},
        {"sex == '11'", "000010"},
        {"sex == 11.0", "000000"},
        {"sex == 'f'", "000000"},
        {"sex in ('M', 11)", "010011"},
        {"sex not in ('M', 11)", "101100"},
        {"sex in ('never', 'seen')", "000000"},
        {"sex not in ('never')", "111111"},
        {"sex is missing", "000100"},
        {"sex is not missing", "111011"},
        {"sex = 'unused'", "000000"},
        /* times */
        {"at >= '2024-03-01'", "111000"},
        {"at > '2024-03-01'", "011000"},
        {"at == '2024-03-01T08:30'", "010000"},
        {"at == '2024-03-01T09:30+01:00'", "010000"},
        {"at < '2024-03-01T00:00Z'", "000011"},
        {"at <= '1970-01-01'", "000010"},
        {"at != '2024-03-01'", "011111"},
        {"at in ('2024-02-29', '2025-01-01')", "001001"},
        {"at not in ('2024-02-29')", "111110"},
        {"at is missing", "000100"},
        /* ids */
        {"enc == 11", "101000"},
        {"enc in (13, -2)", "010010"},
        {"enc < 0", "000010"},
        {"enc >= 13", "010001"},
        {"enc <= 11", "101010"},
        {"enc > 11", "010001"},
        {"enc == 9007199254740993", "000001"},
        {"enc == 9007199254740992", "000000"},
        {"enc != 11", "010111"},
        {"enc is missing", "000100"},
        {"enc not in (11)", "010111"},
        {"pat == 'a'", "010000"},
        {"pat == 11", "100000"},
        {"pat in ('ab', 'b')", "001010"},
        {"pat != 'a'", "101111"},
        {"pat == 'x''y'", "000001"},
        {"pat == \"x'y\"", "000001"},
        {"pat is missing", "000100"},
        {"pat not in ('a')", "101111"},
        /* precedence: not, and, or */
        {"age > 18 or age < 18 and sex == 'M'", "001001"},
        {"(age > 18 or age < 18) and sex == 'M'", "000001"},
        {"sex == 'M' and age == 18 or age == 65", "011000"},
        {"not sex == 'M' and age > 17", "001000"},
        {"not (sex == 'M' and age > 17)", "101111"},
        {"age == 17 or age == 18 or age == 65", "111000"},
        {"age > 0 and age < 100 and sex != 'F' and at is not missing", "010010"},
        {"((((age == 17))))", "100000"},
        {"age is missing and not sex is not missing", "000100"},
        /* words in capitals, names in backquotes, white space */
        {"age IN (17) Or sex Is Missing", "100100"},
        {"NOT age Not In (17)", "100000"},
        {"`age` == 17", "100000"},
        {"`AGE at ``entry``` == 17", "100000"},
        {"`in` in (17)", "100000"},
        {"gr\xC3\xB6\xC3\x9F"
         "e.x_1 == 'F'",
         "101000"},
        {"\n age\t==\r\n17 ", "100000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_where *where;
        ns_where_cells cells[MOST_COLUMNS];
        CHECK_OK(ns_where_parse(&where, cases[i].text, "job.yaml:1: data.where"));
        CHECK_OK(bind(where, cells));
        uint8_t keep[N + 2];
        memset(keep, 0xAB, sizeof keep);
        ns_where_eval(where, cells, N, keep);
        for (int r = 0; r < N; r++)
            if (keep[r] != (cases[i].rows[r] == '1')) fail_msg("%s: row %d is %d", cases[i].text, r, keep[r]);
        assert_int_equal(keep[N], 0xAB);
        assert_int_equal(keep[N + 1], 0xAB);
        ns_where_destroy(&where);
        assert_null(where);
    }
}

static void test_columns_in_order_of_first_use(void **state)
{
    (void)state;
    ns_where *where;
    CHECK_OK(ns_where_parse(&where, "b > 1 and (a is missing or `b` < 2) and `c d` = 3 and a in ('x')", "p"));
    assert_int_equal(ns_where_n_columns(where), 3);
    assert_string_equal(ns_where_column_name(where, 0), "b");
    assert_string_equal(ns_where_column_name(where, 1), "a");
    assert_string_equal(ns_where_column_name(where, 2), "c d");
    ns_where_destroy(&where);
    ns_where_destroy(&where); /* NULL is fine */
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "character 1: expected a column name or a comparison in brackets, found the end"},
        {"   ", "character 4: expected a column name"},
        {"age", "character 4: expected a comparison (==, !=, <, <=, >, >=, in, not in, is missing) after the "
                "column name, found the end"},
        {"age 18", "character 5: expected a comparison"},
        {"age > ", "character 7: expected a number or a text in quotes, found the end"},
        {"age > 18 sex", "character 10: expected and, or, or the end, found sex"},
        {"age > 18)", "character 9: expected and, or, or the end, found )"},
        {"(age > 18", "character 10: expected and, or, or ), found the end"},
        {"sex == F", "character 8: expected a number or a text in quotes, found F; a text goes in quotes"},
        {"sex == `F`", "character 8: expected a number or a text in quotes, found `F`"},
        {"sex == (", "character 8: expected a number or a text in quotes, found ("},
        {"18 < age", "character 1: expected a column name or a comparison in brackets, found 18"},
        {"'x' == sex", "character 1: expected a column name"},
        {"age > 18 and", "character 13: expected a column name"},
        {"and age > 18", "character 1: expected a column name"},
        {"not not age > 18", "character 5: expected a column name"},
        {"age in 18", "character 8: expected ( after in, found 18"},
        {"age in ()", "character 9: expected a number or a text in quotes, found )"},
        {"age in (1,)", "character 11: expected a number or a text in quotes, found )"},
        {"age in (1 2)", "character 11: expected a comma or ), found 2"},
        {"age in (1", "character 10: expected a comma or ), found the end"},
        {"age not 18", "character 9: expected in after not, found 18"},
        {"age is 18", "character 8: expected missing or not missing, found 18"},
        {"age is not 18", "character 12: expected missing, found 18"},
        {"age is null", "character 8: expected missing or not missing, found null"},
        {"missing is missing", "character 1: expected a column name"},
        {"sex == 'F", "character 8: the quote ' is never closed"},
        {"sex == \"F'", "character 8: the quote \" is never closed"},
        {"`sex == 1", "character 1: the quote ` is never closed"},
        {"`` == 1", "character 1: a column name is empty"},
        {"sex == ''", "character 8: an empty text is a missing value: write 'is missing'"},
        {"age > 18a", "character 7: a number ends in letters"},
        {"age > 1.2.3", "character 7: a number ends in letters"},
        {"age > 5e", "character 7: a number ends in letters"},
        {"age > -", "character 7: a number needs digits"},
        {"age > .", "character 7: a number needs digits"},
        {"age ! 3", "character 5: '!' has no meaning here"},
        {"age > 3 && sex == 1", "character 9: '&' has no meaning here"},
        {"a-b > 3", "character 2: a number needs digits"},
        {"age % 2 == 1",
         "character 5: '%' has no meaning here; a column name with signs in it goes in backquotes"},
        {"gr\xC3\xB6\xC3\x9F"
         "e >",
         "character 8: expected a number"}, /* characters, not bytes */
        {"age <> 3", "character 6: expected a number or a text in quotes, found >"},
        {"age == == 3", "character 8: expected a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_where *where = (ns_where *)&cases;
        char wanted[300];
        snprintf(wanted, sizeof wanted, "job.yaml:14: data.where: %s", cases[i].message);
        CHECK_FAILS(ns_where_parse(&where, cases[i].text, "job.yaml:14: data.where"), NS_EINVAL, wanted);
        assert_null(where);
    }
}

static void test_wrong_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"age == '18'", "job.yaml:14: data.where: character 8: column 'age' is a number: it compares with a "
                        "number without quotes"},
        {"sex == 'F' and age in (1, 'x')", "character 27: column 'age' is a number"},
        {"sex < 'F'", "character 1: column 'sex' is a category: it has no order; it takes ==, !=, in, not in "
                      "and is missing"},
        {"age > 1 and sex >= 11", "character 13: column 'sex' is a category: it has no order"},
        {"pat > 'a'", "character 1: column 'pat' is an id of texts: it has no order"},
        {"at > 2024", "character 6: column 'at' is a time: it compares with a time such as '2024-03-01'"},
        {"at > 'yesterday'", "character 6: column 'at' is a time"},
        {"at in ('2024-01-01', '2024-02-30')", "character 22: column 'at' is a time"},
        {"enc == '11'", "character 8: column 'enc' is an id of whole numbers: it compares with a whole "
                        "number without quotes"},
        {"enc == 1.5", "character 8: column 'enc' is an id of whole numbers"},
        {"enc == 99999999999999999999", "character 8: column 'enc' is an id of whole numbers"},
        {"age > 1e999", "character 7: column 'age' is a number: this number is too long or too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_where *where;
        ns_where_cells cells[MOST_COLUMNS];
        CHECK_OK(ns_where_parse(&where, cases[i].text, "job.yaml:14: data.where"));
        CHECK_FAILS(bind(where, cells), NS_EFORMAT, cases[i].message);
        ns_where_destroy(&where);
    }
}

/* The deepest brackets that are taken hold as many results at once as there is room for; one more is refused.
 */
static void test_depth(void **state)
{
    (void)state;
    enum { DEPTH = 30, ROOM = 2000 };
    for (int depth = DEPTH; depth <= DEPTH + 1; depth++) {
        char text[ROOM] = "";
        for (int i = 0; i < depth; i++) strcat(text, "age == 1 or age == 18 and (");
        strcat(text, "age == 1 or age == 18 and age == 18");
        for (int i = 0; i < depth; i++) strcat(text, ")");
        ns_where *where;
        if (depth > DEPTH) {
            CHECK_FAILS(ns_where_parse(&where, text, "p"), NS_EINVAL,
                        "brackets are nested more than 30 deep");
            continue;
        }
        CHECK_OK(ns_where_parse(&where, text, "p"));
        ns_where_cells cells[MOST_COLUMNS];
        CHECK_OK(bind(where, cells));
        uint8_t keep[N];
        ns_where_eval(where, cells, N, keep);
        for (int r = 0; r < N; r++) assert_int_equal(keep[r], r == 1);
        ns_where_destroy(&where);
    }
}

/* Blocks of rows inside eval leave no seam, for sizes around them; a long chain needs no depth. */
static void test_many_rows(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 31, 255, 256, 257, 512, 70001};
    enum { MOST = 70001, TERMS = 500 };
    float *x = malloc(MOST * sizeof *x);
    uint8_t *keep = malloc(MOST + 1);
    char *text = calloc(TERMS, 32);
    assert_true(x != NULL && keep != NULL && text != NULL);
    for (int64_t i = 0; i < MOST; i++) x[i] = i % 7 == 3 ? NAN : (float)(i % 1000);
    size_t n = 0;
    for (int i = 0; i < TERMS; i++)
        n += (size_t)snprintf(text + n, 32, "%sx == %d", i == 0 ? "" : " or ", 2 * i);
    ns_where *where;
    CHECK_OK(ns_where_parse(&where, text, "p"));
    assert_int_equal(ns_where_n_columns(where), 1);
    const ns_where_column column = {.kind = NS_WHERE_NUMBER};
    const ns_where_cells cells = {.number = x};
    CHECK_OK(ns_where_bind(where, &column));
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        keep[sizes[s]] = 0xAB;
        ns_where_eval(where, &cells, sizes[s], keep);
        for (int64_t i = 0; i < sizes[s]; i++)
            if (keep[i] != (i % 7 != 3 && i % 1000 % 2 == 0)) fail_msg("row %d of %d", (int)i, (int)sizes[s]);
        assert_int_equal(keep[sizes[s]], 0xAB);
    }
    ns_where_destroy(&where);
    free(x);
    free(keep);
    free(text);
}

/* Bound again to another cohort, where a column has other levels or is of another kind. */
static void test_binds_again(void **state)
{
    (void)state;
    static const char *const other_levels[] = {"x", "11"};
    static const int32_t codes[3] = {0, 1, -1};
    static const float numbers[3] = {11, 12, NAN};
    ns_where *where;
    CHECK_OK(ns_where_parse(&where, "unit in (12, 11)", "p"));
    ns_where_column column = {NS_WHERE_CATEGORY, 4, level, sex_levels};
    CHECK_OK(ns_where_bind(where, &column));
    column = (ns_where_column){NS_WHERE_CATEGORY, 2, level, other_levels};
    CHECK_OK(ns_where_bind(where, &column));
    uint8_t keep[3];
    ns_where_cells cells = {.code = codes};
    ns_where_eval(where, &cells, 3, keep);
    assert_true(!keep[0] && keep[1] && !keep[2]);
    column = (ns_where_column){.kind = NS_WHERE_NUMBER};
    cells = (ns_where_cells){.number = numbers};
    CHECK_OK(ns_where_bind(where, &column));
    ns_where_eval(where, &cells, 3, keep);
    assert_true(keep[0] && keep[1] && !keep[2]);
    ns_where_destroy(&where);
}

static void test_too_long(void **state)
{
    (void)state;
    size_t n = (1 << 20) + 1;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, ' ', n);
    text[n] = '\0';
    ns_where *where;
    CHECK_FAILS(ns_where_parse(&where, text, "p"), NS_EINVAL,
                "p: the expression is longer than 1048576 bytes");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_columns_in_order_of_first_use),
        cmocka_unit_test(test_syntax),      cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_binds_again), cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
