"""Mutated and large pictures: `python -m tests.bench.bad_pictures [NUMBER]` says what reading them comes to.

Each mutated picture is a small one of an accepted format with bytes flipped, cut, doubled, zeroed, inserted
or taken from another file, all from a seed. It may be read, or refused with a sentence; nothing else. Large
ones are as large as the reader takes them in each format; each is read in a process of its own.
"""

import io
import resource
import signal
import sys
from collections import Counter
from functools import cache

import numpy as np
from PIL import Image

from kit.errors import KitError
from kit.models.images import FORMATS, MAX_MEMORY, decode

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


def main() -> int:
    """Judge so many pictures of all formats together, and print what came of them."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found, wrong, most = judged(-(-number // len(FORMATS)))
    for (kind, said), count in sorted(found.items()):
        print(f"{kind:5} {said:10} {count:6,}")
    print(f"{sum(found.values()):,} pictures, {len(wrong)} wrong; one took at most {most / 1e6:.0f} MB more")
    print("\n".join(wrong[:20]))
    return int(bool(wrong) or most > MAX_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
