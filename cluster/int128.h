#ifndef NIGHTSHIFT_CLUSTER_INT128_H
#define NIGHTSHIFT_CLUSTER_INT128_H
/* 128-bit integers, for sums over rows that 64 bits cannot hold. A GNU type, so it is named in one place. */
__extension__ typedef __int128 ns_i128;
__extension__ typedef unsigned __int128 ns_u128;
#endif
