/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of the first vCPU at the PVH entry point (xen/docs/misc/pvh.pandoc), as
 * the records of XEN_DOMCTL_sethvmcontext (xen/include/public/hvm/save.h).
 */
#ifndef VMM_HV_XEN_VCPU_H
#define VMM_HV_XEN_VCPU_H

#include <stdint.h>

#include <xen/xen.h>

#include <xen/hvm/save.h>

/* Records lie end to end, as in a saved domain. */
struct __attribute__((packed)) xen_vcpu_context {
	struct hvm_save_descriptor header_desc;
	struct hvm_save_header header;
	struct hvm_save_descriptor cpu_desc;
	struct hvm_hw_cpu cpu;
	struct hvm_save_descriptor end_desc;
};

/*
 * 32-bit protected mode with paging off, flat segments, `ip`, and `start_info` in ebx.
 * MTRRs stay as they are at reset: with nested paging hardware ignores them.
 */
void xen_vcpu_context_init(struct xen_vcpu_context *c, uint32_t ip, uint32_t start_info);

#endif
