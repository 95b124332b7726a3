"""An imitation of KubeVirt's virt-launcher pod: its network, made in the order in which it grows.

    launcher = Launcher(Masquerade())       # the pod, its uplink and a neighbour, as CNI has it
    sidecar = launcher.sidecar(folder)      # starts at once, and waits
    launcher.hand_over()                    # what virt-handler does: bridge, tap and rules
    guest = launcher.boot()                 # a namespace as the guest, on the tap
    sidecar.listening()

With ``tap=True`` the tap is a real one, for QEMU to open in the pod's namespace
(``launcher.pod.inside("qemu-system-x86_64", "-netdev", "tap,id=n,ifname=tap0,script=no,...")``),
and ``boot`` is not for it. Names, addresses, settings and rules are those of KubeVirt's
``pkg/network/setup/netpod``; a dummy is a veth here, which every kernel has.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from tests.support.namespaces import Namespace
from tests.support.sidecar import CAPABILITIES, Sidecar

UPLINK_MAC = "0a:58:0a:f4:01:05"
MASQUERADE_MAC = "02:00:00:00:00:00"
NEIGHBOUR_MAC = "0a:58:0a:f4:01:01"


class Masquerade(NamedTuple):
    """The pod keeps its address and translates; ``ports`` are those that the machine lists."""

    ports: tuple[int, ...] = ()
    ipv6: bool = True


class Bridge(NamedTuple):
    """The guest has the pod's address, and its gateway is out on the network."""

    ipv6: bool = True


class Launcher:
    """The pod (``pod``), what is beside it on its network (``neighbour``), and perhaps a guest."""

    ADDRESSES: tuple[str, ...] = ("10.244.1.5/24", "fd00:10:244:1::5/64")
    GATEWAYS: tuple[str, ...] = ("10.244.1.1", "fd00:10:244:1::1")

    def __init__(
        self,
        binding: Masquerade | Bridge,
        *,
        network: str = "eth0",
        tap: bool = False,
        rp_filter: int = 0,
        ipv6: bool = True,
    ) -> None:
        """Make what there is before KubeVirt comes: the pod with its link ``network``.

        ``network`` is ``eth0``, or ``pod`` and a hash for a secondary one. Without ``ipv6`` it is
        switched off in the pod, as container runtimes do on a network without it.
        """
        self.binding = binding
        self.network = network
        self.bridge = "k6t-" + network.removeprefix("pod")
        self.tap = "tap0" if network == "eth0" else "tap" + network.removeprefix("pod")
        self.ipv6 = ipv6 and binding.ipv6
        self._real_tap = tap
        self._guests: list[Guest] = []
        self.pod, self.neighbour = Namespace(), Namespace()
        self.pod.sysctl(ipv4__conf__all__rp_filter=rp_filter)
        self.pod.sysctl(ipv4__conf__default__rp_filter=rp_filter)
        if not ipv6:
            self.pod.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1)
        for namespace in (self.pod, self.neighbour):
            # Addresses are usable at once.
            namespace.sysctl(ipv6__conf__default__accept_dad=0)
        self.neighbour.ip(
            f"link add uplink address {NEIGHBOUR_MAC} type veth"
            f" peer name {network} address {UPLINK_MAC} netns {self.pod.pid}",
            *(f"address add {a} dev uplink nodad" for a in self._beside()),
            "link set uplink up",
        )
        self._address(self.pod, network)

    def _beside(self) -> list[str]:
        lengths = [address.partition("/")[2] for address in self.ADDRESSES]
        return [f"{gateway}/{n}" for gateway, n in zip(self.GATEWAYS, lengths, strict=True)]

    def _address(self, namespace: Namespace, link: str) -> None:
        """Give ``link`` the pod's addresses and routes."""
        count = 2 if self.ipv6 else 1
        namespace.ip(
            f"link set {link} up",
            *(f"address add {a} dev {link} nodad" for a in self.ADDRESSES[:count]),
            *(f"route add default via {gateway}" for gateway in self.GATEWAYS[:count]),
        )

    def hand_over(self) -> None:
        """Do what virt-handler does once all containers but compute are ready."""
        if isinstance(self.binding, Masquerade):
            self._masquerade(self.binding)
        else:
            self._bridge()

    def _masquerade(self, binding: Masquerade) -> None:
        self.pod.ip(
            f"link add {self.bridge} address {MASQUERADE_MAC} type bridge",
            f"address add 10.0.2.1/24 dev {self.bridge}",
            *([f"address add fd10:0:2::1/120 dev {self.bridge} nodad"] if self.ipv6 else []),
            f"link set {self.bridge} up",
        )
        self.pod.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{self.bridge}/route_localnet")
        self._make_tap()
        self.pod.sysctl(ipv4__ip_forward=1)
        if self.ipv6:
            self.pod.sysctl(ipv6__conf__all__forwarding=1)
        for family, guest, gateway, loopback in (
            ("ip", "10.0.2.2", "10.0.2.1", "127.0.0.1"),
            ("ip6", "fd10:0:2::2", "fd10:0:2::1", "::1"),
        )[: 2 if self.ipv6 else 1]:
            self.pod.nft(
                _nat(family, self.network, self.bridge, binding.ports, guest, gateway, loopback)
            )

    def _bridge(self) -> None:
        nic = f"{self.network.removeprefix('pod')}-nic"
        self.pod.ip(
            f"link add {self.bridge} type bridge",
            f"address add 169.254.75.10/32 dev {self.bridge}",
            f"link set {self.bridge} up",
        )
        mac = self.pod.mac(self.bridge)
        self.pod.ip(
            f"link set {self.network} down",
            f"link set {self.network} name {nic}",
            f"link set {nic} address {mac}",
            f"link set {nic} master {self.bridge}",
            f"address flush dev {nic}",
            f"link set {nic} up",
            f"link set {nic} type bridge_slave learning off",
        )
        self._make_tap()
        count = 2 if self.ipv6 else 1
        self.pod.ip(
            f"link add {self.network} address {UPLINK_MAC} type veth peer name dummy-end",
            *(f"address add {a} dev {self.network}" for a in self.ADDRESSES[:count]),
        )
        self.pod.sysctl(ipv4__conf__all__arp_ignore=1)

    def _make_tap(self) -> None:
        made = f"tuntap add {self.tap} mode tap"
        if not self._real_tap:
            made = f"link add {self.tap} type veth peer name wire"
        self.pod.ip(made, f"link set {self.tap} master {self.bridge}", f"link set {self.tap} up")

    def plug_in_another(self) -> None:
        """Do to the bridge what virt-handler does when it sets up another interface: all again."""
        own = {
            Masquerade: ("10.0.2.1/24", "fd10:0:2::1/120"),
            Bridge: ("169.254.75.10/32",),
        }[type(self.binding)]
        self.pod.ip(
            f"link set {self.bridge} down",
            f"address flush dev {self.bridge}",
            *(f"address add {a} dev {self.bridge}" for a in own if self.ipv6 or ":" not in a),
            f"link set {self.bridge} up",
        )

    def boot(self, *, addressed: bool = True) -> Guest:
        """Start a namespace as the guest, with the addresses that DHCP would give it.

        Without ``addressed`` it has link-local ones only.
        """
        guest = Guest()
        self._guests.append(guest)
        self.plug(guest)
        if not addressed:
            guest.ip("address add 169.254.7.7/16 dev eth0")
        elif isinstance(self.binding, Bridge):
            self._address(guest, "eth0")
        else:
            guest.ip("address add 10.0.2.2/24 dev eth0", "route add default via 10.0.2.1")
            if self.ipv6:
                guest.ip(
                    "address add fd10:0:2::2/120 dev eth0 nodad",
                    "route add default via fd10:0:2::1",
                )
        return guest

    def plug(self, guest: Guest) -> None:
        """Lead the guest's traffic to this pod's tap, and no longer to another's."""
        guest.plug(self)

    def sidecar(
        self, folder: Path, *arguments: str, capabilities: tuple[str, ...] = CAPABILITIES
    ) -> Sidecar:
        """Start the sidecar in the pod; ``folder`` has its volumes (``tests.support.sidecar``)."""
        return Sidecar(self.pod, folder, arguments, capabilities=capabilities)

    def close(self) -> None:
        for namespace in (*self._guests, self.pod, self.neighbour):
            namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Guest(Namespace):
    """A namespace as a virtual machine: ``eth0`` is its card, with a wire that can be moved."""

    def __init__(self) -> None:
        super().__init__()
        self._wire = Namespace()
        self._plugged: Launcher | None = None
        self._wire.sysctl(ipv6__conf__default__disable_ipv6=1)
        self.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__default__accept_ra=0)
        self.sysctl(ipv4__ip_forward=0)
        self._wire.ip(
            "link add switch type bridge",
            f"link add card type veth peer name eth0 address {UPLINK_MAC} netns {self.pid}",
            "link set card master switch",
            "link set card up",
            "link set switch up",
        )
        self.ip("link set eth0 up")

    def plug(self, launcher: Launcher) -> None:
        """Put the other end of the wire into the tap of ``launcher``."""
        self.unplug()
        launcher.pod.ip(f"link set wire netns {self._wire.pid}")
        self._wire.ip("link set wire master switch", "link set wire up")
        self._plugged = launcher

    def unplug(self) -> None:
        """Pull it out again; that tap has no carrier any more."""
        if self._plugged is not None:
            self._wire.ip("link set wire down", f"link set wire netns {self._plugged.pod.pid}")
            self._plugged = None

    def close(self) -> None:
        self._wire.close()
        super().close()


def _nat(
    family: str,
    uplink: str,
    bridge: str,
    ports: tuple[int, ...],
    guest: str,
    gateway: str,
    loopback: str,
) -> str:
    """Give KubeVirt's rules of masquerade binding, for ``ports`` or, without them, for all."""
    matches = [f"tcp dport {port} " for port in ports] or [""]
    inbound = [f"{match}counter dnat to {guest}" for match in matches]
    posted = [
        f"{match}{family} saddr {{ {loopback} }} counter snat to {gateway}" for match in matches
    ]
    output = [
        f"{family} daddr {{ {loopback} }} {match}counter dnat to {guest}" for match in matches
    ]
    join = "\n    ".join
    return f"""
table {family} nat {{
  chain KUBEVIRT_PREINBOUND {{
    {join(inbound)}
  }}
  chain KUBEVIRT_POSTINBOUND {{
    {join(posted)}
  }}
  chain prerouting {{
    type nat hook prerouting priority -100;
    iifname "{uplink}" counter jump KUBEVIRT_PREINBOUND
  }}
  chain input {{
    type nat hook input priority 100;
  }}
  chain output {{
    type nat hook output priority -100;
    {join(output)}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100;
    {family} saddr {guest} counter masquerade
    oifname "{bridge}" counter jump KUBEVIRT_POSTINBOUND
  }}
}}
"""
