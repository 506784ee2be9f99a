#include "tests/check.h"

#include "data/safetensors.h"

static const double f64[3] = {1.5, -2.0, 3.25};
static const float f32[6] = {1, 2, 3, 4, 5, 6};
static const int32_t i32[2] = {-1, 7};
static const uint32_t u32[1] = {0xdeadbeef};
static const int64_t i64[1] = {-5};
static const uint16_t u16[3] = {1, 2, 65535};
static const uint8_t u8[5] = {1, 2, 3, 4, 5};
static const char *const metadata[] = {"format", "1", "name", "b\"\\\n\xc3\xa4", "a", ""};

static const ns_tensor tensors[] = {
    {"bytes", NS_U8, 1, {5, 0}, u8},    {"x", NS_F32, 2, {2, 3}, f32}, {"codes", NS_U16, 1, {3, 0}, u16},
    {"sums", NS_I64, 1, {1, 0}, i64},   {"n", NS_I32, 1, {2, 0}, i32}, {"empty", NS_F32, 2, {0, 4}, NULL},
    {"scalar", NS_U32, 0, {0, 0}, u32}, {"d", NS_F64, 1, {3, 0}, f64},
};
enum { N_TENSORS = sizeof tensors / sizeof tensors[0] };

static uint8_t *build(size_t *n_bytes)
{
    uint8_t *bytes = NULL;
    CHECK_OK(ns_safetensors_build(&bytes, n_bytes, metadata, 3, tensors, N_TENSORS));
    return bytes;
}

static void test_bytes(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"1\",\"name\":\"b\\\"\\\\\\n\xc3\xa4\",\"a\":\"\"},"
        "\"sums\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
        "\"d\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[8,32]},"
        "\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[32,56]},"
        "\"n\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[56,64]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[64,64]},"
        "\"scalar\":{\"dtype\":\"U32\",\"shape\":[],\"data_offsets\":[64,68]},"
        "\"codes\":{\"dtype\":\"U16\",\"shape\":[3],\"data_offsets\":[68,74]},"
        "\"bytes\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[74,79]}}";
    size_t n_bytes, n_text = sizeof header - 1, n_front = (8 + n_text + 63) / 64 * 64;
    uint8_t *bytes = build(&n_bytes);
    assert_int_equal(n_bytes, n_front + 79);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | bytes[i];
    assert_true(length == n_front - 8);
    assert_memory_equal(bytes + 8, header, n_text);
    for (size_t i = 8 + n_text; i < n_front; i++) assert_int_equal(bytes[i], ' ');
    static const uint8_t data[79] = {
        0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0, 0, 0xf8, 0x3f,
        0,    0,    0,    0,    0,    0,    0,    0xc0, 0,    0,    0,    0,    0, 0, 0x0a, 0x40,
        0,    0,    0x80, 0x3f, 0,    0,    0,    0x40, 0,    0,    0x40, 0x40, 0, 0, 0x80, 0x40,
        0,    0,    0xa0, 0x40, 0,    0,    0xc0, 0x40, 0xff, 0xff, 0xff, 0xff, 7, 0, 0,    0,
        0xef, 0xbe, 0xad, 0xde, 1,    0,    2,    0,    0xff, 0xff, 1,    2,    3, 4, 5};
    assert_memory_equal(bytes + n_front, data, sizeof data);
    free(bytes);
}

static void test_round_trip(void **state)
{
    (void)state;
    size_t n_bytes;
    uint8_t *bytes = build(&n_bytes);
    ns_safetensors *file;
    CHECK_OK(ns_safetensors_parse(&file, bytes, n_bytes, "model"));
    memset(bytes, 0xee, n_bytes); /* the file is a copy */
    free(bytes);
    for (int i = 0; i < N_TENSORS; i++) {
        static const size_t sizes[] = {8, 8, 4, 4, 4, 2, 1};
        int64_t n = 1, n_elements = -1;
        for (int d = 0; d < tensors[i].n_dims; d++) n *= tensors[i].shape[d];
        const void *data;
        CHECK_OK(ns_safetensors_get(file, tensors[i].name, tensors[i].dtype, n, &data, &n_elements));
        assert_int_equal(n_elements, n);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % sizes[tensors[i].dtype], 0);
        if (n > 0) assert_memory_equal(data, tensors[i].data, (size_t)n * sizes[tensors[i].dtype]);
        CHECK_OK(ns_safetensors_get(file, tensors[i].name, tensors[i].dtype, -1, &data, NULL));
    }
    assert_string_equal(ns_safetensors_metadata(file, "format"), "1");
    assert_string_equal(ns_safetensors_metadata(file, "name"), metadata[3]);
    assert_string_equal(ns_safetensors_metadata(file, "a"), "");
    assert_null(ns_safetensors_metadata(file, "b"));
    const void *data;
    CHECK_FAILS(ns_safetensors_get(file, "y", NS_F32, -1, &data, NULL), NS_EVERIFY,
                "'model' has no tensor 'y'");
    CHECK_FAILS(ns_safetensors_get(file, "__metadata__", NS_F32, -1, &data, NULL), NS_EVERIFY, "no tensor");
    CHECK_FAILS(ns_safetensors_get(file, "x", NS_F64, 6, &data, NULL), NS_EVERIFY,
                "'model': tensor 'x' is F32, not F64");
    CHECK_FAILS(ns_safetensors_get(file, "x", NS_F32, 5, &data, NULL), NS_EVERIFY,
                "'x' has 6 elements, not 5");
    assert_null(data);
    ns_safetensors_close(&file);
    assert_null(file);
    ns_safetensors_close(&file);
}

static void test_nothing_in_it(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t n_bytes;
    CHECK_OK(ns_safetensors_build(&bytes, &n_bytes, NULL, 0, NULL, 0));
    assert_int_equal(n_bytes, 64);
    ns_safetensors *file;
    CHECK_OK(ns_safetensors_parse(&file, bytes, n_bytes, "model"));
    assert_null(ns_safetensors_metadata(file, "a"));
    ns_safetensors_close(&file);
    free(bytes);
}

static void test_build_refuses(void **state)
{
    (void)state;
    static const ns_tensor twice[] = {{"x", NS_U8, 1, {1, 0}, u8}, {"x", NS_U8, 1, {1, 0}, u8}};
    static const ns_tensor latin[] = {{"\xe4", NS_U8, 1, {1, 0}, u8}};
    static const char *const same[] = {"k", "1", "k", "2"}, *const bad_key[] = {"\xe4", "1"},
                             *const bad_value[] = {"k", "\xe4"};
    uint8_t *bytes;
    size_t n_bytes;
    CHECK_FAILS(ns_safetensors_build(&bytes, &n_bytes, NULL, 0, twice, 2), NS_EINVAL,
                "'x': it is there twice");
    CHECK_FAILS(ns_safetensors_build(&bytes, &n_bytes, NULL, 0, latin, 1), NS_EINVAL, "not UTF-8");
    CHECK_FAILS(ns_safetensors_build(&bytes, &n_bytes, same, 2, NULL, 0), NS_EINVAL,
                "'k': it is there twice");
    CHECK_FAILS(ns_safetensors_build(&bytes, &n_bytes, bad_key, 1, NULL, 0), NS_EINVAL, "not UTF-8");
    CHECK_FAILS(ns_safetensors_build(&bytes, &n_bytes, bad_value, 1, NULL, 0), NS_EINVAL,
                "value of 'k': it is not UTF-8");
    assert_null(bytes);
}

/* A file of this header and so many data bytes, in memory of exactly its size, so that a sanitizer sees every
 * step outside. */
static uint8_t *file_of(const char *header, size_t n_data, size_t *n_bytes)
{
    size_t n = strlen(header);
    *n_bytes = 8 + n + n_data;
    uint8_t *bytes = calloc(*n_bytes, 1);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(bytes + 8, header, n);
    return bytes;
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
        const char *message;
    } cases[] = {
        {"", 0, "not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {" {}", 0, "not a JSON object"},
        {"{", 0, "not JSON"},
        {"{} x", 0, "not JSON"},
        {"{\"a\":1}", 0, "dtype, shape and data_offsets"},
        {"{\"a\":{}}", 0, "dtype, shape and data_offsets"},
        {"{}", 1, "behind the last tensor"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "other than texts"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "names something twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\",\"shape\":["
         "1],"
         "\"data_offsets\":[0,1]}}",
         1, "names something twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
         "dtype, shape and data_offsets"},
        {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2, "a type other than F64"},
        {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,2]}}", 2, "a type other than F64"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1, "without a shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         "without a shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "not whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "not whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         "beyond any memory"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
         "beyond any memory"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "two whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,\"1\"]}}", 1, "two whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "two whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, "outside the data"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, "outside the data"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, "not that of its shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "not that of its shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U16\",\"shape\":["
         "1],"
         "\"data_offsets\":[1,3]}}",
         3, "not aligned"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "overlap or leave a hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "2],"
         "\"data_offsets\":[1,3]}}",
         3, "overlap or leave a hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 2, "behind the last tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n_bytes;
        uint8_t *bytes = file_of(cases[i].header, cases[i].n_data, &n_bytes);
        ns_safetensors *file = NULL;
        CHECK_FAILS(ns_safetensors_parse(&file, bytes, n_bytes, "m.safetensors"), NS_EVERIFY,
                    cases[i].message);
        assert_null(file);
        free(bytes);
    }
    /* lengths that no file has; the last one wraps when 8 is added */
    static const uint64_t lengths[] = {3, 100, 100000001, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        for (int b = 0; b < 8; b++) bytes[b] = (uint8_t)(lengths[i] >> 8 * b);
        ns_safetensors *file;
        CHECK_FAILS(ns_safetensors_parse(&file, bytes, sizeof bytes, "m"), NS_EVERIFY,
                    "'m' is not a whole safetensors file");
    }
}

/* Files of other writers: tensors in any order, three dimensions, any length of the header. */
static void test_other_writers(void **state)
{
    (void)state;
    size_t n_bytes;
    uint8_t *bytes = file_of("{\"b\":{\"dtype\":\"U8\",\"shape\":[1,2,2],\"data_offsets\":[4,8]},"
                             "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]} }  ",
                             8, &n_bytes);
    memcpy(bytes + n_bytes - 8, (uint8_t[]){0, 0, 0x80, 0x3f, 1, 2, 3, 4}, 8);
    ns_safetensors *file;
    const void *data;
    CHECK_OK(ns_safetensors_parse(&file, bytes, n_bytes, "m"));
    free(bytes);
    CHECK_OK(ns_safetensors_get(file, "b", NS_U8, 4, &data, NULL));
    assert_memory_equal(data, ((uint8_t[]){1, 2, 3, 4}), 4);
    CHECK_OK(ns_safetensors_get(file, "a", NS_F32, 1, &data, NULL));
    assert_true(*(const float *)data == 1.0f);
    ns_safetensors_close(&file);
}

static volatile unsigned touched; /* so that every byte is read */

/* Parses; a file that is accepted has every tensor wholly inside its memory. */
static ns_status try_parse(const uint8_t *bytes, size_t n_bytes)
{
    ns_safetensors *file = NULL;
    ns_error_clear();
    ns_status status = ns_safetensors_parse(&file, bytes, n_bytes, "fuzz");
    for (int i = 0; status == NS_OK && i < N_TENSORS; i++) {
        static const size_t sizes[] = {8, 8, 4, 4, 4, 2, 1};
        for (int type = NS_F64; type <= NS_U8; type++) {
            const void *data;
            int64_t n;
            if (ns_safetensors_get(file, tensors[i].name, (ns_dtype)type, -1, &data, &n) != NS_OK) continue;
            for (size_t at = 0; at < (size_t)n * sizes[type]; at++) touched += ((const uint8_t *)data)[at];
        }
    }
    ns_safetensors_close(&file);
    ns_error_clear();
    return status;
}

static void test_damaged(void **state)
{
    (void)state;
    size_t n_bytes;
    uint8_t *bytes = build(&n_bytes);
    for (size_t n = 0; n < n_bytes; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, bytes, n);
        cut = realloc(cut, n == 0 ? 1 : n);
        assert_int_equal(try_parse(cut, n), NS_EVERIFY);
        free(cut);
    }
    int64_t refused = 0, n_tried = 0;
    size_t n_front = n_bytes - 79;
    static const uint8_t puts[] = {0, '"', '{', '}', '[', ']', ',', ':', '-', '0', '9', 'e', '\\', ' ', 0xff};
    for (size_t at = 0; at < n_front; at++) {
        uint8_t good = bytes[at];
        for (size_t i = 0; i < 8 + sizeof puts; i++) {
            unsigned flipped = i < 8 ? good ^ 1U << i : puts[i - 8];
            bytes[at] = (uint8_t)flipped;
            ns_status status = try_parse(bytes, n_bytes);
            if (status != NS_OK && status != NS_EVERIFY)
                fail_msg("byte %zu, change %zu: status %d", at, i, (int)status);
            refused += status == NS_EVERIFY;
            n_tried++;
        }
        bytes[at] = good;
    }
    assert_int_equal(try_parse(bytes, n_bytes), NS_OK);
    assert_true(refused > n_tried / 2); /* the others change a name, a text or white space */
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nothing_in_it), cmocka_unit_test(test_build_refuses),
        cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_other_writers),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
