/*
 * A slot for one owner, in the kernel's style: its ID, its mappings, and a flag that says whether others may map the
 * folio. Mappings of pages are counted in struct page. FolioLab's own text.
 */
#include <linux/mm.h>

#define FOLIOLAB_SUMMARY "a slot for one owner under a bit lock"
#define FOLIOLAB_REFERENCE "tests/csource"
#define FOLIOLAB_CLAIMS "safe page-mapcount"

#define NOBODY		0
#define LOCK_BITNUM	0
#define SHARED_BITNUM	1
#define SHARED		BIT(SHARED_BITNUM)

enum slot_level {
	LEVEL_PTE,
	LEVEL_PMD,
};

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
	int _owner_mapcount;
	unsigned int _unused[2];
	unsigned int _owner;
	unsigned int _unused_too;
	unsigned long _state;
};

static inline void prepare(struct folio *folio)
{
	atomic_set(&folio->_large_mapcount, -1);
	folio->_owner_mapcount = -1;
	folio->_owner = NOBODY;
	folio->_state = 0;
}

static __always_inline void lock_slot(struct folio *folio)
{
	bit_spin_lock(LOCK_BITNUM, &folio->_state);
}

static __always_inline void unlock_slot(struct folio *folio)
{
	__bit_spin_unlock(LOCK_BITNUM, &folio->_state);
}

static __always_inline void add_to_slot(struct folio *folio, int nr, struct mm_struct *mm)
{
	const unsigned int id = mm->mm_id;
	int mappings;

	lock_slot(folio);
	mappings = atomic_read(&folio->_large_mapcount) + nr;
	atomic_set(&folio->_large_mapcount, mappings);
	if (folio->_owner == id) {
		VM_WARN_ON_ONCE(folio->_owner_mapcount < 0);
		folio->_owner_mapcount += nr;
		goto out;
	}
	if (folio->_owner == NOBODY) {
		folio->_owner = id;
		folio->_owner_mapcount = nr - 1;
		goto out;
	}
	folio->_state |= SHARED;
out:
	VM_WARN_ON_ONCE(folio->_owner_mapcount > mappings);
	unlock_slot(folio);
}

static __always_inline int sub_from_slot(struct folio *folio, int nr, struct mm_struct *mm)
{
	int mappings;

	lock_slot(folio);
	mappings = atomic_read(&folio->_large_mapcount) - nr;
	atomic_set(&folio->_large_mapcount, mappings);
	if (folio->_owner == mm->mm_id) {
		folio->_owner_mapcount -= nr;
		/* The owner may have mapped pages before the slot was free: these were not counted. */
		if (folio->_owner_mapcount < 0) {
			folio->_owner_mapcount = -1;
			folio->_owner = NOBODY;
		}
	}
	if (mappings == folio->_owner_mapcount)
		folio->_state &= ~SHARED;
	unlock_slot(folio);
	return mappings + 1;
}

static __always_inline int add_pages(struct page *page, int nr, enum slot_level level)
{
	int added = 0;

	switch (level) {
	case LEVEL_PTE:
		do {
			if (atomic_inc_and_test(&page->_mapcount))
				added++;
		} while (page++, --nr > 0);
		break;
	case LEVEL_PMD:
		BUILD_BUG();
	}
	return added;
}

static __always_inline void sub_pages(struct page *page, int nr, int *removed, bool *in_use)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (atomic_add_negative(-1, &page[i]._mapcount))
			*removed += 1;
		else
			*in_use = true;
	}
}

static inline void new_anon(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	add_pages(page, nr, LEVEL_PTE);
	add_to_slot(folio, nr, mm);
}

static inline int add_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	add_to_slot(folio, nr, mm);
	return add_pages(page, nr, LEVEL_PTE);
}

static inline void dup_page(struct page *page)
{
	atomic_inc(&page->_mapcount);
}

static inline void dup_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm)
{
	add_to_slot(folio, nr, mm);
}

static inline int remove_ptes(struct folio *folio, struct page *page, int nr, struct mm_struct *mm,
			      bool *partially_mapped)
{
	int mappings, removed = 0;
	bool in_use = false;

	mappings = sub_from_slot(folio, nr, mm);
	sub_pages(page, nr, &removed, &in_use);
	*partially_mapped = removed && mappings;
	return removed;
}

static inline int page_mapcount(struct folio *folio, struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

static inline bool maybe_mapped_shared(struct folio *folio)
{
	if (atomic_read(&folio->_large_mapcount) <= 0)
		return false;
	return test_bit(SHARED_BITNUM, &folio->_state);
}
