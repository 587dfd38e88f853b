/* SPDX-License-Identifier: Apache-2.0 */
/* The first vCPU at the PVH entry point: see xen_vcpu.h. */
#include "vmm/hv/xen_vcpu.h"

#include <string.h>

#define CR0_PE 0x1u
#define CR0_ET 0x10u /* checked by Xen */

/* Access rights as VMX and SVM hold them: present, 32-bit, page granular. */
#define AR_CODE 0xc9b
#define AR_DATA 0xc93
#define AR_TSS 0x8b
#define TSS_LIMIT 0x67

/* What the registers hold after a reset. */
#define DR6_RESET 0xffff0ff0u
#define DR7_RESET 0x400u
#define RFLAGS_RESET 0x2u

static void set_segments(struct hvm_hw_cpu *cpu)
{
	cpu->cs_limit = cpu->ds_limit = cpu->es_limit = cpu->ss_limit = UINT32_MAX;
	cpu->cs_arbytes = AR_CODE;
	cpu->ds_arbytes = cpu->es_arbytes = cpu->ss_arbytes = AR_DATA;
	cpu->tr_limit = TSS_LIMIT;
	cpu->tr_arbytes = AR_TSS;
}

void xen_vcpu_context_init(struct xen_vcpu_context *c, uint32_t ip, uint32_t start_info)
{
	struct hvm_hw_cpu cpu = {
		.cr0 = CR0_PE | CR0_ET,
		.rip = ip,
		.rbx = start_info,
		.rflags = RFLAGS_RESET,
		.dr6 = DR6_RESET,
		.dr7 = DR7_RESET,
	};

	set_segments(&cpu);
	memset(c, 0, sizeof(*c));
	c->header_desc = (struct hvm_save_descriptor){ .typecode = HVM_SAVE_CODE(HEADER),
						       .length = sizeof(c->header) };
	c->header.magic = HVM_FILE_MAGIC;
	c->header.version = HVM_FILE_VERSION;
	c->cpu_desc = (struct hvm_save_descriptor){ .typecode = HVM_SAVE_CODE(CPU),
						    .length = sizeof(c->cpu) };
	c->cpu = cpu;
	c->end_desc = (struct hvm_save_descriptor){ .typecode = HVM_SAVE_CODE(END) };
}
