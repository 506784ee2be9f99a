/*
 * Only in builds with sanitizers, where it is compiled into every program. MPI libraries, HDF5 and OpenMP
 * keep memory to the end of the process; those leaks are known by the name of the library, so that a leak of
 * ours still fails a test. Names need the libraries' modules to stay loaded, so that dlclose does nothing
 * here.
 */
int dlclose(void *handle);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

const char *__lsan_default_suppressions(void)
{
    /* The functions are libc's: it has no frame pointers, so that the caller is lost. */
    return "leak:libmpi\nleak:libopen-pal\nleak:libopen-rte\nleak:mca_\nleak:libpmix\nleak:libhwloc\nleak:"
           "libevent\n"
           "leak:libuc\nleak:libfabric\nleak:libpsm\nleak:libibverbs\nleak:librdmacm\nleak:libnl-\nleak:"
           "libhdf5\n"
           "leak:libgomp\nleak:libomp\nleak:__vasprintf_internal\n";
}
