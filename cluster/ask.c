#include "cluster/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/line.h"
#include "cluster/log.h"

extern char **environ;

typedef struct text {
    char *bytes;
    size_t n, room;
} text;

/* n bytes more, and a 0 behind them; false without memory. */
static bool add(text *t, const char *bytes, size_t n)
{
    if (t->n + n + 1 > t->room) {
        size_t room = 2 * (t->n + n) + 256;
        char *grown = realloc(t->bytes, room);
        if (grown == NULL) return false;
        t->bytes = grown;
        t->room = room;
    }
    if (n > 0) memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
    return true;
}

/* --- environment --- */

static bool is_left_out(const char *variable)
{
    static const char *const out[] = {"SLURM_",           "SRUN_",           "PMI_",          "PMI2_", "PMIX_", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE",
                                      "NIGHTSHIFT_SITE=", "NIGHTSHIFT_AS_OF=", "NIGHTSHIFT_RANKS="};
    static const char *const kept[] = {"SLURM_CONF=", "SLURM_CLUSTERS="};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strncmp(variable, kept[i], strlen(kept[i])) == 0) return false;
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
        if (strncmp(variable, out[i], strlen(out[i])) == 0) return true;
    return false;
}

/* The block that the kernel keeps of the start of this process: "A=1\0B=2\0". */
static bool read_first_environment(text *block)
{
    char piece[4096];
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    bool good = fd >= 0;
    while (good && (n = read(fd, piece, sizeof piece)) > 0) good = add(block, piece, (size_t)n);
    if (fd >= 0) close(fd);
    return good && n == 0 && block->n > 0;
}

/* NULL-terminated pointers into block, or into environ where the block cannot be read. NULL without memory. */
static char **environment(text *block)
{
    size_t n = 0, at = 0;
    bool first = read_first_environment(block);
    size_t most = 1;
    if (first)
        for (size_t i = 0; i < block->n; i++) most += block->bytes[i] == '\0';
    else
        for (char **v = environ; *v != NULL; v++) most++;
    char **list = calloc(most + 1, sizeof *list);
    if (list == NULL) return NULL;
    if (!first) {
        for (char **v = environ; *v != NULL; v++)
            if (!is_left_out(*v)) list[n++] = *v;
        return list;
    }
    while (at < block->n) {
        char *variable = block->bytes + at;
        at += strlen(variable) + 1;
        if (!is_left_out(variable)) list[n++] = variable;
    }
    return list;
}

/* --- the program --- */

typedef struct child {
    pid_t pid;
    int ends[2]; /* where its output and its errors are read; -1: at their end */
} child;

static ns_status start(child *c, const char *const *words, char **list)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    if (pipe(out) != 0 || pipe(err) != 0) return ns_fail(NS_ENOMEM, "cannot ask '%s': %s", words[0], strerror(errno));
    int all[4] = {out[0], out[1], err[0], err[1]};
    for (int i = 0; i < 4; i++) fcntl(all[i], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    union {
        const char *const *from;
        char *const *to;
    } argv = {.from = words}; /* spawn takes what it does not change as char *const [] */
    int error = posix_spawnp(&c->pid, words[0], &actions, NULL, argv.to, list);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    c->ends[0] = out[0];
    c->ends[1] = err[0];
    if (error == 0) return NS_OK;
    close(out[0]);
    close(err[0]);
    return ns_fail(NS_EUNAVAILABLE, "cannot start '%s': %s", words[0], strerror(error));
}

/* Reads both to their ends. False: too late, or no memory. */
static bool listen_to(child *c, text texts[2], double until)
{
    bool good = true;
    while (good && (c->ends[0] >= 0 || c->ends[1] >= 0)) {
        struct pollfd look[2] = {{.fd = c->ends[0], .events = POLLIN}, {.fd = c->ends[1], .events = POLLIN}};
        double left = until - ns_seconds();
        int n = left > 0 ? poll(look, 2, (int)(left * 1e3) + 1) : 0;
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        for (int i = 0; i < 2; i++) {
            char piece[4096];
            if (c->ends[i] < 0 || look[i].revents == 0) continue;
            ssize_t got = read(c->ends[i], piece, sizeof piece);
            if (got > 0) good = good && add(&texts[i], piece, (size_t)got);
            else if (got == 0 || errno != EINTR) {
                close(c->ends[i]);
                c->ends[i] = -1;
            }
        }
    }
    return good;
}

static const char *last_line(char *t)
{
    size_t n = t != NULL ? strlen(t) : 0;
    while (n > 0 && (t[n - 1] == '\n' || t[n - 1] == ' ')) t[--n] = '\0';
    const char *line = n > 0 ? strrchr(t, '\n') : NULL;
    return n == 0 ? "it gave no reason" : line != NULL ? line + 1 : t;
}

static ns_status converse(text texts[2], const char *const *words, char **list, int limit_s)
{
    child c;
    int code = 0;
    NS_TRY(start(&c, words, list));
    bool good = listen_to(&c, texts, ns_seconds() + limit_s);
    if (!good) kill(c.pid, SIGKILL);
    for (int i = 0; i < 2; i++)
        if (c.ends[i] >= 0) close(c.ends[i]);
    while (waitpid(c.pid, &code, 0) < 0 && errno == EINTR) {}
    if (!good) return ns_fail(NS_EUNAVAILABLE, "'%s' gave no answer within %d seconds", words[0], limit_s);
    if (WIFEXITED(code) && WEXITSTATUS(code) == 0) return NS_OK;
    char line[600];
    snprintf(line, sizeof line, "%s", last_line(texts[1].bytes));
    ns_line_clean(line);
    return ns_fail(NS_EINVAL, "%s", line);
}

ns_status ns_ask(char **answer, const char *const *words, int limit_s)
{
    *answer = NULL;
    text texts[2] = {{0}, {0}}, block = {0};
    char **list = environment(&block);
    ns_status status = list == NULL || !add(&texts[0], "", 0) ? ns_fail(NS_ENOMEM, "no memory to ask '%s'", words[0]) : NS_OK;
    if (status == NS_OK) status = converse(texts, words, list, limit_s);
    if (status == NS_OK) {
        char *t = texts[0].bytes;
        size_t n = strlen(t);
        if (n > 0 && t[n - 1] == '\n') t[n - 1] = '\0';
        *answer = t;
        texts[0].bytes = NULL;
    }
    free(list);
    free(block.bytes);
    for (int i = 0; i < 2; i++) free(texts[i].bytes);
    return status;
}
