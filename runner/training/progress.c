#include "runner/training/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ns_progress_note(ns_progress *progress, ns_i128 value)
{
    progress->n_rounds++;
    if (progress->best_round == 0 || value < progress->best_value) {
        progress->best_round = progress->n_rounds;
        progress->best_value = value;
    }
}

bool ns_progress_exhausted(const ns_progress *progress)
{
    return progress->stop_after > 0 && progress->n_rounds - progress->best_round >= progress->stop_after;
}

int64_t ns_progress_bundle_rounds(const ns_progress *progress)
{
    return progress->stop_after > 0 ? progress->best_round : progress->n_rounds;
}

json_t *ns_progress_json(const ns_progress *progress)
{
    /* 128 bits as 32 hex digits, two's complement: JSON has no such integer. */
    char hex[33];
    ns_u128 bits = (ns_u128)progress->best_value;
    snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, (uint64_t)(bits >> 64), (uint64_t)bits);
    return json_pack("{s:I, s:I, s:s}", "rounds", (json_int_t)progress->n_rounds, "best_round", (json_int_t)progress->best_round,
                     "best_value", hex);
}

ns_status ns_progress_parse(ns_progress *out, const json_t *json)
{
    const char *hex = json_string_value(json_object_get(json, "best_value"));
    out->n_rounds = json_integer_value(json_object_get(json, "rounds"));
    out->best_round = json_integer_value(json_object_get(json, "best_round"));
    uint64_t high, low;
    if (hex == NULL || strlen(hex) != 32 || sscanf(hex, "%16" SCNx64 "%16" SCNx64, &high, &low) != 2 || out->n_rounds < 0 ||
        out->best_round < 0 || out->best_round > out->n_rounds)
        return ns_fail(NS_EVERIFY, "a checkpoint's progress cannot be understood");
    out->best_value = (ns_i128)((ns_u128)high << 64 | low);
    return NS_OK;
}
