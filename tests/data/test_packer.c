/* Chunks packed past HDF5's filters are what HDF5's filters unpack, whatever the cells look like. */
#include <mpi.h>
#include <unistd.h>

#include "data/h5.h"
#include "data/packer.h"
#include "tests/check.h"

enum { ROWS = 150001, CHUNKS = 3 };

/* What the bytes of a cell are: NOISE draws them anew for each row. */
typedef enum byte_form { ZERO, NOISE, FEW, COUNT } byte_form;

typedef struct cells_case {
    const char *name;
    int64_t cell_bytes, chunk_rows;
    byte_form form[8]; /* from the lowest byte on */
    int deflate;
} cells_case;

static uint64_t state = 88172645463325252u;

static unsigned next_byte(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 40) & 255;
}

static void fill(unsigned char *cells, const cells_case *c, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t b = 0; b < c->cell_bytes; b++) {
            unsigned byte = c->form[b] == NOISE   ? next_byte()
                            : c->form[b] == FEW   ? next_byte() % 3
                            : c->form[b] == COUNT ? (unsigned)(i >> 8 * b) & 255
                                                  : 0;
            cells[i * c->cell_bytes + b] = (unsigned char)byte;
        }
}

static hid_t type_of(int64_t cell_bytes)
{
    return cell_bytes == 1 ? H5T_STD_U8LE : cell_bytes == 2 ? H5T_STD_U16LE : cell_bytes == 4 ? H5T_STD_U32LE : H5T_STD_U64LE;
}

/* Packs the cells in waves of CHUNKS chunks, reads them with H5Dread; the bytes that they take in the file. */
static int64_t round_trip(const char *path, const cells_case *c, const unsigned char *cells, int64_t n_rows)
{
    hid_t file = -1;
    hsize_t none = 0, most = H5S_UNLIMITED, chunk = (hsize_t)c->chunk_rows;
    CHECK_OK(ns_h5_create(&file, path, path));
    hid_t space = H5Screate_simple(1, &none, &most), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &chunk);
    if (c->deflate > 0) {
        H5Pset_shuffle(list);
        H5Pset_deflate(list, (unsigned)c->deflate);
    }
    hid_t set = H5Dcreate2(file, "x", type_of(c->cell_bytes), space, H5P_DEFAULT, list, H5P_DEFAULT);
    const ns_packer_layout layout = {c->cell_bytes, c->chunk_rows, 0, c->deflate};
    ns_packer_chunk chunks[CHUNKS] = {{0}};
    for (int64_t at = 0; at < n_rows;) {
        int n = 0;
        int64_t first = at;
        for (; n < CHUNKS && at < n_rows; n++) {
            int64_t rows = n_rows - at < c->chunk_rows ? n_rows - at : c->chunk_rows;
            CHECK_OK(ns_packer_room(&chunks[n], rows * c->cell_bytes));
            memcpy(chunks[n].raw, cells + at * c->cell_bytes, (size_t)(rows * c->cell_bytes));
            chunks[n].n_rows = rows;
            at += rows;
        }
        CHECK_OK(ns_packer_write(chunks, n, set, first, &layout, path));
    }
    for (int i = 0; i < CHUNKS; i++) ns_packer_destroy(&chunks[i]);
    int64_t stored = (int64_t)H5Dget_storage_size(set);
    H5Dclose(set);
    H5Fclose(file);
    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT); /* nothing is in HDF5's own cache of chunks now */
    set = H5Dopen2(file, "x", H5P_DEFAULT);
    unsigned char *again = malloc((size_t)(n_rows * c->cell_bytes));
    assert_true(H5Dread(set, type_of(c->cell_bytes), H5S_ALL, H5S_ALL, H5P_DEFAULT, again) >= 0);
    if (memcmp(again, cells, (size_t)(n_rows * c->cell_bytes)) != 0) fail_msg("%s: other cells come back", c->name);
    free(again);
    H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
    H5Fclose(file);
    unlink(path);
    return stored;
}

static void hdf5_unpacks_what_was_packed(void **test)
{
    (void)test;
    static const cells_case cases[] = {
        {"zeros", 4, 65536, {ZERO}, 1},
        {"noise", 4, 65536, {NOISE, NOISE, NOISE, NOISE}, 1},
        {"noise in the low bytes", 4, 65536, {NOISE, NOISE, FEW, ZERO}, 1},
        {"noise in three bytes", 4, 20000, {NOISE, NOISE, NOISE, ZERO}, 1},
        {"noise in the high bytes", 4, 65536, {FEW, ZERO, NOISE, NOISE}, 1},
        {"noise, chunks too short to look at", 4, 1000, {NOISE, NOISE, FEW, ZERO}, 1},
        {"counting", 8, 65536, {COUNT, COUNT, COUNT, COUNT}, 1},
        {"eight bytes, noise in the low ones", 8, 65536, {NOISE, NOISE, NOISE, COUNT, COUNT, FEW, ZERO, ZERO}, 1},
        {"two bytes", 2, 65536, {NOISE, FEW}, 1},
        {"one byte", 1, 65536, {FEW}, 1},
        {"one byte of noise", 1, 65536, {NOISE}, 1},
        {"level 6", 4, 65536, {NOISE, NOISE, FEW, ZERO}, 6},
        {"level 9, then another layout", 2, 40000, {NOISE, FEW}, 9},
        {"no filter", 4, 65536, {NOISE, NOISE, FEW, ZERO}, 0},
        {"one row a chunk", 8, 1, {COUNT, COUNT}, 1},
    };
    char path[] = "/tmp/nightshift-packer-XXXXXX";
    close(mkstemp(path));
    unsigned char *cells = malloc((size_t)ROWS * 8);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const cells_case *c = &cases[i];
        int64_t n_rows = c->chunk_rows == 1 ? 300 : ROWS, n_noise = 0, n_chunks = (n_rows + c->chunk_rows - 1) / c->chunk_rows;
        fill(cells, c, n_rows);
        int64_t stored = round_trip(path, c, cells, n_rows), padded = n_chunks * c->chunk_rows;
        for (int64_t b = 0; b < c->cell_bytes; b++) n_noise += c->form[b] == NOISE;
        /* noise as it is; two bits for one of three, less for what repeats: half a byte is ample for a byte that is no noise */
        int64_t most = padded * n_noise + padded * (c->cell_bytes - n_noise) / 2 + 64 * n_chunks;
        if (c->deflate > 0 && c->chunk_rows > 1 && stored > most)
            fail_msg("%s: %lld bytes, more than %lld", c->name, (long long)stored, (long long)most);
        if (stored > padded * c->cell_bytes) fail_msg("%s: longer than without a filter", c->name);
    }
    free(cells);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(hdf5_unpacks_what_was_packed)};
    MPI_Init(&argc, &argv);
    ns_h5_quiet();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
