/* SPDX-License-Identifier: Apache-2.0 */
/* api: any request, for what has no command. */
#include "api/ctl/client.h"
#include "api/ctl/cmd.h"
#include "api/ctl/instances.h"

#include <errno.h>

struct api_options {
	const char *socket, *instance;
};

static int run_api(const struct ctl *ctl, const void *options, unsigned n,
		   const char *const *words)
{
	const struct api_options *o = options;
	const char *socket = o->socket;
	cJSON *answer = NULL;
	struct instance i;
	struct client c;
	struct err e;
	int rc = 0;

	if (!socket) {
		rc = instances_find(&i, ctl->run_dir, o->instance, &e);
		socket = i.api;
	}
	if (rc == 0)
		rc = client_open(&c, socket, &e);
	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	rc = client_send(&c, words[0], words[1], n > 2 ? words[2] : NULL, &answer, &e);
	client_close(&c);
	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (answer) {
		char *text = ctl->out.json ? cJSON_PrintUnformatted(answer) :
					     cJSON_Print(answer);

		fprintf(ctl->out.to, "%s\n", text ? text : "");
		cJSON_free(text);
		cJSON_Delete(answer);
	}
	return CTL_OK;
}

static const struct option options[] = {
	{ .name = "--instance",
	  .letter = 'i',
	  .kind = OPTION_TEXT,
	  .value = "NAME",
	  .at = offsetof(struct api_options, instance),
	  .completes = COMPLETE_INSTANCE,
	  .help = "which instance [the one that is running]" },
	{ .name = "--socket",
	  .kind = OPTION_TEXT,
	  .value = "PATH",
	  .at = offsetof(struct api_options, socket),
	  .completes = COMPLETE_FILE,
	  .help = "an API socket, of whatever monitor" },
	{ 0 },
};

const struct command cmd_api = {
	.name = "api",
	.words = "METHOD PATH [BODY]",
	.words_min = 2,
	.words_max = 3,
	.help = "make a request of the API, print its answer",
	.text = "For example: xenolithctl api GET /vm/config\n",
	.options = options,
	.options_size = sizeof(struct api_options),
	.run = run_api,
};
