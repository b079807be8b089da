#ifndef TEST_BITOPS_H
#define TEST_BITOPS_H
#include <linux/types.h>
static inline bool test_bit(long bit, const volatile unsigned long *word) { return *word >> bit & 1; }
static inline void set_bit(long bit, volatile unsigned long *word)
{
	__atomic_fetch_or(word, BIT(bit), __ATOMIC_RELAXED);
}
static inline void clear_bit(long bit, volatile unsigned long *word)
{
	__atomic_fetch_and(word, ~BIT(bit), __ATOMIC_RELAXED);
}
#endif
