# SPDX-License-Identifier: Apache-2.0
"""Steps of a guest that drives virtio devices: one request after the other, each waited for."""

RINGS = 64 << 20  # in its memory, 64 KiB a device
SIZE = 8
NEXT, WRITE = 1, 2


class Device:
    """The n-th device and its queue `queue`."""

    def __init__(self, n, queue=0, features=0):
        self.base, self.gsi = 0xd0000000 + n * 0x1000, 16 + n
        self.queue, self.at = queue, RINGS + n * 0x10000
        self.used = 0
        self.steps = []
        self._set_up(features)

    def register(self, at, value):
        self.steps.append(f"write32 {self.base + at:#x} {value:#x}")

    def memory(self, bits, at, value):
        self.steps.append(f"write{bits} {at:#x} {value:#x}")

    def _set_up(self, features):
        for at, value in ((0x70, 1), (0x70, 3), (0x24, 0), (0x20, features), (0x24, 1),
                          (0x20, 1), (0x70, 11), (0x30, self.queue), (0x38, SIZE),
                          (0x80, self.at), (0x84, 0), (0x90, self.at + 0x1000), (0x94, 0),
                          (0xa0, self.at + 0x2000), (0xa4, 0), (0x44, 1), (0x70, 15)):
            self.register(at, value)

    def request(self, *parts):
        """A chain of (address, length, is it the device's to write)."""
        for i, (address, length, write) in enumerate(parts):
            flags = (WRITE if write else 0) | (NEXT if i + 1 < len(parts) else 0)
            self.memory(64, self.at + 16 * i, address)
            self.memory(64, self.at + 16 * i + 8, length | flags << 32 | (i + 1) << 48)
        self.memory(16, self.at + 0x1000 + 4 + 2 * (self.used % SIZE), 0)
        self.used += 1
        self.memory(16, self.at + 0x1000 + 2, self.used)
        self.register(0x50, self.queue)
        self.steps.append(f"wait {self.gsi} {self.used}")

    def block(self, kind, sector, length):
        """Request `kind` of a disk; status is not looked at."""
        header, data, status = self.at + 0x3000, self.at + 0x4000, self.at + 0x3100
        self.memory(64, header, kind)
        self.memory(64, header + 8, sector)
        middle = [(data, length, kind == 0)] if length else []
        self.request((header, 16, False), *middle, (status, 1, True))

    def packet(self, length):
        """Send a frame of so many bytes, all of them 0, for nobody."""
        self.request((self.at + 0x4000, 12 + length, False))

    def text(self):
        return "\n".join(self.steps) + "\n"
