# SPDX-License-Identifier: Apache-2.0
"""Tap interfaces of the host, made for a test and removed after it."""
import fcntl
import os
import struct

TUNSETIFF, TUNSETPERSIST = 0x400454ca, 0x400454cb
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI = 0x0002, 0x0100, 0x1000


class Taps:
    """Call it for the name of a new tap. Names are of this process alone: tests may run
    beside others."""

    def __init__(self):
        self.names = []

    def __call__(self, multi_queue=False):
        name = f"xnlt{os.getpid()}_{len(self.names)}"
        flags = IFF_TAP | IFF_NO_PI | (IFF_MULTI_QUEUE if multi_queue else 0)
        self.persist(name, flags, 1)
        self.names.append((name, flags))
        return name

    @staticmethod
    def persist(name, flags, yes):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
            fcntl.ioctl(fd, TUNSETPERSIST, yes)
        finally:
            os.close(fd)

    def remove(self):
        for name, flags in self.names:
            self.persist(name, flags, 0)
