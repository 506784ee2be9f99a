#include "runner/synth.h"

/* One column after another, each in blocks of rows: what a cell holds is worked out anew from its row, so
   memory is that of one block however many rows there are. */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cohort_writer.h"
#include "runner/synth_outcomes.h"

enum { BLOCK_ROWS = 65536, MAX_COLUMNS = 10000 };

/* Encounters are numbered from here on, beyond what float32 holds. */
static const int64_t FIRST_ENCOUNTER = 500000001;

ns_synth_options ns_synth_defaults(void)
{
    return (ns_synth_options){
        .seed = 1, .n_numbers = 20, .n_categories = 5, .prevalence = 0.12, .missing = 0.1};
}

static ns_status check(const ns_synth_options *o)
{
    if (o->n_rows < 0) return ns_fail(NS_EINVAL, "--rows: %" PRId64 " is not 0 or more", o->n_rows);
    if (o->n_patients < 0 || o->n_patients > o->n_rows)
        return ns_fail(NS_EINVAL, "--patients: %" PRId64 " is not from 1 to the number of rows, %" PRId64,
                       o->n_patients, o->n_rows);
    if (o->n_numbers < 1 || o->n_numbers > MAX_COLUMNS)
        return ns_fail(NS_EINVAL, "--numbers: %d is not from 1 to %d", (int)o->n_numbers, MAX_COLUMNS);
    if (o->n_categories < 0 || o->n_categories > MAX_COLUMNS)
        return ns_fail(NS_EINVAL, "--categories: %d is not from 0 to %d", (int)o->n_categories, MAX_COLUMNS);
    if (!(o->prevalence >= 0.001 && o->prevalence <= 0.9))
        return ns_fail(NS_EINVAL, "--prevalence: %g is not from 0.001 to 0.9", o->prevalence);
    if (!(o->missing >= 0.0 && o->missing <= 0.6))
        return ns_fail(NS_EINVAL, "--missing: %g is not from 0 to 0.6", o->missing);
    int64_t half = o->n_rows / 2;
    bool fits = o->n_duplicate_ids >= 0 && o->n_duplicate_ids <= half && o->n_missing_ids >= 0 &&
                o->n_missing_ids <= half - o->n_duplicate_ids && o->n_infinite >= 0 &&
                o->n_infinite <= half - o->n_duplicate_ids - o->n_missing_ids;
    if (!fits)
        return ns_fail(
            NS_EINVAL,
            "--duplicate-ids, --missing-ids and --infinite: together they must be from 0 to half of "
            "the rows, %" PRId64,
            half);
    return NS_OK;
}

/* Memory for one block of any kind. */
typedef struct scratch {
    union {
        float *number;
        int32_t *code;
        int64_t *integer;
    } as;
    ns_texts texts;
} scratch;

static int64_t block_rows(const ns_world *world, int64_t first)
{
    int64_t left = world->options.n_rows - first;
    return left < BLOCK_ROWS ? left : BLOCK_ROWS;
}

static ns_status write_encounters(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    NS_TRY(ns_cohort_writer_column(writer, "encounter_id", NS_COL_ID, false, NULL, "one per stay"));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) {
            ns_oddity odd = ns_world_oddity(world, first + i);
            int64_t id = FIRST_ENCOUNTER + first + i - (odd == NS_ODD_DUPLICATE_ID);
            block->as.integer[i] = odd == NS_ODD_MISSING_ID ? NS_TIME_MISSING : id;
        }
        NS_TRY(ns_cohort_writer_id_ints(writer, block->as.integer, n));
    }
    return NS_OK;
}

static ns_status write_patients(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    NS_TRY(ns_cohort_writer_column(writer, "patient_id", NS_COL_ID, true, NULL, "one per patient"));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        ns_texts_clear(&block->texts);
        for (int64_t i = 0; i < n; i++) {
            char text[32];
            int length = snprintf(text, sizeof text, "P%08" PRId64, ns_world_patient(world, first + i));
            NS_TRY(ns_texts_append(&block->texts, text, length));
        }
        NS_TRY(ns_cohort_writer_id_texts(writer, &block->texts));
    }
    return NS_OK;
}

static ns_status write_times(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    NS_TRY(ns_cohort_writer_column(writer, "admitted_at", NS_COL_TIME, false, NULL, NULL));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) block->as.integer[i] = ns_world_admitted_at(world, first + i);
        NS_TRY(ns_cohort_writer_times(writer, block->as.integer, n));
    }
    return NS_OK;
}

static ns_status write_number(ns_cohort_writer *writer, const ns_world *world, int32_t column, scratch *block)
{
    char name[16];
    int32_t last = world->options.n_numbers - 1, infinite = last < NS_CREATININE ? last : NS_CREATININE;
    NS_TRY(ns_cohort_writer_column(writer, ns_world_number_name(column, name), NS_COL_NUMBER, false,
                                   ns_world_number_unit(column), NULL));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) {
            int64_t row = first + i;
            if (column == infinite && ns_world_oddity(world, row) == NS_ODD_INFINITE)
                block->as.number[i] = INFINITY;
            else if (ns_world_is_missing(world, column, row))
                block->as.number[i] = NAN;
            else
                block->as.number[i] = (float)ns_world_number(world, column, row);
        }
        NS_TRY(ns_cohort_writer_numbers(writer, block->as.number, n));
    }
    return NS_OK;
}

/* The category column's levels, sorted by bytes, and the code of each of the world's levels. */
static ns_status sort_levels(int32_t column, ns_texts *sorted, int32_t *code)
{
    char name[16];
    int32_t n = ns_world_n_levels(column);
    ns_texts_clear(sorted);
    for (int32_t i = 0; i < n; i++) {
        const char *text = ns_world_level_name(column, i, name);
        NS_TRY(ns_texts_append(sorted, text, (int64_t)strlen(text)));
    }
    NS_TRY(ns_texts_sort_unique(sorted));
    for (int32_t i = 0; i < n; i++) {
        const char *text = ns_world_level_name(column, i, name);
        code[i] = (int32_t)ns_texts_find(sorted, text, (int64_t)strlen(text));
    }
    return NS_OK;
}

static ns_status write_category(ns_cohort_writer *writer, const ns_world *world, int32_t column,
                                scratch *block)
{
    char name[16];
    int32_t code[NS_WORLD_DIAGNOSES]; /* no column has more levels */
    NS_TRY(sort_levels(column, &block->texts, code));
    NS_TRY(ns_cohort_writer_column(writer, ns_world_category_name(column, name), NS_COL_CATEGORY, false, NULL,
                                   NULL));
    int32_t number = world->options.n_numbers + column;
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) {
            bool missing = ns_world_is_missing(world, number, first + i);
            block->as.code[i] = missing ? -1 : code[ns_world_level(world, column, first + i)];
        }
        NS_TRY(ns_cohort_writer_codes(writer, block->as.code, n));
    }
    return ns_cohort_writer_levels(writer, &block->texts);
}

static ns_status write_outcome(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    ns_texts_clear(&block->texts);
    NS_TRY(ns_texts_append(&block->texts, "no", 2));
    NS_TRY(ns_texts_append(&block->texts, "yes", 3));
    NS_TRY(ns_cohort_writer_column(writer, "readmitted", NS_COL_CATEGORY, false, NULL, "within 30 days"));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++)
            block->as.code[i] = ns_world_readmitted(world, first + i, ns_world_risk(world, first + i));
        NS_TRY(ns_cohort_writer_codes(writer, block->as.code, n));
    }
    return ns_cohort_writer_levels(writer, &block->texts);
}

static ns_status write_risk(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    NS_TRY(ns_cohort_writer_column(writer, "true_risk", NS_COL_NUMBER, false, NULL,
                                   "the probability that readmitted was drawn with; never a feature"));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) block->as.number[i] = (float)ns_world_risk(world, first + i);
        NS_TRY(ns_cohort_writer_numbers(writer, block->as.number, n));
    }
    return NS_OK;
}

static ns_status write_care(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    int32_t code[NS_N_CARE];
    ns_texts_clear(&block->texts);
    for (int32_t i = 0; i < NS_N_CARE; i++)
        NS_TRY(ns_texts_append(&block->texts, ns_world_care_name(i), (int64_t)strlen(ns_world_care_name(i))));
    NS_TRY(ns_texts_sort_unique(&block->texts));
    for (int32_t i = 0; i < NS_N_CARE; i++)
        code[i] = (int32_t)ns_texts_find(&block->texts, ns_world_care_name(i), (int64_t)strlen(ns_world_care_name(i)));
    NS_TRY(ns_cohort_writer_column(writer, "next_care", NS_COL_CATEGORY, false, NULL, "highest kind of care within 30 days"));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) {
            ns_world_outcomes truth = ns_world_outcomes_of(world, first + i);
            block->as.code[i] = code[ns_world_care(world, first + i, &truth)];
        }
        NS_TRY(ns_cohort_writer_codes(writer, block->as.code, n));
    }
    return ns_cohort_writer_levels(writer, &block->texts);
}

static double cost_of(const ns_world *world, int64_t row, const ns_world_outcomes *truth, int32_t which)
{
    (void)which;
    return ns_world_cost(world, row, truth);
}

static double calls_of(const ns_world *world, int64_t row, const ns_world_outcomes *truth, int32_t which)
{
    (void)which;
    return ns_world_calls(world, row, truth);
}

static double truth_of(const ns_world *world, int64_t row, const ns_world_outcomes *truth, int32_t which)
{
    (void)world;
    (void)row;
    return which < NS_N_CARE ? truth->care[which] : which == NS_N_CARE ? truth->mean_cost : truth->call_rate;
}

/* A number column of outcomes or of their truth. */
typedef struct outcome_column {
    const char *name, *description;
    double (*value)(const ns_world *world, int64_t row, const ns_world_outcomes *truth, int32_t which);
    int32_t which;
} outcome_column;

static ns_status write_outcome_number(ns_cohort_writer *writer, const ns_world *world, const outcome_column *column, scratch *block)
{
    NS_TRY(ns_cohort_writer_column(writer, column->name, NS_COL_NUMBER, false, NULL, column->description));
    for (int64_t first = 0; first < world->options.n_rows; first += BLOCK_ROWS) {
        int64_t n = block_rows(world, first);
        for (int64_t i = 0; i < n; i++) {
            ns_world_outcomes truth = ns_world_outcomes_of(world, first + i);
            block->as.number[i] = (float)column->value(world, first + i, &truth, column->which);
        }
        NS_TRY(ns_cohort_writer_numbers(writer, block->as.number, n));
    }
    return NS_OK;
}

static ns_status write_outcomes(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    static const char truth[] = "of the distribution that the outcome was drawn from; never a feature";
    static const outcome_column columns[] = {
        {"cost", "of the stay", cost_of, 0},           {"calls", "to the ward within 30 days", calls_of, 0},
        {"true_none", truth, truth_of, 0},             {"true_outpatient", truth, truth_of, 1},
        {"true_emergency", truth, truth_of, 2},        {"true_inpatient", truth, truth_of, 3},
        {"true_cost", truth, truth_of, NS_N_CARE},     {"true_calls", truth, truth_of, NS_N_CARE + 1}};
    size_t n = world->options.true_risk ? sizeof columns / sizeof columns[0] : 2;
    NS_TRY(write_care(writer, world, block));
    for (size_t i = 0; i < n; i++) NS_TRY(write_outcome_number(writer, world, &columns[i], block));
    return NS_OK;
}

static ns_status write_columns(ns_cohort_writer *writer, const ns_world *world, scratch *block)
{
    NS_TRY(write_encounters(writer, world, block));
    NS_TRY(write_patients(writer, world, block));
    NS_TRY(write_times(writer, world, block));
    for (int32_t i = 0; i < world->options.n_numbers; i++) NS_TRY(write_number(writer, world, i, block));
    for (int32_t i = 0; i < world->options.n_categories; i++) NS_TRY(write_category(writer, world, i, block));
    NS_TRY(write_outcome(writer, world, block));
    if (world->options.outcomes) NS_TRY(write_outcomes(writer, world, block));
    return world->options.true_risk ? write_risk(writer, world, block) : NS_OK;
}

ns_status ns_synth(const char *path, const ns_synth_options *options)
{
    NS_TRY(check(options));
    ns_synth_options o = *options;
    if (o.n_patients == 0) o.n_patients = (int64_t)((double)o.n_rows * 0.6);
    if (o.n_patients == 0) o.n_patients = 1;
    ns_world world;
    ns_world_create(&world, &o);
    ns_cohort_writer *writer = NULL;
    scratch block = {0};
    const ns_cohort_options file = {.chunk_rows = 0, .deflate = -1};
    block.as.integer = malloc(BLOCK_ROWS * sizeof(int64_t));
    ns_status status = NS_OK;
    if (block.as.integer == NULL) status = ns_fail(NS_ENOMEM, "no memory for a block of rows");
    if (status == NS_OK) status = ns_cohort_writer_open(&writer, path, &file);
    if (status == NS_OK) status = write_columns(writer, &world, &block);
    if (status == NS_OK) status = ns_cohort_writer_finish(writer);
    ns_cohort_writer_close(&writer);
    ns_texts_destroy(&block.texts);
    free(block.as.integer);
    return status;
}
