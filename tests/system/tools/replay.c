/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the API that does what a script on standard input says, with the time-outs
 * of the client that it plays. Runs in dom0, where clients are.
 *
 * usage: replay SOCKET < SCRIPT
 *
 *   spawn PROGRAM ARG...        start the monitor
 *   ready MS PATH               every 10 ms look for the socket, then GET PATH, until it
 *                               answers 200, at most for MS since the spawn
 *   call MS METHOD PATH [BODY]  one request; the answer has to be whole within MS
 *   fresh                       from here on a connection for every call
 *   until MS FILE TEXT          wait until the file contains the text, or the monitor ends
 *   kill SIGNAL, exit MS        signal the monitor; wait for its end
 *
 * A line of JSON for every line but `fresh`: {"line", "status", "us", "body"}. The status
 * is HTTP's or that of the exit, 0 when nothing else is told, and -1 when time was up:
 * then the monitor is killed and this ends with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 10
#define TIME_UP (-1)

struct client {
	const char *path;
	int fd; /* -1: not connected */
	bool fresh;
	pid_t monitor;
	int64_t spawned; /* us */
	char answer[65536];
	char *body; /* in the answer */
};

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
		  NULL);
}

static void hang_up(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static bool dial(struct client *c)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (c->fd >= 0)
		return true;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", c->path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return true;
	hang_up(c);
	return false;
}

/* What is there of the answer is all of it. */
static bool whole(struct client *c, size_t got)
{
	const char *length;

	c->answer[got] = '\0';
	c->body = strstr(c->answer, "\r\n\r\n");
	if (!c->body)
		return false;
	c->body += 4;
	length = strstr(c->answer, "Content-Length: ");
	return !length || length > c->body ||
	       c->answer + got >= c->body + strtoul(length + 16, NULL, 10);
}

/* The status, 0 when there is no connection, or TIME_UP. */
static int request(struct client *c, const char *method, const char *path, const char *body,
		   int64_t deadline)
{
	static char text[65536];
	size_t got = 0;
	ssize_t n;

	if (!dial(c))
		return 0;
	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);
	if (*body)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			      strlen(body));
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n%s", body);
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return 0;
	do {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		int64_t left = (deadline - now_us()) / 1000;

		if (left < 0 || poll(&p, 1, (int)left) == 0)
			return TIME_UP;
		n = recv(c->fd, c->answer + got, sizeof(c->answer) - 1 - got, 0);
		if (n <= 0)
			return 0;
		got += (size_t)n;
	} while (!whole(c, got));
	if (c->fresh)
		hang_up(c);
	return (int)strtol(c->answer + strlen("HTTP/1.1 "), NULL, 10);
}

/* ---- the words of the script ---- */

static int do_spawn(struct client *c, char *words)
{
	char *argv[64] = { NULL };
	int n = 0, null = open("/dev/null", O_RDWR);

	for (char *w = strtok(words, " "); w && n < 63; w = strtok(NULL, " "))
		argv[n++] = w;
	c->spawned = now_us();
	c->monitor = fork();
	if (c->monitor == 0) {
		dup2(null, 0);
		dup2(2, 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(null);
	return 0;
}

static int do_ready(struct client *c, char *words)
{
	int64_t deadline = c->spawned + 1000 * strtol(words, &words, 10);
	int status = 0;
	struct stat st;

	for (words++; now_us() < deadline; sleep_ms(POLL_MS)) {
		if (stat(c->path, &st) == 0)
			status = request(c, "GET", words, "", deadline);
		if (status == 200)
			return status;
		hang_up(c);
	}
	return TIME_UP;
}

static int do_call(struct client *c, char *words)
{
	int64_t deadline = now_us() + 1000 * strtol(words, &words, 10);
	const char *method = strtok(words, " "), *path = strtok(NULL, " ");
	const char *body = strtok(NULL, "");

	return method && path ? request(c, method, path, body ? body : "", deadline) : TIME_UP;
}

static bool contains(const char *file, const char *text)
{
	static char buffer[1 << 20];
	FILE *f = fopen(file, "re");
	size_t n = f ? fread(buffer, 1, sizeof(buffer) - 1, f) : 0;

	if (f)
		fclose(f);
	buffer[n] = '\0';
	return strstr(buffer, text);
}

static int do_until(struct client *c, char *words)
{
	int64_t deadline = now_us() + 1000 * strtol(words, &words, 10);
	const char *file = strtok(words, " "), *text = strtok(NULL, "");

	for (; now_us() < deadline; sleep_ms(5 * POLL_MS)) {
		if (contains(file, text))
			return 0;
		if (waitpid(c->monitor, NULL, WNOHANG) == c->monitor) {
			c->monitor = 0;
			break;
		}
	}
	return TIME_UP;
}

static int do_kill(struct client *c, char *words)
{
	return kill(c->monitor, (int)strtol(words, NULL, 10)) == 0 ? 0 : TIME_UP;
}

static int do_exit(struct client *c, char *words)
{
	int64_t deadline = now_us() + 1000 * strtol(words, NULL, 10);
	int status;

	for (; now_us() < deadline; sleep_ms(POLL_MS))
		if (waitpid(c->monitor, &status, WNOHANG) == c->monitor) {
			c->monitor = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	return TIME_UP;
}

static const struct {
	const char *word;
	int (*run)(struct client *c, char *words);
} commands[] = {
	{ "spawn", do_spawn }, { "ready", do_ready }, { "call", do_call },
	{ "until", do_until }, { "kill", do_kill },   { "exit", do_exit },
};

/* ---- */

static void tell(const char *line, int status, int64_t us, const char *body)
{
	printf("{\"line\": \"");
	for (; *line && *line != '{'; line++)
		putchar(*line == '"' || *line == '\\' ? '_' : *line);
	printf("\", \"status\": %d, \"us\": %lld, \"body\": %s}\n", status, (long long)us,
	       body && *body ? body : "null");
}

static int run_line(struct client *c, char *line)
{
	static char copy[65536];
	int64_t begin = now_us();
	int status = TIME_UP;
	size_t n = strcspn(line, " ");

	if (strcmp(line, "fresh") == 0) {
		hang_up(c);
		c->fresh = true;
		return 0;
	}
	c->body = NULL;
	memcpy(copy, line, strlen(line) + 1);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].word) == n && memcmp(commands[i].word, line, n) == 0)
			status = commands[i].run(c, line + n + 1);
	tell(copy, status, now_us() - begin, status == TIME_UP ? NULL : c->body);
	return status == TIME_UP ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct client c = { .fd = -1 };
	static char line[65536];
	int failed = argc != 2;

	c.path = argv[1];
	while (!failed && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		failed = line[0] && run_line(&c, line) < 0;
	}
	if (c.monitor > 0) {
		kill(c.monitor, SIGKILL);
		waitpid(c.monitor, NULL, 0);
	}
	return failed;
}
