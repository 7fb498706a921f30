"""A weights file as it lies on disk: what is in it, or a sentence on why not. No code is run."""

import json
import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch

from kit.errors import KitError, nearest
from kit.models.stand_ins import stand_ins

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
PART = re.compile(r"-(\d{5})-of-(\d{5})(?=\.)")  # of a name
UNFINISHED = (".incomplete", ".part", ".crdownload", ".download", ".aria2")
AGAIN = "copy or download it again"


def looks_like_file(pretrained: str) -> bool:
    """Whether `pretrained` names a place on disk rather than a tag."""
    return (
        os.path.exists(pretrained)
        or "/" in pretrained
        or os.sep in pretrained
        or pretrained.lower().endswith(SUFFIXES)
    )


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, sorted; nothing where it is none, or where nobody may look into it."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def expect_there(path: Path) -> None:
    """Raise where there is nothing under this path, or a folder."""
    if not os.path.exists(path):
        shown = path if len(str(path)) < 300 else f"{str(path)[:300]}..."
        link = " It is a link to a file that is gone." if os.path.islink(path) else ""
        more = link or nearest(path.name[:300], names_in(path.parent))
        raise KitError(f'there is no weights file "{shown}".{more}')
    if path.is_dir():
        inside = [name for name in names_in(path) if name.endswith(SUFFIXES)]
        shown = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
        listed = f"it holds {shown}; name one of them" if inside else "it holds no weights file"
        raise KitError(f'pretrained="{path}" is a folder: {listed}.')


def parts_of(path: Path) -> list[Path]:
    """The files over which the hub cuts one large file, of which `path` is one; else `path` alone.

    Raises:
        KitError: some of them are not there.
    """
    number = PART.search(path.name)
    if number is None or int(number[2]) > 10_000:
        return [path]
    start, end = path.name[: number.start()], path.name[number.end() :]
    parts = [f"{start}-{n:05d}-of-{number[2]}{end}" for n in range(1, int(number[2]) + 1)]
    missing = sorted({*parts} - {*names_in(path.parent)})
    if missing:
        raise KitError(
            f'"{path.name}" is incomplete: {len(missing)} of its {len(parts)} parts are not in the folder '
            f"({missing[0]}); {AGAIN}."
        )
    return [path.parent / part for part in parts]


def read_file(path: Path):
    """The object that a weights file holds; of a file that was cut into parts, what all of them hold.

    Reads safetensors, and torch files by `torch.load(weights_only=True)`; which of the two it is,
    the first bytes say. Where a torch archive has checksums they are compared, which torch does not do.

    Raises:
        KitError: nothing is there; a folder, or no ordinary file; an empty, incomplete or damaged file; a
            TorchScript archive; a pickle that asks for code.
    """
    expect_there(path)
    parts = parts_of(path)
    if len(parts) == 1:
        return _read_one(path)
    found = [_read_one(part) for part in parts]
    return {name: value for one in found if isinstance(one, dict) for name, value in one.items()}


def _read_one(path: Path):
    """The object that one file holds."""
    if not path.is_file():
        raise KitError(f'"{path.name}" is no ordinary file but a pipe or a device; give a file on disk.')
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise KitError(f'"{path.name}" cannot be read ({error.strerror}); see who may read it.') from None
    if not start:
        raise KitError(f'"{path.name}" is empty (0 bytes); {AGAIN}.')
    if start[4:9] == b"\0\0\0\0{":  # the length of a header below 4 GiB, and the header
        return _read_safetensors(path)
    if start[:2] == b"PK":
        _look_into_archive(path)
    elif start[:1] != b"\x80":  # the first byte of every pickle
        raise _no_weights(path, start)
    return _read_torch(path)


def _no_weights(path: Path, start: bytes) -> KitError:
    if start.startswith(b"version https://git-lfs"):
        return KitError(
            f'"{path.name}" only points to a file of Git LFS; fetch the file itself: git lfs pull.'
        )
    shown = "".join(chr(c) if 32 <= c < 127 else "?" for c in start[:24].replace(b"\n", b" "))
    return KitError(
        f'"{path.name}" is not a weights file: it begins with "{shown}"; '
        "give a .safetensors file or one that torch.save wrote."
    )


def _damaged(path: Path, error: Exception) -> KitError:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return KitError(f'"{path.name}" is damaged ({first}); {AGAIN}.')


def _read_safetensors(path: Path):
    from safetensors.torch import load_file

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if 8 + length <= size else b""
    promised = 8 + length
    if header:
        try:
            places = [e["data_offsets"] for name, e in json.loads(header).items() if name != "__metadata__"]
            promised += max((int(end) for _, end in places), default=0)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass  # a damaged header, of which the library below speaks
    if size < promised:
        raise KitError(
            f'"{path.name}" is incomplete: {promised:,} bytes belong to it by its own header, '
            f"{size:,} are there; {AGAIN}."
        )
    try:
        return load_file(path)
    except Exception as error:  # whatever a damaged file makes of the library
        if "Dtype not understood" in str(error):
            raise KitError(
                f'"{path.name}" holds numbers of a type that torch does not have ({str(error).split()[-1]}); '
                "save its weights as float32, float16 or bfloat16."
            ) from None
        raise _damaged(path, error) from None


def _look_into_archive(path: Path) -> None:
    """Raise unless a zip archive is whole and of torch.save's making."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.split("/")[-1] for name in archive.namelist()}
            if "constants.pkl" in names:
                raise KitError(
                    f'"{path.name}" is a TorchScript archive, a program and not only weights, and Loupe runs '
                    "no code from a weights file; where you trust it, convert it once: torch.save("
                    f'torch.jit.load("{path.name}", map_location="cpu").state_dict(), "weights.pt").'
                )
            if "data.pkl" not in names:
                raise KitError(
                    f'"{path.name}" is a zip archive, but not one of torch.save: it holds '
                    f"{', '.join(sorted(archive.namelist())[:3])}; give the weights file that is in it."
                )
            # torch.save can be told to write no checksums; then all of them are 0
            checked = any(entry.CRC for entry in archive.infolist())
            bad = archive.testzip() if checked else None
    except KitError:
        raise
    except zipfile.BadZipFile:
        raise KitError(
            f'"{path.name}" is incomplete or damaged: the end of the archive, which lists what is in it, is '
            f"missing; {AGAIN}."
        ) from None
    except Exception as error:  # whatever a damaged archive makes of the library
        raise _damaged(path, error) from None
    if bad:
        raise KitError(f'"{path.name}" is damaged ({bad} does not match its checksum); {AGAIN}.')


def _read_torch(path: Path):
    try:
        # by its content: of a path torch looks at the ending
        with path.open("rb") as file, stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of another protocol, which the error below names
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise KitError(
                f'"{path.name}" is damaged, or was written with another pickle protocol than that of '
                "torch.save, which is not read without running code; save it anew, without pickle_protocol=: "
                'torch.save(model.state_dict(), "weights.pt").'
            ) from None
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        asks = f" It asks for {wanted[1]}." if wanted else ""
        what = "holds more than tensors" if wanted else "is damaged or holds more than tensors"
        raise KitError(
            f'"{path.name}" {what}, and Loupe runs no code from a weights file; where you '
            f'trust it, save its weights alone: torch.save(model.state_dict(), "weights.pt").{asks}'
        ) from None
    except EOFError:
        raise KitError(f'"{path.name}" is incomplete: it ends in the middle; {AGAIN}.') from None
    except Exception as error:  # whatever a damaged pickle makes of the reader
        if "unexpected EOF" in str(error):
            raise KitError(
                f'"{path.name}" is incomplete: it ends in the middle of a tensor; {AGAIN}.'
            ) from None
        raise _damaged(path, error) from None
