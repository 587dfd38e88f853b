// SPDX-License-Identifier: Apache-2.0
//
// One virtio-mmio device (virtio 1.2 §4.2), as a template: boot/acpi.c appends what
// stands inside this table to the DSDT, once for each device, and replaces the four
// placeholders: the name VR00, the unit number 0xA5000001, the window's address
// 0xA5000002 and the interrupt 0xA5000003. Each has four bytes, so no length changes.
// A machine without devices carries none of it: the guest has nothing to parse.
//
// Compiled as boot/dsdt.asl is, to the array `virtio_aml`.
//
DefinitionBlock ("", "SSDT", 2, "XENOLT", "XENOLITH", 1)
{
    Device (\_SB.VR00)
    {
        Name (_HID, "LNRO0005")
        Name (_UID, 0xA5000001)
        Name (_CCA, 1)
        Name (_CRS, ResourceTemplate ()
        {
            Memory32Fixed (ReadWrite, 0xA5000002, 0x1000)
            Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 0xA5000003 }
        })
    }
}
