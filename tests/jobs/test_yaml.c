#include "tests/check.h"

#include "jobs/yaml.h"

/* One line for each entry: keys, kind, items, with the lines of each. */
static void describe(char *out, size_t room, const ns_yaml *yaml)
{
    size_t n = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < yaml->n_entries; i++) {
        const ns_yaml_entry *e = &yaml->entries[i];
        for (int32_t k = 0; k < e->n_keys; k++)
            n += (size_t)snprintf(out + n, room - n, "%s%s", k == 0 ? "" : "/", e->keys[k]);
        n += (size_t)snprintf(out + n, room - n, "@%d%s", e->line,
                              e->kind == NS_YAML_LIST     ? "["
                              : e->kind == NS_YAML_SCALAR ? "="
                                                          : "{}");
        for (int64_t j = 0; j < e->n_items; j++)
            n += (size_t)snprintf(out + n, room - n, "%s%s%s@%d", j == 0 ? "" : ",", e->items[j].text,
                                  e->items[j].is_null ? "(null)" : "", e->items[j].line);
        n += (size_t)snprintf(out + n, room - n, "%s\n", e->kind == NS_YAML_LIST ? "]" : "");
    }
}

static void test_what_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *entries;
    } cases[] = {
        {"", ""},
        {"# nothing\n", ""},
        {"--- \n", "@2=(null)@2\n"},
        {"plain", "@1=plain@1\n"},
        {"[a, b]", "@1[a@1,b@1]\n"},
        {"a: 1", "a@1=1@1\n"},
        {"a: 1\r\nb: 2\r\n", "a@1=1@1\nb@2=2@2\n"},
        {"\xEF\xBB\xBF"
         "a: 1",
         "a@1=1@1\n"},
        {"a:\n  b: x\n  c: [1, '2']\nd:\n", "a/b@2=x@2\na/c@3[1@3,2@3]\nd@4=(null)@4\n"},
        {"a:\n  - x\n  - y\n", "a@1[x@2,y@3]\n"},
        {"a: {b: {c: {}}, d: ~}", "a/b/c@1{}\na/d@1=~(null)@1\n"},
        {"a: []\nb: ''\nc: \"~\"\n", "a@1[]\nb@2=@2\nc@3=~@3\n"},
        {"a: NO\nb: 00123\nc: null\nd: 1e3\n", "a@1=NO@1\nb@2=00123@2\nc@3=null@3\nd@4=1e3@4\n"},
        {"a: |\n  one\n  two\nb: >-\n  x\n  y\n", "a@1=one\ntwo\n@1\nb@4=x y@4\n"},
        {"a: \"tab\\tu\\u00e4\"", "a@1=tab\tu\xC3\xA4@1\n"},
        {"a: [~, x]", "a@1[~(null)@1,x@1]\n"},
        {"a.b: 1", "a.b@1=1@1\n"},
        {"%YAML 1.1\n---\na: 1\n...\n", "a@3=1@3\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_yaml *yaml;
        ns_yaml_problem problem = {0};
        char found[1000];
        ns_status status = ns_yaml_read(&yaml, cases[i].text, &problem);
        if (status != NS_OK) fail_msg("'%s': line %d: %s", cases[i].text, (int)problem.line, problem.message);
        describe(found, sizeof found, yaml);
        if (strcmp(found, cases[i].entries) != 0)
            fail_msg("'%s':\n%sinstead of\n%s", cases[i].text, found, cases[i].entries);
        ns_yaml_destroy(&yaml);
        assert_null(yaml);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t line;
        const char *message;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a': it stands on line 1 already"},
        {"s:\n  x: 1\n  y: 1\n  y: 2\n  x: 2\n", 4, "duplicate key 'y': it stands on line 3 already"},
        {"s: {a: 1}\nt: 1\ns: {b: 2}\n", 3, "duplicate key 's'"},
        {"a: &x 1\n", 1, "anchors and aliases"},
        {"a: [1]\nb: &x [1]\n", 2, "anchors and aliases"},
        {"a: &x {b: 1}\n", 1, "anchors and aliases"},
        {"&x a: 1\n", 1, "anchors and aliases"},
        {"a: 1\nb: *_id\n", 2, "a text that begins with * or & goes in quotes"},
        {"a:\n  b: [*]\n", 2, "a text that begins with * or & goes in quotes"},
        {"a: [x, *y]\n", 1, "anchors and aliases"},
        {"a: !!str 1\n", 1, "tags"},
        {"a: !x [1]\n", 1, "tags"},
        {"a: !x {b: 1}\n", 1, "tags"},
        {"a: 1\n---\nb: 2\n", 2, "a second document"},
        {"a: 1\n...\n---\nb: 2\n", 3, "a second document"},
        {"a:\n  - [1]\n", 2, "single values only"},
        {"a:\n  - b: 1\n", 2, "single values only"},
        {"a: 1\n? [x]\n: 2\n", 2, "a key is one word"},
        {"a: 1\n? {x: y}\n: 2\n", 2, "a key is one word"},
        {"a: 1\n? \n: 2\n", 2, "a key is empty"},
        {"a: 1\n'': 2\n", 2, "a key is empty"},
        {"a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n", 1, "nested more than 8 deep"},
        {"a: 1\nb: \"x\\0y\"\n", 2, "zero byte"},
        {"a: 1\nb: \xE4\n", 2, "not UTF-8 text: byte 0xE4"},
        {"\xFF\xFE"
         "a\n",
         1, "not UTF-8 text"},
        {"a: 1\nb: \x01\n", 2, "not YAML: control characters are not allowed"},
        {"a: 1\n\tb: 2\n", 2, "not YAML"},
        {"a: 1\n b: 2\n", 2, "not YAML"},
        {"a: b: c\n", 1, "goes in quotes"},
        {"a: `x` > 3\n", 1, "begins with % @ or ` goes in quotes"},
        {"a: [1, 2\nb: 3\n", 2, "not YAML"},
        {"a: 'open\n", 2, "not YAML"},
        {"a: \"\\q\"\n", 1, "not YAML"},
        {"a: 1\n}\n", 2, "not YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ns_yaml *yaml = (ns_yaml *)&cases; /* must become NULL */
        ns_yaml_problem problem = {0};
        ns_status status = ns_yaml_read(&yaml, cases[i].text, &problem);
        assert_null(yaml);
        if (status != NS_EINVAL || problem.line != cases[i].line ||
            strstr(problem.message, cases[i].message) == NULL)
            fail_msg("'%s': %d, line %d: %s", cases[i].text, (int)status, (int)problem.line, problem.message);
        assert_null(strchr(problem.message, '\n'));
        assert_int_equal(ns_last_error()->code, NS_OK); /* nothing on record */
    }
}

static void test_depth_and_size(void **state)
{
    (void)state;
    ns_yaml *yaml;
    ns_yaml_problem problem;
    assert_int_equal(ns_yaml_read(&yaml, "a: {b: {c: {d: {e: {f: {g: {h: 1}}}}}}}\n", &problem), NS_OK);
    assert_int_equal(yaml->entries[0].n_keys, 8);
    ns_yaml_destroy(&yaml);

    enum { N = 3000, LINE = 16 }; /* more keys than any first allocation, duplicate at the very end */
    char *text = malloc((size_t)(N + 2) * LINE), *end = text;
    assert_non_null(text);
    for (int i = 0; i < N; i++) end += snprintf(end, LINE, "k%d: v%d\n", i, i);
    assert_int_equal(ns_yaml_read(&yaml, text, &problem), NS_OK);
    assert_int_equal(yaml->n_entries, N);
    assert_string_equal(yaml->entries[N - 1].items[0].text, "v2999");
    assert_int_equal(yaml->entries[N - 1].line, N);
    ns_yaml_destroy(&yaml);
    snprintf(end, LINE, "k17: again\n");
    assert_int_equal(ns_yaml_read(&yaml, text, &problem), NS_EINVAL);
    assert_int_equal(problem.line, N + 1);
    free(text);
    memset(&problem, 0, sizeof problem);
    char *deep = malloc(20001);
    assert_non_null(deep);
    memset(deep, '{', 20000); /* refused at the ninth, not after a stack of twenty thousand */
    deep[20000] = '\0';
    assert_int_equal(ns_yaml_read(&yaml, deep, &problem), NS_EINVAL);
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_read),
                                       cmocka_unit_test(test_what_is_refused),
                                       cmocka_unit_test(test_depth_and_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
