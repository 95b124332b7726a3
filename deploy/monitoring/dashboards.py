"""Grafana's dashboards, from one table: ``python -m deploy.monitoring.dashboards [FOLDER]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from deploy.monitoring.objectives import LATENCY_SECONDS, OBJECTIVES, latency

FOLDER = Path(__file__).parent / "dashboards"
_PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24
_HEIGHT = 8
_JOB = 'job=~"$job"'
_ASKED = f"imds_vm_requests_total{{{_JOB}}}"
_VM = f'{_JOB},namespace=~"$namespace",vm=~"$vm"'


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel; ``queries`` are legends and PromQL, ``good`` the value from which it is green."""

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    good: float | None = None
    bad: float | None = None
    width: int = 12


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard; ``by_vm`` lets who looks at it choose machines."""

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    span: str = "now-6h"
    by_vm: bool = False


def _ratio(objective: str, window: str) -> str:
    found = next(one for one in OBJECTIVES if one.name == objective)
    return f"1 - ({found.errors(window)})".replace("{", "{" + _JOB + ",")


def _sum(by: str, metric: str, window: str, labels: str = _JOB) -> str:
    return f"sum by ({by}) (increase({metric}{{{labels}}}[{window}]))"


EXECUTIVE = Dashboard(
    uid="imds-executive",
    title="imds-emulator: executive",
    about="Whether the service keeps what it promises, and how far IMDSv2 has come.",
    span="now-30d",
    panels=(
        Panel(
            title="Token issuance",
            about="Share of tokens that were issued; what guests asked wrongly does not count.",
            queries=(("{{job}}", _ratio("token_issuance", "30d")),),
            kind="stat",
            unit="percentunit",
            good=0.999,
        ),
        Panel(
            title="GETs",
            about="Share of GETs that the server could answer.",
            queries=(("{{job}}", _ratio("reads", "30d")),),
            kind="stat",
            unit="percentunit",
            good=0.9995,
        ),
        Panel(
            title="SSRF indications by month",
            about="Requests such as an application makes that was tricked; all were refused.",
            queries=(("{{signal}}", _sum("signal", "imds_ssrf_indications_total", "30d")),),
            kind="barchart",
        ),
        Panel(
            title="VMs on IMDSv1 and IMDSv2",
            about="Machines by the calls that they made within a day.",
            queries=(
                (
                    "IMDSv1",
                    "count("
                    + _sum("namespace, vm", "imds_vm_sessionless_requests_total", "1d")
                    + " > 0) or vector(0)",
                ),
                (
                    "IMDSv2",
                    "count("
                    + _sum("namespace, vm", "imds_vm_session_requests_total", "1d")
                    + " > 0) or vector(0)",
                ),
            ),
        ),
    ),
)

ON_CALL = Dashboard(
    uid="imds-on-call",
    title="imds-emulator: on call",
    about="What fails, for whom, since when.",
    by_vm=True,
    panels=(
        Panel(
            title="Token errors by VM",
            about="Tokens that could not be issued, within five minutes.",
            queries=(
                (
                    "{{namespace}}/{{vm}}",
                    _sum(
                        "namespace, vm",
                        "imds_vm_token_issuances_total",
                        "5m",
                        f'{_VM},outcome="failure"',
                    ),
                ),
            ),
            bad=1,
        ),
        Panel(
            title="GET errors by VM",
            about="Answers 4xx and 5xx, within five minutes.",
            queries=(
                (
                    "{{namespace}}/{{vm}} {{status}}",
                    _sum(
                        "namespace, vm, status",
                        "imds_vm_requests_total",
                        "5m",
                        f'{_VM},status=~"4xx|5xx"',
                    ),
                ),
            ),
        ),
        Panel(
            title="Refusals by reason",
            about="Why guests got no data.",
            queries=(
                ("{{reason}}", f"sum by (reason) (rate(imds_refusals_total{{{_JOB}}}[5m]))"),
            ),
            unit="reqps",
        ),
        Panel(
            title="Latency of GETs",
            about="Requests by how long they took, seconds.",
            queries=(
                (
                    "{{le}}",
                    f"sum by (le) (increase(imds_request_duration_seconds_bucket{{{_JOB}}}[5m]))",
                ),
            ),
            kind="heatmap",
            unit="s",
        ),
        Panel(
            title="Token latency, 95 of 100",
            about="The objective is 50 ms.",
            queries=(("{{job}}", latency("5m").replace("bucket[", f"bucket{{{_JOB}}}[")),),
            unit="s",
            bad=LATENCY_SECONDS,
        ),
        Panel(
            title="Limits",
            about="What was turned away because there was too much of it.",
            queries=(("{{limit}}", _sum("limit", "imds_limit_hits_total", "5m")),),
            bad=1,
        ),
    ),
)

DEBUG = Dashboard(
    uid="imds-debug",
    title="imds-emulator: debug",
    about="One machine, or a few: what they ask, which sessions they have, whether they arrive.",
    span="now-1h",
    by_vm=True,
    panels=(
        Panel(
            title="Calls per VM",
            about="Requests by class of status.",
            queries=(
                (
                    "{{namespace}}/{{vm}} {{status}}",
                    f"sum by (namespace, vm, status) (rate(imds_vm_requests_total{{{_VM}}}[5m]))",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            title="Session tokens per VM",
            about="Many a minute: a program asks for one each time.",
            queries=(
                (
                    "{{namespace}}/{{vm}}",
                    _sum("namespace, vm", "imds_vm_session_tokens_total", "5m", _VM),
                ),
            ),
        ),
        Panel(
            title="Lifetimes of session tokens",
            about="Seconds; short ones are renewed often.",
            queries=(
                (
                    "{{le}}",
                    _sum("le", "imds_session_token_lifetime_seconds_bucket", "1h"),
                ),
            ),
            kind="heatmap",
            unit="s",
        ),
        Panel(
            title="Refusals of these VMs",
            about="Why they got no data.",
            queries=(
                (
                    "{{namespace}}/{{vm}} {{reason}}",
                    _sum("namespace, vm, reason", "imds_vm_refusals_total", "5m", _VM),
                ),
            ),
        ),
        Panel(
            title="Reachability",
            about="Servers that answer and are ready; machines that are served, and have asked.",
            queries=(
                ("up {{instance}}", f"up{{{_JOB}}}"),
                ("ready {{instance}}", f"imds_ready{{{_JOB}}}"),
                ("served {{instance}}", f"imds_vms{{{_JOB}}}"),
                (
                    "have asked {{instance}}",
                    f"count by (instance) (count by (instance, namespace, vm) ({_ASKED}))",
                ),
            ),
        ),
        Panel(
            title="Waiting and connected",
            about="Requests that wait for a change, and connections.",
            queries=(
                ("waiting {{instance}}", f"imds_waiting_requests{{{_JOB}}}"),
                ("connections {{instance}}", f"imds_connections{{{_JOB}}}"),
            ),
        ),
    ),
)

DASHBOARDS = (EXECUTIVE, ON_CALL, DEBUG)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Give a dashboard as Grafana imports it."""
    variables = [
        {
            "name": "datasource",
            "type": "datasource",
            "query": "prometheus",
            "current": {"text": "default", "value": "default"},
        },
        _variable("job", "imds_build_info", "job"),
    ]
    if dashboard.by_vm:
        variables.append(_variable("namespace", _ASKED, "namespace"))
        chosen = f'imds_vm_requests_total{{{_JOB},namespace=~"$namespace"}}'
        variables.append(_variable("vm", chosen, "vm"))
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["imds-emulator"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": dashboard.span, "to": "now"},
        "templating": {"list": variables},
        "panels": list(_panels(dashboard.panels)),
    }


def _variable(name: str, series: str, label: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _PROMETHEUS,
        "query": f"label_values({series}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels(panels: Iterable[Panel]) -> Iterable[dict[str, Any]]:
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + _HEIGHT
        place = {"h": _HEIGHT, "w": panel.width, "x": x, "y": y}
        x += panel.width
        yield {
            "id": number,
            "type": panel.kind,
            "title": panel.title,
            "description": panel.about,
            "datasource": _PROMETHEUS,
            "gridPos": place,
            "fieldConfig": {
                "defaults": {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel)},
                "overrides": [],
            },
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "expr": query,
                    "legendFormat": legend,
                    "datasource": _PROMETHEUS,
                    **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
                }
                for index, (legend, query) in enumerate(panel.queries)
            ],
        }


def _thresholds(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.good is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.good}]
    elif panel.bad is not None:
        steps.append({"color": "red", "value": panel.bad})
    return {"mode": "absolute", "steps": steps}


def text(dashboard: Dashboard) -> str:
    """Give a dashboard's file."""
    return json.dumps(document(dashboard), indent=2) + "\n"


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    for dashboard in DASHBOARDS:
        folder.joinpath(f"{dashboard.uid}.json").write_text(text(dashboard))


if __name__ == "__main__":
    main()
