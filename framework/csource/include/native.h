/* The kernel's primitives on real memory, for the system's compiler. FolioLab's own text. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) ((void)(*(volatile __typeof__(x) *)&(x) = (value)))
#define smp_load_acquire(place) __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define smp_store_release(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)
#define xchg(place, new) __atomic_exchange_n(place, new, __ATOMIC_SEQ_CST)
#define cmpxchg(place, old, new) ({ \
	__typeof__(*(place)) fl_old = (old); \
	__atomic_compare_exchange_n(place, &fl_old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	fl_old; })


/* -- atomic_t: on x86-64 the instructions that the kernel writes, of which a compiler may make a loop ------------- */
#ifdef __x86_64__
#define FL_TESTED(flag, type, place, text, ...) ({ \
	bool fl_is; \
	__asm__ volatile("lock " text : "=@cc" flag(fl_is), "+m"(*(type *)(place)) : __VA_ARGS__ : "memory"); \
	fl_is; })
#define FL_PLAIN(type, place, text, ...) \
	__asm__ volatile("lock " text : "+m"(*(type *)(place)) : __VA_ARGS__ : "memory")
#endif
FL_INLINE int atomic_read(const atomic_t *v) { return READ_ONCE(v->counter); }
FL_INLINE void atomic_set(atomic_t *v, int i) { WRITE_ONCE(v->counter, i); }
FL_INLINE int atomic_add_return(int i, atomic_t *v) { return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); }
FL_INLINE int atomic_sub_return(int i, atomic_t *v) { return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST); }
FL_INLINE int atomic_inc_return(atomic_t *v) { return atomic_add_return(1, v); }
FL_INLINE int atomic_dec_return(atomic_t *v) { return atomic_sub_return(1, v); }
FL_INLINE int atomic_add_return_relaxed(int i, atomic_t *v)
{
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED);
}
FL_INLINE int atomic_sub_return_relaxed(int i, atomic_t *v)
{
	return __atomic_sub_fetch(&v->counter, i, __ATOMIC_RELAXED);
}
FL_INLINE int atomic_inc_return_relaxed(atomic_t *v) { return atomic_add_return_relaxed(1, v); }
FL_INLINE int atomic_dec_return_relaxed(atomic_t *v) { return atomic_sub_return_relaxed(1, v); }
FL_INLINE int atomic_fetch_add(int i, atomic_t *v) { return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST); }
#ifdef __x86_64__
FL_INLINE void atomic_add(int i, atomic_t *v) { FL_PLAIN(int, &v->counter, "addl %1, %0", "ir"(i)); }
FL_INLINE void atomic_sub(int i, atomic_t *v) { FL_PLAIN(int, &v->counter, "subl %1, %0", "ir"(i)); }
FL_INLINE void atomic_inc(atomic_t *v) { FL_PLAIN(int, &v->counter, "incl %0"); }
FL_INLINE void atomic_dec(atomic_t *v) { FL_PLAIN(int, &v->counter, "decl %0"); }
FL_INLINE bool atomic_inc_and_test(atomic_t *v) { return FL_TESTED("e", int, &v->counter, "incl %1"); }
FL_INLINE bool atomic_dec_and_test(atomic_t *v) { return FL_TESTED("e", int, &v->counter, "decl %1"); }
FL_INLINE bool atomic_sub_and_test(int i, atomic_t *v)
{
	return FL_TESTED("e", int, &v->counter, "subl %2, %1", "ir"(i));
}
FL_INLINE bool atomic_add_negative(int i, atomic_t *v)
{
	return FL_TESTED("s", int, &v->counter, "addl %2, %1", "ir"(i));
}
#else
FL_INLINE void atomic_add(int i, atomic_t *v) { __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); }
FL_INLINE void atomic_sub(int i, atomic_t *v) { __atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED); }
FL_INLINE void atomic_inc(atomic_t *v) { atomic_add(1, v); }
FL_INLINE void atomic_dec(atomic_t *v) { atomic_sub(1, v); }
FL_INLINE bool atomic_inc_and_test(atomic_t *v) { return atomic_add_return(1, v) == 0; }
FL_INLINE bool atomic_dec_and_test(atomic_t *v) { return atomic_sub_return(1, v) == 0; }
FL_INLINE bool atomic_sub_and_test(int i, atomic_t *v) { return atomic_sub_return(i, v) == 0; }
FL_INLINE bool atomic_add_negative(int i, atomic_t *v) { return atomic_add_return(i, v) < 0; }
#endif

/* -- bits ------------------------------------------------------------------------------------------------------- */
FL_INLINE bool test_bit(long bit, const unsigned long *word) { return READ_ONCE(*word) >> bit & 1; }
FL_INLINE void __set_bit(long bit, unsigned long *word) { *word |= BIT(bit); }
FL_INLINE void __clear_bit(long bit, unsigned long *word) { *word &= ~BIT(bit); }
#ifdef __x86_64__
FL_INLINE void set_bit(long bit, unsigned long *word) { FL_PLAIN(unsigned long, word, "btsq %1, %0", "Jr"(bit)); }
FL_INLINE void clear_bit(long bit, unsigned long *word) { FL_PLAIN(unsigned long, word, "btrq %1, %0", "Jr"(bit)); }
FL_INLINE bool test_and_set_bit(long bit, unsigned long *word)
{
	return FL_TESTED("c", unsigned long, word, "btsq %2, %1", "Jr"(bit));
}
FL_INLINE bool test_and_clear_bit(long bit, unsigned long *word)
{
	return FL_TESTED("c", unsigned long, word, "btrq %2, %1", "Jr"(bit));
}
#else
FL_INLINE void set_bit(long bit, unsigned long *word) { __atomic_fetch_or(word, BIT(bit), __ATOMIC_RELAXED); }
FL_INLINE void clear_bit(long bit, unsigned long *word) { __atomic_fetch_and(word, ~BIT(bit), __ATOMIC_RELAXED); }
FL_INLINE bool test_and_set_bit(long bit, unsigned long *word)
{
	return __atomic_fetch_or(word, BIT(bit), __ATOMIC_SEQ_CST) >> bit & 1;
}
FL_INLINE bool test_and_clear_bit(long bit, unsigned long *word)
{
	return __atomic_fetch_and(word, ~BIT(bit), __ATOMIC_SEQ_CST) >> bit & 1;
}
#endif
FL_INLINE bool test_and_set_bit_lock(long bit, unsigned long *word) { return test_and_set_bit(bit, word); }
FL_INLINE void clear_bit_unlock(long bit, unsigned long *word)
{
	__atomic_fetch_and(word, ~BIT(bit), __ATOMIC_RELEASE);
}
FL_INLINE void __clear_bit_unlock(long bit, unsigned long *word)
{
	__atomic_store_n(word, READ_ONCE(*word) & ~BIT(bit), __ATOMIC_RELEASE);
}

/* -- waiting and order ------------------------------------------------------------------------------------------ */
FL_INLINE void cpu_relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	barrier();
#endif
}
FL_INLINE void bit_spin_lock(int bit, unsigned long *word)
{
	while (unlikely(test_and_set_bit_lock(bit, word)))
		do
			cpu_relax();
		while (test_bit(bit, word));
}
FL_INLINE void bit_spin_unlock(int bit, unsigned long *word) { clear_bit_unlock(bit, word); }
FL_INLINE void __bit_spin_unlock(int bit, unsigned long *word) { __clear_bit_unlock(bit, word); }
FL_INLINE void smp_mb(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
FL_INLINE void smp_rmb(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
FL_INLINE void smp_wmb(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
#ifdef __x86_64__
#define FL_MB_ATOMIC() barrier()
#else
#define FL_MB_ATOMIC() smp_mb()
#endif
FL_INLINE void smp_mb__after_atomic(void) { FL_MB_ATOMIC(); }
FL_INLINE void smp_mb__before_atomic(void) { FL_MB_ATOMIC(); }

/* -- an entry of the engine's table ----------------------------------------------------------------------------- */
#define FL_ENTRY(name) __attribute__((__visibility__("default"))) long foliolab_##name(FL_ARGUMENTS)
