"""What is counted, and that no guest can make the tables grow."""

from __future__ import annotations

import gc
import random
import re
import string
import subprocess
from typing import Any

import pytest
from msgspec.structs import replace

from emulator.core.policy import DOCUMENTS
from emulator.observe.catalogue import FAMILIES, State, series
from emulator.observe.catalogue_imdsv2 import Migration
from emulator.observe.exposition import Buckets, pieces, text
from emulator.observe.metrics import LATELY, OTHERS, Metrics
from emulator.observe.observation import Observation
from tests.support import cloudinit_source
from tests.support.ports import FakePorts

SEEN = Observation(
    time=1.0,
    vm="web-1",
    dialect="ec2",
    area="ec2",
    method="GET",
    path="/latest/meta-data",
    status=200,
    reason="",
    bytes=3,
    duration_us=700,
    user_agent="curl",
    peer="10.0.0.2",
    namespace="prod",
    session="absent",
    document="meta-data",
)
PUT = replace(SEEN, area="ec2-token", document="session", method="PUT", session="")
STATE = State(
    version="1",
    ready=True,
    vms=[("prod", "web-1"), ("prod", "web-2")],
    reloads=2,
    failed_reloads=1,
    reload_successful=False,
    reloaded=1.5,
    waiting=3,
    connections=4,
    limit_hits={"waiting": 5},
    vm_limit_hits={},
    malformed={"not-http": 6},
    audited={"written": 7, "dropped": 1},
    migration=Migration(modes={"off": 2}, canary=5, fallbacks=1),
)


def found(*observations: Observation, state: State = STATE) -> dict[str, Any]:
    metrics = Metrics()
    for observation in observations:
        metrics(observation)
    return by_name(metrics, state)


def by_name(metrics: Metrics, state: State = STATE) -> dict[str, Any]:
    return {family.name: values for family, values in series(metrics, state)}


def counted(buckets: object) -> int:
    assert isinstance(buckets, Buckets)
    return sum(buckets.counts)


def page(metrics: Metrics, state: State = STATE) -> str:
    return text(series(metrics, state)).decode()


def test_requests_are_counted_by_class() -> None:
    absent = replace(SEEN, status=404, reason="not-found", method="BREW", document="none")
    got = found(SEEN, SEEN, absent)
    assert got["imds_requests_total"] == {
        ("ec2", "ec2", "meta-data", "GET", "2xx"): 2,
        ("ec2", "ec2", "none", "other", "4xx"): 1,
    }
    assert got["imds_refusals_total"] == {("ec2", "not-found"): 1}
    assert got["imds_vm_refusals_total"] == {("prod", "web-1", "not-found"): 1}
    assert got["imds_vm_requests_total"] == {
        ("prod", "web-1", "2xx"): 2,
        ("prod", "web-1", "4xx"): 1,
    }


def test_latency_is_that_of_reading_without_waiting() -> None:
    slow = replace(SEEN, duration_us=2_000_000)
    got = found(SEEN, slow, replace(slow, waited=True), PUT)["imds_request_duration_seconds"]
    assert list(got) == [("ec2",)]
    assert got[("ec2",)].counts == [0, 1, *[0] * 8, 1]
    assert got[("ec2",)].sum == pytest.approx(2.0007)


def test_a_duration_at_its_bound_is_within_it() -> None:
    """Prometheus's ``le`` is less or equal: exactly 50 ms keep the objective."""
    late = replace(SEEN, duration_us=50_001)
    got = found(replace(SEEN, duration_us=50_000), late, replace(PUT, duration_us=90_000))
    buckets = got["imds_request_duration_seconds"]["ec2",]
    counts = dict(zip(buckets.bounds, buckets.counts, strict=False))
    assert (counts[0.05], counts[0.1]) == (1, 1)
    assert got["imds_slow_requests_total"] == {("ec2",): 1}


@pytest.mark.parametrize(
    ("area", "document", "method", "token"),
    [
        ("kubevirt-get", "token", "GET", "serviceaccount"),
        ("kubevirt-session", "session", "PUT", "session"),
        ("ec2-token", "session", "PUT", "session"),
        ("ec2-roles", "credentials", "GET", "ec2-credentials"),
        ("gce-accounts", "token", "GET", "gce-access"),
        ("gce-identity", "identity", "GET", "gce-identity"),
        ("azure-identity", "token", "GET", "azure-access"),
    ],
)
@pytest.mark.parametrize(
    ("status", "reason", "ended"),
    [
        (200, "", "success"),
        (400, "bad-query", "refused"),
        (500, "unavailable", "failure"),
        (429, "throttled", "refused"),
        (503, "throttled", "refused"),
    ],
)
def test_every_token_is_counted(
    area: str, document: str, method: str, token: str, status: int, reason: str, ended: str
) -> None:
    asked = replace(SEEN, area=area, document=document, method=method)
    got = found(replace(asked, status=status, reason=reason))
    counts = got["imds_token_issuances_total"]
    assert {key: count for key, count in counts.items() if count} == {(token, ended): 1}
    assert len(counts) == 18, "zeros are shown, so that a first failure is seen to be a rise"
    timed = got["imds_token_issuance_duration_seconds"][(token,)]
    assert counted(timed) == (0 if ended == "refused" else 1)
    assert got["imds_vm_token_issuances_total"]["prod", "web-1", ended] == 1


@pytest.mark.parametrize(
    ("area", "document", "method"),
    [
        ("kubevirt-get", "identity", "GET"),
        ("kubevirt-session", "session", "OPTIONS"),
        ("gce-accounts", "meta-data", "GET"),
        ("azure-identity", "identity", "GET"),
        ("ec2", "credentials", "GET"),
    ],
)
def test_what_is_no_token_is_not_counted_as_one(area: str, document: str, method: str) -> None:
    got = found(replace(SEEN, area=area, document=document, method=method))
    assert not any(got["imds_token_issuances_total"].values())


def test_session_tokens_are_counted_by_lifetime() -> None:
    got = found(replace(PUT, lifetime=60), replace(PUT, lifetime=61), replace(PUT, lifetime=21600))
    buckets = got["imds_session_token_lifetime_seconds"][()]
    assert buckets.counts == (1, 1, 0, 0, 0, 1, 0)
    assert buckets.sum == 21721
    assert got["imds_vm_session_tokens_total"] == {("prod", "web-1"): 3}


def test_calls_are_told_apart_by_session() -> None:
    got = found(
        SEEN,
        replace(SEEN, status=404, reason="not-found"),
        replace(SEEN, status=404, reason="unknown-identity"),
        replace(SEEN, status=401, reason="session-missing"),
        replace(SEEN, session="given"),
        replace(SEEN, session="given", status=401, reason="session-invalid"),
        replace(SEEN, session=""),
    )
    assert got["imds_sessionless_requests_total"] == {("ec2",): 3}
    assert got["imds_session_requests_total"] == {("ec2",): 1}
    assert got["imds_vm_sessionless_requests_total"] == {("prod", "web-1"): 3}
    assert got["imds_vm_session_requests_total"] == {("prod", "web-1"): 1}


def test_signs_of_ssrf_are_counted_and_begin_at_zero() -> None:
    got = found(replace(PUT, status=403, reason="forwarded"), replace(SEEN, vm="web-2"))
    assert got["imds_ssrf_indications_total"] == {
        ("foreign-host",): 0,
        ("forwarded",): 1,
        ("header-missing",): 0,
        ("proxy-forged",): 0,
    }
    assert got["imds_vm_ssrf_indications_total"] == {("prod", "web-1"): 1}


def test_what_the_server_is_like_is_told() -> None:
    got = found()
    assert got["imds_reloads_total"] == {("success",): 2, ("failure",): 1}
    assert got["imds_limit_hits_total"][("waiting",)] == 5
    assert got["imds_limit_hits_total"][("connections",)] == 0
    assert got["imds_malformed_requests_total"] == {("not-http",): 6}
    alone = {name: values[()] for name, values in got.items() if () in values}
    assert alone["imds_ready"] == 1
    assert (alone["imds_waiting_requests"], alone["imds_connections"]) == (3, 4)
    assert alone["imds_reload_last_success_timestamp_seconds"] == 1.5
    assert alone["process_open_fds"] < alone["process_max_fds"]
    assert alone["process_start_time_seconds"] > 1e9


def test_refreshes_are_counted_by_provider() -> None:
    metrics = Metrics()
    metrics.refreshed("web-identity", ok=True)
    metrics.refreshed("web-identity", ok=False)
    got = by_name(metrics)["imds_credential_refreshes_total"]
    assert got == {("web-identity", "success"): 1, ("web-identity", "failure"): 1}


def test_the_soonest_end_counts_while_it_is_asked_for() -> None:
    clock = FakePorts()
    metrics = Metrics(ports=clock.ports)

    def ends() -> dict[tuple[str, ...], Any]:
        return dict(by_name(metrics)["imds_credentials_expiry_timestamp_seconds"])

    assert ends() == {}
    metrics.used("federated", 900.0)
    metrics.used("federated", 700.0)
    metrics.used("federated", 800.0)
    metrics.used("file", 500.0)
    assert ends() == {("federated",): 700.0, ("file",): 500.0}
    clock.advance(LATELY / 2)
    metrics.used("federated", 750.0)
    assert ends() == {("federated",): 700.0, ("file",): 500.0}
    clock.advance(LATELY / 2)
    assert ends() == {("federated",): 750.0}, "what was renewed, or is asked for no more, is gone"
    clock.advance(LATELY)
    assert ends() == {}


# ----------------------------------------------------------------------------------- bounds


def test_a_stranger_has_no_series_of_its_own() -> None:
    assert found(replace(SEEN, vm="", namespace=""))["imds_vm_requests_total"] == {}


def test_machines_beyond_the_most_are_counted_together() -> None:
    metrics = Metrics(most_vms=2)
    for number in range(5):
        metrics(replace(SEEN, vm=f"web-{number}"))
    assert {name: vm.statuses[2] for name, vm in metrics.vms.items()} == {
        ("prod", "web-0"): 1,
        ("prod", "web-1"): 1,
        OTHERS: 3,
    }


def test_a_machine_that_is_gone_makes_room() -> None:
    metrics = Metrics(most_vms=2)
    for number in range(3):
        metrics(replace(SEEN, vm=f"web-{number}"))
    page(metrics, replace(STATE, vms=[("prod", "web-0"), ("prod", "web-3")]))
    metrics(replace(SEEN, vm="web-0"))
    assert metrics.vms.keys() == {("prod", "web-0"), OTHERS}
    assert metrics.vms["prod", "web-0"].statuses[2] == 2


def test_a_hostile_crawl_makes_no_series() -> None:
    """100,000 requests, each with a path, a method, a user agent and a status of its own."""
    chance = random.Random(9)  # noqa: S311 (the same words each time)

    def word() -> str:
        return "".join(chance.choices(string.printable, k=20))

    metrics = Metrics()
    for number in range(1_000):
        metrics(hostile(word, number))
    gc.collect()
    before = (len(metrics.kinds), page(metrics).count("\n"))
    for number in range(99_000):
        metrics(hostile(word, number))
    assert (len(metrics.kinds), page(metrics).count("\n")) == before
    assert before[0] < 1_000
    assert sum(kind.count for kind in metrics.kinds.values()) == 100_000


def hostile(word: Any, number: int) -> Observation:
    return replace(
        SEEN,
        path=f"/{word()}",
        method=("GET", "PUT", word())[number % 3],
        user_agent=word(),
        peer=word(),
        status=(200, 404, 401, 403)[number % 4],
        reason=("", "not-found", word(), word())[number % 4],
        session=("given", "absent")[number % 2],
        lifetime=number % 21_600,
        duration_us=number * 37 % 3_000_000,
        document=DOCUMENTS[number % len(DOCUMENTS)],
    )


# ----------------------------------------------------------------------------------- the text


def test_promtool_has_nothing_to_say() -> None:
    metrics = Metrics()
    metrics(SEEN)
    metrics(replace(PUT, lifetime=60))
    metrics(replace(SEEN, status=404, reason="not-found", session="given"))
    metrics(replace(SEEN, status=403, reason="forwarded"))
    metrics(replace(SEEN, spared="session-missing"))
    metrics.refreshed("file", ok=True)
    metrics.used("file", 1.8e9)
    name = (SEEN.namespace, SEEN.vm)
    migration = replace(STATE.migration, stalled={name})
    shown = page(metrics, replace(STATE, vm_limit_hits={name: 1}, migration=migration))
    done = subprocess.run(
        [str(cloudinit_source.prometheus() / "promtool"), "check", "metrics"],
        input=shown,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Nothing that is declared is missing where everything has happened.
    assert re.findall(r"^# TYPE (\S+)", shown, re.MULTILINE) == [f.name for f in FAMILIES]


def test_a_name_cannot_break_out_of_its_label() -> None:
    name = 'a"} 1\nimds_vms{x="\\'
    shown = page(Metrics(), replace(STATE, version=name))
    assert r'imds_build_info{version="a\"} 1\nimds_vms{x=\"\\"} 1' in shown.splitlines()


def test_what_a_thousand_machines_have_is_written_in_small_pieces() -> None:
    """No guest waits for all of it: each piece takes part of a millisecond."""
    metrics = Metrics()
    names = [("prod", f"web-{number}") for number in range(1_000)]
    for _, name in names:
        metrics(replace(SEEN, vm=name))
        metrics(replace(SEEN, vm=name, status=404, reason="not-found"))
    found = list(pieces(series(metrics, replace(STATE, vms=names))))
    written = b"".join(found).decode()
    whole = page(metrics, replace(STATE, vms=names))
    assert written.partition("\nprocess_")[0] == whole.partition("\nprocess_")[0]
    assert written.count('vm="web-999"') == 9
    assert max(piece.count(b"\n") for piece in found) < 250
    assert len(found) > 30


def test_a_histogram_adds_its_buckets_up() -> None:
    metrics = Metrics()
    metrics(SEEN)
    metrics(replace(SEEN, duration_us=2_000_000))
    lines = page(metrics).splitlines()
    name = 'imds_request_duration_seconds_bucket{dialect="ec2",le='
    assert f'{name}"0.0005"}} 0' in lines
    assert f'{name}"0.001"}} 1' in lines
    assert f'{name}"+Inf"}} 2' in lines
    assert 'imds_request_duration_seconds_count{dialect="ec2"} 2' in lines
