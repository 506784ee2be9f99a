#include "runner/objective.h"

#include <assert.h>
#include <string.h>

enum { N_OBJECTIVES = 5 };

static const struct {
    const char *name, *link, *gives;
} words[N_OBJECTIVES] = {
    [NS_BINARY] = {"binary", "sigmoid", "risk"},
    [NS_MULTICLASS] = {"multiclass", "softmax", "risk"},
    [NS_REGRESSION] = {"regression", "identity", "prediction"},
    [NS_POISSON] = {"poisson", "exp", "prediction"},
    [NS_QUANTILE] = {"quantile", "identity", "prediction"},
};

bool ns_objective_find(const char *name, ns_objective *out)
{
    for (int i = 0; i < N_OBJECTIVES; i++)
        if (strcmp(words[i].name, name) == 0) {
            *out = (ns_objective)i;
            return true;
        }
    return false;
}

ns_objective ns_objective_of(const ns_job *job)
{
    ns_objective objective = NS_BINARY;
    const char *name = ns_job_text(job, "model.objective");
    bool known = name == NULL || ns_objective_find(name, &objective);
    assert(known); /* the option table has the same names */
    (void)known;
    return objective;
}

double ns_quantile_of(const ns_job *job)
{
    if (ns_objective_of(job) != NS_QUANTILE) return 0;
    return ns_job_has(job, "model.quantile") ? ns_job_number(job, "model.quantile") : 0.5;
}

const char *ns_objective_name(ns_objective objective)
{
    return words[objective].name;
}

const char *ns_objective_link(ns_objective objective)
{
    return words[objective].link;
}

const char *ns_objective_gives(ns_objective objective)
{
    return words[objective].gives;
}
