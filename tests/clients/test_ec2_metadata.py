"""Debian's ``ec2-metadata`` (package amazon-ec2-utils), every option of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.crawl import crawl
from tests.support.guest import COMPLETE, ED25519, RSA

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

EC2 = """\
ec2:
  instance_id: i-0db1db1db1db1db10
  image_id: ami-0db1db1db1db1db10
  ancestor_ami_ids: [ami-0aaaaaaaaaaaaaaaa]
  reservation_id: r-0db1db1db1db1db10
  kernel_id: aki-db000001
  ramdisk_id: ari-db000001
  product_codes: [abcd1234]
dialects: {ec2: {tokens: required}}
"""
# Short option, long option, what is printed for the complete machine.
OPTIONS = [
    ("-a", "--ami-id", "ami-id: ami-0db1db1db1db1db10\n"),
    ("-l", "--ami-launch-index", "ami-launch-index: 2\n"),
    ("-m", "--ami-manifest-path", "ami-manifest-path: (unknown)\n"),
    ("-n", "--ancestor-ami-ids", "ancestor-ami-ids: ami-0aaaaaaaaaaaaaaaa\n"),
    (
        "-b",
        "--block-device-mapping",
        "block-device-mapping: \n\t ami: vda\n\t root: /dev/vda\n",
    ),
    ("-i", "--instance-id", "instance-id: i-0db1db1db1db1db10\n"),
    ("-t", "--instance-type", "instance-type: m1.small\n"),
    ("-h", "--local-hostname", "local-hostname: web-1.shop.example\n"),
    ("-o", "--local-ipv4", "local-ipv4: 192.0.2.10\n"),
    ("-k", "--kernel-id", "kernel-id: aki-db000001\n"),
    ("-z", "--availability-zone", "placement: here-b\n"),
    ("-c", "--product-codes", "product-codes: abcd1234\n"),
    ("-p", "--public-hostname", "public-hostname: "),
    ("-v", "--public-ipv4", "public-ipv4: 203.0.113.10\n"),
    (
        "-u",
        "--public-keys",
        (
            "public-keys: \n"
            "keyname:opskey\nindex:0\nformat:openssh-key\nkey:(begins from next line)\n"
            f"{RSA}\n"
            "keyname:dev\nindex:1\nformat:openssh-key\nkey:(begins from next line)\n"
            f"{ED25519}\n"
        ),
    ),
    ("-r", "--ramdisk-id", "ramdisk-id: ari-db000001\n"),
    ("-e", "--reservation-id", "reservation-id: r-0db1db1db1db1db10\n"),
    ("-s", "--security-groups", "security-groups: default\nweb\n"),
    ("-d", "--user-data", "user-data: #cloud-config\nhostname: kept\n"),
    ("-g", "--tags", "tags: \n\t tier: front\n"),
]
ABSENT = ("-n", "-o", "-k", "-c", "-p", "-v", "-u", "-r", "-d", "-g")

Said = dict[str, tuple[int, str]]


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Said]:
    def run(description: str, *options: str) -> Said:
        script = str(Path(__file__).with_name("ec2_metadata.py"))
        said: Said = crawl(tmp_path, description, [sys.executable, script, *options], {}).result
        return said

    return run


def test_every_option_prints_what_is_described(asked: Callable[..., Said]) -> None:
    short, long, _ = zip(*OPTIONS, strict=True)
    said = asked(COMPLETE + EC2, *short, *long, "--all")
    for option, other, text in OPTIONS:
        status, printed = said[option]
        assert status == 0
        assert printed.startswith(text), option
        assert text.endswith("\n") <= (printed == text), option
        assert said[other] == said[option]
    every = "".join(said[option][1] for option in short)
    assert sorted(said["--all"][1].splitlines()) == sorted(every.splitlines())


def test_what_the_least_machine_lacks_is_said_to_be_absent(asked: Callable[..., Said]) -> None:
    short = [option for option, _, _ in OPTIONS]
    said = asked("name: web-1\ndialects: [ec2]\n", *short)
    absent = {option for option in short if "not available" in said[option][1]}
    assert absent == set(ABSENT)
    assert {status for status, _ in said.values()} == {0}


@pytest.mark.parametrize("dialects", ["{ec2: {endpoint: off}}", "[openstack]"])
def test_it_says_where_there_are_no_tokens(dialects: str, asked: Callable[..., Said]) -> None:
    status, printed = asked(f"name: web-1\ndialects: {dialects}\n", "-i")["-i"]
    assert (status, printed[:40]) == (1, "[ERROR] Could not get IMDSv2 token. Inst")
