#ifndef NIGHTSHIFT_KERNELS_LEVEL_NAME_H
#define NIGHTSHIFT_KERNELS_LEVEL_NAME_H
/* NS_AT_LEVEL(ns_bin) is ns_bin_avx2 in the object that is compiled with NS_LEVEL=avx2. */
#ifndef NS_LEVEL
#error "compile this source with -DNS_LEVEL=baseline, avx2 or avx512"
#endif
#define NS_AT_LEVEL_PASTE(stem, level) stem##_##level
#define NS_AT_LEVEL_EXPAND(stem, level) NS_AT_LEVEL_PASTE(stem, level)
#define NS_AT_LEVEL(stem) NS_AT_LEVEL_EXPAND(stem, NS_LEVEL)
#endif
