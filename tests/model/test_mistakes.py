"""Every mistake that a description can have, with the exact words about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

ED = "AAAAC3NzaC1lZDI1NTE5AAAAIIPcBdqH5cXdihQwcRxTJbx2DXXY4+emi2j5IRikl7sn"
NAME_WORDS = "1 to 253 letters, digits, '.', '_' or '-', with a letter or digit at both ends"
LINE = "1 to 255 characters on one line"
HOST = (
    "letters, digits and inner hyphens, at most 63 in each part between dots, at most 253 in all"
)
KEY_LINE = "an authorized_keys line: a key type, base64, and perhaps a comment"
STATIC = (
    "an address with its prefix length (192.0.2.7/24), "
    "or one of dhcp4, dhcp6, slaac, dhcpv6-stateful, dhcpv6-stateless"
)
ADDRESS = "an IPv4 or IPv6 address without prefix length"
CONTENT = "text, or a mapping with one of text, file, base64, and template"
AGAIN_MAC = '"52:54:00:00:00:01" again (as interfaces[0].mac)'
M1, M2 = "52:54:00:00:00:01", "52:54:00:00:00:02"

DOCUMENTS = {
    "empty": (
        "",
        ["vm.yaml:1: found an empty document; allowed: a mapping with name and other fields"],
    ),
    "list": ("- a", ["vm.yaml:1: found a list; allowed: a mapping with name and other fields"]),
    "text": ("web", ['vm.yaml:1: found "web"; allowed: a mapping with name and other fields']),
    "no name": ("type: a", ["vm.yaml:1: name: found nothing; allowed: the machine's name"]),
}

# What follows "name: vm" on line 1, and what is said about it.
FIELDS = {
    "near field": ("hostnam: a", 'vm.yaml:2: hostnam: found the unknown field "hostnam"; allowed: hostname (the nearest name)'),
    "number for text": ("type: 12", f"vm.yaml:2: type: found the number 12; allowed: {LINE} (quote it)"),
    "switch for text": ("type: on", f"vm.yaml:2: type: found on (which means true); allowed: {LINE} (quote it)"),
    "no for text": ("type: no", f"vm.yaml:2: type: found no (which means false); allowed: {LINE} (quote it)"),
    "null for text": ("type:", f"vm.yaml:2: type: found nothing; allowed: {LINE}"),
    "list for text": ("type: [a]", f"vm.yaml:2: type: found a list; allowed: {LINE}"),
    "mapping for text": ("type: {a: b}", f"vm.yaml:2: type: found a mapping; allowed: {LINE}"),
    "two lines": ('type: "a\\nb"', f'vm.yaml:2: type: found "a\\nb"; allowed: {LINE}'),
    "final newline": ('namespace: "a\\n"', f'vm.yaml:2: namespace: found "a\\n"; allowed: {NAME_WORDS}'),
    "long text": (f"type: {'x' * 300}", f'vm.yaml:2: type: found "{"x" * 60}"... (300 characters); allowed: {LINE}'),
    "text for number": ("launch_index: x", 'vm.yaml:2: launch_index: found "x"; allowed: a whole number from 0 to 2147483647'),
    "negative": ("launch_index: -1", "vm.yaml:2: launch_index: found the number -1; allowed: a whole number from 0 to 2147483647"),
    "too much": ("launch_index: 2147483648", "vm.yaml:2: launch_index: found the number 2147483648; allowed: a whole number from 0 to 2147483647"),
    "fraction": ("launch_index: 1.5", "vm.yaml:2: launch_index: found the number 1.5; allowed: a whole number from 0 to 2147483647"),
    "switch for number": ("launch_index: on", "vm.yaml:2: launch_index: found on (which means true); allowed: a whole number from 0 to 2147483647"),
    "host name": ("hostname: a_b", f'vm.yaml:2: hostname: found "a_b"; allowed: {HOST}'),
    "host label": (f"hostname: {'a' * 64}", f'vm.yaml:2: hostname: found "{"a" * 60}"... (64 characters); allowed: {HOST}'),
    "host length": (f"hostname: {'.'.join(['abcdefgh'] * 30)}", f'vm.yaml:2: hostname: found "{".".join(["abcdefgh"] * 7)[:60]}"... (269 characters); allowed: {HOST}'),
    "host like an address": ("hostname: 10.0.0.5", 'vm.yaml:2: hostname: found "10.0.0.5"; allowed: a last part that is not only digits'),
    "uuid": ("uuid: 123-x", 'vm.yaml:2: uuid: found "123-x"; allowed: a UUID such as 0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90'),
    "struct": ("placement: here", 'vm.yaml:2: placement: found "here"; allowed: a mapping with region, zone'),
    "nested": ("placement:\n  zon: a", 'vm.yaml:3: placement.zon: found the unknown field "zon"; allowed: zone (the nearest name)'),
    "secret": ("admin_pass: 4711", "vm.yaml:2: admin_pass: found a value that is not shown; allowed: at most 255 characters on one line (quote it)"),
    "tag number": ("tags:\n  a: b\n  c: 1", "vm.yaml:4: tags.c: found the number 1; allowed: at most 255 characters on one line (quote it)"),
    "tag key": (f"meta:\n  {'k' * 256}: b", f'vm.yaml:3: meta.{"k" * 256}: found "{"k" * 60}"... (256 characters); allowed: {LINE}'),
    "tags list": ("tags: [a]", "vm.yaml:2: tags: found a list; allowed: a mapping of at most 128 entries"),
    "too many tags": ("tags: {" + ", ".join(f"k{n}: v" for n in range(129)) + "}", "vm.yaml:2: tags: found 129 entries; allowed: a mapping of at most 128 entries"),
    "no list": ("security_groups: web", 'vm.yaml:2: security_groups: found "web"; allowed: a list of at most 64 items'),
    "too many": ("security_groups: [" + ", ".join(["a"] * 65) + "]", "vm.yaml:2: security_groups: found 65 items; allowed: a list of at most 64 items"),
    "vendor_data2 nan": ("vendor_data2: {a: [.nan]}", "vm.yaml:2: vendor_data2.a: found the number .nan; allowed: a number that JSON can carry"),
    "vendor_data2 size": (f"vendor_data2: {{a: {'x' * (1 << 20)}}}", "vm.yaml:2: vendor_data2: found 1048584 bytes of JSON; allowed: at most 1048576 bytes"),
    # Public keys.
    "keys text": ("public_keys: x", 'vm.yaml:2: public_keys: found "x"; allowed: a list of keys, or a mapping of names to keys'),
    "key options": (f"public_keys:\n  a: restrict ssh-ed25519 {ED}", 'vm.yaml:3: public_keys.a: found "restrict" as the key type; allowed: ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com, ssh-dss (without options before it)'),
    "key empty": ('public_keys:\n  a: " "', f"vm.yaml:3: public_keys.a: found 0 lines; allowed: {KEY_LINE}"),
    "key lines": (f'public_keys:\n  a: "ssh-ed25519 {ED}\\nssh-ed25519 {ED}"', f"vm.yaml:3: public_keys.a: found 2 lines; allowed: {KEY_LINE}"),
    "key bare type": ("public_keys:\n  a: ssh-rsa", f'vm.yaml:3: public_keys.a: found "ssh-rsa" and no key; allowed: {KEY_LINE}'),
    "key base64": ("public_keys:\n  - ssh-rsa AAA!", f"vm.yaml:3: public_keys[0]: found broken base64; allowed: {KEY_LINE}"),
    "key cut": (f"public_keys:\n  - ssh-ed25519 {ED[:-4]}", f"vm.yaml:3: public_keys[0]: found a key that ends too early; allowed: {KEY_LINE}"),
    "key other type": (f"public_keys:\n  - ssh-rsa {ED}", 'vm.yaml:3: public_keys[0]: found ssh-rsa before a key of type "ssh-ed25519"; allowed: the key\'s own type'),
    "key of nothing": ('public_keys:\n  - ssh-rsa ""', f"vm.yaml:3: public_keys[0]: found broken base64; allowed: {KEY_LINE}"),
    "key empty body": ("public_keys:\n  - ssh-rsa AAAAAA==", 'vm.yaml:3: public_keys[0]: found ssh-rsa before a key of type ""; allowed: the key\'s own type'),
    "key number": ("public_keys: [7]", "vm.yaml:2: public_keys[0]: found the number 7; allowed: a mapping with name, key, type"),
    "key fields": ("public_keys:\n  - key: x", f"vm.yaml:3: public_keys[0].name: found nothing; allowed: {LINE}"),
    "key type": (f"public_keys:\n  a: {{key: ssh-ed25519 {ED}, type: pgp}}", 'vm.yaml:3: public_keys.a.type: found "pgp"; allowed: one of ssh, x509'),
    "key names": (f"public_keys:\n  - ssh-ed25519 {ED} ada\n  - ssh-ed25519 {ED} ada", 'vm.yaml:4: public_keys[1]: found "ada" again (as public_keys[0].name); allowed: each name once'),
    "certificate": ("public_keys:\n  a: {key: x, type: x509}", 'vm.yaml:3: public_keys.a.key: found "x"; allowed: one PEM certificate (-----BEGIN CERTIFICATE-----)'),
    "certificate cut": ('public_keys:\n  a: {key: "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----", type: x509}', "vm.yaml:3: public_keys.a.key: found PEM that holds no whole certificate; allowed: one PEM certificate (-----BEGIN CERTIFICATE-----)"),
    "certificate short": ('public_keys:\n  a: {key: "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----", type: x509}', "vm.yaml:3: public_keys.a.key: found PEM that holds no whole certificate; allowed: one PEM certificate (-----BEGIN CERTIFICATE-----)"),
    "certificate length": ('public_keys:\n  a: {key: "-----BEGIN CERTIFICATE-----\\nMIA=\\n-----END CERTIFICATE-----", type: x509}', "vm.yaml:3: public_keys.a.key: found PEM that holds no whole certificate; allowed: one PEM certificate (-----BEGIN CERTIFICATE-----)"),
    # Contents.
    "content list": ("user_data: [a]", f"vm.yaml:2: user_data: found a list; allowed: {CONTENT}"),
    "content none": ("user_data: {template: true}", f"vm.yaml:2: user_data: found none of text, file, base64; allowed: {CONTENT}"),
    "content two": ("user_data: {text: a, file: b}", f"vm.yaml:2: user_data: found text and file; allowed: {CONTENT}"),
    "content near": ("user_data:\n  text: a\n  tempate: on", 'vm.yaml:4: user_data.tempate: found the unknown field "tempate"; allowed: template (the nearest name)'),
    "content flag": ("user_data: {text: a, template: maybe}", 'vm.yaml:2: user_data.template: found "maybe"; allowed: true or false'),
    "content number": ("user_data: {text: 12}", "vm.yaml:2: user_data.text: found the number 12; allowed: text (quote it)"),
    "content base64": ("user_data: {base64: a}", "vm.yaml:2: user_data.base64: found broken base64; allowed: base64, line breaks allowed"),
    "content file": ("user_data: {file: gone}", 'vm.yaml:2: user_data.file: found "gone", no such file; allowed: a file'),
    "content size": (f"files:\n  - path: /a\n    content: {'x' * ((1 << 20) + 1)}", "vm.yaml:4: files[0].content: found 1048577 bytes; allowed: at most 1048576 bytes"),
    # Files.
    "relative path": ("files:\n  - {path: etc/a, content: a}", 'vm.yaml:3: files[0].path: found "etc/a"; allowed: an absolute path (/...) of at most 255 characters on one line'),
    "climbing path": ("files:\n  - {path: /etc/../a, content: a}", "vm.yaml:3: files[0].path: found \"/etc/../a\"; allowed: the plain path of a file, without '.', '..', '//' or a final '/'"),
    "root path": ("files:\n  - {path: /, content: a}", "vm.yaml:3: files[0].path: found \"/\"; allowed: the plain path of a file, without '.', '..', '//' or a final '/'"),
    "double slash": ("files:\n  - {path: //a, content: a}", "vm.yaml:3: files[0].path: found \"//a\"; allowed: the plain path of a file, without '.', '..', '//' or a final '/'"),
    "paths again": ("files:\n  - {path: /a, content: a}\n  - {path: /a, content: b}", 'vm.yaml:4: files[1].path: found "/a" again (as files[0].path); allowed: each path once'),
    "no content": ("files:\n  - path: /a", "vm.yaml:3: files[0].content: found nothing; allowed: " + CONTENT),
    # Tokens and peers.
    "tokens text": ("tokens: vault", 'vm.yaml:2: tokens: found "vault"; allowed: a list of at most 64 items'),
    "audiences": ("tokens: [vault, {audience: vault}]", 'vm.yaml:2: tokens[1].audience: found "vault" again (as tokens[0].audience); allowed: each audience once'),
    "lifetime": ("tokens:\n  - lifetime: 59", "vm.yaml:3: tokens[0].lifetime: found the number 59; allowed: a whole number from 60 to 31536000"),
    "peer": ("peer:\n  addresses: [x]", f'vm.yaml:3: peer.addresses[0]: found "x"; allowed: {ADDRESS}'),
    "peer scope": ("peer:\n  addresses: [fe80::1%eth0]", f'vm.yaml:3: peer.addresses[0]: found "fe80::1%eth0"; allowed: {ADDRESS}'),
    "peer again": ("peer:\n  addresses: [10.0.0.1, 10.0.0.1]", 'vm.yaml:3: peer.addresses[1]: found "10.0.0.1" again (as peer.addresses[0]); allowed: each address once'),
    "peer socket": (f"peer:\n  socket: {'s' * 120}", f'vm.yaml:3: peer.socket: found "/base/{"s" * 54}"... (126 characters); allowed: a path of at most 107 bytes, as the kernel takes'),
    # Interfaces, each by itself.
    "mac missing": ("interfaces:\n  - mtu: 1500", "vm.yaml:3: interfaces[0].mac: found nothing; allowed: a MAC address: the guest finds the interface by it"),
    "mac form": ("interfaces:\n  - mac: 52-54-00-00-00-01", 'vm.yaml:3: interfaces[0].mac: found "52-54-00-00-00-01"; allowed: a MAC address such as 52:54:00:12:34:56'),
    "mac group": ("interfaces:\n  - mac: 01:00:5e:00:00:01", 'vm.yaml:3: interfaces[0].mac: found "01:00:5e:00:00:01"; allowed: a unicast MAC address (its first byte even, and not all zero)'),
    "mac zero": ("interfaces:\n  - mac: 00:00:00:00:00:00", 'vm.yaml:3: interfaces[0].mac: found "00:00:00:00:00:00"; allowed: a unicast MAC address (its first byte even, and not all zero)'),
    "mac again": (f"interfaces:\n  - mac: {M1}\n  - mac: {M1.upper()}", f"vm.yaml:4: interfaces[1].mac: found {AGAIN_MAC}; allowed: each MAC address once among physical interfaces"),
    "mtu small": (f"interfaces:\n  - mac: {M1}\n    mtu: 67", "vm.yaml:4: interfaces[0].mtu: found the number 67; allowed: 68 to 65535 bytes, or 0"),
    "mtu large": (f"interfaces:\n  - mac: {M1}\n    mtu: 65536", "vm.yaml:4: interfaces[0].mtu: found the number 65536; allowed: 68 to 65535 bytes, or 0"),
    "mtu v6": (f"interfaces:\n  - mac: {M1}\n    mtu: 1279\n    addresses: [slaac]", "vm.yaml:4: interfaces[0].mtu: found the number 1279; allowed: at least 1280 bytes on an interface with IPv6"),
    "address": (f"interfaces:\n  - {{mac: {M1}, addresses: [foo]}}", f'vm.yaml:3: interfaces[0].addresses[0]: found "foo"; allowed: {STATIC}'),
    "address bare": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5]}}", f'vm.yaml:3: interfaces[0].addresses[0]: found "10.0.0.5"; allowed: {STATIC}'),
    "address mask": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/255.0.0.0]}}", f'vm.yaml:3: interfaces[0].addresses[0]: found "10.0.0.5/255.0.0.0"; allowed: {STATIC}'),
    "address prefix": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/33]}}", f'vm.yaml:3: interfaces[0].addresses[0]: found "10.0.0.5/33"; allowed: {STATIC}'),
    "network": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.0/24]}}", 'vm.yaml:3: interfaces[0].addresses[0]: found "10.0.0.0/24"; allowed: the address of one host in 10.0.0.0/24 (its host bits say which)'),
    "broadcast": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.255/24]}}", 'vm.yaml:3: interfaces[0].addresses[0]: found "10.0.0.255/24"; allowed: the address of one host in 10.0.0.0/24 (its host bits say which)'),
    "multicast": (f"interfaces:\n  - {{mac: {M1}, addresses: [ff02::1/64]}}", 'vm.yaml:3: interfaces[0].addresses[0]: found "ff02::1/64"; allowed: the address of one host in ff02::/64 (its host bits say which)'),
    "service": (f"interfaces:\n  - {{mac: {M1}, addresses: [169.254.169.254/16]}}", 'vm.yaml:3: interfaces[0].addresses[0]: found "169.254.169.254/16"; allowed: an address that is not the metadata service\'s own'),
    "two ways": (f"interfaces:\n  - {{mac: {M1}, addresses: [slaac, dhcp6]}}", "vm.yaml:3: interfaces[0].addresses: found slaac and dhcp6; allowed: one way to get IPv6 addresses"),
    "dhcp again": (f"interfaces:\n  - {{mac: {M1}, addresses: [dhcp4, dhcp4]}}", "vm.yaml:3: interfaces[0].addresses: found dhcp4 again; allowed: dhcp4 once"),
    "address again": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/24]}}\n  - {{mac: {M2}, addresses: [10.0.0.5/16]}}", 'vm.yaml:4: interfaces[1].addresses[0]: found "10.0.0.5" again (as interfaces[0].addresses[0]); allowed: each address once'),
    "gateway": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/24], gateways: [x]}}", f'vm.yaml:3: interfaces[0].gateways[0]: found "x"; allowed: {ADDRESS}'),
    "gateway outside": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/24, 10.1.0.5/24], gateways: [10.0.1.1]}}", 'vm.yaml:3: interfaces[0].gateways[0]: found "10.0.1.1"; allowed: an address in 10.0.0.0/24 or 10.1.0.0/24'),
    "gateway nowhere": (f"interfaces:\n  - {{mac: {M1}, gateways: [10.0.1.1]}}", 'vm.yaml:3: interfaces[0].gateways[0]: found "10.0.1.1"; allowed: an address in a network that a static address of the interface names'),
    "gateway self": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/24], gateways: [10.0.0.5]}}", 'vm.yaml:3: interfaces[0].gateways[0]: found "10.0.0.5"; allowed: another address than the interface\'s own'),
    "gateways": (f"interfaces:\n  - {{mac: {M1}, addresses: [10.0.0.5/24], gateways: [10.0.0.1, 10.0.0.2]}}", "vm.yaml:3: interfaces[0].gateways[1]: found 10.0.0.2, another of IPv4; allowed: one default gateway of each family"),
    "route to": (f"interfaces:\n  - mac: {M1}\n    addresses: [10.0.0.5/24]\n    routes:\n      - {{to: 10.9.0.1/8, via: 10.0.0.1}}", 'vm.yaml:6: interfaces[0].routes[0].to: found "10.9.0.1/8"; allowed: a network with its prefix length and no host bits (198.51.100.0/24)'),
    "route via": (f"interfaces:\n  - mac: {M1}\n    addresses: [10.0.0.5/24]\n    routes:\n      - {{to: 10.0.0.0/8, via: x}}", f'vm.yaml:6: interfaces[0].routes[0].via: found "x"; allowed: {ADDRESS}'),
    "route family": (f"interfaces:\n  - mac: {M1}\n    addresses: [10.0.0.5/24]\n    routes:\n      - {{to: 10.0.0.0/8, via: fe80::1}}", 'vm.yaml:6: interfaces[0].routes[0].via: found "fe80::1"; allowed: a gateway of IPv4, like 10.0.0.0/8'),
    "route outside": (f"interfaces:\n  - mac: {M1}\n    addresses: [10.0.0.5/24]\n    routes:\n      - {{to: 10.0.0.0/8, via: 10.0.1.1}}", 'vm.yaml:6: interfaces[0].routes[0].via: found "10.0.1.1"; allowed: an address in 10.0.0.0/24'),
    "route again": (f"interfaces:\n  - mac: {M1}\n    addresses: [10.0.0.5/24]\n    routes:\n      - {{to: 10.0.0.0/8, via: 10.0.0.1}}\n      - {{to: 10.0.0.0/8, via: 10.0.0.2}}", 'vm.yaml:7: interfaces[0].routes[1].to: found "10.0.0.0/8 metric 0" again (as interfaces[0].routes[0].to); allowed: each destination once with each metric'),
    "dns": (f"interfaces:\n  - {{mac: {M1}, dns: [ns1.example]}}", f'vm.yaml:3: interfaces[0].dns[0]: found "ns1.example"; allowed: {ADDRESS}'),
    "search": (f"interfaces:\n  - {{mac: {M1}, search: [.example]}}", f'vm.yaml:3: interfaces[0].search[0]: found ".example"; allowed: {HOST}'),
    "public": (f"interfaces:\n  - {{mac: {M1}, public_addresses: [1.2.3]}}", f'vm.yaml:3: interfaces[0].public_addresses[0]: found "1.2.3"; allowed: {ADDRESS}'),
    # Interfaces on each other.
    "names": (f"interfaces:\n  - {{name: a, mac: {M1}}}\n  - {{name: a, mac: {M2}}}", 'vm.yaml:4: interfaces[1].name: found "a" again (as interfaces[0].name); allowed: each name once'),
    "name form": (f"interfaces:\n  - {{name: 0a, mac: {M1}}}", "vm.yaml:3: interfaces[0].name: found \"0a\"; allowed: 1 to 15 letters, digits, '_', '.' or '-', starting with a letter"),
    "bond name": (f"interfaces:\n  - mac: {M1}\n  - bond: {{links: [eth0]}}", "vm.yaml:4: interfaces[1].name: found nothing; allowed: a name: bonds and VLANs have no default one"),
    "bond of none": ("interfaces:\n  - {name: b, bond: {links: []}}", "vm.yaml:3: interfaces[0].bond.links: found 0 items; allowed: a list of 1 to 64 items"),
    "bond of strangers": (f"interfaces:\n  - mac: {M1}\n  - {{name: b, bond: {{links: [eth0, eth1]}}}}", 'vm.yaml:4: interfaces[1].bond.links[1]: found "eth1"; allowed: a physical interface: eth0'),
    "bond of itself": ("interfaces:\n  - {name: b, bond: {links: [b]}}", 'vm.yaml:3: interfaces[0].bond.links[0]: found "b"; allowed: a physical interface: none is described'),
    "bond mode": (f"interfaces:\n  - mac: {M1}\n  - {{name: b, bond: {{links: [eth0], mode: lacp}}}}", 'vm.yaml:4: interfaces[1].bond.mode: found "lacp"; allowed: one of 802.3ad, active-backup, balance-alb, balance-rr, balance-tlb, balance-xor, broadcast'),
    "bonds": (f"interfaces:\n  - mac: {M1}\n  - {{name: b, bond: {{links: [eth0]}}}}\n  - {{name: c, bond: {{links: [eth0]}}}}", 'vm.yaml:5: interfaces[2].bond.links[0]: found "eth0" again (as interfaces[1].bond.links[0]); allowed: each interface in one bond, once'),
    "bond member": (f"interfaces:\n  - mac: {M1}\n    addresses: [dhcp4]\n  - {{name: b, bond: {{links: [eth0]}}}}", 'vm.yaml:4: interfaces[0].addresses: found addresses of the bond member "eth0"; allowed: none here: give them to the bond'),
    "bond vlan": (f"interfaces:\n  - mac: {M1}\n  - {{name: b, bond: {{links: [eth0]}}, vlan: {{link: eth0, id: 1}}}}", "vm.yaml:4: interfaces[1].vlan: found a bond that is a VLAN; allowed: bond or vlan"),
    "vlan id": (f"interfaces:\n  - mac: {M1}\n  - {{name: v, vlan: {{link: eth0, id: 4095}}}}", "vm.yaml:4: interfaces[1].vlan.id: found the number 4095; allowed: a whole number from 1 to 4094"),
    "vlan link": ("interfaces:\n  - {name: v, vlan: {link: w, id: 1}}", 'vm.yaml:3: interfaces[0].vlan.link: found "w"; allowed: another interface: v'),
    "vlan alone": ("interfaces:\n  - {name: v, vlan: {link: v, id: 1}}", "vm.yaml:3: interfaces[0].vlan.link: found the circle v on v; allowed: a chain that ends at a bond or physical link"),
    # Dialects.
    "dialect": ("dialects: [alpa]", 'vm.yaml:2: dialects[0]: found the unknown dialect "alpa"; allowed: alpha (the nearest name)'),
    "dialect far": ("dialects: [zzz]", 'vm.yaml:2: dialects[0]: found the unknown dialect "zzz"; allowed: alpha, beta, needy'),
    "dialect again": ("dialects: [alpha, alpha]", 'vm.yaml:2: dialects[1]: found the dialect "alpha" again; allowed: each dialect once'),
    "dialects text": ("dialects: alpha", 'vm.yaml:2: dialects: found "alpha"; allowed: a list of dialects, or a mapping of dialects to on, off, or their policy'),
    "dialect number": ("dialects: [1]", "vm.yaml:2: dialects[0]: found the number 1; allowed: the name of a dialect"),
    "dialect word": ("dialects: {alpha: yes please}", 'vm.yaml:2: dialects.alpha: found "yes please"; allowed: on, off, or a mapping with its policy'),
    "policy field": ("dialects: {alpha: {mode: x}}", 'vm.yaml:2: dialects.alpha.mode: found the unknown field "mode"; allowed: nothing here'),
    "policy value": ("dialects:\n  beta:\n    mode: x", 'vm.yaml:4: dialects.beta.mode: found "x"; allowed: one of closed, open'),
    "policy rate": ("dialects: {beta: {rate: x}}", 'vm.yaml:2: dialects.beta.rate: found "x"; allowed: a number'),
    "policy rate bool": ("dialects: {beta: {rate: on}}", "vm.yaml:2: dialects.beta.rate: found on (which means true); allowed: a number"),
    "policy rate nan": ("dialects: {beta: {rate: .nan}}", "vm.yaml:2: dialects.beta.rate: found the number .nan; allowed: a number that JSON can carry"),
    "policy switch": ("dialects: {beta: {on: x}}", 'vm.yaml:2: dialects.beta.on: found "x"; allowed: true or false'),
    "policy limit": ("dialects: {beta: {limit: 0}}", "vm.yaml:2: dialects.beta.limit: found the number 0; allowed: a whole number of at least 1"),
    "policy exact": ("dialects: {beta: {exact: x}}", 'vm.yaml:2: dialects.beta.exact: found "x"; allowed: a whole number'),
    "policy most": ("dialects: {beta: {most: 10}}", "vm.yaml:2: dialects.beta.most: found the number 10; allowed: a whole number of at most 9"),
    "policy word": ("dialects: {beta: {word: A}}", 'vm.yaml:2: dialects.beta.word: found "A"; allowed: text that matches ^[a-z]+$'),
    "policy code": ("dialects: {beta: {code: a}}", 'vm.yaml:2: dialects.beta.code: found "a"; allowed: text of at least 2 characters'),
    "policy names": ("dialects: {beta: {names: a}}", 'vm.yaml:2: dialects.beta.names: found "a"; allowed: a list'),
    "policy pairs": ("dialects: {beta: {pairs: []}}", "vm.yaml:2: dialects.beta.pairs: found 0 items; allowed: a list of at least 1 items"),
    "policy table": ("dialects: {beta: {table: {}}}", "vm.yaml:2: dialects.beta.table: found 0 entries; allowed: a mapping of at least 1 entries"),
    "policy item": ("dialects: {beta: {table: {a: b}}}", 'vm.yaml:2: dialects.beta.table.a: found "b"; allowed: a whole number'),
    "policy inner": ("dialects: {beta: {inner: a}}", 'vm.yaml:2: dialects.beta.inner: found "a"; allowed: an empty mapping'),
    "section": ("beta: {accont: a}", 'vm.yaml:2: beta.accont: found the unknown field "accont"; allowed: account (the nearest name)'),
    "section needed": ("dialects: [needy]", "vm.yaml:1: needy.key: found nothing; allowed: text or nothing"),
    "literal of list": ("dialects: {beta: {mode: [open]}}", "vm.yaml:2: dialects.beta.mode: found a list; allowed: one of closed, open"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_none(
    text: str, expected: list[str], problems: Callable[[str], list[str]]
) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(("text", "expected"), FIELDS.values(), ids=FIELDS)
def test_one_mistake_gives_one_message(
    text: str, expected: str, problems: Callable[[str], list[str]]
) -> None:
    assert problems(f"name: vm\n{text}\n") == [expected]
