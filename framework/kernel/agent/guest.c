/* The first process of a guest: it mounts what the agent reads, loads modules, adds swap, and finds the channel. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

#define PORT "foliolab"		/* the name of the virtio port */
#define PORTS "/sys/class/virtio-ports"
#define MOST_MODULES 100
#define RAMDISKS 4		/* as swap: each has 16 MiB, and keeps what was ever written to it */

/* <linux/fs.h> cannot be included together with <sys/mount.h> of older C libraries. */
#ifndef BLKGETSIZE64
#define BLKGETSIZE64 _IOR(0x12, 114, size_t)
#endif

static void mount_at(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) < 0 && errno != EBUSY)
		fprintf(stderr, "foliolab: %s: %s\n", where, strerror(errno));
}

/* The initramfs has modules as /modules/00.ko, /modules/01.ko, … in the order in which they are to be loaded. */
static void load_modules(void)
{
	for (int i = 0; i < MOST_MODULES; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/modules/%02d.ko", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
			fprintf(stderr, "foliolab: %s: %s\n", path, strerror(errno));
		close(fd);
	}
}

/*
 * Make swap of a RAM disk: its first page says so, from byte 1024 on (union swap_header). A RAM disk has done what it is
 * asked for when the call returns, as zram has, so that a page that is read back needs no swap cache.
 */
static void swap_to(const char *path)
{
	static uint32_t page[PAGE / sizeof(uint32_t)];
	uint64_t bytes = 0;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	ioctl(fd, BLKGETSIZE64, &bytes);
	page[256] = 1;				/* the version */
	page[257] = bytes / PAGE - 1;		/* the last page */
	memcpy((char *)page + PAGE - 10, "SWAPSPACE2", 10);
	if (bytes < 2 * PAGE || write(fd, page, PAGE) != PAGE || fsync(fd) < 0 || swapon(path, 0) < 0)
		fprintf(stderr, "foliolab: no swap on %s: %s\n", path, strerror(errno));
	close(fd);
}

static void add_swap(void)
{
	for (int i = 0; i < RAMDISKS; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/dev/ram%d", i);
		swap_to(path);
	}
}

/* The device of the port named PORT; -1 if it is not there (yet). */
static int open_port(void)
{
	DIR *folder = opendir(PORTS);
	struct dirent *entry;
	int found = -1;

	if (!folder)
		return -1;
	while (found < 0 && (entry = readdir(folder))) {
		char path[512], name[sizeof(PORT)] = "";
		int fd;

		snprintf(path, sizeof(path), PORTS "/%s/name", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof(name) - 1) > 0 && !strcmp(name, PORT)) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			found = open(path, O_RDWR | O_CLOEXEC);
		}
		close(fd);
	}
	closedir(folder);
	return found;
}

/* The descriptor of the channel; a guest without one says so on its console and ends, which the other end sees. */
int guest_setup(void)
{
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	load_modules();
	add_swap();
	for (int i = 0; i < 1000; i++) {
		int fd = open_port();

		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	fprintf(stderr, "foliolab: there is no virtio port " PORT "\n");
	_exit(1);
}
