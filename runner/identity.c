#include "runner/identity.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/hash.h"
#include "jobs/job.h"

json_t *ns_identity_json(const ns_identity *identity)
{
    char hex[65];
    ns_sha256_hex(hex, identity->job, strlen(identity->job));
    return json_pack("{s:s, s:s, s:O, s:i}", "job_sha256", hex, "fingerprint", identity->fingerprint, "columns",
                     identity->columns, "numerics_version", identity->numerics_version);
}

char *ns_job_without_rounds(const char *job)
{
    char *copy = malloc(strlen(job) + 1), *to = copy;
    bool in_model = false;
    for (const char *line = job; copy != NULL && *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (line[n] == '\n') n++;
        if (line[0] != ' ') in_model = strncmp(line, "model:", 6) == 0;
        if (!(in_model && strncmp(line, "  rounds:", 9) == 0)) {
            memcpy(to, line, n);
            to += n;
        }
        line += n;
    }
    if (copy != NULL) *to = '\0';
    return copy;
}

static ns_status compare_jobs(const char *mine, const char *theirs, const char *what, ns_compare how)
{
    char key[128] = "";
    if (how == NS_COMPARE_ALL) {
        if (!ns_job_differs(mine, theirs, key)) return NS_OK;
    } else {
        char *a = ns_job_without_rounds(mine), *b = ns_job_without_rounds(theirs);
        bool differs = a == NULL || b == NULL || ns_job_differs(a, b, key);
        bool no_memory = a == NULL || b == NULL;
        free(a);
        free(b);
        if (no_memory) return ns_fail(NS_ENOMEM, "no memory to compare jobs");
        if (!differs) return NS_OK;
    }
    const char *hint = strcmp(key, "model.rounds") == 0 ? "; --extend continues with more rounds" : "";
    return ns_fail(NS_EINVAL, "%s was made with another %s; set it back, or begin anew with --restart%s", what, key, hint);
}

ns_status ns_identity_compare(const ns_identity *mine, const char *job, const json_t *lineage, const char *what, ns_compare how)
{
    json_int_t version = json_integer_value(json_object_get(lineage, "numerics_version"));
    if (version != mine->numerics_version)
        return ns_fail(NS_EINVAL, "%s was made with numerics version %lld, this program has %d; begin anew with --restart", what,
                       (long long)version, mine->numerics_version);
    NS_TRY(compare_jobs(mine->job, job, what, how));
    const char *fingerprint = json_string_value(json_object_get(lineage, "fingerprint"));
    if (fingerprint != NULL && strcmp(fingerprint, mine->fingerprint) == 0) return NS_OK;

    const json_t *theirs = json_object_get(lineage, "columns");
    const char *name;
    json_t *digest;
    json_object_foreach(mine->columns, name, digest) {
        const char *other = json_string_value(json_object_get(theirs, name));
        if (other == NULL || strcmp(other, json_string_value(digest)) != 0)
            return ns_fail(NS_EINVAL, "%s was made from other data: column '%s' differs; begin anew with --restart", what, name);
    }
    return ns_fail(NS_EINVAL, "%s was made from other data: the columns differ; begin anew with --restart", what);
}
