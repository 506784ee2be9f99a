#ifndef NIGHTSHIFT_DATA_BYTE_ORDER_H
#define NIGHTSHIFT_DATA_BYTE_ORDER_H
/* Whether this machine stores the low byte of a number first, as files and fingerprints have it. Known when compiled. */
#include <stdbool.h>
#include <stdint.h>

static inline bool ns_is_little_endian(void)
{
    const union {
        uint16_t word;
        uint8_t bytes[2];
    } one = {.word = 1};
    return one.bytes[0] == 1;
}
#endif
