"""How much sound the header of an audio file promises, in bytes: libsndfile shortens a cut file in silence.

A size of 0, or of 2 GiB and more, is what programs write that cannot know it (to a pipe), and promises nothing.
"""

import contextlib
import os
import re
import struct

UNKNOWN = 0x7FFF0000
# First bytes -> place of the first chunk, layout of a chunk's name and size, alignment, name of the chunk with sound.
CHUNKS = {
    b"RIFF": (12, "<4sI", 2, b"data"),
    b"RIFX": (12, ">4sI", 2, b"data"),
    b"RF64": (12, "<4sI", 2, b"data"),
    b"FORM": (12, ">4sI", 2, b"SSND"),
    b"caff": (8, ">4sq", 1, b"data"),
    b"riff": (40, "<4s12xq", 8, b"data"),  # W64
}
XING = re.compile(rb"(?:Xing|Info)\0\0\0[\3\7\x0b\x0f]....(....)", re.DOTALL)  # numbers of frames and bytes


def promised_and_held(file: int) -> tuple[int, int] | None:
    """Bytes of sound that a header promises, and those in the file; None where it promises none, or cannot be read.

    The file holds more than promised if what follows the sound is neither another chunk or tag nor zeros.
    """
    end, head = os.fstat(file).st_size, os.pread(file, 1024, 0)
    magic, found = head[:4], None
    with contextlib.suppress(struct.error):  # the file ends before what is looked for
        if magic in CHUNKS:
            found = _sound_chunk(file, *CHUNKS[magic])
        elif magic in (b".snd", b"dns."):  # AU
            found = struct.unpack_from(">II" if magic == b".snd" else "<II", head, 4)
        else:
            found = _nist(head) if magic == b"NIST" else _mpeg(file, head)
    if not found or not 0 < found[1] < UNKNOWN:
        return None
    place, promised = found
    paddings = (0, promised % 2, -promised % 8) if magic in CHUNKS else (0,)
    follow = [os.pread(file, 4, place + promised + padding) for padding in paddings]
    ends = any(len(name) < 4 or name == bytes(4) or re.match(rb"(?!ID3)[ -~]{3}", name) for name in follow)
    return promised, min(promised, end - place) if ends else end - place


def ogg_ends(file: int) -> bool:
    """False for an Ogg file whose last page is not whole, or not marked as the end of its stream."""
    if os.pread(file, 4, 0) != b"OggS":
        return True
    longest = 65_307
    page = os.pread(file, longest, max(0, os.fstat(file).st_size - longest)).rpartition(b"OggS\0")[2]
    return len(page) > 22 and bool(page[0] & 4) and len(page) >= 22 + page[21] + sum(page[22 : 22 + page[21]])


def _sound_chunk(file: int, place: int, layout: str, alignment: int, sound: bytes) -> tuple[int, int]:
    """Place and size of the chunk that holds the sound."""
    length, of_rf64 = struct.calcsize(layout), 0
    while True:
        os.lseek(file, min(place, 2**63 - 1), os.SEEK_SET)  # an OSError where no file can have so much
        name, size = struct.unpack(layout, os.read(file, length))
        place += length
        size = max(0, size - length if length == 24 else size)  # W64 counts the chunk's header
        if name == sound:
            return place, of_rf64 if size == 0xFFFFFFFF else size
        if name == b"ds64":
            of_rf64 = int.from_bytes(os.pread(file, 8, place + 8), "little")
        place += size + -size % alignment


def _mpeg(file: int, head: bytes) -> tuple[int, int] | None:
    """Place and size of the frames of an MP3, by the Xing header in its first one, behind an ID3 tag."""
    tag = 10 + sum(byte << bits for byte, bits in zip(head[6:10], (21, 14, 7, 0), strict=False))
    start = tag if head.startswith(b"ID3") else 0
    content = os.pread(file, 4096, start)
    sync, xing = content.find(b"\xff"), XING.search(content)
    return (start + sync, int.from_bytes(xing[1])) if xing and (start or not sync) else None


def _nist(header: bytes) -> tuple[int, int] | None:
    """Place and size of the sound in NIST Sphere, whose header is text, its length in the second line."""
    length = re.match(rb"NIST_1A\s+(\d{1,9})", header)
    fields = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d+)", header)}
    size = fields.get(b"sample_count", 0) * fields.get(b"channel_count", 1) * fields.get(b"sample_n_bytes", 1)
    return (int(length[1]), size) if length else None
