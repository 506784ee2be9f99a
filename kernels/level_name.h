#ifndef NIGHTSHIFT_KERNELS_LEVEL_NAME_H
#define NIGHTSHIFT_KERNELS_LEVEL_NAME_H
/* For the sources that are compiled once for each instruction set. NS_AT_LEVEL(ns_bin) is ns_bin_avx2 in the
   object that is compiled with NS_LEVEL=avx2. */
#ifndef NS_LEVEL
#error "compile this source with -DNS_LEVEL=baseline, avx2 or avx512"
#endif
/* A node's rows are scattered, so the processor cannot guess the next line: asked for NS_AHEAD rows before it
   is read. Measured with one row in 20 on a Zen 4: 0.58 ns an add instead of 1.83; with every row: no
   difference. */
#define NS_PREFETCH(address) __builtin_prefetch(address)
enum { NS_AHEAD = 16 };

#define NS_AT_LEVEL_PASTE(stem, level)  stem##_##level
#define NS_AT_LEVEL_EXPAND(stem, level) NS_AT_LEVEL_PASTE(stem, level)
#define NS_AT_LEVEL(stem)               NS_AT_LEVEL_EXPAND(stem, NS_LEVEL)
#endif
