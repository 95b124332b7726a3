"""OpenStack's metadata as Nova serves it (contract 1.1 to 1.5).

Where Nova and its clients' needs differ, the clients win: what would be empty is absent, and no
listing shows what is absent (contract 0.1-4, 1.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from emulator.core.message import JSON, TEXT, Outcome, Reply, Request, Services
from emulator.core.policy import DEFAULTS, Area, Document, Refusal
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Hint, Leaf, Policy, View, eras
from emulator.model.instance import Instance
from emulator.model.links import Subnet, links, name_servers
from emulator.model.mistake import Mistake

VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "2025-04-04",
)
NAMES = (*VERSIONS, "latest")

# When files came (contract 1.1), and when meta_data.json gained keys that we have (1.2).
PASSWORD_SINCE = "2013-04-04"  # noqa: S105  it is a date
VENDOR_DATA_SINCE = "2013-10-17"
NETWORK_DATA_SINCE = "2015-10-15"
VENDOR_DATA2_SINCE = "2016-10-06"
META_DATA_CHANGES = (
    "2012-08-10",
    "2013-04-04",
    "2015-10-15",
    "2016-06-30",
    "2018-08-27",
    "2020-10-14",
)

# Nova keeps it in four values of 255 characters (contract 1.4).
MAX_PASSWORD = 4 * 255

# What a machine that must not post a password reads in its place.
CLOSED = b"closed"

_HTML = "text/html; charset=UTF-8"


class OpenStackPolicy(Policy, frozen=True, kw_only=True):
    """Choices about the OpenStack dialect."""

    password: Annotated[
        Literal["post", "closed"],
        Meta(
            description="Whether the guest may `post` the password that it generated, once; "
            "with `closed` it finds that there is one already."
        ),
    ] = "post"  # noqa: S105  a choice


class Network(msgspec.Struct, frozen=True):
    """A subnet of a link, with the names that network_data.json gives to both."""

    id: str
    link: str
    network_id: str
    subnet: Subnet


def _areas(_policy: OpenStackPolicy) -> tuple[Area, ...]:
    return (
        Area(name="openstack", prefixes=("/openstack",)),
        Area(
            name="openstack-password",
            methods=("GET", "HEAD", "POST"),
            document="attributes",
            refusals={Refusal.METHOD: DEFAULTS[Refusal.BAD_BODY]},
        ),
    )


def _leaves(view: View) -> Iterator[Leaf]:
    instance = view.instance
    future = tuple(f"/openstack/{version}" for version in VERSIONS if version > view.today)
    for leaf in _documents(instance, view.policy):
        yield msgspec.structs.replace(leaf, hidden=future)
    for index, injected in enumerate(instance.files):
        path = f"/openstack{_content_path(index)}"
        yield Leaf(
            paths=(path,),
            area="openstack",
            body=injected.content.data,
            listed=False,
            document="user-data",
        )


def _documents(instance: Instance, policy: OpenStackPolicy) -> Iterator[Leaf]:
    """Give the files below the versions, in the order in which Nova lists them."""
    contents = [
        {"path": injected.path, "content_path": _content_path(index)}
        for index, injected in enumerate(instance.files)
    ]
    for era, versions in eras(NAMES, META_DATA_CHANGES).items():
        paths = _paths("meta_data.json", versions)
        variables = {"version": era, "files": contents}
        yield _json(paths, "meta_data.json", variables)
    if instance.user_data is not None and instance.user_data.data:
        paths = _paths("user_data", NAMES)
        data = instance.user_data.data
        yield Leaf(paths=paths, area="openstack", body=data, document="user-data")
    paths = _paths("password", _since(PASSWORD_SINCE))
    live = _password if policy.password == "post" else _closed  # noqa: S105  a choice
    yield Leaf(paths=paths, area="openstack-password", live=live, type=_HTML)
    vendor = {"vendor_data": _vendor_text(instance)}
    if vendor["vendor_data"]:
        paths = _paths("vendor_data.json", _since(VENDOR_DATA_SINCE))
        yield _json(paths, "vendor_data.json", vendor, "vendor-data")
    if instance.interfaces:
        paths = _paths("network_data.json", _since(NETWORK_DATA_SINCE))
        facts = _network_facts(instance)
        document = _json(paths, "network_data.json", facts, "network")
        yield msgspec.structs.replace(document, type=TEXT)
    paths = _paths("vendor_data2.json", _since(VENDOR_DATA2_SINCE))
    yield _json(paths, "vendor_data2.json", vendor, "vendor-data")


def _json(
    paths: tuple[str, ...],
    template: str,
    variables: Mapping[str, object],
    document: Document = "meta-data",
) -> Leaf:
    return Leaf(
        paths=paths,
        area="openstack",
        template=template,
        variables=variables,
        type=JSON,
        document=document,
    )


def _paths(name: str, versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"/openstack/{version}/{name}" for version in versions)


def _since(first: str) -> Iterator[str]:
    return (version for version in NAMES if version >= first)


def _content_path(index: int) -> str:
    return f"/content/{index:04}"


def _vendor_text(instance: Instance) -> str:
    return "" if instance.vendor_data is None else instance.vendor_data.data.decode()


def _mistakes(instance: Instance) -> Iterator[Mistake]:
    """Find vendor data that no JSON can carry."""
    try:
        _vendor_text(instance)
    except UnicodeDecodeError as error:
        found = f"bytes that are no text ({error.reason})"
        allowed = "UTF-8 text with the dialect openstack, whose JSON carries nothing else"
        yield Mistake("vendor_data", found, allowed)


def _network_facts(instance: Instance) -> dict[str, object]:
    """Name what Nova would have from Neutron; the names hold as long as the description does."""
    space = UUID(instance.uuid)
    found = links(instance)
    pairs = [(link, subnet) for link in found for subnet in link.subnets]
    return {
        "links": found,
        "vif_ids": {link.id: str(uuid5(space, f"port {link.id}")) for link in found},
        "networks": [
            Network(
                id=f"network{index}",
                link=link.id,
                network_id=str(uuid5(space, f"network {link.id}")),
                subnet=subnet,
            )
            for index, (link, subnet) in enumerate(pairs)
        ],
        "name_servers": name_servers(instance),
    }


def _password(request: Request, services: Services) -> Outcome:
    """Take the guest's encrypted password once, and show it (contract 1.4)."""
    stored = services.password()
    if request.method != "POST":
        return Reply(200, stored, _HTML)
    if stored:
        return Refusal.CONFLICT
    if len(request.body) > MAX_PASSWORD:
        return Refusal.BAD_BODY
    services.set_password(request.body)
    return Reply(200, b"", _HTML)


def _closed(request: Request, _services: Services) -> Outcome:
    """Answer as if a password had been posted."""
    return Refusal.CONFLICT if request.method == "POST" else Reply(200, CLOSED, _HTML)


DIALECT = Dialect(
    name="openstack",
    summary="OpenStack Nova's metadata, for cloud-init, cloudbase-init, ignition and afterburn",
    areas=_areas,
    leaves=_leaves,
    listings=(Listing(root="/openstack", area="openstack", sort=False, slash=False),),
    policy=OpenStackPolicy,
    hint=Hint(asset="OpenStack Nova"),
    brings=("ec2_v1",),
    rules=_mistakes,
    example="/openstack/latest/meta_data.json",
    extra=("/openstack/latest/",),
    extra_area="openstack",
)
