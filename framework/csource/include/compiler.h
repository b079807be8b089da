/*
 * foliolab.h for the system's compiler: what kernels define otherwise than for a translation. FolioLab's own text.
 * FL_ names are the engine's offsets, bits and sizes, which are defined before.
 */
#undef __always_inline
#undef likely
#undef unlikely
#undef barrier
#undef READ_ONCE
#undef WRITE_ONCE
#undef smp_load_acquire
#undef smp_store_release
#undef cmpxchg
#undef xchg
#undef max
#undef min
#undef max_t
#undef min_t
#define __always_inline inline __attribute__((__always_inline__))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ volatile("" : : : "memory")
/* Checks are missing, as without CONFIG_DEBUG_VM; BUILD_BUG stops a program that reaches it */
#define foliolab_check(c) ((bool)(0 && (c)))
#define foliolab_unreachable() __builtin_trap()
#define max(a, b) ({ __typeof__((a) + (b)) fl_a = (a), fl_b = (b); fl_a > fl_b ? fl_a : fl_b; })
#define min(a, b) ({ __typeof__((a) + (b)) fl_a = (a), fl_b = (b); fl_a < fl_b ? fl_a : fl_b; })
#define max_t(type, a, b) ({ type fl_a = (a), fl_b = (b); fl_a > fl_b ? fl_a : fl_b; })
#define min_t(type, a, b) ({ type fl_a = (a), fl_b = (b); fl_a < fl_b ? fl_a : fl_b; })
#define FL_INLINE extern inline __attribute__((__gnu_inline__, __always_inline__))
#define FL_AT(type, pointer, offset) (*(volatile type *)((char *)(pointer) + (offset)))
#define FL_ARGUMENTS struct folio *folio, struct page *page, long nr, struct mm_struct *mm, long vpn
