/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl ps: the instances of this host. */
#include "api/ctl/cmd.h"
#include "api/ctl/survey_rows.h"

struct ps_options {
	bool clean;
};

static const struct option options[] = {
	{ .name = "--clean",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct ps_options, clean),
	  .help = "first remove what dead instances have left: directories and logs in them" },
	{ 0 },
};

static const struct out_column columns[] = {
	COLUMN_ID,	 COLUMN_STATE, COLUMN_AGE, COLUMN_VCPUS,  COLUMN_MEMORY,
	COLUMN_CPU_TIME, COLUMN_PSS,   COLUMN_PID, COLUMN_SOCKET,
};

static int ps(const struct ctl *ctl, const void *given, unsigned n, const char *const *words)
{
	const struct ps_options *o = given;
	struct survey s;
	cJSON *rows;
	struct err e;

	(void)n;
	(void)words;
	if (o->clean)
		(void)instances_clean(ctl->run_dir);
	if (survey_take(&s, ctl->run_dir, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	rows = survey_rows(&s, NULL);
	survey_free(&s);
	if (!rows)
		return out_error(&ctl->out, CTL_FAILED, "out of memory");
	out_table(&ctl->out, rows, columns, ARRAY_SIZE(columns));
	cJSON_Delete(rows);
	return CTL_OK;
}

const struct command cmd_ps = {
	.name = "ps",
	.words = "",
	.help = "list the instances of this host",
	.text = "AGE, TIME (of the processors) and PSS (memory) are those of the monitor's two\n"
		"processes, not of the guest; MEM is the guest's. \"Dead\" ones ended without\n"
		"cleaning up; one that does not answer within a second is listed as such.\n",
	.options = options,
	.options_size = sizeof(struct ps_options),
	.run = ps,
};
