"""A snapshot decides by data alone, and machines of one shape share what is equal."""

from __future__ import annotations

import gc
from weakref import ref

from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Reply, Request, Services, build
from emulator.core.policy import Area, CompiledArea, Refusal, RequireHeader
from emulator.core.snapshot import OFF, Compiler, Row, Snapshot

OPEN = CompiledArea(Area(name="open", prefixes=("/open",)), "open")
DEEP = CompiledArea(
    Area(name="deep", prefixes=("/open/deep",), rules=(RequireHeader("Metadata", "true"),)), "open"
)
ROLES = CompiledArea(
    Area(
        name="roles",
        prefixes=("/roles",),
        document="credentials",
        missing=Refusal.UNKNOWN_IDENTITY,
    ),
    "open",
)
WRITTEN = CompiledArea(
    Area(
        name="written",
        prefixes=("/written",),
        methods=("GET", "PUT"),
        writes=lambda _request, _services: Reply(200),
        document="attributes",
    ),
    "open",
)
KNOWN = frozenset({"/open", "/open/deep", "/absent", "/open/absent"})


def ask(path: str, method: str = "GET") -> Request:
    return Request(method, path, "", HTTPHeaders())


def row(path: str, body: bytes, area: CompiledArea = OPEN) -> Row:
    return Row(path, area, build(Reply(200, body)))


def compiled(*rows: Row, compiler: Compiler | None = None) -> Snapshot:
    return (compiler or Compiler(KNOWN)).compile(rows, (OPEN, DEEP))


def outcome(snapshot: Snapshot, request: Request) -> tuple[str, str | None, int]:
    decision = snapshot.decide(request)
    assert isinstance(decision.answer, Answer)
    return decision.area.name, decision.refusal, decision.answer.status


def test_a_known_path_is_answered() -> None:
    decision = compiled(row("/open/x", b"x")).decide(ask("/open/x"))
    assert decision.refusal is None
    assert isinstance(decision.answer, Answer)
    assert decision.answer.body == b"x"


def test_the_first_row_of_a_path_has_it() -> None:
    decision = compiled(row("/open/x", b"first"), row("/open/x", b"second")).decide(ask("/open/x"))
    assert isinstance(decision.answer, Answer)
    assert decision.answer.body == b"first"


def test_unknown_paths_are_refused_by_the_longest_prefix() -> None:
    snapshot = compiled(row("/open/x", b"x"))
    assert outcome(snapshot, ask("/open/y")) == ("open", Refusal.NOT_FOUND, 404)
    assert outcome(snapshot, ask("/open/deep/y")) == ("deep", Refusal.HEADER_MISSING, 400)
    assert outcome(snapshot, ask("/open/y", "PUT")) == ("open", Refusal.METHOD, 405)


def test_a_dialect_that_is_off_is_told_from_a_path_that_nobody_has() -> None:
    snapshot = compiled(row("/open/x", b"x"))
    assert outcome(snapshot, ask("/absent/y", "PUT")) == (OFF.name, Refusal.DIALECT_OFF, 404)
    assert outcome(snapshot, ask("/open/absent/y")) == (OFF.name, Refusal.DIALECT_OFF, 404)
    assert outcome(snapshot, ask("/nobody")) == (OFF.name, Refusal.NOT_FOUND, 404)
    assert outcome(snapshot, ask("/")) == (OFF.name, Refusal.NOT_FOUND, 404)
    assert outcome(snapshot, ask("/opened")) == (OFF.name, Refusal.NOT_FOUND, 404)


def test_a_known_path_is_gated() -> None:
    snapshot = compiled(row("/open/deep/x", b"x", DEEP))
    assert outcome(snapshot, ask("/open/deep/x")) == ("deep", Refusal.HEADER_MISSING, 400)


def test_a_live_row_is_given_to_be_computed() -> None:
    def live(_request: Request, _services: Services) -> Reply:
        return Reply(200)

    decision = compiled(Row("/open/x", OPEN, live)).decide(ask("/open/x"))
    assert decision.answer is live


def test_machines_of_one_shape_share_layout_and_equal_answers() -> None:
    compiler = Compiler(KNOWN)
    one = compiled(row("/open/x", b"same"), row("/open/y", b"one"), compiler=compiler)
    two = compiled(row("/open/x", b"same"), row("/open/y", b"two"), compiler=compiler)
    other = compiled(row("/open/z", b"same"), compiler=compiler)
    assert one.layout is two.layout
    assert one.answers[0] is two.answers[0]
    assert other.layout is not one.layout


def test_paths_with_equal_answers_share_a_slot() -> None:
    snapshot = compiled(row("/open/x", b"same"), row("/open/y", b"same"))
    assert len(snapshot.answers) == 1


def test_what_no_machine_has_any_more_is_forgotten() -> None:
    compiler = Compiler(KNOWN)
    answer = ref(compiled(row("/open/x", b"gone"), compiler=compiler).answers[0])
    gc.collect()
    assert answer() is None


def test_an_alias_answers_what_the_other_name_does() -> None:
    rows = (row("/open/x", b"x"), row("/2009/own", b"own"), row("/open", b"list"))
    snapshot = Compiler(KNOWN).compile(rows, (OPEN, DEEP), {"2009": "open"})
    for path, body in (("/2009/x", b"x"), ("/2009/own", b"own"), ("/2009", b"list")):
        decision = snapshot.decide(ask(path))
        assert isinstance(decision.answer, Answer)
        assert decision.answer.body == body
    assert outcome(snapshot, ask("/2009/y")) == ("open", Refusal.NOT_FOUND, 404)
    assert outcome(snapshot, ask("/2009/deep/y")) == ("deep", Refusal.HEADER_MISSING, 400)
    assert outcome(snapshot, ask("/20090/x")) == (OFF.name, Refusal.NOT_FOUND, 404)


def test_a_decision_says_of_what_class_the_document_is() -> None:
    rows = (
        row("/open/x", b""),
        Row("/open/y", OPEN, row("", b"").answer, document="keys"),
        Row("/open/deep/x", DEEP, row("", b"").answer, document="token"),
        Row("/written/x", WRITTEN, row("", b"").answer, document="user-data"),
    )
    snapshot = Compiler(KNOWN).compile(rows, (OPEN, DEEP, WRITTEN), {"2009": "open"})

    def document(path: str, method: str = "GET") -> str:
        return snapshot.decide(ask(path, method)).document

    assert (document("/open/x"), document("/open/y")) == ("meta-data", "keys")
    assert document("/2009/y") == "keys"
    assert document("/open/y", "PUT") == "keys"
    assert document("/open/deep/x") == "token", "of what was refused, too"
    assert document("/written/x") == "user-data"
    assert document("/written/x", "PUT") == document("/written/new", "PUT") == "attributes"
    for nothing in ("/open/z", "/open/deep/y", "/written/y", "/absent/y", "/nobody"):
        assert document(nothing) == "none"


def test_what_is_missing_may_be_another_s_identity() -> None:
    rows = (Row("/roles/web", ROLES, row("", b"").answer, document="credentials"),)
    snapshot = Compiler(KNOWN).compile(rows, (ROLES,))
    missing = snapshot.decide(ask("/roles/other"))
    assert (missing.refusal, missing.document) == (Refusal.UNKNOWN_IDENTITY, "credentials")
    assert snapshot.decide(ask("/roles/other/below")).refusal is Refusal.UNKNOWN_IDENTITY
    # Who asks whether there is any role asks for none that it has not.
    root = snapshot.decide(ask("/roles"))
    assert (root.refusal, root.document) == (Refusal.NOT_FOUND, "none")
    refused = snapshot.decide(ask("/roles/other", "PUT"))
    assert (refused.refusal, refused.document) == (Refusal.METHOD, "credentials")
