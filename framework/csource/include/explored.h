/*
 * The kernel's primitives as steps of the explored attack, for the system's compiler. FolioLab's own text.
 *
 * Each access calls fl_step, which may be Python's. A primitive's step has a result; before a plain access, for which
 * the compiler calls a hook (-fsanitize=thread), fl_step puts the value to be read into memory, and after it takes the
 * written value out. To end a run in the middle of an entry it calls foliolab_stop.
 */
#define FL_EXPORTED __attribute__((__visibility__("default")))
#define FL_NO_HOOKS __attribute__((__no_sanitize__("thread"), __noinline__))
static long (*fl_step)(volatile void *place, int bit, int bits, int is_signed, int step, long operand, long other);
static char *fl_first, *fl_end;
static int fl_stopped;
static void *fl_out[5];
FL_EXPORTED FL_NO_HOOKS void foliolab_begin(void *step, char *first, char *end)
{
	fl_step = step;
	fl_first = first;
	fl_end = end;
}
FL_EXPORTED FL_NO_HOOKS void foliolab_stop(void) { fl_stopped = 1; }
static FL_NO_HOOKS long fl_do(const volatile void *place, int bit, int bits, int is_signed, int step, long operand,
			      long other)
{
	long result = fl_step((volatile void *)place, bit, bits, is_signed, step, operand, other);

	if (fl_stopped)
		__builtin_longjmp(fl_out, 1);
	return result;
}

static FL_NO_HOOKS int fl_is_outside(const volatile void *place)
{
	return (const volatile char *)place < fl_first || (const volatile char *)place >= fl_end;
}

/* -- plain accesses, which the compiler tells ------------------------------------------------------------------- */
static FL_NO_HOOKS void fl_plain(char *place, int bytes, int step)
{
	if (!fl_is_outside(place))
		fl_do(place, 0, 8 * bytes, 0, step, 0, 0);
}
#define FL_HOOK(name, bytes, step) FL_NO_HOOKS void __tsan_##name##bytes(void *place) { fl_plain(place, bytes, step); }
#define FL_HOOKS(bytes) \
	FL_HOOK(read, bytes, FL_PLAIN_LOAD) FL_HOOK(write, bytes, FL_PLAIN_STORE) \
	FL_HOOK(unaligned_read, bytes, FL_PLAIN_LOAD) FL_HOOK(unaligned_write, bytes, FL_PLAIN_STORE) \
	FL_HOOK(volatile_read, bytes, FL_PLAIN_LOAD) FL_HOOK(volatile_write, bytes, FL_PLAIN_STORE)
FL_HOOKS(1)
FL_HOOKS(2)
FL_HOOKS(4)
FL_HOOKS(8)
FL_HOOKS(16)
FL_NO_HOOKS void __tsan_read_range(void *place, long bytes) { fl_plain(place, bytes, FL_PLAIN_LOAD); }
FL_NO_HOOKS void __tsan_write_range(void *place, long bytes) { fl_plain(place, bytes, FL_PLAIN_STORE); }
FL_NO_HOOKS void __tsan_init(void) {}
FL_NO_HOOKS void __tsan_func_entry(void *caller) {}
FL_NO_HOOKS void __tsan_func_exit(void) {}

/* -- primitives ------------------------------------------------------------------------------------------------- */
#define FL_SIGNED(x) ((__typeof__(x))-1 < 1)
#define FL_OF(place, step, a, b) fl_do(place, 0, 8 * sizeof(*(place)), FL_SIGNED(*(place)), step, (long)(a), (long)(b))
#define READ_ONCE(x) ((__typeof__(x))FL_OF(&(x), FL_LOAD, 0, 0))
#define WRITE_ONCE(x, value) ((void)FL_OF(&(x), FL_STORE, value, 0))
#define smp_load_acquire(place) READ_ONCE(*(place))
#define smp_store_release(place, value) WRITE_ONCE(*(place), value)
#define xchg(place, new) ((__typeof__(*(place)))FL_OF(place, FL_XCHG, new, 0))
#define cmpxchg(place, old, new) ((__typeof__(*(place)))FL_OF(place, FL_CMPXCHG, old, new))
FL_INLINE int atomic_read(const atomic_t *v) { return READ_ONCE(v->counter); }
FL_INLINE void atomic_set(atomic_t *v, int i) { WRITE_ONCE(v->counter, i); }
FL_INLINE void atomic_add(int i, atomic_t *v) { FL_OF(&v->counter, FL_ADD, i, 0); }
FL_INLINE void atomic_sub(int i, atomic_t *v) { FL_OF(&v->counter, FL_ADD, -i, 0); }
FL_INLINE void atomic_inc(atomic_t *v) { atomic_add(1, v); }
FL_INLINE void atomic_dec(atomic_t *v) { atomic_add(-1, v); }
FL_INLINE int atomic_add_return(int i, atomic_t *v) { return FL_OF(&v->counter, FL_ADD_RETURN, i, 0); }
FL_INLINE int atomic_sub_return(int i, atomic_t *v) { return FL_OF(&v->counter, FL_ADD_RETURN, -i, 0); }
FL_INLINE int atomic_inc_return(atomic_t *v) { return atomic_add_return(1, v); }
FL_INLINE int atomic_dec_return(atomic_t *v) { return atomic_sub_return(1, v); }
FL_INLINE int atomic_add_return_relaxed(int i, atomic_t *v) { return atomic_add_return(i, v); }
FL_INLINE int atomic_sub_return_relaxed(int i, atomic_t *v) { return atomic_sub_return(i, v); }
FL_INLINE int atomic_inc_return_relaxed(atomic_t *v) { return atomic_add_return(1, v); }
FL_INLINE int atomic_dec_return_relaxed(atomic_t *v) { return atomic_sub_return(1, v); }
FL_INLINE int atomic_fetch_add(int i, atomic_t *v) { return FL_OF(&v->counter, FL_FETCH_ADD, i, 0); }
FL_INLINE bool atomic_inc_and_test(atomic_t *v) { return FL_OF(&v->counter, FL_ADD_TEST_ZERO, 1, 0); }
FL_INLINE bool atomic_dec_and_test(atomic_t *v) { return FL_OF(&v->counter, FL_ADD_TEST_ZERO, -1, 0); }
FL_INLINE bool atomic_sub_and_test(int i, atomic_t *v) { return FL_OF(&v->counter, FL_ADD_TEST_ZERO, -i, 0); }
FL_INLINE bool atomic_add_negative(int i, atomic_t *v) { return FL_OF(&v->counter, FL_ADD_TEST_NEGATIVE, i, 0); }
FL_INLINE bool test_bit(long bit, const unsigned long *word)
{
	return fl_is_outside(word) ? *word >> bit & 1 : fl_do(word, bit, 1, 0, FL_LOAD, 0, 0);
}
FL_INLINE void __set_bit(long bit, unsigned long *word) { *word |= BIT(bit); }
FL_INLINE void __clear_bit(long bit, unsigned long *word) { *word &= ~BIT(bit); }
FL_INLINE void set_bit(long bit, unsigned long *word) { fl_do(word, bit, 1, 0, FL_LOCKED_STORE, 1, 0); }
FL_INLINE void clear_bit(long bit, unsigned long *word) { fl_do(word, bit, 1, 0, FL_LOCKED_STORE, 0, 0); }
FL_INLINE bool test_and_set_bit(long bit, unsigned long *word) { return fl_do(word, bit, 1, 0, FL_XCHG, 1, 0); }
FL_INLINE bool test_and_clear_bit(long bit, unsigned long *word) { return fl_do(word, bit, 1, 0, FL_XCHG, 0, 0); }
FL_INLINE bool test_and_set_bit_lock(long bit, unsigned long *word) { return fl_do(word, bit, 1, 0, FL_TRYLOCK, 0, 0); }
FL_INLINE void clear_bit_unlock(long bit, unsigned long *word) { clear_bit(bit, word); }
FL_INLINE void __clear_bit_unlock(long bit, unsigned long *word) { fl_do(word, 0, 64, 0, FL_AND_STORE, ~BIT(bit), 0); }
FL_INLINE void cpu_relax(void) { fl_do(0, 0, 0, 0, FL_RELAX, 0, 0); }
FL_INLINE void bit_spin_lock(int bit, unsigned long *word) { fl_do(word, bit, 1, 0, FL_LOCK, 0, 0); }
FL_INLINE void bit_spin_unlock(int bit, unsigned long *word) { clear_bit_unlock(bit, word); }
FL_INLINE void __bit_spin_unlock(int bit, unsigned long *word) { __clear_bit_unlock(bit, word); }
FL_INLINE void smp_mb(void) { fl_do(0, 0, 0, 0, FL_BARRIER, 0, 0); }
FL_INLINE void smp_rmb(void) { barrier(); }
FL_INLINE void smp_wmb(void) { barrier(); }
FL_INLINE void smp_mb__after_atomic(void) { barrier(); }
FL_INLINE void smp_mb__before_atomic(void) { barrier(); }

/* -- an entry of the engine's table; what it returns when it was stopped means nothing --------------------------- */
#define FL_ENTRY(name) \
	static __attribute__((__noinline__)) long fl_##name(FL_ARGUMENTS); \
	FL_EXPORTED FL_NO_HOOKS long foliolab_##name(FL_ARGUMENTS) \
	{ \
		fl_stopped = 0; \
		return __builtin_setjmp(fl_out) ? 0 : fl_##name(folio, page, nr, mm, vpn); \
	} \
	static long fl_##name(FL_ARGUMENTS)
