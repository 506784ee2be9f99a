#ifndef NIGHTSHIFT_TESTS_JOBS_SOURCES_H
#define NIGHTSHIFT_TESTS_JOBS_SOURCES_H
/* Sources of a job as the tests of jobs/ write them: one job text, at most one site text and a few --set. */
#include "jobs/job.h"

static inline ns_job_sources sources_of(const char *job_text, const char *site_text, const char *const *sets,
                                        int32_t n_sets)
{
    return (ns_job_sources){.job_path = "readmission.yaml",
                            .job_text = job_text,
                            .job_folder = "/jobs",
                            .site_path = "site.yaml",
                            .site_text = site_text,
                            .site_folder = "/etc/nightshift",
                            .working_folder = "/home/ada",
                            .sets = sets,
                            .n_sets = n_sets};
}
#endif
