"""Makes the container image's root file system: only what runs ``imds-emulator``.

Run by the Dockerfile, in its build stage, as ``python3 root.py FOLDER``. Nothing is taken away
from a whole system: an empty folder gets the files that are wanted, the shared libraries that
they link to, and the licence of each. Of dpkg's database it gets what is known of the packages
that they are from, so that a security scanner sees each of them with its version.
"""

from __future__ import annotations

import fnmatch
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETER = Path("/usr/bin", PYTHON)
STDLIB = Path("/usr/lib", PYTHON)
VENV = Path("/opt/imds-emulator")
SITE = VENV / "lib" / PYTHON / "site-packages"
OURS = SITE / "emulator"
LEFT_OUT = Path(__file__).with_name("left-out")
USER = 65532
HOME = Path("/var/lib/imds-emulator")

TAKEN = (
    INTERPRETER,
    STDLIB,
    VENV,
    Path("/usr/sbin/nft"),
    # nft knows the protocols by their names from here.
    Path("/etc/protocols"),
    Path("/etc/services"),
    # The authorities that a token service's certificate is checked against.
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/usr/share/doc/ca-certificates/copyright"),
    # What system this is: without it a scanner cannot judge a package's version.
    Path("/etc/debian_version"),
    Path("/etc/os-release"),
    # What most copyright files refer to.
    Path("/usr/share/common-licenses"),
)

ACCOUNTS = f"""\
root:x:0:0:root:/:/usr/sbin/nologin
imds:x:{USER}:{USER}:imds-emulator:{HOME}:/usr/sbin/nologin
"""
GROUPS = f"root:x:0:\nimds:x:{USER}:\n"
# Where Debian has merged /bin and the like into /usr, paths without /usr must go on working.
MERGED = ("bin", "lib", "lib64", "sbin")
# Where TLS clients look for authorities when they are told nothing: OpenSSL's own folder.
TRUSTED = "usr/lib/ssl/cert.pem"


def main() -> None:
    """Fill the folder that the command line names."""
    root = Path(sys.argv[1])
    _lay_out(root)
    taken = set(_take(root, TAKEN))
    taken |= set(_take(root, sorted(_libraries(taken))))
    _strip(root, taken)
    _note_packages(root, taken)
    _compile(root)


def _lay_out(root: Path) -> None:
    for name in MERGED:
        if Path("/", name).is_symlink():
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "run", "sys", "usr/lib/ssl", "var/lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    home = root / HOME.relative_to("/")
    home.mkdir(mode=0o700)
    os.chown(home, USER, USER)
    (root / "etc/passwd").write_text(ACCOUNTS)
    (root / "etc/group").write_text(GROUPS)
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    (root / TRUSTED).symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (root / "usr/bin/python3").symlink_to(PYTHON)  # what a virtual environment's python is


def _take(root: Path, paths: Iterable[Path]) -> Iterator[Path]:
    """Copy files, and folders with all that is wanted of them; give each file's path."""
    for path in paths:
        for file in _files(path) if path.is_dir() else (path,):
            _copy(root, file)
            yield file


def _copy(root: Path, file: Path) -> None:
    """Copy ``file`` to its place; under a name that is a link too, but for the environment's.

    A library's usual name is a link to the file itself, and so is that of many a licence.
    """
    target = root / file.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target, follow_symlinks=not file.is_relative_to(VENV))


def _files(folder: Path) -> Iterator[Path]:
    patterns = _left_out()
    for file in sorted(folder.rglob("*")):
        if (not file.is_dir() or file.is_symlink()) and not _fits(file, patterns):
            yield file


def _left_out() -> tuple[str, ...]:
    """Read the patterns of what is not wanted."""
    lines = LEFT_OUT.read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _fits(file: Path, patterns: Iterable[str]) -> bool:
    """Say whether ``patterns`` name ``file`` or a folder that it is in."""
    fits = False
    for short, folder in (("stdlib", STDLIB), ("venv", VENV)):
        if file.is_relative_to(folder):
            name = Path(short, file.relative_to(folder))
            names = [str(name), *map(str, name.parents)]
            for pattern in patterns:
                if any(fnmatch.fnmatch(one, pattern.removeprefix("!")) for one in names):
                    fits = not pattern.startswith("!")
    return fits


def _is_elf(file: Path) -> bool:
    if file.is_symlink():
        return False
    with file.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _libraries(taken: set[Path]) -> set[Path]:
    """Find what the programs and libraries in ``taken`` are linked to, however indirectly."""
    elves = [str(path) for path in sorted(taken) if _is_elf(path)]
    done = subprocess.run(["ldd", *elves], capture_output=True, text=True, check=True)
    if "not found" in done.stdout:
        sys.exit(f"a library is missing:\n{done.stdout}")
    found = {Path(name) for name in re.findall(r"(/\S+) \(0x[0-9a-f]+\)", done.stdout)}
    # The C library loads it when a thread ends; no program names it.
    return found | {path.with_name("libgcc_s.so.1") for path in found if path.name == "libc.so.6"}


def _strip(root: Path, taken: set[Path]) -> None:
    """Leave out the symbols and debugging data that some wheels carry, megabytes of them."""
    wheels = [path for path in sorted(taken) if path.is_relative_to(VENV) and _is_elf(path)]
    copies = [root / path.relative_to("/") for path in wheels]
    subprocess.run(["strip", "--strip-unneeded", *copies], check=True)


def _note_packages(root: Path, taken: set[Path]) -> None:
    """Write the licences, and dpkg's record, of the packages that the files are from."""
    owners = _owners()
    packages = sorted({owners[path] for path in map(_merged, taken) if path in owners})
    licences = _licences()
    for package in packages:
        target = root / "usr/share/doc" / package.partition(":")[0] / "copyright"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(licences[package], target)
    record = root / "var/lib/dpkg/status"
    record.parent.mkdir()
    record.write_text(_asked("--status", *packages))


def _licences() -> dict[str, Path]:
    """Map each package to the file that has its licence.

    That may be a package's of the same source: often a link leads there, which a slim base image
    lacks.
    """
    format_ = "${binary:Package} ${Package} ${source:Package}\n"
    names = [line.split() for line in _asked("--show", f"--showformat={format_}").splitlines()]
    files = {name: Path("/usr/share/doc", name, "copyright") for _, name, _ in names}
    of_source = {source: files[name] for _, name, source in names if files[name].exists()}
    return {
        package: files[name] if files[name].exists() else of_source[source]
        for package, name, source in names
        if source in of_source
    }


def _owners() -> dict[Path, str]:
    """Map each file of the system to its package, which may have its architecture added."""
    return {
        _merged(Path(line)): listing.stem
        for listing in Path("/var/lib/dpkg/info").glob("*.list")
        for line in listing.read_text().splitlines()
    }


def _merged(path: Path) -> Path:
    """Give the path below /usr of what dpkg, or the linker, may know by its older one."""
    return Path("/usr", path.relative_to("/")) if set(path.parts[1:2]) & set(MERGED) else path


def _asked(*arguments: str) -> str:
    """Give dpkg-query's answer."""
    command = ["dpkg-query", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _compile(root: Path) -> None:
    """Compile all Python, never to be compared with its source again.

    The sources of our own part stay, for its tracebacks. Others go: theirs still show file and
    line, of a version that is known and public.
    """
    for folder in (STDLIB, SITE):
        for copy in sorted((root / folder.relative_to("/")).rglob("*.py")):
            source = Path("/", copy.relative_to(root))
            ours = source.is_relative_to(OURS)
            py_compile.compile(
                str(copy),
                cfile=None if ours else str(copy.with_suffix(".pyc")),
                dfile=str(source),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            if not ours:
                copy.unlink()


if __name__ == "__main__":
    main()
