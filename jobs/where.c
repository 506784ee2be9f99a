#include "jobs/where.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/where_parts.h"
#include "jobs/words.h"

/*
 * One token ahead, recursive descent, postfix out. Every token has at least one character, so an array with a
 * place for each character of the text never overflows: all memory is taken before the first token.
 */
typedef enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_NUMBER,
    TOKEN_TEXT,
    TOKEN_OPERATOR,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_IN,
    TOKEN_IS,
    TOKEN_MISSING
} token_kind;

typedef struct token {
    token_kind kind;
    where_op op; /* of an operator */
    bool negate; /* of an operator: != */
    const char *raw;
    size_t n_raw;     /* as written, quotes included */
    const char *text; /* name, number or text without quotes, terminated, in the pool */
    size_t n_text;
} token;

typedef struct parser {
    const char *text, *at;
    token token; /* the next one */
    ns_where *where;
    size_t n_pool;
    int32_t depth;
    char *message;
    size_t room;
} parser;

/* In characters, from 1: what an editor shows. */
static int32_t position_of(const parser *p, const char *at)
{
    int32_t position = 1;
    for (const char *c = p->text; c < at; c++)
        if (((unsigned char)*c & 0xC0) != 0x80) position++;
    return position;
}

static ns_status refuse(parser *p, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static ns_status refuse(parser *p, const char *at, const char *format, ...)
{
    int n = snprintf(p->message, p->room, "character %d: ", (int)position_of(p, at));
    if (n < 0 || (size_t)n >= p->room) return NS_EINVAL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->message + n, p->room - (size_t)n, format, arguments);
    va_end(arguments);
    return NS_EINVAL;
}

static ns_status expected(parser *p, const char *what)
{
    char cut[NS_CUT_ROOM];
    const token *t = &p->token;
    if (t->kind == TOKEN_END) return refuse(p, t->raw, "expected %s, found the end", what);
    return refuse(p, t->raw, "expected %s, found %s", what, ns_cut(cut, t->raw, t->n_raw));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool within_name(char c)
{
    return begins_name(c) || is_digit(c) || c == '.';
}

/* Copies a token's text to the pool. The pool has two bytes for each of the expression's, so copy and 0
 * always fit. */
static void pool_text(parser *p, const char *from, const char *to, char doubled)
{
    char *start = p->where->pool + p->n_pool, *out = start;
    for (; from < to; from++) {
        *out++ = *from;
        if (*from == doubled && doubled != '\0') from++; /* a doubled quote is one */
    }
    *out = '\0';
    p->token.text = start;
    p->token.n_text = (size_t)(out - start);
    p->n_pool += p->token.n_text + 1;
}

static ns_status lex_quoted(parser *p, char quote)
{
    const char *open = p->at, *c = p->at + 1;
    while (*c != '\0' && (*c != quote || c[1] == quote)) c += *c == quote ? 2 : 1;
    if (*c == '\0') return refuse(p, open, "the quote %c is never closed", quote);
    p->token.kind = quote == '`' ? TOKEN_NAME : TOKEN_TEXT;
    pool_text(p, open + 1, c, quote);
    p->at = c + 1;
    if (p->token.n_text > 0) return NS_OK;
    return refuse(p, open,
                  quote == '`' ? "a column name is empty"
                               : "an empty text is a missing value: write 'is missing' or 'is not missing'");
}

static ns_status lex_number(parser *p)
{
    const char *start = p->at, *c = p->at;
    if (*c == '-' || *c == '+') c++;
    const char *digits = c;
    while (is_digit(*c)) c++;
    size_t n_digits = (size_t)(c - digits);
    if (*c == '.') {
        const char *point = c++;
        while (is_digit(*c)) c++;
        n_digits += (size_t)(c - point) - 1;
    }
    const char *e = c;
    if (n_digits > 0 && (*e == 'e' || *e == 'E')) {
        e++;
        if (*e == '-' || *e == '+') e++;
        if (is_digit(*e)) {
            while (is_digit(*e)) e++;
            c = e;
        }
    }
    if (n_digits == 0) return refuse(p, start, "a number needs digits");
    if (within_name(*c))
        return refuse(p, start,
                      "a number ends in letters: a text goes in quotes, a column name in backquotes");
    p->at = c;
    p->token.kind = TOKEN_NUMBER;
    pool_text(p, start, c, '\0');
    return NS_OK;
}

static bool is_word(const char *raw, size_t n, const char *word)
{
    if (strlen(word) != n) return false;
    for (size_t i = 0; i < n; i++)
        if ((raw[i] | 0x20) != word[i]) return false;
    return true;
}

static ns_status lex_word(parser *p)
{
    static const struct {
        const char *word;
        token_kind kind;
    } keywords[] = {{"and", TOKEN_AND}, {"or", TOKEN_OR}, {"not", TOKEN_NOT},
                    {"in", TOKEN_IN},   {"is", TOKEN_IS}, {"missing", TOKEN_MISSING}};
    const char *start = p->at;
    while (within_name(*p->at)) p->at++;
    size_t n = (size_t)(p->at - start);
    p->token.kind = TOKEN_NAME;
    pool_text(p, start, p->at, '\0');
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (is_word(start, n, keywords[i].word)) p->token.kind = keywords[i].kind;
    return NS_OK;
}

static ns_status lex_sign(parser *p)
{
    static const struct {
        const char *sign; /* longer ones first */
        token_kind kind;
        where_op op;
        bool negate;
    } signs[] = {
        {"==", TOKEN_OPERATOR, WHERE_EQUAL, false},   {"!=", TOKEN_OPERATOR, WHERE_EQUAL, true},
        {"<=", TOKEN_OPERATOR, WHERE_AT_MOST, false}, {">=", TOKEN_OPERATOR, WHERE_AT_LEAST, false},
        {"=", TOKEN_OPERATOR, WHERE_EQUAL, false},    {"<", TOKEN_OPERATOR, WHERE_LESS, false},
        {">", TOKEN_OPERATOR, WHERE_GREATER, false},  {"(", TOKEN_OPEN, WHERE_EQUAL, false},
        {")", TOKEN_CLOSE, WHERE_EQUAL, false},       {",", TOKEN_COMMA, WHERE_EQUAL, false},
    };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i].sign);
        if (strncmp(p->at, signs[i].sign, n) != 0) continue;
        p->token.kind = signs[i].kind;
        p->token.op = signs[i].op;
        p->token.negate = signs[i].negate;
        p->at += n;
        return NS_OK;
    }
    return refuse(p, p->at, "'%c' has no meaning here; a column name with signs in it goes in backquotes",
                  *p->at);
}

/* Reads the next token. */
static ns_status advance(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') p->at++;
    char c = *p->at;
    ns_status status = NS_OK;
    p->token = (token){.kind = TOKEN_END, .raw = p->at};
    if (c == '\'' || c == '"' || c == '`')
        status = lex_quoted(p, c);
    else if (is_digit(c) || c == '-' || c == '+' || c == '.')
        status = lex_number(p);
    else if (begins_name(c))
        status = lex_word(p);
    else if (c != '\0')
        status = lex_sign(p);
    p->token.n_raw = (size_t)(p->at - p->token.raw);
    return status;
}

static int32_t find_column(ns_where *where, const char *name)
{
    for (int32_t i = 0; i < where->n_columns; i++)
        if (strcmp(where->columns[i], name) == 0) return i;
    where->columns[where->n_columns] = name;
    return where->n_columns++;
}

static ns_status parse_value(parser *p, where_test *test)
{
    const token *t = &p->token;
    if (t->kind == TOKEN_NAME && *t->raw != '`') {
        char cut[NS_CUT_ROOM];
        return refuse(p, t->raw, "expected a number or a text in quotes, found %s; a text goes in quotes",
                      ns_cut(cut, t->raw, t->n_raw));
    }
    if (t->kind != TOKEN_NUMBER && t->kind != TOKEN_TEXT) return expected(p, "a number or a text in quotes");
    p->where->values[p->where->n_values++] = (where_value){.text = t->text,
                                                           .n_bytes = (int64_t)t->n_text,
                                                           .quoted = t->kind == TOKEN_TEXT,
                                                           .position = position_of(p, t->raw)};
    test->n++;
    return advance(p);
}

static ns_status parse_values(parser *p, where_test *test)
{
    if (p->token.kind != TOKEN_OPEN) return expected(p, "( after in");
    do {
        NS_TRY(advance(p)); /* over the bracket or the comma */
        NS_TRY(parse_value(p, test));
    } while (p->token.kind == TOKEN_COMMA);
    if (p->token.kind != TOKEN_CLOSE) return expected(p, "a comma or )");
    return advance(p);
}

static ns_status parse_is(parser *p, where_test *test)
{
    test->op = WHERE_MISSING;
    if (p->token.kind == TOKEN_NOT) {
        test->negate = true;
        NS_TRY(advance(p));
    }
    if (p->token.kind != TOKEN_MISSING)
        return expected(p, test->negate ? "missing" : "missing or not missing");
    return advance(p);
}

static ns_status parse_comparison(parser *p)
{
    if (p->token.kind != TOKEN_NAME) return expected(p, "a column name or a comparison in brackets");
    ns_where *where = p->where;
    where_test test = {.position = position_of(p, p->token.raw), .first = where->n_values};
    test.column = find_column(where, p->token.text);
    NS_TRY(advance(p));
    token_kind kind = p->token.kind;
    test.op = p->token.op;
    test.negate = p->token.negate;
    if (kind == TOKEN_OPERATOR) {
        NS_TRY(advance(p));
        NS_TRY(parse_value(p, &test));
    } else if (kind == TOKEN_IS) {
        NS_TRY(advance(p));
        NS_TRY(parse_is(p, &test));
    } else if (kind == TOKEN_IN || kind == TOKEN_NOT) {
        test.op = WHERE_IN;
        test.negate = kind == TOKEN_NOT;
        NS_TRY(advance(p));
        if (test.negate && p->token.kind != TOKEN_IN) return expected(p, "in after not");
        if (test.negate) NS_TRY(advance(p));
        NS_TRY(parse_values(p, &test));
    } else {
        return expected(p,
                        "a comparison (==, !=, <, <=, >, >=, in, not in, is missing) after the column name");
    }
    where->steps[where->n_steps++] = (where_step){.kind = WHERE_TEST, .test = where->n_tests};
    where->tests[where->n_tests++] = test;
    return NS_OK;
}

static ns_status parse_expression(parser *p);

static ns_status parse_factor(parser *p)
{
    bool negate = p->token.kind == TOKEN_NOT;
    if (negate) NS_TRY(advance(p));
    if (p->token.kind == TOKEN_OPEN) {
        if (p->depth == NS_WHERE_DEPTH)
            return refuse(p, p->token.raw, "brackets are nested more than %d deep", NS_WHERE_DEPTH);
        p->depth++;
        NS_TRY(advance(p));
        NS_TRY(parse_expression(p));
        if (p->token.kind != TOKEN_CLOSE) return expected(p, "and, or, or )");
        NS_TRY(advance(p));
        p->depth--;
    } else {
        NS_TRY(parse_comparison(p));
    }
    if (negate) p->where->steps[p->where->n_steps++] = (where_step){.kind = WHERE_NOT};
    return NS_OK;
}

static ns_status parse_term(parser *p)
{
    NS_TRY(parse_factor(p));
    while (p->token.kind == TOKEN_AND) {
        NS_TRY(advance(p));
        NS_TRY(parse_factor(p));
        p->where->steps[p->where->n_steps++] = (where_step){.kind = WHERE_AND};
    }
    return NS_OK;
}

static ns_status parse_expression(parser *p)
{
    NS_TRY(parse_term(p));
    while (p->token.kind == TOKEN_OR) {
        NS_TRY(advance(p));
        NS_TRY(parse_term(p));
        p->where->steps[p->where->n_steps++] = (where_step){.kind = WHERE_OR};
    }
    return NS_OK;
}

static ns_status create(ns_where **out, size_t n_bytes)
{
    ns_where *where = calloc(1, sizeof *where);
    size_t n = n_bytes + 1;
    if (where != NULL) {
        where->place = calloc(1, 1);
        where->pool = malloc(2 * n);
        where->columns = calloc(n, sizeof *where->columns);
        where->tests = calloc(n, sizeof *where->tests);
        where->values = calloc(n, sizeof *where->values);
        where->steps = calloc(n, sizeof *where->steps);
        where->kinds = calloc(n, sizeof *where->kinds);
        where->numbers = calloc(n, sizeof *where->numbers);
        where->integers = calloc(n, sizeof *where->integers);
    }
    *out = where;
    if (where == NULL || where->place == NULL || where->pool == NULL || where->columns == NULL ||
        where->tests == NULL || where->values == NULL || where->steps == NULL || where->kinds == NULL ||
        where->numbers == NULL || where->integers == NULL) {
        ns_where_destroy(out);
        return ns_fail(NS_ENOMEM, "out of memory for a where expression");
    }
    return NS_OK;
}

ns_status ns_where_read(ns_where **out, const char *text, char *message, size_t room)
{
    enum { MOST_BYTES = 1 << 20 }; /* positions and counts stay far inside an int32 */
    *out = NULL;
    size_t n_bytes = strnlen(text, (size_t)MOST_BYTES + 1);
    if (n_bytes > MOST_BYTES) {
        snprintf(message, room, "the expression is longer than %d bytes", MOST_BYTES);
        return NS_EINVAL;
    }
    NS_TRY(create(out, n_bytes));
    parser p = {.text = text, .at = text, .where = *out, .message = message, .room = room};
    ns_status status = advance(&p);
    if (status == NS_OK) status = parse_expression(&p);
    if (status == NS_OK && p.token.kind != TOKEN_END) status = expected(&p, "and, or, or the end");
    if (status != NS_OK) ns_where_destroy(out);
    return status;
}

ns_status ns_where_parse(ns_where **out, const char *text, const char *place)
{
    char message[400];
    ns_status status = ns_where_read(out, text, message, sizeof message);
    if (status == NS_EINVAL) return ns_fail(NS_EINVAL, "%s: %s", place, message);
    if (status != NS_OK) return status;
    char *copy = strdup(place);
    if (copy == NULL) {
        ns_where_destroy(out);
        return ns_fail(NS_ENOMEM, "out of memory for a where expression");
    }
    free((*out)->place);
    (*out)->place = copy;
    return NS_OK;
}

void ns_where_destroy(ns_where **where)
{
    ns_where *w = *where;
    if (w == NULL) return;
    for (int32_t i = 0; i < w->n_tests; i++) free(w->tests[i].level_in);
    free(w->place);
    free(w->pool);
    free(w->columns);
    free(w->tests);
    free(w->values);
    free(w->steps);
    free(w->kinds);
    free(w->numbers);
    free(w->integers);
    free(w);
    *where = NULL;
}

int32_t ns_where_n_columns(const ns_where *where)
{
    return where->n_columns;
}

const char *ns_where_column_name(const ns_where *where, int32_t i)
{
    return where->columns[i];
}
