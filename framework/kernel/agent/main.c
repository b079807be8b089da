/* `agent channel FD`: on the running kernel. `agent serve NUMBER FD…`: after exec. As process 1: in a guest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

/* Answer the exec that started this program, and go on as the process that it was. */
static void resume(int count, char **words)
{
	static int sockets[MAX_PROCESSES];
	static struct answer done;
	int number = atoi(words[0]);

	for (int i = 0; i < MAX_PROCESSES; i++)
		sockets[i] = i + 1 < count ? atoi(words[i + 1]) : -1;
	send(sockets[number], &done, ANSWER_HEAD, MSG_NOSIGNAL);
	serve(sockets, number);
}

int main(int count, char **words)
{
	if (count > 3 && !strcmp(words[1], "serve"))
		resume(count - 2, words + 2);
	if (count == 3 && !strcmp(words[1], "channel")) {
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		wire_open(atoi(words[2]), 0);
		control();
	}
	if (getpid() == 1) {
		wire_open(guest_setup(), 1);
		control();
	}
	fprintf(stderr, "FolioLab's agent: FolioLab starts it\n");
	return 2;
}
