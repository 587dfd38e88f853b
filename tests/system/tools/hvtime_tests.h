/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain without timers is told of time: a part of hvabi.c. */
#ifndef TESTS_SYSTEM_HVTIME_TESTS_H
#define TESTS_SYSTEM_HVTIME_TESTS_H

#include "tests/system/tools/hvcall.h"

#define TIME_RESULTS 0x8000 /* ports; done; at 0x10 leaves 0, 0x15, 0x16, 0x14 */

extern const uint8_t time_guest[], time_guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"time_guest:\n"
	"	movb	$0xb0, %al\n"
	"	outb	%al, $0x43\n"
	"	outb	%al, $0x42\n"
	"	outb	%al, $0x61\n"
	"	inb	$0x42, %al\n"
	"	movb	%al, 0x8000\n"
	"	inb	$0x43, %al\n"
	"	movb	%al, 0x8001\n"
	"	inb	$0x61, %al\n"
	"	movb	%al, 0x8002\n"
	"	inb	$0x40, %al\n"
	"	movb	%al, 0x8003\n"
	"	movl	$0x8010, %edi\n"
	"	movl	$0x9000, %esp\n"
	"	pushl	$0x14\n"
	"	pushl	$0x16\n"
	"	pushl	$0x15\n"
	"	pushl	$0\n"
	"	movl	$4, %ebp\n"
	"1:	popl	%eax\n"
	"	xorl	%ecx, %ecx\n"
	"	cpuid\n"
	"	movl	%eax, (%edi)\n"
	"	movl	%ebx, 4(%edi)\n"
	"	movl	%ecx, 8(%edi)\n"
	"	movl	%edx, 12(%edi)\n"
	"	addl	$16, %edi\n"
	"	decl	%ebp\n"
	"	jnz	1b\n"
	"	movl	$1, 0x8004\n"
	"2:	hlt\n"
	"	jmp	2b\n"
	"time_guest_end:\n"
	".code64\n"
	".popsection\n");

static void test_time(void)
{
	uint32_t domid = make_domain(16), khz, r[20] = { 0 };

	run(domid, time_guest, (size_t)(time_guest_end - time_guest));
	/* A debug hypervisor does not hand out pages of zeroes. */
	for (unsigned i = 0; i < 2000 && r[1] != 1; i++) {
		usleep(1000);
		if (copy(domid, TIME_RESULTS, XENOLITH_COPY_from_guest, r, sizeof(r), NULL))
			bail("guest_copy of results");
	}
	memset(&ctl->u, 0, sizeof(ctl->u));
	if (domctl(XEN_DOMCTL_gettscinfo, domid))
		bail("gettscinfo");
	khz = ctl->u.tsc_info.gtsc_khz;
	printf("# %u kHz, ports %08x\n", khz, r[0]);
	IS(r[1], 1, "time: the guest got through");
	IS(r[0] & 0xffffff, 0, "time: ports of the PIT read as 0");
	IS(r[0] >> 24, 0xff, "time: and no other does");
	IS(r[4] >= 0x16, 1, "time: the leaves are there");
	IS(r[8] != 0 && (uint64_t)r[10] * r[9] / r[8] == 1000ull * khz, 1,
	   "time: leaf 0x15 tells the frequency");
	IS(r[10], 100000000, "time: and that of the local APIC");
	IS(r[12], khz / 1000, "time: leaf 0x16, too");
	IS(r[16] | r[17] | r[18] | r[19], 0, "time: others are empty");
	destroy(domid);
}

#endif
