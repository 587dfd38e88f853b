/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for hvabi.c and hvops.c that counts its interrupts: 32-bit, flat, without
 * paging, at address 0. It unmasks every pin of its IO-APIC, edge triggered but for
 * IRQ_LEVEL_PIN, and halts between interrupts. The counters are an array in its memory.
 */
#ifndef TESTS_SYSTEM_HVIRQ_H
#define TESTS_SYSTEM_HVIRQ_H

#include <stdint.h>
#include <string.h>

#define IRQ_PINS 48
#define IRQ_LEVEL_PIN 40
#define IRQ_VECTOR 0x30 /* of pin 0 */
#define IRQ_TABLES 0x2000 /* GDT register, IDT register, GDT */
#define IRQ_IDT 0x2100
#define IRQ_STUBS 0x3000 /* of IRQ_STUB_BYTES each */
#define IRQ_STUB_BYTES 32
#define IRQ_COUNTS 0x4000 /* uint32_t a pin; that of pin 0 is 1 when all is set up */

#define STR_(x) #x
#define STR(x) STR_(x)

extern const uint8_t irq_guest[], irq_guest_end[], irq_stub[], irq_stub_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"irq_guest:\n"
	"	movl	$0x9000, %esp\n"
	"	lgdtl	" STR(
		IRQ_TABLES) "\n"
			    "	lidtl	" STR(
				    IRQ_TABLES) " + 8\n"
						"	ljmpl	$8, $1f - irq_guest\n"
						"1:	movl	$0x1ff, 0xfee000f0\n" /* the local APIC: on */
						"	movl	$1, %ecx\n"
						"2:	leal	0x11(,%ecx,2), %eax\n"
						"	movl	%eax, 0xfec00000\n"
						"	movl	$0, 0xfec00010\n" /* to APIC 0 */
						"	decl	%eax\n"
						"	movl	%eax, 0xfec00000\n"
						"	leal	" STR(
							IRQ_VECTOR) "(%ecx), %edx\n"
								    "	cmpl	$" STR(
									    IRQ_LEVEL_PIN) ", %ecx\n"
											   "	jne	3f\n"
											   "	orl	$0x8000, %edx\n"
											   "3:	movl	%edx, 0xfec00010\n"
											   "	incl	%ecx\n"
											   "	cmpl	$" STR(
												   IRQ_PINS) ", %ecx\n"
													     "	jb	2b\n"
													     "	movl	$1, " STR(
														     IRQ_COUNTS) "\n"
																 "	sti\n"
																 "4:	hlt\n"
																 "	jmp	4b\n"
																 "irq_guest_end:\n"
																 "irq_stub:\n" /* the counter's address is filled in */
																 "	lock incl	0\n"
																 "	movl	$0, 0xfee000b0\n" /* end of interrupt */
																 "	iretl\n"
																 "irq_stub_end:\n"
																 ".code64\n"
																 ".popsection\n");
#define IRQ_STUB_COUNTER 3 /* offset of that address */

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

#define IRQ_TABLES_BYTES 0x3000

/* Descriptor tables, handlers and counters, IRQ_TABLES_BYTES from IRQ_TABLES on. */
static void irq_tables(uint8_t *page)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff };

	put32(page, (IRQ_TABLES + 16) << 16 | (sizeof(gdt) - 1));
	put32(page + 4, (IRQ_TABLES + 16) >> 16);
	put32(page + 8, (uint32_t)IRQ_IDT << 16 | (8 * (IRQ_VECTOR + IRQ_PINS) - 1));
	put32(page + 12, IRQ_IDT >> 16);
	memcpy(page + 16, gdt, sizeof(gdt));
	for (unsigned pin = 0; pin < IRQ_PINS; pin++) {
		uint32_t handler = IRQ_STUBS + pin * IRQ_STUB_BYTES;
		uint8_t *gate = page + IRQ_IDT - IRQ_TABLES + 8 * (IRQ_VECTOR + pin);
		uint8_t *stub = page + handler - IRQ_TABLES;

		put32(gate, 8 << 16 | handler);
		put32(gate + 4, 0x8e00);
		memcpy(stub, irq_stub, (size_t)(irq_stub_end - irq_stub));
		put32(stub + IRQ_STUB_COUNTER, IRQ_COUNTS + 4 * pin);
	}
}

#endif
