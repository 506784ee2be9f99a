#include "runner/synth_outcomes.h"

#include "kernels/numerics.h"

enum { DRAW_CARE = 0, DRAW_COST, DRAW_CALLS };

static const char *const care_names[NS_N_CARE] = {"none", "outpatient", "emergency", "inpatient"};

const char *ns_world_care_name(int32_t level)
{
    return care_names[level];
}

ns_world_outcomes ns_world_outcomes_of(const ns_world *world, int64_t row)
{
    double risk = ns_world_risk(world, row), z = ns_log(risk / (1.0 - risk));
    double age = (ns_world_number(world, NS_AGE, row) - 62.0) / 10.0;
    double stay = world->options.n_numbers > NS_LENGTH_OF_STAY ? ns_world_number(world, NS_LENGTH_OF_STAY, row) : 4.0;
    const double logit[NS_N_CARE] = {0.9, 0.6 + 0.25 * age, 0.2 + 0.45 * z - 0.3 * age, 1.1 + 0.9 * z};
    ns_world_outcomes out = {.mean_cost = 1500.0 + 850.0 * stay + 2200.0 * ns_log(1.0 + ns_exp(z + 1.0))};
    double sum = 0;
    for (int i = 0; i < NS_N_CARE; i++) sum += out.care[i] = ns_exp(logit[i]);
    for (int i = 0; i < NS_N_CARE; i++) out.care[i] /= sum;
    out.call_rate = ns_exp(0.1 + 0.5 * z + 0.1 * age);
    if (out.call_rate > 8.0) out.call_rate = 8.0;
    return out;
}

int32_t ns_world_care(const ns_world *world, int64_t row, const ns_world_outcomes *truth)
{
    double u = ns_world_draw(world, DRAW_CARE, row);
    int32_t level = 0;
    for (; level < NS_N_CARE - 1 && u >= truth->care[level]; level++) u -= truth->care[level];
    return level;
}

double ns_world_cost(const ns_world *world, int64_t row, const ns_world_outcomes *truth)
{
    return truth->mean_cost * (0.4 + 1.2 * ns_world_draw(world, DRAW_COST, row));
}

/* By inversion: the smallest n whose probability up to it reaches the draw. */
int32_t ns_world_calls(const ns_world *world, int64_t row, const ns_world_outcomes *truth)
{
    double u = ns_world_draw(world, DRAW_CALLS, row), term = ns_exp(-truth->call_rate), upto = term;
    int32_t n = 0;
    while (u > upto && n < NS_MOST_CALLS) {
        n++;
        term *= truth->call_rate / (double)n;
        upto += term;
    }
    return n;
}
