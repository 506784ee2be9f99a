/* Which options go with which model.objective (jobs/job_parts.h). */
#include <stdio.h>
#include <string.h>

#include "jobs/job_parts.h"

static const job_slot *slot_of(const ns_job *job, const char *key)
{
    return &job->slots[ns_option_find(key)];
}

/* Put at the place of a key that is given. */
static ns_status note(const ns_job *job, ns_problems *problems, const char *key, const char *what)
{
    const job_slot *slot = slot_of(job, key);
    return ns_problems_add(problems, slot->source, slot->line, "%s: %s: %s", slot->place, key, what);
}

/* Options that only some objectives have; `only` holds their names between spaces. */
static ns_status check_only(const ns_job *job, ns_problems *problems, const char *objective)
{
    static const struct {
        const char *key, *only, *what;
    } rules[] = {
        {"data.label.positive", " binary ", "is used only with model.objective: binary"},
        {"data.label.classes", " multiclass ", "is used only with model.objective: multiclass"},
        {"model.quantile", " quantile ", "is used only with model.objective: quantile"},
        {"model.positive_weight", " binary ", "is used only with model.objective: binary; data.weight weighs rows with any"},
        {"model.monotone.rising", " binary regression poisson quantile ",
         "is not used with model.objective: multiclass, whose risks of all classes sum to 1"},
        {"model.monotone.falling", " binary regression poisson quantile ",
         "is not used with model.objective: multiclass, whose risks of all classes sum to 1"},
    };
    char word[32];
    snprintf(word, sizeof word, " %s ", objective);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (slot_of(job, rules[i].key)->given && strstr(rules[i].only, word) == NULL)
            NS_TRY(note(job, problems, rules[i].key, rules[i].what));
    return NS_OK;
}

static ns_status check_stop_metric(const ns_job *job, ns_problems *problems, const char *objective)
{
    const job_slot *metric = slot_of(job, "train.stop_metric");
    if (!metric->given || strcmp(metric->value.items[0], "auroc") != 0 || strcmp(objective, "binary") == 0) return NS_OK;
    return note(job, problems, "train.stop_metric", "auroc is used only with model.objective: binary; loss goes with all");
}

static ns_status check_classes(const ns_job *job, ns_problems *problems)
{
    const job_slot *classes = slot_of(job, "data.label.classes");
    if (!classes->given) return NS_OK;
    if (!slot_of(job, "data.label.column")->given && !slot_of(job, "data.label.column")->broken)
        return note(job, problems, "data.label.classes", "needs data.label.column, the column of the outcome");
    if (classes->value.n_items < 3)
        return note(job, problems, "data.label.classes",
                    "names fewer than three classes; model.objective: binary with data.label.positive is for two");
    for (int64_t i = 0; i < classes->value.n_items; i++)
        for (int64_t j = 0; j < i; j++)
            if (strcmp(classes->value.items[i], classes->value.items[j]) == 0)
                return note(job, problems, "data.label.classes", "names a class twice");
    return NS_OK;
}

static ns_status check_monotone(const ns_job *job, ns_problems *problems)
{
    const job_slot *rising = slot_of(job, "model.monotone.rising"), *falling = slot_of(job, "model.monotone.falling");
    for (int64_t i = 0; rising->given && falling->given && i < rising->value.n_items; i++)
        for (int64_t j = 0; j < falling->value.n_items; j++)
            if (strcmp(rising->value.items[i], falling->value.items[j]) == 0) {
                char what[200];
                snprintf(what, sizeof what, "'%.80s' stands in model.monotone.rising too", rising->value.items[i]);
                return note(job, problems, "model.monotone.falling", what);
            }
    return NS_OK;
}

ns_status ns_job_check_objective(ns_job *job, ns_problems *problems)
{
    static const char *const keys[] = {"model.objective", "data.label.positive", "data.label.classes", "model.quantile",
                                       "model.positive_weight", "model.monotone.rising", "model.monotone.falling",
                                       "train.stop_metric"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (slot_of(job, keys[i])->broken) return NS_OK;
    const job_slot *slot = slot_of(job, "model.objective");
    const char *objective = slot->set ? slot->value.items[0] : "binary";
    NS_TRY(check_only(job, problems, objective));
    NS_TRY(check_stop_metric(job, problems, objective));
    NS_TRY(check_classes(job, problems));
    return check_monotone(job, problems);
}
