"""Mutated and large pictures: `python -m tests.bench.bad_pictures [NUMBER | large]` says what comes of them.

Each mutated picture is a small one of an accepted format with bytes flipped, cut, doubled, zeroed, inserted
or taken from another file, all from a seed. It may be read, or refused with a sentence; nothing else. Large
ones are as large as the reader takes them in each format; each is read in a process of its own, and what
that took is written to docs/bench/large_pictures.md.
"""

import ctypes
import io
import resource
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from kit.errors import KitError
from kit.models.images import FORMATS, MAX_MEMORY, MAX_PIXELS, decode, memory_to_read, read_image
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "bench" / "large_pictures.md"
HEAD = ["format", "mode", "saved with", "million pixels", "file, MB", "expected, MB", "taken, MB"]
INTRODUCTION = """# Memory of one picture

Made with `python -m tests.bench.bad_pictures large`. For each way to save a picture, about the largest square
one that is read: what `kit.models.images.memory_to_read` expects from its header (file, decoder, picture), by
which larger ones are refused, and by how much the process that read it grew at its peak, after it had read a
small one of the same kind. The limit is 600 MB.
"""
TURN = Image.Exif()
TURN[0x0112] = 6
QUICK = ("method", "speed", "quality")  # settings that only make saving quicker, or the file smaller
LARGE = [
    ("JPEG", "RGB", {}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"exif": TURN}), ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "L", {}),
    ("PNG", "LA", {}), ("PNG", "P", {}), ("PNG", "I;16", {}), ("WEBP", "RGB", {"method": 0}),
    ("WEBP", "RGBA", {"method": 0}), ("WEBP", "RGB", {"lossless": True, "method": 0, "quality": 0}),
    ("GIF", "P", {}), ("BMP", "RGB", {}), ("TIFF", "RGB", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "tiff_deflate"}), ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}), ("PPM", "RGB", {}),
    *([("AVIF", "RGB", {"speed": 10}), ("AVIF", "RGBA", {"speed": 10})] if "AVIF" in FORMATS else []),
]  # fmt: skip

SECONDS = 20  # after which a picture is taken to hang
SAVED = {
    "JPEG": [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}],
    "PNG": [{}, {"compress_level": 0}],
    "WEBP": [{}, {"lossless": True}],
    "GIF": [{}],
    "BMP": [{}],
    "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}, {"compression": "jpeg"}],
    "PPM": [{}],
    "AVIF": [{}],
}


@cache
def originals(kind: str) -> tuple[bytes, ...]:
    """Files of one format: plain, of other modes and ways to save, with EXIF, with several frames."""
    random = np.random.default_rng(0)
    plain = Image.fromarray(random.integers(0, 256, (18, 23, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    found = [_saved(plain, kind, **how) for how in SAVED[kind]]
    found.append(_saved(plain.convert("L"), kind))
    if kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        found.append(_saved(plain, kind, exif=exif))
    if kind in ("PNG", "GIF", "BMP", "TIFF"):
        found.append(_saved(plain.quantize(16), kind))
    if kind in ("PNG", "WEBP", "TIFF", "AVIF"):
        found.append(_saved(plain.convert("RGBA"), kind))
    if kind in ("PNG", "GIF", "WEBP", "TIFF"):
        frames = [plain.rotate(90 * k) for k in range(3)]
        found.append(_saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    return tuple(found)


def _saved(image: Image.Image, kind: str, **how) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **how)
    return held.getvalue()


def mutated(kind: str, seed: int) -> bytes:
    """A file of one format with one to four things wrong; the same for the same seed."""
    random = np.random.default_rng([seed, FORMATS.index(kind)])
    every = originals(kind)
    content = bytearray(every[random.integers(len(every))])
    for _ in range(random.integers(1, 5)):
        content = bytearray(_wrong(content, random))
    return bytes(content)


def _wrong(content: bytearray, random: np.random.Generator) -> bytes:
    size = max(len(content), 1)
    start = int(random.integers(size)) if random.random() < 0.6 else int(random.integers(min(size, 64)))
    end = start + int(random.integers(1, 33))
    junk = random.integers(0, 256, int(random.integers(1, 33)), dtype=np.uint8).tobytes()
    other = originals(FORMATS[random.integers(len(FORMATS))])[0]
    edges = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\1\0\0")
    match random.integers(8):
        case 0:
            return (
                content[:start]
                + bytes(b ^ (1 << random.integers(8)) for b in content[start : start + 1])
                + content[start + 1 :]
            )
        case 1:
            return content[:start]
        case 2:
            return content[:end] + content[start:]
        case 3:
            return content[:start] + bytes(len(content[start:end])) + content[end:]
        case 4:
            return content[:start] + junk + content[start:]
        case 5:
            return content[:start] + junk + content[start + len(junk) :]
        case 6:
            return content[:start] + edges[random.integers(len(edges))] + content[start + 4 :]
        case _:
            return content[:start] + other[start % len(other) :]


def outcome(content: bytes) -> str:
    """ "read", "refused", or what else came of a file, which nothing should."""
    try:
        image = decode(content, '"picture"')
    except KitError as error:
        said = str(error)
        return "refused" if "\n" not in said and said.endswith(".") else f"no sentence: {said!r}"
    except Exception as error:
        return f"raw: {type(error).__name__}: {error}"
    return "read" if image.mode == "RGB" and type(image) is Image.Image else f"odd: {image!r}"


def judged(number: int, first: int = 0) -> tuple[Counter, list[str], int]:
    """Outcomes of so many mutated pictures of every format; what is wrong; the most memory that one took."""
    found, wrong, most = Counter(), [], 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def hangs(*_):
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, hangs)
    for kind in FORMATS:
        for seed in range(first, first + number):
            content = mutated(kind, seed)
            signal.alarm(SECONDS)
            said = outcome(content)
            signal.alarm(0)
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            most, peak = max(most, 1024 * (now - peak)), now
            found[kind, said] += 1
            if said not in ("read", "refused"):
                wrong.append(f"{kind} {seed}: {said}")
    return found, wrong, most


def smooth(side: int, mode: str) -> Image.Image:
    """A square picture of one mode, of soft blots that come again and again."""
    tile = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    blots = Image.fromarray(tile).resize((256, 256))
    if mode == "I;16":
        values = np.asarray(blots.convert("L"), np.uint16) * 257
        return Image.fromarray(np.tile(values, (-(-side // 256),) * 2)[:side, :side])
    pixels = np.asarray(blots.convert("RGBA" if mode in ("LA", "RGBA") else "RGB"))
    whole = Image.fromarray(np.tile(pixels, (-(-side // 256),) * 2 + (1,))[:side, :side])
    return whole if whole.mode == mode else whole.convert(mode)


def need(kind: str, mode: str, how: dict, side: int) -> float:
    """What the reader expects of a square picture, from a small one like it, in bytes."""
    content = _saved(smooth(1024, mode), kind, **how)
    small = Image.open(io.BytesIO(content))
    return memory_to_read(small, len(content)) * (side / 1024) ** 2


def largest(kind: str, mode: str, how: dict) -> int:
    """The side of about the largest square picture that is read."""
    side = int(min(MAX_PIXELS, 0.995 * MAX_MEMORY * 1024**2 / need(kind, mode, how, 1024)) ** 0.5)
    return min(side, 16_383) if kind == "WEBP" else side


def apart(does: Callable, *given) -> object:
    """What a function gives in a process of its own."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(does(*given)))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


def most_held(anew: bool = False) -> int:
    """The most memory that this process held, in bytes; `anew` gives back what is free first."""
    if anew:
        ctypes.CDLL(None).malloc_trim(0)  # what a process took before it was forked would be used first
        Path("/proc/self/clear_refs").write_text("5")
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def read_in(path: Path, small: bytes) -> tuple[int, int, int]:
    """Pixels, bytes that the reader expects to take, and bytes that it took, for one file."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    read_image(small)  # a decoder's library is loaded with the first picture
    with Image.open(path) as image:
        pixels, expected = image.width * image.height, memory_to_read(image, path.stat().st_size)
    before = most_held(anew=True)
    assert read_image(path).mode == "RGB"
    return pixels, expected, most_held() - before


def save_large(path: Path, kind: str, mode: str, how: dict) -> int:
    """Save about the largest picture of one kind that is read; its size in bytes."""
    return path.write_bytes(_saved(smooth(largest(kind, mode, how), mode), kind, **how))


def saved_with(how: dict) -> str:
    """What sets a way to save a picture apart, in words."""
    how = {key: value for key, value in how.items() if key not in QUICK}
    return ", ".join({"exif": "a turn in EXIF", "compression": how.get(key)}.get(key, key) for key in how)


def large() -> int:
    """Read the largest picture of each kind, and write docs/bench/large_pictures.md."""
    rows, wrong = [], 0
    with TemporaryDirectory() as folder:
        for kind, mode, how in LARGE:
            path = Path(folder) / "picture"
            size = apart(save_large, path, kind, mode, how)
            measured = apart(read_in, path, _saved(smooth(64, mode), kind, **how))
            pixels, expected, taken = (f"{n / 1e6:.0f}" for n in measured)
            wrong += measured[-1] > MAX_MEMORY
            cells = [kind, mode, saved_with(how), pixels, f"{size / 1e6:.0f}", expected, taken]
            rows.append(cells)
            print(*cells, sep=" | ", flush=True)
    PAGE.write_text(f"{INTRODUCTION}\n{table(HEAD, rows)}", encoding="utf-8")
    return int(wrong > 0)


def main() -> int:
    """Judge so many pictures of all formats together, and print what came of them."""
    if sys.argv[1:] == ["large"]:
        return large()
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found, wrong, most = judged(-(-number // len(FORMATS)))
    for (kind, said), count in sorted(found.items()):
        print(f"{kind:5} {said:10} {count:6,}")
    print(f"{sum(found.values()):,} pictures, {len(wrong)} wrong; one took at most {most / 1e6:.0f} MB more")
    print("\n".join(wrong[:20]))
    return int(bool(wrong) or most > MAX_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
