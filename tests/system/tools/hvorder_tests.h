/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device model may do in an order that makes no sense, and a guest that makes none:
 * the hypervisor goes on. A part of hvabi.c.
 */
#ifndef TESTS_SYSTEM_HVORDER_TESTS_H
#define TESTS_SYSTEM_HVORDER_TESTS_H

#include "tests/system/tools/hvcall.h"

#define ORDER_PAGES 16
#define ORDER_DONE 0x3000 /* written by the guests */
#define LEGACY_PAGE 5 /* a bit of the word behind the mask of frames */

static ioservid_t order_server(uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };

	if (dm_op(domid, &op))
		bail("create_ioreq_server");
	return op.u.create_ioreq_server.id;
}

static int order_get_page(uint32_t domid, ioservid_t id)
{
	struct xen_dm_op op = { .op = XEN_DMOP_get_ioreq_server_info };

	op.u.get_ioreq_server_info.id = id;
	return dm_op(domid, &op);
}

static void order_param(uint32_t domid, uint32_t index, uint64_t value)
{
	struct xen_hvm_param *p = scratch;

	*p = (struct xen_hvm_param){ .domid = (domid_t)domid, .index = index, .value = value };
	if (xencall2(xc, __HYPERVISOR_hvm_op, HVMOP_set_param, (uintptr_t)p) < 0)
		bail("HVMOP_set_param");
}

/* Run these instructions, which write to ORDER_DONE: whether they come to it. */
static bool order_run(uint32_t domid, const uint8_t *code, size_t size, uint64_t efer)
{
	struct context *ctx = scratch;
	uint8_t text[64], done = 0;

	memcpy(text, code, size);
	/* A debug hypervisor does not hand out pages of zeroes. */
	if (copy(domid, 0, XENOLITH_COPY_to_guest, text, size, NULL) ||
	    copy(domid, ORDER_DONE, XENOLITH_COPY_to_guest, &done, 1, NULL))
		bail("guest_copy");
	context_init(ctx);
	ctx->c.msr_efer = efer;
	run_context(domid);
	for (unsigned i = 0; i < 100 && !done; i++) {
		usleep(10000);
		if (copy(domid, ORDER_DONE, XENOLITH_COPY_from_guest, &done, 1, NULL))
			bail("guest_copy");
	}
	return done;
}

/* A guest reads from a port of a server that is enabled and has never had its page. */
static void test_server_without_page(void)
{
	static const uint8_t code[] = {
		0x66, 0xba, 0x00, 0x01, /* mov $0x100, %dx */
		0xec, /* in %dx, %al */
		0xa2, 0x00, 0x30, 0x00, 0x00, /* mov %al, ORDER_DONE */
		0xeb, 0xfe, /* jmp . */
	};
	uint32_t domid = make_domain(ORDER_PAGES);
	struct xen_dm_op map = { .op = XEN_DMOP_map_io_range_to_ioreq_server };
	struct xen_dm_op enable = { .op = XEN_DMOP_set_ioreq_server_state };
	struct xen_dm_op_xenolith_lifecycle l;

	map.u.map_io_range_to_ioreq_server.id = order_server(domid);
	map.u.map_io_range_to_ioreq_server.type = XEN_DMOP_IO_RANGE_PORT;
	map.u.map_io_range_to_ioreq_server.start = 0x100;
	map.u.map_io_range_to_ioreq_server.end = 0x1ff;
	enable.u.set_ioreq_server_state.id = map.u.map_io_range_to_ioreq_server.id;
	enable.u.set_ioreq_server_state.enabled = 1;
	IS(dm_op(domid, &map), 0, "order: a server with ports");
	IS(dm_op(domid, &enable), 0, "order: is enabled without a page");
	IS(order_run(domid, code, sizeof(code), 0), 0, "order: who reads from them waits");
	if (lifecycle(domid, &l))
		bail("lifecycle");
	IS(l.flags & XENOLITH_LIFECYCLE_shutdown ? l.reason : -1, SHUTDOWN_crash,
	   "order: no longer than it takes to end it");
	destroy(domid);
}

/* The frame that a server gives back is none of those that the parameter now names. */
static void test_frames_that_moved(void)
{
	uint32_t domid = make_domain(ORDER_PAGES);
	struct xen_dm_op end = { .op = XEN_DMOP_destroy_ioreq_server };

	order_param(domid, HVM_PARAM_NR_IOREQ_SERVER_PAGES, 2);
	IS(order_get_page(domid, order_server(domid)), 0, "order: a server at frame 0");
	end.u.destroy_ioreq_server.id = order_server(domid);
	IS(order_get_page(domid, end.u.destroy_ioreq_server.id), 0, "order: another at 1");
	order_param(domid, HVM_PARAM_IOREQ_SERVER_PFN, 1 - (64ul + LEGACY_PAGE));
	IS(dm_op(domid, &end), 0, "order: goes when they have moved");
	IS(order_get_page(domid, order_server(domid)), -ENOMEM, "order: its frame is no other");
	destroy(domid);
}

/* EFER.LME before CR4.PAE: see patch 0021. */
static void test_long_mode_without_pae(void)
{
	static const uint8_t code[] = {
		0xc6, 0x05, 0x00, 0x30, 0x00, 0x00, 0x01, /* movb $1, ORDER_DONE */
		0xeb, 0xfe, /* jmp . */
	};
	uint32_t domid = make_domain(ORDER_PAGES);

	IS(order_run(domid, code, sizeof(code), 0x100), 1, "order: LME without PAE");
	destroy(domid);
}

static void test_order(void)
{
	test_server_without_page();
	test_frames_that_moved();
	test_long_mode_without_pae();
}

#endif
