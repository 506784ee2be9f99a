#include "data/safetensors.h"

/* A file is checked wholly when it is parsed: every tensor lies inside the data, on a multiple of its element
 * size, and together they cover the data once. Afterwards get only looks names up. */

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, LENGTH_BYTES = 8, MOST_DIMS = 8 };
static const uint64_t MOST_HEADER_BYTES = 100000000; /* what the Python reader accepts */
static const char METADATA[] = "__metadata__";

static const struct {
    const char *name;
    size_t n_bytes;
} dtypes[] = {
    [NS_F64] = {"F64", 8}, [NS_I64] = {"I64", 8}, [NS_F32] = {"F32", 4}, [NS_I32] = {"I32", 4},
    [NS_U32] = {"U32", 4}, [NS_U16] = {"U16", 2}, [NS_U8] = {"U8", 1},
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* --- building --- */

static size_t tensor_bytes(const ns_tensor *tensor)
{
    assert(tensor->n_dims >= 0 && tensor->n_dims <= 2);
    size_t n = dtypes[tensor->dtype].n_bytes;
    for (int32_t i = 0; i < tensor->n_dims; i++) n *= (size_t)tensor->shape[i];
    return n;
}

/* Puts value under key and takes it over. A key that is there already or is not UTF-8 is the caller's input.
 */
static ns_status put(json_t *object, const char *key, json_t *value)
{
    if (value == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of a model file");
    bool twice = json_object_get(object, key) != NULL;
    if (!twice && json_object_set_new(object, key, value) == 0) return NS_OK;
    if (twice) json_decref(value);
    return ns_fail(NS_EINVAL, "a model file cannot hold the name '%.60s': it is %s", key,
                   twice ? "there twice" : "not UTF-8");
}

static ns_status put_metadata(json_t *header, const char *const *metadata, int32_t n_metadata)
{
    if (n_metadata == 0) return NS_OK;
    json_t *object = json_object();
    NS_TRY(put(header, METADATA, object));
    for (int32_t i = 0; i < n_metadata; i++) {
        json_t *value = json_string(metadata[2 * i + 1]);
        if (value == NULL)
            return ns_fail(NS_EINVAL, "a model file cannot hold the value of '%.60s': it is not UTF-8",
                           metadata[2 * i]);
        NS_TRY(put(object, metadata[2 * i], value));
    }
    return NS_OK;
}

static ns_status put_tensor(json_t *header, const ns_tensor *tensor, size_t begin, size_t end)
{
    json_t *shape = json_array();
    for (int32_t i = 0; i < tensor->n_dims; i++) json_array_append_new(shape, json_integer(tensor->shape[i]));
    return put(header, tensor->name,
               json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                         "data_offsets", (json_int_t)begin, (json_int_t)end));
}

/* Tensors in file order: larger elements first, otherwise as given. */
static void lay_out(const ns_tensor **order, const ns_tensor *tensors, int32_t n)
{
    int32_t at = 0;
    for (size_t size = 8; size >= 1; size /= 2)
        for (int32_t i = 0; i < n; i++)
            if (dtypes[tensors[i].dtype].n_bytes == size) order[at++] = &tensors[i];
    assert(at == n);
}

/* The header's text; *n_data the bytes of all tensors. */
static ns_status write_header(char **out, size_t *n_data, const char *const *metadata, int32_t n_metadata,
                              const ns_tensor *const *order, int32_t n_tensors)
{
    json_t *header = json_object();
    *out = NULL;
    *n_data = 0;
    if (header == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of a model file");
    ns_status status = put_metadata(header, metadata, n_metadata);
    for (int32_t i = 0; i < n_tensors && status == NS_OK; i++) {
        size_t n_bytes = tensor_bytes(order[i]);
        status = put_tensor(header, order[i], *n_data, *n_data + n_bytes);
        *n_data += n_bytes;
    }
    if (status == NS_OK) {
        *out = json_dumps(header, JSON_COMPACT);
        if (*out == NULL) status = ns_fail(NS_ENOMEM, "no memory for the header of a model file");
    }
    json_decref(header);
    return status;
}

/* Elements of size bytes to little-endian, which they are already on every machine that this runs on today.
 */
static void copy_elements(uint8_t *to, const void *from, size_t n_bytes, size_t size)
{
    const uint16_t one = 1;
    uint8_t low;
    memcpy(&low, &one, 1);
    if (n_bytes > 0) memcpy(to, from, n_bytes);
    if (low == 1) return;
    for (size_t at = 0; at < n_bytes; at += size)
        for (size_t i = 0; i < size / 2; i++) {
            uint8_t byte = to[at + i];
            to[at + i] = to[at + size - 1 - i];
            to[at + size - 1 - i] = byte;
        }
}

ns_status ns_safetensors_build(uint8_t **out, size_t *n_bytes, const char *const *metadata,
                               int32_t n_metadata, const ns_tensor *tensors, int32_t n_tensors)
{
    const ns_tensor **order = malloc(((size_t)n_tensors + 1) * sizeof *order);
    uint8_t *file = NULL;
    char *text = NULL;
    size_t n_data = 0;
    *out = NULL;
    *n_bytes = 0;
    if (order == NULL) return ns_fail(NS_ENOMEM, "no memory for a model file");
    lay_out(order, tensors, n_tensors);
    ns_status status = write_header(&text, &n_data, metadata, n_metadata, order, n_tensors);
    if (status != NS_OK) goto done;
    size_t n_text = strlen(text), n_front = (LENGTH_BYTES + n_text + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    file = malloc(n_front + n_data);
    if (file == NULL) {
        status = ns_fail(NS_ENOMEM, "no memory for a model file of %zu bytes", n_front + n_data);
        goto done;
    }
    for (int i = 0; i < LENGTH_BYTES; i++) file[i] = (uint8_t)((uint64_t)(n_front - LENGTH_BYTES) >> 8 * i);
    memcpy(file + LENGTH_BYTES, text, n_text);
    memset(file + LENGTH_BYTES + n_text, ' ', n_front - LENGTH_BYTES - n_text);
    size_t at = n_front;
    for (int32_t i = 0; i < n_tensors; i++) {
        size_t n = tensor_bytes(order[i]);
        copy_elements(file + at, order[i]->data, n, dtypes[order[i]->dtype].n_bytes);
        at += n;
    }
    *out = file;
    *n_bytes = at;
done:
    free(text);
    free(order);
    return status;
}

/* --- parsing --- */

typedef struct entry {
    const char *name; /* in the header */
    ns_dtype dtype;
    int64_t n_elements;
    size_t begin, end;
} entry;

struct ns_safetensors {
    char *name;
    json_t *header;
    entry *entries; /* [n_entries] by begin, end */
    size_t n_entries;
    uint8_t *data; /* [n_data], on a multiple of 64 */
    size_t n_data;
};

static ns_status wrong(const ns_safetensors *file, const char *what)
{
    return ns_fail(NS_EVERIFY, "'%s' is not a whole safetensors file: %s", file->name, what);
}

static ns_status no_memory(const ns_safetensors *file)
{
    return ns_fail(NS_ENOMEM, "no memory to read '%s'", file->name);
}

/* A whole number that is not negative. */
static bool read_count(const json_t *value, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (int64_t)json_integer_value(value);
    return true;
}

static bool read_dtype(const json_t *value, ns_dtype *out)
{
    const char *name = json_string_value(value);
    for (int i = 0; name != NULL && i < (int)N_DTYPES; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (ns_dtype)i;
            return true;
        }
    return false;
}

static ns_status read_shape(const ns_safetensors *file, const json_t *shape, int64_t *n_elements)
{
    if (!json_is_array(shape) || json_array_size(shape) > MOST_DIMS)
        return wrong(file, "a tensor without a shape");
    *n_elements = 1;
    bool empty = false;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        int64_t length;
        if (!read_count(json_array_get(shape, i), &length))
            return wrong(file, "a shape that is not whole numbers");
        if (length == 0)
            empty = true;
        else if (*n_elements > INT64_MAX / 8 / length)
            return wrong(file, "a shape beyond any memory");
        else
            *n_elements *= length;
    }
    if (empty) *n_elements = 0;
    return NS_OK;
}

static ns_status read_entry(const ns_safetensors *file, entry *out, const char *name, const json_t *value)
{
    const json_t *offsets = json_object_get(value, "data_offsets");
    int64_t begin, end;
    out->name = name;
    if (!json_is_object(value) || json_object_size(value) != 3)
        return wrong(file, "a tensor that is not dtype, shape and data_offsets");
    if (!read_dtype(json_object_get(value, "dtype"), &out->dtype))
        return wrong(file, "a tensor of a type other than F64, I64, F32, I32, U32, U16 and U8");
    NS_TRY(read_shape(file, json_object_get(value, "shape"), &out->n_elements));
    if (json_array_size(offsets) != 2 || !read_count(json_array_get(offsets, 0), &begin) ||
        !read_count(json_array_get(offsets, 1), &end))
        return wrong(file, "data_offsets that are not two whole numbers");
    if (begin > end || (uint64_t)end > file->n_data) return wrong(file, "a tensor outside the data");
    out->begin = (size_t)begin;
    out->end = (size_t)end;
    size_t size = dtypes[out->dtype].n_bytes;
    if (out->end - out->begin != (size_t)out->n_elements * size)
        return wrong(file, "a tensor whose size is not that of its shape");
    if (out->begin % size != 0) return wrong(file, "a tensor that is not aligned to its element size");
    return NS_OK;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static ns_status read_entries(ns_safetensors *file)
{
    if (!json_is_object(file->header)) return wrong(file, "its header is not a JSON object");
    file->entries = malloc((json_object_size(file->header) + 1) * sizeof *file->entries);
    if (file->entries == NULL) return no_memory(file);
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, METADATA) != 0)
            NS_TRY(read_entry(file, &file->entries[file->n_entries++], name, value));
    }
    qsort(file->entries, file->n_entries, sizeof *file->entries, by_place);
    size_t covered = 0;
    for (size_t i = 0; i < file->n_entries; i++) {
        if (file->entries[i].begin != covered) return wrong(file, "tensors that overlap or leave a hole");
        covered = file->entries[i].end;
    }
    return covered == file->n_data ? NS_OK : wrong(file, "data behind the last tensor");
}

static ns_status read_metadata(const ns_safetensors *file)
{
    json_t *metadata = json_object_get(file->header, METADATA), *value;
    const char *key;
    if (metadata == NULL) return NS_OK;
    if (!json_is_object(metadata)) return wrong(file, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) return wrong(file, "__metadata__ holds something other than texts");
    }
    return NS_OK;
}

static ns_status copy_data(ns_safetensors *file, const uint8_t *bytes)
{
    size_t room = (file->n_data / ALIGNMENT + 1) * ALIGNMENT;
    file->data = aligned_alloc(ALIGNMENT, room);
    if (file->data == NULL) return no_memory(file);
    for (size_t i = 0; i < file->n_entries; i++) {
        const entry *it = &file->entries[i];
        copy_elements(file->data + it->begin, bytes + it->begin, it->end - it->begin,
                      dtypes[it->dtype].n_bytes);
    }
    return NS_OK;
}

static ns_status parse(ns_safetensors *file, const uint8_t *bytes, size_t n_bytes)
{
    uint64_t n_header = 0;
    if (n_bytes < LENGTH_BYTES) return wrong(file, "it is shorter than 8 bytes");
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) n_header = n_header << 8 | bytes[i];
    if (n_header > n_bytes - LENGTH_BYTES || n_header > MOST_HEADER_BYTES)
        return wrong(file, "its header is longer than the file");
    const char *text = (const char *)bytes + LENGTH_BYTES;
    json_error_t error;
    if (n_header == 0 || text[0] != '{') return wrong(file, "its header is not a JSON object");
    file->header = json_loadb(text, (size_t)n_header, JSON_REJECT_DUPLICATES, &error);
    if (file->header == NULL && json_error_code(&error) == json_error_out_of_memory) return no_memory(file);
    if (file->header == NULL) return wrong(file, "its header is not JSON, or names something twice");
    file->n_data = n_bytes - LENGTH_BYTES - (size_t)n_header;
    NS_TRY(read_entries(file));
    NS_TRY(read_metadata(file));
    return copy_data(file, bytes + (n_bytes - file->n_data));
}

ns_status ns_safetensors_parse(ns_safetensors **out, const uint8_t *bytes, size_t n_bytes, const char *name)
{
    *out = NULL;
    ns_safetensors *file = calloc(1, sizeof *file);
    if (file != NULL) file->name = strdup(name);
    ns_status status = file == NULL || file->name == NULL ? ns_fail(NS_ENOMEM, "no memory to read '%s'", name)
                                                          : parse(file, bytes, n_bytes);
    if (status == NS_OK)
        *out = file;
    else
        ns_safetensors_close(&file);
    return status;
}

void ns_safetensors_close(ns_safetensors **file)
{
    ns_safetensors *it = *file;
    if (it == NULL) return;
    json_decref(it->header);
    free(it->entries);
    free(it->data);
    free(it->name);
    free(it);
    *file = NULL;
}

const char *ns_safetensors_metadata(const ns_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

ns_status ns_safetensors_get(const ns_safetensors *file, const char *name, ns_dtype dtype,
                             int64_t want_elements, const void **data, int64_t *n_elements)
{
    *data = NULL;
    for (size_t i = 0; i < file->n_entries; i++) {
        const entry *it = &file->entries[i];
        if (strcmp(it->name, name) != 0) continue;
        if (it->dtype != dtype)
            return ns_fail(NS_EVERIFY, "'%s': tensor '%s' is %s, not %s", file->name, name,
                           dtypes[it->dtype].name, dtypes[dtype].name);
        if (want_elements >= 0 && it->n_elements != want_elements)
            return ns_fail(NS_EVERIFY, "'%s': tensor '%s' has %" PRId64 " elements, not %" PRId64, file->name,
                           name, it->n_elements, want_elements);
        *data = file->data + it->begin;
        if (n_elements != NULL) *n_elements = it->n_elements;
        return NS_OK;
    }
    return ns_fail(NS_EVERIFY, "'%s' has no tensor '%s'", file->name, name);
}
