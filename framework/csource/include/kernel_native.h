/* What kernel_after.h declares, for the system's compiler; functions with a fixed answer are macros. FolioLab's text. */
static __thread struct {
	long nr_, pmd_;
	bool partially_, pmd_mappable;
} foliolab_told;
#define FL_VMA struct vm_area_struct vma = { .vm_mm = mm }
#define FL_VMA_OF_NEW FL_VMA
#define folio_test_pmd_mappable(folio) (foliolab_told.pmd_mappable)
FL_INLINE void SetPageAnonExclusive(struct page *page) { set_bit(FL_PG_anon_exclusive, FL_FLAGS(page)); }
FL_INLINE void ClearPageAnonExclusive(struct page *page) { clear_bit(FL_PG_anon_exclusive, FL_FLAGS(page)); }
/* What a compiler may call for an initial value */
__attribute__((__visibility__("hidden"))) void *memset(void *to, int byte, unsigned long bytes)
{
	volatile char *at = to;

	while (bytes--)
		*at++ = byte;
	return to;
}
