/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/server: connections over real sockets and a real loop, in one thread. What needs
 * a client of its own (curl, thousands of requests) is tested in tests/api.
 */
#include "api/server.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "Server: Firecracker API\r\nConnection: keep-alive\r\n"
#define GET_VERSION "GET /version HTTP/1.1\r\n\r\n"
#define VERSION                                                        \
	"HTTP/1.1 200 \r\n" HEAD                                       \
	"Content-Type: application/json\r\nContent-Length: 29\r\n\r\n" \
	"{\"firecracker_version\":\"1.2\"}"

/* ---- allocations that fail ---- */

static unsigned allocations, failing; /* the failing-th fails; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
	return ++allocations == failing ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return ++allocations == failing ? NULL : __real_calloc(n, size);
}

/* ---- the server under test ---- */

struct fixture {
	char path[64];
	struct loop *loop;
	struct api_server *server;
	struct loop_timer tick; /* so that a turn of the loop always ends */
	struct vm_config config;
	unsigned handled;
};

static void handle(void *ctx, const struct action *a, struct reply *r)
{
	struct fixture *f = ctx;

	f->handled++;
	r->version = "1.2";
	r->config = &f->config;
	if (a->kind == ACTION_GET_VERSION)
		r->kind = REPLY_VERSION;
	else if (a->kind == ACTION_GET_VM_CONFIG)
		r->kind = REPLY_VM_CONFIG;
	else if (a->kind == ACTION_PAUSE)
		err_set(&r->fault, 0, "no");
	else
		r->kind = REPLY_NO_CONTENT;
}

static void ticked(struct loop_op *op, int res)
{
	struct fixture *f = CONTAINER_OF(op, struct fixture, tick.op);

	loop_timeout(f->loop, &f->tick, 1);
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;
	int fd;

	assert_non_null(f);
	config_init(&f->config);
	f->config.boot.present = true;
	memset(f->config.boot.kernel_image_path, 'k', CONFIG_PATH_MAX - 1);
	snprintf(f->path, sizeof(f->path), "/tmp/test_server.%d", (int)getpid());
	fd = api_listen(f->path, &e);
	assert_true(fd >= 0);
	assert_int_equal(loop_create(&f->loop, 64), 0);
	assert_int_equal(api_server_create(&f->server, f->loop, fd, 100, handle, f), 0);
	f->tick.op.done = ticked;
	loop_timeout(f->loop, &f->tick, 1);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	api_server_destroy(f->server);
	loop_destroy(f->loop);
	unlink(f->path);
	free(f);
	return 0;
}

static void turns(struct fixture *f, unsigned count)
{
	while (count--)
		assert_int_equal(loop_turn(f->loop), 0);
}

/* ---- clients ---- */

static int client(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Let the server run until `fd` has something to read, or for a second. */
static bool readable(struct fixture *f, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (unsigned i = 0; i < 1000; i++) {
		if (poll(&p, 1, 0) == 1)
			return true;
		turns(f, 1);
	}
	return false;
}

/* Read as much as `expected` is long. */
static void assert_reads(struct fixture *f, int fd, const char *expected)
{
	char got[4096] = "";
	size_t len = 0;

	assert_true(strlen(expected) < sizeof(got));
	while (len < strlen(expected) && readable(f, fd)) {
		ssize_t n = recv(fd, got + len, strlen(expected) - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	assert_string_equal(got, expected);
}

static void assert_closed(struct fixture *f, int fd)
{
	char byte;

	assert_true(readable(f, fd));
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static void answers_each_kind(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ GET_VERSION, VERSION },
		{ GET_VERSION GET_VERSION, VERSION VERSION },
		{ "PUT /actions HTTP/1.1\r\nContent-Length: 31\r\n\r\n"
		  "{\"action_type\":\"InstanceStart\"}",
		  "HTTP/1.1 204 \r\n" HEAD "\r\n" },
		{ "PATCH /machine-config HTTP/1.1\r\nContent-Length: 23\r\n\r\n"
		  "{\"cpu_template\":\"None\"}",
		  "HTTP/1.1 204 \r\n" HEAD "Deprecation: true\r\n\r\n" },
		{ "PATCH /vm HTTP/1.1\r\nContent-Length: 18\r\n\r\n{\"state\":\"Paused\"}",
		  "HTTP/1.1 400 \r\n" HEAD "Content-Type: application/json\r\n"
		  "Content-Length: 22\r\n\r\n{\"fault_message\":\"no\"}" },
		{ "PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
		  "HTTP/1.1 100 \r\n" HEAD "\r\n" },
		{ "x", "HTTP/1.1 400 \r\n" HEAD "Content-Type: application/json\r\n"
		       "Content-Length: 62\r\n\r\n"
		       "{\"fault_message\":\"Invalid request method and/or path: PUT x.\"}" },
	};
	struct fixture *f = *state;
	int fd = client(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(fd, cases[i].in);
		assert_reads(f, fd, cases[i].out);
	}
	close(fd);
	turns(f, 3);
}

static void refuses_one_connection_too_many(void **state)
{
	struct fixture *f = *state;
	int fds[API_CONNECTIONS_MAX], extra;

	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		fds[i] = client(f);
		put(fds[i], GET_VERSION);
		assert_reads(f, fds[i], VERSION);
	}
	for (unsigned i = 0; i < 3; i++) {
		extra = client(f);
		assert_reads(f, extra,
			     "HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\n"
			     "Content-Length: 40\r\n\r\n"
			     "{ \"error\": \"Too many open connections\" }");
		assert_closed(f, extra);
	}
	close(fds[3]);
	turns(f, 3);
	fds[3] = client(f);
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		put(fds[i], GET_VERSION);
		assert_reads(f, fds[i], VERSION);
		close(fds[i]);
	}
}

/* The new connection is seen before the end of the old one is. */
static void place_of_a_client_that_hangs_up_is_given_on(void **state)
{
	struct fixture *f = *state;
	int fds[API_CONNECTIONS_MAX];

	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		fds[i] = client(f);
		put(fds[i], GET_VERSION);
		assert_reads(f, fds[i], VERSION);
	}
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		int next = client(f);

		close(fds[i]);
		fds[i] = next;
		put(next, GET_VERSION);
		assert_reads(f, next, VERSION);
	}
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++)
		close(fds[i]);
	turns(f, 3);
	put(fds[0] = client(f), GET_VERSION);
	assert_reads(f, fds[0], VERSION);
	close(fds[0]);
}

static void client_that_does_not_read_is_not_read_from(void **state)
{
	static const char get[] = "GET /vm/config HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	int slow = client(f), other = client(f);
	unsigned handled;

	while (send(slow, get, strlen(get), MSG_NOSIGNAL) == (ssize_t)strlen(get))
		turns(f, 2);
	turns(f, 50);
	handled = f->handled;
	turns(f, 50);
	assert_int_equal(f->handled, handled);
	put(other, GET_VERSION);
	assert_reads(f, other, VERSION);
	close(slow);
	close(other);
	turns(f, 5);
}

static void half_a_request_waits(void **state)
{
	struct fixture *f = *state;
	int half = client(f), other = client(f);

	put(half, "GET /ver");
	turns(f, 10);
	put(other, GET_VERSION);
	assert_reads(f, other, VERSION);
	put(half, "sion HTTP/1.1\r\n\r\n");
	shutdown(half, SHUT_WR); /* still gets its answer */
	assert_reads(f, half, VERSION);
	assert_closed(f, half);
	close(other);
}

static unsigned open_files(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

static void descriptors_that_come_along_are_closed(void **state)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = { 0 };
	struct iovec iov = { (char[]){ GET_VERSION }, strlen(GET_VERSION) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fixture *f = *state;
	int fd = client(f);
	struct cmsghdr *header;
	unsigned before;

	turns(f, 3);
	before = open_files();
	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	header = CMSG_FIRSTHDR(&msg);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &(int){ STDERR_FILENO }, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), strlen(GET_VERSION));
	assert_reads(f, fd, VERSION);
	assert_int_equal(open_files(), before);
	close(fd);
}

static void accepting_goes_on_when_descriptors_are_back(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none = { 0 };
	struct loop_stats before;
	int fd = client(f), waiting[2];

	put(fd, GET_VERSION);
	assert_reads(f, fd, VERSION);
	/* The accept in flight may have its descriptor: the second has to wait for one. */
	for (unsigned i = 0; i < 2; i++) {
		waiting[i] = client(f);
		put(waiting[i], GET_VERSION);
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	before = loop_stats(f->loop);
	turns(f, 10);
	/* Beside the ticks: the first is accepted and served, the second is not. */
	assert_true(loop_stats(f->loop).ops - before.ops <= 10 + 6);
	setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned i = 0; i < 2; i++) {
		assert_reads(f, waiting[i], VERSION);
		close(waiting[i]);
	}
	close(fd);
}

/* Ask for everything that allocates; false when the connection was lost. */
static bool survives(struct fixture *f)
{
	static const char in[] =
		"GET /vm/config HTTP/1.1\r\n\r\n"
		"PATCH /vm HTTP/1.1\r\nContent-Length: 18\r\n\r\n"
		"{\"state\":\"Paused\"}"
		"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	static const char more[] = "xPOST / HTTP/1.1\r\n\r\n";
	char got[16384];
	int fd = client(f);
	bool alive = true;

	put(fd, in);
	for (unsigned i = 0; i < 8; i++)
		turns(f, 1);
	if (send(fd, more, strlen(more), MSG_NOSIGNAL) < 0)
		alive = false;
	while (alive && readable(f, fd)) {
		ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

		alive = n > 0;
		got[n > 0 ? n : 0] = '\0';
		if (strstr(got, "unanswered"))
			break;
	}
	close(fd);
	turns(f, 3);
	return alive;
}

static void lack_of_memory_costs_the_connection_only(void **state)
{
	cJSON_Hooks hooks = { .malloc_fn = __wrap_malloc, .free_fn = free };
	struct fixture *f = *state;
	unsigned lost = 0;
	bool reached = true;

	cJSON_InitHooks(&hooks);
	for (unsigned n = 1; reached && n < 1000; n++) {
		allocations = 0;
		failing = n;
		if (!survives(f))
			lost++;
		reached = allocations >= n;
		failing = 0;
		assert_true(survives(f));
	}
	cJSON_InitHooks(NULL);
	assert_false(reached);
	assert_true(lost > 10);
}

static void listen_refuses_bad_paths(void **state)
{
	struct fixture *f = *state;
	char path[200] = "/tmp/";
	struct err e;

	memset(path + 5, 'a', sizeof(path) - 6);
	assert_int_equal(api_listen(path, &e), -ENAMETOOLONG);
	assert_int_equal(api_listen("", &e), -ENOENT);
	assert_int_equal(api_listen("/nowhere/socket", &e), -ENOENT);
	assert_string_equal(e.text, "Failed to open the API socket at: /nowhere/socket: "
				    "No such file or directory");
	assert_int_equal(api_listen(f->path, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, ". Check that it is not already used."));
}

static void destroy_ends_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	int idle = client(f), slow = client(f);

	turns(f, 3);
	while (send(slow, GET_VERSION, strlen(GET_VERSION), MSG_NOSIGNAL) > 0)
		turns(f, 1);
	turns(f, 3);
	/* The fixture destroys the server now; AddressSanitizer watches. */
	close(idle);
	close(slow);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_each_kind),
		TEST(refuses_one_connection_too_many),
		TEST(place_of_a_client_that_hangs_up_is_given_on),
		TEST(client_that_does_not_read_is_not_read_from),
		TEST(half_a_request_waits),
		TEST(descriptors_that_come_along_are_closed),
		TEST(accepting_goes_on_when_descriptors_are_back),
		TEST(lack_of_memory_costs_the_connection_only),
		TEST(listen_refuses_bad_paths),
		TEST(destroy_ends_what_is_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
