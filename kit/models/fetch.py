"""Published files: from the local cache, else from the hub, and only because a tag was named."""

import os
import urllib.error
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from unittest import mock

from kit.errors import KitError
from kit.models.names import shipped_names


def fetch_open_clip(name: str, tag: str, entry: dict) -> str:
    """Path of a tag's file.

    Raises:
        KitError: it is not in the cache and cannot be fetched.
    """
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    from open_clip.pretrained import download_pretrained

    repository, file = os.path.split(entry["hf_hub"])
    safe = f"{os.path.splitext(file)[0]}.safetensors" if file else HF_SAFE_WEIGHTS_NAME
    cached = cached_file(repository, (safe, file or HF_WEIGHTS_NAME))
    if cached:
        return cached
    if not reachable():
        raise no_file(name, tag)
    try:
        return download_pretrained(entry)
    except (OSError, RuntimeError, ValueError) as error:
        raise no_file(name, tag) from error


def cached_file(repository: str, files) -> str | None:
    """The first of these files that the local cache of the hub holds."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, file) for file in files)
    return next((path for path in found if isinstance(path, str)), None)


def reachable() -> bool:
    """Whether the hub answers; asked first, because its client tries for most of a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def asking_only_the_cache(repository: str) -> AbstractContextManager:
    """A context in which the hub's client looks at nothing but its cache, unless the hub has to be asked.

    Raises:
        KitError: nothing of the repository is in the cache, and the hub does not answer.
    """
    from huggingface_hub import constants

    if not cached_file(repository, ("config.json", "tokenizer_config.json", "tokenizer.json")):
        if not reachable():
            raise KitError(f'"{repository}" is not in the cache of the hub, and the hub does not answer.')
        return nullcontext()
    return mock.patch.object(constants, "HF_HUB_OFFLINE", True)


def no_file(name: str, tag: str) -> KitError:
    """The error for a tag whose file is neither here nor to be had."""
    shipped = ", ".join(shipped_names())
    return KitError(
        f'no checkpoint "{name}/{tag}" on this machine, and it could not be fetched (no network?); '
        f'load a file with load("{name}", pretrained="path/to/file", like="{tag}")'
        + (f" or use a shipped model: {shipped}." if shipped else ".")
    )
