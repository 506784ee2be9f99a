#include "jobs/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/job_parts.h"
#include "jobs/page.h"

/*
 * Both parse and check read all sources to the end and sort what is wrong by place: parse fails with the
 * first, check tells all. Every slot is filled by then, so an answer is a look into an array.
 */
static ns_status create(ns_job **out, const char *folder)
{
    ns_job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->slots = calloc((size_t)ns_n_options, sizeof *job->slots);
        job->folder = strdup(folder != NULL ? folder : "");
    }
    *out = job;
    if (job != NULL && job->slots != NULL && job->folder != NULL) return NS_OK;
    ns_job_destroy(out);
    return ns_fail(NS_ENOMEM, "out of memory for the job");
}

static ns_status read_all(ns_job **out, const ns_job_sources *sources, ns_problems *problems)
{
    NS_TRY(create(out, sources->job_folder));
    NS_TRY(ns_job_read(*out, sources, problems));
    NS_TRY(ns_job_cross_check(*out, problems));
    ns_problems_sort(problems);
    return NS_OK;
}

ns_status ns_job_parse(ns_job **out, const ns_job_sources *sources)
{
    ns_problems problems = {0};
    ns_status status = read_all(out, sources, &problems);
    if (status == NS_OK && problems.n > 0) status = ns_fail(NS_EINVAL, "%s", problems.items[0].message);
    if (status != NS_OK) ns_job_destroy(out);
    ns_problems_clear(&problems);
    return status;
}

ns_status ns_job_check(const ns_job_sources *sources, void (*problem)(void *context, const char *message),
                       void *context)
{
    ns_job *job;
    ns_problems problems = {0};
    ns_status status = read_all(&job, sources, &problems);
    for (int32_t i = 0; status == NS_OK && i < problems.n; i++) problem(context, problems.items[i].message);
    if (status == NS_OK && problems.n > 0) status = NS_EINVAL;
    ns_job_destroy(&job);
    ns_problems_clear(&problems);
    return status;
}

void ns_job_destroy(ns_job **job)
{
    if (*job == NULL) return;
    for (int32_t i = 0; (*job)->slots != NULL && i < ns_n_options; i++) {
        ns_value_clear(&(*job)->slots[i].value);
        free((*job)->slots[i].place);
    }
    for (int32_t i = 0; i < (*job)->n_axes; i++) ns_sweep_axis_clear(&(*job)->axes[i]);
    free((*job)->axes);
    free((*job)->slots);
    free((*job)->folder);
    free(*job);
    *job = NULL;
}

static unsigned bit(ns_option_kind kind)
{
    return 1u << kind;
}

/* kinds: bits of those that the question can be asked of */
static const job_slot *slot_of(const ns_job *job, const char *key, unsigned kinds)
{
    int32_t row = ns_option_find(key);
    assert(row >= 0);
    assert((bit(ns_options[row].kind) & kinds) != 0);
    (void)kinds; /* where asserts are off */
    return &job->slots[row];
}

static const unsigned any_kind = ~0u;

bool ns_job_has(const ns_job *job, const char *key)
{
    return slot_of(job, key, any_kind)->set;
}

bool ns_job_given(const ns_job *job, const char *key)
{
    return slot_of(job, key, any_kind)->given;
}

const char *ns_job_text(const ns_job *job, const char *key)
{
    const job_slot *slot =
        slot_of(job, key, bit(NS_OPT_TEXT) | bit(NS_OPT_CHOICE) | bit(NS_OPT_PATH) | bit(NS_OPT_WHERE));
    return slot->set ? slot->value.items[0] : NULL;
}

int64_t ns_job_integer(const ns_job *job, const char *key)
{
    return slot_of(job, key, bit(NS_OPT_INTEGER) | bit(NS_OPT_BYTES))->value.integer;
}

double ns_job_number(const ns_job *job, const char *key)
{
    return slot_of(job, key, bit(NS_OPT_NUMBER) | bit(NS_OPT_SECONDS))->value.number;
}

bool ns_job_flag(const ns_job *job, const char *key)
{
    return slot_of(job, key, bit(NS_OPT_FLAG))->value.flag;
}

int64_t ns_job_time(const ns_job *job, const char *key)
{
    return slot_of(job, key, bit(NS_OPT_TIME))->value.integer;
}

int64_t ns_job_list(const ns_job *job, const char *key, const char *const **items)
{
    const job_slot *slot = slot_of(job, key, bit(NS_OPT_TEXTS) | bit(NS_OPT_PATHS));
    *items = (const char *const *)slot->value.items;
    return slot->value.n_items;
}

const char *ns_job_place(const ns_job *job, const char *key)
{
    const job_slot *slot = slot_of(job, key, any_kind);
    return slot->place == NULL ? "default" : slot->place;
}

const char *ns_job_folder(const ns_job *job)
{
    return job->folder;
}

ns_status ns_job_dated_path(char **out, const ns_job *job, const char *key, const char *path,
                            const char *as_of)
{
    static const char mark[] = "{as_of}";
    *out = NULL;
    ns_page page = {0};
    for (const char *c = path;;) {
        const char *next = strstr(c, mark);
        if (next == NULL) {
            ns_page_add(&page, "%s", c);
            return ns_page_take(&page, out);
        }
        if (as_of == NULL) {
            free(page.bytes);
            return ns_fail(
                NS_EINVAL,
                "%s: %s: {as_of} needs the date of the night: --as-of 2026-11-20, or NIGHTSHIFT_AS_OF",
                ns_job_place(job, key), key);
        }
        ns_page_add(&page, "%.*s%s", (int)(next - c), c, as_of);
        c = next + sizeof mark - 1;
    }
}
