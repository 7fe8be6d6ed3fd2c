"""Damaged tiles by the thousand, made by a seeded mutator, and what reading them costs.

    python -m tests.support.tiles.hostile_tiles WORK --count 2000

Prints a line a kind of damage: how many files, how many could be read all the same, how many
were named as bad, how often a decoder process was lost; and then the time and the largest
memory of a process. Exit code 1 when a tile is unaccounted for.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile

from rsretrieve._core import paths
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.workers import pool
from tests.support.processes.worker_functions import made_into_0

Chance = random.Random
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "GIF": ".gif", "BMP": ".bmp"}
NAMES = (
    b"new\nline",
    b"tab\tand\rreturn",
    b"\x1b[31mred\x1b[0m",
    b"not \xff\xfe UTF-8",
    b"comma, \"quote\" 'and' <b>&amp;",
    b"trailing space ",
    "right-to-left \u202e mark".encode(),
    b"%s%n%x",
    b"#0,0,8,8",
)


def whole_picture(chance: Chance) -> tuple[str, bytes]:
    """A sound picture and its suffix."""
    form = chance.choice((*SUFFIXES, "GTiff", "GTiff", "tiled", "JP2"))
    side = chance.choice((16, 33, 64))
    noise = np.random.default_rng(chance.getrandbits(32)).integers(1, 255, (side, side, 3), "uint8")
    stream = io.BytesIO()
    if form in SUFFIXES:
        options = {"compression": "tiff_lzw"} if form == "TIFF" and chance.random() < 0.5 else {}
        Image.fromarray(noise).save(stream, form, **options)
        return SUFFIXES[form], stream.getvalue()
    if form == "JP2":
        Image.fromarray(noise).save(stream, "JPEG2000")
        return ".jp2", stream.getvalue()
    profile = {"tiled": True, "blockxsize": 16, "blockysize": 16} if form == "tiled" else {}
    kind = chance.choice(("uint8", "uint16", "float32"))
    compress = chance.choice(("deflate", "lzw", "packbits", "zstd"))
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=side,
            height=side,
            count=4,
            dtype=kind,
            compress=compress,
            **profile,
        ) as dataset:
            dataset.write(np.repeat(noise.transpose(2, 0, 1)[:1], 4, 0).astype(kind))
        return ".tif", memory.read()


def truncated(chance: Chance) -> tuple[str, bytes]:
    suffix, content = whole_picture(chance)
    return suffix, content[: chance.randrange(len(content))]


def bits_flipped(chance: Chance) -> tuple[str, bytes]:
    suffix, content = whole_picture(chance)
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 3, 10, 100))):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return suffix, bytes(damaged)


def wrong_header(chance: Chance) -> tuple[str, bytes]:
    suffix, content = whole_picture(chance)
    start = chance.choice((b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0"))
    start = chance.choice((start, chance.randbytes(16), b"\0" * 64, b"<VRTDataset>", b"GIF89a"))
    return suffix, start + content[len(start) :]


def spliced(chance: Chance) -> tuple[str, bytes]:
    suffix, content = whole_picture(chance)
    _, other = whole_picture(chance)
    middle = chance.randrange(len(content))
    return suffix, content[:middle] + other[chance.randrange(len(other)) :]


def png_of(width: int, height: int, data: bytes, kind: int = 2) -> bytes:
    """A PNG that says it is so large, whatever is in it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def tiff_of(
    entries: list[tuple[int, int, int, int]], following: int = 0, data: bytes = b""
) -> bytes:
    """A TIFF of one directory with these entries: tag, type, count, value."""
    content = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    for entry in entries:
        content += struct.pack("<HHII", *entry)
    return content + struct.pack("<I", following) + data


def enormous_size(chance: Chance) -> tuple[str, bytes]:
    side = chance.choice((9_000, 65_500, 1 << 20, (1 << 31) - 1))
    kind = chance.randrange(5)
    if kind == 0:
        return ".png", png_of(side, side, zlib.compress(b"\0" * 100))
    if kind == 1:
        suffix, content = ".bmp", bytearray(b"BM" + b"\0" * 100)
        struct.pack_into("<IiiHH", content, 14, 40, side, side, 1, 24)
        return suffix, bytes(content)
    if kind == 2:
        stream = io.BytesIO()
        Image.new("RGB", (16, 16), "red").save(stream, "JPEG")
        content = bytearray(stream.getvalue())
        struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, 65_500, 65_500)
        return ".jpg", bytes(content)
    tile = 322 if kind == 3 else 0
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, chance.choice((1, 8))),
    ]
    entries += [(262, 3, 1, 1), (277, 3, 1, 1)]
    entries += (
        [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 64)]
        if tile
        else [(273, 4, 1, 8), (278, 4, 1, side), (279, 4, 1, 0xFFFFFFFF)]
    )
    return ".tif", tiff_of(sorted(entries))


def bomb(chance: Chance) -> tuple[str, bytes]:
    """A few kilobytes that are hundreds of megabytes, some just below the limit of pixels."""
    side = chance.choice((8_000, 16_000))
    kind = chance.randrange(3)
    if kind == 0:
        packer = zlib.compressobj(9)
        rows = (
            b"".join(packer.compress(b"\0" * (1 + 3 * side)) for _ in range(side)) + packer.flush()
        )
        return ".png", png_of(side, side, rows)
    if kind == 1:
        bands = chance.choice((1, 12))
        with MemoryFile() as memory:
            profile = {"driver": "GTiff", "width": side, "height": side, "count": bands}
            with memory.open(dtype="float32", compress="deflate", sparse_ok=True, **profile):
                pass
            return ".tif", memory.read()
    pixels = '<VRTRasterBand dataType="Float32" band="1"/>' * 40
    return (
        ".vrt",
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">{pixels}</VRTDataset>'.encode(),
    )


def absurd_directory(chance: Chance) -> tuple[str, bytes]:
    """TIFF directories that go round in circles, promise too much or lead astray."""
    kind = chance.randrange(6)
    sound = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    sound += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 16), (279, 4, 1, 256)]
    if kind == 0:
        return ".tif", tiff_of(sound, following=8, data=b"\7" * 256)
    if kind == 1:
        return ".tif", tiff_of([*sound, (330, 4, 1, 8)], following=8, data=b"\7" * 256)
    if kind == 2:
        count = chance.choice((0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
        return ".tif", tiff_of([*sound, (34735, 3, count, 8)], data=b"\7" * 256)
    if kind == 3:
        return ".tif", tiff_of([(t, k, c, chance.getrandbits(32)) for t, k, c, _ in sound])
    if kind == 4:
        return ".tif", b"II*\0\x08\0\0\0\xff\xff" + chance.randbytes(400)
    suffix, content = ".tif", bytearray(tiff_of(sound, data=b"\7" * 256))
    for _ in range(4):
        struct.pack_into("<I", content, 10 + 12 * chance.randrange(9) + 8, chance.getrandbits(32))
    return suffix, bytes(content)


def circular_vrt(chance: Chance) -> tuple[str, bytes]:
    """A virtual raster that is made of itself, or of what never ends."""
    of = chance.choice(("circle.vrt", "/dev/zero", "/vsizip/circle.vrt", "../" * 30 + "etc/passwd"))
    relative = int(not of.startswith("/"))
    return ".vrt", (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{of}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()


def noise_alone(chance: Chance) -> tuple[str, bytes]:
    suffix = chance.choice((*SUFFIXES.values(), ".jp2", ".webp", ".img", ".ntf", ".vrt"))
    return suffix, chance.randbytes(chance.choice((0, 1, 7, 100, 5000)))


CONTENTS: dict[str, Callable[[Chance], tuple[str, bytes]]] = {
    "truncated": truncated,
    "bits flipped": bits_flipped,
    "wrong header": wrong_header,
    "spliced of two": spliced,
    "enormous declared size": enormous_size,
    "decompression bomb": bomb,
    "absurd directory": absurd_directory,
    "circular virtual raster": circular_vrt,
    "noise alone": noise_alone,
}
OTHERS = ("no file at all", "strange name")


def make_hostile_tiles(folder: Path, count: int, seed: int) -> dict[str, str]:
    """Make so many damaged tiles in class sub-folders; their kinds by their ids."""
    kinds = [*CONTENTS, *OTHERS]
    made: dict[str, str] = {}
    for number in range(count):
        kind, chance = kinds[number % len(kinds)], Chance(f"{seed} {number}")
        place = folder / f"class {number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{number:05}"
        if kind == "no file at all":
            path = path.with_suffix(".png")
            _make_no_file(path, chance)
        elif kind == "strange name":
            suffix, content = chance.choice((whole_picture, truncated))(chance)
            name = chance.choice(NAMES) + f" {number:05}{suffix}".encode()
            path = place / os.fsdecode(name)
            path.write_bytes(content)
        else:
            suffix, content = CONTENTS[kind](chance)
            path = path.with_suffix(suffix)
            path.write_bytes(content.replace(b"circle.vrt", path.name.encode()))
        made[path.relative_to(folder).as_posix()] = kind
    return made


def _make_no_file(path: Path, chance: Chance) -> None:
    kind = chance.randrange(5)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(path.name)
    elif kind == 2:
        path.symlink_to("nowhere.png")
    else:
        path.symlink_to(("/dev/zero", "/dev/stdin")[kind - 3])


def read_all(folder: Path, made: dict[str, str]) -> tuple[list[str], int]:
    """Read them; a line a kind, and how many tiles are unaccounted for."""
    lost = Counter[str]()
    bad, good, seen = Counter[str](), Counter[str](), set()
    context = RunContext()  # takes the tiles whose names no table can hold
    tiles = find_tiles(folder, context=context)
    for failure in context.failures:
        seen.add(failure.tile_id)
        bad[made[failure.tile_id]] += 1
    for read in read_in_order(tiles, made_into_0):
        kind = made[read.tile.id]
        seen.add(read.tile.id)
        if isinstance(read, Failure):
            bad[kind] += 1
            lost[kind] += "the decoder" in read.reason or "not decoded within" in read.reason
        else:
            good[kind] += 1
    kinds = Counter(made.values())
    lines = [f"{'kind of damage':26}{'files':>7}{'read':>7}{'named':>7}{'lost':>6}"]
    for kind in [*CONTENTS, *OTHERS]:
        lines.append(f"{kind:26}{kinds[kind]:7}{good[kind]:7}{bad[kind]:7}{lost[kind]:6}")
    sums = [sum(c.values()) for c in (kinds, good, bad, lost)]
    lines.append(f"{'all':26}{sums[0]:7}{sums[1]:7}{sums[2]:7}{sums[3]:6}")
    return lines, len(made.keys() ^ seen)


def main() -> int:
    """Make them, read them, and say what it cost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = make_hostile_tiles(given.work, given.count, given.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    lines, unaccounted = read_all(given.work, made)
    took = time.perf_counter() - started
    pool.POOL.close()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(*lines, sep="\n")
    print(f"{len(made)} tiles in {took:.0f} s, limit {paths.TIME_LIMIT_S:.0f} s a tile")
    grown = (after - before) / 1024
    print(f"largest decoder process {largest / 1024:.0f} MiB; ours grew by {grown:.0f} MiB")
    print(f"unaccounted for: {unaccounted}")
    return int(unaccounted > 0)


if __name__ == "__main__":
    sys.exit(main())
