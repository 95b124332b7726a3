"""All ``imds.kubevirt.io/...`` annotations: the one table that reads, checks and documents them.

An annotation is one text. Each row says how it is spelled, and what it becomes: a field of the
instance, or a wish to admission and sidecar. Types, limits and defaults are those of that field,
so they stand in ``model.instance`` and ``sources.wishes`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import cast

import msgspec

from emulator.errors import ConfigError, Problem
from emulator.model.decode import MAX_PROBLEMS, NEAREST, suggestion
from emulator.model.document import Node, Unfit, quoted
from emulator.model.vocabulary import Vocabulary
from emulator.sources.spelled import READ, like

PREFIX = "imds.kubevirt.io/"

Found = Mapping[str, tuple[int, str]]
"""Annotations: the line of each, and its text."""

Step = Callable[[Node], None]


class Annotation(msgspec.Struct, frozen=True):
    """One row.

    ``spelling`` names a row of ``spelled.SPELLINGS``. ``field`` is the dotted path in the
    instance, ``wish`` a field of ``Wishes``; what has neither says something of the pod. ``help``
    says what it is for where its field does not.
    """

    name: str
    spelling: str
    field: str = ""
    wish: str = ""
    help: str = ""


def _wish(name: str, spelling: str, wish: str = "") -> Annotation:
    return Annotation(name, spelling, wish=wish or name.replace("-", "_"))


ANNOTATIONS: tuple[Annotation, ...] = (
    _wish("enabled", "flag"),
    _wish("persona", "text"),
    Annotation("dialects", "dialects", "dialects", help="The dialects it sees, with policies."),
    Annotation("imdsv2", "text", "dialects.ec2.tokens"),
    Annotation("hop-limit", "yaml", "dialects.ec2.hop_limit"),
    Annotation("name", "text", "name", help="Name of the machine; by default KubeVirt's."),
    Annotation("namespace", "text", "namespace", help="Namespace; the pod's own wins."),
    Annotation(
        "service-account", "text", "service_account", help="ServiceAccount; the pod's own wins."
    ),
    Annotation("hostname", "text", "hostname"),
    Annotation(
        "uuid",
        "text",
        "uuid",
        help="UUID; admission sets it to `firmware.uuid`, so that guests find the one they have.",
    ),
    Annotation("project", "text", "project"),
    Annotation("region", "text", "placement.region"),
    Annotation("availability-zone", "text", "placement.zone"),
    Annotation("instance-type", "text", "type"),
    Annotation("image", "text", "image"),
    Annotation("launch-index", "yaml", "launch_index"),
    Annotation("public-keys", "lines", "public_keys", help="Keys for logging in."),
    Annotation("tags", "pairs", "tags"),
    Annotation("meta", "pairs", "meta"),
    Annotation("security-groups", "list", "security_groups"),
    Annotation("interfaces", "yaml", "interfaces"),
    Annotation("network-data", "yaml", "interfaces", help="Another name for `interfaces`."),
    Annotation("user-data", "content", "user_data", help="User data as text."),
    Annotation(
        "user-data-base64", "base64", "user_data", help="User data; its bytes (gzip) stay."
    ),
    Annotation("user-data-gzip", "gzip", "user_data", help="User data, packed to save room."),
    _wish("user-data-secret", "text"),
    _wish("user-data-configmap", "text", "user_data_config_map"),
    Annotation(
        "template-user-data",
        "yaml",
        "user_data.template",
        help="Expand the user data's templates, wherever it comes from.",
    ),
    Annotation("vendor-data", "content", "vendor_data", help="Vendor data as text."),
    Annotation("vendor-data-base64", "base64", "vendor_data", help="Vendor data; bytes stay."),
    Annotation("vendor-data-gzip", "gzip", "vendor_data", help="Vendor data, packed."),
    _wish("vendor-data-secret", "text"),
    _wish("vendor-data-configmap", "text", "vendor_data_config_map"),
    Annotation("vendor-data2", "yaml", "vendor_data2"),
    Annotation(
        "token-audiences",
        "audiences",
        help="Audiences it may ask tokens for, each with the name of its token's file if it is to "
        "have another than the audience's own, and how long it lives (600 seconds or more).",
    ),
    _wish("token-seconds", "yaml"),
    Annotation("session-epoch", "yaml", "session_epoch"),
    _wish("templates-configmap", "text", "templates"),
    _wish("bridge-name", "text", "bridge"),
    _wish("plumbing", "text"),
    _wish("audit", "flag"),
    _wish("log-level", "text"),
    Annotation("injected", "flag", help="From admission: that the pod has got its sidecar."),
)


def table(vocabulary: Vocabulary) -> dict[str, Annotation]:
    """Give all annotations by name, with one for each section that a dialect adds."""
    rows = {row.name: row for row in ANNOTATIONS}
    for name in vocabulary.sections:
        rows.setdefault(name, Annotation(name, "yaml", name, help=f"What `{name}` adds."))
    return rows


def stranger(key: str, rows: Collection[str]) -> Unfit:
    """Refuse the annotation ``key``, which is none of ``rows``: it may be the nearest, or any."""
    # Without the prefix, which all share: with it any two would be near.
    said = suggestion(key.removeprefix(PREFIX), rows)
    known = f"{PREFIX}{said}" if said.endswith(NEAREST) else f"{PREFIX} with one of {said}"
    return Unfit("an unknown annotation", known)


class Reader:
    """Reads annotations into an instance's ``fields`` and into ``wishes``, both still nodes.

    ``problems`` are the mistakes so far.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Start with nothing read."""
        self._vocabulary = vocabulary
        self._rows = table(vocabulary)
        self.fields: dict[str, Node] = {}
        self._root = Node(value=self.fields, file="", line=0)
        self._policies: list[tuple[Annotation, Node]] = []
        self.wishes: dict[str, Node] = {}
        self.problems: list[Problem] = []

    def read(self, found: Found, file: str) -> None:
        """Take what ``found`` gives, which stands in ``file``.

        Other keys than ours are ignored: they belong to others.
        """
        for key, (line, text) in found.items():
            if key.startswith(PREFIX) and len(self.problems) < MAX_PROBLEMS:
                node = Node(value=text, file=file, line=line, field=key, raw=text)
                self._noting(node, self._take)
        self._noting(self.wishes.get("persona"), self._look_like)
        for row, node in self._policies:
            self._noting(node, lambda node, row=row: self._refine(row, node))  # type: ignore[misc]

    def _noting(self, node: Node | None, step: Step) -> None:
        """Do ``step`` on ``node`` if there is one; what it refuses is noted."""
        if node is None:
            return
        try:
            step(node)
        except Unfit as bad:
            self.problems.append(node.problem(bad.found, bad.allowed))
        except ConfigError as error:
            self.problems += error.problems

    def _take(self, node: Node) -> None:
        row = self._rows.get(node.field.removeprefix(PREFIX))
        if row is None:
            raise stranger(node.field, self._rows)
        value = READ[row.spelling](node, node.raw)
        if row.wish:
            self.wishes[row.wish] = value
        elif row.field.startswith("dialects."):
            self._policies.append((row, value))
        elif row.field:
            put(self._root, row.field, value, node.field)

    def _look_like(self, node: Node) -> None:
        """Give the persona's dialects, unless the owner chooses them one by one."""
        names = self._vocabulary.personas.get(node.raw)
        if names is None:
            allowed = f"one of {', '.join(sorted(self._vocabulary.personas))}"
            raise Unfit(quoted(node.raw), allowed)
        mapping(self._root).setdefault("dialects", like(node, [like(node, n) for n in names]))

    def _refine(self, row: Annotation, node: Node) -> None:
        """Put a choice about a dialect beside those in ``dialects``."""
        _, dialect, choice = row.field.split(".")
        policies = self._named()
        if policies is None:
            return
        policy = policies.get(dialect)
        if policy is None or policy.value is False:
            raise Unfit(
                f"{node.field} for a machine without the dialect {dialect}",
                f"{dialect} among {PREFIX}dialects, or a {PREFIX}persona that has it",
            )
        if not isinstance(policy.value, dict):
            policy = policies[dialect] = like(node, {})
        if choice in mapping(policy):
            raise Unfit(f"{node.field} beside {choice} in {PREFIX}dialects", "one of the two")
        mapping(policy)[choice] = node

    def _named(self) -> dict[str, Node] | None:
        """Give the chosen dialects with their policies; None if they are broken anyway."""
        chosen = mapping(self._root).get("dialects")
        if chosen is None:
            return {}
        if isinstance(chosen.value, list):
            names = [item.value for item in chosen.value if isinstance(item.value, str)]
            if len(set(names)) < len(chosen.value):
                return None
            chosen.value = dict(zip(names, chosen.value, strict=True))
        return chosen.value if isinstance(chosen.value, dict) else None


def put(root: Node, field: str, value: Node, key: str) -> None:
    """Put ``value``, which ``key`` gives, at the dotted path ``field``.

    Raises ``Unfit`` for what something else gives already; whether to expand templates may be
    said beside where the user data comes from.
    """
    *above, last = field.split(".")
    for name in above:
        root = mapping(root).setdefault(name, like(value, {}))
    inside = mapping(root)
    before = inside.get(last)
    if last == "user_data" and before is not None and set(mapping(before)) == {"template"}:
        mapping(value).update(mapping(before))
    elif before is not None:
        raise Unfit(f"{key} beside {before.field}", "one of the two")
    inside[last] = value


def mapping(node: Node) -> dict[str, Node]:
    """Give the value of a node that is known to hold a mapping."""
    return cast("dict[str, Node]", node.value)
