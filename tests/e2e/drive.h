#ifndef NIGHTSHIFT_TESTS_E2E_DRIVE_H
#define NIGHTSHIFT_TESTS_E2E_DRIVE_H
/*
 * Driving the built program as its users do: folders of their own, commands with their output and exit code, hashes of
 * what they leave. Everything is done in a fresh folder below $TMPDIR that is removed unless NIGHTSHIFT_KEEP is set.
 * All of these stop the test with a message where they cannot do what they are for.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The program under test: NIGHTSHIFT_PROGRAM, else the one that CMake built. */
const char *drive_program(void);

/* Makes a fresh folder and changes into it; its path. drive_leave goes back and removes it. */
const char *drive_enter(const char *name);
void drive_leave(void);

typedef struct drive_result {
    int code;         /* exit code, or 128 + signal */
    char *out, *err;  /* what it wrote; freed by drive_free */
    bool timed_out;   /* it had to be killed */
} drive_result;

/* Runs a shell command in the current folder, with the environment that MPI needs. Killed after limit_s seconds. */
drive_result drive_shell(int limit_s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Runs `nightshift WORDS`; n_ranks 0: the bare program; else under `nightshift run -n N`. words go through the shell.
 * A run of more than 120 seconds fails the test.
 */
drive_result drive_ranks(int n_ranks, const char *format, ...) __attribute__((format(printf, 2, 3)));
void drive_free(drive_result *result);

/* Runs as above and requires exit code 0; frees the result. */
void drive_must(int n_ranks, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last line of err that begins with "nightshift:", without its newline; "" where there is none. How many there are. */
const char *drive_error_line(const drive_result *result, int *n_lines);

/* Starts `nightshift WORDS` without waiting; its process id, leader of its own process group. */
pid_t drive_start(int n_ranks, const char *words);
/* Waits for it, at most limit_s seconds, then kills the whole group: exit code or 128 + signal. */
int drive_wait(pid_t pid, int limit_s);
/* Process ids of the program's ranks among the descendants of pid; how many. */
int drive_ranks_of(pid_t pid, pid_t *ranks, int most);
/* The parent of a process; 0 where the process is gone. */
pid_t drive_parent_of(pid_t pid);

/* Waits until a file exists and holds text (NULL: just exists), at most limit_s seconds; false where it never did. */
bool drive_wait_for(const char *path, const char *text, int limit_s);

void drive_write(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *drive_read(const char *path); /* freed by the caller; NULL where it is not there */

/* SHA-256 hex of a file, or of the sorted list "name hash" of all files below a folder; "absent" where nothing is there. */
void drive_hash(char hex[65], const char *path);
bool drive_same(const char *path_a, const char *path_b);

/* Removes a file or a whole folder; what is not there is no error. */
void drive_remove(const char *path);
/* Replaces the first place where a text stands in a file. */
void drive_edit(const char *path, const char *from, const char *to);

/* A job file for a cohort of `synth`: label readmitted, id and group; `more` is appended as it is. */
void drive_job(const char *path, const char *name, const char *cohort, const char *more);
#endif
