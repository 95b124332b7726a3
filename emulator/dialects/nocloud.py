"""cloud-init's NoCloud seed over HTTP (contract 2.1).

All four files always exist: cloud-init repeats a request for an absent one for ten seconds. No
header can be asked for, as the guest can send none.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.core.policy import Area
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Hint, Leaf, Policy, View
from emulator.model.instance import Content
from emulator.model.links import links

FILES = ("meta-data", "user-data", "vendor-data", "network-config")

# The second is kubevirt-imds's. cloud-init before 23.1 puts the file's name right behind a URL
# that lacks its final slash, hence the third.
SEEDS = ("/nocloud/", "/v1/", "/nocloud")


def _paths(name: str) -> tuple[str, ...]:
    return tuple(seed + name for seed in SEEDS)


def _areas(_policy: Policy) -> tuple[Area, ...]:
    files = tuple(path for name in FILES for path in _paths(name))
    return (Area(name="nocloud", prefixes=("/nocloud", *files)),)


def _leaves(view: View) -> Iterator[Leaf]:
    instance = view.instance
    yield Leaf(paths=_paths("meta-data"), area="nocloud", template="meta-data")
    yield Leaf(
        paths=_paths("user-data"),
        area="nocloud",
        body=_bytes(instance.user_data),
        document="user-data",
    )
    yield Leaf(
        paths=_paths("vendor-data"),
        area="nocloud",
        body=_bytes(instance.vendor_data),
        document="vendor-data",
    )
    yield Leaf(
        paths=_paths("network-config"),
        area="nocloud",
        template="network-config",
        variables={"links": links(instance)},
        document="network",
    )


def _bytes(content: Content | None) -> bytes:
    return b"" if content is None else content.data


DIALECT = Dialect(
    name="nocloud",
    summary="cloud-init's NoCloud seed",
    areas=_areas,
    leaves=_leaves,
    listings=(Listing(root="/nocloud", area="nocloud", sort=False),),
    hint=Hint(serial="ds=nocloud;dsmode=net;s=http://169.254.169.254/nocloud/"),
    example="/nocloud/meta-data",
    extra=("/nocloud/",),
    extra_area="nocloud",
)
