#include "runner/slurm/submission.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/program.h"
#include "cluster/slurm.h"
#include "data/durable.h"
#include "data/hash.h"
#include "runner/json.h"
#include "runner/run_folder.h"
#include "runner/writable.h"

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for a submission");
}

char *ns_submission_path(const ns_submission *s, const char *name)
{
    return ns_path_join(s->folder, name);
}

/* --- numbers --- */

static int newest_number(const char *submissions)
{
    int newest = 0;
    DIR *dir = opendir(submissions);
    if (dir == NULL) return 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && number > newest && number < INT_MAX) newest = (int)number;
    }
    closedir(dir);
    return newest;
}

static ns_status choose_folder(ns_submission *s, const char *submissions)
{
    char name[16];
    s->number = newest_number(submissions) + 1;
    snprintf(name, sizeof name, "%d", s->number);
    s->folder = ns_path_join(submissions, name);
    return s->folder == NULL ? no_memory() : NS_OK;
}

/* --- the program --- */

static ns_status own_path(char **out)
{
    char path[PATH_MAX];
    NS_TRY(ns_program_starter(path, sizeof path));
    *out = strdup(path);
    return *out == NULL ? no_memory() : NS_OK;
}

/* What may be executed is what may be read. */
static ns_status make_executable(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) return ns_fail(NS_EIO, "cannot look at '%s': %s", path, strerror(errno));
    mode_t mode = info.st_mode & 07777;
    mode |= (mode & 0444) >> 2;
    if (chmod(path, mode) != 0) return ns_fail(NS_EIO, "cannot make '%s' executable: %s", path, strerror(errno));
    return NS_OK;
}

/* A file beside the running program, into folder; one that is not there is left out. */
static ns_status copy_beside(const char *folder, const char *own, const char *name)
{
    char *from = NULL, *to = ns_path_join(folder, name), *bytes = NULL;
    size_t n = 0;
    bool found = false;
    size_t n_folder = (size_t)(strrchr(own, '/') - own) + 1;
    from = malloc(n_folder + strlen(name) + 1);
    ns_status status = from == NULL || to == NULL ? no_memory() : NS_OK;
    if (status == NS_OK) {
        memcpy(from, own, n_folder);
        strcpy(from + n_folder, name);
        status = ns_read_whole(from, &bytes, &n, &found);
    }
    if (status == NS_OK && found) status = ns_durable_publish(to, bytes, n, "program");
    free(bytes);
    free(from);
    free(to);
    return status;
}

/* Where the frozen program stands or will: programs/HASH/nightshift. A program that is a folder of its own (cluster/program.h) is not
   copied: its starter is the program. */
static ns_status name_program(ns_submission *s, const char *submissions)
{
    char *own = NULL, *bytes = NULL, *folder = NULL, *programs = NULL, hex[65];
    size_t n = 0;
    bool found = false;
    uint8_t digest[32];
    char file[PATH_MAX];
    ns_status status = own_path(&own);
    if (status == NS_OK) status = ns_program_file(file, sizeof file);
    if (status == NS_OK) status = ns_read_whole(file, &bytes, &n, &found);
    if (status == NS_OK && !found) status = ns_fail(NS_EUNAVAILABLE, "cannot read the running program '%s'", file);
    bool is_folder = status == NS_OK && strcmp(own, file) != 0;
    if (status == NS_OK) {
        ns_blake2b(digest, bytes, n);
        ns_hex(hex, digest, sizeof digest);
        hex[16] = '\0';
        programs = ns_path_join(submissions, "programs");
        folder = programs != NULL ? ns_path_join(programs, hex) : NULL;
        s->program = is_folder ? strdup(own) : folder != NULL ? ns_path_join(folder, "nightshift") : NULL;
        if (s->program == NULL) status = no_memory();
    }
    if (status == NS_OK) {
        s->copies_program = !is_folder;
        json_object_set_new(s->record, "program", ns_json_path(own));
        json_object_set_new(s->record, "program_hash", json_string(hex));
    }
    free(bytes);
    free(own);
    free(folder);
    free(programs);
    return status;
}

/* The copy, unless it is there: of the same bytes then, since it appears whole under the name of its hash. */
static ns_status copy_program(const ns_submission *s)
{
    char *own = NULL, *folder = strdup(s->program), *bytes = NULL;
    size_t n = 0;
    bool found = false;
    ns_status status = folder == NULL ? no_memory() : own_path(&own);
    if (status == NS_OK) status = ns_read_whole(own, &bytes, &n, &found);
    if (status == NS_OK && !found) status = ns_fail(NS_EUNAVAILABLE, "cannot read the running program '%s'", own);
    if (status == NS_OK) {
        *strrchr(folder, '/') = '\0';
        status = ns_durable_mkdir(folder, "programs");
    }
    if (status == NS_OK) status = copy_beside(folder, own, "nightshift_cuda.so"); /* the module, before whom it belongs to */
    if (status == NS_OK) status = ns_durable_publish(s->program, bytes, n, "program");
    if (status == NS_OK) status = make_executable(s->program);
    free(bytes);
    free(folder);
    free(own);
    return status;
}

ns_status ns_submission_freeze(ns_submission *s)
{
    s->frozen = true;
    NS_TRY(ns_durable_mkdir(s->folder, "submission"));
    return s->copies_program && access(s->program, X_OK) != 0 ? copy_program(s) : NS_OK;
}

/* --- open, write, close --- */

static ns_status open_real(ns_submission *s, const char *submissions)
{
    char *lock = ns_path_join(submissions, "lock"), taken_over[256] = "";
    NS_TRY(lock == NULL ? no_memory() : ns_writable_folder(s->run, "the run folder"));
    s->n_made = ns_writable_n_missing(submissions);
    ns_status status = ns_durable_mkdir(submissions, "submissions");
    if (status == NS_OK) status = ns_lock_take(&s->lock, lock, "the queue of the run folder", taken_over, sizeof taken_over);
    free(lock);
    if (status == NS_OK) status = choose_folder(s, submissions);
    if (status == NS_OK) status = name_program(s, submissions);
    return status;
}

ns_status ns_submission_open(ns_submission *s, const char *run, ns_submission_kind kind)
{
    memset(s, 0, sizeof *s);
    s->run = strdup(run);
    s->record = json_object();
    char *submissions = ns_path_join(run, "submissions");
    ns_status status = s->run == NULL || s->record == NULL || submissions == NULL ? no_memory() : NS_OK;
    if (status == NS_OK && kind == NS_SUBMISSION_REAL) status = open_real(s, submissions);
    if (status == NS_OK && kind == NS_SUBMISSION_DRY) {
        status = choose_folder(s, submissions);
        if (status == NS_OK) status = own_path(&s->program);
    }
    free(submissions);
    return status;
}

ns_status ns_submission_write(const ns_submission *s, const char *name, const char *text)
{
    char *path = ns_submission_path(s, name);
    if (path == NULL) return no_memory();
    ns_status status = ns_durable_publish(path, text, strlen(text), "submission");
    free(path);
    return status;
}

ns_status ns_submission_write_record(const ns_submission *s)
{
    char *text = NULL;
    NS_TRY(ns_json_dump(s->record, &text));
    ns_status status = ns_submission_write(s, "submission.json", text);
    free(text);
    return status;
}

void ns_submission_abandon(ns_submission *s)
{
    ns_error first = *ns_last_error();
    ns_error_clear();
    if (s->frozen && ns_durable_remove(s->folder, "submission") != NS_OK) ns_error_clear();
    if (s->lock != NULL) ns_lock_release(&s->lock);
    char *submissions = s->run != NULL ? ns_path_join(s->run, "submissions") : NULL;
    if (submissions != NULL) ns_writable_unmake(submissions, s->n_made);
    free(submissions);
    *ns_last_error() = first;
}

void ns_submission_close(ns_submission *s)
{
    if (s->lock != NULL) ns_lock_release(&s->lock);
    free(s->run);
    free(s->folder);
    free(s->program);
    json_decref(s->record);
    memset(s, 0, sizeof *s);
}

/* --- what is in the queue --- */

typedef struct known_jobs {
    ns_live_job *list;
    int n, room;
    bool failed;
} known_jobs;

static void know(known_jobs *known, const json_t *record, int number)
{
    size_t i;
    const json_t *job;
    const char *as_of = json_string_value(json_object_get(record, "as_of"));
    json_array_foreach(json_object_get(record, "jobs"), i, job) {
        if (known->n == known->room) {
            int room = 2 * known->room + 16;
            ns_live_job *grown = realloc(known->list, (size_t)room * sizeof *grown);
            known->failed = known->failed || grown == NULL;
            if (grown == NULL) return;
            known->list = grown;
            known->room = room;
        }
        const char *verb = json_string_value(json_object_get(job, "verb"));
        ns_live_job *new = &known->list[known->n++];
        *new = (ns_live_job){.id = json_integer_value(json_object_get(job, "id")), .number = number};
        snprintf(new->verb, sizeof new->verb, "%s", verb != NULL ? verb : "");
        snprintf(new->as_of, sizeof new->as_of, "%s", as_of != NULL ? as_of : "");
    }
}

/* Whom Slurm has too gets a state. */
static void mark(void *to, int64_t id, const char *state)
{
    known_jobs *known = to;
    for (int i = 0; i < known->n; i++)
        if (known->list[i].id == id) snprintf(known->list[i].state, sizeof known->list[i].state, "%s", state);
}

/* Submissions whose jobs can still be there: years of nights need not all be read. */
enum { LOOKED_BACK = 400 };

ns_status ns_submission_live(ns_live_job **out, int *n, const char *run)
{
    known_jobs known = {0};
    *out = NULL;
    *n = 0;
    char *submissions = ns_path_join(run, "submissions");
    if (submissions == NULL) return no_memory();
    int newest = newest_number(submissions), first = newest > LOOKED_BACK ? newest - LOOKED_BACK : 1;
    for (int number = first; number <= newest; number++) {
        char name[40];
        snprintf(name, sizeof name, "%d/submission.json", number);
        char *path = ns_path_join(submissions, name);
        json_t *record = path != NULL ? json_load_file(path, 0, NULL) : NULL;
        if (record != NULL) know(&known, record, number);
        json_decref(record);
        free(path);
    }
    free(submissions);
    ns_status status = known.failed ? no_memory() : NS_OK;
    if (status == NS_OK && known.n > 0) status = ns_slurm_queue(mark, &known);
    if (status == NS_OK)
        for (int i = 0; i < known.n; i++)
            if (known.list[i].state[0] != '\0') known.list[(*n)++] = known.list[i];
    if (status != NS_OK) {
        free(known.list);
        return status;
    }
    *out = known.list;
    return NS_OK;
}
