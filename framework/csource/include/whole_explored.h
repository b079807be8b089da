/*
 * The kernel's headers with the primitives that are steps of the explored attack instead: all that follows calls those,
 * by names that begin with fl_step_. READ_ONCE and its like stay: their accesses are told by the compiler.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bit_spinlock.h>
#define FL_INLINE extern inline __attribute__((__gnu_inline__, __always_inline__))
