/* SPDX-License-Identifier: Apache-2.0 */
/* A survey as JSON, and columns of tables that are made of it: ps and top choose among them. */
#ifndef API_CTL_SURVEY_ROWS_H
#define API_CTL_SURVEY_ROWS_H

#include "api/ctl/out.h"
#include "api/ctl/survey.h"

/*
 * A list of objects with all there is to tell about each, for a table or as
 * JSON. With `before`, a survey taken earlier, also what each used since then, and those that
 * used most time of the processors come first. NULL when memory is short.
 */
cJSON *survey_rows(const struct survey *s, const struct survey *before);

/* How to show values: out_column's `format`. */
void column_bytes(const cJSON *value, char text[OUT_CELL_MAX]);
void column_mib(const cJSON *value, char text[OUT_CELL_MAX]);
void column_span(const cJSON *value, char text[OUT_CELL_MAX]);
void column_cpu_time(const cJSON *value, char text[OUT_CELL_MAX]);
void column_percent(const cJSON *value, char text[OUT_CELL_MAX]);

/* The last number is what leaves a narrow screen first. */
#define COLUMN_ID                            \
	{                                    \
		"name", "ID", false, NULL, 0 \
	}
#define COLUMN_STATE                             \
	{                                        \
		"state", "STATE", false, NULL, 1 \
	}
#define COLUMN_AGE                                   \
	{                                            \
		"age_s", "AGE", true, column_span, 8 \
	}
#define COLUMN_VCPUS                            \
	{                                       \
		"vcpus", "VCPUS", true, NULL, 6 \
	}
#define COLUMN_MEMORY                                    \
	{                                                \
		"memory_mib", "MEM", true, column_mib, 3 \
	}
#define COLUMN_CPU_PERCENT                                     \
	{                                                      \
		"cpu_percent", "CPU%", true, column_percent, 0 \
	}
#define COLUMN_CPU_TIME                                   \
	{                                                 \
		"cpu_s", "TIME", true, column_cpu_time, 7 \
	}
#define COLUMN_PSS                                        \
	{                                                 \
		"pss_bytes", "PSS", true, column_bytes, 2 \
	}
#define COLUMN_DISK_READ                                                   \
	{                                                                  \
		"disk_read_bytes_per_s", "DISK-R/s", true, column_bytes, 5 \
	}
#define COLUMN_DISK_WRITE                                                   \
	{                                                                   \
		"disk_write_bytes_per_s", "DISK-W/s", true, column_bytes, 5 \
	}
#define COLUMN_NET_IN                                                   \
	{                                                               \
		"net_in_bytes_per_s", "NET-IN/s", true, column_bytes, 4 \
	}
#define COLUMN_NET_OUT                                                    \
	{                                                                 \
		"net_out_bytes_per_s", "NET-OUT/s", true, column_bytes, 4 \
	}
#define COLUMN_PID                          \
	{                                   \
		"pid", "PID", true, NULL, 9 \
	}
#define COLUMN_SOCKET                            \
	{                                        \
		"api", "SOCKET", false, NULL, 10 \
	}

#endif
