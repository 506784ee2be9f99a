#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_POISON_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_POISON_H
/* What address sanitizer is told: memory that must not be touched, and changes of stack. Without it nothing. */
#include <stddef.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define ns_poison(from, n_bytes)                 __asan_poison_memory_region(from, n_bytes)
#define ns_unpoison(from, n_bytes)               __asan_unpoison_memory_region(from, n_bytes)
#define ns_fiber_leave(save, to_stack, n_bytes)  __sanitizer_start_switch_fiber(save, to_stack, n_bytes)
#define ns_fiber_arrive(saved, from, from_bytes) __sanitizer_finish_switch_fiber(saved, from, from_bytes)
#else
#define ns_poison(from, n_bytes)                 ((void)(from), (void)(n_bytes))
#define ns_unpoison(from, n_bytes)               ((void)(from), (void)(n_bytes))
#define ns_fiber_leave(save, to_stack, n_bytes)  ((void)(save), (void)(to_stack), (void)(n_bytes))
#define ns_fiber_arrive(saved, from, from_bytes) ((void)(saved), (void)(from), (void)(from_bytes))
#endif
#endif
