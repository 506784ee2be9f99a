/* The batch script of a submission (cluster/slurm.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/begin.h"
#include "cluster/code_file.h"
#include "cluster/slurm.h"

/* A word for the shell: bare where it may be, else in single quotes. "%a", in an array, becomes the member's number. */
static void put_word(FILE *to, const char *word, bool in_array)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+:@,=-%";
    const char *mark = in_array ? strstr(word, "%a") : NULL;
    if (mark == NULL && *word != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, to);
        return;
    }
    fputc('\'', to);
    for (const char *c = word; *c != '\0'; c++) {
        if (mark != NULL && c == mark) {
            fputs("'\"$member\"'", to);
            c++;
            mark = strstr(c, "%a");
        } else if (*c == '\'') fputs("'\\''", to);
        else fputc(*c, to);
    }
    fputc('\'', to);
}

/* What sbatch reads in a directive: double quotes, no escapes. */
static ns_status check_text(const char *what, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c < ' ' || *c == 127 || *c == '"' || *c == '\'' || *c == '\\')
            return ns_fail(NS_EINVAL, "%s '%.200s' has a character that Slurm's directives cannot hold", what, text);
    return NS_OK;
}

static void put_directive(FILE *to, const char *name, const char *value)
{
    if (value != NULL) fprintf(to, strpbrk(value, " #") != NULL ? "#SBATCH --%s=\"%s\"\n" : "#SBATCH --%s=%s\n", name, value);
}

/* A path in a directive that fills in patterns: %% is one %. */
static void put_pattern(FILE *to, const char *name, const char *path, bool in_array)
{
    fprintf(to, "#SBATCH --%s=\"", name);
    for (const char *c = path; *c != '\0'; c++)
        if (*c == '%' && !(in_array && c[1] == 'a')) fputs("%%", to);
        else fputc(*c, to);
    fputs("\"\n", to);
}

static void put_directives(FILE *to, const ns_slurm_job *job)
{
    put_directive(to, "job-name", job->name);
    put_pattern(to, "output", job->log, job->array != NULL);
    put_directive(to, "chdir", job->folder);
    put_directive(to, "array", job->array);
    fputs("#SBATCH --open-mode=append\n#SBATCH --requeue\n", to);
    fprintf(to, "#SBATCH --nodes=%d\n#SBATCH --ntasks-per-node=%d\n", job->n_nodes, job->tasks_per_node);
    if (job->cpus_per_task > 0) fprintf(to, "#SBATCH --cpus-per-task=%d\n", job->cpus_per_task);
    if (job->gpus_per_node > 0) fprintf(to, "#SBATCH --gpus-per-node=%d\n", job->gpus_per_node);
    if (job->memory_bytes > 0) fprintf(to, "#SBATCH --mem=%" PRId64 "M\n", (job->memory_bytes + (1 << 20) - 1) >> 20);
    put_directive(to, "time", job->time);
    put_directive(to, "partition", job->partition);
    put_directive(to, "account", job->account);
    put_directive(to, "qos", job->qos);
    fprintf(to, "#SBATCH --signal=USR2@%d\n", job->lead_s);
    for (int64_t i = 0; i < job->n_extra; i++) fprintf(to, "#SBATCH %s%s\n", job->extra[i][0] == '-' ? "" : "--", job->extra[i]);
}

/* Its $? is the launcher's. */
static void put_launch(FILE *to, const ns_slurm_job *job)
{
    if (job->launcher != NULL) fputs(job->launcher, to);
    else {
        /* GPUs stay visible to all ranks of a node, so that they may talk past the host; each takes its own by local rank. */
        fputs("srun --mpi=pmix --kill-on-bad-exit=1 --gpu-bind=none", to);
        if (job->cpus_per_task > 0) fprintf(to, " --cpus-per-task=%d", job->cpus_per_task); /* not inherited from the job since 22.05 */
    }
    for (int i = 0; i < job->n_words; i++) {
        fputc(' ', to);
        put_word(to, job->words[i], job->array != NULL);
    }
    fputc('\n', to);
}

static const char before[] =
    "# A signal to the job is for the program, which saves and ends; this script waits for it.\n"
    "trap : HUP INT TERM USR1 USR2\n"
    "rm -f \"$code_file\"\n"
    "# Fences of PMIx that carry no data let each node pass alone on steps of fewer nodes than TreeWidth; those along a ring wait for all.\n"
    "export " NS_PMIX_FENCE_VARIABLE "=" NS_PMIX_FENCE_RING "\n";

static const char after[] =
    "code=$?\n"
    "# The ranks' own code, where they came to leave it: the launcher may tell how it ended one that was on its way out.\n"
    "if [ -s \"$code_file\" ]; then read -r code <\"$code_file\"; fi\n"
    "rm -rf \"$code_file\" \"$code_file\".late.* # of ranks that were looked for\n"
    "# A rank was killed, or told to stop before it could listen.\n"
    "case $code in 129 | 130 | 137 | 138 | 140 | 143) code=76 ;; esac\n"
    "if [ \"$code\" -eq 126 ] || [ \"$code\" -eq 127 ]; then code=2; fi # no launcher, no program\n"
    "restarts=${SLURM_RESTART_COUNT:-0}\n"
    "note() { echo \"ts=$(date -u +%Y-%m-%dT%H:%M:%SZ) level=$1 event=$2 exit=$code restarts=$restarts most=$most\" >&2; }\n"
    "again=no\n"
    "case $code in\n"
    "75 | 76) again=yes ;;\n"
    "132 | 134 | 135 | 136 | 139) # A rank crashed. Memory, libraries and file systems fail once; what crashes twice would a third time.\n"
    "    again=yes\n"
    "    if [ -e \"$code_file.crashed\" ]; then most=0; fi\n"
    "    : >\"$code_file.crashed\" ;;\n"
    "esac\n"
    "if [ $again = yes ] && [ \"$restarts\" -lt \"$most\" ]; then\n"
    "    note info requeue\n"
    "    # Where Slurm has put the job back by itself (preemption, scontrol), it says so here.\n"
    "    scontrol requeue \"$SLURM_JOB_ID\" || :\n"
    "else\n"
    "    if [ $again = yes ]; then note warn given_up; fi\n"
    "    rm -f \"$code_file.crashed\"\n"
    "fi\n"
    "exit \"$code\"\n";

static ns_status check_texts(const ns_slurm_job *job)
{
    const struct {
        const char *what, *text;
    } texts[] = {{"the run folder", job->log}, {"the run folder", job->folder}, {"the job's name", job->name}, {"slurm.partition:", job->partition},
                 {"slurm.account:", job->account}, {"slurm.qos:", job->qos}, {"slurm.time:", job->time}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text != NULL) NS_TRY(check_text(texts[i].what, texts[i].text));
    for (int64_t i = 0; i < job->n_extra; i++)
        if (strpbrk(job->extra[i], "\r\n") != NULL) return ns_fail(NS_EINVAL, "slurm.extra: holds a line end; each directive is an item of its own");
    if (job->launcher != NULL && strpbrk(job->launcher, "\r\n") != NULL) return ns_fail(NS_EINVAL, "slurm.launcher: holds a line end");
    return NS_OK;
}

ns_status ns_slurm_script(char **script, const ns_slurm_job *job)
{
    size_t n = 0;
    *script = NULL;
    NS_TRY(check_texts(job));
    FILE *to = open_memstream(script, &n);
    if (to == NULL) return ns_fail(NS_ENOMEM, "no memory for a batch script");
    fputs("#!/bin/sh\n", to);
    put_directives(to, job);
    fprintf(to, "\nmost=%d\n", job->max_requeues);
    if (job->array != NULL) fputs("member=$(printf %04d \"$SLURM_ARRAY_TASK_ID\")\n", to);
    fputs("code_file=", to);
    put_word(to, job->folder, false);
    fputs("/code.$SLURM_JOB_ID\n" NS_CODE_FILE_VARIABLE "=$code_file\nNIGHTSHIFT_SITE=", to);
    put_word(to, job->site_file, false);
    fputs("\nexport " NS_CODE_FILE_VARIABLE " NIGHTSHIFT_SITE\n", to);
    fputs(before, to);
    for (int64_t i = 0; i < job->n_setup; i++) fprintf(to, "%s\n", job->setup[i]);
    put_launch(to, job);
    fputs(after, to);
    bool failed = ferror(to) != 0;
    if (fclose(to) == 0 && !failed) return NS_OK;
    free(*script);
    *script = NULL;
    return ns_fail(NS_ENOMEM, "no memory for a batch script");
}
