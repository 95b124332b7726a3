"""A pod's downward-API folder -> one instance: how KubeVirt feeds the service.

::

    annotations            downward API, metadata.annotations (a VM's template carries them)
    labels                 downward API, metadata.labels; only the machine's name is taken
    tokens/token           projected ServiceAccount token of the default audience
    tokens/NAME            further ones, each for an audience
    secrets/user-data      a Secret or ConfigMap with user data, likewise vendor-data
    secrets/NAME           a file that an annotation may name where a description names one

Nothing else of the pod reaches the guest, neither its name, nor its addresses, nor its node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from emulator.errors import ConfigError, Problem
from emulator.model.build import Built, build
from emulator.model.decode import Outside
from emulator.model.document import Node, Unfit, Value, quoted
from emulator.model.vocabulary import Vocabulary
from emulator.sources.annotations import PREFIX, Found, Reader, put
from emulator.sources.audiences import FILE_NAME
from emulator.sources.audiences import parse as parse_audiences
from emulator.sources.downward import parse

MAX_BYTES = 4 << 20
"""Kubernetes allows 256 KiB of annotations, which quoting may make several times longer."""

NAMES = (
    ("annotations", "kubevirt.io/domain"),
    ("labels", "vmi.kubevirt.io/id"),
    ("labels", "kubevirt.io/domain"),
    ("labels", "vm.kubevirt.io/name"),
)
"""Where KubeVirt writes the machine's name, best first (contract 6.2).

A label holds at most 63 characters, and the last one the guest's host name where that is another
(kubevirt/kubevirt, pkg/virt-controller/services/template.go).
"""

_SECRETS = {
    "user_data": ("user-data", "userdata"),
    "vendor_data": ("vendor-data", "vendordata"),
}
_TRUE_OF_POD = {"IMDS_NAMESPACE": "namespace", "IMDS_SA_NAME": "service_account"}


class Folder(Protocol):
    """Reads a pod's folder, or what stands for one."""

    def read(self, path: str, limit: int) -> bytes:
        """Give the bytes of a file of at most ``limit`` bytes; raise ``Unfit``."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Give the names in ``folder``, none if it is not there."""


def read_pod(
    folder: str,
    vocabulary: Vocabulary,
    files: Folder,
    environment: Mapping[str, str],
    reader: Reader | None = None,
) -> Built:
    """Give the instance in ``folder``; raise ``ConfigError`` with every problem.

    A new ``reader`` of annotations may be given, to have what else they say from it afterwards.

    ``environment`` may hold what kubevirt-imds takes from there: ``IMDS_NAMESPACE`` and
    ``IMDS_SA_NAME``, which win over annotations since the pod cannot be wrong about itself,
    ``IMDS_VM_NAME`` and ``IMDS_TOKEN_PATH``, which are defaults.
    """
    reader = reader or Reader(vocabulary)
    pod = _Pod(folder.rstrip("/") or "/", files, environment, reader.fields)
    found = pod.parsed("annotations", needed=True)
    reader.read(found, pod.root.file)
    pod.problems += reader.problems
    pod.identity(found)
    pod.secrets()
    pod.tokens(found)
    try:
        outside = Outside(read=pod.read, locate=pod.locate, programs=False)
        built = build(pod.root, vocabulary, outside)
    except ConfigError as error:
        raise ConfigError(*pod.problems, *error.problems) from None
    if pod.problems:
        raise ConfigError(*pod.problems)
    return built


class _Pod:
    """The document that is put together from a pod's folder."""

    def __init__(
        self,
        folder: str,
        files: Folder,
        environment: Mapping[str, str],
        fields: dict[str, Node],
    ) -> None:
        self._folder = folder
        self._files = files
        self._environment = environment
        self._mounted: list[str] = []
        self._tokens: list[str] = []
        self.problems: list[Problem] = []
        self.fields = fields
        self.root = Node(value=fields, file=f"{folder}/annotations", line=0)

    def read(self, path: str, limit: int) -> bytes:
        """Read a mounted Secret; who writes annotations must not read the sidecar's files."""
        if path not in self._mounted:
            raise Unfit(f"the file {quoted(path)}", "no files in annotations")
        return self._files.read(path, limit)

    def locate(self, path: str) -> str:
        """Find a mounted Secret by its name; for the same reason nothing else."""
        if path in self._tokens:
            return path
        if not FILE_NAME.fullmatch(path):
            raise Unfit(f"the file {quoted(path)}", "the name of a file in the pod's secrets")
        return f"{self._folder}/secrets/{path}"

    def parsed(self, name: str, *, needed: bool) -> Found:
        path = f"{self._folder}/{name}"
        try:
            data = self._files.read(path, MAX_BYTES)
        except Unfit as bad:
            if needed:
                self.problems.append(Problem(path, 0, "", bad.found, bad.allowed))
            return {}
        return parse(data, path, self.problems)

    def identity(self, annotations: Found) -> None:
        """Fill in who the machine is, from its pod."""
        for variable, field in _TRUE_OF_POD.items():
            if self._environment.get(variable):
                self.fields[field] = self._variable(variable)
        if "name" in self.fields:
            return
        if self._environment.get("IMDS_VM_NAME"):
            self.fields["name"] = self._variable("IMDS_VM_NAME")
            return
        found = {"annotations": annotations, "labels": self.parsed("labels", needed=False)}
        for kind, key in NAMES:
            if key in found[kind]:
                line, name = found[kind][key]
                file = f"{self._folder}/{kind}"
                self.fields["name"] = Node(value=name, file=file, line=line, field=key)
                return
        places = dict.fromkeys(key for _, key in NAMES)
        allowed = f"the machine's name here or in {', '.join(places)}"
        self.problems.append(self.root.problem("nothing", allowed, f"{PREFIX}name"))
        self.fields["name"] = self._node("unnamed", "")

    def secrets(self) -> None:
        """Take user data and vendor data from a mounted Secret."""
        present = self._files.names(f"{self._folder}/secrets")
        for field, names in _SECRETS.items():
            for name in names:
                if name in present:
                    path = f"{self._folder}/secrets/{name}"
                    self._mounted.append(path)
                    where = Node(value=path, file=path, line=0, raw=path)
                    source = Node(value={"file": where}, file=path, line=0)
                    self._put(field, source)

    def _put(self, field: str, source: Node) -> None:
        try:
            put(self.root, field, source, "a mounted Secret")
        except Unfit as bad:
            self.problems.append(source.problem(bad.found, bad.allowed))

    def tokens(self, annotations: Found) -> None:
        """Give the default token and those of further audiences."""
        folder = f"{self._folder}/tokens"
        default = self._environment.get("IMDS_TOKEN_PATH") or f"{folder}/token"
        named = {name: name for name in self._files.names(folder) if name != "token"}
        key = f"{PREFIX}token-audiences"
        line = 0
        if key in annotations:
            line, text = annotations[key]
            try:
                named = {one.file: one.audience for one in parse_audiences(text)}
            except Unfit:
                named = {}  # said where the annotation was read
        entries = [self._token("", default, line)]
        entries += [
            self._token(audience, f"{folder}/{name}", line) for name, audience in named.items()
        ]
        self.fields["tokens"] = self._node(entries, key, line)

    def _token(self, audience: str, file: str, line: int) -> Node:
        key = f"{PREFIX}token-audiences"
        self._tokens.append(file)
        fields = {"audience": self._node(audience, key, line), "file": self._node(file, key, line)}
        return self._node(fields, key, line)

    def _variable(self, name: str) -> Node:
        value = self._environment[name]
        return Node(value=value, file="environment", line=0, field=name, raw=value)

    def _node(self, value: Value, field: str, line: int = 0) -> Node:
        return Node(value=value, file=self.root.file, line=line, field=field)
