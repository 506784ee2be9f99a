/* What must hold between the options of a job (jobs/job_parts.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/job_parts.h"
#include "jobs/number.h"

static job_slot *slot_of(ns_job *job, const char *key)
{
    return &job->slots[ns_option_find(key)];
}

static bool given(ns_job *job, const char *key)
{
    return slot_of(job, key)->given;
}

/* Put at the place of a key that is given. */
static ns_status note(ns_job *job, ns_problems *problems, const char *key, const char *what)
{
    const job_slot *slot = slot_of(job, key);
    return ns_problems_add(problems, slot->source, slot->line, "%s: %s: %s", slot->place, key, what);
}

static bool is_broken(ns_job *job, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slot_of(job, keys[i])->broken) return true;
    return false;
}

/* One share alone would leave the others at defaults that no longer fit; so all three are the author's, or
 * none is. */
static ns_status check_shares(ns_job *job, ns_problems *problems)
{
    static const char *const keys[3] = {"data.split.train", "data.split.valid", "data.split.test"};
    enum { N = 3 };
    const char *last = NULL; /* the given one that stands last: the sum was wrong once it was written */
    if (is_broken(job, keys, N)) return NS_OK;
    for (int i = 0; i < N; i++)
        if (given(job, keys[i])) {
            const job_slot *a = slot_of(job, keys[i]), *b = last == NULL ? a : slot_of(job, last);
            if (a->source > b->source || (a->source == b->source && a->line >= b->line)) last = keys[i];
        }
    if (last == NULL) return NS_OK;
    double sum = 0;
    for (int i = 0; i < N; i++) {
        job_slot *slot = slot_of(job, keys[i]);
        if (!slot->given) {
            char *zero = strdup("0");
            if (zero == NULL) return ns_fail(NS_ENOMEM, "out of memory for the job");
            free(slot->value.items[0]);
            slot->value.items[0] = zero;
            slot->value.number = 0;
        }
        sum += slot->value.number;
    }
    if (fabs(sum - 1) <= 1e-9) return NS_OK;
    char text[NS_NUMBER_ROOM];
    ns_number_write(text, (double)(int64_t)(sum * 1e9 + 0.5) / 1e9); /* 1.1, not 1.0999999999999999 */
    const job_slot *slot = slot_of(job, last);
    return ns_problems_add(problems, slot->source, slot->line,
                           "%s: %s: data.split.train, valid and test sum to %s, not to 1", slot->place, last,
                           text);
}

static bool is_split_by(ns_job *job, const char *what)
{
    const job_slot *by = slot_of(job, "data.split.by");
    return by->set && strcmp(by->value.items[0], what) == 0;
}

static ns_status check_split(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"data.split.by", "data.split.column", "data.group"};
    static const char *const shares[] = {"data.split.train", "data.split.valid", "data.split.test"};
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    const job_slot *by = slot_of(job, "data.split.by");
    bool by_column = is_split_by(job, "column"), by_time = is_split_by(job, "time");
    if (by->set && strcmp(by->value.items[0], "group") == 0 && !given(job, "data.group"))
        return note(job, problems, "data.split.by",
                    "group needs data.group, the column that names the patient");
    if (by_column && !given(job, "data.split.column"))
        return note(job, problems, "data.split.by",
                    "column needs data.split.column, the column that names the part");
    if (!by_column && given(job, "data.split.column"))
        return note(job, problems, "data.split.column", "is used only with data.split.by: column");
    for (size_t i = 0; (by_column || by_time) && i < sizeof shares / sizeof *shares; i++)
        if (!given(job, shares[i]))
            slot_of(job, shares[i])->set = false; /* the echo would say what excludes the split */
        else
            NS_TRY(note(job, problems, shares[i],
                        by_column ? "excludes data.split.by: column, which takes the parts from a column"
                                  : "excludes data.split.by: time, which takes the parts from dates"));
    return NS_OK;
}

/* The second of two dates is told where they are in the wrong order. */
static ns_status check_order(ns_job *job, ns_problems *problems, const char *first, const char *second)
{
    const job_slot *a = slot_of(job, first), *b = slot_of(job, second);
    if (!a->given || !b->given || a->value.integer < b->value.integer) return NS_OK;
    char what[100];
    snprintf(what, sizeof what, "must be after %s", first);
    return note(job, problems, second, what);
}

/* An outcome window as long as a part leaves no row in it. */
static ns_status check_window(ns_job *job, ns_problems *problems)
{
    static const char *const borders[] = {"data.split.valid_from", "data.split.test_from", "data.split.until"};
    const job_slot *window = slot_of(job, "data.label.window"), *begin = NULL;
    if (!window->given) return NS_OK;
    if (!is_split_by(job, "time") && !given(job, "data.split.until"))
        return note(job, problems, "data.label.window", "is used only with data.split.by: time or data.split.until");
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++) {
        const job_slot *border = slot_of(job, borders[i]);
        if (!border->given) continue;
        if (begin != NULL && (double)(border->value.integer - begin->value.integer) <= window->value.number)
            return note(job, problems, "data.label.window",
                        i == 1 ? "is as long as the validation part, or longer: no outcome of it would be known at its end"
                               : "is as long as the last part, or longer: no outcome of it would be known at its end");
        begin = border;
    }
    return NS_OK;
}

/* Dates and what goes with them. */
static ns_status check_times(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"data.split.by", "data.time", "data.group", "data.split.valid_from", "data.split.test_from",
                                       "data.split.until", "data.split.returning", "data.label.window"};
    static const char *const only[] = {"data.split.valid_from", "data.split.test_from", "data.split.returning"};
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    bool by_time = is_split_by(job, "time");
    if (by_time && !given(job, "data.time"))
        return note(job, problems, "data.split.by", "time needs data.time, the column with the time of each row");
    if (by_time && !given(job, "data.split.valid_from") && !given(job, "data.split.test_from"))
        return note(job, problems, "data.split.by",
                    "time needs data.split.test_from, the date with which the test part begins, or data.split.valid_from");
    for (size_t i = 0; !by_time && i < sizeof only / sizeof *only; i++)
        if (given(job, only[i])) return note(job, problems, only[i], "is used only with data.split.by: time");
    if (given(job, "data.split.returning") && !given(job, "data.group"))
        return note(job, problems, "data.split.returning", "needs data.group, the column that names the patient");
    if (given(job, "data.split.until") && !given(job, "data.time"))
        return note(job, problems, "data.split.until", "needs data.time, the column with the time of each row");
    NS_TRY(check_order(job, problems, "data.split.valid_from", "data.split.test_from"));
    NS_TRY(check_order(job, problems, "data.split.test_from", "data.split.until"));
    NS_TRY(check_order(job, problems, "data.split.valid_from", "data.split.until"));
    return check_window(job, problems);
}

static ns_status check_fold(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"data.split.by", "data.split.folds", "data.split.fold"};
    const job_slot *folds = slot_of(job, keys[1]), *fold = slot_of(job, keys[2]);
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    if (folds->given && !fold->given) return note(job, problems, keys[1], "needs data.split.fold, which of them is the validation part");
    if (fold->given && !folds->given) return note(job, problems, keys[2], "needs data.split.folds, how many there are");
    if (!fold->given) return NS_OK;
    if (is_split_by(job, "time")) return note(job, problems, keys[1], "is not used with data.split.by: time; folds would learn from later rows");
    if (fold->value.integer > folds->value.integer) return note(job, problems, keys[2], "is above data.split.folds");
    return NS_OK;
}

static ns_status check_stopping(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"train.stop_after", "data.split.valid", "data.split.train",
                                       "data.split.test", "data.split.by"};
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    if (is_split_by(job, "column") || given(job, "data.split.folds") || given(job, "sweep.folds")) return NS_OK; /* only the cohort can tell */
    if (is_split_by(job, "time")) {
        if (slot_of(job, "train.stop_after")->value.integer == 0 || given(job, "data.split.valid_from") ||
            slot_of(job, "data.split.valid_from")->broken)
            return NS_OK;
        return note(job, problems, "train.stop_after", "needs validation rows, and data.split.valid_from is not set");
    }
    if (slot_of(job, "train.stop_after")->value.integer == 0 ||
        slot_of(job, "data.split.valid")->value.number > 0)
        return NS_OK;
    return note(job, problems, "train.stop_after", "needs validation rows, and data.split.valid is 0");
}

static ns_status check_label(ns_job *job, ns_problems *problems)
{
    if (!given(job, "data.label.positive") || given(job, "data.label.column") ||
        slot_of(job, "data.label.column")->broken)
        return NS_OK;
    return note(job, problems, "data.label.positive", "needs data.label.column, the column of the outcome");
}

ns_status ns_job_cross_check(ns_job *job, ns_problems *problems)
{
    NS_TRY(check_shares(job, problems));
    NS_TRY(check_split(job, problems));
    NS_TRY(check_times(job, problems));
    NS_TRY(check_fold(job, problems));
    NS_TRY(check_stopping(job, problems));
    NS_TRY(check_label(job, problems));
    NS_TRY(ns_job_check_objective(job, problems));
    return ns_job_check_sweep(job, problems);
}
