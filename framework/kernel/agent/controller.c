/* The controller: plays programs. It forks the first process of each, and sees all of them end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"
#include "marks.h"

static int ours[MAX_PROCESSES], theirs[MAX_PROCESSES];	/* both ends of the processes' sockets */
static struct process {
	int pid;		/* 0: not alive */
	int pidfd, pagemap;	/* a thread has no pagemap: its process's shows the same */
} processes[MAX_PROCESSES];
static int nr_sockets;
static unsigned long nr_pages;
static int look_for_zero;
static struct answer answer;

static void fail(const char *what, int error)
{
	char text[256];
	int nr = snprintf(text, sizeof(text), "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");

	wire_begin(ERROR);
	wire_add(text, nr);
	wire_finish();
}

static int watched(const struct process *process)
{
	if (process->pidfd >= 0 && process->pagemap >= 0)
		return 0;
	fail("a process cannot be watched", errno);
	return -1;
}

static int join(int number, int pid)
{
	struct process *process = processes + number;

	process->pidfd = syscall(SYS_pidfd_open, pid, 0);
	process->pagemap = view_open(pid);
	process->pid = pid;
	return watched(process);
}

/* Start to watch a thread: it is gone when its process is. */
static int join_thread(int number, const struct process *starter)
{
	processes[number] = (struct process){ starter->pid, fcntl(starter->pidfd, F_DUPFD_CLOEXEC, 0), -1 };
	if (processes[number].pidfd >= 0)
		return 0;
	fail("a thread cannot be watched", errno);
	return -1;
}

static void forget(struct process *process)
{
	if (process->pidfd >= 0)
		close(process->pidfd);
	if (process->pagemap >= 0)
		close(process->pagemap);
	process->pid = 0;
}

/* Forget the other threads of a process: they have ended with it, or by its exec. */
static void forget_threads(const struct process *process)
{
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes + i != process && processes[i].pid == process->pid)
			forget(processes + i);
}

static void wait_gone(struct process *process)
{
	struct pollfd gone = { process->pidfd, POLLIN, 0 };

	while (process->pidfd >= 0 && poll(&gone, 1, -1) < 0 && errno == EINTR)
		;
	forget_threads(process);
	forget(process);
}

static void end_all(void)
{
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid)
			kill(processes[i].pid, SIGKILL);
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid)
			wait_gone(processes + i);
	for (int i = 0; i < nr_sockets; i++)
		close(ours[i]);
	nr_sockets = 0;
}

/* `start SOCKETS PAGES CPU ZERO`: the first process of a scenario. */
static int start(const int64_t *arg)
{
	int pid;

	nr_pages = arg[1];
	look_for_zero = arg[3];
	if (nr_sockets || arg[0] < 1 || arg[0] > MAX_PROCESSES || nr_pages > MAX_PAGES) {
		fail("start", EINVAL);
		return -1;
	}
	memset(theirs, -1, sizeof(theirs));
	for (; nr_sockets < arg[0]; nr_sockets++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0) {
			fail("socketpair", errno);
			return -1;
		}
		ours[nr_sockets] = pair[0];
		theirs[nr_sockets] = pair[1];
	}
	wire_flush();
	pid = fork();
	if (pid == 0) {
		wire_leave();
		for (int i = 0; i < nr_sockets; i++)
			close(ours[i]);
		become(0, arg[2]);
		serve(theirs, 0);
	}
	for (int i = 0; i < nr_sockets; i++)
		close(theirs[i]);
	if (pid < 0) {
		fail("fork", errno);
		return -1;
	}
	return join(0, pid);
}

/* Wait for the answer of a process; the number of its bytes, or -1. */
static ssize_t receive(int number, const char *name)
{
	struct pollfd ready[2] = { { ours[number], POLLIN, 0 }, { processes[number].pidfd, POLLIN, 0 } };
	char text[64];
	ssize_t got = 0;

	while (poll(ready, 2, -1) < 0 && errno == EINTR)
		;
	if (ready[0].revents & POLLIN)
		got = recv(ours[number], &answer, sizeof(answer), 0);
	if (got < (ssize_t)ANSWER_HEAD) {
		snprintf(text, sizeof(text), "process %d died in %s", number, name);
		fail(text, 0);
		return -1;
	}
	if (answer.error) {
		snprintf(text, sizeof(text), "%s: %s", name, answer.call);
		fail(text, answer.error);
		return -1;
	}
	return got - ANSWER_HEAD;
}

/* Send a process a command, without waiting for its answer. */
static int post(const char *name, int number, const int64_t *arg)
{
	struct command command = { 0 };

	if (number < 0 || number >= nr_sockets || !processes[number].pid) {
		fail(name, ESRCH);
		return -1;
	}
	snprintf(command.name, sizeof(command.name), "%s", name);
	memcpy(command.arg, arg, sizeof(command.arg));
	if (send(ours[number], &command, sizeof(command), MSG_NOSIGNAL) < 0) {
		fail(name, errno);
		return -1;
	}
	return 0;
}

/* Wait until a process has carried out a command, and pass its answer on. */
static int await(const char *name, int number, const int64_t *arg)
{
	ssize_t nr = 0;

	if (!strcmp(name, "exit"))
		wait_gone(processes + number);
	else
		nr = receive(number, name);
	if (nr < 0)
		return -1;
	if (!strcmp(name, "fork")) {
		pid_t pid;

		memcpy(&pid, answer.bytes, sizeof(pid));
		return join(arg[0], pid);
	}
	if (!strcmp(name, "thread"))
		return join_thread(arg[0], processes + number);
	if (!strcmp(name, "leave"))
		forget(processes + number);
	if (!strcmp(name, "exec")) {	/* the old descriptor shows the old address space */
		forget_threads(processes + number);
		close(processes[number].pagemap);
		processes[number].pagemap = view_open(processes[number].pid);
		if (watched(processes + number) < 0)
			return -1;
	}
	wire_begin(BYTES);
	wire_add(answer.bytes, nr);
	wire_finish();
	return 0;
}

static int ask(const char *name, int number, const int64_t *arg)
{
	return post(name, number, arg) < 0 ? -1 : await(name, number, arg);
}

static void get(const char *path)
{
	char part[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd >= 0)
		got = read(fd, part, sizeof(part));
	wire_begin(got < 0 ? ABSENT : BYTES);
	if (got < 0)
		wire_add(strerror(errno), strlen(strerror(errno)));
	for (; got > 0; got = read(fd, part, sizeof(part)))
		wire_add(part, got);
	wire_finish();
	if (fd >= 0)
		close(fd);
}

static int put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int failed = fd < 0 || write(fd, value, strlen(value)) < 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	if (failed)
		fail(path, error);
	return failed ? -1 : 0;
}

static void look(void)
{
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid && processes[i].pagemap >= 0)
			view_send(processes[i].pagemap, i, nr_pages, look_for_zero);
}

/*
 * Carry out a line: `get PATH`, `put PATH VALUE`, `arm`, `start …`, `look`, or `COMMAND PROCESS NUMBER…`. What runs at
 * once is `post COMMAND PROCESS NUMBER…` for each command, then `await` with the same words.
 */
static int carry_out(char *line)
{
	int64_t arg[MAX_ARGUMENTS + 1] = { 0 };
	char *rest, *name = strtok_r(line, " ", &rest);
	int (*do_it)(const char *, int, const int64_t *) = ask;

	if (!name)
		return 0;
	if (!strcmp(name, "post") || !strcmp(name, "await")) {
		do_it = *name == 'p' ? post : await;
		name = strtok_r(NULL, " ", &rest);
		if (!name)
			return -1;
	}
	if (!strcmp(name, "get")) {
		get(rest);
		return 0;
	}
	if (!strcmp(name, "arm")) {
		MARK(MARK_ARM);
		usleep(10000);	/* the plugin's work is done once this program is not running */
		return 0;
	}
	if (!strcmp(name, "put")) {
		char *path = strtok_r(NULL, " ", &rest);

		return path ? put(path, rest) : -1;
	}
	for (int i = 0; i <= MAX_ARGUMENTS && *rest; i++)
		arg[i] = strtoll(rest, &rest, 10);
	if (!strcmp(name, "look")) {
		look();
		return 0;
	}
	return strcmp(name, "start") ? do_it(name, arg[0], arg + 1) : start(arg);
}

void control(void)
{
	signal(SIGCHLD, SIG_IGN);	/* the kernel reaps */
	for (;;) {
		char *program = wire_program(), *rest = program, *line;

		while ((line = strsep(&rest, "\n")) && carry_out(line) == 0)
			;
		end_all();
		free(program);
		wire_begin(END);
		wire_finish();
		wire_flush();
	}
}
