/*
 * Each step either proves one thing about the data set or names what stands in the way. The list of chunks comes from the
 * file (data/chunk_tree.h), and is compared with what HDF5 says about their number and the first one; from HDF5 itself
 * where the file keeps another kind of index, as long as the chunks are few enough for its way of finding them.
 */
#include "data/chunks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/chunk_tree.h"

/* Up to here n^2 / 2 steps through HDF5's index cost less than reading the chunks. */
enum { MAX_LISTED_BY_HDF5 = 2048 };

static const char REPACK[] = "-f SHUF -f GZIP=1";

static const struct {
    const char *words, *cure;
} SLOW[NS_N_SLOW] = {
    [NS_SLOW_NONE] = {"nothing", ""},
    [NS_SLOW_ASKED] = {"NIGHTSHIFT_READ=hdf5", ""},
    [NS_SLOW_MATRIX] = {"a plain matrix, whose chunks hold several columns", ""},
    [NS_SLOW_UNDECODED] = {"a chunk that only HDF5 could read", REPACK},
    [NS_SLOW_UNWRITTEN] = {"cells that were never written, without a fill value", REPACK},
    [NS_SLOW_NUMBERS] = {"numbers of an unusual type", ""},
    [NS_SLOW_LAYOUT] = {"an unusual layout", REPACK},
    [NS_SLOW_INDEX] = {"very many chunks, listed in a way of newer versions of HDF5", REPACK},
    [NS_SLOW_SMALL] = {"very many very small chunks", REPACK},
    [NS_SLOW_LARGE] = {"chunks of more than 64 MiB", REPACK},
    [NS_SLOW_FILTER] = {"a filter other than shuffle, gzip and Fletcher-32", REPACK},
    [NS_SLOW_EXTERNAL] = {"cells that lie in other files (external storage)", REPACK},
    [NS_SLOW_VIRTUAL] = {"a view of other files (a virtual data set)", REPACK},
    [NS_SLOW_TEXTS] = {"strings of variable length", ""},
};

const char *ns_slow_words(ns_slow slow)
{
    return SLOW[slow].words;
}

const char *ns_slow_cure(ns_slow slow)
{
    return SLOW[slow].cure;
}

/* Notes what stands in the way. Returns false, so that a caller can leave with it. */
static bool refuse(ns_chunks *chunks, ns_slow slow)
{
    chunks->slow = slow;
    return false;
}

/* ---- the type ---- */

static bool is_half(hid_t type)
{
    size_t sign, exponent_at, exponent_bits, fraction_at, fraction_bits;
    return H5Tget_size(type) == 2 && H5Tget_precision(type) == 16 && H5Tget_offset(type) == 0 &&
           H5Tget_fields(type, &sign, &exponent_at, &exponent_bits, &fraction_at, &fraction_bits) >= 0 && sign == 15 &&
           exponent_at == 10 && exponent_bits == 5 && fraction_at == 0 && fraction_bits == 10 && H5Tget_ebias(type) == 15 &&
           H5Tget_norm(type) == H5T_NORM_IMPLIED;
}

static bool is_ieee(hid_t type)
{
    return H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0 || H5Tequal(type, H5T_IEEE_F64LE) > 0 ||
           H5Tequal(type, H5T_IEEE_F64BE) > 0 || is_half(type);
}

static bool describe_integer(ns_cell *cell, hid_t type)
{
    H5T_order_t order = H5Tget_order(type);
    cell->class = H5Tget_sign(type) == H5T_SGN_NONE ? NS_CELL_UNSIGNED : NS_CELL_SIGNED;
    cell->swapped = cell->n_bytes > 1 && order != H5Tget_order(H5T_NATIVE_INT);
    bool width = cell->n_bytes == 1 || cell->n_bytes == 2 || cell->n_bytes == 4 || cell->n_bytes == 8;
    return width && (order == H5T_ORDER_LE || order == H5T_ORDER_BE) && H5Tget_offset(type) == 0 &&
           H5Tget_precision(type) == 8 * cell->n_bytes;
}

static bool describe_cell(ns_chunks *chunks, hid_t type)
{
    ns_cell *cell = &chunks->cell;
    cell->n_bytes = H5Tget_size(type);
    bool plain = false;
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        plain = describe_integer(cell, type);
        break;
    case H5T_ENUM: {
        hid_t base = H5Tget_super(type);
        plain = base >= 0 && H5Tget_class(base) == H5T_INTEGER && describe_integer(cell, base);
        if (base >= 0) H5Tclose(base);
        break;
    }
    case H5T_FLOAT:
        cell->class = NS_CELL_FLOAT;
        cell->swapped = H5Tget_order(type) != H5Tget_order(H5T_NATIVE_INT);
        plain = is_ieee(type);
        break;
    case H5T_STRING:
        if (H5Tis_variable_str(type) != 0) return refuse(chunks, NS_SLOW_TEXTS);
        cell->class = NS_CELL_TEXT;
        cell->padding = H5Tget_strpad(type);
        plain = cell->n_bytes > 0;
        break;
    default:
        break;
    }
    return plain || refuse(chunks, NS_SLOW_NUMBERS);
}

/* ---- filters ---- */

static bool add_filter(ns_chunks *chunks, ns_filter_kind kind)
{
    ns_pipeline *pipeline = &chunks->pipeline;
    for (int i = 0; i < pipeline->n; i++)
        if (pipeline->filter[i] == kind && kind != NS_FILTER_FLETCHER32)
            return refuse(chunks, NS_SLOW_FILTER);
    pipeline->filter[pipeline->n++] = kind;
    return true;
}

static bool describe_filters(ns_chunks *chunks, hid_t list)
{
    int n = H5Pget_nfilters(list);
    if (n < 0 || n > NS_MAX_FILTERS) return refuse(chunks, NS_SLOW_FILTER);
    for (int i = 0; i < n; i++) {
        unsigned flags, config, values[20] = {0};
        size_t n_values = sizeof values / sizeof *values;
        H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &n_values, values, 0, NULL, &config);
        bool right;
        switch (id) {
        case H5Z_FILTER_DEFLATE:
            right = add_filter(chunks, NS_FILTER_DEFLATE);
            break;
        case H5Z_FILTER_SHUFFLE:
            right = add_filter(chunks, NS_FILTER_SHUFFLE);
            chunks->pipeline.shuffle_bytes = values[0];
            if (right && (n_values < 1 || values[0] == 0)) right = refuse(chunks, NS_SLOW_FILTER);
            break;
        case H5Z_FILTER_FLETCHER32:
            right = add_filter(chunks, NS_FILTER_FLETCHER32);
            break;
        default:
            right = refuse(chunks, NS_SLOW_FILTER);
        }
        if (!right) return false;
    }
    return true;
}

/* ---- where cells stand ---- */

static bool raw_file(ns_raw_file *raw, hid_t file, int descriptor)
{
    struct stat facts;
    hsize_t base = 0;
    size_t address_bytes = 0, length_bytes = 0;
    hid_t list = H5Fget_create_plist(file);
    bool right = list >= 0 && H5Pget_userblock(list, &base) >= 0 && H5Pget_sizes(list, &address_bytes, &length_bytes) >= 0 &&
                 address_bytes == 8 && length_bytes == 8;
    if (list >= 0) H5Pclose(list);
    if (!right || fstat(descriptor, &facts) != 0) return false;
    *raw = (ns_raw_file){.descriptor = descriptor, .base = base, .n_bytes = (uint64_t)facts.st_size};
    return true;
}

static bool header_address(hid_t dataset, uint64_t *out)
{
    H5O_info_t info;
    if (H5Oget_info2(dataset, &info, H5O_INFO_BASIC) < 0 || info.addr == HADDR_UNDEF) return false;
    *out = info.addr;
    return true;
}

/* The cells in one stretch: chunk[0] is all of them. */
static bool find_stretch(ns_chunks *chunks, hid_t dataset, const ns_raw_file *raw, H5D_layout_t layout)
{
    uint64_t header, n_cells = (uint64_t)chunks->n_rows, room = UINT64_MAX;
    ns_chunk *all = &chunks->chunk[0];
    if (n_cells > INT64_MAX / chunks->cell.n_bytes) return refuse(chunks, NS_SLOW_LAYOUT);
    if (layout == H5D_CONTIGUOUS) {
        haddr_t at = H5Dget_offset(dataset);
        if (at == HADDR_UNDEF) return true; /* never written */
        all->address = at;
        room = H5Dget_storage_size(dataset);
    } else if (!header_address(dataset, &header) || !ns_compact_find(raw, header, &all->address, &room)) {
        return refuse(chunks, NS_SLOW_LAYOUT);
    }
    uint64_t n_bytes = n_cells * chunks->cell.n_bytes;
    if (n_bytes > room || all->address > raw->n_bytes || n_bytes > raw->n_bytes - all->address)
        return refuse(chunks, NS_SLOW_LAYOUT);
    return true;
}

/* One chunk as HDF5 gives it, by its number in the order of HDF5's index. */
static bool ask_hdf5(hid_t dataset, hid_t space, hsize_t number, hsize_t *row, ns_chunk *out)
{
    unsigned mask = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t n_bytes = 0;
    if (H5Dget_chunk_info(dataset, space, number, row, &mask, &address, &n_bytes) < 0 || address == HADDR_UNDEF ||
        n_bytes > UINT32_MAX)
        return false;
    *out = (ns_chunk){.address = address, .n_bytes = (uint32_t)n_bytes, .mask = mask};
    return true;
}

static ns_chunk *place_of(const ns_chunks *chunks, hsize_t row)
{
    hsize_t number = row / (hsize_t)chunks->chunk_rows;
    return number < (hsize_t)chunks->n_chunks ? &chunks->chunk[number] : NULL;
}

/* What the file says against what HDF5 says of the number of chunks and of the first. */
static bool tree_agrees(const ns_chunks *chunks, hid_t dataset, hid_t space, const ns_raw_file *raw, int64_t n_found)
{
    hsize_t n = 0, row = 0;
    ns_chunk first;
    if (H5Dget_num_chunks(dataset, space, &n) < 0 || (int64_t)n != n_found) return false;
    if (n == 0) return true;
    if (!ask_hdf5(dataset, space, 0, &row, &first)) return false;
    const ns_chunk *mine = place_of(chunks, row);
    /* Whether the user block is in the address differs between versions of HDF5. */
    return mine != NULL && mine->n_bytes == first.n_bytes && mine->mask == first.mask &&
           (mine->address == first.address || mine->address == first.address + raw->base);
}

static void forget_places(ns_chunks *chunks)
{
    for (int64_t i = 0; i < chunks->n_chunks; i++) chunks->chunk[i] = (ns_chunk){.address = NS_CHUNK_ABSENT};
}

static bool list_by_hdf5(ns_chunks *chunks, hid_t dataset, hid_t space, const ns_raw_file *raw)
{
    hsize_t n = 0, row = 0;
    if (raw->base != 0 || H5Dget_num_chunks(dataset, space, &n) < 0 || n > MAX_LISTED_BY_HDF5) return false;
    for (hsize_t i = 0; i < n; i++) {
        ns_chunk found;
        if (!ask_hdf5(dataset, space, i, &row, &found)) return false;
        ns_chunk *place = place_of(chunks, row);
        if (place == NULL || place->address != NS_CHUNK_ABSENT || found.address > raw->n_bytes ||
            found.n_bytes > raw->n_bytes - found.address)
            return false;
        *place = found;
    }
    return true;
}

static bool find_chunks(ns_chunks *chunks, hid_t dataset, hid_t space, const ns_raw_file *raw)
{
    uint64_t header;
    int64_t n_found;
    forget_places(chunks);
    if (header_address(dataset, &header) && ns_chunk_tree_read(chunks, raw, header, &n_found) &&
        tree_agrees(chunks, dataset, space, raw, n_found))
        return true;
    forget_places(chunks);
    return list_by_hdf5(chunks, dataset, space, raw) || refuse(chunks, NS_SLOW_INDEX);
}

/* ---- the whole ---- */

static bool describe_shape(ns_chunks *chunks, hid_t space, hid_t list, H5D_layout_t layout)
{
    hsize_t n_rows = 0, rows = 0;
    unsigned options = 0;
    if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, &n_rows, NULL) < 0 || n_rows > INT64_MAX)
        return refuse(chunks, NS_SLOW_LAYOUT);
    chunks->n_rows = (int64_t)n_rows;
    chunks->contiguous = layout != H5D_CHUNKED;
    chunks->n_chunks = 1;
    chunks->chunk_rows = chunks->n_rows;
    if (chunks->contiguous) return true;
    if (H5Pget_chunk(list, 1, &rows) != 1 || rows == 0 || H5Pget_chunk_opts(list, &options) < 0 || options != 0)
        return refuse(chunks, NS_SLOW_LAYOUT);
    if (rows > NS_MAX_CHUNK_BYTES / chunks->cell.n_bytes) return refuse(chunks, NS_SLOW_LARGE);
    chunks->chunk_rows = (int64_t)rows;
    chunks->chunk_bytes = (size_t)rows * chunks->cell.n_bytes;
    chunks->n_chunks = (int64_t)((n_rows + rows - 1) / rows);
    return chunks->n_chunks <= NS_MAX_CHUNKS || refuse(chunks, NS_SLOW_SMALL);
}

/* The fill value, where there are cells that nobody wrote. */
static bool describe_fill(ns_chunks *chunks, hid_t list, hid_t type)
{
    bool absent = false;
    for (int64_t i = 0; i < chunks->n_chunks && !absent; i++) absent = chunks->chunk[i].address == NS_CHUNK_ABSENT;
    H5D_fill_value_t state;
    H5D_fill_time_t when;
    if (!absent) return true;
    if (H5Pfill_value_defined(list, &state) < 0 || H5Pget_fill_time(list, &when) < 0 || state == H5D_FILL_VALUE_UNDEFINED ||
        when == H5D_FILL_TIME_NEVER || H5Pget_fill_value(list, type, chunks->fill) < 0)
        return refuse(chunks, NS_SLOW_UNWRITTEN);
    return true;
}

static ns_status describe(ns_chunks *chunks, hid_t file, hid_t dataset, hid_t type, hid_t space, hid_t list, int descriptor)
{
    ns_raw_file raw;
    H5D_layout_t layout = H5Pget_layout(list);
    chunks->cell.n_bytes = H5Tget_size(type); /* counted also where nothing else is known */
    if (layout == H5D_VIRTUAL) {
        refuse(chunks, NS_SLOW_VIRTUAL);
        return NS_OK;
    }
    if (H5Pget_external_count(list) != 0) {
        refuse(chunks, NS_SLOW_EXTERNAL);
        return NS_OK;
    }
    if (!describe_cell(chunks, type) || !describe_shape(chunks, space, list, layout)) return NS_OK;
    if (!raw_file(&raw, file, descriptor)) {
        refuse(chunks, NS_SLOW_LAYOUT);
        return NS_OK;
    }
    if (!chunks->contiguous && !describe_filters(chunks, list)) return NS_OK;
    chunks->chunk = malloc(((size_t)chunks->n_chunks + 1) * sizeof *chunks->chunk);
    chunks->fill = calloc(chunks->cell.n_bytes, 1);
    if (chunks->chunk == NULL || chunks->fill == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the places of %lld chunks", (long long)chunks->n_chunks);
    chunks->chunk[0] = (ns_chunk){.address = NS_CHUNK_ABSENT};
    bool found = chunks->contiguous ? find_stretch(chunks, dataset, &raw, layout) : find_chunks(chunks, dataset, space, &raw);
    chunks->simple = found && describe_fill(chunks, list, type);
    return NS_OK;
}

ns_status ns_chunks_create(ns_chunks **out, hid_t file, hid_t dataset, int descriptor)
{
    ns_chunks *chunks = calloc(1, sizeof *chunks);
    *out = NULL;
    if (chunks == NULL) return ns_fail(NS_ENOMEM, "no memory for the places of chunks");
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset), list = H5Dget_create_plist(dataset);
    ns_status status = NS_OK;
    if (type >= 0 && space >= 0 && list >= 0)
        status = describe(chunks, file, dataset, type, space, list, descriptor);
    else
        refuse(chunks, NS_SLOW_LAYOUT);
    if (list >= 0) H5Pclose(list);
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    H5Eclear2(H5E_DEFAULT);
    if (!chunks->simple) { /* the places are of no use */
        free(chunks->chunk);
        chunks->chunk = NULL;
    }
    if (status != NS_OK) ns_chunks_destroy(&chunks);
    *out = chunks;
    return status;
}

void ns_chunks_destroy(ns_chunks **handle)
{
    ns_chunks *chunks = *handle;
    if (chunks == NULL) return;
    free(chunks->chunk);
    free(chunks->fill);
    free(chunks);
    *handle = NULL;
}
