#ifndef NIGHTSHIFT_CLUSTER_STATUS_H
#define NIGHTSHIFT_CLUSTER_STATUS_H
/* What every function that can fail returns, and the one record of the last failure of this process. */

typedef enum ns_status {
    NS_OK = 0,
    NS_EINVAL,       /* exit 2: command line, environment, job file, site or this machine forbid it */
    NS_EUNAVAILABLE, /* exit 2: asked for something this machine has not */
    NS_ENOMEM,       /* exit 1 */
    NS_EIO,          /* exit 1: write error, disk full */
    NS_EDEVICE,      /* exit 1: GPU lost */
    NS_EFORMAT,      /* exit 3: what only a look into a cohort or CSV can tell */
    NS_ENUMERIC,     /* exit 3: values of a cohort that no arithmetic can use */
    NS_EHELD,        /* exit 4: a gate failed, outputs are held */
    NS_EVERIFY,      /* exit 5: altered bundle, gold scores differ */
    NS_ESTOPPED,     /* exit 75: stopped on request, run me again */
    NS_ESTUCK        /* exit 76: a rank was stuck or lost, run me again */
} ns_status;

typedef struct ns_error {
    ns_status code;
    int rank; /* the rank that failed first, -1 before ranks agreed on it */
    char message[1500];
} ns_error;

/*
 * Words a failure where it is found: one line, no "Error:", no value of a patient's row.
 * Safe from several threads: the first failure stays until ns_error_clear. Returns code.
 */
ns_status ns_fail(ns_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The record of this process. Local; never NULL. */
ns_error *ns_last_error(void);

/* Forgets the last failure: for callers that handled it and go on. */
void ns_error_clear(void);

/* The program's exit code for a status: 0, 1, 2, 3, 4, 5, 75 or 76. */
int ns_exit_code(ns_status status);

/* Returns at once on failure; only where nothing is held (style: section 5). */
#define NS_TRY(call)                                                                                         \
    do {                                                                                                     \
        ns_status ns_try_status = (call);                                                                    \
        if (ns_try_status != NS_OK) return ns_try_status;                                                    \
    } while (0)

#endif
