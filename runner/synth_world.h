#ifndef NIGHTSHIFT_RUNNER_SYNTH_WORLD_H
#define NIGHTSHIFT_RUNNER_SYNTH_WORLD_H
/*
 * The made-up patients behind a synthetic cohort. Every value is a pure function of (seed, row) or (seed,
 * patient): Philox numbers, arithmetic of kernels/numerics.h, no library mathematics, so any compiler gives
 * the same bits.
 *
 * A patient has a frailty and some constants of his; a stay has an acuity that leans on the frailty.
 * Measurements lean on both. The log-odds of readmission are a sum of bends, steps and products of what the
 * columns hold (age bends down after eighty, creatinine matters more above 75 years, a fever counts with a
 * fast heart, …), an effect of each diagnosis, and a patient's own effect that no column shows. So trees do
 * better than a straight line, and nothing does better than the true risk. Terms of columns that are not in
 * the cohort are left out, so it holds for any number of columns.
 */
#include <stdbool.h>
#include <stdint.h>

#include "runner/synth.h"

/* The number columns that have a meaning; those behind them are lab_17 and so on. */
enum {
    NS_AGE,
    NS_LENGTH_OF_STAY,
    NS_PRIOR_STAYS,
    NS_CREATININE,
    NS_SODIUM,
    NS_HEMOGLOBIN,
    NS_HEART_RATE,
    NS_SYSTOLIC_BP,
    NS_TEMPERATURE,
    NS_ALBUMIN,
    NS_OXYGEN_SATURATION,
    NS_GLUCOSE,
    NS_N_MEDICATIONS,
    NS_WHITE_CELLS,
    NS_BMI,
    NS_POTASSIUM,
    NS_N_NAMED_NUMBERS
};

/* The category columns that have a meaning; those behind them are code_06 and so on. */
enum { NS_SEX, NS_DIAGNOSIS, NS_UNIT, NS_DISPOSITION, NS_INSURANCE, NS_N_NAMED_CATEGORIES };

enum { NS_WORLD_DIAGNOSES = 300 };

/* A keyed permutation of [0, n). */
typedef struct ns_shuffle {
    int64_t n;
    int half_bits; /* of a number on [0, 4^half_bits), n at most that */
    uint64_t key[4];
} ns_shuffle;

typedef struct ns_world {
    ns_synth_options options; /* checked, n_patients set */
    ns_shuffle patient_of;    /* over rows: those below n_patients give every patient a stay */
    ns_shuffle oddity_of;     /* over pairs of rows: the first get a duplicate id, then a missing one, then an
                                 infinity */
    double intercept;
    double diagnosis_effect[NS_WORLD_DIAGNOSES];
} ns_world;

/* Sets the world up; the intercept is found so that the mean risk of 4,096 stays is the prevalence. */
void ns_world_create(ns_world *out, const ns_synth_options *options);

/* Names of columns and of levels; buffer holds at least 16 bytes and is what is returned where the name is
 * made up. */
const char *ns_world_number_name(int32_t column, char *buffer);
const char *ns_world_number_unit(int32_t column); /* UCUM, "" for none */
const char *ns_world_category_name(int32_t column, char *buffer);
int32_t ns_world_n_levels(int32_t column);
const char *ns_world_level_name(int32_t column, int32_t level, char *buffer);

/* The patient of a row, 0 <= patient < n_patients. Rows of a patient lie anywhere. */
int64_t ns_world_patient(const ns_world *world, int64_t row);

/* What the row's cell holds before any is taken away: numbers rounded as a laboratory reports them. */
double ns_world_number(const ns_world *world, int32_t column, int64_t row);
int32_t ns_world_level(const ns_world *world, int32_t column, int64_t row);

/* The probability with which the stay is followed by a readmission, and whether it was. */
double ns_world_risk(const ns_world *world, int64_t row);
bool ns_world_readmitted(const ns_world *world, int64_t row, double risk);

/* A draw on (0, 1) for an outcome of the row other than readmission; which: 0 to 9. */
double ns_world_draw(const ns_world *world, int32_t which, int64_t row);

/* Seconds since 1970 UTC, from 2024-11-20 to 2026-11-20, growing with the row. */
int64_t ns_world_admitted_at(const ns_world *world, int64_t row);

/* Whether the cell is missing in the cohort. column: numbers first, then categories. */
bool ns_world_is_missing(const ns_world *world, int32_t column, int64_t row);

typedef enum ns_oddity { NS_ODD_NOT = 0, NS_ODD_DUPLICATE_ID, NS_ODD_MISSING_ID, NS_ODD_INFINITE } ns_oddity;
ns_oddity ns_world_oddity(const ns_world *world, int64_t row);
#endif
