/* What must hold between the options of a job (jobs/job_parts.h). */
#include <math.h>
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

static ns_status check_split(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"data.split.by", "data.split.column", "data.group"};
    static const char *const shares[] = {"data.split.train", "data.split.valid", "data.split.test"};
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    const job_slot *by = slot_of(job, "data.split.by");
    bool by_column = by->set && strcmp(by->value.items[0], "column") == 0;
    if (by->set && strcmp(by->value.items[0], "group") == 0 && !given(job, "data.group"))
        return note(job, problems, "data.split.by",
                    "group needs data.group, the column that names the patient");
    if (by_column && !given(job, "data.split.column"))
        return note(job, problems, "data.split.by",
                    "column needs data.split.column, the column that names the part");
    if (!by_column && given(job, "data.split.column"))
        return note(job, problems, "data.split.column", "is used only with data.split.by: column");
    for (size_t i = 0; by_column && i < sizeof shares / sizeof *shares; i++)
        if (given(job, shares[i]))
            NS_TRY(note(job, problems, shares[i],
                        "excludes data.split.by: column, which takes the parts from a column"));
    return NS_OK;
}

static ns_status check_stopping(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"train.stop_after", "data.split.valid", "data.split.train",
                                       "data.split.test", "data.split.by"};
    if (is_broken(job, keys, sizeof keys / sizeof *keys)) return NS_OK;
    const job_slot *by = slot_of(job, "data.split.by");
    if (by->set && strcmp(by->value.items[0], "column") == 0) return NS_OK; /* only the cohort can tell */
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
    NS_TRY(check_stopping(job, problems));
    return check_label(job, problems);
}
