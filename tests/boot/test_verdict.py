from __future__ import annotations

import pytest

from emulator.boot.console import Event
from emulator.boot.report import Report, asked, status, text
from emulator.boot.verdict import Boot, Limits, Request, Verdict

LIMITS = Limits(timeout=100, silence=30)
REQUEST = Request(1000.5, "openstack", "GET", "/openstack", 200, user_agent="Cloud-Init/22.4.2")
FINAL = Event("final", "DataSourceOpenStackLocal", "22.4.2")


def boot(*events: Event, requests: int = 0) -> Boot:
    watched = Boot("openstack", LIMITS)
    for event in events:
        watched.event(event)
    for _ in range(requests):
        watched.request(REQUEST)
    return watched


def outcome(watched: Boot, now: float = 1.0) -> str:
    verdict = watched.verdict(now)
    return verdict.outcome if verdict else "none"


def test_a_boot_goes_on_until_something_is_known() -> None:
    assert outcome(boot(Event("kernel", "6.1"), Event("stage", "init", "22.4.2"))) == "none"


def test_the_wanted_datasource_without_errors_is_good() -> None:
    verdict = boot(FINAL, requests=1).verdict(1.0)
    assert verdict == Verdict("done", "cloud-init 22.4.2 finished with DataSourceOpenStackLocal")
    assert verdict.good


def test_warnings_do_not_spoil_it_errors_do() -> None:
    assert outcome(boot(Event("warning", "w"), FINAL)) == "done"
    assert outcome(boot(Event("error", "Running module x failed"), FINAL)) == "cloud-init-errors"


def test_another_datasource_is_wrong_even_with_errors() -> None:
    none = Event("final", "DataSourceNone", "22.4.2")
    assert outcome(boot(none)) == "wrong-datasource"
    assert outcome(boot(Event("error", "x"), none)) == "wrong-datasource"


def test_a_replaced_final_message_is_said() -> None:
    verdict = boot(Event("ended", "")).verdict(1.0)
    assert verdict is not None
    assert verdict.outcome == "wrong-datasource"
    assert "final_message" in verdict.message


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event("panic", "Kernel panic - not syncing: x"), "panic"),
        (Event("no-loader", "No bootable device"), "no-boot"),
        (Event("no-root", "ALERT! x does not exist"), "stuck"),
        (Event("emergency", "You are in emergency mode"), "stuck"),
        (Event("reboot", "Restarting system"), "powered-off"),
    ],
)
def test_ends_that_the_console_shows(event: Event, expected: str) -> None:
    assert outcome(boot(event)) == expected
    assert boot(event).exited(0).outcome == expected


def test_a_result_stays_whatever_comes_after() -> None:
    assert outcome(boot(FINAL, Event("panic", "Kernel panic"))) == "done"
    assert boot(FINAL, Event("power-off", "reboot: Power down")).exited(0).outcome == "done"
    assert boot(FINAL).exited(-9).outcome == "done"


def test_power_off_and_death_are_told_apart() -> None:
    assert boot(Event("kernel", "6.1")).exited(0).outcome == "powered-off"
    died = boot(Event("kernel", "6.1")).exited(-11)
    assert (died.outcome, died.message) == ("qemu-died", "QEMU ended with signal 11 (kernel 6.1)")
    assert "status 1" in boot().exited(1).message


def test_never_asking_being_stuck_and_being_slow_are_told_apart() -> None:
    assert outcome(boot(), 29.9) == "none"
    assert outcome(boot(), 30) == "never-asked"
    assert outcome(boot(requests=1), 30) == "stuck"
    busy = boot(requests=1)
    busy.sign(99)
    assert outcome(busy, 99.9) == "none"
    assert outcome(busy, 100) == "timeout"
    asleep = boot(Event("login", "web-1"))
    asleep.sign(99)
    verdict = asleep.verdict(100)
    assert verdict is not None
    assert verdict.outcome == "never-asked"
    assert "cloud-init never ran" in verdict.message


def report(watched: Boot, verdict: Verdict) -> Report:
    return Report(
        vm="web-1",
        outcome=verdict.outcome,
        message=verdict.message,
        wanted="openstack",
        datasource=watched.found,
        cloud_init=status(watched, verdict),
        acceleration="tcg",
        seconds=61.2,
        errors=watched.errors,
        warnings=watched.warnings,
        requests=asked(watched.requests, 1000.0),
        console="/s/console.log",
        tail=["last words"],
        details="boom",
        kept="/s/kept",
    )


def test_the_summary_of_a_good_boot() -> None:
    watched = boot(Event("warning", "careful"), FINAL, requests=2)
    page = text(report(watched, Verdict("done", "fine")))
    assert "web-1: fine" in page
    assert "DataSourceOpenStackLocal (wanted: openstack)" in page
    assert "warning     careful" in page
    assert "2, 0 refused" in page
    assert "0.5s    200" in page
    assert "/s/console.log" in page
    assert "last words" not in page


def test_the_summary_of_a_bad_boot() -> None:
    watched = boot(Event("error", "broken"))
    page = text(report(watched, Verdict("qemu-died", "QEMU ended")))
    for part in ("broken", "requests    none", "boom", "last words", "not seen", "/s/kept"):
        assert part in page


def test_very_many_requests_are_cut() -> None:
    page = text(report(boot(requests=250), Verdict("timeout", "late")))
    assert "and 50 more" in page


def test_the_states_of_cloud_init() -> None:
    late = Verdict("timeout", "")
    assert status(boot(), late) == "not seen"
    assert status(boot(Event("stage", "init", "22")), late) == "not finished"
    assert status(boot(FINAL), Verdict("done", "")) == "done"
    assert status(boot(FINAL), Verdict("cloud-init-errors", "")) == "error"
