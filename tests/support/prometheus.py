"""A real Prometheus that scrapes a server each second."""

from __future__ import annotations

import re
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests

from tests.support import cloudinit_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE = 60.0


class Prometheus:
    """Answers queries."""

    def __init__(self, url: str) -> None:
        self._url = url

    def results(self, query: str) -> list[dict[str, Any]] | None:
        """Give the series that a query finds now, None if it is not ready; a wrong one fails."""
        answer = requests.get(f"{self._url}/query", params={"query": query}, timeout=DEADLINE)
        assert answer.status_code in {200, 503}, f"{query}: {answer.text}"
        if answer.status_code != 200:
            return None
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, query: str) -> float | None:
        """Give the value of the only series that a query finds, None if it is not one."""
        found = self.results(query)
        return float(found[0]["value"][1]) if found and len(found) == 1 else None


@contextmanager
def prometheus(folder: Path, target: str, rules: str = "") -> Iterator[Prometheus]:
    """Run Prometheus with ``target`` scraped, and ``rules`` (YAML) evaluated, each second."""
    settings = folder / "prometheus.yml"
    (folder / "rules.yml").write_text(rules)
    settings.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{folder}/rules.yml]\n"
        f"scrape_configs: [{{job_name: imds, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = [
        *(
            str(cloudinit_source.prometheus() / "prometheus"),
            f"--config.file={settings}",
            f"--storage.tsdb.path={folder}/data",
        ),
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r'msg="Listening on" address=(\S+)', said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        rest = threading.Thread(target=process.stderr.read, daemon=True)
        rest.start()
        try:
            yield Prometheus(f"http://{found[1]}/api/v1")
        finally:
            process.terminate()
            process.wait(DEADLINE)
            rest.join(DEADLINE)
