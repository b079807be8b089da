#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum what { FORK, EXIT, WRITE, READ, MUNMAP, DONTNEED, MREMAP, MPROTECT };

/* outcomes: a letter for each page: u unchanged, r reused, c copied, n new page; of READ, the byte. */
struct step { const char *text; int who; enum what what; long page, nr, to; int other, value; const char *outcomes; };
/* page: where the region begins; populated pages in folios of 2^order pages; pages in all. */
struct region { const char *name; long page, populated, pages; int order; };

/* SCENARIO */

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define PAGE 4096L
#define HUGE (2L << 20)
#define PATIENCE 10000		/* milliseconds that a step may take */
#define PASS 0
#define FAIL 1
#define SKIP 4

static struct shared {
	int turn, done;
	pid_t pids[NR(names)];
	char said[NR(steps)][120];
	int good[NR(steps)];
} *shared;
static char *area;

static void skip(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(SKIP);
}

static uint64_t word(const char *file, unsigned long number)
{
	uint64_t found = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &found, sizeof(found), number * sizeof(found)) != sizeof(found))
		found = 0;
	if (fd >= 0)
		close(fd);
	return found;
}

/* The page frame of a page of the area; 0 if it is not mapped, or if page frames are hidden. */
static uint64_t frame(long page)
{
	uint64_t entry = word("/proc/self/pagemap", ((unsigned long)area + page * PAGE) / PAGE);

	return entry >> 63 ? entry & ((1UL << 55) - 1) : 0;
}

static void wait_for(int *where, int value)
{
	while (__atomic_load_n(where, __ATOMIC_ACQUIRE) < value)
		usleep(100);
}

/* Write one page; what became of it, as a letter. The frame alone does not tell unchanged and reused apart. */
static char store(long page, int value, char expected)
{
	uint64_t before = frame(page), after;

	*(volatile char *)(area + page * PAGE) = value;
	after = frame(page);
	if (!before)
		return 'n';
	if (before != after)
		return 'c';
	return expected == 'r' ? 'r' : 'u';
}

static void act(int number)
{
	const struct step *step = &steps[number];
	char *at = area + step->page * PAGE, *said = shared->said[number];
	long size = step->nr * PAGE, i;
	int failed = 0;

	shared->good[number] = 1;
	switch (step->what) {
	case FORK:
		if (step->nr)
			failed |= madvise(at, size, MADV_DONTFORK);
		break;
	case WRITE:
		for (i = 0; i < step->nr; i++) {
			char found = store(step->page + i, step->value, step->outcomes[i]);

			if (found != step->outcomes[i])
				shared->good[number] = 0;
			if (strlen(said) < sizeof(shared->said[0]) - 1)
				said[strlen(said)] = found;
		}
		break;
	case READ:
		for (i = 0; i < step->nr; i++)
			if (*(volatile unsigned char *)(at + i * PAGE) != step->value)
				shared->good[number] = 0;
		break;
	case MUNMAP:
		failed |= munmap(at, size);
		break;
	case DONTNEED:
		failed |= madvise(at, size, MADV_DONTNEED);
		break;
	case MREMAP:
		failed |= mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, area + step->to * PAGE) == MAP_FAILED;
		break;
	case MPROTECT:
		failed |= mprotect(at, size, PROT_READ) | mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case EXIT:
		break;
	}
	if (failed) {
		shared->good[number] = 0;
		snprintf(said, sizeof(shared->said[0]), "%s", strerror(errno));
	}
}

/* A process: it does its own steps, each when its turn comes. */
static void play(int me, int number)
{
	for (; number < (int)NR(steps); number++) {
		const struct step *step = &steps[number];
		pid_t child;

		wait_for(&shared->turn, number);
		if (step->who != me)
			continue;
		act(number);
		if (step->what == EXIT)
			_exit(0);
		if (step->what == FORK) {
			child = fork();
			if (!child) {
				me = step->other;
				continue;
			}
			shared->pids[step->other] = child;
			shared->good[number] &= child > 0;
			if (step->nr)
				madvise(area + step->page * PAGE, step->nr * PAGE, MADV_DOFORK);
		}
		__atomic_store_n(&shared->done, number + 1, __ATOMIC_RELEASE);
	}
	for (;;)
		pause();	/* the first process ends all */
}

/* Whether the pages of a region are folios of its order, by /proc/kpageflags: bit 15 is a head, bit 16 a tail. */
static int is_made_of_folios(const struct region *region)
{
	long page;

	for (page = 0; page < region->populated; page++) {
		uint64_t flags = word("/proc/kpageflags", frame(region->page + page));
		int head = !(page & ((1L << region->order) - 1));

		if (region->order && (flags >> 15 & 3) != (head ? 1 : 2))
			return 0;
	}
	return 1;
}

static void populate(void)
{
	size_t number;

	for (number = 0; number < NR(regions); number++) {
		const struct region *region = &regions[number];
		char *at = area + region->page * PAGE;
		long page;

		if (mmap(at, region->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
			skip("no memory");
		madvise(at, region->pages * PAGE, region->order ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		for (page = 0; page < region->populated; page++)
			at[page * PAGE] = 1;
		/* The folios stay; khugepaged and later faults make no others. */
		madvise(at, region->pages * PAGE, MADV_NOHUGEPAGE);
	}
}

static void check(void)
{
	static char why[200];
	size_t number;

	if (regions[0].populated && !frame(regions[0].page))
		skip("page frames are hidden: run it as root");
	for (number = 0; number < NR(regions); number++) {
		if (is_made_of_folios(&regions[number]))
			continue;
		snprintf(why, sizeof(why), "%s has no folios of %ld kB: echo madvise > "
			 "/sys/kernel/mm/transparent_hugepage/hugepages-%ldkB/enabled, and never for larger ones",
			 regions[number].name, 4L << regions[number].order, 4L << regions[number].order);
		skip(why);
	}
}

static void end_all(void)
{
	size_t who;

	for (who = 0; who < NR(names); who++)
		if (shared->pids[who] > 0)
			kill(shared->pids[who], SIGKILL);
}

/* Give a step its turn, and wait until it is done; after an exit, until the memory of the process is gone. */
static int done(int number)
{
	int waited, fd = -1, gone = 0;

	if (steps[number].what == EXIT)
		fd = syscall(SYS_pidfd_open, shared->pids[steps[number].who], 0);
	__atomic_store_n(&shared->turn, number, __ATOMIC_RELEASE);
	if (steps[number].what == EXIT) {
		struct pollfd ended = { .fd = fd, .events = POLLIN };

		gone = fd >= 0 && poll(&ended, 1, PATIENCE) == 1;
		if (fd >= 0)
			close(fd);
		shared->pids[steps[number].who] = 0;
		return gone;
	}
	for (waited = 0; waited < PATIENCE * 10; waited++) {
		if (__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE) > number)
			return 1;
		usleep(100);
	}
	return 0;
}

int main(void)
{
	int number, failures = 0;
	cpu_set_t one;
	char *reserved;
	pid_t first;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);	/* another CPU's batch of the LRU list would hold references */
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	reserved = mmap(NULL, PAGES * PAGE + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED || reserved == MAP_FAILED)
		skip("no memory");
	area = (char *)(((unsigned long)reserved + HUGE - 1) & ~(HUGE - 1));
	shared->turn = -1;
	printf("TAP version 13\n");
	fflush(stdout);
	first = fork();
	if (!first) {
		populate();
		check();
		__atomic_store_n(&shared->done, 0, __ATOMIC_RELEASE);
		shared->good[0] = -1;
		play(0, 0);
	}
	shared->pids[0] = first;
	while (!shared->good[0]) {	/* until the first process is ready, or has ended */
		int status;

		if (waitpid(first, &status, WNOHANG) > 0)
			return WIFEXITED(status) ? WEXITSTATUS(status) : FAIL;
		usleep(100);
	}
	printf("1..%d\n", (int)NR(steps));
	for (number = 0; number < (int)NR(steps); number++) {
		const struct step *step = &steps[number];

		if (!done(number)) {
			printf("Bail out! %s did not end\n", step->text);
			end_all();
			return FAIL;
		}
		if (step->what == EXIT)
			shared->good[number] = 1;
		failures += !shared->good[number];
		printf("%sok %d - %s", shared->good[number] ? "" : "not ", number + 1, step->text);
		if (step->outcomes)
			printf(": expected %s, found %s", step->outcomes, shared->said[number]);
		else if (shared->said[number][0])
			printf(": %s", shared->said[number]);
		printf("\n");
	}
	end_all();
	return failures ? FAIL : PASS;
}
