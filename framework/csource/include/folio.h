/* What foliolab.h declares about folios, out of the primitives, and the answers of entries. FolioLab's own text. */
#define FL_FLAGS(folio) ((unsigned long *)((char *)(folio) + FL_FLAGS_OFFSET))
FL_INLINE unsigned int folio_large_order(const struct folio *folio)
{
	return FL_AT(const unsigned long, folio, FL_FLAGS_1_OFFSET) & FL_ORDER_MASK;
}
FL_INLINE unsigned long folio_large_nr_pages(const struct folio *folio) { return 1UL << folio_large_order(folio); }
FL_INLINE unsigned int folio_order(const struct folio *folio)
{
	return test_bit(FL_PG_head, FL_FLAGS(folio)) ? folio_large_order(folio) : 0;
}
FL_INLINE long folio_nr_pages(const struct folio *folio) { return 1L << folio_order(folio); }
FL_INLINE struct page *nth_page(const struct page *page, long n)
{
	return (struct page *)((char *)page + n * FL_STRUCT_PAGE);
}
FL_INLINE struct page *folio_page(const struct folio *folio, unsigned long n)
{
	return nth_page((const struct page *)folio, n);
}
FL_INLINE struct folio *page_folio(const struct page *page) { return (struct folio *)page; }
FL_INLINE int folio_ref_count(const struct folio *folio) { return FL_AT(const int, folio, FL_REFCOUNT_OFFSET); }
FL_INLINE bool folio_test_anon(const struct folio *folio)
{
	return FL_AT(const unsigned long, folio, FL_MAPPING_OFFSET) == FL_MAPPING_ANON;
}
FL_INLINE bool folio_test_swapcache(const struct folio *folio) { return test_bit(FL_PG_swapcache, FL_FLAGS(folio)); }
FL_INLINE bool folio_trylock(struct folio *folio) { return !test_and_set_bit_lock(FL_PG_locked, FL_FLAGS(folio)); }
FL_INLINE void folio_unlock(struct folio *folio) { clear_bit_unlock(FL_PG_locked, FL_FLAGS(folio)); }
FL_INLINE bool folio_free_swap(struct folio *folio)
{
	if (!folio_test_swapcache(folio) || FL_AT(unsigned long, folio, FL_PRIVATE_OFFSET))
		return false;
	clear_bit(FL_PG_swapcache, FL_FLAGS(folio));
	atomic_sub(folio_nr_pages(folio), (atomic_t *)((char *)folio + FL_REFCOUNT_OFFSET));
	return true;
}
#define FL_CLEAR_ANON_EXCLUSIVE(page) do { \
	if (PageAnonExclusive(page)) \
		clear_bit(FL_PG_anon_exclusive, FL_FLAGS(page)); } while (0)
FL_INLINE bool PageAnonExclusive(const struct page *page) { return test_bit(FL_PG_anon_exclusive, FL_FLAGS(page)); }
#define FL_PACKED(nr, nr_pmdmapped, partially_mapped) \
	((long)(nr) + (long)(nr_pmdmapped) * (1L << FL_PACK) + (long)!!(partially_mapped) * (1L << 2 * FL_PACK))
