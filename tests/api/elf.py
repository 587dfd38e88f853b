# SPDX-License-Identifier: Apache-2.0
"""PVH kernels, good ones and all others: an ELF builder that does what it is told.

System V ABI, chapters 4 and 5; the note is XEN_ELFNOTE_PHYS32_ENTRY."""
import struct

PT_LOAD, PT_NOTE = 1, 4
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
EM_X86_64, EM_AARCH64 = 62, 183
EHDR, PHDR = 64, 56

BASE = 0x1000000
TEXT = bytes(range(256)) * 32  # 8 KiB that cannot be taken for anything else


def note(desc=struct.pack("<I", BASE), name=b"Xen\0", kind=18, align=4, namesz=None,
         descsz=None):
    """One note; sizes may lie."""
    def pad(data):
        return data + b"\0" * (-len(data) % align)

    head = struct.pack("<III", len(name) if namesz is None else namesz,
                       len(desc) if descsz is None else descsz, kind)
    # The descriptor starts at the next multiple of `align` in the note.
    return pad(head + name) + pad(desc)


class Segment:
    def __init__(self, data=b"", paddr=0, kind=PT_LOAD, memsz=None, filesz=None,
                 offset=None, align=4096):
        self.data, self.paddr, self.kind, self.align = data, paddr, kind, align
        self.filesz = len(data) if filesz is None else filesz
        self.memsz = self.filesz if memsz is None else memsz
        self.offset = offset  # None: where the data comes to lie

    def header(self, offset):
        offset = offset if self.offset is None else self.offset
        return struct.pack("<IIQQQQQQ", self.kind, 7, offset, self.paddr, self.paddr,
                           self.filesz, self.memsz, self.align)


class Elf:
    """Fields of the ELF header are attributes; `segments` become program headers."""

    def __init__(self, segments, **fields):
        self.segments = segments
        self.fields = {"elf_class": 2, "data": 1, "type": ET_EXEC, "machine": EM_X86_64,
                       "entry": 0, "phoff": EHDR, "phentsize": PHDR, "phnum": None,
                       "magic": b"\x7fELF", **fields}

    def build(self):
        f = self.fields
        body, headers = b"", b""
        at = EHDR + PHDR * len(self.segments)
        for s in self.segments:
            headers += s.header(at + len(body))
            body += s.data
        phnum = len(self.segments) if f["phnum"] is None else f["phnum"]
        ident = f["magic"] + bytes([f["elf_class"], f["data"], 1]) + b"\0" * 9
        head = struct.pack("<16sHHIQQQIHHHHHH", ident, f["type"], f["machine"], 1,
                           f["entry"], f["phoff"], 0, 0, EHDR, f["phentsize"], phnum,
                           0, 0, 0)
        return head + headers + body


def text(**more):
    """The kernel's one segment: 8 KiB of data and 8 KiB of zeroes."""
    return Segment(**{"data": TEXT, "paddr": BASE, "memsz": 2 * len(TEXT), **more})


def notes(data=None, **more):
    return Segment(**{"data": note() if data is None else data, "kind": PT_NOTE, **more})


def good(**fields):
    return Elf([text(), notes()], **fields)


def with_entry(entry, size=4):
    return Elf([text(), notes(note(entry.to_bytes(size, "little")))])


# Each must boot. name: (file, where it starts)
GOOD = {
    "plain": (good(), BASE),
    "shared object": (good(type=ET_DYN), BASE),
    "entry of 8 bytes": (with_entry(BASE + 64, 8), BASE + 64),
    "entry in the zeroes": (with_entry(BASE + len(TEXT) + 1), BASE + len(TEXT) + 1),
    "other notes first": (Elf([text(), notes(
        note(b"abcde", b"GNU\0", 3) + note(b"", b"Xen\0", 5) + note())]), BASE),
    "note aligned to 8": (Elf([text(), notes(note(align=8), align=8)]), BASE),
    "two note segments": (Elf([notes(note(b"x", b"GNU\0", 3)), text(), notes()]), BASE),
    "empty segment": (Elf([Segment(paddr=BASE, memsz=0), text(), notes()]), BASE),
    "segments that touch": (Elf([text(), Segment(b"x", BASE + 2 * len(TEXT)), notes()]), BASE),
    "up to the end of RAM": (Elf([text(), Segment(b"x", (128 << 20) - 4096, memsz=4096),
                                  notes()]), BASE),
    "from 1 MiB": (Elf([Segment(TEXT, 1 << 20), notes(note(struct.pack("<I", 1 << 20)))]),
                   1 << 20),
}


def flat(segment, count):
    """A kernel with very many program headers."""
    return Elf([text(), notes()] + [segment] * (count - 2))


# None may boot. name: (bytes, what the message must say)
BAD = {
    "empty file": (b"", "truncated"),
    "text": (b"#!/bin/sh\necho I am no kernel\n" * 10, "not an ELF file"),
    "bzImage": (b"MZ" + b"\0" * 4096, "bzImage"),
    "ELF header cut": (good().build()[:40], "truncated"),
    "program headers cut": (good().build()[:EHDR + PHDR], "truncated"),
    "data cut": (good().build()[:EHDR + 2 * PHDR + 100], "truncated"),
    "last byte cut": (good().build()[:-1], "truncated"),
    "32-bit": (good(elf_class=1).build(), "64-bit"),
    "big-endian": (good(data=2).build(), "little-endian"),
    "for another machine": (good(machine=EM_AARCH64).build(), "x86-64"),
    "relocatable object": (good(type=ET_REL).build(), "not an executable"),
    "program headers of 32 bytes": (good(phentsize=32).build(), "56 bytes"),
    "program headers far away": (good(phoff=1 << 40).build(), "truncated"),
    "program headers that wrap": (good(phoff=2**64 - 56).build(), "truncated"),
    "no program headers": (Elf([]).build(), "no segment"),
    "10,000 program headers": (flat(Segment(), 10000).build(), "10000 program headers"),
    "65,535 program headers": (good(phnum=65535).build(), "65535 program headers"),
    "no segment to load": (Elf([notes()]).build(), "no segment"),
    "without the note": (Elf([text()]).build(), "PHYS32_ENTRY"),
    "another's note": (Elf([text(), notes(note(name=b"Xem\0"))]).build(), "PHYS32_ENTRY"),
    "another note of Xen": (Elf([text(), notes(note(kind=1))]).build(), "PHYS32_ENTRY"),
    "note of 3 bytes": (Elf([text(), notes(note(b"abc"))]).build(), "3 bytes"),
    "note without data": (Elf([text(), notes(note(b""))]).build(), "0 bytes"),
    "note longer than its segment": (Elf([text(), notes(note(descsz=400))]).build(), "note"),
    "note with a huge name": (Elf([text(), notes(note(namesz=0xffffffff))]).build(), "note"),
    "note with huge data": (Elf([text(), notes(note(descsz=0xfffffffd))]).build(), "note"),
    "1 MiB of notes": (Elf([text(), notes(note() + b"\0" * (1 << 20))]).build(), "notes"),
    "notes outside the file": (Elf([text(), notes(offset=1 << 30)]).build(), "truncated"),
    "entry outside the segments": (with_entry(BASE - 1).build(), "entry"),
    "entry behind the segments": (with_entry(BASE + 2 * len(TEXT)).build(), "entry"),
    "entry 0": (with_entry(0).build(), "entry"),
    "entry above 4 GiB": (with_entry((1 << 32) + BASE, 8).build(), "entry"),
    "segments overlap": (Elf([text(), Segment(b"x", BASE + 16), notes()]).build(), "overlap"),
    "segments overlap in their zeroes": (
        Elf([text(), Segment(b"x", BASE + 2 * len(TEXT) - 1), notes()]).build(), "overlap"),
    "segment around another": (
        Elf([text(), Segment(b"x", BASE - 4096, memsz=1 << 20), notes()]).build(), "overlap"),
    "outside RAM": (Elf([text(), Segment(b"x", 1 << 30), notes()]).build(), "outside"),
    "one byte outside RAM": (
        Elf([text(), Segment(b"x", (128 << 20) - 4096, memsz=4097), notes()]).build(), "outside"),
    "above 4 GiB": (Elf([text(), Segment(b"x", 1 << 32), notes()]).build(), "outside"),
    "over the tables": (Elf([text(), Segment(b"x", 0x6000), notes()]).build(), "below"),
    "just below 1 MiB": (Elf([text(), Segment(b"x", (1 << 20) - 1), notes()]).build(), "below"),
    "addresses wrap": (
        Elf([text(), Segment(b"x", 2**64 - 4096, memsz=8192), notes()]).build(), "wrap"),
    "size wraps": (
        Elf([text(), Segment(b"x", 2 << 20, memsz=2**64 - 1), notes()]).build(), "wrap|outside"),
    "offset wraps": (
        Elf([text(), Segment(b"x" * 8192, 2 << 20, offset=2**64 - 4096), notes()]).build(),
        "truncated"),
    "more data than memory": (
        Elf([text(), Segment(b"xxxx", 2 << 20, memsz=3), notes()]).build(), "in memory"),
}
