/*
 * The engine's loops and three schemes in plain C: what the native execution is measured against.
 *
 * Written for this project from the project's own specification; no text of any kernel is in it. It works on
 * the engine's memory: "layout.h" is generated from Engine.layouts and from the engine's constants, one for
 * each scheme, and defines one of SCHEME_PAGE_MAPCOUNT, SCHEME_MM_ID and SCHEME_NO_PAGE_MAPCOUNT.
 * The order of loads and stores is that of framework/engine; tests/test_reference.py holds the two together.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef int32_t s32;
typedef int64_t s64;
typedef uint32_t u32;
typedef uint64_t u64;

#include "layout.h"

#define HOT static inline __attribute__((always_inline))
#define COLD static __attribute__((noinline, cold))
#define EXPORT __attribute__((visibility("default")))
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define BIT(nr) (1ull << (nr))

/* -- atomics ----------------------------------------------------------------------------------- */
#ifdef ONE_THREAD /* plain accesses, for a memory that one thread uses (see framework/machine/codegen.py) */
#undef READ_ONCE
#undef WRITE_ONCE
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, value) ((x) = (value))
#define atomic_add(value, p) ((void)(*(p) += (value)))
#define atomic_sub(value, p) ((void)(*(p) -= (value)))
#define atomic_add_return(value, p) (*(p) += (value))
#define atomic_sub_return(value, p) (*(p) -= (value))
#define atomic_inc_and_test(p) (++*(p) == 0)
#define atomic_add_negative(value, p) ((*(p) += (value)) < 0)
#define set_bit(nr, p) ((void)(*(p) |= BIT(nr)))
#define clear_bit(nr, p) ((void)(*(p) &= ~BIT(nr)))
#define test_bit(nr, p) ((*(p) >> (nr)) & 1)

HOT bool test_and_set_bit(int nr, u64 *word)
{
	u64 old = *word;

	*word = old | BIT(nr);
	return old >> nr & 1;
}

HOT bool test_and_clear_bit(int nr, u64 *word)
{
	u64 old = *word;

	*word = old & ~BIT(nr);
	return old >> nr & 1;
}

#define test_and_set_bit_lock(nr, p) test_and_set_bit(nr, p)
#else
#define atomic_add(value, p) ((void)__atomic_fetch_add(p, value, __ATOMIC_RELAXED))
#define atomic_sub(value, p) ((void)__atomic_fetch_sub(p, value, __ATOMIC_RELAXED))
#define atomic_add_return(value, p) __atomic_add_fetch(p, value, __ATOMIC_SEQ_CST)
#define atomic_sub_return(value, p) __atomic_sub_fetch(p, value, __ATOMIC_SEQ_CST)
#define atomic_inc_and_test(p) (__atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST) == 0)
#define atomic_add_negative(value, p) (__atomic_add_fetch(p, value, __ATOMIC_SEQ_CST) < 0)
#define set_bit(nr, p) ((void)__atomic_fetch_or(p, BIT(nr), __ATOMIC_RELAXED))
#define clear_bit(nr, p) ((void)__atomic_fetch_and(p, ~BIT(nr), __ATOMIC_RELAXED))
#define test_bit(nr, p) ((READ_ONCE(*(p)) >> (nr)) & 1)
#define test_and_set_bit(nr, p) (!!(__atomic_fetch_or(p, BIT(nr), __ATOMIC_SEQ_CST) & BIT(nr)))
#define test_and_clear_bit(nr, p) (!!(__atomic_fetch_and(p, ~BIT(nr), __ATOMIC_SEQ_CST) & BIT(nr)))
#define test_and_set_bit_lock(nr, p) (!!(__atomic_fetch_or(p, BIT(nr), __ATOMIC_ACQUIRE) & BIT(nr)))
#endif

HOT void bit_spin_lock(int nr, u64 *word)
{
	while (unlikely(test_and_set_bit_lock(nr, word)))
		while (test_bit(nr, word))
			__builtin_ia32_pause();
}

HOT void bit_spin_unlock(int nr, u64 *word)
{
#ifdef ONE_THREAD
	*word &= ~BIT(nr);
#else
	__atomic_store_n(word, *word & ~BIT(nr), __ATOMIC_RELEASE);
#endif
}

/* -- pages and folios -------------------------------------------------------------------------- */
struct machine {
	char *memory;
	char *contents;
	struct cpu *cpu;
	struct zone *zone;
};

HOT struct machine machine_at(char *memory, char *contents, s64 cpu, s64 zone)
{
	return (struct machine){ memory, contents, (struct cpu *)(memory + cpu), (struct zone *)(memory + zone) };
}

HOT struct mm *mm_at(char *memory, s64 at)
{
	return (struct mm *)(memory + at);
}

HOT struct page *pfn_to_page(char *memory, u64 pfn)
{
	return (struct page *)memory + pfn;
}

HOT struct folio *pfn_folio(char *memory, u64 pfn)
{
	return (struct folio *)pfn_to_page(memory, pfn);
}

HOT u64 *pte_ref(char *memory, struct mm *mm, u64 vpn)
{
	return (u64 *)(memory + mm->pgd) + vpn;
}

HOT u64 *pmd_ref(char *memory, struct mm *mm, u64 vpn)
{
	return (u64 *)(memory + mm->pmd) + (vpn >> PMD_ORDER);
}

HOT u64 page_head_pfn(char *memory, u64 pfn)
{
	u64 head = READ_ONCE(pfn_to_page(memory, pfn)->compound_head);

	return head & 1 ? head >> 1 : pfn;
}

HOT bool folio_test_large(struct folio *folio)
{
	return test_bit(PG_head, &folio->flags);
}

HOT int folio_order(struct folio *folio)
{
	return folio_test_large(folio) ? folio->_flags_1 & ORDER_MASK : 0;
}

HOT s64 folio_nr_pages(struct folio *folio)
{
	return folio_test_large(folio) ? folio->_nr_pages : 1;
}

HOT bool folio_test_anon(struct folio *folio)
{
	return folio->mapping == MAPPING_ANON;
}

HOT bool folio_test_swapcache(struct folio *folio)
{
	return test_bit(PG_swapcache, &folio->flags);
}

HOT s32 folio_ref_count(struct folio *folio)
{
	return READ_ONCE(folio->_refcount);
}

HOT bool folio_trylock(struct folio *folio)
{
	return !test_and_set_bit_lock(PG_locked, &folio->flags);
}

HOT void folio_unlock(struct folio *folio)
{
	clear_bit(PG_locked, &folio->flags);
}

static void folio_free_swap(struct folio *folio)
{
	if (!folio_test_swapcache(folio) || folio->private > 0)
		return;
	clear_bit(PG_swapcache, &folio->flags);
	atomic_sub(folio_nr_pages(folio), &folio->_refcount);
}

HOT void folio_add_lru(struct folio *folio, bool batched)
{
	if (batched) {
		atomic_add(1, &folio->_refcount);
		set_bit(PG_lru_batch, &folio->flags);
	} else {
		set_bit(PG_lru, &folio->flags);
	}
}

HOT void lru_add_drain(struct folio *folio)
{
	if (test_bit(PG_lru_batch, &folio->flags) && test_and_clear_bit(PG_lru_batch, &folio->flags)) {
		set_bit(PG_lru, &folio->flags);
		atomic_sub(1, &folio->_refcount);
	}
}

HOT bool page_anon_exclusive(struct page *page)
{
	return test_bit(PG_anon_exclusive, &page->flags);
}

HOT bool folio_needs_cow_for_dma(struct folio *folio, struct mm *mm)
{
	if (!(mm->flags & BIT(MMF_HAS_PINNED)))
		return false;
	if (folio_test_large(folio))
		return READ_ONCE(folio->_pincount) > 0;
	return folio_ref_count(folio) >= GUP_PIN_COUNTING_BIAS;
}

/* -- the schemes ------------------------------------------------------------------------------- */
#ifndef SCHEME_NO_PAGE_MAPCOUNT
HOT s64 add_page_mapcounts(struct folio *folio, struct page *page, s64 nr)
{
	s32 first = 0;

	for (s64 i = 0; i < nr; i++)
		if (atomic_inc_and_test(&page[i]._mapcount))
			first++;
	if (first && atomic_add_return(first, &folio->_nr_pages_mapped) >= ENTIRELY_MAPPED)
		first = 0;
	return first;
}

HOT s64 remove_page_mapcounts(struct folio *folio, struct page *page, s64 nr)
{
	s32 last = 0;

	for (s64 i = 0; i < nr; i++)
		if (atomic_add_negative(-1, &page[i]._mapcount))
			last++;
	if (last && atomic_sub_return(last, &folio->_nr_pages_mapped) >= ENTIRELY_MAPPED)
		last = 0;
	return last;
}

HOT void set_page_mapcounts(struct folio *folio, struct page *page, s64 nr)
{
	for (s64 i = 0; i < nr; i++)
		WRITE_ONCE(page[i]._mapcount, 0);
	WRITE_ONCE(folio->_nr_pages_mapped, nr);
}

HOT bool remove_entire_mapcount(struct folio *folio, s64 *nr, s64 *nr_pmdmapped)
{
	s64 mapped, pages;

	*nr = *nr_pmdmapped = 0;
	if (!atomic_add_negative(-1, &folio->_entire_mapcount))
		return false;
	mapped = atomic_sub_return(ENTIRELY_MAPPED, &folio->_nr_pages_mapped);
	pages = folio_nr_pages(folio);
	if (mapped < ENTIRELY_MAPPED && pages > mapped)
		*nr = pages - mapped;
	*nr_pmdmapped = pages;
	return *nr && *nr < pages;
}

HOT bool still_mapped(struct folio *folio, s64 last)
{
	return last && READ_ONCE(folio->_nr_pages_mapped);
}

HOT void scheme_dup_page(struct page *page)
{
	atomic_add(1, &page->_mapcount);
}
#else
HOT void scheme_dup_page(struct page *page)
{
	(void)page;
}
#endif

#ifdef SCHEME_PAGE_MAPCOUNT
HOT void scheme_new_anon(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	(void)mm;
	set_page_mapcounts(folio, page, nr);
	WRITE_ONCE(folio->_large_mapcount, nr - 1);
}

HOT void scheme_new_anon_pmd(struct folio *folio, struct mm *mm)
{
	(void)mm;
	WRITE_ONCE(folio->_large_mapcount, 0);
	WRITE_ONCE(folio->_entire_mapcount, 0);
	WRITE_ONCE(folio->_nr_pages_mapped, ENTIRELY_MAPPED);
}

HOT s64 scheme_add_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	s64 first = add_page_mapcounts(folio, page, nr);

	(void)mm;
	atomic_add(nr, &folio->_large_mapcount);
	return first;
}

HOT void scheme_dup_ptes(struct folio *folio, s64 nr, struct mm *mm)
{
	(void)mm;
	atomic_add(nr, &folio->_large_mapcount);
}

HOT void scheme_dup_pmd(struct folio *folio, struct mm *mm)
{
	(void)mm;
	atomic_add(1, &folio->_entire_mapcount);
	atomic_add(1, &folio->_large_mapcount);
}

HOT bool scheme_remove_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm, s64 *last)
{
	(void)mm;
	atomic_sub(nr, &folio->_large_mapcount);
	*last = remove_page_mapcounts(folio, page, nr);
	return still_mapped(folio, *last);
}

HOT bool scheme_remove_pmd(struct folio *folio, struct mm *mm, s64 *nr, s64 *nr_pmdmapped)
{
	(void)mm;
	atomic_sub(1, &folio->_large_mapcount);
	return remove_entire_mapcount(folio, nr, nr_pmdmapped);
}

HOT bool scheme_can_reuse(struct folio *folio)
{
	(void)folio;
	return false;
}
#else /* two slots of MM ID and count under a bit lock */
HOT u32 slot_id(struct folio *folio, int slot)
{
	return folio->_mm_id[slot] & MM_ID_MASK;
}

HOT void set_slot_id(struct folio *folio, int slot, u32 id)
{
	folio->_mm_id[slot] = (folio->_mm_id[slot] & ~(u32)MM_ID_MASK) | id;
}

HOT void set_large_mapcount(struct folio *folio, s64 nr, struct mm *mm)
{
	WRITE_ONCE(folio->_large_mapcount, nr - 1);
	folio->_mm_id_mapcount[0] = nr - 1;
	set_slot_id(folio, 0, mm->mm_id);
}

HOT s64 add_large_mapcount(struct folio *folio, s64 nr, struct mm *mm)
{
	u32 id = mm->mm_id;
	s32 total;

	bit_spin_lock(LOCK_BIT, &folio->_mm_ids);
	total = READ_ONCE(folio->_large_mapcount) + nr;
	WRITE_ONCE(folio->_large_mapcount, total);
	if (slot_id(folio, 0) == id) {
		folio->_mm_id_mapcount[0] += nr;
	} else if (slot_id(folio, 1) == id) {
		folio->_mm_id_mapcount[1] += nr;
	} else if (slot_id(folio, 0) == MM_ID_DUMMY) {
		set_slot_id(folio, 0, id);
		folio->_mm_id_mapcount[0] = nr - 1;
		if (total != nr - 1)
			folio->_mm_ids |= BIT(SHARED_BIT);
	} else if (slot_id(folio, 1) == MM_ID_DUMMY) {
		set_slot_id(folio, 1, id);
		folio->_mm_id_mapcount[1] = nr - 1;
		folio->_mm_ids |= BIT(SHARED_BIT);
	}
	bit_spin_unlock(LOCK_BIT, &folio->_mm_ids);
	return total + 1;
}

HOT bool sub_from_slot(struct folio *folio, int slot, s64 nr)
{
	s32 left = folio->_mm_id_mapcount[slot] - nr;

	if (left >= 0) {
		folio->_mm_id_mapcount[slot] = left;
		return true;
	}
	folio->_mm_id_mapcount[slot] = -1;
	set_slot_id(folio, slot, MM_ID_DUMMY);
	return false;
}

HOT s64 sub_large_mapcount(struct folio *folio, s64 nr, struct mm *mm)
{
	u32 id = mm->mm_id;
	bool left = false;
	s32 total;

	bit_spin_lock(LOCK_BIT, &folio->_mm_ids);
	total = READ_ONCE(folio->_large_mapcount) - nr;
	WRITE_ONCE(folio->_large_mapcount, total);
	if (slot_id(folio, 0) == id)
		left = sub_from_slot(folio, 0, nr);
	else if (slot_id(folio, 1) == id)
		left = sub_from_slot(folio, 1, nr);
	if (!left && (folio->_mm_id_mapcount[0] == total || folio->_mm_id_mapcount[1] == total))
		folio->_mm_ids &= ~BIT(SHARED_BIT);
	bit_spin_unlock(LOCK_BIT, &folio->_mm_ids);
	return total + 1;
}

HOT void scheme_dup_ptes(struct folio *folio, s64 nr, struct mm *mm)
{
	add_large_mapcount(folio, nr, mm);
}

HOT void scheme_dup_pmd(struct folio *folio, struct mm *mm)
{
	atomic_add(1, &folio->_entire_mapcount);
	add_large_mapcount(folio, 1, mm);
}

HOT bool scheme_can_reuse(struct folio *folio)
{
	bool exclusive;

	if (READ_ONCE(folio->_large_mapcount) <= 0 || test_bit(SHARED_BIT, &folio->_mm_ids))
		return false;
	if (unlikely(folio_test_swapcache(folio))) {
		if (!folio_trylock(folio))
			return false;
		folio_free_swap(folio);
		folio_unlock(folio);
	}
	if (READ_ONCE(folio->_large_mapcount) + 1 != folio_ref_count(folio))
		return false;
	bit_spin_lock(LOCK_BIT, &folio->_mm_ids);
	exclusive = !test_bit(SHARED_BIT, &folio->_mm_ids) &&
		    READ_ONCE(folio->_large_mapcount) + 1 == folio_ref_count(folio);
	bit_spin_unlock(LOCK_BIT, &folio->_mm_ids);
	return exclusive;
}

#ifdef SCHEME_MM_ID
HOT void scheme_new_anon(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	set_page_mapcounts(folio, page, nr);
	set_large_mapcount(folio, nr, mm);
}

HOT void scheme_new_anon_pmd(struct folio *folio, struct mm *mm)
{
	set_large_mapcount(folio, 1, mm);
	WRITE_ONCE(folio->_entire_mapcount, 0);
	WRITE_ONCE(folio->_nr_pages_mapped, ENTIRELY_MAPPED);
}

HOT s64 scheme_add_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	s64 first = add_page_mapcounts(folio, page, nr);

	add_large_mapcount(folio, nr, mm);
	return first;
}

HOT bool scheme_remove_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm, s64 *last)
{
	sub_large_mapcount(folio, nr, mm);
	*last = remove_page_mapcounts(folio, page, nr);
	return still_mapped(folio, *last);
}

HOT bool scheme_remove_pmd(struct folio *folio, struct mm *mm, s64 *nr, s64 *nr_pmdmapped)
{
	sub_large_mapcount(folio, 1, mm);
	return remove_entire_mapcount(folio, nr, nr_pmdmapped);
}
#else
HOT void scheme_new_anon(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	(void)page;
	set_large_mapcount(folio, nr, mm);
}

HOT void scheme_new_anon_pmd(struct folio *folio, struct mm *mm)
{
	set_large_mapcount(folio, 1, mm);
	WRITE_ONCE(folio->_entire_mapcount, 0);
}

HOT s64 scheme_add_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm)
{
	(void)page;
	return add_large_mapcount(folio, nr, mm) == nr ? folio_nr_pages(folio) : 0;
}

HOT bool scheme_remove_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *mm, s64 *last)
{
	s64 left = sub_large_mapcount(folio, nr, mm);
	s64 pages = folio_nr_pages(folio);

	(void)page;
	*last = left ? 0 : pages;
	return left && left < pages && READ_ONCE(folio->_entire_mapcount) < 0;
}

HOT bool scheme_remove_pmd(struct folio *folio, struct mm *mm, s64 *nr, s64 *nr_pmdmapped)
{
	s64 pages = folio_nr_pages(folio);
	bool last = atomic_add_negative(-1, &folio->_entire_mapcount);
	s64 left = sub_large_mapcount(folio, 1, mm);

	*nr_pmdmapped = last ? pages : 0;
	*nr = left ? 0 : pages;
	return left && last && left < pages;
}
#endif
#endif

/* -- the zone ---------------------------------------------------------------------------------- */
HOT void link_block(char *memory, struct zone *zone, u64 pfn, int order)
{
	struct page *page = pfn_to_page(memory, pfn);
	u64 first = zone->free_area[order];

	page->flags = BIT(PG_buddy);
	page->private = order;
	page->lru_prev = 0;
	page->lru_next = first << 1;
	if (first)
		pfn_to_page(memory, first - 1)->lru_prev = pfn + 1;
	zone->free_area[order] = pfn + 1;
}

HOT void unlink_block(char *memory, struct zone *zone, u64 pfn, int order)
{
	struct page *page = pfn_to_page(memory, pfn);
	u64 after = page->lru_next >> 1;
	u64 before = page->lru_prev;

	if (before)
		pfn_to_page(memory, before - 1)->lru_next = after << 1;
	else
		zone->free_area[order] = after;
	if (after)
		pfn_to_page(memory, after - 1)->lru_prev = before;
	page->flags = 0;
	page->private = 0;
	page->lru_next = 0;
	page->lru_prev = 0;
}

HOT s64 take_block(char *memory, struct zone *zone, int order)
{
	int have = order;
	u64 pfn;

	while (have <= (int)zone->max_order && !zone->free_area[have])
		have++;
	if (have > (int)zone->max_order)
		return -1;
	pfn = zone->free_area[have] - 1;
	unlink_block(memory, zone, pfn, have);
	while (have > order) {
		have--;
		link_block(memory, zone, pfn + BIT(have), have);
	}
	zone->nr_free -= BIT(order);
	return pfn;
}

HOT void give_block(char *memory, struct zone *zone, u64 pfn, int order)
{
	zone->nr_free += BIT(order);
	while (order < (int)zone->max_order) {
		u64 buddy = pfn ^ BIT(order);
		struct page *page = pfn_to_page(memory, buddy);

		if (buddy + BIT(order) > zone->nr_pages)
			break;
		if (page->flags != BIT(PG_buddy) || page->private != (u64)order)
			break;
		unlink_block(memory, zone, buddy, order);
		pfn &= ~BIT(order);
		order++;
	}
	link_block(memory, zone, pfn, order);
}

HOT void prep_compound_page(char *memory, u64 pfn, int order)
{
	struct page *page = pfn_to_page(memory, pfn);
	struct folio *folio = pfn_folio(memory, pfn);

	for (u64 i = 1; i < BIT(order); i++) {
		page[i].compound_head = pfn << 1 | 1;
		page[i].mapping = TAIL_MAPPING;
	}
	folio->_flags_1 = order;
	folio->_nr_pages = BIT(order);
	init_folio_fields(folio, BIT(order));
}

HOT s64 alloc_folio(char *memory, struct zone *zone, int order)
{
	struct page *page;
	s64 pfn;

	bit_spin_lock(0, &zone->lock);
	pfn = take_block(memory, zone, order);
	bit_spin_unlock(0, &zone->lock);
	if (pfn < 0)
		return pfn;
	page = pfn_to_page(memory, pfn);
	page->flags = 0;
	page->gup_refs = 0;
	page->private = 0;
	if (order) {
		page->flags = BIT(PG_head);
		prep_compound_page(memory, pfn, order);
	}
	WRITE_ONCE(page->_refcount, 1);
	return pfn;
}

HOT s64 free_folio(char *memory, struct zone *zone, u64 pfn)
{
	struct page *page = pfn_to_page(memory, pfn);
	int order = folio_order(pfn_folio(memory, pfn));

	for (u64 i = 0; i < BIT(order); i++) {
		WRITE_ONCE(page[i].flags, 0);
		WRITE_ONCE(page[i].mapping, 0);
		WRITE_ONCE(page[i].compound_head, 0);
	}
	bit_spin_lock(0, &zone->lock);
	give_block(memory, zone, pfn, order);
	bit_spin_unlock(0, &zone->lock);
	return BIT(order);
}

/* -- rmap -------------------------------------------------------------------------------------- */
HOT void mod_stat(struct cpu *cpu, struct folio *folio, s64 nr, s64 nr_pmdmapped)
{
	if (nr) {
		if (folio_test_anon(folio))
			cpu->NR_ANON_MAPPED += nr;
		else
			cpu->NR_FILE_MAPPED += nr;
	}
	if (nr_pmdmapped) {
		if (folio_test_anon(folio))
			cpu->NR_ANON_THPS += nr_pmdmapped;
		else if (test_bit(PG_swapbacked, &folio->flags))
			cpu->NR_SHMEM_PMDMAPPED += nr_pmdmapped;
		else
			cpu->NR_FILE_PMDMAPPED += nr_pmdmapped;
	}
}

static void deferred_split_folio(struct cpu *cpu, struct folio *folio)
{
	if (folio_order(folio) <= 1 || folio_test_swapcache(folio))
		return;
	if (!test_and_set_bit(PG_partially_mapped, &folio->_flags_1)) {
		cpu->NR_ANON_PARTIALLY_MAPPED++;
		cpu->THP_DEFERRED_SPLIT_PAGE++;
	}
	if (!folio->_deferred_list[0])
		folio->_deferred_list[0] = 1;
}

HOT void folio_unqueue_deferred_split(struct cpu *cpu, struct folio *folio)
{
	if (folio_order(folio) <= 1)
		return;
	if (test_bit(PG_partially_mapped, &folio->_flags_1))
		cpu->NR_ANON_PARTIALLY_MAPPED--;
	folio->_deferred_list[0] = 0;
}

HOT void folio_add_new_anon_rmap(struct cpu *cpu, struct folio *folio, struct page *page, struct mm *mm)
{
	s64 nr = 1;

	if (folio_test_large(folio)) {
		nr = folio_nr_pages(folio);
		scheme_new_anon(folio, page, nr, mm);
	} else {
		WRITE_ONCE(page->_mapcount, 0);
	}
	for (s64 i = 0; i < nr; i++)
		set_bit(PG_anon_exclusive, &page[i].flags);
	mod_stat(cpu, folio, nr, 0);
	cpu->nr_anon[folio_order(folio)]++;
}

HOT void folio_add_new_anon_rmap_pmd(struct cpu *cpu, struct folio *folio, struct page *page, struct mm *mm)
{
	s64 nr = folio_nr_pages(folio);

	scheme_new_anon_pmd(folio, mm);
	set_bit(PG_anon_exclusive, &page->flags);
	mod_stat(cpu, folio, nr, nr);
	cpu->nr_anon[folio_order(folio)]++;
}

HOT void folio_add_ptes(struct cpu *cpu, struct folio *folio, struct page *page, s64 nr_pages, struct mm *mm)
{
	s64 nr = 0;

	if (folio_test_large(folio))
		nr = scheme_add_ptes(folio, page, nr_pages, mm);
	else if (atomic_inc_and_test(&page->_mapcount))
		nr = 1;
	mod_stat(cpu, folio, nr, 0);
}

HOT void folio_add_anon_rmap_ptes(struct cpu *cpu, struct folio *folio, struct page *page, s64 nr_pages,
				  struct mm *mm, bool exclusive)
{
	folio_add_ptes(cpu, folio, page, nr_pages, mm);
	if (exclusive)
		for (s64 i = 0; i < nr_pages; i++)
			set_bit(PG_anon_exclusive, &page[i].flags);
}

HOT void folio_dup_file_rmap_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *child)
{
	if (folio_test_large(folio)) {
		for (s64 i = 0; i < nr; i++)
			scheme_dup_page(page + i);
		scheme_dup_ptes(folio, nr, child);
	} else {
		atomic_add(1, &page->_mapcount);
	}
}

COLD bool any_exclusive(struct page *page, s64 nr)
{
	for (s64 i = 0; i < nr; i++)
		if (page_anon_exclusive(page + i))
			return true;
	return false;
}

HOT bool folio_try_dup_anon_rmap_ptes(struct folio *folio, struct page *page, s64 nr, struct mm *parent,
				      struct mm *child)
{
	if (unlikely(folio_needs_cow_for_dma(folio, parent)) && any_exclusive(page, nr))
		return false;
	if (folio_test_large(folio)) {
		for (s64 i = 0; i < nr; i++) {
			if (page_anon_exclusive(page + i))
				clear_bit(PG_anon_exclusive, &page[i].flags);
			scheme_dup_page(page + i);
		}
		scheme_dup_ptes(folio, nr, child);
	} else {
		if (page_anon_exclusive(page))
			clear_bit(PG_anon_exclusive, &page->flags);
		atomic_add(1, &page->_mapcount);
	}
	return true;
}

HOT bool folio_try_dup_anon_rmap_pmd(struct folio *folio, struct page *page, struct mm *parent, struct mm *child)
{
	if (unlikely(folio_needs_cow_for_dma(folio, parent)) && page_anon_exclusive(page))
		return false;
	if (page_anon_exclusive(page))
		clear_bit(PG_anon_exclusive, &page->flags);
	scheme_dup_pmd(folio, child);
	return true;
}

HOT void after_removal(struct cpu *cpu, struct folio *folio, s64 nr, s64 nr_pmdmapped, bool partially_mapped)
{
	if (partially_mapped && folio_test_anon(folio) && !test_bit(PG_partially_mapped, &folio->_flags_1))
		deferred_split_folio(cpu, folio);
	mod_stat(cpu, folio, -nr, -nr_pmdmapped);
}

HOT void folio_remove_rmap_ptes(struct cpu *cpu, struct folio *folio, struct page *page, s64 nr_pages,
				struct mm *mm)
{
	if (folio_test_large(folio)) {
		s64 nr;
		bool partially_mapped = scheme_remove_ptes(folio, page, nr_pages, mm, &nr);

		after_removal(cpu, folio, nr, 0, partially_mapped);
	} else if (atomic_add_negative(-1, &page->_mapcount)) {
		mod_stat(cpu, folio, -1, 0);
	}
}

HOT void folio_remove_rmap_pmd(struct cpu *cpu, struct folio *folio, struct mm *mm)
{
	s64 nr, nr_pmdmapped;
	bool partially_mapped = scheme_remove_pmd(folio, mm, &nr, &nr_pmdmapped);

	after_removal(cpu, folio, nr, nr_pmdmapped, partially_mapped);
}

/* -- page tables ------------------------------------------------------------------------------- */
HOT s64 next_ptes(u64 *pte, u64 value, s64 limit)
{
	u64 expected = value & ~(u64)PTE_WRITE;
	s64 nr = 1;

	while (nr < limit && (READ_ONCE(pte[nr]) & ~(u64)PTE_WRITE) == expected + ((u64)nr << PFN_SHIFT))
		nr++;
	return nr;
}

#ifdef ONE_THREAD
HOT void wrprotect(u64 *entry)
{
	*entry &= ~(u64)PTE_WRITE;
}

HOT u64 get_and_clear(u64 *entry)
{
	u64 old = *entry;

	*entry = 0;
	return old;
}
#else
HOT void wrprotect(u64 *entry)
{
	u64 old = READ_ONCE(*entry);

	while (!__atomic_compare_exchange_n(entry, &old, old & ~(u64)PTE_WRITE, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

HOT u64 get_and_clear(u64 *entry)
{
	return __atomic_exchange_n(entry, 0, __ATOMIC_SEQ_CST);
}
#endif

/* -- zap --------------------------------------------------------------------------------------- */
HOT void folio_put_refs(struct machine m, u64 pfn, s64 nr)
{
	struct folio *folio = pfn_folio(m.memory, pfn);

	if (atomic_sub_return(nr, &folio->_refcount))
		return;
	if (folio_test_anon(folio)) {
		int order = 0;

		if (folio_test_large(folio)) {
			folio_unqueue_deferred_split(m.cpu, folio);
			order = folio->_flags_1 & ORDER_MASK;
		}
		m.cpu->nr_anon[order]--;
	}
	m.cpu->PGFREE += free_folio(m.memory, m.zone, pfn);
}

HOT bool folio_mapped(struct folio *folio)
{
	return (folio_test_large(folio) ? READ_ONCE(folio->_large_mapcount) : READ_ONCE(folio->_mapcount)) >= 0;
}

HOT void free_swap_cache(struct folio *folio)
{
	if (!unlikely(folio_test_swapcache(folio)) || folio_mapped(folio) || !folio_trylock(folio))
		return;
	folio_free_swap(folio);
	folio_unlock(folio);
}

static __attribute__((noinline)) void tlb_flush_mmu(struct machine m)
{
	for (u64 i = 0; i < m.cpu->gather_nr; i++) {
		u64 entry = m.cpu->gather[i];

		free_swap_cache(pfn_folio(m.memory, entry >> 16));
		folio_put_refs(m, entry >> 16, entry & 0xffff);
	}
	m.cpu->gather_nr = 0;
}

HOT void tlb_remove(struct machine m, u64 pfn, s64 nr)
{
	if (unlikely(m.cpu->gather_nr == GATHER_MAX))
		tlb_flush_mmu(m);
	m.cpu->gather[m.cpu->gather_nr++] = pfn << 16 | nr;
}

COLD void free_swap_entry(struct machine m, u64 pfn)
{
	u64 head = page_head_pfn(m.memory, pfn);
	struct folio *folio = pfn_folio(m.memory, head);
	s64 nr = folio_nr_pages(folio);

	if (--folio->private == 0 && folio_ref_count(folio) == nr && folio_test_swapcache(folio)) {
		clear_bit(PG_swapcache, &folio->flags);
		folio_put_refs(m, head, nr);
	}
}

HOT s64 zap_present(struct machine m, struct mm *mm, u64 *pte, s64 room, u64 value)
{
	u64 pfn = value >> PFN_SHIFT;
	u64 head = page_head_pfn(m.memory, pfn);
	struct folio *folio = pfn_folio(m.memory, head);
	s64 limit = head + folio_nr_pages(folio) - pfn;
	s64 nr = next_ptes(pte, value, room < limit ? room : limit);

	for (s64 i = 0; i < nr; i++)
		get_and_clear(pte + i);
	if (folio_test_anon(folio))
		mm->rss_anon -= nr;
	else
		mm->rss_file -= nr;
	folio_remove_rmap_ptes(m.cpu, folio, pfn_to_page(m.memory, pfn), nr, mm);
	tlb_remove(m, head, nr);
	return nr;
}

HOT void zap_ptes(struct machine m, struct mm *mm, u64 start, u64 end)
{
	u64 *pte = pte_ref(m.memory, mm, start);
	u64 *stop = pte + (end - start);

	while (pte < stop) {
		u64 value = READ_ONCE(*pte);

		if (value & PTE_PRESENT) {
			pte += zap_present(m, mm, pte, stop - pte, value);
			continue;
		}
		if (unlikely(value)) {
			*pte = 0;
			mm->rss_swap--;
			free_swap_entry(m, value >> PFN_SHIFT);
		}
		pte++;
	}
}

static void zap_huge_pmd(struct machine m, struct mm *mm, u64 vpn)
{
	u64 pfn = get_and_clear(pmd_ref(m.memory, mm, vpn)) >> PFN_SHIFT;
	struct folio *folio = pfn_folio(m.memory, pfn);

	folio_remove_rmap_pmd(m.cpu, folio, mm);
	if (folio_test_anon(folio))
		mm->rss_anon -= PTRS_PER_PTE;
	else
		mm->rss_file -= PTRS_PER_PTE;
	tlb_remove(m, pfn, 1);
}

/* -- PMD mappings ------------------------------------------------------------------------------ */
HOT bool anon_huge_fault(struct machine m, struct mm *mm, u64 vpn, bool batched)
{
	s64 pfn = alloc_folio(m.memory, m.zone, PMD_ORDER);
	struct page *page;

	if (pfn < 0)
		return false;
	page = pfn_to_page(m.memory, pfn);
	page->mapping = MAPPING_ANON;
	folio_add_new_anon_rmap_pmd(m.cpu, pfn_folio(m.memory, pfn), page, mm);
	folio_add_lru(pfn_folio(m.memory, pfn), batched);
	WRITE_ONCE(*pmd_ref(m.memory, mm, vpn), (u64)pfn << PFN_SHIFT | PTE_ANON);
	mm->rss_anon += PTRS_PER_PTE;
	return true;
}

HOT void split_huge_pmd(struct machine m, struct mm *mm, u64 vpn)
{
	u64 *pmd = pmd_ref(m.memory, mm, vpn);
	u64 value = READ_ONCE(*pmd);
	u64 pfn = value >> PFN_SHIFT;
	struct folio *folio = pfn_folio(m.memory, pfn);
	struct page *page = pfn_to_page(m.memory, pfn);
	bool exclusive;
	u64 *pte;

	vpn &= ~(u64)(PTRS_PER_PTE - 1);
	if (!folio_test_anon(folio)) {
		zap_huge_pmd(m, mm, vpn);
		return;
	}
	exclusive = page_anon_exclusive(page);
	atomic_add(PTRS_PER_PTE - 1, &folio->_refcount);
	folio_add_anon_rmap_ptes(m.cpu, folio, page, PTRS_PER_PTE, mm, exclusive);
	pte = pte_ref(m.memory, mm, vpn);
	for (u64 i = 0; i < PTRS_PER_PTE; i++)
		WRITE_ONCE(pte[i], value + (i << PFN_SHIFT));
	WRITE_ONCE(*pmd, 0);
	folio_remove_rmap_pmd(m.cpu, folio, mm);
}

static void split_edges(struct machine m, struct mm *mm, u64 start, u64 end)
{
	if (start % PTRS_PER_PTE && READ_ONCE(*pmd_ref(m.memory, mm, start)))
		split_huge_pmd(m, mm, start);
	if (end % PTRS_PER_PTE && READ_ONCE(*pmd_ref(m.memory, mm, end)))
		split_huge_pmd(m, mm, end);
}

static bool can_reuse_huge_pmd(struct folio *folio)
{
	s64 allowed = folio_test_swapcache(folio) ? 1 + folio_nr_pages(folio) : 1;
	bool sole;

	if (folio_ref_count(folio) > allowed || !folio_trylock(folio))
		return false;
	folio_free_swap(folio);
	sole = folio_ref_count(folio) == 1;
	folio_unlock(folio);
	return sole;
}

static bool huge_wp_fault(struct machine m, struct mm *mm, u64 vpn)
{
	u64 *pmd = pmd_ref(m.memory, mm, vpn);
	u64 value = READ_ONCE(*pmd);
	u64 pfn = value >> PFN_SHIFT;
	struct page *page = pfn_to_page(m.memory, pfn);

	if (!page_anon_exclusive(page)) {
		if (!can_reuse_huge_pmd(pfn_folio(m.memory, pfn)))
			return false;
		set_bit(PG_anon_exclusive, &page->flags);
	}
	WRITE_ONCE(*pmd, value | PTE_WRITE);
	return true;
}

/* -- fork -------------------------------------------------------------------------------------- */
HOT s64 new_small_anon(struct machine m, struct mm *mm)
{
	s64 pfn = alloc_folio(m.memory, m.zone, 0);

	if (pfn >= 0) {
		struct page *page = pfn_to_page(m.memory, pfn);

		page->mapping = MAPPING_ANON;
		folio_add_new_anon_rmap(m.cpu, pfn_folio(m.memory, pfn), page, mm);
		set_bit(PG_lru, &page->flags);
	}
	return pfn;
}

HOT void copy_page(struct machine m, u64 to, u64 from)
{
	memcpy(m.contents + to * PAGE_SIZE, m.contents + from * PAGE_SIZE, PAGE_SIZE);
}

COLD s64 copy_for_child(struct machine m, struct mm *child, u64 pfn)
{
	s64 copy = new_small_anon(m, child);

	if (copy >= 0) {
		if (m.zone->has_contents)
			copy_page(m, copy, pfn);
		m.cpu->PGCOPY++;
		child->rss_anon++;
	}
	return copy;
}

/* Returns the size of the batch, 0 without memory. */
HOT s64 copy_present(struct machine m, struct mm *parent, struct mm *child, u64 *pte, u64 *to, s64 room, u64 value)
{
	u64 pfn = value >> PFN_SHIFT;
	u64 head = page_head_pfn(m.memory, pfn);
	struct folio *folio = pfn_folio(m.memory, head);
	struct page *page = pfn_to_page(m.memory, pfn);
	s64 limit = head + folio_nr_pages(folio) - pfn;
	s64 nr = next_ptes(pte, value, room < limit ? room : limit);

	atomic_add(nr, &folio->_refcount);
	if (folio_test_anon(folio)) {
		if (unlikely(!folio_try_dup_anon_rmap_ptes(folio, page, nr, parent, child))) {
			atomic_sub(nr - 1, &folio->_refcount);
			nr = 1;
			if (!folio_try_dup_anon_rmap_ptes(folio, page, 1, parent, child)) {
				s64 copy;

				atomic_sub(1, &folio->_refcount);
				copy = copy_for_child(m, child, pfn);
				if (copy < 0)
					return 0;
				WRITE_ONCE(*to, (u64)copy << PFN_SHIFT | PTE_ANON);
				return 1;
			}
		}
		child->rss_anon += nr;
	} else {
		folio_dup_file_rmap_ptes(folio, page, nr, child);
		child->rss_file += nr;
	}
	if (unlikely(value & PTE_VM_SHARED)) {
		for (s64 i = 0; i < nr; i++)
			WRITE_ONCE(to[i], READ_ONCE(pte[i]));
		return nr;
	}
	for (s64 i = 0; i < nr; i++)
		if (READ_ONCE(pte[i]) & PTE_WRITE)
			wrprotect(pte + i);
	value &= ~(u64)PTE_WRITE;
	for (s64 i = 0; i < nr; i++)
		WRITE_ONCE(to[i], value + ((u64)i << PFN_SHIFT));
	return nr;
}

COLD void copy_swap_entry(struct machine m, struct mm *child, u64 *pte, u64 *to, u64 value)
{
	pfn_folio(m.memory, page_head_pfn(m.memory, value >> PFN_SHIFT))->private++;
	value &= ~(u64)PTE_SWAP_EXCLUSIVE;
	*pte = value;
	*to = value;
	child->rss_swap++;
}

HOT int copy_ptes(struct machine m, struct mm *parent, struct mm *child, u64 start, u64 end)
{
	u64 *pte = pte_ref(m.memory, parent, start);
	u64 *to = pte_ref(m.memory, child, start);
	u64 *stop = pte + (end - start);

	while (pte < stop) {
		u64 value = READ_ONCE(*pte);
		s64 nr = 1;

		if (value & PTE_PRESENT) {
			nr = copy_present(m, parent, child, pte, to, stop - pte, value);
			if (unlikely(!nr))
				return ENOMEM;
		} else if (unlikely(value)) {
			copy_swap_entry(m, child, pte, to, value);
		}
		pte += nr;
		to += nr;
	}
	return OK;
}

HOT bool copy_huge_pmd(struct machine m, struct mm *parent, struct mm *child, u64 vpn)
{
	u64 *pmd = pmd_ref(m.memory, parent, vpn);
	u64 value = READ_ONCE(*pmd);
	u64 pfn = value >> PFN_SHIFT;
	struct folio *folio = pfn_folio(m.memory, pfn);

	if (!folio_test_anon(folio))
		return true;
	atomic_add(1, &folio->_refcount);
	if (!folio_try_dup_anon_rmap_pmd(folio, pfn_to_page(m.memory, pfn), parent, child)) {
		atomic_sub(1, &folio->_refcount);
		return false;
	}
	wrprotect(pmd);
	WRITE_ONCE(*pmd_ref(m.memory, child, vpn), value & ~(u64)PTE_WRITE);
	child->rss_anon += PTRS_PER_PTE;
	return true;
}

/* -- faults ------------------------------------------------------------------------------------ */
HOT bool anon_fault(struct machine m, struct mm *mm, u64 vpn, int order, bool batched)
{
	s64 pfn = alloc_folio(m.memory, m.zone, order);
	s64 nr = BIT(order);
	struct folio *folio;
	struct page *page;
	u64 *pte;

	if (pfn < 0)
		return false;
	folio = pfn_folio(m.memory, pfn);
	page = pfn_to_page(m.memory, pfn);
	page->mapping = MAPPING_ANON;
	if (nr > 1)
		atomic_add(nr - 1, &folio->_refcount);
	mm->rss_anon += nr;
	folio_add_new_anon_rmap(m.cpu, folio, page, mm);
	folio_add_lru(folio, batched);
	pte = pte_ref(m.memory, mm, vpn);
	for (s64 i = 0; i < nr; i++)
		WRITE_ONCE(pte[i], (u64)(pfn + i) << PFN_SHIFT | PTE_ANON);
	return true;
}

HOT bool can_reuse_small(struct folio *folio)
{
	bool sole;

	if (folio_ref_count(folio) > 3)
		return false;
	lru_add_drain(folio);
	if (folio_ref_count(folio) > 1 + folio_test_swapcache(folio) || !folio_trylock(folio))
		return false;
	folio_free_swap(folio);
	sole = folio_ref_count(folio) == 1;
	folio_unlock(folio);
	return sole;
}

HOT bool can_reuse(struct folio *folio)
{
	return folio_test_large(folio) ? scheme_can_reuse(folio) : can_reuse_small(folio);
}

static int wp_page_copy(struct machine m, struct mm *mm, u64 *pte, u64 value)
{
	u64 pfn = value >> PFN_SHIFT;
	u64 head = page_head_pfn(m.memory, pfn);
	struct folio *folio = pfn_folio(m.memory, head);
	struct page *page;
	s64 copy;

	atomic_add(1, &folio->_refcount);
	copy = alloc_folio(m.memory, m.zone, 0);
	if (copy < 0) {
		folio_put_refs(m, head, 1);
		return NO_MEMORY;
	}
	if (m.zone->has_contents)
		copy_page(m, copy, pfn);
	get_and_clear(pte);
	page = pfn_to_page(m.memory, copy);
	page->mapping = MAPPING_ANON;
	folio_add_new_anon_rmap(m.cpu, pfn_folio(m.memory, copy), page, mm);
	set_bit(PG_lru, &page->flags);
	WRITE_ONCE(*pte, (u64)copy << PFN_SHIFT | PTE_ANON);
	folio_remove_rmap_ptes(m.cpu, folio, pfn_to_page(m.memory, pfn), 1, mm);
	if (!folio_test_anon(folio)) {
		mm->rss_file--;
		mm->rss_anon++;
	}
	folio_put_refs(m, head, 1);
	free_swap_cache(folio);
	folio_put_refs(m, head, 1);
	m.cpu->PGCOPY++;
	return COPIED;
}

HOT int wp_fault(struct machine m, struct mm *mm, u64 *pte, u64 value)
{
	u64 pfn = value >> PFN_SHIFT;
	struct folio *folio;
	struct page *page;

	if (unlikely(value & PTE_VM_SHARED)) {
		WRITE_ONCE(*pte, value | PTE_WRITE | PTE_DIRTY);
		return UNCHANGED;
	}
	folio = pfn_folio(m.memory, page_head_pfn(m.memory, pfn));
	page = pfn_to_page(m.memory, pfn);
	if (folio_test_anon(folio) && (page_anon_exclusive(page) || can_reuse(folio))) {
		set_bit(PG_anon_exclusive, &page->flags);
		WRITE_ONCE(*pte, value | PTE_WRITE | PTE_DIRTY);
		m.cpu->PGREUSE++;
		return REUSED;
	}
	return wp_page_copy(m, mm, pte, value);
}

/* A write below a read-only PMD of a file: the PMD goes, and the one page is faulted in again. */
COLD int write_fault_file_pmd(struct machine m, struct mm *mm, u64 vpn, u64 *pte, u64 pmd)
{
	u64 pfn = (pmd >> PFN_SHIFT) + vpn % PTRS_PER_PTE;
	s64 copy;

	split_huge_pmd(m, mm, vpn);
	if (pmd & PTE_VM_SHARED) {
		struct folio *folio = pfn_folio(m.memory, page_head_pfn(m.memory, pfn));

		atomic_add(1, &folio->_refcount);
		folio_add_ptes(m.cpu, folio, pfn_to_page(m.memory, pfn), 1, mm);
		WRITE_ONCE(*pte, pfn << PFN_SHIFT | (pmd & PTE_FLAGS) | PTE_WRITE | PTE_DIRTY);
		mm->rss_file++;
		return UNCHANGED;
	}
	copy = new_small_anon(m, mm);
	if (copy < 0)
		return NO_MEMORY;
	if (m.zone->has_contents)
		copy_page(m, copy, pfn);
	WRITE_ONCE(*pte, (u64)copy << PFN_SHIFT | PTE_ANON);
	mm->rss_anon++;
	m.cpu->PGCOPY++;
	return COPIED;
}

HOT int write_fault(struct machine m, struct mm *mm, u64 vpn, u64 *pte)
{
	u64 pmd = READ_ONCE(*pmd_ref(m.memory, mm, vpn));
	u64 value;

	if (pmd) {
		if (pmd & PTE_WRITE)
			return UNCHANGED;
		if (unlikely(!folio_test_anon(pfn_folio(m.memory, pmd >> PFN_SHIFT))))
			return write_fault_file_pmd(m, mm, vpn, pte, pmd);
		if (huge_wp_fault(m, mm, vpn))
			return REUSED;
		split_huge_pmd(m, mm, vpn);
	}
	value = READ_ONCE(*pte);
	if (value & PTE_PRESENT)
		return value & PTE_WRITE ? UNCHANGED : wp_fault(m, mm, pte, value);
	return value ? SWAPPED : NOT_MAPPED;
}

HOT int write_page(struct machine m, struct mm *mm, u64 vpn, int byte, u64 nbytes)
{
	u64 *pte = pte_ref(m.memory, mm, vpn);
	u64 value = READ_ONCE(*pte);
	int outcome = UNCHANGED;

	if (!(value & PTE_WRITE) || !(value & PTE_PRESENT))
		outcome = write_fault(m, mm, vpn, pte);
	if (outcome <= COPIED && m.zone->has_contents) {
		u64 pmd = READ_ONCE(*pmd_ref(m.memory, mm, vpn));
		u64 pfn = pmd ? (pmd >> PFN_SHIFT) + vpn % PTRS_PER_PTE : READ_ONCE(*pte) >> PFN_SHIFT;

		memset(m.contents + pfn * PAGE_SIZE, byte, nbytes);
	}
	return outcome;
}

/* -- entry points: the arguments are those of framework/engine/entrypoints.py --------------------------- */
EXPORT s64 populate(char *memory, s64 cpu, s64 zone, s64 who, s64 start, s64 nr, s64 order, s64 pmd, s64 batched)
{
	struct machine m = machine_at(memory, NULL, cpu, zone);
	struct mm *mm = mm_at(memory, who);

	for (s64 vpn = start; vpn < start + nr; vpn += BIT(order)) {
		if (order == PMD_ORDER) {
			if (!anon_huge_fault(m, mm, vpn, batched))
				return ENOMEM;
			if (!pmd)
				split_huge_pmd(m, mm, vpn);
		} else if (!anon_fault(m, mm, vpn, order, batched)) {
			return ENOMEM;
		}
	}
	return OK;
}

EXPORT s64 fork_range(char *memory, char *contents, s64 cpu, s64 zone, s64 parent, s64 child, s64 start, s64 nr)
{
	struct machine m = machine_at(memory, contents, cpu, zone);
	struct mm *from = mm_at(memory, parent);
	struct mm *to = mm_at(memory, child);
	s64 end = start + nr;

	split_edges(m, from, start, end);
	for (s64 vpn = start, stop; vpn < end; vpn = stop) {
		stop = (vpn | (PTRS_PER_PTE - 1)) + 1;
		if (stop > end)
			stop = end;
		if (READ_ONCE(*pmd_ref(memory, from, vpn))) {
			if (copy_huge_pmd(m, from, to, vpn))
				continue;
			split_huge_pmd(m, from, vpn);
		}
		if (copy_ptes(m, from, to, vpn, stop) != OK)
			return ENOMEM;
	}
	return OK;
}

EXPORT s64 zap_range(char *memory, s64 cpu, s64 zone, s64 who, s64 start, s64 nr, s64 flush)
{
	struct machine m = machine_at(memory, NULL, cpu, zone);
	struct mm *mm = mm_at(memory, who);
	s64 end = start + nr;

	split_edges(m, mm, start, end);
	for (s64 vpn = start, stop; vpn < end; vpn = stop) {
		stop = (vpn | (PTRS_PER_PTE - 1)) + 1;
		if (stop > end)
			stop = end;
		if (READ_ONCE(*pmd_ref(memory, mm, vpn)))
			zap_huge_pmd(m, mm, vpn);
		else
			zap_ptes(m, mm, vpn, stop);
	}
	if (flush)
		tlb_flush_mmu(m);
	return OK;
}

EXPORT s64 split_range(char *memory, s64 cpu, s64 zone, s64 who, s64 start, s64 nr)
{
	struct machine m = machine_at(memory, NULL, cpu, zone);
	struct mm *mm = mm_at(memory, who);

	for (s64 vpn = start & ~(s64)(PTRS_PER_PTE - 1); vpn < start + nr; vpn += PTRS_PER_PTE)
		if (READ_ONCE(*pmd_ref(memory, mm, vpn)))
			split_huge_pmd(m, mm, vpn);
	return OK;
}

EXPORT s64 write_range(char *memory, char *contents, s64 cpu, s64 zone, s64 who, s64 start, s64 nr, s64 byte,
		       s64 nbytes)
{
	struct machine m = machine_at(memory, contents, cpu, zone);
	struct mm *mm = mm_at(memory, who);
	int outcome = UNCHANGED;

	for (s64 vpn = start; vpn < start + nr; vpn++) {
		outcome = write_page(m, mm, vpn, byte, nbytes);
		if (unlikely(outcome > COPIED))
			return (vpn - start) << 3 | outcome;
	}
	return nr << 3 | outcome;
}
