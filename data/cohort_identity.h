#ifndef NIGHTSHIFT_DATA_COHORT_IDENTITY_H
#define NIGHTSHIFT_DATA_COHORT_IDENTITY_H
/* Which files a cohort was opened from, without a look into them. */
#include "data/cohort.h"

/*
 * BLAKE2b-256 over the files in their order: path, rows, size, times of the last write and of the last change, inode, device.
 * A file that was written to, replaced, moved or copied gives another digest; equal digests mean files that nobody touched.
 * Local. NS_EFORMAT where a file is gone or no longer what it was when the cohort was opened; NS_ENOMEM.
 */
ns_status ns_cohort_identity(const ns_cohort *cohort, uint8_t digest[32]);
#endif
