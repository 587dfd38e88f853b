/* SPDX-License-Identifier: Apache-2.0 */
/* The values of --disk and --net as the objects of the API that they stand for. */
#ifndef API_CTL_SPEC_DEVICE_H
#define API_CTL_SPEC_DEVICE_H

#include "vmm/lib/err.h"

#include <cjson/cJSON.h>

/*
 * `text` is the option's value, the `n`th of its kind from 0 on; `root`: whether it may be
 * the root device. 0 or -errno with a reason. To be freed with cJSON_Delete.
 */
MUST_CHECK int spec_disk(cJSON **out, const char *text, unsigned n, bool root, struct err *e);
MUST_CHECK int spec_net(cJSON **out, const char *text, unsigned n, struct err *e);

/* `path` from the root, allocated; NULL without memory. */
char *spec_absolute(const char *path);

#endif
