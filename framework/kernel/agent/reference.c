/*
 * References to pages besides their mappings. An io_uring with one page as registered buffer is the only long-term pin
 * (FOLL_PIN) that needs no device; a page that vmsplice has put into a pipe is referred to by the pipe (FOLL_GET).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent.h"

#define MAX_REFERENCES 512
#define SPLICED 1		/* bytes of a page that are spliced into a pipe */

enum held { NOTHING, PIN, PIPE };

static struct reference {
	enum held held;
	int fd[2];		/* the ring, or both ends of the pipe */
	char *addr;
	struct io_uring_params params;
} references[MAX_REFERENCES];

static struct reference *find(int name, enum held held)
{
	if (name < 0 || name >= MAX_REFERENCES || (references[name].held == NOTHING) != (held == NOTHING)) {
		errno = EINVAL;
		return NULL;
	}
	return references + name;
}

static const char *ring_open(struct reference *ring, char *addr, uint8_t *faulted)
{
	struct iovec buffer = { addr, PAGE };
	long before, done;
	int error;

	memset(&ring->params, 0, sizeof(ring->params));
	ring->fd[0] = syscall(SYS_io_uring_setup, 1, &ring->params);
	if (ring->fd[0] < 0)
		return "io_uring_setup";
	ring->addr = addr;
	before = minor_faults();
	done = syscall(SYS_io_uring_register, ring->fd[0], IORING_REGISTER_BUFFERS, &buffer, 1);
	error = errno;
	*faulted = minor_faults() > before;
	if (done < 0) {
		close(ring->fd[0]);
		errno = error;
		return "io_uring_register";
	}
	ring->held = PIN;
	return NULL;
}

/* Closing alone would drop the pin 5 to 20 ms later, from a work queue. */
static const char *ring_close(struct reference *ring)
{
	if (syscall(SYS_io_uring_register, ring->fd[0], IORING_UNREGISTER_BUFFERS, NULL, 0) < 0)
		return "io_uring_register";
	close(ring->fd[0]);
	ring->held = NOTHING;
	return NULL;
}

/* Pin a page. A page of the program's own is pinned first, which faults in what the calls themselves touch. */
const char *reference_pin(int name, char *addr, uint8_t *faulted)
{
	static char dummy[PAGE] __attribute__((aligned(PAGE)));
	struct reference *ring = find(name, NOTHING);
	struct reference warm_up;
	const char *failed;

	if (!ring)
		return "pin";
	for (int i = 0; i < 3; i++) {
		failed = ring_open(&warm_up, dummy, faulted);
		if (!failed)
			failed = ring_close(&warm_up);
		if (failed)
			return failed;
		if (!*faulted)
			break;
	}
	return ring_open(ring, addr, faulted);
}

const char *reference_splice(int name, char *addr)
{
	struct reference *held = find(name, NOTHING);
	struct iovec part = { addr, SPLICED };

	if (!held || pipe(held->fd) < 0)
		return "pipe";
	held->held = PIPE;
	return vmsplice(held->fd[1], &part, 1, 0) == SPLICED ? NULL : "vmsplice";
}

/* The first byte as a device sees it: io_uring writes it from the pinned page into a pipe. */
static const char *ring_peek(struct reference *ring, uint8_t *byte)
{
	int fd = ring->fd[0], ends[2];
	char *sq = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	const char *failed = NULL;

	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqe == MAP_FAILED)
		return "mmap";
	if (pipe2(ends, O_NONBLOCK) < 0)
		return "pipe";
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_WRITE_FIXED;
	sqe->fd = ends[1];
	sqe->off = -1;
	sqe->addr = (uintptr_t)ring->addr;
	sqe->len = 1;
	*(uint32_t *)(sq + ring->params.sq_off.array) = 0;
	__atomic_fetch_add((uint32_t *)(sq + ring->params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		failed = "io_uring_enter";
	__atomic_fetch_add((uint32_t *)(cq + ring->params.cq_off.head), 1, __ATOMIC_RELEASE);
	if (!failed && read(ends[0], byte, 1) != 1)
		failed = "read of a pipe";
	munmap(sq, PAGE);
	munmap(cq, PAGE);
	munmap(sqe, PAGE);
	close(ends[0]);
	close(ends[1]);
	return failed;
}

/* Through a second pipe: reading the first would drop its reference. */
static const char *pipe_peek(struct reference *held, uint8_t *byte)
{
	const char *failed = NULL;
	int ends[2];

	if (pipe2(ends, O_NONBLOCK) < 0)
		return "pipe";
	if (tee(held->fd[0], ends[1], 1, 0) != 1)
		failed = "tee";
	else if (read(ends[0], byte, 1) != 1)
		failed = "read of a pipe";
	close(ends[0]);
	close(ends[1]);
	return failed;
}

const char *reference_peek(int name, uint8_t *byte)
{
	struct reference *held = find(name, PIN);

	if (!held)
		return "peek";
	return held->held == PIN ? ring_peek(held, byte) : pipe_peek(held, byte);
}

const char *reference_release(int name)
{
	struct reference *held = find(name, PIN);

	if (!held)
		return "release";
	if (held->held == PIN)
		return ring_close(held);
	close(held->fd[0]);
	close(held->fd[1]);
	held->held = NOTHING;
	return NULL;
}

const char *reference_release_all(void)
{
	for (int name = 0; name < MAX_REFERENCES; name++) {
		const char *failed = references[name].held != NOTHING ? reference_release(name) : NULL;

		if (failed)
			return failed;
	}
	return NULL;
}

/* In a forked child: close the descriptors; a pin stays the parent's. */
void reference_forget_all(void)
{
	for (int name = 0; name < MAX_REFERENCES; name++) {
		if (references[name].held == NOTHING)
			continue;
		close(references[name].fd[0]);
		if (references[name].held == PIPE)
			close(references[name].fd[1]);
		references[name].held = NOTHING;
	}
}
