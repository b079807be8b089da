/* What the kernel's functions call, and FolioLab's model has, fixes or does by itself. FolioLab's own text. */
#ifdef CONFIG_MM_ID
#define FL_MM_ID mm_id_t
#else
#define FL_MM_ID unsigned int
#endif
#ifndef FL_MM_BEFORE
#define FL_MM_BEFORE
#endif
struct mm_struct { FL_MM_BEFORE FL_MM_ID mm_id; unsigned int flags; };
struct vm_area_struct {
	struct mm_struct *vm_mm;
	unsigned long vm_start, vm_end, vm_flags, vm_pgoff;
	struct anon_vma *anon_vma;
};
bool folio_test_large(const struct folio *folio);
bool folio_test_hugetlb(const struct folio *folio);
bool folio_test_ksm(const struct folio *folio);
bool folio_test_locked(const struct folio *folio);
bool folio_test_swapbacked(const struct folio *folio);
bool folio_test_partially_mapped(const struct folio *folio);
bool folio_test_pmd_mappable(const struct folio *folio);
bool folio_is_device_private(const struct folio *folio);
bool is_zero_folio(const struct folio *folio);
bool page_mapcount_is_type(unsigned int mapcount);
void SetPageAnonExclusive(struct page *page);
void ClearPageAnonExclusive(struct page *page);
bool folio_needs_cow_for_dma(struct vm_area_struct *vma, struct folio *folio);
void mlock_vma_folio(struct folio *folio, struct vm_area_struct *vma);
void munlock_vma_folio(struct folio *folio, struct vm_area_struct *vma);
void __folio_set_swapbacked(struct folio *folio);
void __folio_set_anon(struct folio *folio, struct vm_area_struct *vma, unsigned long address, bool exclusive);
void __page_check_anon_rmap(const struct folio *folio, const struct page *page, struct vm_area_struct *vma,
			    unsigned long address);
void mod_mthp_stat(int order, int item, int delta);
#define MTHP_STAT_NR_ANON 0
void folio_set_order(struct folio *folio, unsigned int order);
void INIT_LIST_HEAD(struct list_head *list);
void deferred_split_folio(struct folio *folio, bool partially_mapped);
void __folio_mod_stat(struct folio *folio, int nr, int nr_pmdmapped);
