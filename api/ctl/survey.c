/* SPDX-License-Identifier: Apache-2.0 */
/* All instances at one moment: see survey.h. */
#include "api/ctl/survey.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/ctl/client.h"

#define NS_PER_S UINT64_C(1000000000)

/* So many are asked at the same time. */
#define THREADS_MAX 64

/* ---- what the monitor says ---- */

static uint64_t number(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(value) && value->valuedouble >= 0 ? (uint64_t)value->valuedouble :
								  0;
}

static bool read_counter(const char *tap, const char *counter, uint64_t *sum)
{
	char path[128], text[32] = "", *end;
	FILE *f;
	uint64_t n;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", tap, counter);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	n = strtoull(text, &end, 10);
	return end != text && add_u64(*sum, n, sum);
}

/* Add what went through one tap; its counters are the host's view. */
static bool add_tap(struct survey_vm *vm, const char *name)
{
	return !strchr(name, '/') && read_counter(name, "tx_bytes", &vm->net_in_bytes) &&
	       read_counter(name, "rx_bytes", &vm->net_out_bytes);
}

static void read_config(struct survey_vm *vm, const cJSON *config)
{
	const cJSON *machine = cJSON_GetObjectItemCaseSensitive(config, "machine-config");
	const cJSON *nets = cJSON_GetObjectItemCaseSensitive(config, "network-interfaces");
	const cJSON *net;

	vm->vcpus = number(machine, "vcpu_count");
	vm->memory_mib = number(machine, "mem_size_mib");
	vm->has_net = true;
	cJSON_ArrayForEach(net, nets)
	{
		const cJSON *tap = cJSON_GetObjectItemCaseSensitive(net, "host_dev_name");

		if (!cJSON_IsString(tap) || !add_tap(vm, tap->valuestring))
			vm->has_net = false;
	}
}

static int get(struct client *c, const char *path, cJSON **answer, struct err *e)
{
	int rc = client_call(c, "GET", path, NULL, answer, e);

	return rc < 0 ? rc : *answer ? 0 : err_set(e, -EBADMSG, "GET %s: no body", path);
}

static void ask(struct survey_vm *vm)
{
	cJSON *about = NULL, *config = NULL;
	const cJSON *state;
	struct client c;

	if (!*vm->instance.api) {
		err_set(&vm->silence, 0, "it serves no API");
		return;
	}
	if (client_open(&c, vm->instance.api, &vm->silence) < 0)
		return;
	c.timeout_ms = SURVEY_TIMEOUT_MS;
	if (get(&c, "/", &about, &vm->silence) == 0 &&
	    get(&c, "/vm/config", &config, &vm->silence) == 0) {
		state = cJSON_GetObjectItemCaseSensitive(about, "state");
		(void)snprintf(vm->state, sizeof(vm->state), "%s",
			       cJSON_IsString(state) ? state->valuestring : "?");
		read_config(vm, config);
	}
	client_close(&c);
	cJSON_Delete(about);
	cJSON_Delete(config);
}

/* ---- all of them ---- */

struct asking {
	struct survey *survey;
	atomic_size_t next;
};

static void *ask_some(void *ctx)
{
	struct asking *a = ctx;
	size_t i;

	while ((i = atomic_fetch_add(&a->next, 1)) < a->survey->n)
		if (a->survey->vms[i].instance.alive)
			ask(&a->survey->vms[i]);
	return NULL;
}

/* One that does not answer holds up no other: threads, as they wait nearly always. */
static void ask_all(struct survey *s)
{
	struct asking a = { .survey = s };
	pthread_t threads[THREADS_MAX];
	size_t n = 0;

	while (n + 1 < min_size(s->n, THREADS_MAX) &&
	       pthread_create(&threads[n], NULL, ask_some, &a) == 0)
		n++;
	ask_some(&a);
	while (n)
		pthread_join(threads[--n], NULL);
}

static int look_at_processes(struct survey *s, struct err *e)
{
	struct proctable t;
	struct timespec now;
	int rc = proctable_read(&t, "/proc");

	if (rc < 0)
		return err_set(e, rc, "/proc: %s", strerror(-rc));
	clock_gettime(CLOCK_BOOTTIME, &now);
	s->at_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	for (size_t i = 0; i < s->n; i++) {
		struct survey_vm *vm = &s->vms[i];

		vm->has_family = vm->instance.alive && vm->instance.pid > 0 &&
				 procfamily_read(&t, vm->instance.pid, "/proc", &vm->family) ==
					 0;
	}
	proctable_free(&t);
	return 0;
}

/* The instances alone; 0 or -errno with a reason. */
static int begin(struct survey *s, const char *run_dir, struct err *e)
{
	struct instances list;
	int rc = instances_list(&list, run_dir, e);

	if (rc < 0)
		return rc;
	*s = (struct survey){ .vms = calloc(list.n ? list.n : 1, sizeof(*s->vms)) };
	while (s->vms && s->n < list.n) {
		s->vms[s->n].instance = list.items[s->n];
		s->n++;
	}
	instances_free(&list);
	return s->vms ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int survey_take(struct survey *out, const char *run_dir, struct err *e)
{
	struct survey s;
	int rc = begin(&s, run_dir, e);

	if (rc < 0)
		return rc;
	ask_all(&s);
	rc = look_at_processes(&s, e);
	if (rc < 0) {
		survey_free(&s);
		return rc;
	}
	*out = s;
	return 0;
}

void survey_free(struct survey *s)
{
	free(s->vms);
	*s = (struct survey){ 0 };
}
