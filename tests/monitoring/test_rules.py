"""Each alert is given when it should be, and none when all is well: by Prometheus' own tool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.alerts import ALERTS
from deploy.monitoring.objectives import BURNS, OBJECTIVES
from deploy.monitoring.rules import text
from tests.support import cloudinit_source

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/monitoring/rules.yml"
RUNBOOKS = ROOT / "docs/runbooks"
MONTH = 30 * 24

# Series by what each minute adds: what is well.
LATENCY = 'imds_token_issuance_duration_seconds_bucket{job="imds",token="session",le="%s"}'
ISSUED = 'imds_token_issuances_total{job="imds",token="%s",outcome="%s"}'
REFRESHED = 'imds_credential_refreshes_total{job="imds",provider="sts",outcome="%s"}'
REQUESTS = 'imds_requests_total{job="imds",dialect="ec2",method="GET",status="%s"}'
SIGNAL = 'imds_ssrf_indications_total{job="imds",signal="%s"}'
STRANGERS = 'imds_refusals_total{job="imds",dialect="none",reason="unknown-vm"}'
LIMIT = 'imds_limit_hits_total{job="imds",limit="connections"}'
LOST = 'imds_audit_lines_total{job="imds",instance="a",outcome="dropped"}'
GAUGE = '%s{job="imds",instance="a"}'
MACHINE = 'imds_vm_%s{job="imds",instance="a",namespace="%s",vm="vm-%d"%s}'
COUNTERS = {
    REQUESTS % "2xx": 6000,
    REQUESTS % "5xx": 0,
    ISSUED % ("session", "success"): 600,
    ISSUED % ("session", "failure"): 0,
    ISSUED % ("ec2-credentials", "refused"): 0,
    REFRESHED % "success": 60,
    REFRESHED % "failure": 0,
    **{LATENCY % bound: 600 for bound in ("0.05", "1", "+Inf")},
    **{SIGNAL % signal: 0 for signal in ("forwarded", "proxy-forged")},
    **dict.fromkeys((STRANGERS, LIMIT, LOST), 0),
    **{
        MACHINE % (name, space, number, more): how
        for number, space in enumerate(["kube-system", *["shop"] * 9])
        for name, more, how in (
            ("requests_total", ',status="2xx"', 60),
            ("session_tokens_total", "", 6),
            ("sessionless_requests_total", "", 0),
            ("token_issuances_total", ',outcome="failure"', 0),
            ("refusals_total", ',reason="session-invalid"', 0),
            ("refusals_total", ',reason="throttled"', 0),
            ("refusals_total", ',reason="unknown-identity"', 0),
        )
    },
}
GAUGES = {
    GAUGE % "up": 1,
    GAUGE % "imds_ready": 1,
    GAUGE % "imds_vms": 10,
    GAUGE % "imds_imdsv2_canary_fallbacks_total": 0,
    GAUGE % "imds_reload_successful": 1,
}


def well(minutes: int) -> dict[str, str]:
    counters = {name: f"0+{each}x{minutes}" for name, each in COUNTERS.items()}
    return counters | {name: f"{value}x{minutes}" for name, value in GAUGES.items()}


LATE, LONG = 150, 180
RISES = f"0x{LATE} 0+9x{LONG - LATE}"
FALLS = f"1x{LATE} 0x{LONG - LATE}"
FAILING = ',outcome="failure"'
# By alert, what is not well from the minute ``LATE`` on, or all the time.
ILL: dict[str, dict[str, str]] = {
    "ImdsTokenIssuanceFailsWidely": {
        MACHINE % ("token_issuances_total", "shop", 1, FAILING): RISES
    },
    "ImdsTokenIssuanceFailsForControlPlane": {
        MACHINE % ("token_issuances_total", "kube-system", 0, FAILING): RISES
    },
    "ImdsTokenIssuanceFails": {MACHINE % ("token_issuances_total", "shop", 1, FAILING): RISES},
    "ImdsTokensAreSlow": {LATENCY % "0.05": f"0x{LONG}"},
    "ImdsDown": {GAUGE % "up": FALLS},
    "ImdsNotReady": {GAUGE % "imds_ready": FALLS},
    "ImdsMachineSilent": {GAUGE % "imds_vms": f"11x{LONG}"},
    "ImdsSsrfIndications": {SIGNAL % "forwarded": RISES},
    "ImdsProxyForged": {SIGNAL % "proxy-forged": RISES},
    "ImdsStrangers": {STRANGERS: RISES},
    "ImdsSessionsEndEarly": {
        MACHINE % ("refusals_total", "shop", 1, ',reason="session-invalid"'): RISES
    },
    "ImdsLimitsHit": {LIMIT: RISES},
    "ImdsRequestsThrottled": {
        MACHINE % ("refusals_total", "shop", 1, ',reason="throttled"'): RISES
    },
    "ImdsFallsBackToV1": {MACHINE % ("sessionless_requests_total", "shop", 1, ""): RISES},
    "ImdsWrongRole": {
        MACHINE % ("refusals_total", "shop", 1, ',reason="unknown-identity"'): RISES
    },
    "ImdsBootStalled": {MACHINE % ("boot_stalled", "shop", 1, ""): f"0x{LATE} 1x30"},
    "ImdsCanaryFellBack": {GAUGE % "imds_imdsv2_canary_fallbacks_total": f"0x{LATE} 1x30"},
    "ImdsCredentialsEnd": {
        'imds_credentials_expiry_timestamp_seconds{job="imds",provider="sts"}': "10500x180"
    },
    "ImdsReloadFails": {GAUGE % "imds_reload_successful": FALLS},
    "ImdsAuditLinesLost": {LOST: RISES},
}
# By objective: the counter of what went wrong, and how many there are of the right ones a minute.
SPENT = {
    "token_issuance": (ISSUED % ("session", "failure"), 600),
    "reads": (REQUESTS % "5xx", 6000),
    "credential_refresh": (REFRESHED % "failure", 60),
    "server_errors": (REQUESTS % "5xx", 6000),
}
DAYS = 4 * 24 * 60


def given(
    series: dict[str, str], *counts: tuple[int, str, int], minutes: int = LONG
) -> dict[str, Any]:
    """Give a case: ``counts`` are minutes, alerts and how many of these are given then."""
    shown = well(minutes) | series
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in shown.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname=~"{alert}",alertstate="firing"}})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
            for minute, alert, count in counts
        ],
    }


def promtool(folder: Path, *cases: dict[str, Any], every: str = "1m") -> str:
    folder.joinpath("cases.yml").write_text(
        yaml.safe_dump(
            {"rule_files": [str(RULES)], "evaluation_interval": every, "tests": list(cases)}
        )
    )
    tool = str(cloudinit_source.prometheus() / "promtool")
    done = subprocess.run(
        [tool, "test", "rules", str(folder / "cases.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_rules_are_those_of_the_code() -> None:
    assert RULES.read_text() == text(), "python -m deploy.monitoring.rules > " + str(RULES)


def test_promtool_has_nothing_to_say() -> None:
    tool = str(cloudinit_source.prometheus() / "promtool")
    done = subprocess.run(
        [tool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_given_while_all_is_well(tmp_path: Path) -> None:
    assert not promtool(tmp_path, given({}, (LONG, ".*", 0)))


def test_each_alert_is_given_and_ends(tmp_path: Path) -> None:
    assert list(ILL) == [alert.name for alert in ALERTS]
    steady = {"ImdsTokensAreSlow", "ImdsMachineSilent"}
    cases = [
        given(series, *[(LATE - 1, name, 0)] * (name not in steady), (LONG, name, 1))
        for name, series in ILL.items()
    ]
    assert not promtool(tmp_path, *cases)


def test_a_case_can_fail(tmp_path: Path) -> None:
    assert "FAILED" in promtool(tmp_path, given({}, (LONG, "ImdsDown", 1)))


def test_what_one_machine_does_again_and_again_is_one_alert(tmp_path: Path) -> None:
    """A failure every 40 minutes: what is looked at is a quarter of an hour."""
    name = "ImdsRequestsThrottled"
    bursts = " ".join(f"{9 * number}x39" for number in range(6))
    series = {next(iter(ILL[name])): bursts}
    counts = [(minute, name, 1) for minute in range(45, 240, 5)]
    assert not promtool(tmp_path, given(series, *counts, minutes=240))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_a_budget_that_goes_too_fast_calls_somebody(tmp_path: Path, objective: Any) -> None:
    words = "".join(word.capitalize() for word in objective.name.split("_"))
    counter, each_minute = SPENT[objective.name]
    cases = []
    for burn in BURNS:
        name = f"Imds{words}Burns{burn.long}"
        for times, count in ((1.2, 1), (0.8, 0)):
            share = burn.factor * objective.budget * times
            wrong = each_minute * share / (1 - share)
            series = {counter: f"0+{wrong:.6f}x{DAYS}"}
            cases.append(given(series, (DAYS, name, count), minutes=DAYS))
    assert not promtool(tmp_path, *cases, every="1h")


def test_half_of_a_months_budget_within_six_hours_pages() -> None:
    page = next(burn for burn in BURNS if burn.severity == "page")
    assert page.factor * 6 / MONTH == 0.5


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    rules = yaml.safe_load(RULES.read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    wanted = {rule["annotations"]["runbook_url"] for rule in alerts}
    written = {str(page.relative_to(ROOT)) for page in RUNBOOKS.glob("*.md")}
    assert written - wanted == {"docs/runbooks/suspected-exfiltration.md"}
    assert not wanted - written
    for rule in alerts:
        page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
        family = re.sub(r"^Imds(\w+)Burns\d+[hd]$", "Imds*Burns*", rule["alert"])
        assert f"`{family}`" in page, rule["alert"]


def test_where_runbooks_are_and_who_pages_can_be_chosen() -> None:
    said = text("https://wiki.example/imds/", "prod-.*")
    assert "runbook_url: https://wiki.example/imds/ssrf.md" in said
    assert 'namespace=~"prod-.*"' in said
    assert "kube-system" not in said
