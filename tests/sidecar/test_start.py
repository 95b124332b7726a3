"""From the pod's start to the guest's first request: order, signals, rights."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.sidecar.world import ARGUMENTS, IPV4, LINK_LOCAL, folder, get
from tests.support.launcher import Bridge, Launcher, Masquerade
from tests.support.sidecar import FS_GROUP, Sidecar

pytestmark = [pytest.mark.namespace, pytest.mark.xdist_group("sidecar")]

UNPRIVILEGED: dict[str, Any] = {"user": 65532, "groups": (FS_GROUP,), "capabilities": ()}
AT_ONCE = 2.0  # seconds, on a machine that is busy otherwise: the pod would wait for 60


def test_everything_comes_in_kubevirts_order() -> None:
    with (
        folder() as made,
        Launcher(Masquerade()) as launcher,
        # The pod starts: the sidecar is up, which is all that the kubelet asks of it. Only then
        # KubeVirt has the machine handed over, and makes its network.
        launcher.sidecar(made) as sidecar,
    ):
        sidecar.waiting()
        pod = launcher.pod
        assert "k6t-" not in pod.run("ip", "link")
        assert sidecar.process.poll() is None
        # The bridge alone is not enough, nor is a tap that is not its port.
        pod.ip("link add k6t-eth0 type bridge", "link set k6t-eth0 up")
        pod.ip("link add tap0 type bridge", "link set tap0 up")
        pod.ip("link del tap0", "link del k6t-eth0")
        launcher.hand_over()
        sidecar.listening()
        # Nothing is plugged in: the virtual machine has not been started.
        assert "NO-CARRIER" in pod.run("ip", "link", "show", "k6t-eth0")
        assert get(pod, IPV4)[0] == 200
        assert get(pod, LINK_LOCAL, zone="imds0")[0] == 200


def test_the_server_has_no_rights_left() -> None:
    with folder({"tokens/token": "not.a.jwt"}) as made, Launcher(Bridge()) as launcher:
        token = made / "podinfo/tokens/token"
        # As the kubelet leaves it for the pod's group; of the others, nobody may read it.
        token.chmod(0o640)
        launcher.pod.run("chown", f"0:{FS_GROUP}", str(token))
        launcher.hand_over()
        with launcher.sidecar(made).listening() as sidecar:
            status = sidecar.status()
            held = {
                name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")
            }
            assert set(held.values()) == {0}
            assert status["Uid"].split() == ["65532"] * 4
            assert status["Gid"].split() == ["65532"] * 4
            assert status["Groups"].split() == [str(FS_GROUP)]
            assert status["NoNewPrivs"] == "1"
            assert get(launcher.boot(), IPV4, "/v1/token")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_while_it_waits(number: signal.Signals) -> None:
    with (
        folder() as made,
        Launcher(Masquerade()) as launcher,
        launcher.sidecar(made).waiting() as sidecar,
    ):
        sidecar.signal(number)
        assert sidecar.process.wait(AT_ONCE) == 0


def test_no_signal_is_lost_on_the_way_to_the_server() -> None:
    with folder() as made, Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        with launcher.sidecar(made) as sidecar:
            sidecar.says("guest behind")
            # It has not got further than to its first modules.
            while "serve" not in sidecar.command():
                assert sidecar.process.poll() is None
            assert sidecar.stop() == 0


def test_afterwards_it_is_the_server_that_ends() -> None:
    with folder() as made, Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        with launcher.sidecar(made).listening() as sidecar:
            assert sidecar.command()[3] == "serve"
            assert sidecar.stop() == 0


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("net_admin", "needs the capability NET_ADMIN"),
        ("net_bind_service", "CAP_NET_BIND_SERVICE"),
        ("setuid", "needs the capabilities SETUID and SETGID"),
        ("setgid", "needs the capabilities SETUID and SETGID"),
    ],
)
def test_what_it_may_do_is_what_it_needs(missing: str, said: str) -> None:
    with folder() as made, Launcher(Masquerade()) as launcher:
        launcher.pod.sysctl(ipv4__ip_unprivileged_port_start=1024)
        launcher.hand_over()
        wanted = {"net_admin", "net_bind_service", "setgid", "setuid"} - {missing}
        with launcher.sidecar(made, capabilities=tuple(sorted(wanted))) as sidecar:
            line = sidecar.says("^imds-emulator sidecar: ")
            assert sidecar.process.wait(AT_ONCE) == 1
            assert said in line


def test_keys_of_the_namespace_are_taken_if_they_are_there() -> None:
    with folder({"keys/session.key": "k" * 40}) as made, Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        with launcher.sidecar(made, *ARGUMENTS).listening() as sidecar:
            command = sidecar.command()
    assert command[command.index("--session-key") + 1] == f"{made}/podinfo/keys/session.key"
    assert "--identity-cert" not in command


def test_without_plumbing_no_rights_are_needed() -> None:
    with folder() as made, Launcher(Masquerade()) as launcher:
        arguments = ("--plumbing=none", "--listen=127.0.0.1:16925")
        with Sidecar(launcher.pod, made, arguments, **UNPRIVILEGED).listening() as sidecar:
            assert sidecar.status()["CapBnd"] == "0" * 16
            assert get(launcher.pod, "127.0.0.1:16925")[0] == 200
            assert "imds0" not in launcher.pod.run("ip", "link")


def test_without_plumbing_the_addresses_must_be_there() -> None:
    with folder() as made, Launcher(Masquerade()) as launcher:
        launcher.pod.sysctl(ipv4__ip_unprivileged_port_start=0)
        with Sidecar(launcher.pod, made, ("--plumbing=none",), **UNPRIVILEGED) as sidecar:
            assert "has none of the addresses" in sidecar.says("^imds-emulator sidecar: ")
        launcher.pod.ip(f"address add {IPV4}/32 dev lo")
        with Sidecar(launcher.pod, made, ("--plumbing=none",), **UNPRIVILEGED).listening():
            assert get(launcher.pod, IPV4)[0] == 200
