#ifndef TEST_RMAP_H
#define TEST_RMAP_H
#include <linux/mm.h>
enum rmap_level {
	RMAP_LEVEL_PTE = 0,
	RMAP_LEVEL_PMD,
};

#define ENTIRELY_MAPPED		0x800000
#define NR_PAGES_MASK		(ENTIRELY_MAPPED - 1)

#ifdef CONFIG_MM_ID
static inline int folio_account(struct folio *folio, int diff, struct vm_area_struct *vma)
{
	const mm_id_t id = vma->vm_mm->mm_id;
	int mapcount;

	bit_spin_lock(FOLIO_OWNER_LOCK_BITNUM, &folio->_owner_flags);
	mapcount = atomic_read(&folio->_large_mapcount) + diff;
	atomic_set(&folio->_large_mapcount, mapcount);
	VM_WARN_ON_ONCE(mapcount < -1);
	if (folio->_owner == id) {
		folio->_owner_mapcount += diff;
		if (folio->_owner_mapcount == -1)
			folio->_owner = MM_NOBODY;
		goto out;
	}
	if (folio->_owner == MM_NOBODY && diff > 0) {
		folio->_owner = id;
		folio->_owner_mapcount = diff - 1;
	} else if (diff > 0) {
		folio->_owner_flags |= BIT(FOLIO_OWNER_SHARED_BITNUM);
	}
out:
	if (folio->_owner_mapcount == mapcount)
		folio->_owner_flags &= ~BIT(FOLIO_OWNER_SHARED_BITNUM);
	bit_spin_unlock(FOLIO_OWNER_LOCK_BITNUM, &folio->_owner_flags);
	return mapcount;
}
#else
static inline int folio_account(struct folio *folio, int diff, struct vm_area_struct *vma)
{
	return atomic_add_return(diff, &folio->_large_mapcount);
}
#endif

static __always_inline void __folio_dup(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *vma, enum rmap_level level)
{
	int i;

	switch (level) {
	case RMAP_LEVEL_PTE:
		for (i = 0; i < nr_pages; i++)
			atomic_inc(&page[i]._mapcount);
		folio_account(folio, nr_pages, vma);
		break;
	case RMAP_LEVEL_PMD:
		atomic_inc(&folio->_entire_mapcount);
		folio_account(folio, 1, vma);
		break;
	default:
		BUILD_BUG();
	}
}

static __always_inline void __folio_dup_file_rmap(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *dst_vma, enum rmap_level level)
{
	__folio_dup(folio, page, nr_pages, dst_vma, level);
}

static __always_inline int __folio_try_dup_anon_rmap(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma, enum rmap_level level)
{
	int i;

	if (folio_needs_cow_for_dma(src_vma, folio))
		return -EBUSY;
	for (i = 0; i < nr_pages; i++) {
		if (PageAnonExclusive(&page[i]))
			ClearPageAnonExclusive(&page[i]);
	}
	__folio_dup(folio, page, nr_pages, dst_vma, level);
	return 0;
}
#endif
