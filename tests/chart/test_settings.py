"""The webhooks' settings file: what it may hold, and what is said of mistakes."""

from __future__ import annotations

import pytest

from emulator.errors import ConfigError
from emulator.webhook.settings import Resources, Settings, read

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, "settings.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_an_image_is_enough() -> None:
    assert read("image: registry.example/imds-emulator:1.0.0", "settings.yaml") == Settings(
        image="registry.example/imds-emulator:1.0.0",
        image_pull_policy="IfNotPresent",
        resources=Resources(cpu="100m", memory="96Mi"),
        keys_secret="imds-emulator-keys",
        authority_namespace="",
        keys_namespaces=(),
        binding_plugins=(),
    )


def test_everything_can_be_said() -> None:
    text = """
image: imds:1
imagePullPolicy: Never
resources: {cpu: "0.5", memory: 1Gi}
keysSecret: keys.of-vms
authorityNamespace: imds-system
keysNamespaces: [shop, "1e3"]
bindingPlugins: [vdpa]
"""
    assert read(text, "settings.yaml") == Settings(
        image="imds:1",
        image_pull_policy="Never",
        resources=Resources(cpu="0.5", memory="1Gi"),
        keys_secret="keys.of-vms",
        authority_namespace="imds-system",
        keys_namespaces=("shop", "1e3"),
        binding_plugins=("vdpa",),
    )


@pytest.mark.parametrize(
    "image",
    [
        "imds:1",
        f"imds@{DIGEST}",
        f"registry.example:5000/team/imds-emulator:v1.0_rc-1@{DIGEST}",
        "192.0.2.1/a/b__c/d--e:latest",
    ],
)
def test_images_that_are_one(image: str) -> None:
    assert read(f'image: "{image}"', "settings.yaml").image == image


@pytest.mark.parametrize(
    "image",
    [
        "",
        "imds",
        "registry.example:5000/imds",
        "imds:",
        "imds:1 ",
        "imds:1/imds",
        "Team/imds:1:2",
        f"imds@{DIGEST[:-1]}",
        f"imds@{DIGEST}0",
        "https://registry.example/imds:1",
        "imds:1\\n",
    ],
)
def test_images_that_are_none(image: str) -> None:
    assert problems(f'image: "{image}"')[0].startswith('settings.yaml:1: image: found "')


@pytest.mark.parametrize("cpu", ["1m", "100m", "1", "1.5", "0.25", "0.001", "999999m"])
def test_amounts_of_cpu(cpu: str) -> None:
    assert read(f'{{image: "i:1", resources: {{cpu: "{cpu}"}}}}', "").resources.cpu == cpu


@pytest.mark.parametrize("cpu", ["", "0", "0m", "0.0", "0.5m", "-1", "1u", "1e3", "1000000m"])
def test_what_is_no_amount_of_cpu(cpu: str) -> None:
    (problem,) = problems(f'{{image: "i:1", resources: {{cpu: "{cpu}"}}}}')
    assert problem.endswith('allowed: an amount of CPU as text, such as "100m" or "0.5"')


@pytest.mark.parametrize("memory", ["", "0Mi", "64", "64MB", "1.5Gi", "64mi", "64m"])
def test_what_is_no_amount_of_memory(memory: str) -> None:
    (problem,) = problems(f'{{image: "i:1", resources: {{memory: "{memory}"}}}}')
    assert problem.endswith('allowed: an amount of memory as text with its unit, such as "64Mi"')


def test_every_mistake_is_named_with_its_line() -> None:
    text = """\
image: imds
imagPullPolicy: Always
resources:
  cpu: 1
  memory: 64MB
keysSecret: Keys
keysNamespaces: [shop, a.b]
bindingPlugins: vdpa
"""
    image = "an image with a tag or a digest, such as registry.example/imds-emulator:1.0.0"
    found = (
        (1, "image", '"imds"', image),
        (2, "imagPullPolicy", 'the unknown field "imagPullPolicy"', "imagePullPolicy (the near"),
        (
            4,
            "resources.cpu",
            "the number 1",
            'an amount of CPU as text, such as "100m" or "0.5" (q',
        ),
        (5, "resources.memory", '"64MB"', "an amount of memory as text with its unit, such as "),
        (6, "keysSecret", '"Keys"', "the name of a Kubernetes object, such as imds-emulator-keys"),
        (7, "keysNamespaces[1]", '"a.b"', "a namespace's name, such as shop"),
        (8, "bindingPlugins", '"vdpa"', "a list of at most 100 items"),
    )
    said = [
        f"settings.yaml:{line}: {field}: found {what}; allowed: {allowed}"
        for line, field, what, allowed in found
    ]
    for problem, start in zip(problems(text), said, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "settings.yaml:1: found nothing; allowed: a mapping with "),
        ("[]", "settings.yaml:1: found a list; allowed: a mapping with "),
        ("{}", "settings.yaml:1: image: found nothing; allowed: an image with a tag "),
        ("image: [", "settings.yaml:2: image[0]: found broken YAML "),
    ],
)
def test_what_is_no_settings_file(text: str, found: str) -> None:
    assert problems(text)[0].startswith(found)
