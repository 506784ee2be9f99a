#include "runner/version.h"

#include <hdf5.h>
#include <jansson.h>
#include <mpi.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "kernels/device.h"
#include "kernels/numerics.h"
#include "runner/context.h"

const char *ns_program_version(void)
{
    return NS_VERSION;
}

/* "Open MPI v4.1.4, …" to its first comma, one line. May be called before MPI_Init. */
static void mpi_version(char *out, size_t size)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n")] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\t') *c = ' ';
    snprintf(out, size, "%.100s", text);
}

/* A reason without the "device cuda: " that it begins with. */
static const char *without_name(const char *message)
{
    static const char name[] = "device cuda: ";
    return strncmp(message, name, sizeof name - 1) == 0 ? message + sizeof name - 1 : message;
}

char *ns_version_text(bool json)
{
    unsigned major, minor, release;
    H5get_libversion(&major, &minor, &release);
    char hdf5[32], mpi[128], cpu[32] = "none";
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
    mpi_version(mpi, sizeof mpi);
    ns_link alone = ns_link_alone();
    ns_device *device = NULL;
    if (ns_device_open(&device, "cpu", 1, &alone) == NS_OK) snprintf(cpu, sizeof cpu, "%s", device->level);
    ns_device_close(&device);
    ns_error_clear();
    char gpu[256], why[256] = "";
    bool has_gpu = ns_device_look_for_cuda(gpu, sizeof gpu) == NS_OK;
    if (!has_gpu) snprintf(why, sizeof why, "%.255s", without_name(ns_last_error()->message));
    ns_error_clear();

    if (json) {
        json_t *out = json_pack("{s:s, s:s, s:i, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s}", "verb", "version", "version", NS_VERSION,
                                "numerics_version", NS_NUMERICS_VERSION, "cpu", cpu, "cuda", (int)has_gpu, "gpu", has_gpu ? gpu : why, "hdf5", hdf5, "mpi", mpi,
                                "libyaml", yaml_get_version_string(), "jansson", jansson_version_str(), "libsodium",
                                sodium_version_string());
        char *body = json_dumps(out, JSON_COMPACT), *text = NULL;
        json_decref(out);
        if (body != NULL && (text = malloc(strlen(body) + 2)) != NULL) sprintf(text, "%s\n", body);
        free(body);
        return text;
    }
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return NULL;
    fprintf(to,
            "nightshift %s, numerics version %d\n"
            "backends   cpu (%s); cuda (%s%s)\n"
            "libraries  HDF5 %s, %s, libyaml %s, jansson %s, libsodium %s\n",
            NS_VERSION, NS_NUMERICS_VERSION, cpu, has_gpu ? "" : "none: ", has_gpu ? gpu : why, hdf5, mpi, yaml_get_version_string(), jansson_version_str(),
            sodium_version_string());
    fclose(to);
    return text;
}
