"""Every query of rules and dashboards finds what a real server did, in a real Prometheus."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import requests
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.monitoring import rules
from deploy.monitoring.alerts import ALERTS
from deploy.monitoring.dashboards import DASHBOARDS, FOLDER, document, text
from tests.server.process import DEADLINE, Serving, until
from tests.support.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

VM = """
name: web-1
namespace: shop
peer: {addresses: [127.0.0.1]}
dialects: {ec2: {tokens: optional}, kubevirt: {}, gce: {}}
ec2: {credentials: {role: web, provider: file, file: credentials}}
tokens: [{file: token}]
"""
SILENT = "name: web-2\nnamespace: shop\npeer: {addresses: [127.0.0.9]}\n"
KEYS = "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = example\n"
TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
ROLES = "/latest/meta-data/iam/security-credentials/"
WINDOW = re.compile(r"\[\d+[mhd]\]")

# What this traffic does not bring about: tests of their own do, as is said at each.
UNSEEN = {
    "ImdsTokenIssuanceFailsForControlPlane",  # test_rules: needs a machine of that name
    "ImdsTokensAreSlow",  # test_rules
    "ImdsDown",  # test_rules: a server that is down is not scraped
    "ImdsProxyForged",  # test_rules; the refusal itself is tests/server/test_fleet's
    "ImdsLimitsHit",  # test_rules
    "ImdsRequestsThrottled",  # test_rules
    "ImdsBootStalled",  # test_rules; the stall itself is tests/server's, after two minutes
    "ImdsCanaryFellBack",  # test_rules; the fall-back itself is tests/migration's
    "ImdsCredentialsEnd",  # test_rules: needs a provider that stops
    "ImdsAuditLinesLost",  # test_rules; the loss itself is tests/reliability's
}


def soon(query: str) -> str:
    """Look at the last minute, whatever window was asked for, and wait for nothing."""
    return WINDOW.sub("[1m]", query)


def hurried() -> str:
    found = rules.rules(rules.RUNBOOKS, "kube-system")
    for group in found["groups"]:
        for rule in group["rules"]:
            rule["expr"] = soon(rule["expr"])
            if "for" in rule:
                rule["for"] = "0s"
    return yaml.safe_dump(found)


def traffic(server: Serving) -> None:
    """Ask as guests do, well and badly."""

    def ask(path: str, method: str = "GET", host: str = "", **headers: str) -> requests.Response:
        url = server.url.replace("127.0.0.1", host or "127.0.0.1")
        return requests.request(method, url + path, headers=headers, timeout=DEADLINE)

    token = ask("/latest/api/token", "PUT", **{TTL: "300"}).text
    assert ask("/latest/meta-data/", **{TOKEN: token}).ok
    assert ask("/latest/meta-data/").ok
    for _ in range(2):
        assert ask("/latest/meta-data/", **{TOKEN: "x" + token[1:]}).status_code == 401
    assert ask(ROLES + "other", **{TOKEN: token}).status_code == 404
    ask(ROLES + "web", **{TOKEN: token})
    ask("/v1/token", Metadata="true")
    assert ask("/computeMetadata/v1/").status_code == 403


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give a Prometheus that saw a server under traffic, then its files break."""
    folder = tmp_path_factory.mktemp("live")
    vms = folder / "vms"
    vms.mkdir()
    (vms / "web-1.yaml").write_text(VM)
    (vms / "web-2.yaml").write_text(SILENT)
    (vms / "token").write_text("t.o.ken")
    (vms / "credentials").write_text(KEYS)
    with Serving(folder, str(vms)) as server:
        target = server.operator.removeprefix("http://")
        with prometheus(folder, target, hurried()) as found:
            until(lambda: found.value('up{job="imds"}') == 1)
            traffic(server)
            (vms / "token").unlink()
            (vms / "credentials").write_text("[default]\n")
            for _ in range(3):
                time.sleep(1.5)  # the scraper's pace, which is real
                traffic(server)
            (vms / "web-2.yaml").write_text("name: [")
            until(lambda: found.value("imds_reload_successful") == 0)
            stranger(server)
            until(lambda: bool(found.results('imds_refusals_total{reason="unknown-vm"}')))
            for _ in range(2):
                time.sleep(1.5)
                stranger(server)
                traffic(server)
            until(lambda: bool(found.results("imds:reads:error_ratio_rate5m")))
            yield found


def stranger(server: Serving) -> None:
    session = requests.Session()
    adapter = From("127.0.0.77")
    session.mount("http://", adapter)
    assert session.get(server.url + "/latest/meta-data/", timeout=DEADLINE).status_code == 404


class From(requests.adapters.HTTPAdapter):
    """Asks from another address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **how: Any) -> None:
        super().init_poolmanager(*arguments, **how, source_address=(self._address, 0))


def queries() -> list[tuple[str, str]]:
    """Give each query with the name of what asks it."""
    found = []
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for legend, query in panel.queries:
                asked = re.sub(r"\$(job|namespace|vm)", ".*", query)
                found.append((f"{dashboard.uid}: {panel.title}: {legend}", asked))
    for group in rules.rules(rules.RUNBOOKS, "kube-system")["groups"]:
        recorded = (rule for rule in group["rules"] if "record" in rule)
        found += [(rule["record"], rule["expr"]) for rule in recorded]
    return found


@pytest.mark.client
@pytest.mark.xdist_group("monitoring")
@pytest.mark.parametrize(("name", "query"), queries())
def test_a_query_finds_something(running: Prometheus, name: str, query: str) -> None:
    quiet = "Limits" in name
    found = running.results(soon(query))
    assert found is not None
    assert found or quiet
    values = [float(series["value"][1]) for series in found]
    assert all(value == value for value in values), "not a number"  # noqa: PLR0124


@pytest.mark.client
@pytest.mark.xdist_group("monitoring")
@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS} - UNSEEN))
def test_an_alert_is_given(running: Prometheus, name: str) -> None:
    fires = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    until(lambda: bool(running.results(fires)))


@pytest.mark.client
@pytest.mark.xdist_group("monitoring")
def test_a_budget_that_goes_is_alerted_on(running: Prometheus) -> None:
    fires = 'ALERTS{alertname="ImdsTokenIssuanceBurns1h",alertstate="firing",severity="page"}'
    until(lambda: bool(running.results(fires)))


@pytest.mark.client
@pytest.mark.xdist_group("monitoring")
@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_the_others_are_not(running: Prometheus, name: str) -> None:
    assert running.results(f'ALERTS{{alertname="{name}",alertstate="firing"}}') == []


@pytest.mark.parametrize(("name", "query"), queries())
def test_a_query_is_promql_to_another_parser(name: str, query: str) -> None:
    _ = promql_parser.parse(query)  # raises for what is none


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_dashboard_is_what_the_code_makes_and_grafana_reads(dashboard: Any) -> None:
    file = FOLDER / f"{dashboard.uid}.json"
    assert file.read_text() == text(dashboard), "python -m deploy.monitoring.dashboards"
    read = Dashboard.from_json(json.loads(file.read_text()))
    assert read.uid == dashboard.uid
    assert len(read.panels or []) == len(dashboard.panels)
    shown = document(dashboard)["panels"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in shown)


def test_the_files_are_those_of_the_dashboards() -> None:
    names = {path.name for path in Path(FOLDER).iterdir()}
    assert names == {f"{dashboard.uid}.json" for dashboard in DASHBOARDS}
