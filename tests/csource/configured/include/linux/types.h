#ifndef TEST_TYPES_H
#define TEST_TYPES_H
typedef _Bool bool;
#define true 1
#define false 0
typedef struct { int counter; } atomic_t;
struct list_head { struct list_head *next, *prev; };
struct address_space;
struct anon_vma { struct anon_vma *root; };
struct mm_struct {
	unsigned long somewhere[40];
#ifdef CONFIG_MM_ID
	unsigned int mm_id;
#endif
	unsigned long flags;
};
struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_flags, vm_pgoff;
	struct mm_struct *vm_mm;
	struct anon_vma *anon_vma;
};

static inline int atomic_read(const atomic_t *v) { return *(const volatile int *)&v->counter; }
static inline void atomic_set(atomic_t *v, int i) { *(volatile int *)&v->counter = i; }
static inline int atomic_add_return(int i, atomic_t *v) { return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); }
static inline int atomic_fetch_add(int i, atomic_t *v) { return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST); }
#define atomic_add_return_relaxed(i, v) atomic_add_return(i, v)
#define atomic_sub_return_relaxed(i, v) atomic_add_return(-(i), v)
#define atomic_dec_return_relaxed(v) atomic_add_return(-1, v)
#define atomic_inc(v) ((void)atomic_add_return(1, v))
#define atomic_inc_and_test(v) (atomic_add_return(1, v) == 0)
#define atomic_add_negative(i, v) (atomic_add_return(i, v) < 0)
#endif
