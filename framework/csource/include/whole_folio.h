/* Page flags whose bits are the engine's own, or that it does not have. FolioLab's own text. */
#include <linux/page-flags.h>
_Static_assert(PG_head == FL_PG_head && PG_locked == FL_PG_locked, "page flags lie elsewhere than in FolioLab's layout");
#define FL_PAGE_FLAGS(page) ((unsigned long *)(page))
static inline bool fl_page_anon_exclusive(const struct page *page)
{
	return test_bit(FL_PG_anon_exclusive, FL_PAGE_FLAGS(page));
}
static inline void fl_set_anon_exclusive(struct page *page) { set_bit(FL_PG_anon_exclusive, FL_PAGE_FLAGS(page)); }
static inline void fl_clear_anon_exclusive(struct page *page) { clear_bit(FL_PG_anon_exclusive, FL_PAGE_FLAGS(page)); }
#define PageAnonExclusive(page) fl_page_anon_exclusive(page)
#define SetPageAnonExclusive(page) fl_set_anon_exclusive(page)
#define ClearPageAnonExclusive(page) fl_clear_anon_exclusive(page)
#define folio_test_partially_mapped(folio) ((bool)0)
#define __folio_set_swapbacked(folio) ((void)0)

/* What an entry tells, and is told: a folio of PMD size may be mapped by PTEs at once */
extern __thread struct fl_told {
	long nr_, pmd_;
	bool partially_, pmd_mappable;
} foliolab_told;
#include <linux/mm.h>
#define folio_test_pmd_mappable(folio) (foliolab_told.pmd_mappable)
#define mod_mthp_stat(order, item, delta) ((void)0)
