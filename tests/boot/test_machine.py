from __future__ import annotations

import shlex

import msgspec
import pytest

from emulator.boot import machine
from emulator.boot.machine import Firmware, Kernel, Machine
from emulator.boot.network import Door, Network, Segment
from emulator.dialects.base import Hint

UUID = "5b1f8a3e-3e4f-4d6e-9a55-1f0e2d3c4b5a"
NETWORK = Network(
    segments=(Segment(("52:54:00:00:00:01",)),),
    doors=(Door("169.254.169.254", ("/usr/bin/python3", "-I", "/opt/my bridge.py", "/tmp/a,b")),),
)
MACHINE = Machine(
    qemu="/usr/bin/qemu-system-x86_64",
    acceleration="tcg",
    cpu="max",
    memory=1024,
    name="web-1",
    uuid=UUID,
    hint=Hint(asset="OpenStack Nova"),
    disk="/s/disk.qcow2",
    start=Firmware("/fw/code.fd", "/s/vars.fd"),
    network=NETWORK,
    console="/s/console.log",
    monitor="/t/monitor",
)


def composed(**changes: object) -> list[str]:
    return machine.command(msgspec.structs.replace(MACHINE, **changes))


def values(command: list[str], flag: str) -> list[str]:
    return [command[index + 1] for index, part in enumerate(command) if part == flag]


def test_a_plain_machine() -> None:
    command = composed()
    assert command[0] == MACHINE.qemu
    assert values(command, "-machine") == ["q35,accel=tcg"]
    assert values(command, "-smbios") == [f"type=1,uuid={UUID}", "type=3,asset=OpenStack Nova"]
    assert values(command, "-chardev") == ["file,id=console,path=/s/console.log"]
    assert "-no-reboot" in command
    assert "if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd" in command
    assert "if=pflash,unit=1,format=raw,file=/s/vars.fd" in command
    assert "virtio-rng-pci" in values(command, "-device")
    assert "-kernel" not in command


def test_the_metadata_address_is_a_neighbour_that_a_program_answers_for() -> None:
    assert "".join(values(composed(), "-netdev")) == (
        "user,id=meta,net=169.254.0.0/16,dhcpstart=169.254.100.2,host=169.254.1.1,"
        "dns=169.254.1.3,ipv6=off,restrict=on,guestfwd=tcp:169.254.169.254:80-"
        "cmd:/usr/bin/python3 -I '/opt/my bridge.py' /tmp/a,,b"
    )
    assert "virtio-net-pci,netdev=meta,mac=52:54:00:00:00:01,romfile=" in composed()


def test_nothing_of_the_host_is_open_to_an_isolated_guest() -> None:
    several = (*NETWORK.segments, Segment(("52:54:00:00:00:02",)))
    network = msgspec.structs.replace(NETWORK, segments=several)
    assert all(
        "restrict=on" in backend for backend in values(composed(network=network), "-netdev")
    )


def test_internet_and_ssh_are_asked_for() -> None:
    network = msgspec.structs.replace(NETWORK, internet=True, ssh=2222)
    (backend,) = values(composed(network=network), "-netdev")
    assert "restrict=off" in backend
    assert backend.endswith(",hostfwd=tcp:127.0.0.1:2222-:22")


def test_a_card_for_each_interface_and_dhcp_that_does_not_collide() -> None:
    links = tuple(Segment((f"52:54:00:00:00:0{number}",)) for number in range(1, 4))
    command = composed(network=msgspec.structs.replace(NETWORK, segments=links))
    backends = values(command, "-netdev")
    assert ["net=10.254.0.0/24" in backends[1], "net=10.254.1.0/24" in backends[2]] == [True] * 2
    cards = [device for device in values(command, "-device") if device.startswith("virtio-net")]
    assert [card.split("mac=")[1][:17] for card in cards] == [link.macs[0] for link in links]


def test_members_of_a_bond_share_a_hub() -> None:
    bond = (Segment(("52:54:00:00:00:01", "52:54:00:00:00:02")),)
    command = composed(network=msgspec.structs.replace(NETWORK, segments=bond * 2))
    backends = values(command, "-netdev")
    assert "hubport,id=hub0out,hubid=0,netdev=meta" in backends
    assert "hubport,id=hub1out,hubid=1,netdev=link0" in backends
    identifiers = [part for text in backends for part in text.split(",") if part[:3] == "id="]
    assert len(identifiers) == len(set(identifiers)) == 8


def test_a_neighbour_stands_between_the_guest_and_the_metadata_address() -> None:
    network = msgspec.structs.replace(NETWORK, neighbour=(7, 8))
    command = composed(network=network)
    assert values(command, "-netdev")[1:] == [
        "socket,id=outside,fd=8",
        "hubport,id=hub1in,hubid=1,netdev=meta",
        "hubport,id=hub1out,hubid=1,netdev=outside",
        "socket,id=guest,fd=7",
    ]
    assert "virtio-net-pci,netdev=guest,mac=52:54:00:00:00:01,romfile=" in command


def test_a_neighbour_of_a_bond_has_all_its_members_before_it() -> None:
    bond = (Segment(("52:54:00:00:00:01", "52:54:00:00:00:02")),)
    network = msgspec.structs.replace(NETWORK, segments=bond * 2, neighbour=(7, 8))
    backends = values(composed(network=network), "-netdev")
    assert "hubport,id=hub0out,hubid=0,netdev=guest" in backends
    assert "hubport,id=hub1out,hubid=1,netdev=link0" in backends
    assert "hubport,id=hub2in,hubid=2,netdev=meta" in backends
    identifiers = [part for text in backends for part in text.split(",") if part[:3] == "id="]
    assert len(identifiers) == len(set(identifiers)) == 12


def test_a_further_door_widens_the_network_until_it_holds_both() -> None:
    doors = (*NETWORK.doors, Door("168.63.129.16", ("/bin/b", "/tmp/wire")))
    network = msgspec.structs.replace(NETWORK, doors=doors)
    (backend,) = values(composed(network=network), "-netdev")
    assert "net=168.0.0.0/7,dhcpstart=169.254.100.2,host=169.254.1.1,dns=169.254.1.3" in backend
    assert "restrict=on,guestfwd=tcp:169.254.169.254:80-cmd:" in backend
    assert backend.endswith(",guestfwd=tcp:168.63.129.16:80-cmd:/bin/b /tmp/wire")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Hint(product="OpenStack Nova"), [f"type=1,product=OpenStack Nova,uuid={UUID}"]),
        (
            Hint(serial="ds=nocloud;s=http://h/a,b/"),
            [f"type=1,serial=ds=nocloud;s=http://h/a,,b/,uuid={UUID}"],
        ),
        (
            Hint(uuid_prefix="ec2"),
            [f"type=1,serial=ec2{UUID[3:]},uuid=ec2{UUID[3:]}"],
        ),
        (Hint(), [f"type=1,uuid={UUID}"]),
    ],
)
def test_smbios_says_the_datasource(hint: Hint, expected: list[str]) -> None:
    assert values(composed(hint=hint), "-smbios") == expected


def test_a_kernel_replaces_the_firmware() -> None:
    command = composed(start=Kernel("/k", "/i", "root=LABEL=root console=ttyS0"))
    assert values(command, "-kernel") == ["/k"]
    assert values(command, "-initrd") == ["/i"]
    assert values(command, "-append") == ["root=LABEL=root console=ttyS0"]
    assert not any("pflash" in part for part in command)
    assert "-initrd" not in composed(start=Kernel("/k"))


@pytest.mark.parametrize(
    ("acceleration", "version", "cpu"),
    [
        ("kvm", (7, 2), "host"),
        ("tcg", (7, 2), "max,la57=off,-cx16"),
        ("tcg", (10, 0), "max,la57=off"),
    ],
)
def test_the_processor_is_one_that_kernels_have_run_on(
    acceleration: machine.Acceleration, version: tuple[int, int], cpu: str
) -> None:
    assert machine.default_cpu(acceleration, version) == cpu


def test_the_printed_command_is_the_command() -> None:
    command = composed()
    assert shlex.split(machine.printable(command).replace("\\\n", " ")) == command
