"""The reference page of the metrics, made from the table that is scraped."""

from __future__ import annotations

import sys

from emulator.core.policy import DOCUMENTS, Document
from emulator.observe.boots import PATIENCE, SILENCE
from emulator.observe.catalogue import FAMILIES
from emulator.observe.exposition import Family
from emulator.observe.metrics import BOUNDS_US, LATELY, LIFETIMES, MOST_VMS

_HEAD = """\
# Metrics

Generated from the code by `python -m emulator.observe.reference`.

`/metrics` on the operator's listener (`serve --operator`) answers in Prometheus's text format,
without a token. A guest gets 404 for that path. With `--operator off` nothing is counted.

```yaml
scrape_configs:
- job_name: imds-emulator
  static_configs:
  - targets: ["127.0.0.1:16926"]
```

Beyond loopback the operator's listener needs TLS (`--operator-cert`, `--operator-key`).
**Sidecars: not yet.** A sidecar's operator listener is a unix socket in its pod, which Prometheus
cannot scrape; look at it with `curl --unix-socket`.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""

_DOCUMENTS: dict[Document, str] = {
    "listing": "names of what there is: directories, versions",
    "meta-data": "what the machine is; Google's and Azure's trees in one",
    "user-data": "what its owner gives it to run: user data, start-up scripts, injected files",
    "vendor-data": "the same of who runs the cloud",
    "network": "interfaces, addresses, load balancers",
    "keys": "public keys, by which others log in",
    "identity": "who the machine is, signed or not",
    "credentials": "keys of EC2's roles",
    "token": "bearer tokens of service accounts and managed identities",
    "session": "session tokens (IMDSv2)",
    "events": "maintenance, interruptions, life cycle",
    "attributes": "what the guest itself has written: attributes, its password, reports",
    "health": "`/healthz`",
    "none": "nothing is there",
}

_TAIL = f"""
## Documents

`document` says what was asked for, whether it was given or refused.

| `document` | |
|---|---|
{"".join(f"| `{name}` | {_DOCUMENTS[name]} |" + chr(10) for name in DOCUMENTS)}
## Labels

No label holds what a guest chose. `dialect`, `area` and `reason` are the audit log's words;
`dialect` is `none` for requests of strangers and for paths of dialects that are off. `method` is
`other` for all but GET, HEAD, PUT, POST, DELETE and OPTIONS; `status` is a class, such as `2xx`.

`vm` and `namespace` are those of machines that are served and have asked something. {MOST_VMS:,}
machines have series of their own; further ones share `vm="(other)"`. A machine that is served no
more loses its series with the next scrape.

`reason="unknown-identity"` is a role (EC2), an account (Google) or an identity (Azure) that was
asked for by its name, and that the machine does not have: its program expects another one, or the
description gives a wrong one. `document` then says `credentials` or `token`, though nothing is
there. Google's clients ask for the account `default` where a machine has none at all.

`token="ec2-credentials"` are the keys of EC2's roles.

`limit` is a bound on what guests may hold or do, as in `serve --limit` ([limits.md](limits.md)):
`connections` of a listener, `connections_of_vm` of a machine, `waiting` requests in all,
`waiting_of_vm` of a machine, `descriptors` of the process. `requests_of_vm` and `bytes_of_vm`
count requests that were refused, `pace_of_vm` requests and connections that were put off, and not
refused.

The end of credentials counts while a guest asks for them, for {LATELY // 120} to {LATELY // 60}
minutes more, and whether they are given or have ended: those that nobody asks for end unseen, and
newer ones take their place. `provider` is the description's word, or `serviceaccount` for token
files; `generated` ones never run out. Keys and bearer tokens are renewed 20 minutes before they
end, or at half of their life; the kubelet renews tokens at four fifths of theirs. So an end that
comes nearer than that is nobody's plan.

`reason` of a malformed request is `not-http` (a start line, a header or lengths that HTTP/1 does
not allow), `head-too-long`, `body-too-long`, `slow-head` or `slow-body`. It has no machine, and no
line in the audit log: nothing of it is known.

A boot begins with a machine's first request, or the first after {SILENCE / 60:g} minutes without
one; requests for `/healthz` are none. It is completed once it has got data: a document with 2xx,
no listing, no session token. It is stalled if it got none for {PATIENCE / 60:g} minutes after a
first refusal; `cause` is `session` (a session token was missing or bad), `token` (its PUT had no
good answer) or `other`; what is not there, or has another method, is no refusal here. Where
session tokens are the cause, data of a dialect that takes none does not count: a boot may be both
completed and stalled. A single refusal of a machine that has had its data before is somebody's
command, not a boot. A machine that restarts within {SILENCE / 60:g} minutes of its last request
shows no new boot, and one that never asks shows none.

`signal` of an SSRF indication is `forwarded` (X-Forwarded-For where it is forbidden),
`header-missing` (without the header that a dialect demands), `foreign-host` (asked for by a name
that is not the service's) or `proxy-forged` (headers of a proxy whose signature is wrong).

## Buckets

| Histogram | Upper bounds, seconds |
|---|---|
| durations | {", ".join(f"{bound / 1e6:g}" for bound in BOUNDS_US)} |
| lifetimes | {", ".join(map(str, LIFETIMES))} |

## Queries

```promql
# token issuance succeeds (objective: 0.999)
sum(rate(imds_token_issuances_total{{outcome="success"}}[5m]))
  / sum(rate(imds_token_issuances_total{{outcome!="refused"}}[5m]))
# 95 % of tokens are there within (objective: 0.05)
histogram_quantile(0.95, sum by (le) (rate(imds_token_issuance_duration_seconds_bucket[5m])))
# credentials in use, such as live an hour or longer, end within five minutes: nobody renews them
imds_credentials_expiry_timestamp_seconds - time() < 300
# answers to GET that broke their objective (0.05 s), in each five minutes
sum by (dialect) (increase(imds_slow_requests_total[5m]))
# who still makes IMDSv1 calls
sum by (namespace, vm) (increase(imds_vm_sessionless_requests_total[1d])) > 0
```
"""


def markdown() -> str:
    """Give the page."""
    return _HEAD + "".join(map(_row, FAMILIES)) + _TAIL


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.type} | {labels} | {family.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
