/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's hypervisor interface (vmm/hv/hv.h) on a running Xen, with its keeper, but
 * without anything above it: small guests of our own instead of a kernel. Output is TAP.
 * With the argument `unpatched` all goes the ways that need no patch.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/system/tools/hvirq.h"
#include "vmm/hv/launch.h"
#include "vmm/lib/layout.h"
#include "vmm/lib/log.h"

#define RAM (16 * MIB)
#define REGISTERS LAYOUT_VIRTIO
#define N_REGISTERS 4
#define END_PORT LAYOUT_SLEEP_CONTROL
#define RESULTS 0x5000
#define HYPERCALLS 0x7000
#define GIVEN 0x200000 /* the page that the guest gives back */
#define BYE 0x55
#define NOTIFY 0x50 /* offsets of registers */
#define STATUS 0x60
#define ACK 0x64
#define RINGS 700 /* what the first doorbell is called */

/*
 * Reads registers into RESULTS, writes one (which is held), moves a block of them into
 * memory and back to others, writes by instructions that read first, reads what is no
 * register page, gives a page back, and says that it is done.
 */
extern const uint8_t reg_guest[], reg_guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"reg_guest:\n"
	"	movl	$0x9000, %esp\n"
	"	movl	0xd0000000, %eax\n"
	"	movl	%eax, 0x5000\n"
	"	movzwl	0xd0003ffe, %eax\n"
	"	movl	%eax, 0x5004\n"
	"	movl	$0x11223344, 0xd0000070\n"
	"	movl	0xd0000004, %eax\n"
	"	movl	%eax, 0x5008\n"
	"	cld\n"
	"	movl	$0xd0001000, %esi\n"
	"	movl	$0x6000, %edi\n"
	"	movl	$16, %ecx\n"
	"	rep movsl\n"
	"	movl	$0x6000, %esi\n"
	"	movl	$0xd0000100, %edi\n"
	"	movl	$4, %ecx\n"
	"	rep movsl\n"
	"	orl	$1, 0xd0000200\n"
	"	lock orl	$2, 0xd0000204\n"
	"	movl	0xd0004000, %eax\n"
	"	movl	%eax, 0x500c\n"
	"	movl	$0x40000000, %ecx\n" /* MSR: put the hypercall page at */
	"	movl	$0x7000, %eax\n"
	"	xorl	%edx, %edx\n"
	"	wrmsr\n"
	"	movl	$0x8020, 0x8000\n" /* struct xen_memory_reservation: extents at, */
	"	movl	$1, 0x8004\n" /* one, */
	"	movl	$0, 0x8008\n" /* of a page, */
	"	movl	$0, 0x800c\n"
	"	movl	$0x7ff0, 0x8010\n" /* DOMID_SELF */
	"	movl	$0x200, 0x8020\n" /* GIVEN */
	"	movl	$1, %ebx\n" /* XENMEM_decrease_reservation */
	"	movl	$0x8000, %ecx\n"
	"	movl	$0x7180, %eax\n" /* memory_op of the page */
	"	call	*%eax\n"
	"	movl	%eax, 0x5010\n"
	"	movl	$0x604, %edx\n"
	"	movb	$0x55, %al\n"
	"	outb	%al, %dx\n"
	"1:	hlt\n"
	"	jmp	1b\n"
	"reg_guest_end:\n"
	".code64\n"
	".popsection\n");

/*
 * Writes by doorbells: two values to one, one of them often, another value; then clears
 * bits of a register, reads what is left, and says bye.
 */
extern const uint8_t bell_guest[], bell_guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"bell_guest:\n"
	"	movl	$0x9000, %esp\n"
	"	movl	$1, 0xd0000050\n"
	"	movl	$1000, %ecx\n"
	"1:	movl	$2, 0xd0000050\n"
	"	loop	1b\n"
	"	movl	$9, 0xd0000050\n"
	"	movl	$5, 0xd0000064\n"
	"	movl	0xd0000060, %eax\n"
	"	movl	%eax, 0x5000\n"
	"	movl	$0x604, %edx\n"
	"	movb	$0x55, %al\n"
	"	outb	%al, %dx\n"
	"2:	hlt\n"
	"	jmp	2b\n"
	"bell_guest_end:\n"
	".code64\n"
	".popsection\n");

static struct {
	struct hv *hv;
	struct loop *loop;
	struct loop_timer tick;
	bool unpatched;
	unsigned nr_tests, nr_failed;

	unsigned ios, register_reads, other_reads, invalidations, block_writes, ors;
	bool hold, held, bye, ended;
	struct hv_io write; /* the last one to a register */
	unsigned rung[3], wrong_rings, notifies, acks, values; /* of the doorbells' guest */
} t;

#define IS(expr, want, what)                                                             \
	do {                                                                             \
		long long got_ = (long long)(expr), want_ = (long long)(want);           \
		t.nr_tests++;                                                            \
		t.nr_failed += got_ != want_;                                            \
		printf("%sok %u - %s\n", got_ == want_ ? "" : "not ", t.nr_tests, what); \
		if (got_ != want_)                                                       \
			printf("# line %d: got %#llx, expected %#llx\n", __LINE__,       \
			       (unsigned long long)got_, (unsigned long long)want_);     \
	} while (0)

static void bail(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why);
	exit(1);
}

/* ---- the listener ---- */

static bool on_io(void *ctx, struct hv_io *io)
{
	(void)ctx;
	t.ios++;
	if (io->space == HV_PIO) {
		t.bye = io->write && (uint8_t)io->data == BYE;
		return true;
	}
	if (!io->write) {
		if (io->addr < REGISTERS + N_REGISTERS * PAGE_BYTES)
			t.register_reads++;
		else
			t.other_reads++;
		io->data = 0x77665544;
		return true;
	}
	if (io->addr == REGISTERS + NOTIFY) {
		t.notifies++;
		t.values |= 1u << (io->data & 31);
	}
	t.acks += io->addr == REGISTERS + ACK;
	t.block_writes += io->addr == REGISTERS + 0x100 + 4 * t.block_writes &&
			  io->data == 0x04030201u + 0x04040404u * t.block_writes;
	if (io->addr >= REGISTERS + 0x200)
		t.ors |= (unsigned)io->data;
	t.write = *io;
	t.held = t.hold;
	return !t.hold;
}

static void on_rung(void *ctx, unsigned which)
{
	(void)ctx;
	if (which - RINGS < ARRAY_SIZE(t.rung))
		t.rung[which - RINGS]++;
	else
		t.wrong_rings++;
}

static void on_invalidate(void *ctx)
{
	(void)ctx;
	t.invalidations++;
}

static void on_ended(void *ctx, enum hv_end end)
{
	(void)ctx;
	(void)end;
	t.ended = true;
}

static void on_lost(void *ctx, const char *why)
{
	(void)ctx;
	bail("the domain is lost", why);
}

static void tick_done(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

/* Turn the loop for so long at most, or until *flag. */
static void turn_until(const bool *flag, unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	while (!(flag && *flag) && clock_ms() < end) {
		if (!t.tick.op.busy)
			loop_timeout(t.loop, &t.tick, 5);
		if (loop_turn(t.loop) < 0)
			bail("loop", "turn");
	}
}

/* ---- domains ---- */

static void shape(void)
{
	static const struct hv_range ranges[] = {
		{ HV_PIO, END_PORT, END_PORT },
		{ HV_MMIO, REGISTERS,
		  REGISTERS + LAYOUT_VIRTIO_MAX * LAYOUT_VIRTIO_WINDOW - 1 },
	};
	const struct hv_shape s = { .vcpus = 1, .ram = RAM };
	struct err e;

	if (t.hv->ops->shape(t.hv, &s, ranges, ARRAY_SIZE(ranges), &e) < 0)
		bail("shape", e.text);
}

static void start(const uint8_t *code, const uint8_t *end)
{
	const struct hv_entry entry = { .ip = 0 };
	struct err e;

	if (t.hv->ops->mem.write(t.hv, gpa(0), code, (size_t)(end - code)) < 0)
		bail("write", "code");
	if (t.hv->ops->start(t.hv, &entry, &e) < 0)
		bail("start", e.text);
}

static uint32_t peek(uint64_t at)
{
	uint32_t v = 0;

	if (t.hv->ops->mem.read(t.hv, gpa(at), &v, sizeof(v)) < 0)
		bail("read", "guest memory");
	return v;
}

static uint8_t *reserve(unsigned pages)
{
	void *at = mmap(NULL, pages * PAGE_BYTES, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* How many mappings of privcmd there are in [at, at + pages), by the kernel's account. */
static unsigned foreign_mappings(const uint8_t *at, unsigned pages)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long long first, last;
	char line[512];
	unsigned n = 0;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%llx-%llx", &first, &last) == 2 && first >= (uintptr_t)at &&
		    last <= (uintptr_t)at + pages * PAGE_BYTES && strstr(line, "privcmd"))
			n++;
	if (maps)
		fclose(maps);
	return n;
}

/* ---- views ---- */

static void test_map(void)
{
	uint8_t *host = reserve(64), bytes[4] = { 1, 2, 3, 4 };
	bool there[64] = { false };
	uint64_t before;

	shape();
	before = t.hv->ops->counts(t.hv).pages_mapped;
	IS(t.hv->ops->mem.map(t.hv, gpa(MIB), host, 64, there), 0, "map: a window");
	IS(memchr(there, false, sizeof(there)) == NULL, 1, "map: all of it");
	IS(t.hv->ops->counts(t.hv).pages_mapped - before, 64, "map: is counted");
	if (t.hv->ops->mem.write(t.hv, gpa(MIB + 63 * PAGE_BYTES), bytes, 4) < 0)
		bail("write", "guest memory");
	IS(memcmp(host + 63 * PAGE_BYTES, bytes, 4), 0, "map: shows the guest's memory");
	memcpy(host, "abcd", 4);
	IS(peek(MIB), 0x64636261, "map: and writes it");
	munmap(host, 64 * PAGE_BYTES);
	host = reserve(3);
	IS(t.hv->ops->mem.map(t.hv, gpa(RAM - PAGE_BYTES), host, 3, there), 0,
	   "map: over the end of memory");
	IS(there[0] && !there[1] && !there[2], 1, "map: what there is");
	IS(t.hv->ops->mem.map(t.hv, gpa(RAM), host, 2, there) < 0, 1, "map: nothing there");
	IS(foreign_mappings(host, 3), 0, "map: nothing is left of it");
	IS(mprotect(host, 3 * PAGE_BYTES, PROT_NONE), 0, "map: nor a gap");
	munmap(host, 3 * PAGE_BYTES);
}

/* After the guest gave GIVEN back. */
static void test_map_holes(void)
{
	uint8_t *host = reserve(8);
	const bool wanted[8] = { 1, 1, 1, 0, 1, 1, 1, 1 };
	uint64_t at = GIVEN - 3 * PAGE_BYTES;
	bool there[8];

	IS(t.hv->ops->mem.map(t.hv, gpa(at), host, 8, there), 0, "holes: can be mapped around");
	IS(memcmp(there, wanted, sizeof(there)), 0, "holes: are told");
	IS(foreign_mappings(host, 8), 2, "holes: belong to no mapping");
	host[2 * PAGE_BYTES] = host[4 * PAGE_BYTES] = 9;
	IS((uint8_t)peek(GIVEN + PAGE_BYTES), 9, "holes: memory after one is the right one");
	IS(t.hv->ops->mem.map(t.hv, gpa(GIVEN), host + 3 * PAGE_BYTES, 1, there) < 0, 1,
	   "holes: cannot be filled yet");
	munmap(host, 8 * PAGE_BYTES);
}

/* ---- register pages ---- */

static void test_registers(void)
{
	static const uint8_t zeroes[32];
	const uint32_t first = 0xa1b2c3d4, late = 0x600d600d;
	uint8_t *page;
	struct err e;
	void *p;

	shape();
	if (t.hv->ops->pages(t.hv, gpa(REGISTERS), N_REGISTERS, &p, &e) < 0)
		bail("pages", e.text);
	page = p;
	IS(t.hv->ops->pages(t.hv, gpa(REGISTERS), 1, &p, &e) < 0, 1, "pages: only once");
	printf("# %s\n", e.text);
	shape(); /* everything anew */
	IS(t.hv->ops->pages(t.hv, gpa(REGISTERS), N_REGISTERS, &p, &e), 0, "pages: again");
	page = p;
	IS(page[0] || memcmp(page, page + 1, N_REGISTERS * PAGE_BYTES - 1), 0,
	   "pages: are zeroes");
	put_le32(page, first);
	put_le16(page + N_REGISTERS * PAGE_BYTES - 2, 0x4321);
	for (unsigned i = 0; i < 64; i++)
		page[PAGE_BYTES + i] = (uint8_t)(i + 1);
	if (t.hv->ops->mem.write(t.hv, gpa(RESULTS), zeroes, sizeof(zeroes)) < 0)
		bail("write", "results");
	t.hold = true;
	start(reg_guest, reg_guest_end);
	turn_until(&t.held, 10000);
	IS(t.held, 1, "registers: a write is reported");
	IS(t.ios, 1, "registers: and nothing else so far");
	IS(t.write.addr, REGISTERS + 0x70, "registers: its address");
	IS((uint32_t)t.write.data, 0x11223344, "registers: its data");
	IS(t.write.size, 4, "registers: its size");
	IS(t.write.vcpu, 0, "registers: whose it is");
	IS(peek(RESULTS), first, "registers: a read gets what is in the page");
	IS(peek(RESULTS + 4), 0x4321, "registers: also of the last page");
	turn_until(NULL, 100);
	IS(peek(RESULTS + 8), 0, "go_on: the vCPU waits for it");
	put_le32(page + 4, late);
	t.hold = false;
	t.hv->ops->go_on(t.hv, 0);
	turn_until(&t.bye, 10000);
	IS(t.bye, 1, "go_on: lets it go on");
	IS(peek(RESULTS + 8), late, "go_on: what was put there before it is read");
	IS(peek(0x6000), 0x04030201, "registers: a block is read");
	IS(peek(0x603c), 0x403f3e3d, "registers: to its end");
	IS(t.block_writes, 4, "registers: writes of a block are reported one by one");
	IS(t.ors, 3, "registers: writes of what reads first, too");
	IS(t.register_reads, 0, "registers: no read is reported");
	IS(t.other_reads, 1, "registers: but one beyond the pages is");
	IS(peek(RESULTS + 12), 0x77665544, "registers: and gets the answer");
	IS(page[0x70] | page[0x100] | page[0x200] | page[0x204], 0,
	   "registers: a write does not change the page");
	IS(peek(RESULTS + 16), 1, "invalidate: the guest gave a page back");
	IS(t.invalidations > 0, 1, "invalidate: which is told");
	test_map_holes();
}

/* ---- doorbells ---- */

static int add_bells(void)
{
	struct err e;
	int rc = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(t.rung) && rc == 0; i++) {
		const struct hv_doorbell b = { .addr = REGISTERS + NOTIFY,
					       .data = i,
					       .which = RINGS + i };

		rc = t.hv->ops->doorbell(t.hv, &b, &e);
	}
	if (rc == 0)
		rc = t.hv->ops->clears(t.hv, REGISTERS + ACK, gpa(REGISTERS + STATUS), &e);
	return rc;
}

static void run_bells(void)
{
	uint8_t *page;
	struct err e;
	void *p;

	shape();
	if (t.hv->ops->pages(t.hv, gpa(REGISTERS), 1, &p, &e) < 0)
		bail("pages", e.text);
	page = p;
	put_le32(page + STATUS, 7);
	IS(add_bells(), t.unpatched ? -EOPNOTSUPP : 0, "doorbell: is there");
	if (!t.unpatched)
		IS(add_bells(), -EEXIST, "doorbell: but once");
	turn_until(NULL, 20);
	memset(t.rung, 0, sizeof(t.rung)); /* each is told once for nothing */
	start(bell_guest, bell_guest_end);
	turn_until(&t.bye, 10000);
	IS(t.bye, 1, "doorbell: the guest got through");
	turn_until(NULL, 20);
}

static void test_doorbells(void)
{
	run_bells();
	if (t.unpatched) {
		IS(t.notifies, 1002, "doorbell: without, each write is reported");
		IS(t.acks, 1, "doorbell: also what would clear bits");
		IS(peek(RESULTS), 7, "doorbell: which nobody has done");
		return;
	}
	IS(t.rung[0], 0, "doorbell: who was not rung is not told");
	IS(t.rung[1], 1, "doorbell: who was, is");
	IS(t.rung[2] >= 1, 1, "doorbell: who was rung often is, too");
	IS(t.rung[2] < 900, 1, "doorbell: but not each time");
	IS(t.wrong_rings, 0, "doorbell: nobody else is");
	IS(t.hv->ops->counts(t.hv).rings, t.rung[1] + t.rung[2] + 3, "doorbell: is counted");
	IS(t.notifies, 1, "doorbell: another value is reported");
	IS(t.values, 1u << 9, "doorbell: as what it is");
	IS(t.acks, 0, "doorbell: what clears bits is not reported");
	IS(peek(RESULTS), 2, "doorbell: bits are cleared when the guest looks");
}

/* ---- interrupts ---- */

static bool count_is(unsigned pin, uint32_t n)
{
	for (unsigned i = 0; i < 2000 && peek(IRQ_COUNTS + 4 * pin) < n; i++)
		turn_until(NULL, 1);
	return peek(IRQ_COUNTS + 4 * pin) == n;
}

static bool pulse_missed(unsigned gsi, uint32_t n)
{
	/* A level that is there for a while may interrupt more than once. */
	if (gsi == IRQ_LEVEL_PIN || count_is(gsi, n))
		return false;
	printf("# GSI %u: %u interrupts instead of %u\n", gsi, peek(IRQ_COUNTS + 4 * gsi), n);
	return true;
}

static void test_pulses(void)
{
	static uint8_t tables[IRQ_TABLES_BYTES];
	struct hv_counts before, after;
	unsigned bad = 0;
	struct err e;

	irq_tables(tables);
	if (t.hv->ops->mem.write(t.hv, gpa(IRQ_TABLES), tables, sizeof(tables)) < 0)
		bail("write", "tables");
	for (unsigned gsi = 2; gsi < IRQ_PINS; gsi += 2)
		bad += t.hv->ops->line(t.hv, gsi, &e) != 0 ||
		       t.hv->ops->line(t.hv, gsi, &e) != 0;
	IS(bad, 0, "line: half of the GSIs");
	start(irq_guest, irq_guest_end);
	IS(count_is(0, 1), 1, "pulse: the guest is ready");
	before = t.hv->ops->counts(t.hv);
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		t.hv->ops->pulse(t.hv, gsi);
	after = t.hv->ops->counts(t.hv);
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		bad += pulse_missed(gsi, 1);
	IS(bad, 0, "pulse: one interrupt on each GSI");
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++) {
		t.hv->ops->pulse(t.hv, gsi);
		bad += pulse_missed(gsi, 2);
	}
	IS(bad, 0, "pulse: and one more");
	IS(after.dm_ops - before.dm_ops, t.unpatched ? (IRQ_PINS - 1) * 2 : IRQ_PINS / 2,
	   "pulse: so many operations");
	IS(after.notifies - before.notifies, t.unpatched ? 0 : IRQ_PINS / 2 - 1,
	   "line: so many notifications");
}

static int monitor(void *ctx, struct hv *hv)
{
	const struct hv_listener listener = { .io = on_io,
					      .rung = on_rung,
					      .invalidate = on_invalidate,
					      .ended = on_ended,
					      .lost = on_lost };
	const char *which = ctx;

	t.hv = hv;
	t.tick.op.done = tick_done;
	printf("# %s\n", hv->ops->describe(hv));
	if (loop_create(&t.loop, 16) < 0)
		bail("loop", "create");
	hv->ops->listen(hv, t.loop, &listener);
	/* A guest cannot be made anew once it was started: each gets a run of its own. */
	if (strcmp(which, "registers") == 0) {
		test_map();
		test_registers();
	} else if (strcmp(which, "doorbells") == 0) {
		test_doorbells();
	} else {
		shape();
		test_pulses();
	}
	hv->ops->close(hv);
	loop_destroy(t.loop);
	printf("1..%u\n", t.nr_tests);
	return t.nr_failed != 0;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	sigset_t set;
	struct err e;
	int rc;

	if (argc < 2)
		bail("usage", "hvops registers|doorbells|pulses [unpatched]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t.unpatched = argc > 2;
	rc = launch(monitor, argv[1], &(struct quotas){ 0 }, &e);
	if (rc < 0)
		bail("launch", e.text);
	return rc;
}
