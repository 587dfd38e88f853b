/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hypervisor-patches/ promise, tried on a running hypervisor.
 *
 * A stand-alone program for dom0 (or a driver domain): it shares no code with the
 * monitor, so that it says of a failure which side of the interface it is on.
 * It makes small domains of its own and destroys them. Output is TAP; what the
 * hypervisor says it lacks is skipped, unless the argument, a mask of XENOLITH_FEAT_*,
 * says that it must be there. Exit status 0 when nothing failed.
 */
#include <signal.h>
#include <sys/wait.h>

#include "tests/system/tools/hvbell_tests.h"
#include "tests/system/tools/hvcall.h"
#include "tests/system/tools/hvirq.h"
#include "tests/system/tools/hvmemory_tests.h"
#include "tests/system/tools/hvorder_tests.h"
#include "tests/system/tools/hvserver_tests.h"
#include "tests/system/tools/hvtime_tests.h"
#include "tests/system/tools/hvvcpu_tests.h"

static uint64_t test_features(uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_features };
	int rc = dm_op(domid, &op);
	uint64_t features = op.u.xenolith_features.features;

	if (rc == -EOPNOTSUPP) {
		printf("# this hypervisor has no private operations\n");
		return 0;
	}
	IS(rc, 0, "features: can be asked");
	IS(op.u.xenolith_features.version, XENOLITH_ABI_VERSION, "features: version");
	printf("# features 0x%llx\n", (unsigned long long)features);
	op.u.xenolith_features.pad = 1;
	IS(dm_op(domid, &op), -EINVAL, "features: padding is checked");
	op.op = XEN_DMOP_nr_vcpus + 1;
	IS(dm_op(domid, &op), -EOPNOTSUPP, "numbers: after the regular ones");
	op.op = XEN_DMOP_xenolith_base - 1;
	IS(dm_op(domid, &op), -EOPNOTSUPP, "numbers: before the private ones");
	op.op = XEN_DMOP_xenolith_base + 7;
	IS(dm_op(domid, &op), -EOPNOTSUPP, "numbers: reserved");
	op.op = XEN_DMOP_xenolith_base + 255;
	IS(dm_op(domid, &op), -EOPNOTSUPP, "numbers: after the private ones");
	op.op = ~0u;
	IS(dm_op(domid, &op), -EOPNOTSUPP, "numbers: the last");
	return features;
}

static void test_micro(uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_set_isa_irq_level };
	uint32_t other;
	int bad = 0;

	for (unsigned irq = 0; irq < 16; irq++)
		for (unsigned level = 2; level-- > 0;) {
			memset(&op.u, 0, sizeof(op.u));
			op.u.set_isa_irq_level.isa_irq = (uint8_t)irq;
			op.u.set_isa_irq_level.level = (uint8_t)level;
			bad += dm_op(domid, &op) != 0;
		}
	IS(bad, 0, "micro: ISA interrupts can be raised and lowered");
	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_set_pci_link_route;
	op.u.set_pci_link_route.isa_irq = 5;
	IS(dm_op(domid, &op), 0, "micro: a PCI link can be routed");
	for (unsigned level = 2; level-- > 0;) {
		memset(&op, 0, sizeof(op));
		op.op = XEN_DMOP_set_pci_intx_level;
		op.u.set_pci_intx_level.device = 4;
		op.u.set_pci_intx_level.level = (uint8_t)level;
		bad += dm_op(domid, &op) != 0;
	}
	IS(bad, 0, "micro: a PCI interrupt can be raised and lowered");
	IS(create(&other, XEN_X86_EMU_LAPIC | XEN_X86_EMU_PIC), -EOPNOTSUPP,
	   "micro: other subsets are still refused");
}

static void test_lifecycle(void)
{
	static const uint8_t stop[] = { 0xfa, 0xf4 }; /* cli; hlt */
	uint32_t domid = make_domain(16);
	struct xen_dm_op_xenolith_lifecycle l, again;
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_lifecycle };

	IS(lifecycle(domid, &l), 0, "lifecycle: can be asked");
	IS(l.flags, XENOLITH_LIFECYCLE_paused, "lifecycle: a new domain is paused");
	IS(l.reason, 0xff, "lifecycle: no reason before the shutdown");
	IS(l.port != 0, 1, "lifecycle: there is a port");
	lifecycle(domid, &again);
	IS(again.port, l.port, "lifecycle: the same port again");
	op.u.xenolith_lifecycle.pad = 1;
	IS(dm_op(domid, &op), -EINVAL, "lifecycle: padding is checked");
	if (xenevtchn_bind_interdomain(xe, domid, l.port) < 0)
		bail("bind lifecycle port");
	IS(take_event(xe, 1000), 1, "lifecycle: binding raises an event");
	IS(take_event(xe, 50), 0, "lifecycle: and only one");
	run(domid, stop, sizeof(stop));
	IS(take_event(xe, 5000), 1, "lifecycle: shutdown raises an event");
	lifecycle(domid, &l);
	IS(l.flags, XENOLITH_LIFECYCLE_shutdown, "lifecycle: shut down");
	IS(l.reason, SHUTDOWN_poweroff, "lifecycle: the reason of hlt");
	destroy(domid);
	IS(take_event(xe, 1000), 1, "lifecycle: destruction raises an event");
	IS(gone_after(domid, 5000) >= 0, 1, "lifecycle: the domain is gone");
	IS(lifecycle(domid, &l), -ESRCH, "lifecycle: no such domain any more");
	xenevtchn_close(xe);
}

/* Shut down by somebody else, before it ever ran. */
static void test_remote_shutdown(void)
{
	uint32_t domid = make_domain(16);
	struct xen_dm_op_xenolith_lifecycle l;
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);
	struct xen_dm_op op = { .op = XEN_DMOP_remote_shutdown };

	lifecycle(domid, &l);
	if (xenevtchn_bind_interdomain(xe, domid, l.port) < 0)
		bail("bind lifecycle port");
	take_event(xe, 1000);
	op.u.remote_shutdown.reason = SHUTDOWN_crash;
	dm_op(domid, &op);
	IS(take_event(xe, 1000), 1, "lifecycle: a remote shutdown raises an event");
	lifecycle(domid, &l);
	IS(l.flags, XENOLITH_LIFECYCLE_shutdown | XENOLITH_LIFECYCLE_paused,
	   "lifecycle: shut down while paused");
	IS(l.reason, SHUTDOWN_crash, "lifecycle: the reason given");
	xenevtchn_close(xe);
	IS(lifecycle(domid, &l), 0, "lifecycle: closing the port does nothing");
	destroy(domid);
}

/* A process that holds the lifelines of @n domains until it is killed. */
static pid_t hold(const uint32_t *domid, const uint32_t *port, unsigned n)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		xenevtchn_handle *xe = xenevtchn_open(NULL, 0);

		for (unsigned i = 0; i < n; i++)
			if (xenevtchn_bind_interdomain(xe, domid[i], port[i]) < 0)
				_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		bail("bind lifeline");
	close(ready[0]);
	return pid;
}

/* Bind the lifeline of @domid in this process. */
static xenevtchn_handle *bind_lifeline(uint32_t domid)
{
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);
	uint32_t port;

	if (!xe || lifeline(domid, &port) || xenevtchn_bind_interdomain(xe, domid, port) < 0)
		bail("bind lifeline");
	return xe;
}

static void test_lifeline(void)
{
	uint32_t domid = make_domain(16), port, again;
	struct xen_dm_op_xenolith_lifecycle l;
	xenevtchn_handle *xe;

	IS(lifeline(domid, &port), 0, "lifeline: can be had");
	lifeline(domid, &again);
	IS(again, port, "lifeline: the same port again");
	lifecycle(domid, &l);
	IS(l.port != port, 1, "lifeline: its port is its own");
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1, "lifeline: never bound, no effect");

	domid = make_domain(16);
	xe = bind_lifeline(domid);
	IS(gone_after(domid, 100), -1, "lifeline: bound, the domain lives");
	xenevtchn_close(xe);
	IS(gone_after(domid, 10000) >= 0, 1, "lifeline: closed, a paused domain is destroyed");

	domid = make_domain(16);
	xe = bind_lifeline(domid);
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1, "lifeline: destroyed while it is held");
	xenevtchn_close(xe);
}

/* The holder is killed. */
static void test_killed(void)
{
	static const uint8_t loop[] = { 0xeb, 0xfe }; /* jmp . */
	enum { MANY = 8 };
	uint32_t domid[MANY], port[MANY];
	unsigned left = 0;
	double start;
	pid_t pid;

	domid[0] = make_domain(16384);
	lifeline(domid[0], &port[0]);
	run(domid[0], loop, sizeof(loop));
	pid = hold(domid, port, 1);
	IS(gone_after(domid[0], 100), -1, "killed: the holder lives, the domain too");
	start = now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	IS(gone_after(domid[0], 20000) >= 0, 1, "killed: a running domain is destroyed");
	printf("# 64 MiB in %.0f ms\n", now_ms() - start);

	for (unsigned i = 0; i < MANY; i++) {
		domid[i] = make_domain(2048);
		lifeline(domid[i], &port[i]);
		run(domid[i], loop, sizeof(loop));
	}
	pid = hold(domid, port, MANY);
	start = now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (unsigned i = 0; i < MANY; i++)
		left += gone_after(domid[i], 30000) < 0;
	IS(left, 0, "killed: many running domains are destroyed");
	printf("# %d of 8 MiB in %.0f ms\n", MANY, now_ms() - start);

	domid[0] = make_domain(16384);
	lifeline(domid[0], &port[0]);
	pid = hold(domid, port, 1);
	kill(pid, SIGKILL);
	destroy(domid[0]);
	waitpid(pid, NULL, 0);
	IS(gone_after(domid[0], 20000) >= 0, 1, "killed: while the domctl destroys");
}

#define COPY_MAX ((BUFS - 1) * PAGE)

static uint8_t data[COPY_MAX], back[COPY_MAX];

/* What is copied arrives, and nothing else changes. */
static void test_copy(uint32_t domid)
{
	uint32_t done;
	xen_pfn_t pfn[17];
	uint8_t *map;
	int err[17];

	for (size_t i = 0; i < COPY_MAX; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 9));
	memset(back, 0x5a, COPY_MAX);
	copy(domid, 0x1000, XENOLITH_COPY_to_guest, back, PAGE, NULL);
	copy(domid, 0x10000, XENOLITH_COPY_to_guest, back, PAGE, NULL);
	IS(copy(domid, 0x1ff3, XENOLITH_COPY_to_guest, data, COPY_MAX, &done), 0,
	   "copy: to the guest, unaligned, 15 buffers");
	IS(done, COPY_MAX, "copy: says how much");
	for (unsigned i = 0; i < 17; i++)
		pfn[i] = 1 + i;
	map = xenforeignmemory_map(fmem, domid, PROT_READ | PROT_WRITE, 17, pfn, err);
	if (!map)
		bail("foreign map");
	IS(memcmp(map + 0xff3, data, COPY_MAX), 0, "copy: it is there");
	IS(map[0xff2], 0x5a, "copy: nothing before it");
	IS(map[0xff3 + COPY_MAX], 0x5a, "copy: nothing after it");
	map[0xff3] ^= 0xff;
	xenforeignmemory_unmap(fmem, map, 17);
	data[0] ^= 0xff;
	IS(copy(domid, 0x1ff3, XENOLITH_COPY_from_guest, back, COPY_MAX, NULL), 0,
	   "copy: from the guest");
	IS(memcmp(back, data, COPY_MAX), 0, "copy: it is the same");
	IS(copy(domid, 0, XENOLITH_COPY_to_guest, data, 0, &done), 0, "copy: nothing");
}

/* What must be refused. @end: the end of RAM. */
static void test_copy_refused(uint32_t domid, uint64_t end)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	struct privcmd_dm_op_buf buf[2];

	IS(copy(domid, 0, 0, data, PAGE, NULL), -EINVAL, "copy: no direction");
	IS(copy(domid, 0, 3, data, PAGE, NULL), -EINVAL, "copy: both");
	IS(copy(domid, -(uint64_t)PAGE, XENOLITH_COPY_to_guest, data, 2 * PAGE, NULL), -EINVAL,
	   "copy: address wraps around");
	IS(copy(domid, 1ULL << 52, XENOLITH_COPY_to_guest, data, PAGE, NULL), -EINVAL,
	   "copy: no such address");
	IS(copy(domid, end, XENOLITH_COPY_to_guest, data, PAGE, NULL), -ENXIO, "copy: a hole");
	IS(copy(domid, 0xfec00000, XENOLITH_COPY_to_guest, data, 4, NULL), -ENXIO,
	   "copy: MMIO");
	memset(back, 0, PAGE);
	IS(copy(domid, end - PAGE, XENOLITH_COPY_to_guest, data, 2 * PAGE, NULL), -ENXIO,
	   "copy: runs into a hole");
	copy(domid, end - PAGE, XENOLITH_COPY_from_guest, back, PAGE, NULL);
	IS(memcmp(back, data, PAGE), 0, "copy: up to which it was copied");

	op.u.xenolith_guest_copy.flags = XENOLITH_COPY_to_guest;
	op.u.xenolith_guest_copy.done = PAGE + 1;
	buf[1].uptr = data;
	buf[1].size = PAGE;
	IS(dm_op_fd(privcmd, domid, &op, buf, 2), -EINVAL, "copy: progress beyond the end");
	IS(copy(0, 0x1000, XENOLITH_COPY_from_guest, back, PAGE, NULL) != 0, 1,
	   "copy: not to oneself");

	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_set_mem_type;
	op.u.set_mem_type.mem_type = HVMMEM_ram_ro;
	op.u.set_mem_type.nr = 1;
	op.u.set_mem_type.first_pfn = 8;
	if (dm_op(domid, &op))
		bail("set_mem_type");
	IS(copy(domid, 0x8000, XENOLITH_COPY_to_guest, data, 16, NULL), -ENXIO,
	   "copy: read-only RAM is not written");
	IS(copy(domid, 0x8000, XENOLITH_COPY_from_guest, back, 16, NULL), 0,
	   "copy: read-only RAM is read");
}

/* Through a handle that is restricted as the monitor's is. */
static void test_copy_restricted(uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	struct privcmd_dm_op_buf buf[2];
	domid_t dom = (domid_t)domid;
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &dom))
		bail("restrict privcmd");
	op.u.xenolith_guest_copy.flags = XENOLITH_COPY_to_guest;
	buf[1].uptr = data;
	buf[1].size = PAGE;
	IS(dm_op_fd(fd, domid, &op, buf, 2), 0, "copy: by a restricted handle");
	IS(dm_op_fd(fd, domid + 1, &op, buf, 2), -EPERM, "copy: not to another domain");
	close(fd);
}

static void test_guest_copy(void)
{
	enum { PAGES = 4096, FROM = 0x9000 };
	uint64_t end = (uint64_t)PAGES * PAGE, at;
	uint32_t domid = make_domain(PAGES);
	double start;

	test_copy(domid);
	test_copy_refused(domid, end);
	test_copy_restricted(domid);
	start = now_ms();
	for (at = FROM; at + COPY_MAX <= end; at += COPY_MAX)
		if (copy(domid, at, XENOLITH_COPY_to_guest, data, COPY_MAX, NULL))
			break;
	printf("# %u KiB in %.2f ms\n", (unsigned)((at - FROM) / 1024), now_ms() - start);
	IS(end - at < COPY_MAX, 1, "copy: all of the memory");
	destroy(domid);
}

/* The counter of a pin. */
static uint32_t irq_count(uint32_t domid, unsigned pin)
{
	uint32_t n = 0;

	if (copy(domid, IRQ_COUNTS + 4 * pin, XENOLITH_COPY_from_guest, &n, sizeof(n), NULL))
		bail("guest_copy of a counter");
	return n;
}

/* Whether a pin's counter is `n` soon, and stays so. */
static bool irq_count_is(uint32_t domid, unsigned pin, uint32_t n)
{
	for (unsigned i = 0; i < 2000 && irq_count(domid, pin) < n; i++)
		usleep(1000);
	usleep(2000);
	return irq_count(domid, pin) == n;
}

/* A domain that runs the guest of hvirq.h, ready to be interrupted. */
static uint32_t irq_domain(void)
{
	static uint8_t tables[IRQ_TABLES_BYTES];
	uint32_t domid = make_domain(16);

	irq_tables(tables);
	if (copy(domid, IRQ_TABLES, XENOLITH_COPY_to_guest, tables, sizeof(tables), NULL))
		bail("guest_copy of tables");
	run(domid, irq_guest, (size_t)(irq_guest_end - irq_guest));
	if (!irq_count_is(domid, 0, 1))
		bail("the guest does not get ready");
	return domid;
}

static int pulse(uint32_t domid, uint32_t gsi)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_pulse };

	op.u.xenolith_pulse.gsi = gsi;
	return dm_op(domid, &op);
}

static int set_isa_irq(uint32_t domid, uint8_t irq, uint8_t level)
{
	struct xen_dm_op op = { .op = XEN_DMOP_set_isa_irq_level };

	op.u.set_isa_irq_level.isa_irq = irq;
	op.u.set_isa_irq_level.level = level;
	return dm_op(domid, &op);
}

/* Milliseconds that 1000 interrupts take, which the guest does not get to see. */
static void time_pulses(uint32_t domid)
{
	double start = now_ms(), half;

	for (unsigned i = 0; i < 1000; i++)
		pulse(domid, 5);
	half = now_ms();
	for (unsigned i = 0; i < 1000; i++) {
		set_isa_irq(domid, 5, 1);
		set_isa_irq(domid, 5, 0);
	}
	printf("# 1000 pulses in %.2f ms, by two operations each in %.2f ms\n", half - start,
	       now_ms() - half);
}

static void test_pulse_refused(uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_pulse };
	uint32_t lapic_only;

	IS(pulse(domid, 0), -EINVAL, "pulse: no pin 0");
	IS(pulse(domid, IRQ_PINS), -EINVAL, "pulse: nor one after the last");
	IS(pulse(domid, ~0u), -EINVAL, "pulse: nor any");
	op.u.xenolith_pulse.gsi = 5;
	op.u.xenolith_pulse.pad = 1;
	IS(dm_op(domid, &op), -EINVAL, "pulse: padding is checked");
	if (create(&lapic_only, XEN_X86_EMU_LAPIC))
		bail("createdomain");
	IS(pulse(lapic_only, 5), -ENODEV, "pulse: not without an IO-APIC");
	destroy(lapic_only);
}

static void test_pulse(void)
{
	uint32_t domid = irq_domain();
	unsigned bad = 0;

	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		bad += pulse(domid, gsi) != 0 || !irq_count_is(domid, gsi, 1);
	IS(bad, 0, "pulse: one interrupt on every pin");
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		bad += pulse(domid, gsi) != 0 || !irq_count_is(domid, gsi, 2);
	IS(bad, 0, "pulse: and one more");
	set_isa_irq(domid, 5, 1);
	IS(irq_count_is(domid, 5, 3), 1, "pulse: a line goes up");
	IS(pulse(domid, 5), 0, "pulse: of a line that is up");
	IS(irq_count_is(domid, 5, 3), 1, "pulse: which has no edge");
	set_isa_irq(domid, 5, 0);
	IS(pulse(domid, 5), 0, "pulse: of the line that is down again");
	IS(irq_count_is(domid, 5, 4), 1, "pulse: which has one");
	test_pulse_refused(domid);
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		bad += irq_count(domid, gsi) != (gsi == 5 ? 4 : 2);
	IS(bad, 0, "pulse: no other interrupts");
	destroy(domid);

	domid = make_domain(16);
	time_pulses(domid);
	destroy(domid);
}

static int irq_port(uint32_t domid, ioservid_t id, uint32_t gsi, uint32_t *port)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_irq_port };
	int rc;

	op.u.xenolith_irq_port.id = id;
	op.u.xenolith_irq_port.gsi = gsi;
	rc = dm_op(domid, &op);
	*port = op.u.xenolith_irq_port.port;
	return rc;
}

static void test_irq_port_refused(const struct bell_server *s)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_irq_port };
	uint32_t lapic_only, port;

	IS(irq_port(s->domid, s->id, 0, &port), -EINVAL, "irq port: no pin 0");
	IS(irq_port(s->domid, s->id, IRQ_PINS, &port), -EINVAL, "irq port: nor a 48th");
	IS(irq_port(s->domid, s->id, 256 + 5, &port), -EINVAL, "irq port: nor any");
	IS(irq_port(s->domid, (ioservid_t)(s->id + 1), 5, &port), -ENOENT,
	   "irq port: no such server");
	op.u.xenolith_irq_port.gsi = 5;
	op.u.xenolith_irq_port.pad = 1;
	IS(dm_op(s->domid, &op), -EINVAL, "irq port: padding is checked");
	if (create(&lapic_only, XEN_X86_EMU_LAPIC))
		bail("createdomain");
	IS(irq_port(lapic_only, 0, 5, &port), -ENODEV, "irq port: not without an IO-APIC");
	destroy(lapic_only);
	if (create(&lapic_only, XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC))
		bail("createdomain");
	IS(irq_port(lapic_only, 0, 5, &port), -EINVAL, "irq port: nor without a vCPU");
	destroy(lapic_only);
}

/* A domain has 32 event channels here: they would not last for this. */
static void test_irq_ports_are_freed(uint32_t domid)
{
	struct bell_server s, other;
	uint32_t port, first, again;
	unsigned bad = 0;

	bad += server_create(&other, domid) != 0;
	bad += irq_port(domid, other.id, 7, &first) != 0;
	for (unsigned round = 0; round < 8; round++) {
		bad += server_create(&s, domid) != 0;
		for (unsigned gsi = 1; gsi <= 16; gsi++)
			bad += irq_port(domid, s.id, gsi, &port) != 0;
		bad += server_destroy(&s) != 0;
	}
	IS(bad, 0, "irq port: freed with its server");
	IS(irq_port(domid, other.id, 7, &again), 0, "irq port: another server's stays");
	IS(again, first, "irq port: as it is");
	server_destroy(&other);
}

static void test_irq_port(void)
{
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);
	uint32_t domid = irq_domain(), port[2], again;
	struct bell_server s;
	unsigned bad = 0;
	int mine[2];
	double start;

	if (server_create(&s, domid))
		bail("create_ioreq_server");
	IS(irq_port(domid, s.id, 5, &port[0]), 0, "irq port: of a low pin");
	IS(irq_port(domid, s.id, 20, &port[1]), 0, "irq port: of a high pin");
	irq_port(domid, s.id, 5, &again);
	IS(again, port[0], "irq port: the same again");
	for (unsigned i = 0; i < 2; i++)
		mine[i] = xenevtchn_bind_interdomain(xe, domid, port[i]);
	IS(irq_count(domid, 5) + irq_count(domid, 20), 0, "irq port: binding raises nothing");
	for (unsigned n = 1; n <= 3; n++)
		for (unsigned i = 0; i < 2; i++) {
			xenevtchn_notify(xe, (evtchn_port_t)mine[i]);
			bad += !irq_count_is(domid, i ? 20 : 5, n);
		}
	IS(bad, 0, "irq port: one interrupt a notification");
	for (unsigned gsi = 1; gsi < IRQ_PINS; gsi++)
		bad += irq_count(domid, gsi) != (gsi == 5 || gsi == 20 ? 3 : 0);
	IS(bad, 0, "irq port: and no other");
	test_irq_port_refused(&s);
	start = now_ms();
	for (unsigned i = 0; i < 1000; i++)
		xenevtchn_notify(xe, (evtchn_port_t)mine[0]);
	printf("# 1000 notifications in %.2f ms\n", now_ms() - start);
	do {
		again = irq_count(domid, 5);
		usleep(50000);
	} while (again != irq_count(domid, 5));
	server_destroy(&s);
	xenevtchn_notify(xe, (evtchn_port_t)mine[0]);
	IS(irq_count_is(domid, 5, again), 1, "irq port: nothing after the server");
	test_irq_ports_are_freed(domid);
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1, "irq port: the domain goes while they are bound");
	xenevtchn_close(xe);
}

int main(int argc, char **argv)
{
	uint64_t features, wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
	uint32_t domid;
	int rc;

	open_all();

	rc = create(&domid, XEN_X86_EMU_LAPIC);
	IS(rc, 0, "a LAPIC-only domain can be made");
	if (rc)
		return 1;
	features = test_features(domid);
	IS(features & wanted, wanted, "features: those wanted are there");
	destroy(domid);

	rc = create(&domid, XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC);
	IS(rc, features & XENOLITH_FEAT_micro ? 0 : -EOPNOTSUPP,
	   "micro: is there if it is said to be");
	if (!rc) {
		test_micro(domid);
		destroy(domid);
	}
	if (features & XENOLITH_FEAT_guest_copy)
		test_guest_copy();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_pulse)
		test_pulse();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_doorbell)
		test_doorbell();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_irq_port)
		test_irq_port();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_server)
		test_servers();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_time)
		test_time();
	if (features & XENOLITH_FEAT_guest_copy && features & XENOLITH_FEAT_lifecycle) {
		test_lifecycle();
		test_remote_shutdown();
	}
	if (features & XENOLITH_FEAT_lifeline) {
		test_lifeline();
		test_killed();
	}
	test_vcpus_are_freed();
	if (features & XENOLITH_FEAT_guest_copy)
		test_order();
	if (features & XENOLITH_FEAT_lifecycle)
		test_vcpus();
	printf("1..%u\n", nr_tests);
	return nr_failed != 0;
}
