#ifndef TEST_MM_H
#define TEST_MM_H
#include <linux/mm_types.h>
#include <linux/folio.h>

static inline int folio_entire_mapcount(const struct folio *folio)
{
	return atomic_read(&folio->_entire_mapcount) + 1;
}

static inline int folio_large_mapcount(const struct folio *folio)
{
	return atomic_read(&folio->_large_mapcount) + 1;
}

static inline int folio_mapcount(const struct folio *folio)
{
	if (unlikely(!folio_test_large(folio)))
		return atomic_read(&folio->_mapcount) + 1;
	return folio_large_mapcount(folio);
}

/* Not asked for, and of no form that is understood: it is left out. */
static inline void *unrelated(void *a, int (*b)(void))
{
	return b() ? a : ({ void *c = a; c; });
}

static inline bool folio_maybe_mapped_shared(const struct folio *folio)
{
	int mapcount = folio_mapcount(folio);

	if (!folio_test_large(folio) || folio_test_hugetlb(folio))
		return mapcount > 1;
	if (mapcount <= 1)
		return false;
#ifdef CONFIG_MM_ID
	return test_bit(FOLIO_OWNER_SHARED_BITNUM, &folio->_owner_flags);
#else
	return true;
#endif
}
#endif
