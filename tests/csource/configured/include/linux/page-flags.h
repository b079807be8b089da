#ifndef TEST_PAGE_FLAGS_H
#define TEST_PAGE_FLAGS_H
#include <linux/bit_spinlock.h>
#include <linux/mm_types.h>

/* Some bits are others than the engine's */
enum pageflags { PG_locked, PG_head = 6, PG_partially_mapped = 9, PG_swapbacked = 17, PG_anon_exclusive = 20 };

static inline bool folio_test_large(const struct folio *folio) { return test_bit(PG_head, &folio->flags); }
static inline bool folio_test_hugetlb(const struct folio *folio) { return false; }
static inline bool folio_test_anon(const struct folio *folio) { return (unsigned long)folio->mapping & 1; }
static inline bool folio_test_swapbacked(const struct folio *folio) { return test_bit(PG_swapbacked, &folio->flags); }
static inline void __folio_set_swapbacked(struct folio *folio) { folio->flags |= BIT(PG_swapbacked); }
static inline bool folio_test_partially_mapped(const struct folio *folio)
{
	return test_bit(PG_partially_mapped, &folio->_flags_1);
}
static inline bool PageAnonExclusive(const struct page *page) { return test_bit(PG_anon_exclusive, &page->flags); }
static inline void SetPageAnonExclusive(struct page *page) { set_bit(PG_anon_exclusive, &page->flags); }
static inline void ClearPageAnonExclusive(struct page *page) { clear_bit(PG_anon_exclusive, &page->flags); }
#endif
