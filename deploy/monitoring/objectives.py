"""What the service promises, as the one table from which rules, dashboards and docs follow."""

from __future__ import annotations

import msgspec


class Objective(msgspec.Struct, frozen=True):
    """A share of requests that is to go well; ``bad`` and ``all`` are selectors of counters."""

    name: str
    title: str
    target: float
    bad: str
    all: str

    @property
    def budget(self) -> float:
        """The share that may go wrong."""
        return 1 - self.target

    def errors(self, window: str) -> str:
        """Give the query of the share that goes wrong, by job."""
        bad, every = (f"sum by (job) (rate({of}[{window}]))" for of in (self.bad, self.all))
        return f"{bad} / {every}"

    def recorded(self, window: str) -> str:
        """Name the series that ``errors`` is recorded as."""
        return f"imds:{self.name}:error_ratio_rate{window}"


_ISSUED = 'imds_token_issuances_total{outcome="%s"}'
_READ = 'imds_requests_total{method=~"GET|HEAD"%s}'

OBJECTIVES = (
    Objective(
        "token_issuance",
        "Token issuance succeeds",
        0.999,
        _ISSUED % "failure",
        'imds_token_issuances_total{outcome!="refused"}',
    ),
    Objective("reads", "GETs succeed", 0.9995, _READ % ',status="5xx"', _READ % ""),
    Objective(
        "credential_refresh",
        "Credentials are refreshed",
        0.999,
        'imds_credential_refreshes_total{outcome="failure"}',
        "imds_credential_refreshes_total",
    ),
    Objective(
        "server_errors",
        "Requests without an error of the server",
        0.999,
        'imds_requests_total{status="5xx"}',
        "imds_requests_total",
    ),
)

LATENCY_SECONDS = 0.05
LATENCY_QUANTILE = 0.95


def latency(window: str) -> str:
    """Give the query of the seconds within which that share of tokens is there."""
    buckets = f"rate(imds_token_issuance_duration_seconds_bucket[{window}])"
    return f"histogram_quantile({LATENCY_QUANTILE}, sum by (job, le) ({buckets}))"


class Burn(msgspec.Struct, frozen=True):
    """How fast a budget of 30 days goes: ``factor`` times as fast as it lasts.

    The long window says that it matters, the short one that it still goes on.
    """

    factor: float
    long: str
    short: str
    severity: str


BURNS = (
    # Half of it within six hours: 0.5 * 720 h / 6 h.
    Burn(60, "1h", "5m", "page"),
    # A twentieth within six hours, and so all within five days.
    Burn(6, "6h", "30m", "ticket"),
    # All of it within the 30 days.
    Burn(1, "3d", "6h", "ticket"),
)
WINDOWS = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))
