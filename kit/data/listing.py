"""Image files below a folder, by one rule for all loaders: what is an image, and which links are followed."""

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kit.errors import KitError, shown
from kit.models.images import FORMATS

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp", ".gif",
    ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
    *([".avif", ".avifs"] if "AVIF" in FORMATS else []),
)  # fmt: skip
UNREAD = (
    ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".tga", ".ico", ".exr", ".hdr", ".eps",
    ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
    *([] if "AVIF" in FORMATS else [".avif", ".avifs"]),
)  # fmt: skip
TEXTS = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".html", ".md", ".yaml", ".yml", ".py", ".log")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes of the header that follows the first 14
PPM = re.compile(rb"P[1-6]\s(\s|#[^\n]*\n)*\d+\s(\s|#[^\n]*\n)*\d+\s")
STARTS = 512  # bytes of a file that are looked at
SAID = 6  # reasons that a sentence names

HIDDEN = "hidden"
NO_IMAGE = "files that are no image"
NOT_READ = "images in a format that is not read"
NOWHERE = "links that lead nowhere"
TWICE = "folders that are listed already"
NO_FILE = "pipes, sockets and devices"
CLOSED = "files without a known suffix that cannot be opened"
LOST = (NOT_READ, NOWHERE, CLOSED)  # what a user may have meant


@dataclass
class Listing:
    """What lies below a folder.

    Attributes:
        names: paths of the images, with forward slashes, sorted.
        passed_over: reason -> how many were passed over for it.
        linked: how many of the images are links, or lie behind a link to a folder.
    """

    names: list[str] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)
    linked: int = 0

    @property
    def notes(self) -> list[str]:
        """Sentences on links that were followed, and on what was passed over and is not hidden."""
        told = [f"Reached by links: {self.linked:,} of {len(self.names):,} images."] * bool(self.linked)
        left = [(why, count) for why, count in self.passed_over.most_common() if why != HIDDEN]
        said = [f"{why}, {count:,}" for why, count in left[:SAID]]
        said += [f"others, {sum(count for _, count in left[SAID:]):,}"] * (len(left) > SAID)
        return told + [f"Passed over: {'; '.join(said)}."] * bool(said)

    @property
    def lost(self) -> bool:
        """Whether images may be missing that the user meant."""
        return any(why.startswith(LOST) for why in self.passed_over)


def list_images(folder: Path, deepest: int | None = None) -> Listing:
    """The image files below a folder.

    A file is an image by its suffix, or, where the suffix is no known one, by how it begins. Links are
    followed, also out of the folder. A folder is listed once: in its own place, or behind the first link
    that leads to it, so that links to folders above end there. Names that begin with a dot are hidden.

    Args:
        folder: where to look.
        deepest: how many folders below each other are looked into; None is all.

    Raises:
        KitError: a folder that may not be listed: its images would be missing.
    """
    walk = _Walk(folder, deepest)
    walk.over("", "")
    while walk.links:
        links, walk.links = sorted(walk.links), []
        for name in links:
            walk.follow(name)
    walk.found.names.sort()
    return walk.found


class _Walk:
    """Goes over folders; links are put by until all that lies in its own place is listed."""

    def __init__(self, root: Path, deepest: int | None):
        self.root, self.deepest, self.found = root, deepest, Listing()
        self.links: list[str] = []
        self.seen: set[tuple[int, int]] = set()  # device and number of the folders that are listed

    def over(self, place: str, link: str) -> None:
        """List a folder and those in it, reached by a link or by none; places end in a slash."""
        waiting = [place]
        while waiting:
            place = waiting.pop()
            for entry in self._entries(place):
                name = place + entry.name
                if entry.name.startswith("."):
                    self.found.passed_over[HIDDEN] += 1
                elif entry.is_symlink():
                    self.links.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    waiting += [f"{name}/"] * self._enters(name)
                elif entry.is_file(follow_symlinks=False):
                    self._file(name, link)
                else:
                    self.found.passed_over[NO_FILE] += 1

    def follow(self, name: str) -> None:
        """List what a link leads to."""
        try:
            mode = os.stat(os.path.join(self.root, name)).st_mode
        except PermissionError as error:
            raise _closed(os.path.join(self.root, name), error) from error
        except (OSError, ValueError):
            self.found.passed_over[NOWHERE] += 1
            return
        if stat.S_ISDIR(mode):
            if self._enters(name):
                self.over(f"{name}/", name)
        elif stat.S_ISREG(mode):
            self._file(name, name)
        else:
            self.found.passed_over[NO_FILE] += 1

    def _enters(self, name: str) -> bool:
        return self.deepest is None or name.count("/") < self.deepest

    def _entries(self, place: str) -> list[os.DirEntry]:
        """What lies in a folder; nothing where it is listed already."""
        here = os.path.join(self.root, place)
        try:
            about = os.stat(here)
            with os.scandir(here) as entries:
                found = list(entries)
        except OSError as error:
            raise _closed(here, error) from error
        node = about.st_dev, about.st_ino
        if node in self.seen:
            self.found.passed_over[TWICE] += 1
            return []
        self.seen.add(node)
        return found

    def _file(self, name: str, link: str) -> None:
        why = _no_image(os.path.join(self.root, name))
        if why:
            self.found.passed_over[why] += 1
        else:
            self.found.names.append(name)
            self.found.linked += bool(link)


def _no_image(path: str) -> str:
    """Why an ordinary file is not listed; "" of an image."""
    name = os.path.basename(path).lower()
    suffix = shown(os.path.splitext(name)[1], 12)
    if name.endswith(SUFFIXES):
        return ""
    if name.endswith(UNREAD):
        return f"{NOT_READ} ({suffix})"
    if not name.endswith(TEXTS):
        try:
            with open(path, "rb") as file:
                if begins_as_image(file.read(STARTS)):
                    return ""
        except OSError:
            return CLOSED
    return f"{NO_IMAGE} ({suffix})" if suffix else NO_IMAGE


def begins_as_image(start: bytes) -> bool:
    """Whether a file begins as one of the formats that are read.

    Args:
        start: its first 512 bytes.

    Example:
        >>> begins_as_image(b"GIF89a"), begins_as_image(b"Good day"), begins_as_image(b"P3\\n2 2\\n255\\n")
        (True, False, True)
    """
    if start.startswith(BEGINNINGS) or PPM.match(start):
        return True
    if start.startswith(b"BM"):
        return start[6:10] == bytes(4) and int.from_bytes(start[14:18], "little") in BMP_HEADERS
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    if start[4:8] == b"ftyp" and "AVIF" in FORMATS:
        brands = start[8 : int.from_bytes(start[:4], "big")]
        return any(brands[at : at + 4] in (b"avif", b"avis") for at in range(0, len(brands), 4))
    return False


def _closed(place: str, error: OSError) -> KitError:
    return KitError(
        f'the folder "{shown(place)}" cannot be listed ({error.strerror}), so its images would be '
        "missing; see to it that this user may read it, or move it away."
    )
