// SPDX-License-Identifier: Apache-2.0
/*
 * relay SOCKET: makes a Unix socket reachable by TCP on the loopback interface,
 * since dropbear forwards nothing else. Prints "PORT PID" and goes on in the
 * background. Two threads a connection: no direction can block another.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un target = { .sun_family = AF_UNIX };

/* Copies until the end of FROM, and tells TO about it. */
static void copy(int from, int to)
{
	char data[65536];
	ssize_t got;

	while ((got = read(from, data, sizeof(data))) > 0) {
		for (ssize_t done = 0, put; done < got; done += put) {
			put = write(to, data + done, (size_t)(got - done));
			if (put < 0)
				goto broken;
		}
	}
	if (got == 0) {
		shutdown(to, SHUT_WR);
		return;
	}
broken:
	shutdown(from, SHUT_RDWR);
	shutdown(to, SHUT_RDWR);
}

struct pair {
	int tcp, local;
};

static void *to_tcp(void *arg)
{
	struct pair *pair = arg;

	copy(pair->local, pair->tcp);
	return NULL;
}

static void *connection(void *arg)
{
	struct pair *pair = arg;
	pthread_t other;

	if (!connect(pair->local, (const void *)&target, sizeof(target)) &&
	    !pthread_create(&other, NULL, to_tcp, pair)) {
		copy(pair->tcp, pair->local);
		pthread_join(other, NULL);
	}
	close(pair->local);
	close(pair->tcp);
	free(pair);
	return NULL;
}

static void serve(int tcp)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	const int on = 1;
	pthread_t thread;

	if (!pair)
		err(1, "calloc");
	pair->tcp = tcp;
	pair->local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (pair->local < 0 || pthread_create(&thread, NULL, connection, pair))
		err(1, "connection");
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(at);
	int listener, accepted;
	pid_t pid;

	if (argc != 2 || strlen(argv[1]) >= sizeof(target.sun_path))
		errx(2, "usage: relay SOCKET");
	strcpy(target.sun_path, argv[1]);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (const void *)&at, sizeof(at)) ||
	    listen(listener, 64) || getsockname(listener, (void *)&at, &size))
		err(1, "listen");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid) {
		printf("%d %d\n", ntohs(at.sin_port), (int)pid);
		return 0;
	}
	setsid();
	for (int fd = 0; fd < 3; fd++)
		if (fd != listener)
			close(fd);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (accepted >= 0)
			serve(accepted);
		else if (errno != EINTR && errno != ECONNABORTED)
			return 1;
	}
}
