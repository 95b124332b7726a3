"""What a pod with certain annotations will be: checked before there is a pod, and no file read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import msgspec

from emulator.errors import ConfigError, Problem
from emulator.model.decode import MAX_PROBLEMS, Decoder, Outside, type_info
from emulator.model.document import Node, Unfit, quoted
from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.sources.annotations import ANNOTATIONS, PREFIX, Reader, stranger, table
from emulator.sources.audiences import Audience, parse
from emulator.sources.downward import write
from emulator.sources.podinfo import read_pod
from emulator.sources.wishes import Wishes

FILE = "metadata.annotations"

_FOLDER = "pod"
_CONTENTS = {
    "user-data": ("user_data_secret", "user_data_config_map"),
    "vendor-data": ("vendor_data_secret", "vendor_data_config_map"),
}


class Described(msgspec.Struct, frozen=True):
    """A machine as its annotations describe it, and what they ask of admission."""

    instance: Instance
    wishes: Wishes


def described(
    annotations: Mapping[str, str],
    vocabulary: Vocabulary,
    *,
    name: str,
    namespace: str,
    service_account: str = "default",
) -> Described:
    """Read the annotations of the machine ``name``, as its sidecar will.

    Raises ``ConfigError`` with every mistake; the ``field`` of each is the annotation, and where
    in its value. What is in Secrets and ConfigMaps is not known yet: they count as empty.
    """
    rows = table(vocabulary)
    ours = {key: value for key, value in annotations.items() if key.startswith(PREFIX)}
    strange = [key for key in ours if key.removeprefix(PREFIX) not in rows]
    problems = [_stranger(key, rows) for key in strange[:MAX_PROBLEMS]]
    # In a VM's template Kubernetes does not check keys: what is no name may be no line in a file.
    for key in strange:
        del ours[key]
    reader = Reader(vocabulary)
    known = {"IMDS_NAMESPACE": namespace, "IMDS_SA_NAME": service_account, "IMDS_VM_NAME": name}
    built = None
    try:
        built = read_pod(_FOLDER, vocabulary, _Imagined(ours), known, reader)
    except ConfigError as error:
        problems += error.problems
    wishes = _wishes(reader.wishes, ours, problems)
    if problems or built is None:
        told = [_of_annotation(problem, reader.wishes) for problem in problems]
        raise ConfigError(*dict.fromkeys(told))
    return Described(built.instance, wishes)


def wanted(annotations: Mapping[str, str]) -> bool:
    """Say whether a machine with these annotations is to get a metadata service."""
    return annotations.get(f"{PREFIX}enabled") == "true"


def concerned(annotations: Mapping[str, str]) -> bool:
    """Say whether any of these annotations is ours, rightly spelled or not."""
    return any(key.startswith(PREFIX) for key in annotations)


def _stranger(key: str, rows: Collection[str]) -> Problem:
    bad = stranger(key, rows)
    return Problem(FILE, 0, key, bad.found, bad.allowed)


def _wishes(nodes: dict[str, Node], ours: Mapping[str, str], problems: list[Problem]) -> Wishes:
    decoder = Decoder(Outside(read=_refused, locate=lambda path: path), {})
    values = {}
    for field in msgspec.structs.fields(Wishes):
        if field.name in nodes:
            kind = type_info(cast("type", field.type))
            values[field.name] = decoder.decode(nodes[field.name], kind, field.name)
    problems += decoder.problems
    for first, second in _CONTENTS.values():
        if first in nodes and second in nodes:
            found = f"{nodes[second].field} beside {nodes[first].field}"
            problems.append(nodes[second].problem(found, "one of the two"))
    audiences = _audiences(ours.get(f"{PREFIX}token-audiences", ""))
    return Wishes() if decoder.problems else Wishes(**values, audiences=audiences)


def _of_annotation(problem: Problem, wishes: Mapping[str, Node]) -> Problem:
    """Give a problem of the imagined pod as one of the annotation from which that came."""
    mounted = _CONTENTS.get(problem.file.rpartition("/")[2], ())
    field = next((wishes[wish].field for wish in mounted if wish in wishes), problem.field)
    return msgspec.structs.replace(problem, file=FILE, line=0, field=field)


def _audiences(text: str) -> tuple[Audience, ...]:
    try:
        return parse(text)
    except Unfit:
        return ()  # said where the annotation was read


class _Imagined:
    """The folder that the pod will have."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        """Hold these annotations, and empty files where Secrets and ConfigMaps are mounted."""
        self._files = {f"{_FOLDER}/annotations": write(annotations)}
        wishes = {row.wish for row in ANNOTATIONS if annotations.get(PREFIX + row.name)}
        for name, sources in _CONTENTS.items():
            if wishes.intersection(sources):
                self._files[f"{_FOLDER}/secrets/{name}"] = b""

    def read(self, path: str, limit: int) -> bytes:
        """Give the file's bytes; raise ``Unfit``."""
        if path not in self._files:
            raise Unfit("no such file or directory", f"a file of at most {limit} bytes")
        return self._files[path]

    def names(self, folder: str) -> tuple[str, ...]:
        """Give the names in ``folder``."""
        prefix = f"{folder}/"
        return tuple(path.removeprefix(prefix) for path in self._files if path.startswith(prefix))


def _refused(path: str, _limit: int) -> bytes:
    raise Unfit(f"the file {quoted(path)}", "no files in annotations")
