#ifndef NIGHTSHIFT_DATA_SAFETENSORS_H
#define NIGHTSHIFT_DATA_SAFETENSORS_H
/*
 * The safetensors format: 8 bytes little-endian length of a JSON header, the header padded with spaces so that data begin
 * at a multiple of 64, then raw little-endian tensors without holes. Tensors are laid out in the order given, larger
 * element types first so that each is aligned to its own size. One buffer, one write.
 */
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_dtype { NS_F64, NS_I64, NS_F32, NS_I32, NS_U32, NS_U16, NS_U8 } ns_dtype;

typedef struct ns_tensor {
    const char *name;
    ns_dtype dtype;
    int32_t n_dims;
    int64_t shape[2];
    const void *data; /* borrowed */
} ns_tensor;

/*
 * One buffer holding the whole file. Freed by the caller.
 *   metadata  in  [2 * n_metadata] key, value, key, value … in the order they shall stand ("__metadata__")
 * Fails with NS_ENOMEM, or NS_EINVAL: a name twice, or a name or value that is not UTF-8. Tensors are sorted by descending
 * element size, stably; this order is part of the bytes.
 */
ns_status ns_safetensors_build(uint8_t **out, size_t *n_bytes, const char *const *metadata, int32_t n_metadata,
                               const ns_tensor *tensors, int32_t n_tensors);

typedef struct ns_safetensors ns_safetensors;

/* Reads a file from memory; bytes are copied into aligned memory. name appears in messages. Files of other writers are read
   too: any order of tensors, up to 8 dimensions. NS_EVERIFY where it is not one (bad length, not JSON, a key twice, another
   element type, offsets outside, overlaps, holes, wrong sizes, not aligned to the element size), NS_ENOMEM. */
ns_status ns_safetensors_parse(ns_safetensors **out, const uint8_t *bytes, size_t n_bytes, const char *name);
void ns_safetensors_close(ns_safetensors **file);

/* NULL where absent. Borrowed until close. */
const char *ns_safetensors_metadata(const ns_safetensors *file, const char *key);

/* A tensor of that name, type and number of elements (-1: any); *n_elements may be NULL. NS_EVERIFY where absent or different. */
ns_status ns_safetensors_get(const ns_safetensors *file, const char *name, ns_dtype dtype, int64_t want_elements,
                             const void **data, int64_t *n_elements);
#endif
