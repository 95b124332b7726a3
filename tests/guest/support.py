"""What the guests of the tests are told to do."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPcBdqH5cXdihQwcRxTJbx2DXXY4+emi2j5IRikl7sn "
    "ada@sample.example"
)

# Runs once for each instance. The gateway is QEMU's own, where an operator's port on the host's
# loopback would be found. The last command waits for cloud-init's end, which the power button
# follows closely: without default dependencies the shutdown lets it finish.
USER_DATA = """\
#cloud-config
ssh_genkeytypes: [ed25519]
no_ssh_fingerprints: true
ssh: {emit_keys_to_console: false}
write_files:
  - path: /srv/wait-for-the-end
    permissions: "0755"
    content: |
      #!/bin/sh
      cloud-init status --wait --long > /srv/status
runcmd:
  - cat /proc/sys/kernel/random/boot_id >> /srv/ran
  - cp /run/cloud-init/ds-identify.log /srv/
  - ip -json address > /srv/address.json
  - ip -json route > /srv/route.json
  - "curl -sS -m 20 -H 'Metadata: true' http://169.254.169.254/v1/token > /srv/token.json"
  - "curl -sS -m 20 http://169.254.169.254/v1/token > /srv/refused.json"
  - "curl -sS -m 5 http://169.254.1.1:16926/readyz; echo $? > /srv/operator"
  - "curl -sS -m 5 http://169.254.169.254:16926/readyz; echo $? >> /srv/operator"
  - systemd-run --no-block -p DefaultDependencies=no /srv/wait-for-the-end
"""
VENDOR_DATA = """\
#cloud-config
bootcmd:
  - [cloud-init-per, instance, vendor, sh, -c, "echo from vendor data > /srv/vendor"]
"""

# Debian's own: its netplan finds the permissions too open with which its cloud-init writes.
KNOWN_WARNINGS = (
    "activators.py[WARNING]: Running ['netplan', 'apply'] resulted in stderr output",
)


def indented(text: str) -> str:
    """Indent by two, for a block in YAML."""
    return "".join(f"  {line}\n" for line in text.splitlines())


def complaints(log: str) -> list[str]:
    """Give the lines of cloud-init's log that are warnings or worse, but for those known."""
    levels = ("[WARNING]", "[ERROR]", "[CRITICAL]", "Traceback")
    lines = [line for line in log.splitlines() if any(level in line for level in levels)]
    return [line for line in lines if not any(known in line for known in KNOWN_WARNINGS)]


def claims(token: str) -> dict[str, Any]:
    """Give the claims of a token, unverified: another test verifies by JWKS."""
    body = token.split(".")[1]
    decoded: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * 3))
    return decoded
