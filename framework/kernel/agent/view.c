/*
 * What /proc shows of a process's pages: pagemap, kpagecount and kpageflags, as runs of equal neighbours. Where this
 * user may not see page frame numbers, they read as 0, and counts and flags are unknown, which is 0 as well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"

#define PFN ((1UL << 55) - 1)
#define EXCLUSIVE (1UL << 56)
#define SWAPPED (1UL << 62)
#define PRESENT (1UL << 63)

/* bits of kpageflags that the other end asks for, by their numbers in admin-guide/mm/pagemap.rst */
#define LRU (1UL << 5)
#define ANON (1UL << 12)
#define SWAPCACHE (1UL << 13)
#define TAIL (1UL << 16)
#define THP (1UL << 22)
#define ZERO_PAGE (1UL << 24)
#define FLAGS (LRU | ANON | SWAPCACHE | TAIL | THP | ZERO_PAGE)

/* PG_anon_exclusive has the bit of a flag that only pages of files use; it is sent as bit 31 */
#define MAPPEDTODISK (1UL << 34)
#define ANON_EXCLUSIVE (1UL << 31)

#define MOST 4096		/* entries of one read */

/* struct pm_scan_arg and struct page_region of linux/fs.h; older headers lack them */
struct region {
	uint64_t start, end, categories;
};
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, any, wanted;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct scan)
#define IS_PFNZERO (1UL << 5)

int view_open(int pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Read `nr` numbers of consecutive frames from one of the files that are indexed by frame; zeros if it is closed. */
static void frames(int *file, const char *path, uint64_t pfn, uint64_t *into, size_t nr)
{
	if (*file == -1)
		*file = open(path, O_RDONLY | O_CLOEXEC);
	if (*file < 0)
		*file = -2;	/* do not try again */
	if (*file < 0 || pread(*file, into, nr * sizeof(*into), pfn * sizeof(*into)) != (ssize_t)(nr * sizeof(*into)))
		memset(into, 0, nr * sizeof(*into));
}

static uint64_t of_interest(uint64_t entry)
{
	if (entry & PRESENT)
		return entry & (PFN | EXCLUSIVE | PRESENT);
	return entry & SWAPPED;
}

/* Which pages map the zero page, by an ioctl that needs no privilege (Linux 6.7); the others keep their flags. */
static void mark_zero_pages(int pagemap, uint64_t first, size_t nr, uint64_t *flags)
{
	static struct region found[MOST];
	struct scan scan = {
		.size = sizeof(scan), .start = BASE + first * PAGE, .end = BASE + (first + nr) * PAGE,
		.vec = (uintptr_t)found, .vec_len = MOST, .mask = IS_PFNZERO, .wanted = IS_PFNZERO,
	};
	long regions = ioctl(pagemap, PAGEMAP_SCAN, &scan);

	for (long i = 0; i < regions; i++)
		for (uint64_t at = found[i].start; at < found[i].end; at += PAGE)
			flags[(at - BASE) / PAGE - first] |= ZERO_PAGE;
}

static uint64_t of_flags(uint64_t flags)
{
	return (flags & FLAGS) | ((flags & ANON) && (flags & MAPPEDTODISK) ? ANON_EXCLUSIVE : 0);
}

static void add(struct run *run, uint64_t entry, uint64_t count, uint64_t flags)
{
	uint64_t next = run->entry + ((run->entry & PRESENT) && (run->entry & PFN) ? run->nr : 0);

	if (run->nr && entry == next && count == run->count && flags == run->flags) {
		run->nr++;
		return;
	}
	if (run->nr)
		wire_add(run, sizeof(*run));
	*run = (struct run){ entry, 1, count, flags, 0 };
}

/* Send the view of a process as one frame: its number, then runs. */
void view_send(int pagemap, int number, unsigned long nr_pages, int look_for_zero)
{
	static int kpagecount = -1, kpageflags = -1;
	static uint64_t entries[MOST], counts[MOST], flags[MOST];
	struct run run = { 0 };
	uint64_t head = number;

	wire_begin(VIEW);
	wire_add(&head, sizeof(head));
	for (unsigned long first = 0; first < nr_pages; first += MOST) {
		size_t nr = nr_pages - first < MOST ? nr_pages - first : MOST;
		off_t from = (BASE / PAGE + first) * sizeof(*entries);

		memset(counts, 0, sizeof(counts));
		memset(flags, 0, sizeof(flags));
		if (pread(pagemap, entries, nr * sizeof(*entries), from) != (ssize_t)(nr * sizeof(*entries)))
			memset(entries, 0, sizeof(entries));	/* the process has ended */
		for (size_t i = 0; i < nr; i++)
			entries[i] = of_interest(entries[i]);
		for (size_t i = 0, end; i < nr; i = end) {
			end = i + 1;
			if (!(entries[i] & PRESENT) || !(entries[i] & PFN))
				continue;
			while (end < nr && (entries[end] & PRESENT) && (entries[end] & PFN) == (entries[i] & PFN) + end - i)
				end++;
			frames(&kpagecount, "/proc/kpagecount", entries[i] & PFN, counts + i, end - i);
			frames(&kpageflags, "/proc/kpageflags", entries[i] & PFN, flags + i, end - i);
		}
		if (look_for_zero)
			mark_zero_pages(pagemap, first, nr, flags);
		for (size_t i = 0; i < nr; i++)
			add(&run, entries[i], counts[i], of_flags(flags[i]));
	}
	if (run.nr)
		wire_add(&run, sizeof(run));
	wire_finish();
}
