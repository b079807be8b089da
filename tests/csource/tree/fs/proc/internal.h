static inline int folio_precise_page_mapcount(struct folio *folio, struct page *page)
{
	return atomic_read(&page->_mapcount) + 1 + folio_entire_mapcount(folio);
}

static inline int folio_average_page_mapcount(struct folio *folio)
{
	unsigned int mapcount = folio_large_mapcount(folio);

	if (!mapcount)
		return 0;
	mapcount = (mapcount + folio_large_nr_pages(folio) / 2) >> folio_large_order(folio);
	return max_t(int, 1, mapcount);
}
