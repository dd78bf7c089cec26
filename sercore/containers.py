"""How much sound the header of an audio file promises, read from its bytes: libsndfile shortens a cut file in silence.

Sizes are in bytes. A size of 0, or one of 2 GiB and more, is what programs write that cannot know it (to a pipe, or
before they crash), and promises nothing.
"""

import re
import struct
from typing import BinaryIO

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
AU = {b".snd": ">II", b"dns.": "<II"}
SYNC = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x10-\xeb]")  # of layer II and III
XING = re.compile(rb"(?:Xing|Info)\0\0\0[\1\3\5\7\x09\x0b\x0d\x0f](....)", re.DOTALL)  # with a number of frames
# Bit rates in kbit/s: MPEG 2 and 2.5, MPEG 1 layer III, MPEG 1 layer II.
LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
HIGH = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
HIGH_II = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)


def promised_and_held(file: BinaryIO) -> tuple[int, int] | None:
    """Bytes of sound that a header promises, and those in the file; None where it promises none, or cannot be read.

    The file holds more than promised if what follows the sound is neither another chunk nor zeros.
    """
    end, magic = file.seek(0, 2), _at(file, 0, 4)
    if magic in CHUNKS:
        found = _sound_chunk(file, magic)
    elif magic in AU:
        found = _unpacked(file, 4, AU[magic])
    else:
        found = _nist(_at(file, 0, 1024)) if magic == b"NIST" else None
    if not found or not 0 < found[1] < UNKNOWN:
        return None
    place, promised = found
    follow = [_at(file, place + promised + padding, 4) for padding in (0, promised % 2, -promised % 8)]
    ends = any(len(name) < 4 or name == bytes(4) or re.fullmatch(rb"[ -~]{4}", name) for name in follow)
    return promised, min(promised, end - place) if ends else end - place


def ogg_ends(file: BinaryIO) -> bool:
    """False for an Ogg file whose last page is not whole, or not marked as the end of its stream."""
    if _at(file, 0, 4) != b"OggS":
        return True
    file.seek(max(0, file.seek(0, 2) - 65_307))  # the longest page
    page = file.read().rpartition(b"OggS\0")[2]
    return len(page) > 22 and bool(page[0] & 4) and len(page) >= 22 + page[21] + sum(page[22 : 22 + page[21]])


def mpeg_samples(file: BinaryIO) -> tuple[int | None, int]:
    """Samples in the frames that an MP3 (or layer II) promises, None without a Xing header, and in those it holds."""
    file.seek(0)
    content = file.read()
    tag = 10 + sum(byte << bits for byte, bits in zip(content[6:10], (21, 14, 7, 0), strict=False))
    sync = SYNC.search(content, tag if content.startswith(b"ID3") else 0)
    place = sync.start() if sync else len(content)
    xing = XING.search(content, place, place + 56)
    frames, size, samples = 0, *_mpeg_frame(content[place : place + 4])
    per_frame = samples
    while size and place + size <= len(content):
        frames, place = frames + 1, place + size
        size, samples = _mpeg_frame(content[place : place + 4])
    promised = int.from_bytes(xing[1]) * per_frame if xing else None
    return promised or None, (frames - bool(promised)) * per_frame


def _mpeg_frame(header: bytes) -> tuple[int, int]:
    """Bytes and samples of the frame with this header of 4 bytes; zeros if it is none of layer II or III."""
    if not SYNC.match(header) or header[2] >> 2 & 3 == 3:
        return 0, 0
    version, layer, bitrate, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 4, header[2] >> 2 & 3
    table = LOW if version < 3 else HIGH if layer == 1 else HIGH_II
    samples = 576 if version < 3 and layer == 1 else 1152
    hertz = (44_100, 48_000, 32_000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    return samples * table[bitrate - 1] * 125 // hertz + (header[2] >> 1 & 1), samples


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _unpacked(file: BinaryIO, place: int, layout: str) -> tuple | None:
    content = _at(file, place, struct.calcsize(layout))
    return struct.unpack(layout, content) if len(content) == struct.calcsize(layout) else None


def _sound_chunk(file: BinaryIO, magic: bytes) -> tuple[int, int] | None:
    """Place and size of the chunk that holds the sound."""
    place, layout, alignment, sound = CHUNKS[magic]
    length, of_rf64 = struct.calcsize(layout), 0
    while chunk := _unpacked(file, place, layout):
        name, size = chunk
        place += length
        size = max(0, size - length if magic == b"riff" else size)
        if name == sound:
            return place, of_rf64 if size == 0xFFFFFFFF else size
        if name == b"ds64":
            _, of_rf64 = _unpacked(file, place, "<QQ") or (0, 0)
        place += size + -size % alignment
    return None


def _nist(header: bytes) -> tuple[int, int] | None:
    """Place and size of the sound in NIST Sphere, whose header is text, its length in the second line."""
    length = re.match(rb"NIST_1A\s+(\d+)", header)
    fields = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d+)", header)}
    size = fields.get(b"sample_count", 0) * fields.get(b"channel_count", 1) * fields.get(b"sample_n_bytes", 1)
    return (int(length[1]), size) if length else None
