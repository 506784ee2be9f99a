#include "jobs/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/instant.h"
#include "jobs/number.h"
#include "jobs/page.h"
#include "jobs/where_parts.h"
#include "jobs/words.h"

typedef struct measure {
    const char *name;
    double factor;
} measure;

static const measure times[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
static const measure sizes[] = {{"", 1},         {"B", 1},        {"kB", 1e3},    {"KB", 1e3},
                                {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},   {"KiB", 1024},
                                {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "out of memory for the job");
}

/* What is wrong with a scalar, after its text: a number bare, as in "0 is not from 1 to 9", anything else in
 * quotes. */
static ns_status refuse_bare(ns_yaml_problem *problem, const ns_yaml_scalar *scalar, const char *what)
{
    char cut[NS_CUT_ROOM];
    problem->line = scalar->line;
    snprintf(problem->message, sizeof problem->message, "%s %s",
             ns_cut(cut, scalar->text, strlen(scalar->text)), what);
    return NS_EINVAL;
}

static ns_status refuse(ns_yaml_problem *problem, const ns_yaml_scalar *scalar, const char *what)
{
    char cut[NS_CUT_ROOM];
    problem->line = scalar->line;
    snprintf(problem->message, sizeof problem->message, "'%s' %s",
             ns_cut(cut, scalar->text, strlen(scalar->text)), what);
    return NS_EINVAL;
}

static void write_bound(char out[NS_NUMBER_ROOM], double bound)
{
    if (bound == NS_VALUE_MOST)
        snprintf(out, NS_NUMBER_ROOM, "2^53");
    else
        ns_number_write(out, bound);
}

void ns_option_range(char out[256], const ns_option *option)
{
    out[0] = '\0';
    if (option->choices != NULL) {
        size_t n = 0;
        for (const char *c = option->choices; *c != '\0' && n + 3 < 256; c++) {
            if (*c == '|') out[n++] = ',';
            out[n++] = *c == '|' ? ' ' : *c;
        }
        out[n] = '\0';
    } else if (option->least != 0 || option->most != 0) {
        char least[NS_NUMBER_ROOM], most[NS_NUMBER_ROOM];
        write_bound(least, option->least);
        write_bound(most, option->most);
        const char *unit = option->kind == NS_OPT_SECONDS ? " s"
                           : option->kind == NS_OPT_BYTES ? " bytes"
                                                          : "";
        snprintf(out, 256, "%s to %s%s", least, most, unit);
    } else if (option->flags & NS_OPT_NAME) {
        snprintf(out, 256, "at most 100 letters, digits and . _ -, beginning with a letter or digit");
    }
}

static ns_status check_range(const ns_option *option, double number, const ns_yaml_scalar *scalar,
                             ns_yaml_problem *problem)
{
    if (option->least == 0 && option->most == 0) return NS_OK;
    if (number >= option->least && number <= option->most) return NS_OK;
    char range[256], what[300];
    ns_option_range(range, option);
    snprintf(what, sizeof what, "is not from %s", range);
    return refuse_bare(problem, scalar, what);
}

/* A number and its measure: 1.5h, 4 GiB. */
static bool read_measured(const char *text, const measure *measures, size_t n_measures, double *out)
{
    size_t n = strlen(text), letters = n;
    while (letters > 0 && ((text[letters - 1] | 0x20) >= 'a' && (text[letters - 1] | 0x20) <= 'z')) letters--;
    size_t digits = letters;
    while (digits > 0 && text[digits - 1] == ' ') digits--;
    double number;
    if (!ns_number_read(text, digits, &number)) return false;
    for (size_t i = 0; i < n_measures; i++)
        if (strcmp(text + letters, measures[i].name) == 0) {
            *out = number * measures[i].factor;
            return isfinite(*out) != 0;
        }
    return false;
}

static ns_status read_choice(const ns_option *option, const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    size_t n = strlen(scalar->text);
    for (const char *c = option->choices; c != NULL;) {
        const char *bar = strchr(c, '|');
        size_t n_choice = bar == NULL ? strlen(c) : (size_t)(bar - c);
        if (n == n_choice && memcmp(c, scalar->text, n) == 0) return NS_OK;
        c = bar == NULL ? NULL : bar + 1;
    }
    char choices[256], what[300];
    ns_option_range(choices, option);
    snprintf(what, sizeof what, strchr(option->choices, '|') == NULL ? "is not %s" : "is not one of %s",
             choices);
    return refuse(problem, scalar, what);
}

static ns_status read_flag(ns_value *out, const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    out->flag = strcmp(scalar->text, "true") == 0;
    if (out->flag || strcmp(scalar->text, "false") == 0) return NS_OK;
    return refuse(problem, scalar, "is not true or false");
}

static ns_status check_name(const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(scalar->text);
    if (n <= 100 && strspn(scalar->text, all) == n && strspn(scalar->text, ends) > 0) return NS_OK;
    return refuse(problem, scalar,
                  "is not a name of at most 100 letters, digits and . _ -, beginning with a letter or digit");
}

static ns_status check_where(const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    ns_where *where = NULL;
    problem->line = scalar->line;
    ns_status status = ns_where_read(&where, scalar->text, problem->message, sizeof problem->message);
    ns_where_destroy(&where);
    return status;
}

/* Appends to *page the value of the ${NAME} at c; *end is behind its bracket. */
static ns_status expand_name(ns_page *page, const char *c, const char **end, const ns_yaml_scalar *scalar,
                             ns_yaml_problem *problem)
{
    char name[256], what[200];
    const char *start = c + 2, *close = strchr(start, '}');
    size_t n = close == NULL ? 0 : (size_t)(close - start);
    if (close == NULL) return refuse(problem, scalar, "has a ${ without its }");
    if (n == 0 || n >= sizeof name) return refuse(problem, scalar, "has a ${ } that names no variable");
    memcpy(name, start, n);
    name[n] = '\0';
    const char *value = getenv(name);
    const char *wrong = value == NULL || *value == '\0' ? "is not set"
                        : strstr(value, "${") != NULL   ? "holds ${ itself"
                                                        : NULL;
    if (wrong != NULL) {
        char cut[NS_CUT_ROOM];
        snprintf(what, sizeof what, "cannot be expanded: the environment variable %s %s",
                 ns_cut(cut, name, n), wrong);
        return refuse(problem, scalar, what);
    }
    ns_page_add(page, "%s", value);
    *end = close + 1;
    return NS_OK;
}

static ns_status read_path(char **out, const ns_yaml_scalar *scalar, const char *folder,
                           ns_yaml_problem *problem)
{
    ns_page page = {0};
    ns_status status = NS_OK;
    for (const char *c = scalar->text; *c != '\0' && status == NS_OK;) {
        if (c[0] == '$' && c[1] == '{')
            status = expand_name(&page, c, &c, scalar, problem);
        else
            ns_page_add(&page, "%c", *c++);
    }
    char *expanded = NULL;
    if (status != NS_OK) {
        free(page.bytes);
        return status;
    }
    NS_TRY(ns_page_take(&page, &expanded));
    for (size_t i = 0, n = 1; expanded[i] != '\0'; i += n) { /* the job is echoed as YAML, which is UTF-8 */
        n = ns_utf8_length(expanded + i);
        if (n > 0) continue;
        free(expanded);
        return refuse(problem, scalar, "is not UTF-8 text once its variables are expanded");
    }
    const char *path = expanded;
    while (path[0] == '.' && path[1] == '/') path += 2;
    size_t n = strlen(folder);
    bool absolute = *path == '/' || n == 0;
    ns_page_add(&page, "%s%s%s", absolute ? "" : folder, absolute || folder[n - 1] == '/' ? "" : "/", path);
    free(expanded);
    return ns_page_take(&page, out);
}

static ns_status read_number(ns_value *out, const ns_option *option, const ns_yaml_scalar *scalar,
                             ns_yaml_problem *problem)
{
    const char *text = scalar->text;
    double number = 0;
    if (option->kind == NS_OPT_INTEGER) {
        if (!ns_integer_read(text, strlen(text), &out->integer))
            return refuse(problem, scalar, "is not a whole number");
        return check_range(option, (double)out->integer, scalar, problem);
    }
    if (option->kind == NS_OPT_NUMBER) {
        if (!ns_number_read(text, strlen(text), &number)) return refuse(problem, scalar, "is not a number");
    } else if (option->kind == NS_OPT_SECONDS) {
        if (!read_measured(text, times, sizeof times / sizeof *times, &number))
            return refuse(problem, scalar, "is not a time span such as 60, 60s, 5m, 2h or 1d");
    } else if (!read_measured(text, sizes, sizeof sizes / sizeof *sizes, &number)) {
        return refuse(problem, scalar, "is not a size such as 4GiB, 512MiB, 2GB or a number of bytes");
    }
    NS_TRY(check_range(option, number, scalar, problem));
    out->number = number;
    /* Without a range a size could leave int64; the table gives every size one, the test walks it. */
    if (option->kind == NS_OPT_BYTES) out->integer = (int64_t)(number < NS_VALUE_MOST ? number : NS_VALUE_MOST);
    return NS_OK;
}

/* As in cohorts, from 1800 to 2200. */
static ns_status read_time(ns_value *out, const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    static const int64_t least = -INT64_C(5364662400), end = INT64_C(7289654400); /* 1800-01-01, 2201-01-01 */
    if (!ns_instant_read(scalar->text, strlen(scalar->text), &out->integer))
        return refuse(problem, scalar, "is not a time such as 2024-03-01 or 2024-03-01T08:30Z");
    if (out->integer < least || out->integer >= end) return refuse(problem, scalar, "is not in the years 1800 to 2200");
    return NS_OK;
}

/* One text of the value; *text is what is kept. */
static ns_status read_item(ns_value *out, char **text, const ns_option *option, const ns_yaml_scalar *scalar,
                           const char *folder, ns_yaml_problem *problem)
{
    *text = NULL;
    if (*scalar->text == '\0' || scalar->is_null) {
        problem->line = scalar->line;
        snprintf(problem->message, sizeof problem->message, "is empty");
        return NS_EINVAL;
    }
    switch (option->kind) {
    case NS_OPT_PATH:
    case NS_OPT_PATHS:
        return read_path(text, scalar, folder, problem);
    case NS_OPT_CHOICE:
        NS_TRY(read_choice(option, scalar, problem));
        break;
    case NS_OPT_FLAG:
        NS_TRY(read_flag(out, scalar, problem));
        break;
    case NS_OPT_WHERE:
        NS_TRY(check_where(scalar, problem));
        break;
    case NS_OPT_INTEGER:
    case NS_OPT_NUMBER:
    case NS_OPT_SECONDS:
    case NS_OPT_BYTES:
        NS_TRY(read_number(out, option, scalar, problem));
        break;
    case NS_OPT_TIME:
        NS_TRY(read_time(out, scalar, problem));
        break;
    case NS_OPT_TEXT:
    case NS_OPT_TEXTS:
        break;
    }
    if (option->flags & NS_OPT_NAME) NS_TRY(check_name(scalar, problem));
    *text = strdup(scalar->text);
    return *text == NULL ? no_memory() : NS_OK;
}

static ns_status check_shape(const ns_option *option, const ns_yaml_entry *entry, ns_yaml_problem *problem)
{
    bool takes_list = option->kind == NS_OPT_TEXTS || option->kind == NS_OPT_PATHS;
    const char *what = NULL;
    if (entry->kind == NS_YAML_EMPTY_SECTION)
        what = "is a value, not a section";
    else if (entry->kind == NS_YAML_LIST && !takes_list)
        what = "takes one value, not a list";
    else if (entry->kind == NS_YAML_SCALAR && takes_list && !(option->flags & NS_OPT_SCALAR_TOO))
        what = "takes a list: [a, b]";
    else if (entry->n_items == 0 && option->kind == NS_OPT_PATHS)
        what = "is an empty list";
    if (what == NULL) return NS_OK;
    problem->line = entry->line;
    snprintf(problem->message, sizeof problem->message, "%s", what);
    return NS_EINVAL;
}

ns_status ns_value_read(ns_value *out, const ns_option *option, const ns_yaml_entry *entry,
                        const char *folder, ns_yaml_problem *problem)
{
    *out = (ns_value){0};
    NS_TRY(check_shape(option, entry, problem));
    out->items = calloc((size_t)entry->n_items + 1, sizeof *out->items); /* + 1: never zero bytes */
    if (out->items == NULL) return no_memory();
    ns_status status = NS_OK;
    for (int64_t i = 0; i < entry->n_items && status == NS_OK; i++) {
        status = read_item(out, &out->items[i], option, &entry->items[i], folder, problem);
        if (status == NS_OK) out->n_items++;
    }
    if (status != NS_OK) ns_value_clear(out);
    return status;
}

void ns_value_clear(ns_value *value)
{
    for (int64_t i = 0; i < value->n_items; i++) free(value->items[i]);
    free(value->items);
    *value = (ns_value){0};
}
