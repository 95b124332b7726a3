"""The playbook's commands do what they say: a stolen session token is refused afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import requests

from tests.server.process import DEADLINE, Serving, until

PAGE = Path(__file__).parents[2] / "docs/runbooks/suspected-exfiltration.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
VM = "name: web-1\nnamespace: shop\nsession_epoch: 3\ndialects: [ec2]\n"


def test_the_playbook_ends_a_theft(tmp_path: Path) -> None:
    vm = tmp_path / "vm.yaml"
    vm.write_text(VM)
    evidence, revoke, check = BLOCK.findall(PAGE.read_text())
    with Serving(tmp_path, str(vm)) as server:

        def run(script: str) -> str:
            environ = {**os.environ, "VM": str(vm), "LOG": str(server.log), "NAME": "web-1"}
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        def get(agent: str, token: str) -> int:
            headers = {"User-Agent": agent, TOKEN: token}
            path = "/latest/meta-data/instance-id"
            return requests.get(server.url + path, headers=headers, timeout=DEADLINE).status_code

        def put() -> str:
            url = server.url + "/latest/api/token"
            return requests.put(url, headers={TTL: "21600"}, timeout=DEADLINE).text

        token = put()
        assert (get("the-application/1", token), get("the-thief/1", token)) == (200, 200)
        [fingerprint] = {line["fingerprint"] for line in server.seen()}

        run(evidence)
        callers = (tmp_path / "callers.txt").read_text()
        assert f"{fingerprint}\t127.0.0.1\tthe-application/1" in callers
        assert f"{fingerprint}\t127.0.0.1\tthe-thief/1" in callers
        assert token not in (tmp_path / "machine.jsonl").read_text()

        run(revoke)
        until(lambda: get("the-thief/1", token) == 401)
        assert vm.read_text().count("session_epoch") == 1
        assert get("the-application/1", put()) == 200

        server.seen()
        assert fingerprint in run(check)
