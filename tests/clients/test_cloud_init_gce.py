"""cloud-init's own data source for Google, of the oldest and the newest release that guests run.

It asks six times, a second apart, for whatever is not there (contract 4.6): the exact lists of
requests show that nothing is. Times are reported beside the results, never asserted.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from tests.support.cloudinit_source import Release, python, unpack
from tests.support.crawl import Crawl, crawl
from tests.support.guest import COMPLETE, ED25519, RSA

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SCRIPT = Path(__file__).with_name("cloud_init.py")
NICS = {f"52:54:00:00:00:0{number}": f"enp{number}s0" for number in (1, 2, 3)}
TREE = "/computeMetadata/v1"
REQUESTS = [
    f"GET {TREE}/instance/id 200",
    f"GET {TREE}/instance/zone 200",
    f"GET {TREE}/instance/hostname 200",
    f"GET {TREE}/instance/attributes 200",
    f"GET {TREE}/project/attributes 200",
]
BINARY = bytes(range(256))
PROJECT = f"{ED25519.rpartition(' ')[0]} project"
STAMP = 'google-ssh {{"userName":"ada","expireOn":"{}-01-01T00:00:00+0000"}}'


@pytest.fixture(params=get_args(Release))
def gce(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Callable[..., Crawl]:
    """Run the class as the network stage does, once the machine has its address."""
    release: Release = request.param

    def run(description: str, product: str = "Google Compute Engine", serial: str = "") -> Crawl:
        cloud = tmp_path / "cloud"
        cloud.mkdir()
        job = {
            "module": "DataSourceGCE",
            "name": "DataSourceGCE",
            "config": {"GCE": {}},
            "dmi": {"system-product-name": product, "system-serial-number": serial},
            "cmdline": "",
            "folder": str(cloud),
            "nics": NICS,
        }
        done = crawl(
            tmp_path,
            f"{description}dialects: [gce]\n",
            [str(python(release)), str(SCRIPT), json.dumps(job)],
            {"PYTHONPATH": str(unpack(release))},
            names=["metadata.google.internal"],
        )
        record_property("seconds", done.result["seconds"])
        assert done.result["warnings"] == []
        return done

    return run


def test_each_thing_is_asked_for_once_and_found(gce: Callable[..., Crawl]) -> None:
    done = gce(COMPLETE)
    result = done.result
    assert done.requests == REQUESTS
    assert result["loaded"]
    assert result["instance_id"].isdecimal()
    assert result["hostname"] == "web-1"
    assert result["metadata"]["local-hostname"] == "web-1.shop.example"
    assert result["zone"] == "here-b"
    assert result["keys"] == [RSA, ED25519]
    assert base64.b64decode(result["userdata"]) == b"#cloud-config\nhostname: kept\n"
    assert not result["network"]


def test_the_least_costs_no_retry(gce: Callable[..., Crawl]) -> None:
    done = gce("name: web-1\n")
    assert done.requests == REQUESTS
    assert done.result["hostname"] == "web-1"
    assert done.result["keys"] == []
    assert done.result["userdata"] is None


def test_a_serial_number_identifies_the_machine_as_well(gce: Callable[..., Crawl]) -> None:
    done = gce("name: web-1\n", product="", serial="GoogleCloud-0123456789ABCDEF")
    assert done.requests == REQUESTS


def test_on_another_machine_it_asks_for_nothing(gce: Callable[..., Crawl]) -> None:
    done = gce("name: web-1\n", product="KubeVirt")
    assert done.requests == []
    assert not done.result["loaded"]


def test_binary_user_data_arrives_as_it_was(gce: Callable[..., Crawl], tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(BINARY)
    done = gce("name: web-1\nuser_data: {file: data}\n")
    assert done.requests == REQUESTS
    assert base64.b64decode(done.result["userdata"]) == BINARY


def described(attributes: dict[str, str], project: dict[str, str], *, own: bool = True) -> str:
    section = {"attributes": attributes, "project_attributes": project}
    keys = [{"name": "dev", "key": ED25519}] if own else []
    return f"name: web-1\npublic_keys: {json.dumps(keys)}\ngce: {json.dumps(section)}\n"


BOTH = {"ssh-keys": f"cloudinit:{PROJECT}\nsomebody:{RSA}"}
KEYS: dict[str, tuple[str, list[str]]] = {
    "of machine and project": (described({}, BOTH), [ED25519, PROJECT]),
    "the project's blocked": (described({"block-project-ssh-keys": "TRUE"}, BOTH), [ED25519]),
    "the project's alone": (described({}, BOTH, own=False), [PROJECT]),
    "the project's by the old name": (
        described({}, {"sshKeys": f"cloudinit:{PROJECT}"}, own=False),
        [PROJECT],
    ),
    "the machine's by the old name, which blocks": (
        described({"sshKeys": f"cloudinit:{RSA}"}, BOTH, own=False),
        [RSA],
    ),
    "ended and not": (
        described(
            {},
            {
                "ssh-keys": f"cloudinit:{RSA.rpartition(' ')[0]} {STAMP.format(2001)}\n"
                f"cloudinit:{ED25519.rpartition(' ')[0]} {STAMP.format(9001)}"
            },
            own=False,
        ),
        [f"{ED25519.rpartition(' ')[0]} {STAMP.format(9001)}"],
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_ssh_keys(name: str, gce: Callable[..., Crawl]) -> None:
    description, expected = KEYS[name]
    done = gce(description)
    assert done.requests == REQUESTS
    assert done.result["keys"] == expected
