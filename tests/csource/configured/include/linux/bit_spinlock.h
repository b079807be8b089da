#ifndef TEST_BIT_SPINLOCK_H
#define TEST_BIT_SPINLOCK_H
#include <linux/bitops.h>
#include <linux/preempt.h>
static inline void bit_spin_lock(int bit, unsigned long *word)
{
	preempt_disable();
	while (__atomic_fetch_or(word, BIT(bit), __ATOMIC_ACQUIRE) & BIT(bit))
		;
}
static inline void bit_spin_unlock(int bit, unsigned long *word)
{
	__atomic_fetch_and(word, ~BIT(bit), __ATOMIC_RELEASE);
	preempt_enable();
}
#endif
