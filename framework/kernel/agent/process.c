/*
 * One process of a scenario, or one thread of it: each takes commands from a socket of its own. Addresses are page
 * numbers from BASE on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "marks.h"

#define MOVED 512	/* pages of one move_pages */
#define MOVE_OWN (1 << 1)	/* MPOL_MF_MOVE and MPOL_MF_MOVE_ALL of linux/mempolicy.h */
#define MOVE_ALL (1 << 2)

static const int *sockets;
static __thread int number;
static __thread int marked;	/* the command's call, or its stores, are between marks, and timed */
static __thread struct timespec began;
static __thread int64_t elapsed;	/* ns between the last marks */
static __thread struct answer answer;

static char *page(int64_t index)
{
	return (char *)BASE + index * PAGE;
}

long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

static inline void begin(void)
{
	if (!marked)
		return;
	clock_gettime(CLOCK_MONOTONIC, &began);
	MARK(MARK_BEGIN);
}

static inline void end(void)
{
	struct timespec now;

	if (!marked)
		return;
	MARK(MARK_END);
	clock_gettime(CLOCK_MONOTONIC, &now);
	elapsed = (now.tv_sec - began.tv_sec) * 1000000000L + now.tv_nsec - began.tv_nsec;
}

/*
 * Before counts: from now on only interrupts come between, not other processes (a child is an ordinary one), and the
 * program's text does not fault any more.
 */
static const char *settle(void)
{
	extern char __executable_start[], etext[];
	struct sched_param first = { .sched_priority = 1 };
	size_t size = (etext - __executable_start + PAGE - 1) & -PAGE;

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) < 0)
		return "sched_setscheduler";
	return madvise(__executable_start, size, MADV_POPULATE_READ) < 0 ? "madvise" : NULL;
}

static const char *protect(char *addr, size_t size)
{
	if (mprotect(addr, size, PROT_READ) < 0 || mprotect(addr, size, PROT_READ | PROT_WRITE) < 0)
		return "mprotect";
	return NULL;
}

static const char *map(char *addr, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

	return mmap(addr, size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED ? "mmap" : NULL;
}

static void store(char *addr, size_t nr, size_t stride, int byte, size_t nbytes, uint8_t *faults)
{
	for (size_t i = 0; i < nr; i++) {
		long before = minor_faults();

		for (size_t at = 0; at < nbytes; at++)
			*(volatile char *)(addr + i * stride + at) = byte;
		faults[i] = minor_faults() > before;
	}
}

/*
 * Store into each page; 1 for each store that took a page fault. The program's own memory may be shared since a fork:
 * the same stores to a page of its own fault that memory in before anything is counted.
 */
static void store_counted(char *addr, size_t nr, int byte, size_t nbytes)
{
	static char dummy[PAGE] __attribute__((aligned(PAGE)));

	for (int i = 0; i < 3; i++) {
		store(dummy, nr, 0, byte, nbytes, answer.bytes);
		if (!memchr(answer.bytes, 1, nr))
			break;
	}
	store(addr, nr, PAGE, byte, nbytes, answer.bytes);
}

/* One store into each page, and nothing else; a page of the program's own comes first, see above. */
static void store_marked(char *addr, size_t nr, int byte)
{
	static char dummy[PAGE] __attribute__((aligned(PAGE)));

	for (size_t i = 0; i < nr; i++)
		*(volatile char *)dummy = byte;
	begin();
	for (size_t i = 0; i < nr; i++)
		*(volatile char *)(addr + i * PAGE) = byte;
	end();
}

/* Map folios of 2 MiB by PTEs: an mprotect of one page splits the PMD, and no more. */
static const char *split_pmds(char *addr, size_t size)
{
	const char *failed = NULL;

	begin();
	for (size_t at = 0; at < size && !failed; at += PMD)
		failed = protect(addr + at + PAGE, PAGE);
	end();
	return failed;
}

/*
 * Touch every page of a region's first `size` bytes; the answer says which took a page fault. The last madvise keeps
 * the folios, stops khugepaged, and makes later faults order-0. With `split`, PTEs map folios of 2 MiB.
 */
static const char *populate(char *addr, size_t size, size_t whole, int huge, int byte, int split)
{
	if (madvise(addr, whole, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) < 0 && (huge || errno != EINVAL))
		return "madvise";
	store_counted(addr, size / PAGE, byte, 1);
	if (madvise(addr, whole, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)	/* a kernel without THP */
		return "madvise";
	return split ? split_pmds(addr, size) : NULL;
}

static const char *fork_process(int child, int cpu, char *addr, size_t size, int *parent)
{
	pid_t pid;

	*parent = 1;
	if (size && madvise(addr, size, MADV_DONTFORK) < 0)
		return "madvise";
	begin();
	pid = marked ? syscall(SYS_fork) : fork();	/* the library's writes memory that is shared by then */
	if (pid)
		end();
	if (pid < 0)
		return "fork";
	if (pid == 0) {
		*parent = 0;
		become(child, cpu);
		return NULL;
	}
	if (size && madvise(addr, size, MADV_DOFORK) < 0)
		return "madvise";
	memcpy(answer.bytes, &pid, sizeof(pid));
	return NULL;
}

/* Take over a socket, and run on a processor. */
static void take(int own, int cpu)
{
	cpu_set_t one;

	number = own;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* Take over a socket in a new process, and close what belongs to the parent. */
void become(int child, int cpu)
{
	reference_forget_all();
	take(child, cpu);
}

struct start {
	int number, cpu;
};

static void *run_thread(void *given)
{
	struct start start = *(struct start *)given;

	free(given);
	take(start.number, start.cpu);
	serve(sockets, start.number);
}

static const char *start_thread(int own, int cpu)
{
	struct start *start = malloc(sizeof(*start));
	pthread_t thread;

	if (!start)
		return "malloc";
	*start = (struct start){ own, cpu };
	errno = pthread_create(&thread, NULL, run_thread, start);
	if (errno)
		free(start);
	return errno ? "pthread_create" : NULL;
}

static const char *unmap(char *addr, size_t size)
{
	int failed;

	begin();
	failed = munmap(addr, size);
	end();
	return failed ? "munmap" : NULL;
}

static const char *discard(char *addr, size_t size)
{
	int failed;

	begin();
	failed = madvise(addr, size, MADV_DONTNEED);
	end();
	return failed ? "madvise" : NULL;
}

/* The NUMA node of each page; below 0 if it is not present. */
static long nodes_of(void **pages, size_t nr, int *nodes)
{
	return syscall(SYS_move_pages, 0, nr, pages, NULL, nodes, 0);
}

/*
 * Move each page to the other one of two NUMA nodes: folios that are not maybe shared, or all. The answer says which
 * pages have moved: a page goes with its folio.
 */
static const char *migrate(char *addr, size_t nr, int one, int other, int all, uint8_t *moved)
{
	for (size_t first = 0, some; first < nr; first += some) {
		void *pages[MOVED];
		int before[MOVED], after[MOVED], wanted[MOVED];

		some = nr - first < MOVED ? nr - first : MOVED;
		for (size_t i = 0; i < some; i++)
			pages[i] = addr + (first + i) * PAGE;
		if (nodes_of(pages, some, before) < 0)
			return "move_pages";
		for (size_t i = 0; i < some; i++)
			wanted[i] = before[i] == one ? other : one;
		if (syscall(SYS_move_pages, 0, some, pages, wanted, after, all ? MOVE_ALL : MOVE_OWN) < 0 && errno != ENOENT)
			return "move_pages";
		if (nodes_of(pages, some, after) < 0)
			return "move_pages";
		for (size_t i = 0; i < some; i++)
			moved[first + i] = before[i] >= 0 && after[i] == wanted[i];
	}
	return NULL;
}

static const char *replace_program(void)
{
	static char words[MAX_PROCESSES + 2][12];
	char *arguments[MAX_PROCESSES + 4] = { "agent", "serve" };
	const char *failed = reference_release_all();

	if (failed)
		return failed;
	snprintf(words[0], sizeof(words[0]), "%d", number);
	arguments[2] = words[0];
	for (int i = 0; i < MAX_PROCESSES; i++) {
		snprintf(words[i + 1], sizeof(words[0]), "%d", sockets[i]);
		arguments[i + 3] = words[i + 1];
	}
	execv("/proc/self/exe", arguments);
	return "execv";
}

/* Carry out a command; the name of the call that failed, or NULL. `nr` becomes the number of bytes of the answer. */
static const char *carry_out(const struct command *command, size_t *nr, int *answers)
{
	const int64_t *arg = command->arg;
	char *addr = page(arg[0]);
	size_t size = arg[1] * PAGE;
	const char *name = command->name;

	if (arg[1] < 0 || arg[1] > (int64_t)MAX_PAGES) {
		errno = EINVAL;
		return name;
	}
	if (!strcmp(name, "map"))
		return map(addr, size);
	if (!strcmp(name, "populate")) {
		*nr = arg[1];
		return populate(addr, size, arg[2] * PAGE, arg[3], arg[4], arg[5]);
	}
	if (!strcmp(name, "write")) {
		*nr = arg[1];
		store_counted(addr, arg[1], arg[2], arg[3]);
		return NULL;
	}
	if (!strcmp(name, "store")) {
		store_marked(addr, arg[1], arg[2]);
		return NULL;
	}
	if (!strcmp(name, "split"))
		return split_pmds(addr, size);
	if (!strcmp(name, "settle"))
		return settle();
	if (!strcmp(name, "elapsed")) {
		*nr = sizeof(elapsed);
		memcpy(answer.bytes, &elapsed, sizeof(elapsed));
		return NULL;
	}
	if (!strcmp(name, "read")) {
		*nr = arg[1];
		for (int64_t i = 0; i < arg[1]; i++)
			answer.bytes[i] = *(volatile char *)page(arg[0] + i);
		return NULL;
	}
	if (!strcmp(name, "munmap"))
		return unmap(addr, size);
	if (!strcmp(name, "dontneed"))
		return discard(addr, size);
	if (!strcmp(name, "cold"))
		return madvise(addr, size, MADV_COLD) < 0 ? "madvise" : NULL;
	if (!strcmp(name, "free"))
		return madvise(addr, size, MADV_FREE) ? "madvise" : NULL;
	if (!strcmp(name, "pageout"))
		return madvise(addr, size, MADV_PAGEOUT) < 0 ? "madvise" : NULL;
	if (!strcmp(name, "mprotect"))
		return protect(addr, size);
	if (!strcmp(name, "mremap"))
		return mremap(addr, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, page(arg[2])) == MAP_FAILED ? "mremap" : NULL;
	if (!strcmp(name, "pin")) {
		*nr = 1;
		return reference_pin(arg[1], addr, answer.bytes);
	}
	if (!strcmp(name, "vmsplice"))
		return reference_splice(arg[1], addr);
	if (!strcmp(name, "release"))
		return reference_release(arg[0]);
	if (!strcmp(name, "peek")) {
		*nr = 1;
		return reference_peek(arg[0], answer.bytes);
	}
	if (!strcmp(name, "fork")) {
		*nr = sizeof(pid_t);
		return fork_process(arg[0], arg[1], page(arg[2]), arg[3] * PAGE, answers);
	}
	if (!strcmp(name, "thread"))
		return start_thread(arg[0], arg[1]);
	if (!strcmp(name, "migrate")) {
		*nr = arg[1];
		return migrate(addr, arg[1], arg[2], arg[3], arg[4], answer.bytes);
	}
	if (!strcmp(name, "exec"))
		return replace_program();
	if (!strcmp(name, "leave"))
		return NULL;
	if (!strcmp(name, "exit")) {
		const char *failed = reference_release_all();

		if (!failed)
			_exit(0);
		return failed;
	}
	errno = ENOSYS;
	return "command";
}

/* Carry out commands until `exit`, until `leave` ends this thread, or until the other end of the socket is closed. */
void serve(const int *all, int own)
{
	int next_marked = 0;

	sockets = all;
	number = own;
	for (;;) {
		struct command command;
		size_t nr = 0;
		int answers = 1;
		const char *failed;

		if (recv(sockets[number], &command, sizeof(command), 0) != sizeof(command))
			_exit(0);
		errno = 0;
		marked = next_marked;
		next_marked = !strcmp(command.name, "mark");
		failed = next_marked ? NULL : carry_out(&command, &nr, &answers);
		if (!answers)	/* a new child: its parent answers */
			continue;
		answer.error = failed ? errno : 0;
		snprintf(answer.call, sizeof(answer.call), "%s", failed ? failed : "");
		send(sockets[number], &answer, ANSWER_HEAD + (failed ? 0 : nr), MSG_NOSIGNAL);
		if (!strcmp(command.name, "leave"))
			syscall(SYS_exit, 0);	/* pthread_exit would load a library, and there is none */
	}
}
