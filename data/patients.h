#ifndef NIGHTSHIFT_DATA_PATIENTS_H
#define NIGHTSHIFT_DATA_PATIENTS_H
/* Questions about ids and groups over all ranks, answered by sending each hash to the rank that owns it. */
#include <mpi.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/hash.h"

/*
 * How many different patients each cell (a level, a subgroup) has.
 *   patient  in   [n] hash of the group; {0, 0}: a patient of its own
 *   cell     in   [n] 0 <= cell < n_cells, or -1: in none
 *   count    out  [n_cells] the same on every rank
 * Collective. NS_ENOMEM.
 */
ns_status ns_count_patients(const ns_hash128 *patient, const int32_t *cell, int64_t n, int64_t n_cells, int64_t *count,
                            MPI_Comm comm);

/*
 * The most rows that any one patient has, over all ranks; at least 1.
 * Collective. NS_ENOMEM.
 */
ns_status ns_max_rows_per_patient(const ns_hash128 *patient, int64_t n, int64_t *most, MPI_Comm comm);

/*
 * The lowest value that any row of each row's patient carries (the earliest part that the patient is in).
 *   value       in   [n] 0: the row takes no part, its answer is 0
 *   lowest      out  [n] a row without a patient has its own value; not value itself
 *   n_patients  out  patients with more than one value, over all ranks
 * Collective. NS_ENOMEM.
 */
ns_status ns_lowest_of_patient(const ns_hash128 *patient, const uint8_t *value, int64_t n, uint8_t *lowest, int64_t *n_patients,
                               MPI_Comm comm);

/*
 * Finds a patient whose rows carry more than one value (a split column that puts one patient in two parts).
 *   n_patients  out  patients with more than one value
 * Collective. NS_ENOMEM.
 */
ns_status ns_count_torn_patients(const ns_hash128 *patient, const int32_t *value, int64_t n, int64_t *n_patients, MPI_Comm comm);
#endif
