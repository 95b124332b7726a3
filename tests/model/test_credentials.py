"""Which fields of a role belong together, and what is said of those that do not."""

from __future__ import annotations

import pytest

from emulator.model.credentials import AwsCredentials, mistakes

ARN = "arn:aws:iam::123456789012:role/web"
GOOD = {
    "none": AwsCredentials(),
    "generated": AwsCredentials(role="web", lifetime=900),
    "file": AwsCredentials(role="web", provider="file", file="/keys", profile="web"),
    "process": AwsCredentials(role="web", provider="process", command=("/bin/keys", "-v")),
    "process on PATH": AwsCredentials(role="web", provider="process", command=("keys",)),
    "web-identity": AwsCredentials(role="web", provider="web-identity", role_arn=ARN),
    "web-identity elsewhere": AwsCredentials(
        role="web",
        provider="web-identity",
        role_arn=ARN,
        audience="vault",
        endpoint="https://sts.example",
    ),
}
BAD = {
    "no role": (
        AwsCredentials(lifetime=900),
        "x.role: nothing; the name of the role that the rest is about",
    ),
    "file of another": (
        AwsCredentials(role="web", file="/keys"),
        "x.file: a value with provider generated; nothing, unless provider is file",
    ),
    "profile of another": (
        AwsCredentials(role="web", profile="p"),
        "x.profile: a value with provider generated; nothing, unless provider is file",
    ),
    "lifetime of another": (
        AwsCredentials(role="web", provider="file", file="/keys", lifetime=900),
        (
            "x.lifetime: a value with provider file; "
            "nothing, unless provider is generated or web-identity"
        ),
    ),
    "no file": (
        AwsCredentials(role="web", provider="file"),
        "x.file: nothing; a shared-credentials file, with provider file",
    ),
    "no program": (
        AwsCredentials(role="web", provider="process"),
        "x.command: nothing; a program and its arguments, with provider process",
    ),
    "relative program": (
        AwsCredentials(role="web", provider="process", command=("bin/keys",)),
        'x.command[0]: "bin/keys"; an absolute path, or a name that is found on PATH',
    ),
    "no ARN": (
        AwsCredentials(role="web", provider="web-identity"),
        "x.role_arn: nothing; a role's ARN, with provider web-identity",
    ),
    "audience that is not offered": (
        AwsCredentials(role="web", provider="web-identity", role_arn=ARN, audience="other"),
        'x.audience: "other"; an audience among `tokens`, with provider web-identity',
    ),
}
AUDIENCES = {"", "sts.amazonaws.com", "vault"}


@pytest.mark.parametrize("name", GOOD)
def test_fields_that_belong_together(name: str) -> None:
    assert list(mistakes(GOOD[name], AUDIENCES, "eu-central-1", "x")) == []


@pytest.mark.parametrize("name", BAD)
def test_fields_that_do_not(name: str) -> None:
    config, said = BAD[name]
    found = [
        f"{mistake.path}: {mistake.found}; {mistake.allowed}"
        for mistake in mistakes(config, AUDIENCES, "eu-central-1", "x")
    ]
    assert found == [said]


def test_aws_has_no_sts_where_it_has_no_region() -> None:
    [mistake] = mistakes(GOOD["web-identity"], AUDIENCES, "local", "x")
    assert mistake.path == "x.endpoint"
    assert mistake.allowed == "the URL of STS, or one of AWS's regions in place of local"
    assert list(mistakes(GOOD["web-identity elsewhere"], AUDIENCES, "local", "x")) == []
