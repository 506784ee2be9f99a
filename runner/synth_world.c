#include "runner/synth_world.h"

/*
 * A draw is one Philox block at counter (index, purpose), key = seed; index is a row, a patient, or a level.
 * What one stay has in common (its patient, frailty, acuity) is worked out once and handed to every
 * measurement.
 */

#include <stdio.h>
#include <string.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"

enum { CALIBRATION_ROWS = 4096, SHUFFLE_ROUNDS = 4 };

/* What a draw is for. Columns have ranges of their own. */
enum {
    FOR_SHUFFLE = 1,
    FOR_RETURNING,
    FOR_FRAILTY,
    FOR_PATIENT_EFFECT,
    FOR_ACUITY,
    FOR_TIME,
    FOR_OUTCOME,
    FOR_DIAGNOSIS_EFFECT,
    FOR_AGE,
    FOR_KIDNEY,
    FOR_SIZE,
    FOR_OTHER_OUTCOMES, /* three: runner/synth_outcomes.h */
    FOR_NUMBER = 1 << 16,
    FOR_CATEGORY = 2 << 16,
    FOR_MISSING = 3 << 16
};

static const struct number_column {
    const char *name, *unit;
} numbers[NS_N_NAMED_NUMBERS] = {
    [NS_AGE] = {"age", "a"},
    [NS_LENGTH_OF_STAY] = {"length_of_stay", "d"},
    [NS_PRIOR_STAYS] = {"prior_stays", ""},
    [NS_CREATININE] = {"creatinine", "mg/dL"},
    [NS_SODIUM] = {"sodium", "mmol/L"},
    [NS_HEMOGLOBIN] = {"hemoglobin", "g/dL"},
    [NS_HEART_RATE] = {"heart_rate", "/min"},
    [NS_SYSTOLIC_BP] = {"systolic_bp", "mm[Hg]"},
    [NS_TEMPERATURE] = {"temperature", "Cel"},
    [NS_ALBUMIN] = {"albumin", "g/dL"},
    [NS_OXYGEN_SATURATION] = {"oxygen_saturation", "%"},
    [NS_GLUCOSE] = {"glucose", "mg/dL"},
    [NS_N_MEDICATIONS] = {"n_medications", ""},
    [NS_WHITE_CELLS] = {"white_cells", "10*3/uL"},
    [NS_BMI] = {"bmi", "kg/m2"},
    [NS_POTASSIUM] = {"potassium", "mmol/L"},
};

enum { N_SEXES = 2, N_UNITS = 8, N_DISPOSITIONS = 5, N_INSURANCES = 4 };
enum { UNIT_INTENSIVE = 6, TO_HOME = 0, TO_HOME_CARE, TO_NURSING, TO_REHABILITATION, AGAINST_ADVICE };
static const char *const sexes[N_SEXES] = {"female", "male"};
static const char *const units[N_UNITS] = {"medicine",  "surgery",     "cardiology",     "oncology",
                                           "neurology", "orthopedics", "intensive_care", "geriatrics"};
static const char *const dispositions[N_DISPOSITIONS] = {"home", "home_care", "nursing_home",
                                                         "rehabilitation", "against_advice"};
static const char *const insurances[N_INSURANCES] = {"public", "private", "other", "none"};
static const char *const categories[NS_N_NAMED_CATEGORIES] = {"sex", "diagnosis", "unit", "disposition",
                                                              "insurance"};

/* A patient's stay, as far as its measurements share it. */
typedef struct stay {
    int64_t row, patient;
    double frailty, acuity;
} stay;

/* Four words at (seed, purpose, index). The last counter word keeps them apart from the streams of training,
   whose purposes (kernels/philox.h) are small numbers. */
static ns_block draw_at(const ns_world *world, int32_t purpose, int64_t index)
{
    ns_block counter = {
        {(uint32_t)index, (uint32_t)((uint64_t)index >> 32), (uint32_t)purpose, UINT32_C(0xff)}};
    return ns_philox(counter, (uint32_t)world->options.seed, (uint32_t)(world->options.seed >> 32));
}

/* (0, 1) */
static double uniform(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

static double uniform_at(const ns_world *world, int32_t purpose, int64_t index)
{
    return uniform(draw_at(world, purpose, index).word[0]);
}

/* Nearly normal, mean 0, deviation 1: eight uniforms of 16 bits; their sum has variance 8 * 2^32 / 12. */
static double normal_at(const ns_world *world, int32_t purpose, int64_t index)
{
    ns_block d = draw_at(world, purpose, index);
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) sum += (int64_t)(d.word[i] & 0xffffU) + (int64_t)(d.word[i] >> 16);
    return (double)(sum - 4 * 65535) * (1.2247448713915890 / 65536.0);
}

static double clamp(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

/* x >= 0 with so many steps a unit, halves up. */
static double round_to(double x, double steps)
{
    return (double)(int64_t)(x * steps + 0.5) / steps;
}

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void shuffle_create(ns_shuffle *shuffle, const ns_world *world, int64_t n, int64_t index)
{
    *shuffle = (ns_shuffle){.n = n, .half_bits = 1};
    while (shuffle->half_bits < 31 && ((int64_t)1 << (2 * shuffle->half_bits)) < n) shuffle->half_bits++;
    for (int i = 0; i < SHUFFLE_ROUNDS; i++) {
        ns_block d = draw_at(world, FOR_SHUFFLE, index * SHUFFLE_ROUNDS + i);
        shuffle->key[i] = (uint64_t)d.word[0] << 32 | d.word[1];
    }
}

/* A Feistel network over 2 * half_bits bits, walked until it lands below n: a permutation of [0, n). */
static int64_t shuffled(const ns_shuffle *shuffle, int64_t i)
{
    uint64_t mask = (UINT64_C(1) << shuffle->half_bits) - 1, x = (uint64_t)i;
    do {
        uint64_t left = x >> shuffle->half_bits, right = x & mask;
        for (int k = 0; k < SHUFFLE_ROUNDS; k++) {
            uint64_t next = left ^ (scramble(right ^ shuffle->key[k]) & mask);
            left = right;
            right = next;
        }
        x = left << shuffle->half_bits | right;
    } while (x >= (uint64_t)shuffle->n);
    return (int64_t)x;
}

/* Every patient has one stay; the others go to patients with a leaning to the first ones, who are the
 * frailer. */
int64_t ns_world_patient(const ns_world *world, int64_t row)
{
    int64_t n_patients = world->options.n_patients, place = shuffled(&world->patient_of, row);
    if (place < n_patients) return place;
    double u = uniform_at(world, FOR_RETURNING, row);
    return (int64_t)(u * u * (double)n_patients);
}

static stay stay_of(const ns_world *world, int64_t row)
{
    stay s = {.row = row, .patient = ns_world_patient(world, row)};
    double place = (double)s.patient / (double)world->options.n_patients;
    s.frailty = normal_at(world, FOR_FRAILTY, s.patient) + 0.5 - place;
    s.acuity = 0.6 * s.frailty + 0.8 * normal_at(world, FOR_ACUITY, row);
    return s;
}

/* In whole years; about two in a hundred patients are children. */
static double age_of(const ns_world *world, const stay *s)
{
    ns_block d = draw_at(world, FOR_AGE, s->patient);
    if (d.word[0] < UINT32_C(75000000)) return (double)(int64_t)(uniform(d.word[1]) * 18.0);
    double years = 62.0 + 16.0 * normal_at(world, FOR_NUMBER + NS_AGE, s->patient) + 3.0 * s->frailty;
    return (double)(int64_t)clamp(years, 18.0, 101.0);
}

static double number_of(const ns_world *world, const stay *s, int32_t column)
{
    if (column == NS_AGE) return age_of(world, s);
    double noise = normal_at(world, FOR_NUMBER + column, s->row), a = s->acuity;
    switch (column) {
    case NS_LENGTH_OF_STAY:
        return (double)(int64_t)clamp(1.0 + ns_exp(1.0 + 0.4 * a + 0.6 * noise), 1.0, 90.0);
    case NS_PRIOR_STAYS: {
        double waits = -ns_log(uniform_at(world, FOR_NUMBER + column, s->row));
        return (double)(int64_t)clamp(waits * ns_exp(0.8 * s->frailty - 0.5), 0.0, 40.0);
    }
    case NS_CREATININE: {
        double kidney = 0.5 * s->frailty + 0.8 * normal_at(world, FOR_KIDNEY, s->patient);
        return round_to(ns_exp(0.4 * kidney + 0.2 * noise - 0.05), 100.0);
    }
    case NS_SODIUM:
        return round_to(clamp(139.0 + 4.0 * noise, 105.0, 175.0), 1.0);
    case NS_HEMOGLOBIN:
        return round_to(clamp(12.6 - 0.6 * a + 1.8 * noise, 3.0, 21.0), 10.0);
    case NS_HEART_RATE:
        return round_to(clamp(82.0 + 8.0 * a + 13.0 * noise, 30.0, 210.0), 1.0);
    case NS_SYSTOLIC_BP:
        return round_to(clamp(128.0 - 6.0 * a + 18.0 * noise, 50.0, 240.0), 1.0);
    case NS_TEMPERATURE:
        return round_to(clamp(37.0 + 0.2 * a + 0.6 * noise, 33.0, 42.0), 10.0);
    case NS_ALBUMIN:
        return round_to(clamp(3.7 - 0.25 * a + 0.5 * noise, 1.0, 6.0), 10.0);
    case NS_OXYGEN_SATURATION:
        return round_to(clamp(98.0 - ns_exp(0.8 + 0.3 * a + 0.6 * noise), 60.0, 100.0), 1.0);
    case NS_GLUCOSE:
        return round_to(ns_exp(4.85 + 0.1 * s->frailty + 0.3 * noise), 1.0);
    case NS_N_MEDICATIONS:
        return round_to(clamp(9.0 + 2.5 * s->frailty + 3.5 * noise, 0.0, 40.0), 1.0);
    case NS_WHITE_CELLS:
        return round_to(ns_exp(2.1 + 0.12 * a + 0.35 * noise), 10.0);
    case NS_BMI:
        return round_to(ns_exp(3.3 + 0.2 * normal_at(world, FOR_SIZE, s->patient) + 0.02 * noise), 10.0);
    case NS_POTASSIUM:
        return round_to(clamp(4.2 + 0.5 * noise, 2.0, 8.0), 10.0);
    default: /* every second of the nameless ones leans on the acuity a little */
        return round_to(
            ns_exp(2.0 + 0.1 * (double)(column % 7) + (column % 2 == 0 ? 0.08 * a : 0.0) + 0.3 * noise),
            100.0);
    }
}

double ns_world_number(const ns_world *world, int32_t column, int64_t row)
{
    stay s = stay_of(world, row);
    return number_of(world, &s, column);
}

static int32_t unit_of(const stay *s, const ns_block *d)
{
    static const double upto[N_UNITS - 1] = {0.34, 0.55, 0.68, 0.76, 0.85, 0.93, 0.94};
    if (s->acuity > 1.7) return UNIT_INTENSIVE;
    double u = uniform(d->word[0]);
    int32_t unit = 0;
    while (unit < N_UNITS - 1 && u >= upto[unit]) unit++;
    return unit;
}

static int32_t disposition_of(const ns_world *world, const stay *s, const ns_block *d)
{
    if (uniform(d->word[1]) < 0.02) return AGAINST_ADVICE;
    double need = uniform(d->word[0]) + 0.06 * s->acuity + (age_of(world, s) >= 75.0 ? 0.12 : 0.0);
    return need < 0.62 ? TO_HOME : need < 0.82 ? TO_HOME_CARE : need < 0.97 ? TO_NURSING : TO_REHABILITATION;
}

static int32_t level_of(const ns_world *world, const stay *s, int32_t column)
{
    bool of_patient = column == NS_SEX || column == NS_INSURANCE;
    ns_block d = draw_at(world, FOR_CATEGORY + column, of_patient ? s->patient : s->row);
    double u = uniform(d.word[0]);
    switch (column) {
    case NS_SEX:
        return u < 0.52 ? 0 : 1;
    case NS_DIAGNOSIS:
        return (int32_t)(u * u * (double)NS_WORLD_DIAGNOSES); /* few are frequent, many rare */
    case NS_UNIT:
        return unit_of(s, &d);
    case NS_DISPOSITION:
        return disposition_of(world, s, &d);
    case NS_INSURANCE:
        return u < 0.55 ? 0 : u < 0.85 ? 1 : u < 0.94 ? 2 : 3;
    default:
        return (int32_t)(u * uniform(d.word[1]) * (double)ns_world_n_levels(column));
    }
}

int32_t ns_world_level(const ns_world *world, int32_t column, int64_t row)
{
    stay s = stay_of(world, row);
    return level_of(world, &s, column);
}

/* What a stay's columns hold, for the log-odds; usual values stand for columns that the cohort has not. */
typedef struct picture {
    double number[NS_N_NAMED_NUMBERS];
    int32_t level[NS_N_NAMED_CATEGORIES]; /* -1: no such column */
} picture;

static picture picture_of(const ns_world *world, const stay *s)
{
    static const double usual[NS_N_NAMED_NUMBERS] = {62.0, 4.0, 0.0,  1.0,   139.0, 12.6, 82.0, 128.0,
                                                     37.0, 3.7, 97.0, 125.0, 9.0,   8.0,  27.0, 4.2};
    picture p;
    for (int32_t i = 0; i < NS_N_NAMED_NUMBERS; i++)
        p.number[i] = i < world->options.n_numbers && i < NS_BMI ? number_of(world, s, i) : usual[i];
    for (int32_t i = 0; i < NS_N_NAMED_CATEGORIES; i++)
        p.level[i] = i < world->options.n_categories ? level_of(world, s, i) : -1;
    return p;
}

static double log_odds_of_numbers(const double *x)
{
    double age = (x[NS_AGE] - 62.0) / 20.0, sodium = clamp(x[NS_SODIUM] - 139.0, -12.0, 12.0) / 6.0;
    double sum = 0.30 * age - 0.25 * age * age;
    sum += 0.75 * ns_log(1.0 + x[NS_PRIOR_STAYS]);
    sum += x[NS_LENGTH_OF_STAY] <= 2.0 ? 0.35 : x[NS_LENGTH_OF_STAY] >= 10.0 ? 0.55 : 0.0;
    sum += x[NS_CREATININE] >= 1.8 ? (x[NS_AGE] >= 75.0 ? 1.2 : 0.5) : 0.0;
    sum += 0.35 * sodium * sodium;
    sum += x[NS_HEMOGLOBIN] < 9.5 ? (x[NS_PRIOR_STAYS] >= 1.0 ? 1.0 : 0.3) : 0.0;
    sum += x[NS_HEART_RATE] >= 95.0 && x[NS_TEMPERATURE] >= 37.6 ? 1.0 : 0.0;
    sum += x[NS_SYSTOLIC_BP] < 100.0 ? 0.7 : x[NS_SYSTOLIC_BP] > 165.0 ? 0.4 : 0.0;
    sum += x[NS_ALBUMIN] < 3.0 ? 0.6 : 0.0;
    sum += x[NS_OXYGEN_SATURATION] < 92.0 ? 0.5 : 0.0;
    sum += x[NS_GLUCOSE] > 220.0 ? 0.5 : x[NS_GLUCOSE] < 75.0 ? 0.6 : 0.0;
    sum += 0.15 * (x[NS_WHITE_CELLS] > 13.0 ? 3.0 : 0.0);
    return sum;
}

static double log_odds_of_levels(const ns_world *world, const picture *p)
{
    static const double disposition[N_DISPOSITIONS] = {0.0, 0.1, 0.35, -0.3, 1.2};
    static const double unit[N_UNITS] = {0.0, -0.35, 0.1, 0.45, 0.0, -0.5, 0.2, 0.15};
    const int32_t *level = p->level;
    bool many = p->number[NS_N_MEDICATIONS] >= 12.0;
    double sum = 0.0;
    if (level[NS_DIAGNOSIS] >= 0) sum += world->diagnosis_effect[level[NS_DIAGNOSIS]];
    if (level[NS_UNIT] >= 0) sum += unit[level[NS_UNIT]];
    if (level[NS_DISPOSITION] >= 0) sum += disposition[level[NS_DISPOSITION]];
    if (level[NS_DISPOSITION] == TO_HOME && p->number[NS_LENGTH_OF_STAY] >= 10.0) sum += 0.6;
    if (level[NS_INSURANCE] >= 0)
        sum += many != (level[NS_INSURANCE] == 1) ? 0.25 : -0.25; /* neither tells alone */
    return sum;
}

/* Without the intercept. */
static double log_odds(const ns_world *world, int64_t row)
{
    stay s = stay_of(world, row);
    picture p = picture_of(world, &s);
    double own = 0.25 * normal_at(world, FOR_PATIENT_EFFECT, s.patient);
    return log_odds_of_numbers(p.number) + log_odds_of_levels(world, &p) + own;
}

double ns_world_risk(const ns_world *world, int64_t row)
{
    return ns_sigmoid(world->intercept + log_odds(world, row));
}

double ns_world_draw(const ns_world *world, int32_t which, int64_t row)
{
    return uniform_at(world, FOR_OTHER_OUTCOMES + which, row);
}

bool ns_world_readmitted(const ns_world *world, int64_t row, double risk)
{
    return uniform_at(world, FOR_OUTCOME, row) < risk;
}

/* By bisection over rows that lie evenly in the cohort; more rows would move the mean risk by little. */
static void find_intercept(ns_world *world)
{
    double odds[CALIBRATION_ROWS];
    int64_t n_rows = world->options.n_rows;
    int n = n_rows < CALIBRATION_ROWS ? (int)n_rows : CALIBRATION_ROWS;
    world->intercept = 0.0;
    for (int i = 0; i < n; i++) odds[i] = log_odds(world, n_rows / n * i);
    double low = -30.0, high = 30.0;
    for (int step = 0; step < 50 && n > 0; step++) {
        double sum = 0.0;
        world->intercept = 0.5 * (low + high);
        for (int i = 0; i < n; i++) sum += ns_sigmoid(world->intercept + odds[i]);
        if (sum < world->options.prevalence * (double)n)
            low = world->intercept;
        else
            high = world->intercept;
    }
}

void ns_world_create(ns_world *out, const ns_synth_options *options)
{
    memset(out, 0, sizeof *out);
    out->options = *options;
    shuffle_create(&out->patient_of, out, options->n_rows, 0);
    shuffle_create(&out->oddity_of, out, options->n_rows / 2, 1);
    for (int i = 0; i < NS_WORLD_DIAGNOSES; i++)
        out->diagnosis_effect[i] = 0.55 * normal_at(out, FOR_DIAGNOSIS_EFFECT, i);
    find_intercept(out);
}

const char *ns_world_number_name(int32_t column, char *buffer)
{
    if (column < NS_N_NAMED_NUMBERS) return numbers[column].name;
    snprintf(buffer, 16, "lab_%02d", (int)column + 1);
    return buffer;
}

const char *ns_world_number_unit(int32_t column)
{
    return column < NS_N_NAMED_NUMBERS ? numbers[column].unit : "";
}

const char *ns_world_category_name(int32_t column, char *buffer)
{
    if (column < NS_N_NAMED_CATEGORIES) return categories[column];
    snprintf(buffer, 16, "code_%02d", (int)column + 1);
    return buffer;
}

int32_t ns_world_n_levels(int32_t column)
{
    switch (column) {
    case NS_SEX:
        return N_SEXES;
    case NS_DIAGNOSIS:
        return NS_WORLD_DIAGNOSES;
    case NS_UNIT:
        return N_UNITS;
    case NS_DISPOSITION:
        return N_DISPOSITIONS;
    case NS_INSURANCE:
        return N_INSURANCES;
    default:
        return 3 + column * 7 % 40;
    }
}

const char *ns_world_level_name(int32_t column, int32_t level, char *buffer)
{
    switch (column) {
    case NS_SEX:
        return sexes[level];
    case NS_UNIT:
        return units[level];
    case NS_DISPOSITION:
        return dispositions[level];
    case NS_INSURANCE:
        return insurances[level];
    case NS_DIAGNOSIS: { /* 25 letters of 12 codes, so that frequent ones lie apart; 37 and 300 share no
                            factor */
        int32_t place = level * 37 % NS_WORLD_DIAGNOSES;
        snprintf(buffer, 16, "%c%02d", (char)('A' + place / 12), place % 12 * 8 + 3);
        return buffer;
    }
    default:
        snprintf(buffer, 16, "c%02d", (int)level);
        return buffer;
    }
}

int64_t ns_world_admitted_at(const ns_world *world, int64_t row)
{
    static const int64_t first = 1732060800, span = 730 * 86400; /* 2024-11-20, two years */
    int64_t n = world->options.n_rows, from = first + (int64_t)((double)row / (double)n * (double)span);
    int64_t upto = first + (int64_t)((double)(row + 1) / (double)n * (double)span);
    return from + (int64_t)(uniform_at(world, FOR_TIME, row) * (double)(upto - from));
}

bool ns_world_is_missing(const ns_world *world, int32_t column, int64_t row)
{
    static const double share[] = {1.0, 0.5, 1.5, 0.7, 1.3}; /* of the fraction asked for, by column */
    int32_t category = column - world->options.n_numbers;
    bool always = category < 0 ? column <= NS_PRIOR_STAYS
                               : category == NS_SEX || category == NS_UNIT || category == NS_DISPOSITION;
    if (always || world->options.missing <= 0.0) return false;
    double part = world->options.missing * share[(size_t)column % (sizeof share / sizeof share[0])];
    return uniform_at(world, FOR_MISSING + column, row) < part;
}

ns_oddity ns_world_oddity(const ns_world *world, int64_t row)
{
    const ns_synth_options *o = &world->options;
    if (row / 2 >= world->oddity_of.n || row % 2 == 0) return NS_ODD_NOT;
    int64_t place = shuffled(&world->oddity_of, row / 2);
    if (place < o->n_duplicate_ids) return NS_ODD_DUPLICATE_ID;
    if (place < o->n_duplicate_ids + o->n_missing_ids) return NS_ODD_MISSING_ID;
    if (place < o->n_duplicate_ids + o->n_missing_ids + o->n_infinite) return NS_ODD_INFINITE;
    return NS_ODD_NOT;
}
