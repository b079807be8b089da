/* What the files of this tree use besides. */
#ifndef TEST_FOLIO_H
#define TEST_FOLIO_H
#include <linux/page-flags.h>
#define HPAGE_PMD_NR 512
#define VM_LOCKED 0x2000UL
#define MMF_HAS_PINNED 27
enum { MTHP_STAT_NR_ANON };
extern unsigned long mthp_stats[20];
typedef unsigned int rmap_t;
static inline unsigned int folio_large_order(const struct folio *folio) { return folio->_flags_1 & 0xff; }
static inline long folio_large_nr_pages(const struct folio *folio) { return 1L << folio_large_order(folio); }
static inline unsigned int folio_order(const struct folio *folio)
{
	return folio_test_large(folio) ? folio_large_order(folio) : 0;
}
static inline long folio_nr_pages(const struct folio *folio) { return 1L << folio_order(folio); }
static inline bool folio_test_pmd_mappable(const struct folio *folio) { return folio_order(folio) >= 9; }
static inline struct page *folio_page(struct folio *folio, unsigned long n) { return &folio->page + n; }
static inline void mod_mthp_stat(int order, int item, int delta) { mthp_stats[order] += delta; }
static inline void vm_flags_init(struct vm_area_struct *vma, unsigned long flags) { vma->vm_flags = flags; }
static inline bool folio_needs_cow_for_dma(struct vm_area_struct *vma, struct folio *folio)
{
	return test_bit(MMF_HAS_PINNED, &vma->vm_mm->flags);
}
void mlock_folio(struct folio *folio);
static inline void mlock_vma_folio(struct folio *folio, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_LOCKED)
		mlock_folio(folio);
}
#define munlock_vma_folio(folio, vma) mlock_vma_folio(folio, vma)
void lruvec_stat_mod_folio(struct folio *folio, int item, int delta);
void deferred_split_folio(struct folio *folio, bool partially_mapped);
#endif
