#ifndef NIGHTSHIFT_CLUSTER_CODE_FILE_H
#define NIGHTSHIFT_CLUSTER_CODE_FILE_H
/* The exit code of a run, left where the batch script around it looks (cluster/slurm.h): launchers tell of the ranks that they
   killed rather than of the code that all ranks agreed on. */

/* The set variable that names the file. */
#define NS_CODE_FILE_VARIABLE "NIGHTSHIFT_CODE_FILE"

/*
 * Leaves the code in the file that the variable names, replacing what it holds; does nothing where it is unset or the file cannot be
 * written: then the launcher's code stands. Local; at the end of a run rank 0 calls it, and a rank that ends a stuck run.
 */
void ns_code_file_write(int code);
#endif
