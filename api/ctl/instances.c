/* SPDX-License-Identifier: Apache-2.0 */
/* Finding instances: see instances.h. */
#include "api/ctl/instances.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path of `file` in the instance's directory, "" when there is none. */
static void find_file(const struct instance *i, int dir, const char *file, char *out)
{
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    snprintf(out, RUNDIR_PATH_MAX, "%s/%s", i->dir, file) >= RUNDIR_PATH_MAX)
		out[0] = '\0';
}

static void read_pid(struct instance *i, int dir)
{
	int fd = openat(dir, RUNDIR_PID, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		i->alive = rundir_locked(fd);
		i->pid = rundir_pid(fd);
		i->started = st.st_mtim;
	}
	close(fd);
}

bool instances_read(struct instance *out, const char *base, const char *name)
{
	int dir;

	*out = (struct instance){ .pid = -1 };
	if (!rundir_name_valid(name) || rundir_path(out->dir, base, name, NULL, NULL) < 0)
		return false;
	dir = open(out->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return false;
	(void)snprintf(out->name, sizeof(out->name), "%s", name);
	(void)snprintf(out->id, sizeof(out->id), "%.*s", (int)strcspn(name, "."), name);
	read_pid(out, dir);
	find_file(out, dir, RUNDIR_API, out->api);
	find_file(out, dir, RUNDIR_CONSOLE, out->console);
	find_file(out, dir, RUNDIR_LOG, out->log);
	find_file(out, dir, RUNDIR_METRICS, out->metrics);
	close(dir);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add(struct instances *list, const struct instance *i)
{
	struct instance *items = reallocarray(list->items, list->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	list->items[list->n++] = *i;
	return 0;
}

int instances_list(struct instances *list, const char *base, struct err *e)
{
	DIR *dir = opendir(base);
	const struct dirent *entry;
	struct instance one;
	int rc = 0;

	*list = (struct instances){ 0 };
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(e, -errno, "run directory %s: %s", base, strerror(errno));
	while (rc == 0 && (entry = readdir(dir)))
		if (instances_read(&one, base, entry->d_name))
			rc = add(list, &one);
	closedir(dir);
	if (rc < 0) {
		instances_free(list);
		return err_set(e, rc, "out of memory");
	}
	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_name);
	return 0;
}

void instances_free(struct instances *list)
{
	free(list->items);
	*list = (struct instances){ 0 };
}

/* "a, b" of those that live, cut when there are many. */
static void name_living(const struct instances *list, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < list->n && n + 4 < size; i++) {
		if (!list->items[i].alive)
			continue;
		if (n + strlen(list->items[i].name) + 8 > size) {
			(void)snprintf(out + n, size - n, ", ...");
			return;
		}
		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "",
				      list->items[i].name);
	}
}

/* The one that `name` names; NULL with the number of those that could be meant. */
static const struct instance *match(const struct instances *list, const char *name, unsigned *n)
{
	const struct instance *found = NULL;

	*n = 0;
	for (size_t i = 0; i < list->n; i++) {
		const struct instance *one = &list->items[i];

		if (!one->alive)
			continue;
		if (name && strcmp(one->name, name) == 0) {
			*n = 1;
			return one;
		}
		if (!name || strcmp(one->id, name) == 0) {
			++*n;
			found = one;
		}
	}
	return *n == 1 ? found : NULL;
}

int instances_find(struct instance *out, const char *base, const char *name, struct err *e)
{
	const struct instance *found;
	struct instances list;
	char living[256];
	unsigned n;
	int rc = instances_list(&list, base, e);

	if (rc < 0)
		return rc;
	found = match(&list, name, &n);
	name_living(&list, living, sizeof(living));
	if (found)
		*out = *found;
	else if (!*living)
		rc = name ? err_set(e, -ENOENT, "no instance '%s'; none is running (in %s)",
				    name, base) :
			    err_set(e, -ENOENT, "no instance is running (in %s)", base);
	else if (name && n == 0)
		rc = err_set(e, -ENOENT, "no instance '%s'; running: %s", name, living);
	else
		rc = err_set(e, -ENOENT, "which instance? running: %s", living);
	instances_free(&list);
	return rc;
}

int instances_find_any(struct instance *out, const char *base, const char *name, struct err *e)
{
	int rc = instances_find(out, base, name, e);

	return rc == -ENOENT && name && instances_read(out, base, name) ? 0 : rc;
}

unsigned instances_clean(const char *base)
{
	char path[RUNDIR_PATH_MAX];
	struct instances list;
	unsigned n = 0;

	if (instances_list(&list, base, NULL) < 0)
		return 0;
	for (size_t i = 0; i < list.n; i++)
		if (!list.items[i].alive &&
		    rundir_path(path, base, list.items[i].name, NULL, NULL) == 0)
			n += rundir_remove_stale(path) == 1;
	instances_free(&list);
	return n;
}
