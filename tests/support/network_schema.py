"""What network_data.json may look like, written from contract 1.5.

Nova publishes a JSON Schema of the file; these are its demands, with the two DHCPv6 types that
Nova sends beyond it.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_MAC = {"type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"}
_MTU = {"anyOf": [{"type": "number", "minimum": 1, "maximum": 65535}, {"type": "null"}]}


def _object(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _link(types: list[str], **required: Any) -> dict[str, Any]:
    return _object(
        {"id": _TEXT, "type": {"enum": types}, **required}, {"mtu": _MTU, "vif_id": _TEXT}
    )


def _address(version: int) -> dict[str, Any]:
    return {"type": "string", "format": f"ipv{version}"}


def _service(version: int) -> dict[str, Any]:
    return _object({"type": {"const": "dns"}, "address": _address(version)}, {})


def _network(version: int, types: list[str]) -> dict[str, Any]:
    address = _address(version)
    route = _object({"network": address, "netmask": address, "gateway": address}, {})
    return _object(
        {"id": _TEXT, "link": _TEXT, "network_id": _TEXT, "type": {"enum": types}},
        {
            "ip_address": address,
            "netmask": address,
            "routes": _list(route),
            "services": _list(_service(version)),
        },
    )


_PHYSICAL = ["bridge", "dvs", "hw_veb", "hyperv", "ovs", "tap", "vhostuser", "vif", "phy"]
_BOND = [
    "802.3ad",
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "balance-tlb",
    "balance-alb",
]
_IPV6 = ["ipv6", "ipv6_dhcp", "ipv6_slaac", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless"]

NETWORK_DATA = _object(
    {
        "links": _list(
            {
                "oneOf": [
                    _link(_PHYSICAL, ethernet_mac_address=_MAC),
                    _link(
                        ["bond"],
                        ethernet_mac_address=_MAC,
                        bond_mode={"enum": _BOND},
                        bond_links=_list(_TEXT),
                    ),
                    _link(
                        ["vlan"],
                        vlan_mac_address=_MAC,
                        vlan_link=_TEXT,
                        vlan_id={"type": "integer"},
                    ),
                ]
            }
        ),
        "networks": _list({"oneOf": [_network(4, ["ipv4", "ipv4_dhcp"]), _network(6, _IPV6)]}),
        "services": _list({"anyOf": [_service(4), _service(6)]}),
    },
    {},
)
