#include "runner/used.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cluster/agree.h"
#include "cluster/gpu_meter.h"
#include "cluster/log.h"
#include "cluster/usage.h"
#include "data/durable.h"
#include "runner/json.h"

/* --- gathering --- */

enum { CPU, WAITING, PEAK, READ, SENT, N_FIGURES };
static const char *const FIGURE[N_FIGURES] = {"cpu_s", "waiting_share", "peak_bytes", "read_bytes", "sent_bytes"};

static json_t *spread_json(const ns_spread *spread)
{
    return json_pack("{s:f, s:f, s:f}", "least", spread->least, "median", spread->median, "most", spread->most);
}

static void log_used(double wall, const ns_spread *spread, const ns_gpu_meters *gpus)
{
    char busy[64] = "", energy[64] = "";
    if (gpus->has_utilisation) snprintf(busy, sizeof busy, " gpu_utilization=%.2f", gpus->utilisation.most);
    if (gpus->has_energy) snprintf(energy, sizeof energy, " gpu_energy_kj=%.3f", gpus->energy_j / 1e3);
    ns_log_event(NS_LOG_INFO, "used", "wall_s=%.3f cpu_s=%.3f peak_mb=%.0f read_mb=%.0f sent_mb=%.1f waiting=%.3f%s%s of=\"the most of any rank\"", wall,
                 spread[CPU].most, spread[PEAK].most / 1e6, spread[READ].most / 1e6, spread[SENT].most / 1e6, spread[WAITING].most, busy, energy);
}

static ns_status describe(json_t *used, double wall, const ns_spread *spread, json_t *phases, const ns_gpu_meters *gpus, const ns_job *job)
{
    ns_status status = NS_OK;
    const char *name;
    json_t *value, *by_phase = json_object();
    int i = N_FIGURES;
    ns_json_add(&status, used, "wall_s", json_real(wall));
    for (int f = 0; f < N_FIGURES; f++) ns_json_add(&status, used, FIGURE[f], spread_json(&spread[f]));
    /* jansson's iteration keeps the order of insertion. */
    json_object_foreach(phases, name, value) ns_json_add(&status, by_phase, name, spread_json(&spread[i++]));
    ns_json_add(&status, used, "phases", by_phase);
    double gpu_hours = gpus->n_gpus * wall / 3600;
    ns_json_add(&status, used, "gpus", json_integer(gpus->n_gpus));
    ns_json_add(&status, used, "gpu_hours", json_real(gpu_hours));
    if (gpus->has_utilisation) ns_json_add(&status, used, "gpu_utilization", spread_json(&gpus->utilisation));
    if (gpus->has_energy) ns_json_add(&status, used, "gpu_energy_j", json_real(gpus->energy_j));
    if (ns_job_has(job, "run.cost_per_gpu_hour"))
        ns_json_add(&status, used, "cost", json_real(gpu_hours * ns_job_number(job, "run.cost_per_gpu_hour")));
    return status;
}

ns_status ns_used_gather(json_t **used, const ns_context *context, const ns_job *job, json_t *phases)
{
    int n = N_FIGURES + (int)json_object_size(phases);
    double wall = ns_seconds() - context->started, *mine = calloc((size_t)n, sizeof *mine);
    ns_spread *spread = calloc((size_t)n, sizeof *spread);
    const char *name;
    json_t *value;
    *used = NULL;
    ns_status status = ns_agree(mine == NULL || spread == NULL ? ns_fail(NS_ENOMEM, "no memory for what the run used") : NS_OK, context->comm);
    if (status == NS_OK) {
        ns_usage usage = ns_usage_now();
        const ns_usage *before = &context->used_before;
        const double figures[N_FIGURES] = {usage.cpu_s - before->cpu_s, wall > 0 ? (usage.waiting_s - before->waiting_s) / wall : 0, usage.peak_bytes,
                                           usage.read_bytes - before->read_bytes, usage.sent_bytes - before->sent_bytes};
        memcpy(mine, figures, sizeof figures);
        int i = N_FIGURES;
        json_object_foreach(phases, name, value) mine[i++] = json_real_value(value);
        status = ns_usage_spread(mine, n, spread, context->comm);
    }
    ns_gpu_meters gpus;
    if (status == NS_OK) status = ns_gpu_meters_gather(&gpus, context->comm);
    if (status == NS_OK && context->rank == 0) {
        *used = json_object();
        status = describe(*used, wall, spread, phases, &gpus, job);
        log_used(wall, spread, &gpus);
    }
    free(mine);
    free(spread);
    return ns_agree(status, context->comm);
}

/* --- Prometheus --- */

/* One metric: its name without the prefix, what it is, and where its value stands in "used". */
typedef struct metric {
    const char *key, *name, *help;
} metric;

static const metric SPREADS[] = {
    {"cpu_s", "cpu_seconds", "Processor time of a rank"},
    {"waiting_share", "waiting_ratio", "Share of the wall time that a rank waited for others"},
    {"peak_bytes", "peak_memory_bytes", "Largest resident memory of a rank"},
    {"read_bytes", "read_bytes", "Bytes that a rank read"},
    {"sent_bytes", "sent_bytes", "Bytes that a rank handed to reductions"},
};

/* A label's value: backslash, quote and newline are escaped. */
static void put_label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') fputc('\\', to);
        if (*c == '\n')
            fputs("\\n", to);
        else
            fputc(*c, to);
    }
    fputc('"', to);
}

static void put_head(FILE *to, const char *name, const char *help)
{
    fprintf(to, "# HELP nightshift_%s %s.\n# TYPE nightshift_%s gauge\n", name, help, name);
}

static void put_value(FILE *to, const char *metric_name, const char *job, const char *verb, const char *label, const char *label_value, double value)
{
    fprintf(to, "nightshift_%s{", metric_name);
    put_label(to, "job_name", job);
    fputc(',', to);
    put_label(to, "verb", verb);
    if (label != NULL) fputc(',', to);
    if (label != NULL) put_label(to, label, label_value);
    fprintf(to, "} %.17g\n", value);
}

static void put_one(FILE *to, const char *job, const char *verb, const char *name, const char *help, double value)
{
    put_head(to, name, help);
    put_value(to, name, job, verb, NULL, NULL, value);
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

char *ns_used_prometheus(const json_t *used, const char *name, const char *verb, int exit_code, double ended)
{
    static const char *const of[] = {"least", "median", "most"};
    char *text = NULL;
    size_t n_bytes = 0;
    const char *phase;
    json_t *spread;
    FILE *to = open_memstream(&text, &n_bytes);
    if (to == NULL) return NULL;
    put_one(to, name, verb, "exit_code", "Exit code of the last run", exit_code);
    put_one(to, name, verb, "ended_timestamp_seconds", "When the last run ended, since 1970 UTC", ended);
    put_one(to, name, verb, "wall_seconds", "Wall time of the last run", number(used, "wall_s"));
    for (size_t m = 0; m < sizeof SPREADS / sizeof SPREADS[0]; m++) {
        put_head(to, SPREADS[m].name, SPREADS[m].help);
        for (int i = 0; i < 3; i++)
            put_value(to, SPREADS[m].name, name, verb, "rank", of[i], number(json_object_get(used, SPREADS[m].key), of[i]));
    }
    put_head(to, "phase_seconds", "Wall time of each phase, most of any rank");
    json_object_foreach(json_object_get(used, "phases"), phase, spread)
        put_value(to, "phase_seconds", name, verb, "phase", phase, number(spread, "most"));
    put_one(to, name, verb, "gpu_hours", "Wall time of all GPUs in hours", number(used, "gpu_hours"));
    const json_t *busy = json_object_get(used, "gpu_utilization"), *energy = json_object_get(used, "gpu_energy_j");
    if (busy != NULL) put_head(to, "gpu_utilization_ratio", "Share of the time that a GPU ran kernels");
    for (int i = 0; busy != NULL && i < 3; i++) put_value(to, "gpu_utilization_ratio", name, verb, "gpu", of[i], number(busy, of[i]));
    if (energy != NULL) put_one(to, name, verb, "gpu_energy_joules", "Energy that the GPUs took", json_number_value(energy));
    if (json_object_get(used, "cost") != NULL) put_one(to, name, verb, "cost", "gpu_hours at run.cost_per_gpu_hour", number(used, "cost"));
    if (fclose(to) == 0) return text;
    free(text);
    return NULL;
}

void ns_used_publish(const ns_context *context, const ns_job *job, const json_t *used, int exit_code)
{
    char path[4096], plain[128];
    if (used == NULL || !ns_job_has(job, "run.prometheus_dir")) return;
    const char *name = ns_job_text(job, "name"), *folder = ns_job_text(job, "run.prometheus_dir");
    size_t n = 0;
    for (; name[n] != '\0' && n < sizeof plain - 1; n++) plain[n] = isalnum((unsigned char)name[n]) || name[n] == '-' ? name[n] : '_';
    plain[n] = '\0';
    ns_error before = *ns_last_error();
    ns_status status = NS_EINVAL;
    char *text = ns_used_prometheus(used, name, context->args->verb, exit_code, (double)time(NULL));
    int length = snprintf(path, sizeof path, "%s/nightshift_%s_%s.prom", folder, plain, context->args->verb);
    if (text != NULL && length > 0 && length < (int)sizeof path) status = ns_durable_publish(path, text, strlen(text), "prometheus");
    if (status == NS_OK && chmod(path, 0644) != 0) status = NS_EIO; /* Prometheus is another user, whatever run.share says */
    char quoted[4200];
    if (status != NS_OK)
        ns_log_event(NS_LOG_WARN, "prometheus", "dir=%s message=\"the figures could not be written there\"", ns_log_value(quoted, sizeof quoted, folder));
    *ns_last_error() = before;
    free(text);
}
