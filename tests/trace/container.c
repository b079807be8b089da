/* A server in a container: forks a child again and again; both write to pages that they share. */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64 };

static void touch(char *memory)
{
	for (size_t page = 0; page < PAGES; page++)
		memory[page * PAGE]++;
}

int main(void)
{
	char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, PAGES * PAGE);
	for (;;) {
		if (fork() == 0) {
			touch(memory);
			_exit(0);
		}
		wait(NULL);
		touch(memory);
		usleep(50000);
	}
}
