#ifndef NIGHTSHIFT_DATA_FLOAT_TEXT_H
#define NIGHTSHIFT_DATA_FLOAT_TEXT_H
/*
 * A float32 as the shortest decimal that reads back to the same bits (rounding to nearest), of those the one nearest to it:
 * 0.1, 138, 1.5e-07. Fixed notation where the decimal exponent is -5 to 15, else scientific; never by locale. Pure.
 */
enum { NS_FLOAT_TEXT = 32 }; /* bytes that are enough, with the 0 */

/* Length of the text. NaN is "nan", infinities are "inf" and "-inf", zeros are "0" and "-0". */
int ns_float_text(char out[NS_FLOAT_TEXT], float value);
#endif
