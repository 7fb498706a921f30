"""The `loupe` command: JupyterLab at the first notebook of this clone, a pass, a sweep, what is kept."""

import os
import socket
import sys
from pathlib import Path

from kit.errors import KitError, nearest

FIRST = "00_start_here.ipynb"
CONTENTS = "--ServerApp.contents_manager_class=kit.lab.contents.StillContents"  # saved panels
USAGE = f"""usage: loupe [lab] [options of JupyterLab]
       loupe pass MODEL IMAGES --out PATH [options]
       loupe sweep MODEL --imagenet FOLDER --waterbirds FOLDER --segmentation FILE --out PATH [options]
       loupe cache [--clear]

Opens notebooks/{FIRST} in JupyterLab, reachable from this machine only.
  loupe --no-browser         print the address, open no browser
  loupe --port 9000          another port (without it the first free one from 8888 on)
  loupe lab --help-all       every option of JupyterLab
  loupe pass --help          means, moments or a store of the parts of a set of images
  loupe sweep --help         a whole paper on real data, with a report
  loupe cache                where records of towers are kept, how many, how large; --clear removes them"""


def clone_folder() -> Path:
    """The folder of the clone that holds the notebooks.

    The notebooks are not part of the installed package. They lie beside it in a
    clone, or in the folder where the command was started, or above that.

    Raises:
        KitError: none of these folders has them.
    """
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[1], here, *here.parents):
        if (folder / "notebooks" / FIRST).is_file():
            return folder
    raise KitError(
        f"there is no notebooks/{FIRST} in {here} or above it: the notebooks are not part of the installed "
        "package. Clone the repository, change into its folder, and type `uv run loupe` there."
    )


def named_port(options: list[str]) -> int | None:
    """The port that the options ask for, or None where they name none.

    Raises:
        KitError: what stands there is no port number.

    Example:
        >>> named_port(["--no-browser", "--port=9000"]), named_port(["--port", "9000"]), named_port([])
        (9000, 9000, None)
    """
    for i, option in enumerate(options):
        name, equals, value = option.partition("=")
        if name not in ("--port", "--ServerApp.port"):
            continue
        if not equals:
            value = options[i + 1] if i + 1 < len(options) else ""
        if not (value.isdecimal() and int(value) < 65536):
            raise KitError(f'"{value}" is no port: name one from 1024 to 65535, such as --port 9000.')
        return int(value)
    return None


def expect_free(port: int) -> None:
    """Raise unless a server can listen at the port of this machine.

    Raises:
        KitError: something else listens there, or this user may not.
    """
    with socket.socket() as probe:
        if os.name == "posix":  # a port left a moment ago counts as free, as it does for the server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise KitError(
                f"port {port} cannot be used ({error.strerror}). Name another one with --port, leave the "
                "option out to get the first free one, or end the server that holds it: see "
                "`jupyter server list`."
            ) from error


def lab_arguments(options: list[str]) -> list[str]:
    """The command line for JupyterLab: the first notebook, this machine only, then the user's options.

    Raises:
        KitError: there is no notebook to open, or the port that the user named is taken.
    """
    folder = clone_folder()
    arguments = [  # the address that is printed opens the notebook, as the browser that is started does
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/notebooks/{FIRST}",
        "--ServerApp.ip=127.0.0.1",
        CONTENTS,
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    if (port := named_port(options)) is not None:
        expect_free(port)
        arguments.append("--ServerApp.port_retries=0")
    return arguments + options


def lab(options: list[str]) -> int:
    """Run JupyterLab until it is stopped."""
    arguments = lab_arguments(options)
    from jupyterlab.labapp import main as jupyterlab  # takes a second, which a wrong option need not wait for

    jupyterlab(argv=arguments)
    return 0


def collect(options: list[str]) -> int:
    """One pass of a model over a set of images."""
    from kit.pass_command import run  # which needs torch

    return run(options)


def sweep(options: list[str]) -> int:
    """Everything of a paper on real data."""
    from kit.sweep.command import run  # which needs torch

    return run(options)


def cache(options: list[str]) -> int:
    """Say what the kit keeps between runs, or remove it.

    Raises:
        KitError: an unknown option, or a file that cannot be removed.
    """
    from kit import cache as files

    if options not in ([], ["--clear"]):
        raise KitError(f'"loupe cache {" ".join(options)}" is not known; there is: loupe cache [--clear].')
    place = files.folder()
    if place is None:
        sys.stdout.write(f"nothing is kept: {files.VARIABLE} is empty, or there is no home for a folder\n")
        return 0
    sizes = [size for _, size, _ in files.kept()]
    what = f"{len(sizes)} record{'' if len(sizes) == 1 else 's'} of towers, {sum(sizes) / 1e6:.1f} MB"
    if options:
        files.clear()
        sys.stdout.write(f"removed {what} from {place}\n")
    else:
        most = f"at most {files.LIMIT / 1e6:.0f} MB are kept"
        sys.stdout.write(f"{what} in {place} ({most}; {files.VARIABLE} names another folder)\n")
    return 0


COMMANDS = {"lab": lab, "pass": collect, "sweep": sweep, "cache": cache}


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names; without one, open JupyterLab.

    Args:
        argv: the words after `loupe`; those of the process where None.

    Returns:
        The exit status: 0, or 2 where the command line cannot be followed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + "\n")
        return 0
    name = words.pop(0) if words and not words[0].startswith("-") else "lab"
    try:
        if name not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise KitError(f'there is no command "{name}"; there is: {known}.{nearest(name, COMMANDS)}')
        return COMMANDS[name](words)
    except KitError as error:
        sys.stderr.write(f"loupe: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
