"""The alerts that follow from no objective: what each sees, whom it calls, and its runbook."""

from __future__ import annotations

import msgspec

CONTROL_PLANE = "kube-system|.*-control-plane"
"""Namespaces, as a regular expression, whose machines others depend on: for who has others."""

_WHOSE = "{{ $labels.namespace }}/{{ $labels.vm }}"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert; ``runbook`` names a page of docs/runbooks, several alerts may share one.

    It is given after ``wait``, and stays for ``keep`` after its cause was last seen: what one
    machine does again and again is one alert.
    """

    name: str
    query: str
    severity: str
    summary: str
    runbook: str
    wait: str = "0m"
    keep: str = "1h"


def _failing(more: str = "") -> str:
    failures = f'imds_vm_token_issuances_total{{outcome="failure"{more}}}'
    return f"sum by (job, namespace, vm) (increase({failures}[15m])) > 0"


ALERTS = (
    Alert(
        name="ImdsTokenIssuanceFailsWidely",
        query=f"count by (job) ({_failing()}) / on (job) sum by (job) (imds_vms) > 0.05",
        severity="page",
        summary="More than 5 % of the machines get no tokens",
        runbook="token-issuance-fails",
        wait="5m",
    ),
    Alert(
        name="ImdsTokenIssuanceFailsForControlPlane",
        query=_failing(f',namespace=~"{CONTROL_PLANE}"'),
        severity="page",
        summary=f"{_WHOSE}, which others depend on, gets no tokens",
        runbook="token-issuance-fails",
        wait="5m",
    ),
    Alert(
        name="ImdsTokenIssuanceFails",
        query=_failing(f',namespace!~"{CONTROL_PLANE}"'),
        severity="ticket",
        summary=f"{_WHOSE} gets no tokens",
        runbook="token-issuance-fails",
        wait="5m",
    ),
    Alert(
        name="ImdsTokensAreSlow",
        query="imds:token_latency_seconds:p95_5m > 0.05",
        severity="ticket",
        summary="One token of twenty takes longer than 50 ms",
        runbook="token-issuance-fails",
        wait="15m",
    ),
    Alert(
        name="ImdsDown",
        query='up{job=~"imds.*"} == 0',
        severity="page",
        summary="{{ $labels.instance }} cannot be scraped",
        runbook="endpoint-unreachable",
        wait="3m",
    ),
    Alert(
        name="ImdsNotReady",
        query="imds_ready == 0",
        severity="page",
        summary="{{ $labels.instance }} answers, but not with all that it should",
        runbook="endpoint-unreachable",
        wait="5m",
    ),
    Alert(
        name="ImdsMachineSilent",
        query="sum by (job, instance) (imds_vms) - (count by (job, instance) "
        "(count by (job, instance, namespace, vm) (imds_vm_requests_total)) "
        "or sum by (job, instance) (imds_vms) * 0) > 0",
        severity="ticket",
        summary="{{ $value }} machines of {{ $labels.instance }} have never asked for anything",
        runbook="endpoint-unreachable",
        wait="1h",
    ),
    Alert(
        name="ImdsSsrfIndications",
        query='sum by (job, signal) (increase(imds_ssrf_indications_total{signal!="proxy-forged"}'
        "[15m])) > 0",
        severity="ticket",
        summary="Requests as from an application that was tricked ({{ $labels.signal }})",
        runbook="ssrf",
    ),
    Alert(
        name="ImdsProxyForged",
        query="sum by (job) "
        '(increase(imds_ssrf_indications_total{signal="proxy-forged"}[15m])) > 0',
        severity="page",
        summary="Somebody signs as a metadata proxy, with another key",
        runbook="namespace-isolation",
    ),
    Alert(
        name="ImdsStrangers",
        query='sum by (job) (increase(imds_refusals_total{reason="unknown-vm"}[15m])) > 0',
        severity="ticket",
        summary="Somebody asks who is none of the machines",
        runbook="namespace-isolation",
        wait="5m",
    ),
    Alert(
        name="ImdsSessionsEndEarly",
        query="sum by (job, namespace, vm) "
        '(increase(imds_vm_refusals_total{reason="session-invalid"}[30m])) > 3',
        severity="ticket",
        summary=f"{_WHOSE} goes on with session tokens that have ended",
        runbook="session-tokens-expire",
    ),
    Alert(
        name="ImdsLimitsHit",
        query="sum by (job, limit) (increase(imds_limit_hits_total[15m])) > 0",
        severity="ticket",
        summary="Guests run into the limit {{ $labels.limit }}",
        runbook="rate-limiting",
    ),
    Alert(
        name="ImdsRequestsThrottled",
        query="sum by (job, namespace, vm) "
        '(increase(imds_vm_refusals_total{reason="throttled"}[15m])) > 0',
        severity="ticket",
        summary=f"{_WHOSE} asks faster than it may",
        runbook="rate-limiting",
    ),
    Alert(
        name="ImdsFallsBackToV1",
        query="sum by (job, namespace, vm) (increase(imds_vm_sessionless_requests_total[15m]))"
        " > 0 and on (job, namespace, vm) "
        "sum by (job, namespace, vm) (imds_vm_session_tokens_total) > 0",
        severity="ticket",
        summary=f"{_WHOSE}, which has session tokens, asks without one",
        runbook="fallback-to-imdsv1",
        wait="5m",
        keep="1d",
    ),
    Alert(
        name="ImdsWrongRole",
        query="sum by (job, namespace, vm) "
        '(increase(imds_vm_refusals_total{reason="unknown-identity"}[15m])) > 0',
        severity="ticket",
        summary=f"{_WHOSE} asks for a role or account that it does not have",
        runbook="wrong-role",
    ),
    Alert(
        name="ImdsBootStalled",
        query="imds_vm_boot_stalled == 1",
        severity="ticket",
        summary=f"{_WHOSE} was refused, and has got no data since",
        runbook="boots-stall",
    ),
    Alert(
        name="ImdsCanaryFellBack",
        query="sum by (job, instance) (increase(imds_imdsv2_canary_fallbacks_total[1h])) > 0",
        severity="ticket",
        summary="Boots were stalled where session tokens were required: they are not any more",
        runbook="canary-falls-back",
    ),
    Alert(
        name="ImdsCredentialsEnd",
        query="imds_credentials_expiry_timestamp_seconds - time() < 300",
        severity="ticket",
        summary="Credentials from {{ $labels.provider }} end, and nobody renews them",
        runbook="credentials-end",
        keep="15m",
    ),
    Alert(
        name="ImdsReloadFails",
        query="imds_reload_successful == 0",
        severity="ticket",
        summary="{{ $labels.instance }} serves older descriptions than it was given",
        runbook="reload-fails",
        wait="5m",
    ),
    Alert(
        name="ImdsAuditLinesLost",
        query="sum by (job, instance) "
        '(increase(imds_audit_lines_total{outcome="dropped"}[15m])) > 0',
        severity="ticket",
        summary="{{ $labels.instance }} cannot write all of its audit log",
        runbook="audit-lines-lost",
    ),
)
