/*
 * Two slots of owners in the kernel's style, which store what the policy mm-id stores: in each an ID and the number of
 * its mappings. A flag says whether others may map the folio. Pages have mapcounts; there are no PMDs. FolioLab's own
 * text.
 */
#include <linux/mm.h>

#define FOLIOLAB_SUMMARY "two slots of owners under a bit lock"
#define FOLIOLAB_REFERENCE "tests/csource"
#define FOLIOLAB_CLAIMS "safe exact-for-two page-mapcount partial-mapping reuse"

#define NOBODY		0
#define ID_BITS		31
#define ID_MASK		((1U << ID_BITS) - 1)
#define LOCK_BITNUM	31
#define SHARED_BITNUM	63
#define SHARED		BIT(SHARED_BITNUM)
#define BY_PMD		0x800000

struct page {
	unsigned long flags;
	unsigned long lru[2];
	unsigned long mapping;
	unsigned long index;
	unsigned long private;
	atomic_t _mapcount;
	atomic_t _refcount;
	unsigned long memcg_data;
};

struct folio {
	struct page page;
	unsigned long _flags_1;
	unsigned long _head_1;
	atomic_t _large_mapcount;
	atomic_t _nr_pages_mapped;
	unsigned int _unused[2];
	int _mm_id_mapcount[2];
	union {
		unsigned int _mm_id[2];
		unsigned long _mm_ids;
	};
};

static inline void prepare(struct folio *folio)
{
	atomic_set(&folio->_large_mapcount, -1);
	atomic_set(&folio->_nr_pages_mapped, 0);
	folio->_mm_id_mapcount[0] = -1;
	folio->_mm_id_mapcount[1] = -1;
	folio->_mm_ids = 0;
}

static inline unsigned int owner(const struct folio *folio, int slot)
{
	return folio->_mm_id[slot] & ID_MASK;
}

static inline void set_owner(struct folio *folio, int slot, unsigned int id)
{
	folio->_mm_id[slot] &= ~ID_MASK;
	folio->_mm_id[slot] |= id;
}

static inline void check_slot(const struct folio *folio, int slot)
{
	VM_WARN_ON_ONCE(owner(folio, slot) == NOBODY && folio->_mm_id_mapcount[slot] != -1);
	VM_WARN_ON_ONCE(owner(folio, slot) != NOBODY && folio->_mm_id_mapcount[slot] < 0);
}

static inline void take_slot(struct folio *folio, int slot, int nr, unsigned int id)
{
	set_owner(folio, slot, id);
	folio->_mm_id_mapcount[slot] = nr - 1;
}

static inline void add_mappings(struct folio *folio, int nr, struct mm_struct *mm)
{
	const unsigned int id = mm->mm_id;
	int mappings;

	bit_spin_lock(LOCK_BITNUM, &folio->_mm_ids);
	check_slot(folio, 0);
	check_slot(folio, 1);
	mappings = atomic_read(&folio->_large_mapcount) + nr;
	atomic_set(&folio->_large_mapcount, mappings);
	if (owner(folio, 0) == id) {
		folio->_mm_id_mapcount[0] += nr;
	} else if (owner(folio, 1) == id) {
		folio->_mm_id_mapcount[1] += nr;
	} else if (owner(folio, 0) == NOBODY) {
		take_slot(folio, 0, nr, id);
		if (mappings != nr - 1)
			folio->_mm_ids |= SHARED;
	} else if (owner(folio, 1) == NOBODY) {
		take_slot(folio, 1, nr, id);
		folio->_mm_ids |= SHARED;
	}
	bit_spin_unlock(LOCK_BITNUM, &folio->_mm_ids);
}

static inline bool leave_slot(struct folio *folio, int slot, int nr)
{
	folio->_mm_id_mapcount[slot] -= nr;
	if (folio->_mm_id_mapcount[slot] >= 0)
		return false;
	folio->_mm_id_mapcount[slot] = -1;
	set_owner(folio, slot, NOBODY);
	return true;
}

static inline void sub_mappings(struct folio *folio, int nr, struct mm_struct *mm)
{
	const unsigned int id = mm->mm_id;
	bool look = true;
	int mappings;

	bit_spin_lock(LOCK_BITNUM, &folio->_mm_ids);
	check_slot(folio, 0);
	check_slot(folio, 1);
	mappings = atomic_read(&folio->_large_mapcount) - nr;
	atomic_set(&folio->_large_mapcount, mappings);
	if (owner(folio, 0) == id)
		look = leave_slot(folio, 0, nr);
	else if (owner(folio, 1) == id)
		look = leave_slot(folio, 1, nr);
	if (look && (folio->_mm_id_mapcount[0] == mappings || folio->_mm_id_mapcount[1] == mappings))
		folio->_mm_ids &= ~SHARED;
	bit_spin_unlock(LOCK_BITNUM, &folio->_mm_ids);
}

static inline void new_anon(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	int i;

	for (i = 0; i < nr; i++)
		atomic_set(&page[i]._mapcount, 0);
	atomic_set(&folio->_nr_pages_mapped, nr);
	atomic_set(&folio->_large_mapcount, nr - 1);
	folio->_mm_id_mapcount[0] = nr - 1;
	set_owner(folio, 0, mm->mm_id);
}

static inline int add_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	int i, first = 0;

	for (i = 0; i < nr; i++)
		first += atomic_inc_and_test(&page[i]._mapcount);
	if (first && atomic_add_return(first, &folio->_nr_pages_mapped) >= BY_PMD)
		first = 0;
	add_mappings(folio, nr, mm);
	return first;
}

static inline void dup_page(struct page *page)
{
	atomic_inc(&page->_mapcount);
}

static inline void dup_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	add_mappings(folio, nr, mm);
}

static inline int remove_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm,
			      bool *partially_mapped)
{
	int i, last = 0;

	sub_mappings(folio, nr, mm);
	for (i = 0; i < nr; i++)
		last += atomic_add_negative(-1, &page[i]._mapcount);
	if (last && atomic_sub_return(last, &folio->_nr_pages_mapped) >= BY_PMD)
		last = 0;
	*partially_mapped = last && atomic_read(&folio->_nr_pages_mapped);
	return last;
}

static inline int page_mapcount(struct folio *folio, struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

static inline bool maybe_mapped_shared(struct folio *folio)
{
	if (atomic_read(&folio->_large_mapcount) <= 0)
		return false;
	return test_bit(SHARED_BITNUM, &folio->_mm_ids);
}

static inline bool only_mapped(struct folio *folio)
{
	return atomic_read(&folio->_large_mapcount) + 1 == folio_ref_count(folio);
}

static inline bool can_reuse(struct folio *folio, struct page *page, struct mm_struct *mm)
{
	bool sole = false;

	if (atomic_read(&folio->_large_mapcount) <= 0)
		return false;
	if (test_bit(SHARED_BITNUM, &folio->_mm_ids))
		return false;
	if (folio_test_swapcache(folio)) {
		if (!folio_trylock(folio))
			return false;
		folio_free_swap(folio);
		folio_unlock(folio);
	}
	if (!only_mapped(folio))
		return false;
	bit_spin_lock(LOCK_BITNUM, &folio->_mm_ids);
	if (test_bit(SHARED_BITNUM, &folio->_mm_ids))
		goto unlock;
	if (!only_mapped(folio))
		goto unlock;
	sole = true;
unlock:
	bit_spin_unlock(LOCK_BITNUM, &folio->_mm_ids);
	return sole;
}
