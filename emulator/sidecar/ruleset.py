"""What of the pod's packets reach the server, as text for ``nft -f``.

Two parts. The *cable* joins the guest's tap and the server's device: of what the guest sends, the
frames for our addresses are taken off before the bridge sees them, whatever hardware address they
were sent to; what the server sends goes to that tap. So neither ever meets the bridge, the uplink
or a neighbour. The *guard* drops what comes for our addresses by any other way, and of what the
guest sends lets only metadata requests, pings and address resolution in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from emulator.sidecar.addresses import DEVICE, PORT, versions

MAC = "02:a9:fe:a9:fe:fe"
"""Locally administered, and the same in every pod: what a guest knows of it outlives migration."""

PLUG = "imds1"
"""The other end of the server's device: what is sent into it comes out there."""

# Ahead of what others may have put there, and of connection tracking.
_FIRST = -500

# Each address that a guest asks from takes an entry of the neighbour table, which all pods of the
# node share: a guest that makes up thousands would keep them from reaching anything new.
_GUESTS = 64

# A frame with two tags is none of IP's here, but its receiver takes off those with number 0, and
# as many as there are.
_CABLE = """\
table netdev imds
delete table netdev imds
table netdev imds {{
  set from4 {{ type ipv4_addr; size {guests}; flags dynamic,timeout; timeout 1m; }}
  set from6 {{ type ipv6_addr; size {guests}; flags dynamic,timeout; timeout 1m; }}
  chain guest {{
    type filter hook ingress device "{tap}" priority {first}; policy accept;
    meta protocol {{ 8021q, 8021ad }} @ll,112,16 & 0xfff == 0 drop
    ip saddr {v4} drop
    arp saddr ip {v4} drop
    ip6 saddr {v6} drop
    icmpv6 type nd-neighbor-advert @th,64,128 {v6_numbers} drop
    ip daddr {v4} update @from4 {{ ip saddr }} goto ours
    arp daddr ip {v4} update @from4 {{ arp saddr ip }} goto ours
    ip6 daddr {v6} update @from6 {{ ip6 saddr }} goto ours
    icmpv6 type nd-neighbor-solicit @th,64,128 {v6_numbers} update @from6 {{ ip6 saddr }} goto ours
    ip daddr {v4} drop
    arp daddr ip {v4} drop
    ip6 daddr {v6} drop
    icmpv6 type nd-neighbor-solicit @th,64,128 {v6_numbers} drop
  }}
  chain ours {{
    ether daddr set {mac} fwd to "{plug}"
  }}
  chain server {{
    type filter hook ingress device "{plug}" priority {first}; policy drop;
    ip saddr {v4} fwd to "{tap}"
    arp saddr ip {v4} fwd to "{tap}"
    ip6 saddr {v6} fwd to "{tap}"
  }}
}}
"""

# A connection that is not tracked cannot be translated: neither KubeVirt's rules nor a service
# mesh's lead it elsewhere. Bridges may show their frames to IP's rules too (br_netfilter), and
# another network of the guest may have a metadata service of its own: hence k6t-*.
_GUARD = """\
table inet imds
delete table inet imds
table inet imds {{
  chain arriving {{
    type filter hook prerouting priority raw; policy accept;
    ip daddr {v4} goto ours
    ip6 daddr {v6} goto ours
  }}
  chain ours {{
    iifname {{ "lo", {devices} }} notrack accept
    iifname "k6t-*" notrack accept
    drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    ip daddr {v4} goto request
    ip6 daddr {v6} goto request
    iifname "{device}" goto resolution
  }}
  chain request {{
    iifname != {{ {devices} }} drop
    tcp dport {port} accept
    meta l4proto tcp reject with tcp reset
    meta l4proto udp reject
    icmp type {{ echo-request, destination-unreachable }} accept
    icmpv6 type {{ echo-request, destination-unreachable, packet-too-big }} accept
    goto resolution
  }}
  chain resolution {{
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{device}" drop
    oifname "{device}" drop
  }}
  chain output {{
    type filter hook output priority raw; policy accept;
    ip saddr {v4} goto leaving
    ip6 saddr {v6} goto leaving
  }}
  chain leaving {{
    oifname {{ "lo", {devices} }} notrack accept
    drop
  }}
}}
table arp imds
delete table arp imds
table arp imds {{
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname != {{ {devices} }} arp saddr ip {v4} drop
  }}
}}
"""


def cable(addresses: Iterable[str], tap: str) -> str:
    """Give what joins ``tap`` and the server's device for ``addresses``, and no others."""
    v4, v6 = versions(addresses)
    return _CABLE.format(
        first=_FIRST,
        guests=_GUESTS,
        tap=tap,
        plug=PLUG,
        mac=MAC,
        v4=_set(v4),
        v6=_set(v6),
        v6_numbers=_set(hex(int(ipaddress.IPv6Address(address))) for address in v6),
    )


def guard(addresses: Iterable[str], devices: Iterable[str] = (DEVICE,)) -> str:
    """Give what keeps ``addresses`` for the guest behind ``devices`` and for the pod itself."""
    v4, v6 = versions(addresses)
    names = ", ".join(f'"{name}"' for name in devices)
    return _GUARD.format(device=DEVICE, devices=names, port=PORT, v4=_set(v4), v6=_set(v6))


def _set(elements: Iterable[str]) -> str:
    return f"{{ {', '.join(elements)} }}"
