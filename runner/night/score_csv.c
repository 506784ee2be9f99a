#include "runner/night/score_csv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/float_text.h"
#include "data/spool.h"
#include "data/text_index.h"

struct ns_score_csv {
    ns_spool *spool;
    int32_t n_keep;
    ns_keep_column *keep;
    ns_score_kind kind;
    const ns_texts *classes; /* NULL: one number a row */
};

static ns_status add_text(ns_score_csv *csv, const char *text, int64_t n)
{
    bool plain = n > 0;
    for (int64_t i = 0; i < n && plain; i++) plain = text[i] != ',' && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (plain) return ns_spool_add(csv->spool, text, (size_t)n);
    NS_TRY(ns_spool_add(csv->spool, "\"", 1));
    for (int64_t at = 0; at < n;) {
        const char *quote = memchr(text + at, '"', (size_t)(n - at));
        int64_t end = quote != NULL ? quote - text + 1 : n;
        NS_TRY(ns_spool_add(csv->spool, text + at, (size_t)(end - at)));
        if (quote != NULL) NS_TRY(ns_spool_add(csv->spool, "\"", 1));
        at = end;
    }
    return ns_spool_add(csv->spool, "\"", 1);
}

/* An id: empty where it is missing. */
static ns_status add_id_text(ns_score_csv *csv, const ns_texts *texts, int64_t i)
{
    int64_t n = 0;
    const char *text = ns_text_at(texts, i, &n);
    return n > 0 ? add_text(csv, text, n) : NS_OK;
}

static ns_status add_integer(ns_score_csv *csv, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, value);
    return ns_spool_add(csv->spool, text, (size_t)n);
}

static ns_status add_id_int(ns_score_csv *csv, int64_t value)
{
    return value == INT64_MIN ? NS_OK : add_integer(csv, value); /* as in a cohort: the smallest is missing */
}

static ns_status add_number(ns_score_csv *csv, float value)
{
    char text[NS_FLOAT_TEXT];
    return isnan(value) ? NS_OK : ns_spool_add(csv->spool, text, (size_t)ns_float_text(text, value));
}

static ns_status add_time(ns_score_csv *csv, int64_t seconds)
{
    struct tm utc;
    char text[64];
    time_t when = (time_t)seconds;
    if (seconds == NS_TIME_MISSING) return NS_OK;
    if (gmtime_r(&when, &utc) == NULL || utc.tm_year < -1899 || utc.tm_year > 8099) return add_integer(csv, seconds); /* no calendar year of four digits */
    int n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return ns_spool_add(csv->spool, text, (size_t)n);
}

static ns_status add_level(ns_score_csv *csv, const ns_texts *levels, int32_t code)
{
    int64_t n = 0;
    if (code < 0) return NS_OK;
    const char *text = ns_text_at(levels, code, &n);
    return add_text(csv, text, n);
}

static ns_status add_kept(ns_score_csv *csv, const ns_keep_column *column, const void *cells, int64_t i)
{
    switch (column->kind) {
    case NS_COL_NUMBER: return add_number(csv, ((const float *)cells)[i]);
    case NS_COL_CATEGORY: return add_level(csv, column->levels, ((const int32_t *)cells)[i]);
    case NS_COL_TIME: return add_time(csv, ((const int64_t *)cells)[i]);
    case NS_COL_ID: break;
    }
    return column->is_text ? add_id_text(csv, cells, i) : add_id_int(csv, ((const int64_t *)cells)[i]);
}

/* risk_CLASS */
static ns_status add_class_name(ns_score_csv *csv, int64_t c)
{
    int64_t n = 0;
    const char *text = ns_text_at(csv->classes, c, &n);
    char *name = malloc((size_t)n + sizeof "risk_");
    if (name == NULL) return ns_fail(NS_ENOMEM, "no memory for the names of a CSV file");
    memcpy(name, "risk_", 5);
    memcpy(name + 5, text, (size_t)n);
    ns_status status = ns_spool_add(csv->spool, ",", 1);
    if (status == NS_OK) status = add_text(csv, name, n + 5);
    free(name);
    return status;
}

static ns_status add_names(ns_score_csv *csv)
{
    static const char first[] = "id,status";
    const char *value = csv->classes != NULL ? "" : csv->kind == NS_SCORE_PREDICTION ? ",prediction" : ",risk";
    NS_TRY(ns_spool_add(csv->spool, first, sizeof first - 1));
    NS_TRY(ns_spool_add(csv->spool, value, strlen(value)));
    for (int64_t c = 0; csv->classes != NULL && c < csv->classes->n; c++) NS_TRY(add_class_name(csv, c));
    for (int32_t k = 0; k < csv->n_keep; k++) {
        NS_TRY(ns_spool_add(csv->spool, ",", 1));
        NS_TRY(add_text(csv, csv->keep[k].name, (int64_t)strlen(csv->keep[k].name)));
    }
    return ns_spool_add(csv->spool, "\n", 1);
}

ns_status ns_score_csv_open(ns_score_csv **out, const char *path, const ns_scores_setup *setup)
{
    ns_score_csv *csv = calloc(1, sizeof *csv);
    *out = NULL;
    if (csv != NULL) csv->keep = calloc((size_t)setup->n_keep + 1, sizeof *csv->keep);
    if (csv == NULL || csv->keep == NULL) {
        free(csv);
        return ns_fail(NS_ENOMEM, "no memory to write '%s'", path);
    }
    for (int32_t k = 0; k < setup->n_keep; k++) csv->keep[k] = setup->keep[k];
    csv->n_keep = setup->n_keep;
    csv->kind = setup->kind;
    csv->classes = setup->classes;
    ns_status status = ns_spool_open(&csv->spool, path, "csv");
    if (status == NS_OK) status = add_names(csv);
    if (status != NS_OK) ns_score_csv_close(&csv);
    *out = csv;
    return status;
}

ns_status ns_score_csv_add(ns_score_csv *csv, const ns_scores_block *block)
{
    int64_t n_values = csv->classes != NULL ? csv->classes->n : 1;
    for (int64_t i = 0; i < block->n_rows; i++) {
        char status[] = {',', (char)('0' + block->status[i])};
        NS_TRY(block->id_int != NULL ? add_id_int(csv, block->id_int[i]) : add_id_text(csv, block->id_text, i));
        NS_TRY(ns_spool_add(csv->spool, status, sizeof status));
        for (int64_t v = 0; v < n_values; v++) {
            NS_TRY(ns_spool_add(csv->spool, ",", 1));
            NS_TRY(add_number(csv, block->risk[i * n_values + v]));
        }
        for (int32_t k = 0; k < csv->n_keep; k++) {
            NS_TRY(ns_spool_add(csv->spool, ",", 1));
            NS_TRY(add_kept(csv, &csv->keep[k], block->keep[k], i));
        }
        NS_TRY(ns_spool_add(csv->spool, "\n", 1));
    }
    return NS_OK;
}

ns_status ns_score_csv_finish(ns_score_csv *csv, char sha256[65], int64_t *n_bytes)
{
    return ns_spool_finish(csv->spool, sha256, n_bytes);
}

void ns_score_csv_close(ns_score_csv **out)
{
    if (*out == NULL) return;
    ns_spool_close(&(*out)->spool);
    free((*out)->keep);
    free(*out);
    *out = NULL;
}
