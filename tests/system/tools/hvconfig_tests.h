/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a domain that owns domains may ask of createdomain, and load with sethvmcontext: a
 * configuration and a context that are fine, with one thing changed each.
 *
 * Part of hvowner.c, which has quotas and all_returned().
 */
#ifndef TESTS_SYSTEM_HVCONFIG_TESTS_H
#define TESTS_SYSTEM_HVCONFIG_TESTS_H

static const struct {
	const char *what;
	size_t offset, size;
	uint64_t value;
	int rc;
} bad_configs[] = {
#define FIELD(f)                                     \
	offsetof(struct xen_domctl_createdomain, f), \
		sizeof(((struct xen_domctl_createdomain *)0)->f)
	{ "PV", FIELD(flags), 0, -EPERM },
	{ "no HAP", FIELD(flags), XEN_DOMCTL_CDF_hvm, -EPERM },
	{ "a xenstore domain", FIELD(flags), 0x0b | XEN_DOMCTL_CDF_xs_domain, -EPERM },
	{ "a domain with devices", FIELD(flags), 0x0b | XEN_DOMCTL_CDF_iommu, -EPERM },
	{ "nested virtualisation", FIELD(flags), 0x0b | XEN_DOMCTL_CDF_nested_virt, -EPERM },
	{ "a vPMU", FIELD(flags), 0x0b | XEN_DOMCTL_CDF_vpmu, -EPERM },
	{ "integrity of S3", FIELD(flags), 0x0b | XEN_DOMCTL_CDF_s3_integrity, -EPERM },
	{ "an unknown flag", FIELD(flags), 0x0b | 1u << 31, -EPERM },
	{ "the default of grant frames", FIELD(max_grant_frames), ~0u, -EPERM },
	{ "more grant frames than one may have", FIELD(max_grant_frames), 65, -EPERM },
	{ "the default of maptrack frames", FIELD(max_maptrack_frames), ~0u, -EPERM },
	{ "version 2 of grants", FIELD(grant_opts), 2, -EPERM },
	{ "options of an IOMMU", FIELD(iommu_opts), 1, -EPERM },
	{ "a trace", FIELD(vmtrace_size), PAGE, -EPERM },
	{ "altp2m", FIELD(altp2m_opts), 1, -EPERM },
	{ "no IO-APIC", FIELD(arch.emulation_flags), XEN_X86_EMU_LAPIC, -EPERM },
	{ "all devices", FIELD(arch.emulation_flags), XEN_X86_EMU_ALL, -EPERM },
	{ "relaxed MSRs", FIELD(arch.misc_flags), XEN_X86_MSR_RELAXED, -EPERM },
	{ "no vCPU", FIELD(max_vcpus), 0, -EINVAL },
	{ "more vCPUs than the quota", FIELD(max_vcpus), 4, -ENOSPC },
	{ "more vCPUs than there are", FIELD(max_vcpus), ~0u, -EINVAL },
	{ "more ports than the quota", FIELD(max_evtchn_port), 96, -ENOSPC },
	{ "all ports", FIELD(max_evtchn_port), ~0u, -ENOSPC },
	{ "more grant frames than the quota", FIELD(max_grant_frames), 11, -ENOSPC },
	{ "more maptrack frames", FIELD(max_maptrack_frames), 7, -ENOSPC },
	{ "frames without end", FIELD(max_maptrack_frames), 0x7fffffff, -ENOSPC },
#undef FIELD
};

static void test_bad_configs(struct proxy *p)
{
	char what[96];

	for (unsigned i = 0; i < sizeof(bad_configs) / sizeof(*bad_configs); i++) {
		vm_config();
		memcpy((char *)&pctl.u.createdomain + bad_configs[i].offset,
		       &bad_configs[i].value, bad_configs[i].size);
		snprintf(what, sizeof(what), "create: not %s", bad_configs[i].what);
		IS(proxy_domctl(p, XEN_DOMCTL_createdomain, 0), bad_configs[i].rc, what);
	}
	vm_config();
	IS(proxy_domctl(p, XEN_DOMCTL_createdomain, 0x1234), -EPERM,
	   "create: not a domid of its choice");
	vm_config();
	IS(proxy_domctl(p, XEN_DOMCTL_createdomain, DOMID_IDLE), -EPERM,
	   "create: not a special one");
	IS(all_returned(p->domid), 1, "create: what fails costs nothing");
}

/* A context that may be loaded, with one thing changed. */
static const struct {
	const char *what;
	size_t offset;
	uint8_t value;
} bad_contexts[] = {
#define FIELD(f) offsetof(struct context, f)
	{ "another record", FIELD(cd.typecode), HVM_SAVE_CODE(MTRR) },
	{ "a short record", FIELD(cd.length), 0x10 },
	{ "no end", FIELD(ed.typecode), HVM_SAVE_CODE(CPU) },
	{ "a TSC frequency", FIELD(h.gtsc_khz), 1 },
	{ "FPU state", FIELD(c.flags), XEN_X86_FPU_INITIALISED },
	{ "an event", FIELD(c.pending_event), 1 },
	{ "LSTAR", FIELD(c.msr_lstar) + 7, 0x80 },
	{ "CSTAR", FIELD(c.msr_cstar) + 7, 0x80 },
	{ "STAR", FIELD(c.msr_star), 1 },
	{ "SYSCALL_MASK", FIELD(c.msr_syscall_mask) + 7, 1 },
	{ "KERNEL_GS_BASE", FIELD(c.shadow_gs) + 7, 0x80 },
	{ "SYSENTER_EIP", FIELD(c.sysenter_eip) + 7, 0x80 },
	{ "SYSENTER_ESP", FIELD(c.sysenter_esp) + 7, 0x80 },
	{ "TSC_AUX", FIELD(c.msr_tsc_aux), 1 },
	{ "a TSC", FIELD(c.tsc), 1 },
	{ "a CS that is not there", FIELD(c.cs_arbytes), 0 },
	{ "a CS beyond 4 GiB", FIELD(c.cs_base) + 4, 1 },
	{ "an SS of code", FIELD(c.ss_arbytes), 0x9b },
	{ "a DS that cannot be read", FIELD(c.ds_arbytes), 0x99 },
	{ "a GS that is not canonical", FIELD(c.gs_base) + 7, 0x80 },
	{ "a TSS that is free", FIELD(c.tr_arbytes), 0x89 },
	{ "an LDT of data", FIELD(c.ldtr_arbytes), 0x93 },
	{ "a GDT that is not canonical", FIELD(c.gdtr_base) + 7, 0x80 },
	{ "a long IDT", FIELD(c.idtr_limit) + 2, 1 },
	{ "unknown bits of a segment", FIELD(c.es_arbytes) + 1, 0x1c },
#undef FIELD
};

static void test_bad_contexts(struct proxy *p)
{
	uint32_t vm = vm_make(p, 16);
	char what[96];

	for (unsigned i = 0; i < sizeof(bad_contexts) / sizeof(*bad_contexts); i++) {
		context_init(scratch);
		((uint8_t *)scratch)[bad_contexts[i].offset] = bad_contexts[i].value;
		poke(p->domid, P_SCRATCH + PAGE, scratch, sizeof(struct context));
		snprintf(what, sizeof(what), "start: not with %s", bad_contexts[i].what);
		IS(vm_load_context(p, vm, sizeof(struct context)), -EPERM, what);
	}
	IS(vm_load_context(p, vm, PAGE + 1), -E2BIG, "start: not with more than a page");
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.tsc_info.tsc_mode = 1;
	pctl.u.tsc_info.gtsc_khz = 1;
	IS(proxy_domctl(p, XEN_DOMCTL_settscinfo, vm), -EPERM, "start: not with another TSC");
	vm_end(p, vm);
}

#endif
