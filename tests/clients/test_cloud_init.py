"""cloud-init's own data sources, of the oldest and the newest release that guests run.

Which requests they make is stated exactly: a repeated one, or one that fails, costs a guest
seconds at each boot (contract 10.2). Times are reported beside the results, never asserted.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, get_args

import pytest

from tests.clients.released import decoded, every_release, source
from tests.support.cloudinit_source import Release
from tests.support.crawl import Crawl
from tests.support.guest import COMPLETE, ED25519, RSA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SEED = "http://169.254.169.254/nocloud/"
UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"

# The EC2-like tree, as it is walked: a directory's directories, then its leaves.
WALK = """\
GET /latest/meta-data 200
GET /latest/meta-data/block-device-mapping 200
GET /latest/meta-data/block-device-mapping/ami 200
GET /latest/meta-data/block-device-mapping/root 200
GET /latest/meta-data/placement 200
GET /latest/meta-data/placement/availability-zone 200
GET /latest/meta-data/public-keys 200
GET /latest/meta-data/public-keys/0/openssh-key 200
GET /latest/meta-data/public-keys/1/openssh-key 200
GET /latest/meta-data/ami-id 200
GET /latest/meta-data/ami-launch-index 200
GET /latest/meta-data/ami-manifest-path 200
GET /latest/meta-data/hostname 200
GET /latest/meta-data/instance-action 200
GET /latest/meta-data/instance-id 200
GET /latest/meta-data/instance-type 200
GET /latest/meta-data/local-hostname 200
GET /latest/meta-data/local-ipv4 200
GET /latest/meta-data/public-hostname 200
GET /latest/meta-data/public-ipv4 200
GET /latest/meta-data/reservation-id 200
GET /latest/meta-data/security-groups 200
""".splitlines()

OPENSTACK = {
    "module": "DataSourceOpenStack",
    "name": "DataSourceOpenStack",
    "config": {"OpenStack": {}},
    "dmi": {"chassis-asset-tag": "OpenStack Nova"},
    "cmdline": "",
}


@pytest.fixture(scope="module", params=get_args(Release))
def openstack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    folder = tmp_path_factory.mktemp("openstack")
    return source(request.param, COMPLETE, OPENSTACK, folder)


@pytest.fixture
def nocloud(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> Callable[..., Crawl]:
    def run(release: Release, description: str, serial: str = "", cmdline: str = "") -> Crawl:
        job = {
            "module": "DataSourceNoCloud",
            "name": "DataSourceNoCloudNet",
            "config": {"NoCloud": {"fs_label": None}},  # looks at no disks of ours
            "dmi": {"system-serial-number": serial},
            "cmdline": cmdline,
        }
        done = source(release, description, job, tmp_path)
        record_property("seconds", done.result["seconds"])
        return done

    return run


# ----------------------------------------------------------------------------------- OpenStack


def test_openstack_asks_for_each_thing_once(
    openstack: Crawl, record_property: Callable[[str, object], None]
) -> None:
    record_property("seconds", openstack.result["seconds"])
    version = "/openstack/2018-08-27"
    assert openstack.requests == [
        "GET /openstack 200",  # is it there?
        "GET /openstack 200",  # which versions?
        f"GET {version}/meta_data.json 200",
        f"GET {version}/user_data 200",
        f"GET {version}/vendor_data.json 200",
        f"GET {version}/vendor_data2.json 200",
        f"GET {version}/network_data.json 200",
        "GET /openstack/content/0000 200",
        "GET /openstack/content/0001 200",
        *WALK,
    ]


def test_openstack_has_all_that_the_description_says(openstack: Crawl) -> None:
    result = openstack.result
    assert result["warnings"] == []
    assert result["loaded"]
    assert result["dsmode"] == "net"
    assert result["instance_id"] == UUID
    assert result["hostname"] == "web-1"
    assert result["metadata"]["local-hostname"] == "web-1.shop.example"
    assert result["keys"] == [RSA, ED25519]
    assert result["zone"] == "here-b"
    assert decoded(result["userdata"]) == "#cloud-config\nhostname: kept\n"
    assert decoded(result["vendordata"]) == "#cloud-config\ntimezone: UTC\n"
    assert len(base64.b64decode(result["metadata"]["random_seed"])) == 512
    assert {path: decoded(data) for path, data in result["files"].items()} == {
        "/etc/motd": "hello\n",
        "/etc/other": "other",
    }
    assert result["ec2"]["public-keys"] == {"opskey": RSA, "dev": ED25519}
    assert result["ec2"]["security-groups"] == ["default", "web"]
    assert result["ec2"]["instance-id"] == "i-0f0e0d0c"


def test_openstack_s_network_arrives_in_netplan(openstack: Crawl) -> None:
    plan = openstack.result["netplan"]
    assert plan["ethernets"]["enp1s0"] == {
        "match": {"macaddress": "52:54:00:00:00:01"},
        "set-name": "enp1s0",
        "mtu": 1400,
        "accept-ra": False,
        "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
        "routes": [
            {"to": "0.0.0.0/0", "via": "192.0.2.1"},
            {"to": "198.51.100.0/24", "via": "192.0.2.2", "metric": 50},
            {"to": "::/0", "via": "2001:db8::1"},
        ],
        "nameservers": {
            "addresses": ["192.0.2.53", "2001:db8::53"],
            "search": ["shop.example"],
        },
    }
    assert plan["bonds"]["bond0"]["interfaces"] == ["enp2s0", "enp3s0"]
    assert plan["bonds"]["bond0"]["parameters"] == {
        "mode": "802.3ad",
        "mii-monitor-interval": 100,
        "transmit-hash-policy": "layer3+4",
    }
    vlan = plan["vlans"]["bond0.7"]
    assert (vlan["id"], vlan["link"], vlan["dhcp4"]) == (7, "bond0", True)


@every_release
def test_openstack_with_the_least_leaves_the_network_to_dhcp(
    tmp_path: Path, release: Release
) -> None:
    done = source(release, "name: web-1\n", OPENSTACK, tmp_path)
    version = "/openstack/2018-08-27"
    absent = ("public-keys", "local-ipv4", "public-ipv4")
    assert done.requests == [
        "GET /openstack 200",
        "GET /openstack 200",
        f"GET {version}/meta_data.json 200",
        f"GET {version}/user_data 404",
        f"GET {version}/vendor_data.json 404",
        f"GET {version}/vendor_data2.json 200",
        f"GET {version}/network_data.json 404",
        *(line for line in WALK if not any(name in line for name in absent)),
    ]
    assert done.result["warnings"] == []
    assert done.result["network"] is None
    assert done.result["ec2"]["hostname"] == "web-1"


# ------------------------------------------------------------------------------------- NoCloud

# Debian 12's release does not know a network configuration over HTTP.
SEED_FILES: dict[Release, list[str]] = {
    "debian-12": ["meta-data", "user-data", "vendor-data"],
    "current": ["network-config", "meta-data", "user-data", "vendor-data"],
}


@every_release
@pytest.mark.parametrize("seed", ["/nocloud/", "/v1/"])
def test_nocloud_asks_for_each_file_once(
    nocloud: Callable[..., Crawl], release: Release, seed: str
) -> None:
    done = nocloud(
        release,
        COMPLETE + "dialects: [nocloud, kubevirt]\n",
        f"ds=nocloud;dsmode=net;s=http://169.254.169.254{seed}",
    )
    result = done.result
    assert done.requests == [f"GET {seed}{name} 200" for name in SEED_FILES[release]]
    assert result["warnings"] == []
    assert result["instance_id"] == UUID
    assert result["hostname"] == "web-1"
    assert result["keys"] == [RSA, ED25519]
    assert result["zone"] == "here-b"
    assert result["launch_index"] == 2
    assert decoded(result["userdata"]) == "#cloud-config\nhostname: kept\n"
    assert decoded(result["vendordata"]) == "#cloud-config\ntimezone: UTC\n"


@every_release
def test_nocloud_with_the_least_loses_no_time(
    nocloud: Callable[..., Crawl], release: Release
) -> None:
    done = nocloud(
        release, "name: web-1\ndialects: [nocloud]\n", f"ds=nocloud;dsmode=net;s={SEED}"
    )
    assert done.requests == [f"GET /nocloud/{name} 200" for name in SEED_FILES[release]]
    assert done.result["warnings"] == []
    assert done.result["hostname"] == "web-1"
    assert not done.result["network"]


def test_nocloud_s_network_arrives_in_netplan(nocloud: Callable[..., Crawl]) -> None:
    description = COMPLETE + "dialects: [nocloud]\n"
    result = nocloud("current", description, f"ds=nocloud;dsmode=net;s={SEED}").result
    assert result["netplan"] == result["network"]["network"]
    assert list(result["netplan"]["vlans"]) == ["vlan7"]


FORMS = {
    "serial": ("ds=nocloud;s={seed}", "", "local"),
    "serial, old name": ("ds=nocloud-net;s={seed}", "", "net"),
    "serial, dsmode": ("ds=nocloud;dsmode=net;s={seed}", "", "net"),
    "command line": ("", "ro ds=nocloud;s={seed} quiet", "local"),
    "command line, dsmode": ("", "ro ds=nocloud;dsmode=net;s={seed} quiet", "net"),
}


@every_release
@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_name_the_seed(
    nocloud: Callable[..., Crawl], release: Release, form: str
) -> None:
    serial, cmdline, old_mode = FORMS[form]
    done = nocloud(
        release,
        "name: web-1\ndialects: [nocloud]\n",
        serial.format(seed=SEED),
        cmdline.format(seed=SEED),
    )
    assert done.requests == [f"GET /nocloud/{name} 200" for name in SEED_FILES[release]]
    # With "local", Debian 12's release leaves before it runs user data (contract 2.2): it is why
    # the seed that we recommend says dsmode=net.
    assert done.result["dsmode"] == (old_mode if release == "debian-12" else "net")


@every_release
def test_a_seed_may_lack_its_final_slash(nocloud: Callable[..., Crawl], release: Release) -> None:
    done = nocloud(
        release,
        "name: web-1\ndialects: [nocloud]\n",
        f"ds=nocloud;dsmode=net;s={SEED.rstrip('/')}",
    )
    between = "" if release == "debian-12" else "/"
    assert done.requests == [f"GET /nocloud{between}{name} 200" for name in SEED_FILES[release]]
    assert done.result["hostname"] == "web-1"
