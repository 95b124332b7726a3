"""EC2's dialect: the tree, each row of the table of contract 3.4, roles, identity and events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.core.message import Answer
from emulator.dialects.ec2.facts import readable
from emulator.dialects.ec2.names import VERSIONS
from emulator.errors import ConfigError
from tests.support.guest import CERTIFICATE, COMPLETE, ED25519, RSA, Guest, header, machine

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
META = "/latest/meta-data"
IDENTITY = "/latest/dynamic/instance-identity"

FIVE_LINES = """\
name: web-1
dialects: [ec2]
interfaces:
  - mac: 52:54:00:12:34:56
    addresses: [10.0.0.5/24]
"""
FULL = """\
dialects: [ec2]
ec2:
  credentials: {role: web-role}
"""


def optional(description: str = FIVE_LINES, **section: Any) -> Guest:
    """Make a guest that needs no token, so that a test can look at what else there is."""
    text = description.replace("dialects: [ec2]\n", "dialects: {ec2: {tokens: optional}}\n")
    return Guest(f"{text}ec2: {json.dumps(section)}\n" if section else text)


@pytest.fixture(scope="module")
def full() -> Guest:
    return optional(COMPLETE + FULL)


# ------------------------------------------------------------------------------------- the tree


def walk(guest: Guest, path: str, headers: dict[str, str] | None = None) -> dict[str, bytes]:
    """Follow every listing below ``path`` as a crawler does; give each leaf's body."""
    answer = guest.ask(path, headers=headers)
    assert answer.status == 200, path
    found: dict[str, bytes] = {}
    for line in answer.body.decode().splitlines():
        name, labelled, _ = line.partition("=")
        keys = labelled and path.rstrip("/").endswith("/public-keys")
        if keys:
            found |= walk(guest, f"{path.rstrip('/')}/{name}/", headers)
            continue
        below = f"{path.rstrip('/')}/{line}"
        # The versions and what the newest one holds are directories without a slash.
        directory = line.endswith("/") or path in {"/", *(f"/{v}/" for v in VERSIONS)}
        if directory and line != "user-data":
            found |= walk(guest, below.rstrip("/") + "/", headers)
        else:
            leaf = guest.ask(below, headers=headers)
            assert leaf.status == 200, below
            assert guest.ask(f"{below}/", headers=headers).status == 200, below
            found[below] = leaf.body
    return found


def test_five_lines_give_a_tree_that_agrees_with_itself() -> None:
    guest = optional()
    leaves = {
        path.removeprefix(f"{META}/"): body.decode() for path, body in walk(guest, META).items()
    }
    mac = "network/interfaces/macs/52:54:00:12:34:56"
    assert leaves["local-ipv4"] == leaves[f"{mac}/local-ipv4s"] == "10.0.0.5"
    assert leaves["mac"] == leaves[f"{mac}/mac"] == "52:54:00:12:34:56"
    assert leaves[f"{mac}/subnet-ipv4-cidr-block"] == "10.0.0.0/24"
    assert (
        leaves[f"{mac}/vpc-ipv4-cidr-block"]
        == leaves[f"{mac}/vpc-ipv4-cidr-blocks"]
        == "10.0.0.0/16"
    )
    assert (
        leaves["hostname"]
        == leaves["local-hostname"]
        == leaves[f"{mac}/local-hostname"]
        == "web-1"
    )
    assert leaves["placement/availability-zone"][:-1] == leaves["placement/region"] == "local"
    assert leaves["services/domain"] == "amazonaws.com"
    document = guest.json(f"{IDENTITY}/document")
    assert document["instanceId"] == leaves["instance-id"]
    assert document["imageId"] == leaves["ami-id"]
    assert document["accountId"] == leaves[f"{mac}/owner-id"]
    assert document["privateIp"] == "10.0.0.5"
    assert document["region"] == "local"
    assert len(leaves["instance-id"]) == len("i-0123456789abcdef0")
    for absent in ("iam/", "spot/", "tags/", "ipv6", "public-keys/", "autoscaling/", "ramdisk-id"):
        assert guest.status(f"{META}/{absent}") == 404
        assert absent not in guest.text(META).splitlines()


def test_ids_are_the_machines_own_and_stay() -> None:
    one, again = optional(), optional()
    other = optional(
        FIVE_LINES.replace("web-1", "web-2").replace("34:56", "34:57").replace(".5/", ".6/")
    )
    path = f"{META}/instance-id"
    assert one.text(path) == again.text(path) != other.text(path)
    subnet = f"{META}/network/interfaces/macs/{{}}/subnet-id"
    assert one.text(subnet.format("52:54:00:12:34:56")) == other.text(
        subnet.format("52:54:00:12:34:57")
    )


def test_the_complete_machine_shows_what_openstack_shows(full: Guest) -> None:
    mac = f"{META}/network/interfaces/macs/52:54:00:00:00:01"
    expected = {
        f"{META}/hostname": "web-1.shop.example",
        f"{META}/placement/availability-zone": "here-b",
        f"{META}/placement/region": "here",
        f"{META}/instance-type": "m1.small",
        f"{META}/ami-launch-index": "2",
        f"{META}/security-groups": "default\nweb",
        f"{META}/public-keys": "0=opskey\n1=dev",
        f"{META}/public-keys/0/openssh-key": RSA,
        f"{META}/public-keys/1/openssh-key": ED25519,
        f"{META}/public-ipv4": "203.0.113.10",
        f"{META}/public-hostname": "ec2-203-0-113-10.here.compute.amazonaws.com",
        f"{META}/ipv6": "2001:db8::10",
        f"{META}/tags/instance": "tier",
        f"{META}/tags/instance/tier": "front",
        f"{META}/iam/security-credentials/": "web-role",
        f"{mac}/ipv4-associations/203.0.113.10": "192.0.2.10",
        f"{mac}/ipv6s": "2001:db8::10",
        f"{mac}/subnet-ipv6-cidr-blocks": "2001:db8::/64",
        f"{mac}/vpc-ipv6-cidr-blocks": "2001:db8::/56",
        f"{META}/network/interfaces/macs": "\n".join(
            f"52:54:00:00:00:0{number}/" for number in (1, 2, 3)
        ),
        "/latest": "dynamic\nmeta-data\nuser-data",
        "/latest/dynamic/": "fws/\ninstance-identity/",
        IDENTITY: "document\npkcs7\nrsa2048\nsignature",
        "/latest/user-data": "#cloud-config\nhostname: kept\n",
    }
    assert {path: full.text(path) for path in expected} == expected


def test_the_root_lists_the_versions_and_each_serves_the_tree(full: Guest) -> None:
    assert full.text("/") == "\n".join(VERSIONS)
    newest = walk(full, "/latest/")
    for version in VERSIONS[:-1]:
        listed = {
            path.replace(f"/{version}/", "/latest/", 1) for path in walk(full, f"/{version}/")
        }
        assert listed == set(newest)
    assert full.status("/2000-01-01/meta-data/") == 404


def test_paths_are_read_as_clients_write_them(full: Guest) -> None:
    assert full.text("/latest//meta-data/instance-id") == full.text(f"{META}/instance-id/")


def test_headers_are_those_of_ec2(full: Guest) -> None:
    answer = full.ask(f"{META}/instance-id")
    assert header(answer, "Server") == "EC2ws"
    assert header(answer, "Accept-Ranges") == "none"
    assert header(answer, "Content-Type") == "text/plain"
    assert header(answer, "Last-Modified") == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert header(full.ask("/latest/user-data"), "Content-Type") == "application/octet-stream"
    refused = full.ask(f"{META}/nothing")
    assert refused.status == 404
    assert header(refused, "Server") == "EC2ws"
    assert header(refused, "Content-Type") == "text/html"
    assert b"<title>404 - Not Found</title>" in refused.body


def test_tags_that_are_off_leave_ec2s_odd_answer() -> None:
    guest = Guest(COMPLETE + "dialects: {ec2: {tokens: optional, tags: off}}\n")
    assert "tags/" not in guest.text(META).splitlines()
    assert guest.status(f"{META}/tags") == 404
    assert guest.ask(f"{META}/tags/instance/") == guest.ask(f"{META}/tags/instance")
    assert guest.text(f"{META}/tags/instance") == ""
    assert guest.status(f"{META}/tags/instance/tier") == 404


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("Name", True),
        ("aws:autoscaling:groupName", True),
        ("a=b", True),
        ("5=b", False),
        ("with space", False),
        ("a/b", False),
        ("..", False),
        ("ü", False),
    ],
)
def test_a_tag_is_shown_if_its_key_fits_a_path(key: str, *, shown: bool) -> None:
    assert readable(key) == shown


@pytest.mark.parametrize(
    ("region", "zone_id", "domain", "partition", "host"),
    [
        (
            "us-east-1",
            "use1-az1",
            "amazonaws.com",
            "aws",
            "ec2-203-0-113-1.compute-1.amazonaws.com",
        ),
        (
            "cn-north-1",
            "cnn1-az1",
            "amazonaws.com.cn",
            "aws-cn",
            "ec2-203-0-113-1.cn-north-1.compute.amazonaws.com.cn",
        ),
        (
            "us-gov-west-1",
            "usgw1-az1",
            "amazonaws.com",
            "aws-us-gov",
            "ec2-203-0-113-1.us-gov-west-1.compute.amazonaws.com",
        ),
    ],
)
def test_a_region_tells_its_partition(
    region: str, zone_id: str, domain: str, partition: str, host: str
) -> None:
    text = f"{FIVE_LINES}    public_addresses: [203.0.113.1]\nplacement: {{region: {region}}}\n"
    guest = optional(text)
    assert guest.text(f"{META}/placement/availability-zone-id") == zone_id
    assert guest.text(f"{META}/services/domain") == domain
    assert guest.text(f"{META}/services/partition") == partition
    assert guest.text(f"{META}/public-hostname") == host


def test_a_zone_without_letter_has_an_id_too() -> None:
    guest = optional(FIVE_LINES + "placement: {region: here, zone: rack-7}\n")
    assert guest.text(f"{META}/placement/availability-zone-id") == "here-az1"


def test_a_machine_that_asks_from_an_address_has_it() -> None:
    guest = optional(
        "name: web-1\ndialects: [ec2]\ninterfaces: [{mac: '52:54:00:12:34:56'}]\n"
        "peer: {addresses: [10.9.0.7]}\n"
    )
    mac = f"{META}/network/interfaces/macs/52:54:00:12:34:56"
    assert guest.text(f"{META}/local-ipv4") == guest.text(f"{mac}/local-ipv4s") == "10.9.0.7"
    assert guest.status(f"{mac}/subnet-ipv4-cidr-block") == 404


def test_a_machine_without_interfaces_has_no_network() -> None:
    guest = optional("name: web-1\ndialects: [ec2]\n")
    assert guest.status(f"{META}/network") == guest.status(f"{META}/mac") == 404


def test_a_wide_subnet_is_its_own_vpc() -> None:
    guest = optional(FIVE_LINES.replace("/24", "/8"))
    mac = f"{META}/network/interfaces/macs/52:54:00:12:34:56"
    assert guest.text(f"{mac}/vpc-ipv4-cidr-block") == "10.0.0.0/8"


def test_the_section_says_what_it_says() -> None:
    guest = optional(
        instance_id="i-0123456789abcdef0",
        account_id="123456789012",
        image_id="ami-0123456789abcdef0",
        monitoring=True,
        interfaces={"eth0": {"network_card": 1, "interface_id": "eni-0123456789abcdef0"}},
        elastic_gpus={"egpu-1": {"a": 1}},
        managed_ssh_keys={"active_keys": {"ada": "ssh-ed25519 AAAA"}},
        auto_scaling_state="InService",
    )
    mac = f"{META}/network/interfaces/macs/52:54:00:12:34:56"
    expected = {
        f"{META}/instance-id": "i-0123456789abcdef0",
        f"{mac}/owner-id": "123456789012",
        f"{mac}/network-card": "1",
        f"{mac}/interface-id": "eni-0123456789abcdef0",
        f"{META}/ami-id": "ami-0123456789abcdef0",
        "/latest/dynamic/fws/instance-monitoring": "enabled",
        f"{META}/elastic-gpus/associations/egpu-1": '{"a":1}',
        f"{META}/managed-ssh-keys/active-keys/ada/": "ssh-ed25519 AAAA",
        f"{META}/autoscaling/target-lifecycle-state": "InService",
    }
    assert {path: guest.text(path) for path in expected} == expected


def test_an_image_that_is_called_by_its_id_keeps_it() -> None:
    guest = optional(FIVE_LINES + "image: ami-0123456789abcdef0\n")
    assert guest.text(f"{META}/ami-id") == "ami-0123456789abcdef0"


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("{interfaces: {eth9: {}}}", "ec2.interfaces.eth9"),
        ("{vpc: {ipv4_cidr_blocks: [10.0.0.1/16]}}", "ec2.vpc.ipv4_cidr_blocks[0]"),
        ("{vpc: {ipv6_cidr_blocks: [10.0.0.0/16]}}", "ec2.vpc.ipv6_cidr_blocks[0]"),
        (
            "{interfaces: {eth0: {ipv4_prefixes: [10.0.0.7/28]}}}",
            "ec2.interfaces.eth0.ipv4_prefixes[0]",
        ),
        ("{credentials: {role: r, provider: file}}", "ec2.credentials.file"),
        ("{instance_id: x}", "ec2.instance_id"),
    ],
)
def test_mistakes_in_the_section_are_named(section: str, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        machine(f"{FIVE_LINES}ec2: {section}\n")
    assert [problem.field for problem in raised.value.problems] == [field]


def test_a_section_of_a_dialect_that_is_off_is_kept_quietly() -> None:
    text = FIVE_LINES.replace("[ec2]", "[openstack]") + "ec2: {monitoring: on}\n"
    assert Guest(text).status("/openstack") == 200


# ------------------------------------------------------------------ IMDSv2: contract 3.4, by rows


@pytest.fixture
def strict() -> Guest:
    return Guest(FIVE_LINES)


def put(
    guest: Guest, ttl: str | None = "60", path: str = "/latest/api/token", **more: str
) -> Answer:
    headers = {} if ttl is None else {TTL: ttl}
    return guest.ask(path, "PUT", headers | more)


@pytest.mark.parametrize("ttl", ["1", "21600"])
def test_a_put_with_a_lifetime_gives_a_token(strict: Guest, ttl: str) -> None:
    answer = put(strict, ttl)
    assert answer.status == 200
    assert header(answer, TTL) == ttl
    assert header(answer, "Content-Type") == "text/plain"
    assert strict.ask(f"{META}/instance-id", headers={TOKEN: answer.body.decode()}).status == 200


@pytest.mark.parametrize("ttl", [None, "abc", "0", "21601", "-5", "1.5", ""])
def test_a_put_without_a_lifetime_is_400(strict: Guest, ttl: str | None) -> None:
    answer = put(strict, ttl)
    assert answer.status == 400
    assert b"<title>400 - Bad Request</title>" in answer.body


def test_a_forwarded_put_is_403(strict: Guest) -> None:
    assert put(strict, **{"X-Forwarded-For": "10.0.0.9"}).status == 403


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_a_put_to_another_version_is_403(strict: Guest, version: str) -> None:
    assert put(strict, path=f"/{version}/api/token").status == 403
    assert strict.ask(f"/{version}/api/token").status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_other_methods_on_the_token_are_405(strict: Guest, method: str) -> None:
    answer = strict.ask("/latest/api/token", method)
    assert (answer.status, answer.body) == (405, b"")
    assert header(answer, "Allow") == "OPTIONS, PUT"


def test_options_tells_the_methods(strict: Guest) -> None:
    answer = strict.ask("/latest/api/token", "OPTIONS")
    assert (answer.status, header(answer, "Allow")) == (200, "OPTIONS, PUT")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/latest",
        f"{META}/instance-id",
        "/2009-04-04/meta-data",
        "/latest/user-data",
        "/latest/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_closed_endpoint_is_403_everywhere(path: str, method: str) -> None:
    guest = Guest(FIVE_LINES.replace("[ec2]", "{ec2: {endpoint: off}, kubevirt: on}"))
    assert guest.ask(path, method, guest.in_session()).status == 403
    assert put(guest).status == 403
    assert guest.ask("/v1/identity", headers={"Metadata": "true"}).status == 200


def test_an_answer_tells_the_seconds_left(strict: Guest) -> None:
    token = put(strict, "100").body.decode()
    strict.fake.advance(30)
    answer = strict.ask(f"{META}/instance-id", headers={TOKEN: token})
    assert (answer.status, header(answer, TTL)) == (200, "70")


def test_a_token_of_another_machine_or_none_is_401(strict: Guest) -> None:
    other = Guest(FIVE_LINES.replace("web-1", "web-2"))
    for guest in (strict, optional()):
        for token in (other.sessions.issue(60), "junk", ""):
            answer = guest.ask(f"{META}/instance-id", headers={TOKEN: token})
            assert answer.status == 401
            assert b"<title>401 - Unauthorized</title>" in answer.body


def test_a_token_that_ended_is_401(strict: Guest) -> None:
    token = put(strict, "10").body.decode()
    strict.fake.advance(10)
    assert strict.ask(f"{META}/instance-id", headers={TOKEN: token}).status == 401


def test_another_epoch_revokes_all_tokens(strict: Guest) -> None:
    token = put(strict).body.decode()
    revoked = Guest(FIVE_LINES + "session_epoch: 1\n")
    assert revoked.ask(f"{META}/instance-id", headers={TOKEN: token}).status == 401


def test_without_a_token_it_is_401_or_as_before() -> None:
    for path in (f"{META}/instance-id", META, "/latest", "/latest/user-data", "/latest/none"):
        assert Guest(FIVE_LINES).status(path) == 401
    assert optional().status(f"{META}/instance-id") == 200
    assert Guest(FIVE_LINES).status("/") == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_on_data_are_405(method: str) -> None:
    answer = optional().ask(f"{META}/instance-id", method)
    assert (answer.status, header(answer, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("dialects", "status"),
    [
        ("[ec2]", 401),
        ("[ec2, kubevirt, nocloud]", 401),
        ("[ec2, openstack]", 200),
        ("{ec2: {tokens: required}, openstack: on}", 401),
        ("{ec2: {tokens: optional}}", 200),
    ],
)
def test_tokens_are_required_unless_openstack_shares_the_tree(dialects: str, status: int) -> None:
    guest = Guest(FIVE_LINES.replace("[ec2]", dialects))
    assert guest.status(f"{META}/instance-id") == status


def test_beside_openstack_there_is_one_tree_only() -> None:
    guest = Guest(FIVE_LINES.replace("[ec2]", "[ec2, openstack]"))
    assert guest.status("/ec2/latest/meta-data/") == 404
    assert guest.text(f"{META}/instance-id").startswith("i-")


def test_the_answer_with_a_token_is_limited_to_the_policys_hops() -> None:
    guest = Guest(FIVE_LINES.replace("[ec2]", "{ec2: {hop_limit: 3}}"))
    assert put(guest).status == 200
    assert guest.last_hop_limit == 3
    assert guest.ask("/").status == 200
    assert guest.last_hop_limit == 0


# ------------------------------------------------------------------------------------ the native


NATIVE = "name: web-1\ndialects: {kubevirt: {tokens: required}}\n"
HEADERS = {"Metadata": "true"}


def test_the_native_dialect_can_demand_tokens_too() -> None:
    guest = Guest(NATIVE)
    refused = guest.ask("/v1/identity", headers=HEADERS)
    assert (refused.status, json.loads(refused.body)["error"]) == (401, "missing_session_token")
    bad = guest.ask("/v1/identity", headers=HEADERS | {TOKEN: "x"})
    assert (bad.status, json.loads(bad.body)["error"]) == (401, "invalid_session_token")
    assert guest.ask("/v1/api/token", "PUT", {TTL: "60"}).status == 400
    wrong = guest.ask("/v1/api/token", "PUT", HEADERS | {TTL: "0"})
    assert (wrong.status, json.loads(wrong.body)["error"]) == (400, "bad_lifetime")
    token = guest.ask("/v1/api/token", "PUT", HEADERS | {TTL: "60"}).body.decode()
    answer = guest.ask("/v1/identity", headers=HEADERS | {TOKEN: token})
    assert (answer.status, header(answer, TTL)) == (200, "60")


def test_a_token_of_one_dialect_is_good_in_the_other() -> None:
    guest = Guest("name: web-1\ndialects: {kubevirt: {tokens: required}, ec2: on}\n")
    token = {TOKEN: put(guest).body.decode()}
    assert guest.ask("/v1/identity", headers=HEADERS | token).status == 200
    other = {TOKEN: guest.ask("/v1/api/token", "PUT", HEADERS | {TTL: "60"}).body.decode()}
    assert guest.ask(f"{META}/instance-id", headers=other).status == 200


def test_the_native_dialect_knows_no_tokens_unless_told() -> None:
    guest = Guest("name: web-1\ndialects: [kubevirt]\n")
    assert guest.ask("/v1/api/token", "PUT", HEADERS | {TTL: "60"}).status == 405
    assert guest.ask("/v1/identity", headers=HEADERS | {TOKEN: "whatever"}).status == 200


# ----------------------------------------------------------------------------------------- roles


def test_a_role_has_one_name_and_a_document_that_sdks_read(full: Guest) -> None:
    document = full.json(f"{META}/iam/security-credentials/web-role")
    assert document["Code"] == "Success"
    assert document["Type"] == "AWS-HMAC"
    assert document["AccessKeyId"].startswith("ASIA")
    assert set(document) == {
        "Code",
        "LastUpdated",
        "Type",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "Expiration",
    }
    info = full.json(f"{META}/iam/info")
    assert info["InstanceProfileArn"].endswith(":instance-profile/web-role")
    assert info["InstanceProfileId"].startswith("AIPA")
    assert len(info["InstanceProfileId"]) == 21
    assert info["LastUpdated"] == document["LastUpdated"]


def test_every_machine_has_an_identity_role(full: Guest) -> None:
    info = full.json(f"{META}/identity-credentials/ec2/info")
    own = full.json(f"{META}/identity-credentials/ec2/security-credentials/ec2-instance")
    assert (info["Code"], own["Code"]) == ("Success", "Success")
    assert info["AccountId"] == own["AccountId"] == full.json(f"{IDENTITY}/document")["accountId"]
    keys = full.json(f"{META}/iam/security-credentials/web-role")["AccessKeyId"]
    assert own["AccessKeyId"] != keys


def test_a_profile_belongs_to_the_roles_account() -> None:
    guest = Guest(
        "name: web-1\ndialects: {ec2: {tokens: optional}}\n"
        "tokens: [sts.amazonaws.com]\n"
        "ec2: {credentials: {role: r, provider: web-identity, endpoint: 'http://127.0.0.1:9',"
        " role_arn: 'arn:aws:iam::123456789012:role/r'}}\n"
    )
    document = guest.json(f"{META}/iam/security-credentials/r")
    assert document["Code"] == "Failed"
    assert set(document) == {"Code", "Message", "LastUpdated"}
    assert guest.json(f"{META}/iam/info")["Code"] == "Failed"


def test_credentials_rotate_before_they_end(full: Guest) -> None:
    guest = optional(COMPLETE + FULL)
    path = f"{META}/iam/security-credentials/web-role"
    before = guest.json(path)
    guest.fake.advance(21_600)
    assert guest.json(path)["AccessKeyId"] != before["AccessKeyId"]


# -------------------------------------------------------------------------------------- identity


def test_every_form_signs_the_document(full: Guest) -> None:
    size = len(full.ask(f"{IDENTITY}/document").body)
    for form in ("pkcs7", "rsa2048", "signature"):
        assert full.text(f"{IDENTITY}/{form}") == f"{form} of {size} bytes"


# ---------------------------------------------------------------------------------------- events


EVENTS = """\
events:
  - {kind: interruption, notice: start+60s, begins: notice+2m, ends: begins+1m}
  - {kind: rebalance, notice: start+30s}
  - kind: maintenance
    id: abc
    action: host-reboot
    begins: start+1h
    ends: begins+1h
  - {kind: lifecycle, state: Terminated, notice: start+90s, ends: notice+30s}
"""


def test_events_come_and_go() -> None:
    guest = optional(FIVE_LINES + EVENTS + "ec2: {auto_scaling_state: InService}\n")
    spot, rebalance = f"{META}/spot", f"{META}/events/recommendations/rebalance"
    state = f"{META}/autoscaling/target-lifecycle-state"

    def later(seconds: float) -> None:
        guest.fake.advance(seconds)
        guest.again()

    scheduled = guest.json(f"{META}/events/maintenance/scheduled")
    assert scheduled == [
        {
            "NotBefore": "15 Jan 2027 09:00:00 GMT",
            "Code": "system-reboot",
            "Description": "The machine is due: host-reboot",
            "EventId": "instance-event-abc",
            "NotAfter": "15 Jan 2027 10:00:00 GMT",
            "State": "active",
        }
    ]
    assert guest.status(spot) == guest.status(rebalance) == 404
    assert "spot/" not in guest.text(META)
    later(30)
    assert guest.json(rebalance) == {"noticeTime": "2027-01-15T08:00:30Z"}
    later(30)
    action = {"action": "terminate", "time": "2027-01-15T08:03:00Z"}
    assert guest.json(f"{spot}/instance-action") == action
    assert guest.text(f"{spot}/termination-time") == "2027-01-15T08:03:00Z"
    assert guest.text(state) == "InService"
    later(30)
    assert guest.text(state) == "Terminated"
    later(30)
    assert guest.text(state) == "InService"
    later(120)
    assert guest.status(spot) == 404
    later(7200)
    assert guest.json(f"{META}/events/maintenance/scheduled") == []
    [past] = guest.json(f"{META}/events/maintenance/history")
    assert past["State"] == "completed"


def test_a_machine_that_is_only_stopped_has_no_termination_time() -> None:
    guest = optional(FIVE_LINES + "events: [{kind: interruption, action: hibernate}]\n")
    assert guest.json(f"{META}/spot/instance-action")["action"] == "hibernate"
    assert guest.status(f"{META}/spot/termination-time") == 404


def test_maintenance_without_end_has_none() -> None:
    text = "events: [{kind: maintenance, ends: first-request+1d}]\n"
    guest = optional(FIVE_LINES + text)
    [event] = guest.json(f"{META}/events/maintenance/scheduled")
    assert event["NotAfter"] == "16 Jan 2027 08:00:00 GMT"


# ------------------------------------------------------- no dead entry, whatever is described


names = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
tags = st.dictionaries(
    st.text(
        st.characters(codec="utf-8", max_codepoint=0x24F, exclude_categories=["Cc"]),
        min_size=1,
        max_size=12,
    ),
    names,
    max_size=4,
)
kinds = st.lists(st.sampled_from(["interruption", "rebalance"]), max_size=2)
macs = st.lists(st.integers(0, 255), max_size=3, unique=True)


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    number = st.integers(1, 254)
    interfaces = [
        {
            "mac": f"52:54:00:00:00:{last:02x}",
            "addresses": draw(
                st.sampled_from(
                    [
                        ["dhcp4"],
                        [],
                        [f"10.{index}.0.{draw(number)}/{draw(st.integers(8, 24))}"],
                        [f"fd0{index}::{draw(number):x}/64", "dhcp4"],
                    ]
                )
            ),
            "public_addresses": draw(st.sampled_from([[], [f"203.0.113.{index + 1}"]])),
        }
        for index, last in enumerate(draw(macs))
    ]
    described = {
        "name": draw(names),
        "tags": draw(tags),
        "interfaces": interfaces,
        "user_data": draw(st.sampled_from(["", "#!/bin/sh\n"])),
        "public_keys": draw(st.sampled_from([[], [ED25519], [{"name": "a=b/", "key": RSA}]])),
        "dialects": {"ec2": {"tags": draw(st.booleans())}},
        "events": draw(
            st.lists(
                st.sampled_from([{"kind": "interruption"}, {"kind": "rebalance"}]), max_size=2
            )
        ),
        "ec2": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "kernel_id": names,
                    "product_codes": st.lists(names, max_size=2),
                    "system": st.sampled_from(["", "nitro"]),
                    "vhostmd": st.sampled_from(["", "<x/>"]),
                    "block_devices": st.sampled_from([{}, {"ami": "vda", "ebs0": "vdb"}]),
                    "credentials": st.sampled_from([{}, {"role": "a-role"}]),
                    "elastic_inference": st.sampled_from([{}, {"eia-1": {}}]),
                    "managed_ssh_keys": st.sampled_from([{}, {"active_keys": {"ada": "k"}}]),
                },
            )
        ),
    }
    return json.dumps(described, ensure_ascii=False)


@settings(max_examples=25)
@given(descriptions())
def test_a_crawl_finds_no_dead_entry(description: str) -> None:
    guest = Guest(description)
    walked = walk(guest, "/latest/", guest.in_session())
    assert f"{META}/instance-id" in walked
    top = guest.ask("/").body.decode().splitlines()
    for version in (top[0], top[8]):
        assert len(walk(guest, f"/{version}/", guest.in_session())) == len(walked)


def test_only_ssh_keys_are_public_keys() -> None:
    pem = CERTIFICATE.replace("\n", "\n      ")
    vm = Guest(
        "name: vm\ndialects: {ec2: {tokens: optional}}\npublic_keys:\n"
        f"  - name: rdp\n    type: x509\n    key: |\n      {pem}\n"
        f"  - {{name: ops, key: {ED25519}}}\n"
    )
    assert vm.text("/latest/meta-data/public-keys/") == "0=ops"


def test_a_bond_lends_its_addresses_to_the_card_whose_mac_it_has() -> None:
    cards = "".join(
        f"  - {{name: e{n}, mac: 52:54:00:00:00:0{n}, addresses: []}}\n" for n in range(4)
    )
    bonds = "".join(
        f"  - name: b{n}\n    mac: 52:54:00:00:00:0{2 * n}\n    addresses: [10.0.{n}.5/24]\n"
        f"    bond: {{links: [e{2 * n}, e{2 * n + 1}]}}\n"
        for n in range(2)
    )
    vm = Guest(f"name: vm\ndialects: {{ec2: {{tokens: optional}}}}\ninterfaces:\n{cards}{bonds}")
    macs = "/latest/meta-data/network/interfaces/macs"
    assert vm.text(f"{macs}/52:54:00:00:00:00/local-ipv4s") == "10.0.0.5"
    assert vm.text(f"{macs}/52:54:00:00:00:02/local-ipv4s") == "10.0.1.5"
    assert vm.status(f"{macs}/52:54:00:00:00:01/local-ipv4s") == 404
