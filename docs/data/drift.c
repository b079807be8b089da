/*
 * Does the number of mapped anonymous pages (NR_ANON_MAPPED) drift when one process splits a PMD while
 * another unmaps a page of the same folio by its PTE?
 *
 * Each trial: A has a folio of 2 MiB mapped by a PMD; its child B keeps the last two pages by PTEs. Then, at once, A
 * protects a page, which splits its PMD, and B unmaps the last page. Both let go of everything. In the control, B
 * unmaps after A has split. A trial that counts right leaves the count as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define PMD (512 * PAGE)

struct shared {
	_Atomic int ready, go, split;
};

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* The group's number of mapped anonymous pages (NR_ANON_MAPPED of its memory cgroup). */
static long counted(const char *group)
{
	char path[256], text[32768], *at;
	ssize_t nr;
	int fd;

	snprintf(path, sizeof(path), "%s/memory.stat", group);
	fd = open(path, O_RDONLY);
	nr = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[nr > 0 ? nr : 0] = 0;
	if ((at = strstr(text, "anon ")) == text)	/* version 2 */
		return atol(at + 5) / PAGE;
	at = strstr(text, "\nrss ");			/* version 1 */
	return at ? atol(at + 5) / (long)PAGE : -1;
}

static void join(const char *group)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%d", getpid()) < 0 || fclose(file)) {
		perror(path);
		exit(2);
	}
}

static void delay(int rounds)
{
	for (volatile int i = 0; i < rounds; i++)
		;
}

static int trial(struct shared *at, char *area, int late, int first, int second)
{
	char *folio = mmap(area, PMD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int status;
	pid_t child;

	madvise(folio, PMD, MADV_HUGEPAGE);
	folio[0] = 1;
	at->ready = at->go = at->split = 0;
	child = fork();
	if (child == 0) {
		on_cpu(1);
		munmap(folio, PMD - 2 * PAGE);
		at->ready = 1;
		while (!at->go)
			;
		while (late && !at->split)
			;
		delay(second);
		munmap(folio + PMD - PAGE, PAGE);
		_exit(0);
	}
	while (!at->ready)
		;
	at->go = 1;
	delay(first);
	mprotect(folio, PAGE, PROT_READ);
	at->split = 1;
	waitpid(child, &status, 0);
	munmap(folio, PMD);
	return status;
}

#define HELD 4096	/* pages that stay mapped in the group: the kernel shows a negative sum as 0 */

static pid_t hold(const char *group, int ready)
{
	pid_t pid = fork();

	if (pid == 0) {
		char *held = mmap(NULL, HELD * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		join(group);
		madvise(held, HELD * PAGE, MADV_NOHUGEPAGE);
		memset(held, 1, HELD * PAGE);
		if (write(ready, "1", 1) == 1)
			pause();
		_exit(0);
	}
	return pid;
}

static void play(const char *group, long trials, int late, int most)
{
	struct shared *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *area = mmap(NULL, 2 * PMD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		join(group);
		area = (char *)(((uintptr_t)area + PMD - 1) & ~(PMD - 1));
		on_cpu(0);
		for (long i = 0; i < trials; i++)
			trial(at, area, late, rand() % 400, rand() % most);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

int main(int count, char **words)
{
	long trials = count > 2 ? atol(words[2]) : 20000;
	int most = count > 3 ? atoi(words[3]) : 6000, pipes[2];
	const char *group = words[1];
	char byte;
	pid_t holder;

	if (count < 2 || pipe(pipes) || (mkdir(group, 0755) && errno != EEXIST)) {
		fprintf(stderr, "drift GROUP [TRIALS [DELAY]]: GROUP is a folder of the memory cgroup, such as /sys/fs/cgroup/memory/drift\n");
		return 2;
	}
	holder = hold(group, pipes[1]);
	if (read(pipes[0], &byte, 1) != 1)
		return 2;
	for (int round = 0; round < 6; round++) {
		int late = round % 2 == 0;
		long before = counted(group);
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		play(group, trials, late, most);
		clock_gettime(CLOCK_MONOTONIC, &b);
		usleep(200000);
		printf("%s: %ld trials in %.1f s, %ld pages counted, %+ld\n", late ? "control" : "at once", trials,
		       b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9, before, counted(group) - before);
		fflush(stdout);
	}
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	rmdir(group);
	return 0;
}
