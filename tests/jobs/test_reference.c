/* jobs/README.md is what the option table says now. With --write it is written anew. */
#include "tests/check.h"

#include "jobs/job.h"

static char *read_page(void)
{
    FILE *file = fopen(NS_REFERENCE_PATH, "rb");
    if (file == NULL) return NULL;
    size_t room = 1 << 20;
    char *text = calloc(room, 1);
    if (text != NULL && fread(text, 1, room - 1, file) == room - 1)
        fail_msg("%s is too long", NS_REFERENCE_PATH);
    fclose(file);
    return text;
}

static void test_page_is_fresh(void **state)
{
    (void)state;
    char *now, *page = read_page();
    CHECK_OK(ns_job_reference(&now));
    if (page == NULL || strcmp(page, now) != 0)
        fail_msg("%s is stale: run test_reference --write", NS_REFERENCE_PATH);
    free(page);
    free(now);
}

static void test_every_option_is_told(void **state)
{
    (void)state;
    char *page, *help;
    CHECK_OK(ns_job_reference(&page));
    CHECK_OK(ns_job_help(&help));
    for (int32_t i = 0; i < ns_n_options; i++) {
        char row[200], line[200];
        snprintf(row, sizeof row, "\n| `%s` | ", ns_options[i].key);
        snprintf(line, sizeof line, "\n  %s  (", ns_options[i].key);
        if (strstr(page, row) == NULL) fail_msg("%s is not in the page", ns_options[i].key);
        if (i > 0 && strstr(help, line) == NULL) fail_msg("%s is not in the help", ns_options[i].key);
    }
    assert_memory_equal(help, "  name  (text: at most", 22);
    assert_non_null(
        strstr(page, "| `model.rounds` | whole number: 1 to 100000 rounds | `500` | Boosting rounds"));
    assert_non_null(strstr(page, "| `data.layout` | choice: columns, matrix | `columns` | "));
    assert_non_null(strstr(page, "The model is the same. | site |\n"));
    size_t column = 0;
    for (const char *c = help; *c != '\0'; c++) {
        column = *c == '\n' ? 0 : column + 1;
        if (column > 140) fail_msg("a line of the help is too long: %.60s", c - column + 1);
    }
    free(page);
    free(help);
}

static int write_page(void)
{
    char *now;
    if (ns_job_reference(&now) != NS_OK) return 1;
    FILE *file = fopen(NS_REFERENCE_PATH, "wb");
    bool wrote = file != NULL && fputs(now, file) >= 0;
    if (file != NULL && fclose(file) != 0) wrote = false;
    free(now);
    return wrote ? 0 : 1;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments == 2 && strcmp(arguments[1], "--write") == 0) return write_page();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page_is_fresh),
                                       cmocka_unit_test(test_every_option_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
