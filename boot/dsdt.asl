// SPDX-License-Identifier: Apache-2.0
//
// The DSDT of the machine, without its virtio devices: boot/acpi.c appends one copy of
// the body of boot/virtio.asl for each. The build compiles it with
//
//     iasl -p build/gen/boot/dsdt boot/dsdt.asl
//
// and turns the AML into the array `dsdt_aml` of build/gen/boot/dsdt_aml.h. To see what
// a guest gets: acpidump -b in the guest, then iasl -d dsdt.dat.
//
// Addresses and numbers are those of vmm/lib/layout.h; tests/unit/test_acpi.c compares.
//
DefinitionBlock ("", "DSDT", 2, "XENOLT", "XENOLITH", 1)
{
    Name (\_S5, Package (2) { 5, 0 })

    Device (\_SB.COM1)
    {
        Name (_HID, EisaId ("PNP0501"))
        Name (_UID, 0)
        Name (_CRS, ResourceTemplate ()
        {
            IO (Decode16, 0x3F8, 0x3F8, 0, 8)
            Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
        })
    }

    // The power button: a control method device (ACPI 6.5 §4.8.2.2.1.2), since hardware-
    // reduced machines have no fixed one. Pressing it is an edge of the generic event
    // device's interrupt (§5.6.9), whose number the guest hands to _EVT.
    Device (\_SB.PWRB)
    {
        Name (_HID, EisaId ("PNP0C0C"))
    }

    Device (\_SB.GED)
    {
        Name (_HID, "ACPI0013")
        Name (_UID, 0)
        Name (_CRS, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 5 }
        })
        Method (_EVT, 1)
        {
            If (Arg0 == 5)
            {
                Notify (\_SB.PWRB, 0x80)
            }
        }
    }
}
