"""Attested identity with a third party's eyes, by what the docs have for guest and verifier."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.verification import VerificationError
from msgspec.structs import astuple, replace

from tests.server.process import DEADLINE, until
from tests.support.pod import Volume, described, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.process import Serving

pytestmark = [pytest.mark.client, pytest.mark.xdist_group("attested")]

PAGE = (Path(__file__).parents[2] / "docs/dialects/kubevirt.md").read_text()
SECTION = PAGE.partition("\n## Attested identity\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FETCH, AUTHORITY, VERIFY, FUNCTION, KEYS = (text for _, text in BLOCK.findall(SECTION))
NAMES = ("document", "signature", "certificate")
UUID = "5f3c0de5-0000-4000-8000-00000000abcd"

# Stands in for the cluster, which the commands ask for one Secret and give another.
KUBECTL = """#!{python}
import json, pathlib, sys, yaml
cluster = pathlib.Path(__file__).parent
if sys.argv[1:] == ["apply", "-f", "-"]:
    for manifest in yaml.safe_load_all(sys.stdin):
        name = manifest["metadata"]["namespace"] + "." + manifest["metadata"]["name"]
        (cluster / name).write_text(json.dumps(manifest))
else:
    option, namespace, get, secret, name, output, form = sys.argv[1:]
    assert (option, get, secret, output) == ("-n", "get", "secret", "-o")
    found = (cluster / f"{namespace}.{name}").read_text()
    print(found if form == "json" else json.loads(found)["data"]["ca.crt"])
    assert form in {"json", r"jsonpath={.data.ca\\.crt}"}
"""


class Evidence(msgspec.Struct, frozen=True):
    """What a guest hands to a verifier."""

    document: bytes
    signature: bytes
    certificate: bytes


class Cluster:
    """A folder of Secrets, and the commands that the docs have for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        kubectl = folder / "kubectl"
        kubectl.write_text(KUBECTL.replace("{python}", sys.executable))
        kubectl.chmod(0o755)
        self.run("imds-emulator keys --new-ca imds-system | kubectl apply -f -")
        self.run(AUTHORITY)
        self.authority = (folder / "ca.crt").read_bytes()

    def run(self, command: str) -> None:
        path = f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = f"set -o pipefail\n{command}"
        environment = {**os.environ, "PATH": path}
        subprocess.run(["bash", "-c", command], cwd=self.folder, env=environment, check=True)

    def keys(self, namespace: str) -> dict[str, bytes]:
        """Make the keys of ``namespace``, and give them as a pod mounts them."""
        self.run(KEYS.replace("keys shop", f"keys {namespace}"))
        made = json.loads((self.folder / f"{namespace}.imds-emulator-keys").read_text())
        return {f"keys/{name}": b64decode(text) for name, text in made["data"].items()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return Cluster(tmp_path_factory.mktemp("attested") / "cluster")


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> dict[str, bytes]:
    return cluster.keys("shop")


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> dict[str, bytes]:
    return cluster.keys("bank")


def pod(**annotations: str) -> dict[str, bytes]:
    return {**described("web-1", uuid=UUID, **annotations), "tokens/token": b"h.c.s"}


def fetched(server: Serving, folder: Path) -> Evidence:
    """Run what the docs have for the guest."""
    folder.mkdir(exist_ok=True)
    command = FETCH.replace("http://169.254.169.254", server.url)
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    return Evidence(*((folder / name).read_bytes() for name in NAMES))


@pytest.fixture(scope="module")
def evidence(
    shop: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("evidence")
    with started(folder, Volume(folder / "pod", pod() | shop), "shop", "web") as server:
        yield fetched(server, folder / "guest")


def by_openssl(
    folder: Path, shown: Evidence, authority: bytes, command: str = VERIFY, **environment: str
) -> bool:
    """Run what the docs have for a verifier with OpenSSL."""
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).write_bytes(getattr(shown, name))
    (folder / "ca.crt").write_bytes(authority)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        text=True,
    )
    # What is not proved is never said to be.
    assert (done.returncode == 0) is done.stdout.endswith("Verified OK\n")
    return done.returncode == 0


def function() -> Callable[..., dict[str, Any]]:
    """Give the docs' function."""
    names: dict[str, Any] = {}
    exec(FUNCTION, names)  # noqa: S102  it is what is tested
    found: Callable[..., dict[str, Any]] = names["verified"]
    return found


def by_python(shown: Evidence, authority: bytes) -> bool:
    """Call what the docs have for a verifier in Python."""
    try:
        function()(shown.document, shown.signature, shown.certificate, authority)
    except (ValueError, TypeError, KeyError, VerificationError, InvalidSignature):
        return False
    return True


def proved(folder: Path, shown: Evidence, authority: bytes) -> bool:
    """Have both verify; they agree."""
    answers = by_openssl(folder / "verifier", shown, authority), by_python(shown, authority)
    assert len(set(answers)) == 1, answers
    return answers[0]


def signed(document: bytes, keys: dict[str, bytes], certificate: bytes = b"") -> Evidence:
    """Sign whatever a tenant likes, who can read the keys of the own namespace."""
    key = load_pem_private_key(keys["keys/identity.key"], None)
    assert isinstance(key, RSAPrivateKey)
    signature = b64encode(key.sign(document, PKCS1v15(), SHA256()))
    return Evidence(document, signature, certificate or keys["keys/identity.crt"])


def claim(namespace: object) -> bytes:
    document = {"version": 1, "namespace": namespace, "vmName": "web-1", "uuid": UUID}
    return json.dumps(document).encode()


def forged(name: str, keys: dict[str, bytes], issuer: x509.Name) -> bytes:
    """Give a certificate for ``name`` that the key of another namespace has signed."""
    key = load_pem_private_key(keys["keys/identity.key"], None)
    assert isinstance(key, RSAPrivateKey)
    own = x509.load_pem_x509_certificate(keys["keys/identity.crt"])
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_before_utc + dt.timedelta(days=9))
        .add_extension(alternative, critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


# ---------------------------------------------------------------- what a pod's server says


def test_what_a_guest_shows_is_proved(
    evidence: Evidence, cluster: Cluster, tmp_path: Path
) -> None:
    assert evidence.document == (
        b'{"version":1,"namespace":"shop","vmName":"web-1","serviceAccountName":"web",'
        b'"uuid":"%s"}\n' % UUID.encode()
    )
    assert proved(tmp_path, evidence, cluster.authority)
    told = function()(*astuple(evidence), cluster.authority)
    assert told["namespace"] == "shop"


def test_a_migrated_vm_shows_the_same(
    evidence: Evidence, shop: dict[str, bytes], tmp_path: Path
) -> None:
    with started(tmp_path / "s", Volume(tmp_path / "pod", pod() | shop), "shop", "web") as target:
        assert fetched(target, tmp_path / "guest") == evidence


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_is_found_out(
    name: str, evidence: Evidence, cluster: Cluster, tmp_path: Path
) -> None:
    whole = getattr(evidence, name)
    for place in (len(whole) // 3, len(whole) - 5):
        changed = bytearray(whole)
        changed[place] ^= 1 if chr(whole[place] ^ 1).isalnum() else 2
        shown = replace(evidence, **{name: bytes(changed)})
        # Of a chain the last certificates are not the leaf's concern.
        if name != "certificate" or place < whole.index(b"-----END"):
            assert not proved(tmp_path, shown, cluster.authority), place


def test_another_authority_proves_nothing(
    evidence: Evidence, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Cluster(tmp_path_factory.mktemp("other") / "cluster")
    assert not proved(tmp_path, evidence, other.authority)


def test_what_the_system_trusts_proves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """An authority in the system's own store may name whatever it likes."""
    store = tmp_path / "store"
    store.mkdir()
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=company -out store/ca.pem"
    make += " -keyout ca.key -addext keyUsage=critical,keyCertSign 2> log"
    certify = "imds-emulator keys bank --ca-cert store/ca.pem --ca-key ca.key > bank.yaml"
    for command in (make, "openssl rehash store", certify):
        cluster.run(f"cd {tmp_path}; {command}")
    made = yaml.safe_load((tmp_path / "bank.yaml").read_text())
    keys = {f"keys/{name}": b64decode(text) for name, text in made["data"].items()}
    shown = signed(claim("bank"), keys)
    trusting = {"SSL_CERT_DIR": str(store)}
    assert not by_openssl(tmp_path / "v", shown, cluster.authority, **trusting)
    # It is two options that leave it out.
    loose = VERIFY.replace("-no-CApath -no-CAstore", "")
    assert by_openssl(tmp_path / "v", shown, cluster.authority, command=loose, **trusting)


# ---------------------------------------------------------- what a tenant can do with their keys


@pytest.mark.parametrize(
    "namespace",
    [
        "bank",
        "Shop",
        "",
        ".",
        "x.shop",
        "shop.namespace.imds-emulator.internal#",
        "*",
        "shop\n",
        "bank\nshop",
        "shop ",
        None,
        ["shop"],
        {"shop": 1},
        1,
    ],
)
def test_the_key_of_a_namespace_proves_no_other(
    namespace: object, cluster: Cluster, shop: dict[str, bytes], tmp_path: Path
) -> None:
    shown = signed(claim(namespace), shop)
    assert not by_python(shown, cluster.authority)
    # A shell drops final line ends: what it then compares is the certificate's namespace.
    assert by_openssl(tmp_path / "v", shown, cluster.authority) is (namespace == "shop\n")
    # The same claim of the namespace that it is the key of is believed.
    assert proved(tmp_path, signed(claim("shop"), shop), cluster.authority)


def test_no_certificate_helps(
    cluster: Cluster, shop: dict[str, bytes], bank: dict[str, bytes], tmp_path: Path
) -> None:
    """Not the other namespace's, which is no secret, nor one of the tenant's own making."""
    name = "bank.namespace.imds-emulator.internal"
    mine, theirs = shop["keys/identity.crt"], bank["keys/identity.crt"]
    own = x509.load_pem_x509_certificate(mine).subject
    for certificate in (
        theirs,
        theirs + mine,
        mine + theirs,
        forged(name, shop, x509.Name([])),
        forged(name, shop, own) + mine,
        mine + forged(name, shop, own),
    ):
        assert not proved(tmp_path, signed(claim("bank"), shop, certificate), cluster.authority)
    assert proved(tmp_path, signed(claim("bank"), bank), cluster.authority)


def test_a_document_without_a_namespace_proves_nothing(
    cluster: Cluster, shop: dict[str, bytes], tmp_path: Path
) -> None:
    for document in (b"{}", b"[]", b"shop", b"", b'{"namespace":"shop"'):
        assert not proved(tmp_path, signed(document, shop), cluster.authority)


# ---------------------------------------------------------------- the pod's server


def statuses(server: Serving) -> list[int]:
    return [server.get(f"/v1/identity/{name}", Metadata="true").status_code for name in NAMES]


def test_keys_of_another_namespace_attest_nothing(
    shop: dict[str, bytes], cluster: Cluster, tmp_path: Path
) -> None:
    with started(tmp_path / "s", Volume(tmp_path / "pod", pod() | shop), "bank") as server:
        assert statuses(server) == [404, 404, 404]
        assert server.get("/v1/identity", Metadata="true").json()["namespace"] == "bank"
        assert any("bank.namespace.imds-emulator.internal" in line for line in server.lines)


def test_an_annotation_does_not_choose_the_namespace(
    shop: dict[str, bytes], cluster: Cluster, tmp_path: Path
) -> None:
    files = pod(namespace="bank") | shop
    with started(tmp_path / "s", Volume(tmp_path / "pod", files), "shop") as server:
        shown = fetched(server, tmp_path / "guest")
    assert json.loads(shown.document)["namespace"] == "shop"
    assert proved(tmp_path, shown, cluster.authority)


def test_a_pod_without_keys_attests_nothing_and_signs_ec2s_documents(tmp_path: Path) -> None:
    files = pod(dialects="kubevirt, ec2")
    with started(tmp_path / "s", Volume(tmp_path / "pod", files), "shop") as server:
        for name in NAMES:
            answer = server.get(f"/v1/identity/{name}", Metadata="true")
            assert (answer.status_code, answer.text) == (404, "404 page not found\n")
        assert not (tmp_path / "s/state/identity.pem").exists()
        session = requests.put(
            f"{server.url}/latest/api/token",
            headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"},
            timeout=20,
        ).text
        path = "/latest/dynamic/instance-identity/rsa2048"
        answer = server.get(path, **{"X-aws-ec2-metadata-token": session})
        assert answer.text.startswith("MII")


def test_keys_that_nobody_asks_for_cost_nothing(shop: dict[str, bytes], tmp_path: Path) -> None:
    with started(tmp_path / "s", Volume(tmp_path / "pod", pod() | shop), "shop") as server:
        maps = Path(f"/proc/{server.process.pid}/maps")
        assert server.get("/v1/identity/document", Metadata="true").ok
        assert "cryptography" not in maps.read_text()
        assert server.get("/v1/identity/signature", Metadata="true").ok
        assert "cryptography" in maps.read_text()


def test_a_broken_pair_stops_the_start(
    shop: dict[str, bytes], bank: dict[str, bytes], tmp_path: Path
) -> None:
    files = pod() | shop | {"keys/identity.key": bank["keys/identity.key"]}
    volume = Volume(tmp_path / "pod", files)
    server = started(tmp_path / "s", volume, "shop")
    assert server.process.wait(DEADLINE) == 2
    server.__exit__()
    [said] = server.lines
    assert "the key is not the certificate's" in said


def test_a_changed_document_has_another_signature(
    shop: dict[str, bytes], cluster: Cluster, tmp_path: Path
) -> None:
    volume = Volume(tmp_path / "pod", pod() | shop)
    with started(tmp_path / "s", volume, "shop") as server:
        before = fetched(server, tmp_path / "guest")
        volume.replace(pod(name="web-2") | shop)
        until(lambda: b"web-2" in fetched(server, tmp_path / "guest").document)
        after = fetched(server, tmp_path / "guest")
    assert after.signature != before.signature
    assert proved(tmp_path, after, cluster.authority)
    mixed = replace(after, signature=before.signature)
    assert not proved(tmp_path, mixed, cluster.authority)


def test_renewed_keys_are_taken_over_and_broken_ones_are_not(
    shop: dict[str, bytes], cluster: Cluster, tmp_path: Path
) -> None:
    volume = Volume(tmp_path / "pod", pod() | shop)
    with started(tmp_path / "s", volume, "shop") as server:
        before = fetched(server, tmp_path / "guest")
        renewed = cluster.keys("shop")
        volume.replace(pod() | renewed | {"keys/identity.key": shop["keys/identity.key"]})
        until(lambda: "identity" in not_ready(server))
        assert "the key is not the certificate's" in not_ready(server)["identity"]
        assert fetched(server, tmp_path / "guest") == before
        volume.replace(pod() | renewed)
        until(lambda: fetched(server, tmp_path / "guest").certificate != before.certificate)
        assert not not_ready(server)
        after = fetched(server, tmp_path / "guest")
    assert after.document == before.document
    assert after.signature != before.signature
    assert proved(tmp_path, after, cluster.authority)


def not_ready(server: Serving) -> dict[str, str]:
    answer = requests.get(f"{server.operator}/readyz", timeout=20)
    found: dict[str, str] = answer.json()["not_ready"]
    return found


def test_the_same_keys_know_each_others_session_tokens(
    shop: dict[str, bytes], tmp_path: Path
) -> None:
    files = pod(dialects="{kubevirt: {tokens: required}}") | shop
    with (
        started(tmp_path / "a", Volume(tmp_path / "source", files), "shop") as source,
        started(tmp_path / "b", Volume(tmp_path / "target", files), "shop") as target,
    ):
        wish = {"X-aws-ec2-metadata-token-ttl-seconds": "60", "Metadata": "true"}
        token = requests.put(f"{source.url}/v1/api/token", headers=wish, timeout=20).text
        headers = {"X-aws-ec2-metadata-token": token, "Metadata": "true"}
        assert target.get("/v1/identity/signature", **headers).ok
        assert statuses(target) == [401, 401, 401]
