/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp send ADDRESS PORT PACKETS: of 1 KiB each, as fast as they go; prints how many went.
 * udp hold PORT: take a port, and never read what comes; says "holds".
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port)) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		errx(2, "%s: no address", host);
	return a;
}

static void send_all(int s, const struct sockaddr_in *to, int packets)
{
	static char data[1024];
	int n = 0;

	/* It fails while the interface's queue is full: that is what is wanted. */
	for (int i = 0; i < packets; i++)
		if (sendto(s, data, sizeof(data), 0, (const void *)to, sizeof(*to)) > 0)
			n++;
	printf("%d\n", n);
}

int main(int argc, char **argv)
{
	const int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a;

	if (s < 0)
		err(1, "socket");
	if (argc == 5 && strcmp(argv[1], "send") == 0) {
		a = address(argv[2], argv[3]);
		send_all(s, &a, atoi(argv[4]));
		return 0;
	}
	if (argc != 3 || strcmp(argv[1], "hold") != 0)
		errx(2, "usage: udp send ADDRESS PORT PACKETS | udp hold PORT");
	a = address("0.0.0.0", argv[2]);
	if (bind(s, (const void *)&a, sizeof(a)))
		err(1, "bind %s", argv[2]);
	puts("holds");
	fflush(stdout);
	for (;;)
		pause();
}
