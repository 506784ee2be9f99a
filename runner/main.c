/*
 * The program: reads the command line, starts MPI, runs one verb on all ranks, prints its summary or its one error line,
 * and leaves with the same code on every rank. Nothing happens after MPI_Finalize.
 */
#include <limits.h>
#include <mpi.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/agree.h"
#include "cluster/begin.h"
#include "cluster/code_file.h"
#include "cluster/launch.h"
#include "cluster/log.h"
#include "cluster/program.h"
#include "cluster/stop.h"
#include "cluster/watchdog.h"
#include "data/hash.h"
#include "data/durable.h"
#include "runner/context.h"
#include "runner/version.h"

static const struct {
    const char *name;
    ns_status (*run)(ns_context *context);
} verbs[] = {
    {"train", ns_verb_train},       {"score", ns_verb_score},   {"evaluate", ns_verb_evaluate},
    {"check", ns_verb_check},       {"verify", ns_verb_verify}, {"inspect", ns_verb_inspect},
    {"synth", ns_verb_synth},       {"import", ns_verb_import},
    {"submit", ns_verb_submit},     {"sweep", ns_verb_sweep},
};

/*
 * A task of a Slurm step that was given no way to find the others (srun --mpi=none). MPI would end each with a page of its own; so
 * rank 0 says it in one line, and all leave with 2. A step of one task, such as a shell of srun --pty, needs nobody: it goes on as a
 * process alone, without what would make MPI look for srun.
 */
static bool is_cut_off(void)
{
    static const char *const ways[] = {"PMIX_RANK", "PMI_RANK", "PMI_FD", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS"};
    static const char *const signs[] = {"SLURM_STEP_ID", "SLURM_STEPID", "SLURM_PROCID"};
    const char *n_tasks = getenv("SLURM_STEP_NUM_TASKS"), *task = getenv("SLURM_PROCID");
    if (n_tasks == NULL || task == NULL) return false;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (getenv(ways[i]) != NULL) return false;
    if (strcmp(n_tasks, "1") == 0) {
        for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) unsetenv(signs[i]);
        return false;
    }
    if (strcmp(task, "0") == 0)
        fprintf(stderr, "nightshift: the %.12s tasks of this Slurm step cannot find one another: start them with 'srun --mpi=pmix' ('srun --mpi=list' "
                        "shows what this Slurm has)\n", n_tasks);
    return true;
}

/* What a process alone sets for Open MPI, unless the environment says otherwise. */
static const struct {
    const char *name, *value;
} alone[] = {
    /* Without a launcher it would start a daemon and look for networks: 0.3 s instead of 0.03. */
    {"OMPI_MCA_ess_singleton_isolated", "1"},
    /* Processes that start at one moment would share a folder in /tmp and remove it from under each other: about one start
       in sixty failed with eight loops of starts side by side. One process alone needs none. */
    {"OMPI_MCA_orte_create_session_dirs", "0"},
    {"OMPI_MCA_pml", "ob1"},
    /* No need to know which cards are on the bus, nor to load OpenGL to ask for displays: 12 ms. */
    {"HWLOC_COMPONENTS", "-linuxio"},
    {"HWLOC_PLUGINS_PATH", "/"},
};
enum { N_ALONE = sizeof alone / sizeof alone[0] };

/* is_set[i]: alone[i] was put into the environment, where MPI_Init reads it; take_back takes it out again, so that programs that
   this one starts (sbatch and its jobs among them) do not inherit it. */
static void quiet_singleton(bool is_set[N_ALONE])
{
    static const char *const signs[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    memset(is_set, 0, N_ALONE * sizeof *is_set);
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (getenv(signs[i]) != NULL) return;
    for (size_t i = 0; i < N_ALONE; i++) is_set[i] = getenv(alone[i].name) == NULL && setenv(alone[i].name, alone[i].value, 0) == 0;
}

static void take_back(const bool is_set[N_ALONE])
{
    for (size_t i = 0; i < N_ALONE; i++)
        if (is_set[i]) unsetenv(alone[i].name);
}

/* Help, version and the launcher need no MPI. *code is the exit code where true is returned. */
static bool without_mpi(const ns_args *args, ns_status parsed, int *code)
{
    if (parsed != NS_OK) return false;
    if (args->version || args->help) {
        char *text = args->version ? ns_version_text(args->json) : ns_help_text(args->verb);
        *code = text != NULL && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : 1;
        free(text);
        return true;
    }
    if (strcmp(args->verb, "run") != 0) return false;
    int64_t n = 0;
    ns_status status = ns_args_integer(&n, args, "-n", 0, 1, 100000);
    if (status == NS_OK && (n == 0 || args->rest == NULL))
        status = ns_fail(NS_EINVAL, "run needs a number of ranks and a verb: nightshift run -n 2 train job.yaml");
    *code = 0;
    if (status == NS_OK) status = ns_launch("nightshift", (int)n, args->rest, code);
    if (status != NS_OK) {
        fprintf(stderr, "nightshift: %s\n", ns_last_error()->message);
        *code = ns_exit_code(status);
    }
    return true;
}

/* All ranks must be of one build: mixed ones would differ in ways that no test covers. */
static ns_status agree_build(MPI_Comm comm)
{
    char *bytes = NULL, hex[65] = "unknown", path[PATH_MAX];
    size_t n_bytes = 0;
    bool found = false;
    int n_ranks;
    MPI_Comm_size(comm, &n_ranks);
    if (n_ranks == 1) return NS_OK;
    if (ns_program_file(path, sizeof path) == NS_OK && ns_read_whole(path, &bytes, &n_bytes, &found) == NS_OK && found) {
        uint8_t digest[32];
        ns_blake2b(digest, bytes, n_bytes);
        ns_hex(hex, digest, sizeof digest);
    }
    free(bytes);
    return ns_agree_text("the programs", hex, comm);
}

static ns_status agree_size(int n_ranks, MPI_Comm comm)
{
    char message[256];
    ns_status status = NS_OK;
    if (ns_launched_size_mismatch(getenv("SLURM_NTASKS"), getenv("SLURM_PROCID"), n_ranks, message, sizeof message) ||
        ns_run_size_mismatch(getenv(NS_RANKS_VARIABLE), n_ranks, message, sizeof message))
        status = ns_fail(NS_EINVAL, "%s", message);
    return ns_agree(status, comm);
}

static ns_status run_verb(ns_context *context, ns_status parsed)
{
    /* The ranks read the same words, so all of them failed or none. */
    ns_status status = ns_agree(parsed, context->comm);
    if (status == NS_OK) status = agree_size(context->n_ranks, context->comm);
    if (status == NS_OK) status = agree_build(context->comm);
    if (status != NS_OK) return status;
    ns_log_event(NS_LOG_INFO, "start", "version=%s ranks=%d", ns_program_version(), context->n_ranks);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(context->args->verb, verbs[i].name) == 0) return ns_agree(verbs[i].run(context), context->comm);
    return ns_fail(NS_EINVAL, "verb '%s' is not built in", context->args->verb);
}

static const char *status_name(int code)
{
    switch (code) {
    case 0: return "done";
    case 1: return "machine_failed";
    case 2: return "refused";
    case 3: return "bad_data";
    case 4: return "held";
    case 5: return "not_verified";
    case 75: return "stopped";
    default: return "lost";
    }
}

/* Rank 0: the summary on stdout, or the one error line on stderr. A summary that cannot be written is exit 1. */
static int report(ns_context *context, ns_status status, const char *text)
{
    int code = ns_exit_code(status);
    ns_log_settle(); /* the job was never read */
    double seconds = ns_seconds() - context->started;
    if (context->args->json) {
        json_t *out = json_object();
        json_object_set_new(out, "verb", context->args->verb != NULL ? json_string(context->args->verb) : json_null());
        json_object_set_new(out, "status", json_string(status_name(code)));
        json_object_set_new(out, "exit", json_integer(code));
        json_object_set_new(out, "seconds", json_real(seconds));
        if (status != NS_OK) json_object_set_new(out, "message", json_string(ns_last_error()->message));
        json_object_update(out, context->summary);
        if (json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
            code = code == 0 ? 1 : code;
        json_decref(out);
    } else if ((text != NULL && fputs(text, stdout) < 0) || fflush(stdout) != 0) {
        code = code == 0 ? 1 : code;
    }
    if (status != NS_OK) {
        const ns_error *error = ns_last_error();
        if (error->rank > 0 && status != NS_ESTOPPED) /* which rank got the signal does not matter */
            fprintf(stderr, "nightshift: rank %d: %s\n", error->rank, error->message);
        else
            fprintf(stderr, "nightshift: %s\n", error->message);
    }
    if (context->args->verb != NULL) ns_log_event(NS_LOG_INFO, "end", "exit=%d seconds=%.3f%s%s", code, seconds, context->counts[0] != '\0' ? " " : "", context->counts);
    return code;
}

static void open_log(const ns_context *context, ns_log_format format)
{
    ns_log_setup log = {.verb = context->args->verb != NULL ? context->args->verb : "none", .speaks = context->rank == 0,
                        .quiet = context->args->quiet, .format = format};
    memcpy(log.run, context->life, sizeof log.run);
    ns_log_open(&log);
}

static volatile sig_atomic_t agreed_code;

static void leave(int number)
{
    (void)number;
    _exit(agreed_code);
}

/*
 * Everything is published, printed and agreed on before. Open MPI 4.1 now and then (once in 2,000 ends on a busy machine) calls,
 * from its own thread in orte_finalize, into a component that it has unloaded already: then the code stands all the same.
 */
static void finalize(int code)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = leave;
    agreed_code = code;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
    MPI_Finalize();
}

int main(int argc, char **argv)
{
    double started = ns_seconds();
    ns_stop_listen(); /* a stop that comes while MPI starts is kept */
    ns_args args;
    int code = 1;
    ns_status parsed = ns_args_parse(&args, argc, argv);
    if (without_mpi(&args, parsed, &code)) {
        ns_args_destroy(&args);
        return code;
    }

    if (is_cut_off()) {
        ns_args_destroy(&args);
        return 2;
    }
    bool is_set[N_ALONE];
    quiet_singleton(is_set);
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    take_back(is_set);
    ns_begin_together();
    ns_context context = {.comm = MPI_COMM_WORLD, .args = &args, .started = started, .summary = json_object()};
    MPI_Comm_rank(context.comm, &context.rank);
    MPI_Comm_size(context.comm, &context.n_ranks);
    if (sodium_init() < 0) parsed = ns_fail(NS_EUNAVAILABLE, "libsodium finds no source of random numbers");
    uint8_t random[8];
    randombytes_buf(random, sizeof random);
    MPI_Bcast(random, sizeof random, MPI_BYTE, 0, context.comm);
    ns_hex(context.life, random, sizeof random);
    open_log(&context, args.verb != NULL && ns_verb_takes_job(args.verb) ? NS_LOG_UNDECIDED : NS_LOG_TEXT);
    ns_stop_listen();

    char *text = NULL;
    size_t n_text = 0;
    context.text = open_memstream(&text, &n_text);
    ns_status status = context.text == NULL || context.summary == NULL ? ns_fail(NS_ENOMEM, "no memory to start") : NS_OK;
    status = ns_agree(status, context.comm);
    if (status == NS_OK) status = run_verb(&context, parsed);
    if (context.text != NULL) fclose(context.text);
    ns_watchdog_stop();
    code = ns_exit_code(status);
    if (context.rank == 0) {
        code = report(&context, status, text);
        ns_code_file_write(code);
    }
    MPI_Bcast(&code, 1, MPI_INT, 0, context.comm);

    free(text);
    json_decref(context.summary);
    ns_args_destroy(&args);
    MPI_Barrier(MPI_COMM_WORLD);
    finalize(code);
    return code;
}
