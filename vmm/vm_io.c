/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's accesses: see vm_io.h. */
#include "vmm/vm_io.h"

#include <assert.h>

static enum bus_space bus_space(const struct hv_io *io)
{
	return io->space == HV_PIO ? BUS_PIO : BUS_MMIO;
}

/* One element of a REP access: its data lies in guest memory. */
static int indirect_element(struct vm *vm, const struct hv_io *io, uint64_t addr, gpa_t data)
{
	uint64_t value = 0;
	int rc = 0;

	if (io->write) {
		rc = gmem_read(&vm->gmem, data, &value, io->size);
		if (rc == 0)
			bus_write(&vm->bus, bus_space(io), addr, io->size, value);
	} else {
		value = bus_read(&vm->bus, bus_space(io), addr, io->size);
		rc = gmem_write(&vm->gmem, data, &value, io->size);
	}
	return rc;
}

/* Memory addresses move on with each element, a port stays. */
static void indirect_io(struct vm *vm, const struct hv_io *io)
{
	uint64_t step = io->backwards ? 0 - (uint64_t)io->size : io->size;
	uint64_t addr = io->addr;
	gpa_t data = gpa(io->data);

	for (uint32_t i = 0; i < io->count; i++) {
		int rc = indirect_element(vm, io, addr, data);

		if (rc < 0) {
			log_guest(&vm->guest_log, "vm",
				  "access to %#llx: its data at %#llx is not RAM",
				  (unsigned long long)addr, (unsigned long long)data.v);
			return;
		}
		data.v += step;
		if (io->space == HV_MMIO)
			addr += step;
	}
}

bool vm_io(void *ctx, struct hv_io *io)
{
	struct vm *vm = ctx;

	assert(io->vcpu < CONFIG_VCPUS_MAX);
	if (vm->ended || (io->size != 1 && io->size != 2 && io->size != 4 && io->size != 8)) {
		io->data = UINT64_MAX;
		return true;
	}
	vm->io_vcpu = (int)io->vcpu;
	if (io->indirect)
		indirect_io(vm, io);
	else if (io->write)
		bus_write(&vm->bus, bus_space(io), io->addr, io->size, io->data);
	else
		io->data = bus_read(&vm->bus, bus_space(io), io->addr, io->size);
	vm->io_vcpu = -1;
	return vm->holds[io->vcpu] == 0;
}

unsigned vm_hold(void *ctx)
{
	struct vm *vm = ctx;

	assert(vm->io_vcpu >= 0);
	vm->holds[vm->io_vcpu]++;
	return (unsigned)vm->io_vcpu;
}

void vm_release(void *ctx, unsigned vcpu)
{
	struct vm *vm = ctx;

	assert(vm->holds[vcpu] > 0);
	/* Within its own access it goes on when that returns. */
	if (--vm->holds[vcpu] == 0 && vm->io_vcpu != (int)vcpu)
		vm->hv->ops->go_on(vm->hv, vcpu);
}
