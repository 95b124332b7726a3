"""Google's guest agent in a booted guest: a key added to the description is there in seconds."""

from __future__ import annotations

import base64
import lzma
import socket
import threading
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.conftest import Machine
from tests.guest.support import KEY
from tests.support.google_agent import agent
from tests.support.guest import RSA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image

TREE = "/computeMetadata/v1"
READY = "the agent waits for another key"
# Seconds in the guest. Under TCG the agent takes a while to make its host keys.
PATIENCE = 600
CONFIG = """\
#cloud-config
ssh_genkeytypes: [ed25519]
no_ssh_fingerprints: true
ssh: {emit_keys_to_console: false}
"""
# The image knows nothing of Google: the agent comes with the user data. cloud-init's last stage
# goes on until the second key is there, and so does the boot.
SCRIPT = """\
#!/bin/sh
python3 -c 'import base64, lzma, sys; sys.stdout.buffer.write(
    lzma.decompress(base64.b64decode(sys.stdin.read())))' > /usr/bin/agent << 'END'
{agent}
END
chmod +x /usr/bin/agent
cat /proc/sys/kernel/random/boot_id > /srv/boot-before
/usr/bin/agent > /srv/agent.log 2>&1 &
keys=/home/ada/.ssh/authorized_keys
for second in $(seq {patience}); do
    test -s $keys && break
    sleep 1
done
cp $keys /srv/keys-before
echo {ready} > /dev/ttyS0
for second in $(seq {patience}); do
    grep -q ssh-rsa $keys && break
    sleep 1
done
cp $keys /srv/keys-after
cat /proc/sys/kernel/random/boot_id > /srv/boot-after
"""


def description(*keys: str, user_data: str = "") -> str:
    lines = [
        "name: web-1",
        "interfaces: [{mac: '52:54:00:aa:00:01', addresses: [dhcp4]}]",
        "dialects: [gce]",
        "gce: {ssh_user: ada}",
        "public_keys:",
        *(f"  - {{name: key{number}, key: {key}}}" for number, key in enumerate(keys)),
        *([f"user_data: {{file: {user_data}}}"] if user_data else []),
    ]
    return "\n".join(lines) + "\n"


def user_data() -> str:
    whole = MIMEMultipart()
    packed = base64.encodebytes(lzma.compress(agent(), preset=6)).decode().strip()
    script = SCRIPT.format(agent=packed, patience=PATIENCE, ready=READY)
    whole.attach(MIMEText(CONFIG, "cloud-config", "us-ascii"))
    whole.attach(MIMEText(script, "x-shellscript", "us-ascii"))
    return whole.as_string()


class Boot:
    """The boot, in which the description is changed once the guest says so, and its disk."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._home = machine.state / "boot" / machine.description.stem
        self._over = threading.Event()
        self.added = False
        (machine.folder / "user-data").write_text(user_data())
        machine.describe(description(KEY, user_data="user-data"))
        editor = threading.Thread(target=self._edit)
        editor.start()
        try:
            self.report = machine.boot("gce", *machine.direct())
        finally:
            self._over.set()
            editor.join()
        self.disk = machine.disk("disk")

    def _edit(self) -> None:
        """Add the second key when the guest waits for it, and its agent for any change."""
        console = self._home / "console.log"
        while not self._over.wait(0.5):
            ready = console.exists() and READY in console.read_text("utf-8", "replace")
            if ready and self._is_awaited():
                new = self._machine.folder / "new"
                new.write_text(description(KEY, RSA))
                new.replace(self._machine.description)
                self.added = True
                return

    def _is_awaited(self) -> bool:
        """Ask the operator whether a request waits."""
        [operator] = self._home.glob("run.*/sockets/operator")
        with socket.socket(socket.AF_UNIX) as stream:
            # Where the link leads: the path to it is too long for a socket's.
            stream.connect(str(operator.resolve()))
            stream.sendall(b"GET /guests HTTP/1.0\r\n\r\n")
            with stream.makefile("rb") as answer:
                return b'"waiting":1' in answer.read()

    def polls(self) -> list[dict[str, Any]]:
        """Give the agent's requests for the whole tree, that is all that it has to ask."""
        requests: list[dict[str, Any]] = self.report.said["requests"]
        return [request for request in requests if request["path"] == TREE]


@pytest.fixture
def boot(image: Image, tmp_path: Path) -> Iterator[Boot]:
    machine = Machine(image, tmp_path, "web-1")
    yield Boot(machine)
    machine.close()


def check_it_boots_and_finishes(boot: Boot) -> None:
    assert (boot.report.exit, boot.report.said["outcome"]) == (0, "done"), boot.report
    assert boot.report.said["datasource"] == "DataSourceGCE"


def check_the_agent_makes_the_user_with_its_key(boot: Boot) -> None:
    before = boot.disk.text("/srv/keys-before")
    assert KEY in before
    assert RSA not in before
    assert "\nada:" in boot.disk.text("/etc/passwd")


def check_a_key_that_is_added_is_there_without_a_reboot(boot: Boot) -> None:
    assert boot.added
    after = boot.disk.text("/srv/keys-after")
    assert KEY in after
    assert RSA in after
    assert boot.disk.text("/srv/boot-before") == boot.disk.text("/srv/boot-after")


def check_the_agent_waits_instead_of_asking_again_and_again(boot: Boot) -> None:
    polls = boot.polls()
    assert {poll["status"] for poll in polls} == {200}
    # The first one is answered at once, the others when something changed or a minute is over.
    assert 2 <= len(polls) <= 3 + boot.report.said["seconds"] / 60


@pytest.mark.guest
@pytest.mark.client
def test_the_guest_agent_on_debian_12(boot: Boot, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_boots_and_finishes,
        check_the_agent_makes_the_user_with_its_key,
        check_a_key_that_is_added_is_there_without_a_reboot,
        check_the_agent_waits_instead_of_asking_again_and_again,
    ):
        with subtests.test(check.__name__):
            check(boot)
