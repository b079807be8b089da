/* What a policy in C may use without defining it. FolioLab puts it before the file; nothing has to be included. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long s64;
typedef _Bool bool;
typedef struct { int counter; } atomic_t;
typedef struct { long counter; } atomic_long_t;
typedef atomic_long_t atomic64_t;
struct folio;
struct page;
struct mm_struct;

#define true 1
#define false 0
#define NULL ((void *)0)
#define INT_MAX 0x7fffffff
#define BITS_PER_LONG 64
#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define HPAGE_PMD_NR 512
#define HPAGE_PMD_ORDER 9
#define BIT(n) (1UL << (n))
#define GENMASK(high, low) (((~0UL) >> (63 - (high))) & ((~0UL) << (low)))
#define __always_inline inline
#define __maybe_unused
#define likely(x) (x)
#define unlikely(x) (x)
#define barrier() do {} while (0)
#define data_race(x) (x)

/* The kernel's own checks: laws of FolioLab */
bool foliolab_check(bool fired);
void foliolab_unreachable(void);
#define VM_WARN_ON(c) foliolab_check(c)
#define VM_WARN_ON_ONCE(c) foliolab_check(c)
#define VM_WARN_ON_FOLIO(c, f) foliolab_check(c)
#define VM_WARN_ON_ONCE_FOLIO(c, f) foliolab_check(c)
#define VM_WARN_ON_PAGE(c, p) foliolab_check(c)
#define VM_WARN_ON_ONCE_PAGE(c, p) foliolab_check(c)
#define VM_WARN_ON_ONCE_VMA(c, v) foliolab_check(c)
#define VM_BUG_ON(c) foliolab_check(c)
#define VM_BUG_ON_FOLIO(c, f) foliolab_check(c)
#define VM_BUG_ON_PAGE(c, p) foliolab_check(c)
#define VM_BUG_ON_VMA(c, v) foliolab_check(c)
#define WARN_ON(c) foliolab_check(c)
#define WARN_ON_ONCE(c) foliolab_check(c)
#define BUG_ON(c) foliolab_check(c)
#define BUILD_BUG() foliolab_unreachable()
#define BUILD_BUG_ON(c) do {} while (0)

/* Accesses to a place of any type */
long foliolab_read_once(const volatile void *place);
void foliolab_write_once(volatile void *place, long value);
long foliolab_load_acquire(const volatile void *place);
void foliolab_store_release(volatile void *place, long value);
long foliolab_cmpxchg(volatile void *place, long old, long new);
long foliolab_xchg(volatile void *place, long new);
#define READ_ONCE(x) ((__typeof__(x))foliolab_read_once(&(x)))
#define WRITE_ONCE(x, value) foliolab_write_once(&(x), (long)(value))
#define smp_load_acquire(place) ((__typeof__(*(place)))foliolab_load_acquire(place))
#define smp_store_release(place, value) foliolab_store_release(place, (long)(value))
#define cmpxchg(place, old, new) ((__typeof__(*(place)))foliolab_cmpxchg(place, (long)(old), (long)(new)))
#define xchg(place, new) ((__typeof__(*(place)))foliolab_xchg(place, (long)(new)))

int atomic_read(const atomic_t *v);
void atomic_set(atomic_t *v, int i);
void atomic_add(int i, atomic_t *v);
void atomic_sub(int i, atomic_t *v);
void atomic_inc(atomic_t *v);
void atomic_dec(atomic_t *v);
int atomic_add_return(int i, atomic_t *v);
int atomic_sub_return(int i, atomic_t *v);
int atomic_inc_return(atomic_t *v);
int atomic_dec_return(atomic_t *v);
int atomic_add_return_relaxed(int i, atomic_t *v);
int atomic_sub_return_relaxed(int i, atomic_t *v);
int atomic_inc_return_relaxed(atomic_t *v);
int atomic_dec_return_relaxed(atomic_t *v);
int atomic_fetch_add(int i, atomic_t *v);
bool atomic_inc_and_test(atomic_t *v);
bool atomic_dec_and_test(atomic_t *v);
bool atomic_sub_and_test(int i, atomic_t *v);
bool atomic_add_negative(int i, atomic_t *v);

void bit_spin_lock(int bit, unsigned long *word);
void bit_spin_unlock(int bit, unsigned long *word);
void __bit_spin_unlock(int bit, unsigned long *word);
bool test_bit(long bit, const unsigned long *word);
void set_bit(long bit, unsigned long *word);
void clear_bit(long bit, unsigned long *word);
void __set_bit(long bit, unsigned long *word);
void __clear_bit(long bit, unsigned long *word);
bool test_and_set_bit(long bit, unsigned long *word);
bool test_and_clear_bit(long bit, unsigned long *word);
bool test_and_set_bit_lock(long bit, unsigned long *word);
void clear_bit_unlock(long bit, unsigned long *word);
void __clear_bit_unlock(long bit, unsigned long *word);
void smp_mb(void);
void smp_rmb(void);
void smp_wmb(void);
void smp_mb__after_atomic(void);
void smp_mb__before_atomic(void);
void cpu_relax(void);

long folio_nr_pages(const struct folio *folio);
unsigned int folio_order(const struct folio *folio);
unsigned long folio_large_nr_pages(const struct folio *folio);
unsigned int folio_large_order(const struct folio *folio);
struct page *folio_page(const struct folio *folio, unsigned long n);
struct folio *page_folio(const struct page *page);
struct page *nth_page(const struct page *page, long n);
int folio_ref_count(const struct folio *folio);
bool folio_test_anon(const struct folio *folio);
bool folio_test_swapcache(const struct folio *folio);
bool folio_trylock(struct folio *folio);
void folio_unlock(struct folio *folio);
bool folio_free_swap(struct folio *folio);
bool PageAnonExclusive(const struct page *page);
long foliolab_max(long a, long b);
long foliolab_min(long a, long b);
#define max(a, b) foliolab_max(a, b)
#define min(a, b) foliolab_min(a, b)
#define max_t(type, a, b) ((type)foliolab_max((type)(a), (type)(b)))
#define min_t(type, a, b) ((type)foliolab_min((type)(a), (type)(b)))
