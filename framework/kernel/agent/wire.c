/* The channel: a program arrives as its length and its text; answers leave as frames of kind, length and bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define BUFFER (1UL << 16)

static int channel;
static int waits;		/* a port of a guest reads as ended until the other end has attached */
static char *frame;
static size_t used, room;
static char buffer[BUFFER];
static size_t buffered;

void wire_open(int fd, int patient)
{
	channel = fd;
	waits = patient;
}

/* In a forked child: the channel is the controller's. */
void wire_leave(void)
{
	close(channel);
}

/* A read or write that moved nothing: wait before the next, or end if the other end has gone. */
static void stalled(ssize_t moved, useconds_t pause)
{
	if (waits && (moved == 0 || errno == EAGAIN))
		usleep(pause);
	else if (moved == 0 || errno != EINTR)
		_exit(0);
}

static void receive(void *into, size_t nr)
{
	char *at = into;

	while (nr) {
		ssize_t got = read(channel, at, nr);

		if (got > 0) {
			at += got;
			nr -= got;
		} else {
			stalled(got, 2000);
		}
	}
}

/* The next program, as a string that the caller frees. */
char *wire_program(void)
{
	uint32_t nr;
	char *text;

	receive(&nr, sizeof(nr));
	text = malloc(nr + 1UL);
	if (!text)
		_exit(1);
	receive(text, nr);
	text[nr] = 0;
	return text;
}

void wire_begin(enum kind kind)
{
	uint32_t head[2] = { kind, 0 };

	used = 0;
	wire_add(head, sizeof(head));
}

void wire_add(const void *bytes, size_t nr)
{
	if (used + nr > room) {
		room = 2 * (used + nr);
		frame = realloc(frame, room);
		if (!frame)
			_exit(1);
	}
	memcpy(frame + used, bytes, nr);
	used += nr;
}

static void transmit(const char *bytes, size_t nr)
{
	while (nr) {
		ssize_t put = write(channel, bytes, nr);

		if (put > 0) {
			bytes += put;
			nr -= put;
		} else {
			stalled(put, 200);
		}
	}
}

void wire_finish(void)
{
	uint32_t nr = used - 2 * sizeof(uint32_t);

	memcpy(frame + sizeof(uint32_t), &nr, sizeof(nr));
	if (buffered + used > BUFFER)
		wire_flush();
	if (used > BUFFER) {
		transmit(frame, used);
		return;
	}
	memcpy(buffer + buffered, frame, used);
	buffered += used;
}

void wire_flush(void)
{
	transmit(buffer, buffered);
	buffered = 0;
}
