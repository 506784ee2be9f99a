#include "data/advice.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "data/text_index.h"
#include "data/values.h"

enum { FEW_CODES = 1000, MANY_LEVELS = 255, LONG_TEXT = 40, ENOUGH_ROWS = 20 };

static const char *const words[NS_N_ADVICE] = {
    "has few different whole numbers under a name of codes; if 6 is not twice 3: {kind: category}",
    "has whole numbers that look like ids; if they name something: {kind: id}",
    "has ranges of numbers as levels; a category has no order",
    "looks like dates of another form than ISO 8601, which is never guessed: {kind: time, format: \"%d.%m.%Y\"}",
    "has numbers with a decimal comma, which is no number here; write them with a point",
    "has numbers and other texts; if the others mean missing, list them under missing; if all are codes, it is right",
    "has many levels; the first characters may say enough: {kind: category, prefix: 3}",
    "has a text that often means missing (such as None, N/A, unknown, -); if it does here, list it under missing",
    "is missing in over half of the rows",
    "has the same value in every row that has one, so nothing can be learned from it: {kind: skip}",
    "has long texts with blanks, as if it were free text: {kind: skip}",
    "has texts that begin or end with a blank, which belongs to the level",
    "has an extreme that often means missing (such as -9, 99, 999); if it does here, list it under missing",
};

const char *ns_advice_words(int i)
{
    return words[i];
}

/* --- names --- */

/* Whether one of the words of a name, parted by anything but letters or by a capital behind a small letter, is in a list. */
static bool has_word(const char *name, const char *const *list, int n)
{
    char word[32];
    size_t length = 0;
    for (const char *p = name;; p++) {
        bool letter = isalpha((unsigned char)*p) != 0;
        bool begins = letter && isupper((unsigned char)*p) && p > name && islower((unsigned char)p[-1]);
        if (!letter || begins) {
            word[length] = '\0';
            for (int i = 0; i < n && length > 0; i++)
                if (strcasecmp(word, list[i]) == 0) return true;
            length = 0;
        }
        if (*p == '\0') return false;
        if (letter && length + 1 < sizeof word) word[length++] = *p;
    }
}

static bool names_codes(const char *name)
{
    static const char *const list[] = {"id", "ids", "code", "codes", "cd", "key", "icd", "cpt", "drg", "loinc", "snomed", "atc",
                                       "zip", "postcode", "type", "class", "category", "status", "source", "unit", "ward",
                                       "department", "disposition", "sex", "gender", "race", "ethnicity"};
    return has_word(name, list, (int)(sizeof list / sizeof list[0]));
}

static bool names_ids(const char *name)
{
    static const char *const list[] = {"id", "ids", "key", "nbr", "nr", "mrn", "ssn", "uid", "guid", "barcode", "accession"};
    return has_word(name, list, (int)(sizeof list / sizeof list[0]));
}

/* --- texts --- */

static const char *skip_number(const char *p, const char *end)
{
    const char *first = p;
    while (p < end && (isdigit((unsigned char)*p) || *p == '.')) p++;
    return p > first ? p : NULL;
}

/* "[70-80)", "10-19", "(5,10]", ">200", "<= 5", "65+" */
static bool is_range(const char *p, const char *end)
{
    if (p < end && strchr("<>", *p) != NULL && *p != '\0') {
        p++;
        while (p < end && (*p == '=' || *p == ' ')) p++;
        return skip_number(p, end) == end;
    }
    bool open = p < end && (*p == '[' || *p == '(');
    p = skip_number(p + open, end);
    if (p == NULL || p == end) return false;
    if (end - p == 1 && *p == '+') return true;
    while (p < end && *p == ' ') p++;
    if (p == end || strchr("-,", *p) == NULL || (*p == ',' && !open)) return false;
    p++;
    while (p < end && *p == ' ') p++;
    p = skip_number(p, end);
    return p != NULL && (p == end || (end - p == 1 && (*p == ']' || *p == ')')));
}

/* Two separators of one kind between one to four digits each, or digits, a month's letters, digits; perhaps a time behind. */
static bool is_date(const char *p, const char *end)
{
    char separator = '\0';
    for (int part = 0; part < 3; part++) {
        const char *first = p;
        bool letters = p < end && isalpha((unsigned char)*p);
        while (p < end && (letters ? isalpha((unsigned char)*p) != 0 : isdigit((unsigned char)*p) != 0)) p++;
        int64_t n = p - first;
        if (n < 1 || n > (letters ? 9 : 4) || (letters && (n < 3 || part == 2))) return false;
        if (part == 2) break;
        if (p == end || strchr("./- ", *p) == NULL || (part == 1 && *p != separator)) return false;
        separator = *p++;
    }
    if (p == end) return true;
    return (*p == ' ' || *p == 'T' || *p == ',') && end - p >= 5;
}

static bool is_comma_number(const char *text, int64_t n_bytes)
{
    char copy[40];
    const char *comma = memchr(text, ',', (size_t)n_bytes);
    ns_number_text number;
    if (comma == NULL || n_bytes > (int64_t)sizeof copy) return false;
    memcpy(copy, text, (size_t)n_bytes);
    copy[comma - text] = '.';
    return ns_value_number(copy, n_bytes, &number) == NS_VALUE_OK;
}

static bool means_missing(const char *text, int64_t n_bytes)
{
    static const char *const list[] = {"none", "n/a", "n.a.", "na", "#n/a", "null", "nil", "nan", "nat", "unknown", "unk", "missing",
                                       "not available", "not mapped", "unspecified", "not recorded", "-", "--", ".", "..", "*",
                                       "?", "unknown/invalid"};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if ((int64_t)strlen(list[i]) == n_bytes && strncasecmp(text, list[i], (size_t)n_bytes) == 0) return true;
    return false;
}

static unsigned about_texts(const ns_texts *texts, ns_column_kind kind)
{
    int64_t n_ranges = 0, n_dates = 0, n_numbers = 0, n_comma = 0, n_missing = 0, n_blanks = 0, n_long = 0;
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes;
        ns_number_text number;
        const char *text = ns_text_at(texts, i, &n_bytes), *end = text + n_bytes;
        if (n_bytes == 0) continue;
        bool is_number = ns_value_number(text, n_bytes, &number) == NS_VALUE_OK;
        n_missing += means_missing(text, n_bytes);
        n_numbers += is_number;
        n_comma += is_number || is_comma_number(text, n_bytes);
        n_ranges += is_range(text, end);
        n_dates += is_date(text, end);
        n_blanks += text[0] == ' ' || end[-1] == ' ';
        n_long += n_bytes > LONG_TEXT && memchr(text, ' ', (size_t)n_bytes) != NULL;
    }
    int64_t n = texts->n - n_missing;
    unsigned set = n_missing > 0 ? NS_ADVICE_MISSING : 0;
    if (n_blanks > 0) set |= NS_ADVICE_BLANKS;
    if (kind == NS_COL_ID && n_long * 2 > texts->n) set |= NS_ADVICE_FREE_TEXT;
    if (n < 1) return set;
    if (n_ranges == n && n_dates < n) return set | NS_ADVICE_RANGES;
    if (n_dates == n) return set | NS_ADVICE_DATES;
    if (n_comma == n && n_numbers < n) return set | NS_ADVICE_COMMA;
    if (n_numbers * 2 > n && n_numbers < n) set |= NS_ADVICE_NUMBERS;
    return set;
}

/* --- numbers --- */

static bool is_sentinel(double value)
{
    static const double list[] = {-1, -9, -99, -999, -9999, 99, 999, 9999, 99999, 999999};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (value == list[i]) return true;
    return false;
}

static unsigned about_numbers(const char *name, const ns_cells_facts *facts)
{
    int64_t n_values = facts->n_rows - facts->n_missing;
    unsigned set = 0;
    if (n_values == 0) return 0;
    if (facts->least < 0 && is_sentinel(facts->least) && facts->most > 0) set |= NS_ADVICE_SENTINEL;
    if (facts->most >= 99 && is_sentinel(facts->most) && facts->n_distinct > 2) set |= NS_ADVICE_SENTINEL;
    if (!facts->all_whole || facts->least < 0) return set;
    bool few = facts->n_distinct <= FEW_CODES;
    if (few && facts->n_distinct > 2 && names_codes(name) && facts->n_distinct * 2 <= n_values) return set | NS_ADVICE_CODE;
    bool many = facts->n_distinct * 2 > n_values;
    if (n_values > ENOUGH_ROWS && ((many && facts->most >= (double)n_values) || (!few && names_ids(name)))) set |= NS_ADVICE_ID;
    return set;
}

unsigned ns_advice_about(const char *name, ns_column_kind kind, const ns_cells *cells)
{
    const ns_cells_facts facts = ns_cells_about(cells);
    int64_t n_values = facts.n_rows - facts.n_missing;
    unsigned set = 0;
    if (facts.n_missing * 2 > facts.n_rows) set |= NS_ADVICE_EMPTY;
    if (facts.n_distinct == 1 && n_values > 1) set |= NS_ADVICE_CONSTANT;
    if (kind == NS_COL_NUMBER) return set | about_numbers(name, &facts);
    if (kind == NS_COL_TIME) return set;
    if (kind == NS_COL_CATEGORY && facts.n_distinct > MANY_LEVELS) set |= NS_ADVICE_LEVELS;
    return set | about_texts(ns_cells_texts(cells), kind);
}
