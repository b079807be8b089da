/*
 * The replay's loop in plain C, for the events of the benchmarks' streams: what the native replay is measured against.
 *
 * Written for this project; no text of any kernel is in it. The engine's part is reference.c's, without atomics, since
 * one thread runs it. It keeps the same tables in the same memory as framework/replay (C_… are the names of cells.py,
 * O_… those of owners.py, L_… those of loop.py, EV_… those of trace/events.py), so that whole memories can be compared;
 * how it reaches them is as one writes C. It looks up write faults together and prefetches where the replay does. It
 * stops before an event of another kind.
 */
#define ONE_THREAD
#include "reference.c"

struct replay {
	struct machine m;
	s64 *reg, *mm, *slot, *free, *used, *count, *family, *virtual, *hash_cell, *hash, *cluster;
	s64 *folio, *large, *list, *bucket, *matrix, *tally, *ends, *lengths, *found;
	s64 mms, mm_stride, windows, heads, mm_limit, hash_size;
};

HOT s64 *table(char *memory, s64 *reg, int number)
{
	return (s64 *)(memory + reg[number]);
}

HOT struct replay replay_at(char *memory, char *contents, s64 base)
{
	s64 *reg = (s64 *)(memory + base);
	struct replay r = {
		.m = machine_at(memory, contents, reg[C_CPU], reg[C_ZONE]),
		.reg = reg,
		.mm = table(memory, reg, C_AT_MM),
		.slot = table(memory, reg, C_AT_SLOT),
		.free = table(memory, reg, C_AT_FREE),
		.used = table(memory, reg, C_AT_USED),
		.count = table(memory, reg, C_AT_COUNT),
		.family = table(memory, reg, C_AT_FAMILY),
		.virtual = table(memory, reg, C_AT_VIRTUAL),
		.hash_cell = table(memory, reg, C_AT_HASH_CELL),
		.hash = table(memory, reg, C_AT_HASH),
		.cluster = table(memory, reg, C_AT_CLUSTER),
		.folio = table(memory, reg, C_AT_FOLIO),
		.large = table(memory, reg, C_AT_LARGE),
		.list = table(memory, reg, C_AT_LIST),
		.bucket = table(memory, reg, C_AT_BUCKET),
		.matrix = table(memory, reg, C_AT_MATRIX),
		.tally = table(memory, reg, C_AT_TALLY),
		.ends = table(memory, reg, C_AT_ENDS),
		.lengths = table(memory, reg, C_AT_LENGTHS),
		.found = table(memory, reg, C_AT_FOUND),
		.mms = reg[C_MMS],
		.mm_stride = reg[C_MM_STRIDE],
		.windows = reg[C_WINDOWS],
		.heads = reg[C_HEADS],
		.mm_limit = reg[C_MM_LIMIT],
		.hash_size = reg[C_HASH_SIZE],
	};

	return r;
}

HOT struct mm *mm_of(struct replay r, s64 slot)
{
	return mm_at(r.m.memory, r.mms + slot * r.mm_stride);
}

HOT s64 *slot_at(struct replay r, s64 slot)
{
	return r.slot + C_SLOT_CELLS * slot;
}

HOT s64 family_of(struct replay r, s64 slot)
{
	return slot_at(r, slot)[1];
}

HOT s64 *family_at(struct replay r, s64 family)
{
	return r.family + C_FAMILY_CELLS * family;
}

HOT s64 *used_at(struct replay r, s64 slot, s64 dense)
{
	return r.used + slot * r.windows + dense;
}

HOT s64 *folio_at(struct replay r, s64 head)
{
	return r.folio + C_FOLIO_CELLS * (head >> 2);
}

HOT s64 *count_at(struct replay r, s64 slot, s64 head)
{
	return r.count + slot * r.heads + (head >> 2);
}

HOT s64 large_head(struct replay r, s64 frame)
{
	return r.large[frame >> 2] - 1;
}

HOT s64 frame_of(struct replay r, struct mm *mm, u64 vpn)
{
	u64 pmd = *pmd_ref(r.m.memory, mm, vpn);
	u64 value;

	if (pmd)
		return (pmd >> PFN_SHIFT) + vpn % PTRS_PER_PTE;
	value = *pte_ref(r.m.memory, mm, vpn);
	return value & PTE_PRESENT ? (s64)(value >> PFN_SHIFT) : -1;
}

/* -- address spaces ---------------------------------------------------------------------------- */
HOT s64 slot_of(struct replay r, s64 mm)
{
	s64 known;

	if (mm <= 0 || mm >= r.mm_limit)
		return -1;
	known = r.mm[mm];
	return known && known != DEAD ? known - 1 : -1;
}

HOT bool is_dead(struct replay r, s64 mm)
{
	return mm > 0 && mm < r.mm_limit && r.mm[mm] == DEAD;
}

HOT void bury(struct replay r, s64 mm)
{
	if (mm > 0 && mm < r.mm_limit)
		r.mm[mm] = DEAD;
}

static bool mm_alloc_id(struct machine m, struct mm *mm)
{
	u64 *ids = (u64 *)(m.memory + m.zone->mm_ida);

	for (u64 word = 0; word < m.zone->mm_ida_words; word++) {
		int bit;

		if (ids[word] == ~0ull)
			continue;
		bit = __builtin_ctzll(~ids[word]);
		if (64 * word + bit > m.zone->max_mm_id)
			return false;
		ids[word] |= BIT(bit);
		mm->mm_id = 64 * word + bit;
		mm->flags = 0;
		return true;
	}
	return false;
}

static void mm_free_id(struct machine m, struct mm *mm)
{
	u64 id = mm->mm_id;

	mm->mm_id = MM_ID_DUMMY;
	if (id < 64 * m.zone->mm_ida_words)
		((u64 *)(m.memory + m.zone->mm_ida))[id >> 6] &= ~BIT(id & 63);
}

static s64 new_family(struct replay r, s64 cluster)
{
	s64 family = 0;
	s64 *at;

	if (cluster && r.cluster[cluster]) {
		at = family_at(r, r.cluster[cluster] - 1);
		if (at[0] && at[2] == cluster)
			return r.cluster[cluster] - 1;
	}
	while (family_at(r, family)[0])
		family++;
	at = family_at(r, family);
	at[1] = 0;
	at[2] = cluster;
	if (cluster)
		r.cluster[cluster] = family + 1;
	return family;
}

static s64 create(struct replay r, s64 mm, s64 relative, s64 cluster)
{
	s64 left = r.reg[C_FREE_SLOTS];
	s64 slot, family;

	if (!left || mm >= r.mm_limit) {
		r.reg[C_STATUS] = C_NO_SLOTS;
		return -1;
	}
	slot = r.free[left - 1];
	if (!mm_alloc_id(r.m, mm_of(r, slot))) {
		r.reg[C_STATUS] = C_NO_IDS;
		return -1;
	}
	r.reg[C_FREE_SLOTS] = left - 1;
	r.reg[C_LIVE]++;
	family = relative >= 0 ? family_of(r, relative) : new_family(r, cluster);
	family_at(r, family)[0]++;
	slot_at(r, slot)[0] = 1;
	slot_at(r, slot)[1] = family;
	slot_at(r, slot)[2] = mm;
	r.mm[mm] = slot + 1;
	return slot;
}

static void destroy(struct replay r, s64 slot)
{
	s64 family = family_of(r, slot);
	s64 *at = family_at(r, family);

	mm_free_id(r.m, mm_of(r, slot));
	if (--at[0] == 0) {
		for (s64 dense = 1; dense <= at[1]; dense++)
			*(s64 *)(r.m.memory + r.hash_cell[family * r.windows + dense]) = 0;
		at[1] = 0;
	}
	r.free[r.reg[C_FREE_SLOTS]++] = slot;
	r.reg[C_LIVE]--;
}

HOT s64 window_of(struct replay r, s64 family, s64 window, bool make)
{
	s64 mask = r.hash_size - 1;
	s64 *entries = r.hash + family * r.hash_size;
	s64 mixed = window * 40503;
	s64 i = (mixed ^ mixed >> 16) & mask;
	s64 dense;

	while (entries[i]) {
		if (entries[i] >> DENSE_BITS == window + 1)
			return entries[i] & DENSE_MASK;
		i = (i + 1) & mask;
	}
	if (!make)
		return 0;
	dense = family_at(r, family)[1] + 1;
	if (dense >= r.windows) {
		r.reg[C_STATUS] = C_NO_WINDOWS;
		return -1;
	}
	family_at(r, family)[1] = dense;
	entries[i] = (window + 1) << DENSE_BITS | dense;
	r.virtual[family * r.windows + dense] = window;
	r.hash_cell[family * r.windows + dense] = (char *)(entries + i) - r.m.memory;
	return dense;
}

HOT s64 page_at(struct replay r, s64 slot, s64 page, bool make)
{
	s64 dense = window_of(r, family_of(r, slot), page >> PMD_ORDER, make);

	if (dense <= 0)
		return -1;
	if (make)
		*used_at(r, slot, dense) = 1;
	return dense << PMD_ORDER | page % PTRS_PER_PTE;
}

/* -- the account ------------------------------------------------------------------------------- */
HOT void mark(struct replay r, s64 head, int order, s64 value)
{
	for (s64 i = 0; i < 1ll << (order - 2); i++)
		r.large[(head >> 2) + i] = value;
}

HOT void opened(struct replay r, s64 head, int order)
{
	s64 *at = folio_at(r, head);

	at[0] = (s64)order << O_ORDER_SHIFT;
	at[1] = 0;
	at[4] = 0;
	mark(r, head, order, head + 1);
}

HOT void gained(struct replay r, s64 slot, s64 head, s64 nr)
{
	s64 *at = folio_at(r, head), *count = count_at(r, slot, head);

	if (!*count)
		at[1]++;
	*count += nr;
	at[4] += nr;
}

HOT void lost(struct replay r, s64 slot, s64 head, s64 nr)
{
	s64 *at = folio_at(r, head), *count = count_at(r, slot, head);

	*count -= nr;
	at[4] -= nr;
	if (!*count)
		at[1]--;
}

HOT void count_mappings(struct replay r, s64 slot, s64 head, s64 nr, bool gain)
{
	if (gain)
		gained(r, slot, head, nr);
	else
		lost(r, slot, head, nr);
}

HOT void move_bucket(struct replay r, s64 bucket, s64 folios, s64 pages)
{
	s64 *at = r.bucket + C_BUCKET_CELLS * bucket;
	s64 passed = r.reg[C_NOW] - at[2];

	if (passed) {
		at[3] += at[0] * passed;
		at[4] += at[1] * passed;
		at[2] = r.reg[C_NOW];
	}
	at[0] += folios;
	at[1] += pages;
}

HOT s64 length_class(s64 length)
{
	int shift = 0;

	while (length >> shift >= C_EXACT_LENGTHS)
		shift++;
	return shift * (C_EXACT_LENGTHS / 2) + (length >> shift);
}

HOT void at_least(s64 *most, s64 value)
{
	if (value > *most)
		*most = value;
}

static void ended(struct replay r, s64 *at, s64 was, s64 owners)
{
	bool unsafe = was == O_IS_UNSAFE;
	s64 lasted = r.reg[C_NOW] - at[2];
	s64 *lengths = r.lengths + 2 * NR_LENGTHS * unsafe;
	int how = C_ANSWER;

	if (!owners)
		how = C_GONE;
	else if ((owners == 1) == unsafe)
		how = C_OWNERS;
	else if (!unsafe && at[4] == 1)
		how = C_ONE_PAGE;
	if (lasted <= 0)
		return;
	r.tally[unsafe ? C_UNSAFE_EPISODES : C_FALSE_EPISODES]++;
	at_least(r.tally + (unsafe ? C_UNSAFE_LONGEST : C_FALSE_LONGEST), lasted);
	at_least(r.tally + (unsafe ? C_UNSAFE_LONGEST_OPS : C_FALSE_LONGEST_OPS), at[3]);
	lengths[length_class(lasted)]++;
	lengths[NR_LENGTHS + length_class(at[3])]++;
	r.ends[(unsafe * NR_KINDS + r.reg[C_EVENT]) * NR_HOW + how]++;
}

HOT void wrongness(struct replay r, s64 *at, s64 state, s64 owners, s64 wrong)
{
	s64 was = state & (O_IS_FALSE | O_IS_UNSAFE);
	s64 pages = 1ll << (state >> O_ORDER_SHIFT);

	if (was == wrong) {
		if (was)
			at[3]++;
		return;
	}
	if (was) {
		move_bucket(r, was == O_IS_UNSAFE ? C_UNSAFE : C_FALSE, -1, -pages);
		ended(r, at, was, owners);
	}
	at[2] = r.reg[C_NOW];
	at[3] = 1;
	if (wrong == O_IS_FALSE) {
		s64 folios;

		move_bucket(r, C_FALSE, 1, pages);
		folios = r.bucket[C_BUCKET_CELLS * C_FALSE];
		if (folios > r.tally[C_FALSE_PEAK]) {
			r.tally[C_FALSE_PEAK] = folios;
			r.tally[C_FALSE_PEAK_AT] = r.reg[C_NOW];
		}
	}
	if (wrong == O_IS_UNSAFE) {
		move_bucket(r, C_UNSAFE, 1, pages);
		if (!r.tally[C_UNSAFE_FIRST])
			r.tally[C_UNSAFE_FIRST] = r.reg[C_NOW] + 1;
	}
}

#ifdef SCHEME_PAGE_MAPCOUNT
HOT bool scheme_shared(struct folio *folio)
{
	s64 total = folio->_large_mapcount + 1;

	if (total <= 1)
		return false;
	if (folio->_entire_mapcount >= 0 || total > folio_nr_pages(folio))
		return true;
	return ((struct page *)folio)->_mapcount > 0;
}
#else
HOT bool scheme_shared(struct folio *folio)
{
	return folio->_large_mapcount > 0 && test_bit(SHARED_BIT, &folio->_mm_ids);
}
#endif

static __attribute__((noinline)) void touched(struct replay *of, s64 head)
{
	struct replay r = *of;
	s64 *at = folio_at(r, head);
	s64 state = at[0], owners = at[1], old = state & O_OWNERS_MASK, wrong = 0;
	s64 pages = 1ll << (state >> O_ORDER_SHIFT);

	if (!state)
		return;
	if (owners != old) {
		if (old)
			move_bucket(r, old < C_MOST_OWNERS ? old : C_MOST_OWNERS, -1, -pages);
		if (owners)
			move_bucket(r, owners < C_MOST_OWNERS ? owners : C_MOST_OWNERS, 1, pages);
	}
	if (owners) {
		bool shared = scheme_shared(pfn_folio(r.m.memory, head));

		if (shared && owners == 1)
			wrong = O_IS_FALSE;
		else if (!shared && owners > 1)
			wrong = O_IS_UNSAFE;
	}
	if (owners == 1) {
		r.tally[C_EXCLUSIVE_OPS]++;
	} else if (owners > 1) {
		r.tally[C_SHARED_OPS]++;
		at_least(r.tally + C_OWNERS_PEAK, owners);
	}
	if (wrong == O_IS_FALSE)
		r.tally[C_FALSE_OPS]++;
	else if (wrong)
		r.tally[C_UNSAFE_OPS]++;
	wrongness(r, at, state, owners, wrong);
	if (owners) {
		at[0] = (state & ~(s64)(O_OWNERS_MASK | O_IS_FALSE | O_IS_UNSAFE)) | owners | wrong;
	} else {
		at[0] = 0;
		mark(r, head, state >> O_ORDER_SHIFT, 0);
	}
}

/* Lists the pages that large folios are mapped at, without a branch for each, and prefetches the struct pages. */
HOT s64 list_entries(struct replay r, u64 *pte, s64 start, s64 end, bool lost)
{
	s64 nr = 0;

	for (s64 vpn = start; vpn < end; vpn++) {
		u64 value = pte[vpn - start];
		s64 frame = value >> PFN_SHIFT;

		if (!(value & PTE_PRESENT))
			continue;
		__builtin_prefetch(pfn_folio(r.m.memory, frame));
		__builtin_prefetch(pfn_folio(r.m.memory, frame ^ lost));
		r.list[nr] = vpn;
		nr += r.large[frame >> 2] != 0;
	}
	return nr;
}

HOT s64 count_window(struct replay r, s64 slot, struct mm *mm, s64 start, s64 end, bool gain)
{
	u64 pmd = *pmd_ref(r.m.memory, mm, start);
	u64 *pte = pte_ref(r.m.memory, mm, start);
	s64 entries, listed = 0, nr;

	if (pmd) {
		count_mappings(r, slot, pmd >> PFN_SHIFT, end - start, gain);
		r.list[0] = pmd >> PFN_SHIFT;
		return 1;
	}
	entries = list_entries(r, pte, start, end, !gain);
	for (s64 i = 0; i < entries; i += nr) {
		s64 vpn = r.list[i];
		u64 value = pte[vpn - start];
		s64 frame = value >> PFN_SHIFT, head = large_head(r, frame);
		s64 limit = head + (1ll << (folio_at(r, head)[0] >> O_ORDER_SHIFT)) - frame;

		nr = next_ptes(pte + (vpn - start), value, end - vpn < limit ? end - vpn : limit);
		count_mappings(r, slot, head, nr, gain);
		r.list[listed++] = head;
	}
	return listed;
}

HOT void touch_listed(struct replay *r, s64 listed)
{
	for (s64 i = 0; i < listed; i++)
		touched(r, r->list[i]);
}

/* -- events ------------------------------------------------------------------------------------ */
static void drop(struct replay *of, s64 slot, s64 first, s64 end)
{
	struct replay r = *of;
	struct mm *mm = mm_of(r, slot);
	s64 family = family_of(r, slot);
	s64 low = first >> PMD_ORDER, high = (end - 1) >> PMD_ORDER, in_range = high - low + 1;
	s64 known = family_at(r, family)[1];
	s64 nr = in_range < known ? in_range : known;

	for (s64 i = 0; i < nr; i++) {
		s64 dense = nr == in_range ? window_of(r, family, low + i, false) : i + 1;
		s64 window, start, stop, listed;

		if (!dense || !*used_at(r, slot, dense))
			continue;
		window = r.virtual[family * r.windows + dense];
		if (window < low || window > high)
			continue;
		window <<= PMD_ORDER;
		start = (dense << PMD_ORDER) + (first > window ? first - window : 0);
		stop = (dense << PMD_ORDER) + (end - window < PTRS_PER_PTE ? end - window : PTRS_PER_PTE);
		split_edges(r.m, mm, start, stop);
		listed = count_window(r, slot, mm, start, stop, false);
		if (*pmd_ref(r.m.memory, mm, start))
			zap_huge_pmd(r.m, mm, start);
		else
			zap_ptes(r.m, mm, start, stop);
		tlb_flush_mmu(r.m);
		touch_listed(of, listed);
		if (stop - start == PTRS_PER_PTE)
			*used_at(r, slot, dense) = 0;
	}
}

static void fork_mm(struct replay *of, s64 parent, s64 child, bool unsure)
{
	struct replay r = *of;
	struct mm *from = mm_of(r, parent), *to = mm_of(r, child);
	s64 known = family_at(r, family_of(r, parent))[1];

	for (s64 dense = 1; dense <= known; dense++) {
		s64 start = dense << PMD_ORDER, listed = 0;
		bool by_pmd = *pmd_ref(r.m.memory, from, start), copied = false;

		if (!*used_at(r, parent, dense))
			continue;
		if (by_pmd) {
			copied = copy_huge_pmd(r.m, from, to, start);
			if (!copied)
				split_huge_pmd(r.m, from, start);
		} else {
			listed = count_window(r, child, from, start, start + PTRS_PER_PTE, true);
		}
		if (!copied)
			copy_ptes(r.m, from, to, start, start + PTRS_PER_PTE);
		*used_at(r, child, dense) = 1;
		if (by_pmd)
			listed = count_window(r, child, to, start, start + PTRS_PER_PTE, true);
		touch_listed(of, listed);
		for (s64 i = 0; unsure && i < listed; i++)
			folio_at(r, r.list[i])[0] |= O_IS_UNSURE;
	}
}

HOT s64 use_page(struct replay r, s64 slot, s64 page, s64 vpn)
{
	if (vpn < 0)
		return page_at(r, slot, page, true);
	*used_at(r, slot, vpn >> PMD_ORDER) = 1;
	return vpn;
}

static void new_folio(struct replay *of, s64 slot, s64 page, s64 vpn, int order)
{
	struct replay r = *of;
	struct mm *mm = mm_of(r, slot);
	bool done;

	vpn = use_page(r, slot, page, vpn);
	if (vpn < 0)
		return;
	if (order == PMD_ORDER && r.reg[C_PMDS])
		done = anon_huge_fault(r.m, mm, vpn, false);
	else
		done = anon_fault(r.m, mm, vpn, order, false);
	if (!done) {
		r.reg[C_STATUS] = C_NO_FRAMES;
	} else if (order) {
		s64 head = frame_of(r, mm, vpn);

		opened(r, head, order);
		gained(r, slot, head, 1ll << order);
		touched(of, head);
	}
}

HOT int touch_new(struct machine m, struct mm *mm, u64 vpn)
{
	s64 pfn = new_small_anon(m, mm);

	if (pfn < 0)
		return NO_MEMORY;
	*pte_ref(m.memory, mm, vpn) = (u64)pfn << PFN_SHIFT | PTE_ANON;
	mm->rss_anon++;
	return NEW_PAGE;
}

static void write_event(struct replay *of, s64 slot, s64 page, s64 vpn, int kernel, bool uncertain)
{
	struct replay r = *of;
	struct mm *mm = mm_of(r, slot);
	int kind = C_UNKNOWN, outcome = NOT_MAPPED;
	s64 frame;

	if (kernel == COPIED) {
		vpn = use_page(r, slot, page, vpn);
		if (vpn < 0)
			return;
	}
	frame = vpn >= 0 ? frame_of(r, mm, vpn) : -1;
	if (frame >= 0) {
		s64 head = large_head(r, frame);
		bool sole = false;

		kind = C_SMALL;
		if (head >= 0) {
			s64 *at = folio_at(r, head);

			if (uncertain)
				at[0] |= O_IS_UNSURE;
			kind = at[0] & O_IS_HINTED ? C_DISTURBED : C_LARGE;
			uncertain = at[0] & O_IS_UNSURE;
			sole = at[1] == 1 && folio_test_anon(pfn_folio(r.m.memory, head)) &&
			       *count_at(r, slot, head) > 1;
		}
		outcome = write_page(r.m, mm, vpn, 1, 1);
		if (head >= 0 && outcome != UNCHANGED) {
			if (outcome == COPIED) {
				lost(r, slot, head, 1);
				r.tally[C_SOLE_COPIES] += sole;
			} else if (outcome == REUSED && folio_at(r, head)[1] > 1) {
				r.tally[C_WRONG_REUSES]++;
			}
			touched(of, head);
		}
	} else if (kernel == COPIED) {
		outcome = touch_new(r.m, mm, vpn);
	}
	if (outcome == NO_MEMORY) {
		r.reg[C_STATUS] = C_NO_FRAMES;
		return;
	}
	if (outcome > NR_POLICY - 1)
		outcome = NR_POLICY - 1;
	r.matrix[((kind * NR_KERNEL + kernel) * NR_POLICY + outcome) * 2 + uncertain]++;
}

HOT bool is_stale(struct replay r, s64 slot, s64 vpn, int order)
{
	struct mm *mm = mm_of(r, slot);

	if (vpn < 0)
		return false;
	if (*pmd_ref(r.m.memory, mm, vpn))
		return true;
	for (s64 i = 0; i < 1ll << order; i++)
		if (*pte_ref(r.m.memory, mm, vpn + i))
			return true;
	return false;
}

HOT s64 find_mm(struct replay r, int kind, s64 mm, s64 cluster)
{
	s64 slot = slot_of(r, mm);

	if (slot >= 0)
		return slot;
	if (is_dead(r, mm)) {
		r.tally[C_DEAD_MM] += kind != EV_GONE;
		return -1;
	}
	if (mm <= 0) {
		r.tally[C_NO_MM]++;
		return -1;
	}
	return kind == EV_FORK || kind == EV_NEW || kind == EV_WRITE ? create(r, mm, -1, cluster) : -1;
}

HOT void end_process(struct replay *of, s64 slot, s64 mm)
{
	struct replay r = *of;

	bury(r, mm);
	if (--slot_at(r, slot)[0] == 0) {
		drop(of, slot, 0, LAST_PAGE);
		destroy(r, slot);
	}
}

HOT void fork_event(struct replay *of, s64 slot, s64 child, bool unsure)
{
	struct replay r = *of;
	s64 made;

	if (child <= 0 || slot_of(r, child) >= 0) {
		r.tally[C_NO_MM]++;
		return;
	}
	made = create(r, child, slot, 0);
	if (made >= 0)
		fork_mm(of, slot, made, unsure);
}

HOT bool is_far(s64 page, s64 nr)
{
	return page < 0 || page >= LAST_PAGE || page + nr > LAST_PAGE;
}

HOT void next(struct replay r, s64 i, int kind)
{
	r.reg[C_NOW] = table(r.m.memory, r.reg, C_AT_TIME)[i];
	r.reg[C_STEP] = i;
	r.tally[kind]++;
}

HOT void begin(struct replay r, s64 i, int kind)
{
	next(r, i, kind);
	r.reg[C_EVENT] = kind;
	if (r.reg[C_SNAPSHOT] == C_WITHIN)
		r.reg[C_SNAPSHOT] = C_BEHIND;
}

HOT void note_peak(struct replay r)
{
	if ((s64)r.m.zone->nr_free < r.tally[C_FRAMES_PEAK])
		r.tally[C_FRAMES_PEAK] = r.m.zone->nr_free;
}

/* Brings what a write fault will read into the CPU's caches. */
HOT void fetch(struct replay r, struct mm *mm, s64 vpn)
{
	u64 value = *pte_ref(r.m.memory, mm, vpn);

	if (value & PTE_PRESENT) {
		s64 head = large_head(r, value >> PFN_SHIFT);

		__builtin_prefetch(pfn_folio(r.m.memory, value >> PFN_SHIFT));
		__builtin_prefetch(folio_at(r, head > 0 ? head : 0));
	}
}

/* Lists the pages of the write faults from event i on that are alike; the event after them. */
HOT s64 look_up(struct replay r, s64 slot, s64 i, s64 end)
{
	s64 *heads = table(r.m.memory, r.reg, C_AT_HEAD), *pages = table(r.m.memory, r.reg, C_AT_PAGE);
	s64 *nrs = table(r.m.memory, r.reg, C_AT_NR);
	s64 stop = end < i + C_RUN ? end : i + C_RUN, at = i;
	struct mm *mm = mm_of(r, slot);

	for (; at < stop && heads[at] == heads[i]; at++) {
		if (is_far(pages[at], nrs[at] & 0xffffffff))
			break;
		r.found[at - i] = page_at(r, slot, pages[at], false);
		if (r.found[at - i] >= 0)
			fetch(r, mm, r.found[at - i]);
	}
	return at;
}

/* Carries out the write faults from event i on that are alike; the event after them. */
HOT s64 writes(struct replay *of, s64 i, s64 end)
{
	struct replay r = *of;
	u64 head = table(r.m.memory, r.reg, C_AT_HEAD)[i];
	s64 nr = table(r.m.memory, r.reg, C_AT_NR)[i], *pages = table(r.m.memory, r.reg, C_AT_PAGE);
	int flags = head >> 8 & 0xff, kernel = (flags & EV_OUTCOME) < COPIED ? flags & EV_OUTCOME : COPIED;
	s64 slot, behind;

	begin(r, i, EV_WRITE);
	if (is_far(pages[i], nr & 0xffffffff)) {
		r.tally[C_FAR_PAGE]++;
		return i + 1;
	}
	slot = find_mm(r, EV_WRITE, head >> 32, nr >> 32);
	if (slot < 0)
		return i + 1;
	behind = look_up(r, slot, i, end);
	for (s64 at = i; at < behind; at++) {
		if (at > i)
			next(r, at, EV_WRITE);
		write_event(of, slot, pages[at], r.found[at - i], kernel, flags & EV_UNCERTAIN);
		note_peak(r);
		if (r.reg[C_STATUS]) {
			memset(r.found, 0, (behind - i) * sizeof(*r.found));
			return at + 1;
		}
	}
	memset(r.found, 0, (behind - i) * sizeof(*r.found));
	return behind;
}

HOT void event(struct replay *of, u64 head, s64 page, s64 nr, s64 other)
{
	struct replay r = *of;
	int kind = head & 0xff, flags = head >> 8 & 0xff, order = head >> 16 & 0xff;
	s64 mm = head >> 32, cluster = nr >> 32, slot, vpn;

	nr &= 0xffffffff;
	if (kind == EV_NEW && order <= PMD_ORDER) {
		page = page >> order << order;
		nr = 1ll << order;
	}
	if ((kind == EV_NEW || kind == EV_UNMAP) && is_far(page, nr)) {
		r.tally[C_FAR_PAGE]++;
		return;
	}
	if (kind == EV_NEW && flags & EV_FILE) {
		r.tally[C_OF_FILE]++;
		return;
	}
	if (kind == EV_NEW && (order == 1 || order > PMD_ORDER)) {
		r.tally[C_NO_ORDER]++;
		return;
	}
	slot = find_mm(r, kind, mm, cluster);
	if (slot < 0) {
		if (kind == EV_EXIT && !r.reg[C_STATUS])
			bury(r, mm);
		return;
	}
	switch (kind) {
	case EV_NEW:
		vpn = page_at(r, slot, page, false);
		if (is_stale(r, slot, vpn, order)) {
			r.tally[C_STALE]++;
			drop(of, slot, page, page + nr);
		}
		new_folio(of, slot, page, vpn, order);
		break;
	case EV_UNMAP:
		if (nr)
			drop(of, slot, page, page + nr);
		break;
	case EV_FORK:
		fork_event(of, slot, other, flags & EV_UNCERTAIN);
		break;
	default: /* EXIT and GONE */
		end_process(of, slot, mm);
	}
}

/* As framework/replay/loop.py's; also returns before an event of a kind that the streams do not have. */
EXPORT s64 replay_chunk(char *memory, char *contents, s64 base, s64 first, s64 end)
{
	struct replay r = replay_at(memory, contents, base);
	s64 *heads = table(memory, r.reg, C_AT_HEAD), *pages = table(memory, r.reg, C_AT_PAGE);
	s64 *nrs = table(memory, r.reg, C_AT_NR), *others = table(memory, r.reg, C_AT_OTHER);
	s64 i = first;

	while (i < end) {
		int kind = heads[i] & 0xff;
		s64 behind = i + 1;

		if (kind > EV_LAST_KIND)
			kind = 0;
		if (!(1 << kind & (1 | 1 << EV_FORK | 1 << EV_EXIT | 1 << EV_GONE | 1 << EV_NEW | 1 << EV_WRITE |
				   1 << EV_UNMAP | 1 << EV_LOST)))
			return i;
		if (kind == EV_WRITE) {
			behind = writes(&r, i, end);
		} else {
			begin(r, i, kind);
			if (kind && kind != EV_LOST)
				event(&r, heads[i], pages[i], nrs[i], others[i]);
		}
		note_peak(r);
		if (r.reg[C_STATUS])
			return behind - 1;
		i = behind;
	}
	return end;
}
