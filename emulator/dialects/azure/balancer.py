"""The load balancer before the machine (contract 5.4)."""

from __future__ import annotations

import msgspec

from emulator.core.message import Done, Reply, Request, Services
from emulator.dialects.azure.errors import JSON
from emulator.dialects.azure.facts import Facts
from emulator.dialects.azure.query import versioned
from emulator.dialects.azure.section import LoadBalancer


class Balancer(msgspec.Struct, frozen=True):
    """Gives ``document``."""

    document: bytes

    @classmethod
    def of(cls, found: LoadBalancer, known: Facts) -> Balancer:
        """Tell of ``found`` before the machine's first address."""
        private = next((text for nic in known.nics for text in nic.ipv4.addresses), "")
        fronts = dict.fromkeys(rule.frontend for rule in found.inbound)
        document = {
            "loadbalancer": {
                "publicIpAddresses": [
                    {"frontendIpAddress": front, "privateIpAddress": private} for front in fronts
                ],
                "inboundRules": [
                    {
                        "frontendIpAddress": rule.frontend,
                        "protocol": rule.protocol,
                        "frontendPort": rule.frontend_port,
                        "backendPort": rule.backend_port,
                        "privateIpAddress": private,
                    }
                    for rule in found.inbound
                ],
                "outboundRules": [
                    {"frontendIpAddress": address, "privateIpAddress": private}
                    for address in found.outbound
                ],
            }
        }
        return cls(msgspec.json.encode(document))

    def __call__(self, request: Request, _services: Services) -> Done:
        """Give the document."""
        asked = versioned(request.query)
        return asked if isinstance(asked, Reply) else Reply(200, self.document, JSON)
