"""Every metric by name, and how its series follow from what was counted."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import product

import msgspec

from emulator.core.refusal import Refusal
from emulator.observe import catalogue_imdsv2, process
from emulator.observe.catalogue_imdsv2 import Migration
from emulator.observe.exposition import Buckets, Family, Series
from emulator.observe.metrics import (
    BOUNDS_US,
    LIFETIMES,
    OBJECTIVE_US,
    OUTCOMES,
    TOKENS,
    Kind,
    Metrics,
    Vm,
    outcome,
    was_answered,
    was_read,
)

FAMILIES = (
    Family("imds_build_info", "gauge", ("version",), "Always 1; what runs."),
    Family("imds_ready", "gauge", (), "1 while /readyz answers 200."),
    Family("imds_vms", "gauge", (), "Machines that are served."),
    Family(
        "imds_requests_total",
        "counter",
        ("dialect", "area", "document", "method", "status"),
        "Answered requests of guests, by area, class of document and status class.",
    ),
    Family(
        "imds_request_duration_seconds",
        "histogram",
        ("dialect",),
        "From a request's head to its answer; GET and HEAD that did not wait for a change.",
    ),
    Family(
        "imds_slow_requests_total",
        "counter",
        ("dialect",),
        f"Of those, the ones that took longer than {OBJECTIVE_US / 1e6:g} seconds.",
    ),
    Family(
        "imds_refusals_total",
        "counter",
        ("dialect", "reason"),
        "Requests that got no data, by reason.",
    ),
    Family(
        "imds_ssrf_indications_total",
        "counter",
        ("signal",),
        "Requests such as an application makes that was tricked, by what gave them away.",
    ),
    Family(
        "imds_token_issuances_total",
        "counter",
        ("token", "outcome"),
        "Tokens asked for; refused is the guest's mistake, failure the server's.",
    ),
    Family(
        "imds_token_issuance_duration_seconds",
        "histogram",
        ("token",),
        "From a request for a token to its answer, success or failure.",
    ),
    Family(
        "imds_session_token_lifetime_seconds",
        "histogram",
        (),
        "Lifetimes of issued session tokens.",
    ),
    Family(
        "imds_session_requests_total",
        "counter",
        ("dialect",),
        "Requests with a good session token where those are taken (IMDSv2 calls).",
    ),
    Family(
        "imds_sessionless_requests_total",
        "counter",
        ("dialect",),
        "Requests answered without a session token where those are taken (IMDSv1 calls).",
    ),
    Family(
        "imds_credential_refreshes_total",
        "counter",
        ("provider", "outcome"),
        "Credentials asked of their provider; `generated` and `file` are asked at each request.",
    ),
    Family(
        "imds_credentials_expiry_timestamp_seconds",
        "gauge",
        ("provider",),
        "Soonest end of the credentials that guests asked for in the last minutes.",
    ),
    Family(
        "imds_vm_requests_total",
        "counter",
        ("namespace", "vm", "status"),
        "Answered requests of a machine.",
    ),
    Family(
        "imds_vm_refusals_total",
        "counter",
        ("namespace", "vm", "reason"),
        "Its requests that got no data, by reason; only reasons that there were.",
    ),
    Family(
        "imds_vm_ssrf_indications_total",
        "counter",
        ("namespace", "vm"),
        "Its requests such as an application makes that was tricked; only if there were any.",
    ),
    Family(
        "imds_vm_limit_hits_total",
        "counter",
        ("namespace", "vm"),
        "What was beyond one of its limits, those whose names end with `_of_vm`; only if any was.",
    ),
    Family("imds_vm_session_requests_total", "counter", ("namespace", "vm"), "Its IMDSv2 calls."),
    Family(
        "imds_vm_sessionless_requests_total", "counter", ("namespace", "vm"), "Its IMDSv1 calls."
    ),
    Family(
        "imds_vm_spared_requests_total",
        "counter",
        ("namespace", "vm"),
        "Its requests that are only observed, and refused if session tokens were required; "
        "only if there were any.",
    ),
    Family(
        "imds_vm_session_tokens_total",
        "counter",
        ("namespace", "vm"),
        "Session tokens that it was issued.",
    ),
    Family(
        "imds_vm_token_issuances_total",
        "counter",
        ("namespace", "vm", "outcome"),
        "Tokens that it asked for, of every kind.",
    ),
    *catalogue_imdsv2.FAMILIES,
    Family(
        "imds_reloads_total",
        "counter",
        ("outcome",),
        "Changes of descriptions that were taken over, or were not.",
    ),
    Family(
        "imds_reload_successful",
        "gauge",
        (),
        "1 while the descriptions that were read last are those that are served.",
    ),
    Family(
        "imds_reload_last_success_timestamp_seconds",
        "gauge",
        (),
        "When descriptions were last taken over; 0 if this server never could.",
    ),
    Family("imds_waiting_requests", "gauge", (), "Requests that wait for a change."),
    Family("imds_connections", "gauge", (), "Connections of guests."),
    Family(
        "imds_limit_hits_total",
        "counter",
        ("limit",),
        "Connections closed, and requests refused, put off or not held, as there were too many.",
    ),
    Family(
        "imds_malformed_requests_total",
        "counter",
        ("reason",),
        "Connections of guests that were ended because no whole request came.",
    ),
    Family(
        "imds_audit_lines_total",
        "counter",
        ("outcome",),
        "Audit lines that were written, and that were dropped because they could not be.",
    ),
    Family("process_cpu_seconds_total", "counter", (), "Processor time, user and system."),
    Family(
        "process_start_time_seconds", "gauge", (), "When the process started, since the epoch."
    ),
    Family("process_resident_memory_bytes", "gauge", (), "Memory that is resident."),
    Family("process_virtual_memory_bytes", "gauge", (), "Address space."),
    Family("process_open_fds", "gauge", (), "Open descriptors."),
    Family("process_max_fds", "gauge", (), "Descriptors that may be open."),
)

LIMITS = (
    *("bytes_of_vm", "connections", "connections_of_vm", "descriptors", "pace_of_vm"),
    *("requests_of_vm", "waiting", "waiting_of_vm"),
)
_SIGNALS = (
    Refusal.FORWARDED,
    Refusal.HEADER_MISSING,
    Refusal.FOREIGN_HOST,
    Refusal.PROXY_FORGED,
)
_SECONDS = tuple(bound / 1e6 for bound in BOUNDS_US)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is like now; ``vms`` are namespaces and names, ``reloaded`` is a time."""

    version: str
    ready: bool
    vms: Collection[tuple[str, str]]
    reloads: int
    failed_reloads: int
    reload_successful: bool
    reloaded: float
    waiting: int
    connections: int
    limit_hits: Mapping[str, int]
    vm_limit_hits: Mapping[tuple[str, str], int]
    malformed: Mapping[str, int]
    audited: Mapping[str, int]
    migration: Migration = Migration()


def series(metrics: Metrics, state: State) -> Iterator[tuple[Family, Series]]:
    """Give the series of every metric; those of machines, which are many, in their turn."""
    metrics.forget_all_but(set(state.vms))
    metrics.limited(state.vm_limit_hits)
    vms = list(metrics.vms.items())
    found = _few(metrics, state)
    for family in FAMILIES:
        many = _MANY.get(family.name)
        yield family, many(vms) if many else found.get(family.name, {})


def _few(metrics: Metrics, state: State) -> dict[str, Series]:
    alone = {
        "imds_ready": int(state.ready),
        "imds_vms": len(state.vms),
        "imds_reload_successful": int(state.reload_successful),
        "imds_reload_last_success_timestamp_seconds": state.reloaded,
        "imds_waiting_requests": state.waiting,
        "imds_connections": state.connections,
        **process.figures(),
    }
    return {
        "imds_build_info": {(state.version,): 1},
        "imds_reloads_total": {
            ("success",): state.reloads,
            ("failure",): state.failed_reloads,
        },
        "imds_limit_hits_total": {(limit,): state.limit_hits.get(limit, 0) for limit in LIMITS},
        "imds_malformed_requests_total": {
            (reason,): count for reason, count in state.malformed.items()
        },
        "imds_audit_lines_total": {(what,): count for what, count in state.audited.items()},
        "imds_credential_refreshes_total": metrics.refreshes,
        "imds_credentials_expiry_timestamp_seconds": {
            (provider,): expires for provider, expires in metrics.ends.items()
        },
        "imds_session_token_lifetime_seconds": {
            (): Buckets(LIFETIMES, (*metrics.lifetimes, 0), metrics.lifetime_seconds)
        },
        **{name: {(): value} for name, value in alone.items()},
        **_requests(metrics),
        **_sessions(metrics),
        **_tokens(metrics),
        **catalogue_imdsv2.series(state.migration, metrics.vms),
    }


def _requests(metrics: Metrics) -> dict[str, Series]:
    requests: Counter[tuple[str, ...]] = Counter()
    refusals: Counter[tuple[str, ...]] = Counter()
    signals: Counter[tuple[str, ...]] = Counter(dict.fromkeys(((s.value,) for s in _SIGNALS), 0))
    read: dict[tuple[str, ...], list[Kind]] = {}
    for (whose, method, status, reason, _, waited), kind in metrics.kinds.items():
        dialect, area, document, _ = whose
        requests[dialect, area, document, method, f"{status}xx"] += kind.count
        if reason:
            refusals[dialect, reason] += kind.count
        if reason in _SIGNALS:
            signals[(reason,)] += kind.count
        if was_read(method) and not waited:
            read.setdefault((dialect,), []).append(kind)
    late = bisect_left(BOUNDS_US, OBJECTIVE_US) + 1
    return {
        "imds_requests_total": requests,
        "imds_slow_requests_total": {
            key: sum(sum(kind.buckets[late:]) for kind in kinds) for key, kinds in read.items()
        },
        "imds_refusals_total": refusals,
        "imds_ssrf_indications_total": signals,
        "imds_request_duration_seconds": {key: _latency(kinds) for key, kinds in read.items()},
    }


def _sessions(metrics: Metrics) -> dict[str, Series]:
    given: Counter[tuple[str, ...]] = Counter()
    absent: Counter[tuple[str, ...]] = Counter()
    for ((dialect, *_), _, _, reason, session, _), kind in metrics.kinds.items():
        if session and was_answered(reason):
            (given if session == "given" else absent)[(dialect,)] += kind.count
    return {"imds_session_requests_total": given, "imds_sessionless_requests_total": absent}


def _tokens(metrics: Metrics) -> dict[str, Series]:
    # From the start, so that the first failure is a rise and not a beginning.
    counts: Counter[tuple[str, ...]] = Counter(dict.fromkeys(product(TOKENS, OUTCOMES), 0))
    timed: dict[tuple[str, ...], list[Kind]] = {(token,): [] for token in TOKENS}
    for ((*_, token), _, status, reason, _, _), kind in metrics.kinds.items():
        if token:
            ended = outcome(status, reason)
            counts[token, ended] += kind.count
            if ended != "refused":
                timed[(token,)].append(kind)
    return {
        "imds_token_issuances_total": counts,
        "imds_token_issuance_duration_seconds": {
            key: _latency(kinds) for key, kinds in timed.items()
        },
    }


def _indications(vm: Vm) -> int:
    refusals = vm.refusals
    return sum(refusals.get(signal, 0) for signal in _SIGNALS) if refusals else 0


def _latency(kinds: list[Kind]) -> Buckets:
    counts = [sum(column) for column in zip(*(kind.buckets for kind in kinds), strict=True)]
    microseconds = sum(kind.microseconds for kind in kinds)
    return Buckets(_SECONDS, counts or [0] * (len(_SECONDS) + 1), microseconds / 1e6)


_Vms = list[tuple[tuple[str, str], Vm]]


def _seldom(vms: _Vms, count: Callable[[Vm], int]) -> Series:
    """Give what most machines have none of, without the zeros: their lines take memory."""
    found = ((name, count(vm)) for name, vm in vms)
    return {name: number for name, number in found if number}


_MANY: Mapping[str, Callable[[_Vms], Series]] = {
    "imds_vm_requests_total": lambda vms: {
        (*name, f"{status}xx"): count
        for name, vm in vms
        for status, count in enumerate(vm.statuses)
        if count
    },
    "imds_vm_refusals_total": lambda vms: {
        (*name, reason): count for name, vm in vms for reason, count in (vm.refusals or {}).items()
    },
    "imds_vm_ssrf_indications_total": lambda vms: _seldom(vms, _indications),
    "imds_vm_limit_hits_total": lambda vms: _seldom(vms, lambda vm: vm.hits),
    "imds_vm_session_requests_total": lambda vms: {name: vm.given for name, vm in vms},
    "imds_vm_sessionless_requests_total": lambda vms: {name: vm.sessionless for name, vm in vms},
    "imds_vm_spared_requests_total": lambda vms: _seldom(vms, lambda vm: vm.spared),
    "imds_vm_session_tokens_total": lambda vms: {name: vm.sessions for name, vm in vms},
    "imds_vm_token_issuances_total": lambda vms: {
        (*name, ended): count for name, vm in vms for ended, count in vm.tokens.items()
    },
}
