/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a monitor: see procstat.h. */
#include "api/ctl/procstat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

/* Keeper, monitor and what they may start one day. */
#define FAMILY_MAX 16

/* Longer than any of the files that are read here. */
#define TEXT_MAX 4096

/* ---- texts ---- */

/* Parse a decimal number at `*at` and advance behind it and its blanks. */
static int number(const char **at, uint64_t *out)
{
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)**at))
		return -EBADMSG;
	errno = 0;
	n = strtoull(*at, &end, 10);
	if (errno)
		return -EBADMSG;
	*out = n;
	*at = end + strspn(end, " \t");
	return 0;
}

/* Advance over `n` fields. */
static void skip(const char **at, unsigned n)
{
	while (n--) {
		*at += strcspn(*at, " ");
		*at += strspn(*at, " ");
	}
}

int procstat_parse(const char *text, struct procstat *out)
{
	const char *at = text, *name_end = strrchr(text, ')');
	struct procstat p = { 0 };
	uint64_t pid, parent, user, system;

	/* A name can hold anything, also ") R 1": it ends at the last parenthesis. */
	if (number(&at, &pid) < 0 || *at != '(' || !name_end || name_end[1] != ' ')
		return -EBADMSG;
	at = name_end + 2;
	p.state = *at;
	if (!isalpha((unsigned char)p.state) || at[1] != ' ')
		return -EBADMSG;
	at += 2;
	if (number(&at, &parent) < 0)
		return -EBADMSG;
	skip(&at, 9);
	if (number(&at, &user) < 0 || number(&at, &system) < 0)
		return -EBADMSG;
	skip(&at, 6);
	if (number(&at, &p.start_ticks) < 0)
		return -EBADMSG;
	skip(&at, 1);
	if (number(&at, &p.rss_pages) < 0)
		return -EBADMSG;
	if (pid > INT32_MAX || parent > INT32_MAX || !add_u64(user, system, &p.cpu_ticks))
		return -EBADMSG;
	p.pid = (pid_t)pid;
	p.parent = (pid_t)parent;
	*out = p;
	return 0;
}

int procstat_number(const char *text, const char *key, uint64_t *out)
{
	size_t len = strlen(key);

	while (strncmp(text, key, len) != 0 || text[len] != ':') {
		text = strchr(text, '\n');
		if (!text)
			return -ENOENT;
		text++;
	}
	text += len + 1;
	text += strspn(text, " \t");
	return number(&text, out);
}

/* ---- files ---- */

/* Read the file ROOT/PID/NAME as a string, cut at TEXT_MAX. */
static int read_text(const char *root, pid_t pid, const char *name, char text[TEXT_MAX])
{
	char path[512];
	ssize_t n;
	int fd, rc;

	text[0] = '\0';
	rc = snprintf(path, sizeof(path), "%s/%d/%s", root, (int)pid, name);
	if (rc < 0 || (size_t)rc >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, TEXT_MAX - 1);
	rc = n < 0 ? -errno : 0;
	close(fd);
	if (n > 0)
		text[n] = '\0';
	return rc;
}

static int by_parent(const void *a, const void *b)
{
	const struct procstat *x = a, *y = b;

	return x->parent != y->parent ? (x->parent > y->parent) - (x->parent < y->parent) :
					(x->pid > y->pid) - (x->pid < y->pid);
}

static int add(struct proctable *t, const struct procstat *p)
{
	/* Doubled whenever it is full: at powers of two. */
	if (t->n < 64 ? t->n == 0 : (t->n & (t->n - 1)) == 0) {
		size_t room = t->n ? t->n * 2 : 64;
		struct procstat *more = reallocarray(t->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->list = more;
	}
	t->list[t->n++] = *p;
	return 0;
}

int proctable_read(struct proctable *out, const char *root)
{
	struct proctable t = { 0 };
	const struct dirent *entry;
	char text[TEXT_MAX] = "";
	DIR *dir = opendir(root);
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		struct procstat p;
		uint64_t pid;

		if (number(&name, &pid) == 0 && !*name && pid <= INT32_MAX &&
		    read_text(root, (pid_t)pid, "stat", text) == 0 &&
		    procstat_parse(text, &p) == 0)
			rc = add(&t, &p);
	}
	closedir(dir);
	if (rc < 0) {
		free(t.list);
		return rc;
	}
	if (t.n)
		qsort(t.list, t.n, sizeof(*t.list), by_parent);
	*out = t;
	return 0;
}

void proctable_free(struct proctable *t)
{
	free(t->list);
	*t = (struct proctable){ 0 };
}

/* ---- families ---- */

/* The first one whose parent is `pid`, or a larger number. */
static size_t first_child(const struct proctable *t, pid_t pid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->list[middle].parent < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static unsigned collect(const struct proctable *t, pid_t pid,
			const struct procstat *members[FAMILY_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; i < t->n && n == 0; i++)
		if (t->list[i].pid == pid && t->list[i].state != 'Z')
			members[n++] = &t->list[i];
	for (unsigned done = 0; done < n; done++) {
		pid_t parent = members[done]->pid;

		for (size_t i = first_child(t, parent);
		     i < t->n && t->list[i].parent == parent && n < FAMILY_MAX; i++)
			if (t->list[i].state != 'Z')
				members[n++] = &t->list[i];
	}
	return n;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	return ticks / hz * NS_PER_S + ticks % hz * (NS_PER_S / hz);
}

static void add_memory(struct procfamily *f, const char *root, pid_t pid)
{
	uint64_t pss_kib;
	char text[TEXT_MAX] = "";

	if (read_text(root, pid, "smaps_rollup", text) < 0 ||
	    procstat_number(text, "Pss", &pss_kib) < 0)
		f->has_pss = false;
	else
		f->pss_bytes += pss_kib * KIB;
}

static void add_io(struct procfamily *f, const char *root, pid_t pid)
{
	uint64_t in, out;
	char text[TEXT_MAX] = "";

	if (read_text(root, pid, "io", text) < 0 ||
	    procstat_number(text, "read_bytes", &in) < 0 ||
	    procstat_number(text, "write_bytes", &out) < 0) {
		f->has_io = false;
		return;
	}
	f->read_bytes += in;
	f->write_bytes += out;
}

int procfamily_read(const struct proctable *t, pid_t pid, const char *root,
		    struct procfamily *out)
{
	const struct procstat *members[FAMILY_MAX];
	struct procfamily f = { .has_pss = true, .has_io = true };

	f.processes = collect(t, pid, members);
	if (f.processes == 0)
		return -ESRCH;
	f.start_ns = ticks_to_ns(members[0]->start_ticks);
	for (unsigned i = 0; i < f.processes; i++) {
		f.cpu_ns += ticks_to_ns(members[i]->cpu_ticks);
		f.rss_bytes += members[i]->rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
		add_memory(&f, root, members[i]->pid);
		add_io(&f, root, members[i]->pid);
	}
	*out = f;
	return 0;
}
