/*
 * While an old manifest stands it vouches for the old files; it goes before they do, so that no reader sees a wrong pair. What
 * an earlier life left without a manifest is scored again: a file with the new one's bytes is written over, any other is kept.
 * So nothing is lost, wherever a life was killed.
 */
#include "runner/night/published.h"

#include <stdlib.h>
#include <string.h>

#include "data/durable.h"
#include "data/spool.h"
#include "kernels/numerics.h"
#include "runner/json.h"
#include "runner/training/plan.h"

json_t *ns_published_manifest(const ns_night_job *plan)
{
    char *text = NULL;
    size_t n = 0;
    bool found = false;
    json_t *document = NULL;
    if (ns_read_whole(plan->manifest, &text, &n, &found) == NS_OK && found) document = json_loadb(text, n, 0, NULL);
    ns_error_clear();
    free(text);
    return document;
}

/* --- what is there --- */

/* What, beside the cohort, decides the score file; part of the manifest, so that a change is noticed. */
static json_t *settings_json(const ns_published *published)
{
    json_t *keep = json_array();
    const char *const *names;
    int64_t n = ns_job_list(published->plan->job, "score.keep", &names);
    for (int64_t i = 0; i < n; i++) json_array_append_new(keep, json_string(names[i]));
    return json_pack("{s:s?, s:s?, s:o}", "id", published->id_name, "where", published->where, "keep", keep);
}

/* What of a published night differs from this one, or NULL; a column's name is worded into text. */
static const char *difference(const ns_published *published, const json_t *manifest, char text[300])
{
    const ns_night *night = published->night;
    const char *bundle_id = json_string_value(json_object_get(manifest, "bundle_id"));
    if (bundle_id == NULL || strcmp(bundle_id, night->bundle->id) != 0) return "the bundle";
    const char *as_of = json_string_value(json_object_get(manifest, "as_of"));
    if (as_of == NULL || strcmp(as_of, published->plan->as_of != NULL ? published->plan->as_of : "") != 0) return "as_of";
    json_t *settings = settings_json(published);
    bool same = json_equal(settings, json_object_get(manifest, "settings"));
    json_decref(settings);
    if (!same) return "score.where, score.keep or data.id";
    if (published->plan->csv_wanted && json_object_get(manifest, "csv") == NULL) return "score.csv";
    const char *digest = json_string_value(json_object_get(manifest, "fingerprint"));
    if (digest != NULL && strcmp(digest, night->digest) == 0) return NULL;
    const json_t *columns = json_object_get(manifest, "columns");
    for (int32_t i = 0; i < night->n_used; i++) {
        const char *name = ns_cohort_column(night->cohort, night->used[i])->name;
        const char *other = json_string_value(json_object_get(columns, name));
        if (other != NULL && strcmp(other, night->digests[i]) == 0) continue;
        snprintf(text, 300, "column '%.250s' of the cohort", name);
        return text;
    }
    return "the set of the cohort's columns";
}

static bool file_matches(const char *path, const json_t *entry)
{
    char hex[65];
    int64_t n_bytes;
    const char *want = json_string_value(json_object_get(entry, "sha256"));
    bool same = want != NULL && ns_file_sha256(hex, &n_bytes, path) == NS_OK && strcmp(want, hex) == 0;
    ns_error_clear();
    return same;
}

/* Whether a file without a manifest is what a life of this night left. */
static bool is_ours(const ns_published *published)
{
    ns_scores_info info;
    bool ours = ns_scores_inspect(&info, published->plan->out) == NS_OK && strcmp(info.bundle_id, published->night->bundle->id) == 0;
    ns_error_clear();
    return ours;
}

ns_status ns_published_look(ns_published *published, const json_t *manifest, bool replace, bool *done, int64_t *counts)
{
    const ns_night_job *plan = published->plan;
    char text[300];
    const char *differs = manifest != NULL ? difference(published, manifest, text) : NULL;
    bool same = manifest != NULL && differs == NULL && file_matches(plan->out, manifest);
    *done = same && (!plan->csv_wanted || file_matches(plan->csv, json_object_get(manifest, "csv")));
    if (*done) {
        const char *content = json_string_value(json_object_get(manifest, "content"));
        snprintf(published->content, sizeof published->content, "%s", content != NULL ? content : "");
        const json_t *old = json_object_get(manifest, "counts");
        for (int s = 0; s < NS_N_STATUS; s++) counts[s] = json_integer_value(json_object_get(old, ns_score_status_name((ns_score_status)s)));
        return NS_OK;
    }
    if (replace) return NS_OK; /* whatever is there is kept under another name */
    if (differs != NULL)
        return ns_fail(NS_EINVAL, "'%s' is published and %s differs; --replace publishes over it and keeps the old as '%s.1'", plan->out, differs, plan->out);
    if (manifest != NULL && !same && ns_path_exists(plan->out))
        return ns_fail(NS_EINVAL, "'%s' was altered after it was published; --replace publishes over it", plan->out);
    if (same && ns_path_exists(plan->csv))
        return ns_fail(NS_EINVAL, "'%s' was altered after it was published; --replace publishes over it", plan->csv);
    if (manifest == NULL && ns_path_exists(plan->out) && !is_ours(published))
        return ns_fail(NS_EINVAL, "'%s' is there and is not this night's; --replace publishes over it", plan->out);
    return NS_OK;
}

/* --- writing --- */

static json_t *manifest_json(const ns_published *published, const char *sha256, int64_t n_bytes, bool with_csv)
{
    const ns_night *night = published->night;
    const char *as_of = published->plan->as_of;
    json_t *columns = json_object(), *counts = json_object();
    for (int32_t i = 0; i < night->n_used; i++)
        json_object_set_new(columns, ns_cohort_column(night->cohort, night->used[i])->name, json_string(night->digests[i]));
    for (int s = 0; s < NS_N_STATUS; s++)
        json_object_set_new(counts, ns_score_status_name((ns_score_status)s), json_integer(night->counts[s]));
    json_t *csv = with_csv ? json_pack("{s:I, s:s}", "bytes", (json_int_t)published->csv_bytes, "sha256", published->csv_sha256) : NULL;
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:o, s:O*, s:o, s:s, s:o, s:s, s:I, s:s, s:o*, s:i}", "kind", "scores", "format", 1, "name",
                     ns_job_text(night->bundle->job, "name"), "bundle_id", night->bundle->id, "as_of", as_of != NULL ? as_of : "", "n_rows",
                     (json_int_t)night->stripes.n_rows, "counts", counts, "unseen", published->unseen, "settings", settings_json(published),
                     "fingerprint", night->digest, "columns", columns, "content", published->content, "bytes", (json_int_t)n_bytes, "sha256", sha256,
                     "csv", csv, "numerics_version", NS_NUMERICS_VERSION);
}

static ns_status write_manifest(const ns_published *published, const char *path, const char *scores, bool with_csv)
{
    char hex[65], *text = NULL;
    int64_t n_bytes;
    NS_TRY(ns_file_sha256(hex, &n_bytes, scores));
    json_t *manifest = manifest_json(published, hex, n_bytes, with_csv);
    ns_status status = manifest == NULL ? ns_fail(NS_ENOMEM, "no memory for the manifest") : ns_json_dump(manifest, &text);
    if (status == NS_OK) status = ns_durable_publish(path, text, strlen(text), "scores_manifest");
    free(text);
    json_decref(manifest);
    return status;
}

/* Whether two files hold the same bytes; no where one cannot be read. */
static bool same_bytes(const char *a, const char *b)
{
    char hex[2][65];
    int64_t n[2];
    bool same = ns_file_sha256(hex[0], &n[0], a) == NS_OK && ns_file_sha256(hex[1], &n[1], b) == NS_OK && n[0] >= 0 && n[0] == n[1] &&
                strcmp(hex[0], hex[1]) == 0;
    ns_error_clear();
    return same;
}

/* A finished file under its name. */
static ns_status place_file(const char *temporary, const char *path, const char *label)
{
    if (!ns_path_exists(path) || same_bytes(temporary, path)) return ns_durable_rename(temporary, path, label);
    char *kept = NULL;
    NS_TRY(ns_plan_free_name(&kept, path));
    ns_status status = ns_durable_replace(temporary, path, kept, label);
    free(kept);
    return status;
}

/* The CSV of an old night whose new scores come without one: it must not stand beside them. */
static ns_status put_csv_aside(const ns_night_job *plan)
{
    json_t *old = ns_published_manifest(plan);
    bool stale = !plan->csv_wanted && json_object_get(old, "csv") != NULL && ns_path_exists(plan->csv);
    json_decref(old);
    if (!stale) return NS_OK;
    char *kept = NULL;
    ns_status status = ns_plan_free_name(&kept, plan->csv);
    if (status == NS_OK) status = ns_durable_rename(plan->csv, kept, "aside_csv");
    free(kept);
    return status;
}

ns_status ns_published_place(const ns_published *published)
{
    const ns_night_job *plan = published->plan;
    NS_TRY(put_csv_aside(plan));
    NS_TRY(ns_durable_remove(plan->manifest, "old_manifest"));
    if (plan->csv_wanted) NS_TRY(place_file(plan->csv_temporary, plan->csv, "csv"));
    NS_TRY(place_file(plan->temporary, plan->out, "scores"));
    return write_manifest(published, plan->manifest, plan->out, plan->csv_wanted);
}

ns_status ns_published_hold(const ns_published *published, char **held)
{
    const char *out = published->plan->out;
    size_t room = strlen(out) + sizeof ".held.manifest.json";
    char *manifest = malloc(room);
    *held = malloc(room);
    ns_status status = *held == NULL || manifest == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
    if (status == NS_OK) {
        snprintf(*held, room, "%s.held", out);
        snprintf(manifest, room, "%s.held.manifest.json", out);
        status = ns_durable_remove(manifest, "old_held_manifest"); /* of another file than the new one */
    }
    if (status == NS_OK) status = ns_durable_rename(published->plan->temporary, *held, "held");
    if (status == NS_OK) status = write_manifest(published, manifest, *held, false);
    free(manifest);
    return status;
}
