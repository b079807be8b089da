#include <linux/rmap.h>
#include <linux/mmzone.h>

static void __folio_mod_stat(struct folio *folio, int nr, int nr_pmdmapped)
{
	if (nr)
		lruvec_stat_mod_folio(folio, folio_test_anon(folio) ? NR_ANON_MAPPED : NR_FILE_MAPPED, nr);
	if (nr_pmdmapped)
		lruvec_stat_mod_folio(folio, folio_test_anon(folio) ? NR_ANON_THPS : NR_FILE_PMDMAPPED, nr_pmdmapped);
}

static void __folio_set_anon(struct folio *folio, struct vm_area_struct *vma, unsigned long address, bool exclusive)
{
	struct anon_vma *anon_vma = exclusive ? vma->anon_vma : vma->anon_vma->root;

	folio->mapping = (struct address_space *)((char *)anon_vma + 1);
	folio->index = ((address - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff;
}

static __always_inline void __folio_add(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *vma, enum rmap_level level)
{
	atomic_t *mapped = &folio->_nr_pages_mapped;
	int nr = 0, nr_pmdmapped = 0, old;

	VM_WARN_ON_FOLIO(folio_test_hugetlb(folio), folio);
	switch (level) {
	case RMAP_LEVEL_PTE:
		folio_account(folio, nr_pages, vma);
		do {
			if (!atomic_inc_and_test(&page->_mapcount))
				continue;
			if (atomic_add_return_relaxed(1, mapped) < ENTIRELY_MAPPED)
				nr++;
		} while (page++, --nr_pages > 0);
		break;
	case RMAP_LEVEL_PMD:
		folio_account(folio, 1, vma);
		if (!atomic_inc_and_test(&folio->_entire_mapcount))
			break;
		old = atomic_fetch_add(ENTIRELY_MAPPED, mapped);
		nr_pmdmapped = folio_large_nr_pages(folio);
		nr = nr_pmdmapped - (old & NR_PAGES_MASK);
		break;
	default:
		BUILD_BUG();
	}
	__folio_mod_stat(folio, nr, nr_pmdmapped);
}

static __always_inline void __folio_add_file_rmap(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *vma, enum rmap_level level)
{
	VM_WARN_ON_FOLIO(folio_test_anon(folio), folio);
	__folio_add(folio, page, nr_pages, vma, level);
	mlock_vma_folio(folio, vma);
}

static __always_inline void __folio_add_anon_rmap(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *vma, unsigned long address, int flags, enum rmap_level level)
{
	VM_WARN_ON_FOLIO(vma->anon_vma == NULL, folio);
	__folio_add(folio, page, nr_pages, vma, level);
	mlock_vma_folio(folio, vma);
}

void folio_add_new_anon_rmap(struct folio *folio, struct vm_area_struct *vma, unsigned long address, int flags)
{
	const int nr = folio_nr_pages(folio);
	int i, nr_pmdmapped = 0;

	if (!folio_test_swapbacked(folio))
		__folio_set_swapbacked(folio);
	__folio_set_anon(folio, vma, address, flags);
	if (folio_test_pmd_mappable(folio)) {
		atomic_set(&folio->_entire_mapcount, 0);
		atomic_set(&folio->_nr_pages_mapped, ENTIRELY_MAPPED);
		folio_account(folio, 1, vma);
		nr_pmdmapped = nr;
	} else {
		for (i = 0; i < nr; i++)
			atomic_set(&folio_page(folio, i)->_mapcount, 0);
		atomic_set(&folio->_nr_pages_mapped, nr);
		folio_account(folio, nr, vma);
	}
	__folio_mod_stat(folio, nr, nr_pmdmapped);
	mod_mthp_stat(folio_order(folio), MTHP_STAT_NR_ANON, 1);
}

static __always_inline void __folio_remove_rmap(struct folio *folio, struct page *page, int nr_pages,
		struct vm_area_struct *vma, enum rmap_level level)
{
	atomic_t *mapped = &folio->_nr_pages_mapped;
	int last, nr = 0, nr_pmdmapped = 0;
	bool partially_mapped = false;

	switch (level) {
	case RMAP_LEVEL_PTE:
		folio_account(folio, -nr_pages, vma);
		do {
			if (!atomic_add_negative(-1, &page->_mapcount))
				continue;
			if (atomic_dec_return_relaxed(mapped) < ENTIRELY_MAPPED)
				nr++;
		} while (page++, --nr_pages > 0);
		partially_mapped = nr && atomic_read(mapped);
		break;
	case RMAP_LEVEL_PMD:
		folio_account(folio, -1, vma);
		if (!atomic_add_negative(-1, &folio->_entire_mapcount))
			break;
		last = atomic_sub_return_relaxed(ENTIRELY_MAPPED, mapped);
		if (last >= ENTIRELY_MAPPED)
			break;
		nr_pmdmapped = folio_large_nr_pages(folio);
		nr = nr_pmdmapped - last;
		partially_mapped = nr && last;
		break;
	default:
		BUILD_BUG();
	}
	if (partially_mapped && folio_test_anon(folio) && !folio_test_partially_mapped(folio))
		deferred_split_folio(folio, true);
	__folio_mod_stat(folio, -nr, -nr_pmdmapped);
	munlock_vma_folio(folio, vma);
}

void folio_add_file_rmap_ptes(struct folio *folio, struct page *page, int nr_pages, struct vm_area_struct *vma)
{
	__folio_add_file_rmap(folio, page, nr_pages, vma, RMAP_LEVEL_PTE);
}

void folio_add_file_rmap_pmd(struct folio *folio, struct page *page, struct vm_area_struct *vma)
{
	__folio_add_file_rmap(folio, page, HPAGE_PMD_NR, vma, RMAP_LEVEL_PMD);
}

void folio_add_anon_rmap_ptes(struct folio *folio, struct page *page, int nr_pages, struct vm_area_struct *vma,
		unsigned long address, int flags)
{
	__folio_add_anon_rmap(folio, page, nr_pages, vma, address, flags, RMAP_LEVEL_PTE);
}

void folio_add_anon_rmap_pmd(struct folio *folio, struct page *page, struct vm_area_struct *vma,
		unsigned long address, int flags)
{
	__folio_add_anon_rmap(folio, page, HPAGE_PMD_NR, vma, address, flags, RMAP_LEVEL_PMD);
}

void folio_remove_rmap_ptes(struct folio *folio, struct page *page, int nr_pages, struct vm_area_struct *vma)
{
	__folio_remove_rmap(folio, page, nr_pages, vma, RMAP_LEVEL_PTE);
}

void folio_remove_rmap_pmd(struct folio *folio, struct page *page, struct vm_area_struct *vma)
{
	__folio_remove_rmap(folio, page, HPAGE_PMD_NR, vma, RMAP_LEVEL_PMD);
}
