#ifndef NIGHTSHIFT_DATA_ADVICE_H
#define NIGHTSHIFT_DATA_ADVICE_H
/*
 * What a reader of an imported table may want to correct in a schema: signs that a column is not what its
 * texts look like. Rules about names and texts in general; they change nothing by themselves. Words name no
 * value and no level.
 */
#include "data/cells.h"
#include "data/cohort.h"

typedef enum ns_advice {
    NS_ADVICE_CODE = 1 << 0,      /* number: few whole numbers under a name of codes */
    NS_ADVICE_ID = 1 << 1,        /* number: whole numbers, over half of them different, or many under a name of ids */
    NS_ADVICE_RANGES = 1 << 2,    /* category or id: all are ranges such as [70-80) or 10-19 */
    NS_ADVICE_DATES = 1 << 3,     /* category or id: all look like dates of another form than ISO 8601 */
    NS_ADVICE_COMMA = 1 << 4,     /* category or id: all are numbers with a decimal comma */
    NS_ADVICE_NUMBERS = 1 << 5,   /* category or id: over half are numbers, the others are not */
    NS_ADVICE_LEVELS = 1 << 6,    /* category: over 255 levels */
    NS_ADVICE_MISSING = 1 << 7,   /* category or id: one is a word that often means missing */
    NS_ADVICE_EMPTY = 1 << 8,     /* any: over half missing */
    NS_ADVICE_CONSTANT = 1 << 9,  /* any: the same value in every row that has one */
    NS_ADVICE_FREE_TEXT = 1 << 10,/* id: long texts with blanks */
    NS_ADVICE_BLANKS = 1 << 11,   /* category or id: some begin or end with a blank */
    NS_ADVICE_SENTINEL = 1 << 12  /* number: its extreme is one of -9, -99, 999, 9999, …, far from the others: often missing */
} ns_advice;
enum { NS_N_ADVICE = 13 };

/* The advice about a column that was inferred to be of a kind: a set. Pure. */
unsigned ns_advice_about(const char *name, ns_column_kind kind, const ns_cells *cells);

/* The i-th advice in words that follow a column's name, 0 <= i < NS_N_ADVICE: "has few different whole numbers …". Static. */
const char *ns_advice_words(int i);
#endif
