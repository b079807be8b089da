/*
 * The agent: plays the steps of scenarios in real processes of the kernel that it runs on, and sends back what /proc
 * shows of their memory. The agent carries out one line of a program after the other, and judges nothing: that is the
 * business of the other end (`Attempt` in ../oracle.py writes programs, and reads the answers).
 *
 * It runs as the first process of a guest, which it sets up, or as a process of the running kernel. The controller reads
 * programs from the channel; each process of a scenario is a fork of it, or of another process, and takes its commands
 * from a socket of its own. A process ends when the other end of its socket is closed: none outlives the controller.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL
#define PMD (2UL << 20)
#define BASE (1UL << 36)	/* where the pages of a scenario begin: free in a small static program */
#define MAX_PAGES (1UL << 16)
#define MAX_PROCESSES 64
#define MAX_ARGUMENTS 8

/* A command to a process, and its answer, which `nr` bytes may follow. */
struct command {
	char name[16];
	int64_t arg[MAX_ARGUMENTS];
};

struct answer {
	int32_t error;		/* of errno.h; 0: done */
	char call[28];		/* what failed */
	uint8_t bytes[MAX_PAGES];
};
#define ANSWER_HEAD offsetof(struct answer, bytes)

/* Equal neighbours in a view: pages whose entries have the same bits and, if present, consecutive frames. */
struct run {
	uint64_t entry;		/* of /proc/PID/pagemap, bits of interest only */
	uint32_t nr;
	uint32_t count;		/* /proc/kpagecount */
	uint32_t flags;		/* /proc/kpageflags, bits of interest only */
	uint32_t reserved;
};

/* wire.c: frames to the other end */
enum kind { BYTES = 1, ABSENT = 2, VIEW = 3, ERROR = 4, END = 5 };
void wire_open(int fd, int patient);
void wire_leave(void);
char *wire_program(void);
void wire_begin(enum kind kind);
void wire_add(const void *bytes, size_t nr);
void wire_finish(void);
void wire_flush(void);

/* guest.c: the first process of a guest */
int guest_setup(void);

/* controller.c: programs and the tree of processes */
void control(void) __attribute__((noreturn));

/* process.c: one process of a scenario */
void serve(const int *sockets, int number) __attribute__((noreturn));
void become(int number, int cpu);

/* reference.c: pins and pipes that hold references to pages; they return the name of the call that failed, or NULL */
const char *reference_pin(int name, char *addr, uint8_t *faulted);
const char *reference_splice(int name, char *addr);
const char *reference_release(int name);
const char *reference_peek(int name, uint8_t *byte);
const char *reference_release_all(void);
void reference_forget_all(void);

/* view.c: what /proc shows */
int view_open(int pid);
void view_send(int pagemap, int number, unsigned long nr_pages, int look_for_zero);

long minor_faults(void);

#endif
