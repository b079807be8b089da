/*
 * A plugin of QEMU's TCG: it counts what a guest's kernel executes between two marks of the agent, an instruction's
 * address at a time. Instructions that interrupts bring are left out.
 *
 * QEMU's plugin interface is declared here as far as it is used (QEMU's manual, "TCG Plugin API"); API is its version.
 * Arguments of the plugin: `entries=FD`, from which the entry points of interrupts and exceptions are read when the
 * agent arms the plugin, and `counts=FD`, to which a block of counts is written for each pair of marks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../agent/marks.h"
#include "caches.h"

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum flags { NO_REGISTERS };
enum direction { READS_AND_WRITES = 3 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
#if API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *into, size_t size);
#endif
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*)(unsigned int, void *),
					    enum flags flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *),
				      enum flags flags, enum direction direction, void *data);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
void qemu_plugin_reset(qemu_plugin_id_t id, void (*)(qemu_plugin_id_t));

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = API;

#define LONGEST 15		/* bytes of an instruction */
#define KERNEL (1UL << 63)
#define MOST_ENTRIES 4096

enum kind { ORDINARY, INTERRUPT, EXCEPTION, RETURN };

/*
 * Accesses of memory; bytes, where a repeated string instruction makes them. Lines that L1 did not have, near or from
 * afar, without those of string instructions.
 */
struct accesses {
	uint64_t loads, stores, loaded, stored, near, far;
};

/* An instruction of the kernel, with what was counted since the last BEGIN. The first fields are written. */
struct place {
	uint64_t address, locked, instructions;
	struct accesses all;
	struct accesses once;	/* of the last execution that no interrupt followed */
	enum kind kind;
	bool repeats;
};
#define WRITTEN offsetof(struct place, once)

struct entry {
	uint64_t address, kind;
};

static qemu_plugin_id_t id;
static int entries_fd = -1, counts_fd = -1;
static struct entry entries[MOST_ENTRIES];
static size_t nr_entries;

static struct place **table;	/* open addressing; its size is a power of 2 */
static size_t nr_places, room;

static bool armed, counting;
static unsigned int depth;	/* of interrupts, with exceptions in them */
static bool returning;		/* the last instruction was an interrupt's */
static struct place *last;	/* the instruction that was counted last */
static struct accesses now;	/* its accesses so far */

static void fail(const char *why)
{
	ssize_t ignored = write(2, why, strlen(why));

	(void)ignored;
	_exit(1);
}

static size_t slot(uint64_t address)
{
	size_t at = (address * 0x9E3779B97F4A7C15UL) >> 20;

	while (table[at &= room - 1] && table[at]->address != address)
		at++;
	return at;
}

static void grow(void)
{
	struct place **old = table;
	size_t had = room;

	room = had ? 2 * had : 1UL << 16;
	table = calloc(room, sizeof(*table));
	if (!table)
		fail("foliolab: no memory for counts\n");
	for (size_t i = 0; i < had; i++)
		if (old[i])
			table[slot(old[i]->address)] = old[i];
	free(old);
}

static enum kind kind_of(uint64_t address, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < nr_entries; i++)
		if (entries[i].address == address)
			return entries[i].kind;
	return size == 2 && bytes[0] == 0x48 && bytes[1] == 0xcf ? RETURN : ORDINARY;	/* iretq */
}

/* What the bytes of an instruction say: a LOCK prefix, or xchg with memory; a REP prefix before a string instruction. */
static void read_bytes(struct place *place, const uint8_t *bytes, size_t size)
{
	bool rep = false;
	size_t at = 0;

	for (; at < size && memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", bytes[at], 11); at++) {
		place->locked |= bytes[at] == 0xf0;
		rep |= bytes[at] == 0xf2 || bytes[at] == 0xf3;
	}
	if (at < size && (bytes[at] & 0xf0) == 0x40)	/* REX */
		at++;
	if (at + 1 < size && (bytes[at] & 0xfe) == 0x86 && bytes[at + 1] >> 6 != 3)
		place->locked = 1;
	place->repeats = rep && at < size && ((bytes[at] & 0xfc) == 0xa4 || (bytes[at] >= 0xaa && bytes[at] <= 0xaf));
}

static struct place *place_of(uint64_t address, const uint8_t *bytes, size_t size)
{
	struct place *place;
	size_t at;

	if (2 * nr_places >= room)
		grow();
	at = slot(address);
	place = table[at];
	if (!place) {
		place = table[at] = calloc(1, sizeof(*place));
		if (!place)
			fail("foliolab: no memory for counts\n");
		nr_places++;
		place->address = address;
	}
	place->locked = 0;	/* the kernel patches its text */
	read_bytes(place, bytes, size);
	place->kind = kind_of(address, bytes, size);
	return place;
}

static void settle(void)
{
	if (!last)
		return;
	last->all.loads += now.loads;
	last->all.stores += now.stores;
	last->all.loaded += now.loaded;
	last->all.stored += now.stored;
	last->all.near += now.near;
	last->all.far += now.far;
	last->once = now;
	now = (struct accesses){ 0 };
}

/*
 * Before each instruction of the kernel. A repeated string instruction comes here once an iteration. QEMU may report
 * what it does to deliver an interrupt as accesses of the instruction before, which therefore get the number of an
 * execution that was not interrupted.
 */
static void step(unsigned int cpu, void *data)
{
	struct place *place = data;

	(void)cpu;
	if (!counting)
		return;
	if (place->kind == INTERRUPT || (depth && place->kind == EXCEPTION)) {
		if (!depth++ && last)
			now = last->once;
		return;
	}
	if (depth) {
		depth -= place->kind == RETURN;
		returning = true;
		return;
	}
	returning = false;
	settle();
	if (!place->repeats || place != last)
		place->instructions++;
	last = place;
}

static void touch(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
	bool store = qemu_plugin_mem_is_store(info);
	struct place *place = data;
	enum origin origin = origin_of(address);

	(void)cpu;
	if (!counting || depth || returning || place != last)
		return;
	if (!place->repeats)
		now.near += origin == NEAR, now.far += origin == FAR;
	if (place->repeats)
		*(store ? &now.stored : &now.loaded) += 1UL << qemu_plugin_mem_size_shift(info);
	else
		++*(store ? &now.stores : &now.loads);
}

static void put(const void *bytes, size_t nr)
{
	const char *at = bytes;

	while (nr) {
		ssize_t done = write(counts_fd, at, nr);

		if (done <= 0)
			fail("foliolab: counts cannot be written\n");
		at += done;
		nr -= done;
	}
}

static void begin(void)
{
	for (size_t i = 0; i < room; i++)
		if (table[i])
			table[i]->all = (struct accesses){ 0 }, table[i]->instructions = 0;
	depth = 0;
	returning = false;
	last = NULL;
	now = (struct accesses){ 0 };
	counting = true;
}

static void finish(void)
{
	uint64_t nr = 0;

	settle();
	counting = false;
	for (size_t i = 0; i < room; i++)
		nr += table[i] && table[i]->instructions;
	put(&nr, sizeof(nr));
	for (size_t i = 0; i < room; i++)
		if (table[i] && table[i]->instructions)
			put(table[i], WRITTEN);
}

static void translated(qemu_plugin_id_t plugin, struct qemu_plugin_tb *tb);

static void instrument(qemu_plugin_id_t plugin)
{
	armed = true;
	qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
}

/* Code that is translated so far has no counters: drop it all. Booting is faster without. */
static void arm(void)
{
	ssize_t got = pread(entries_fd, entries, sizeof(entries), 0);

	if (got < 0)
		fail("foliolab: the entry points of interrupts cannot be read\n");
	nr_entries = got / sizeof(*entries);
	if (!armed)
		qemu_plugin_reset(id, instrument);
}

static void mark(unsigned int cpu, void *data)
{
	(void)cpu;
	switch ((uintptr_t)data) {
	case MARK_ARM:
		arm();
		break;
	case MARK_BEGIN:
		begin();
		break;
	case MARK_END:
		finish();
		break;
	}
}

static void translated(qemu_plugin_id_t plugin, struct qemu_plugin_tb *tb)
{
	static const uint8_t marked[] = { MARK_BYTES };
	size_t nr = qemu_plugin_tb_n_insns(tb);

	(void)plugin;
	for (size_t i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		size_t size = qemu_plugin_insn_size(insn);
		uint8_t bytes[LONGEST];

		if ((address & KERNEL) ? !armed : size != sizeof(marked) + 1)
			continue;
#if API < 3
		memcpy(bytes, qemu_plugin_insn_data(insn), size);
#else
		qemu_plugin_insn_data(insn, bytes, size);
#endif
		if (address & KERNEL) {
			struct place *place = place_of(address, bytes, size);

			qemu_plugin_register_vcpu_insn_exec_cb(insn, step, NO_REGISTERS, place);
			qemu_plugin_register_vcpu_mem_cb(insn, touch, NO_REGISTERS, READS_AND_WRITES, place);
		} else if (!memcmp(bytes, marked, sizeof(marked))) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, NO_REGISTERS, (void *)(uintptr_t)bytes[size - 1]);
		}
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t own, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	id = own;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "entries=", 8))
			entries_fd = atoi(argv[i] + 8);
		if (!strncmp(argv[i], "counts=", 7))
			counts_fd = atoi(argv[i] + 7);
	}
	grow();
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return entries_fd < 0 || counts_fd < 0;
}
