"""Listings are derived from leaves: they show what exists, and all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.core.tree import Listing, Node, directories

EC2 = Listing(root="/latest", area="a", labelled=("public-keys",))


def listed(listing: Listing, *nodes: Node) -> dict[str, str]:
    return {path: body.decode() for path, body in directories(nodes, listing)}


def test_child_directories_end_with_a_slash_and_are_sorted() -> None:
    nodes = [Node("/latest/meta-data/b"), Node("/latest/meta-data/a/x"), Node("/latest/user-data")]
    assert listed(EC2, *nodes) == {
        "/latest": "meta-data/\nuser-data",
        "/latest/meta-data": "a/\nb",
        "/latest/meta-data/a": "x",
    }


def test_a_labelled_directory_shows_labels() -> None:
    nodes = [
        Node(
            f"/latest/public-keys/{number}/openssh-key",
            labels=((f"/latest/public-keys/{number}", name),),
        )
        for number, name in enumerate(["one", "two"])
    ]
    found = listed(EC2, *nodes)
    assert found["/latest/public-keys"] == "0=one\n1=two"
    assert found["/latest/public-keys/0"] == "openssh-key"


def test_what_has_no_label_is_listed_by_its_name() -> None:
    nodes = [Node("/latest/public-keys/0/openssh-key"), Node("/latest/public-keys/extra")]
    assert listed(EC2, *nodes)["/latest/public-keys"] == "0/\nextra"


def test_order_slash_and_newline_are_the_dialects_choice() -> None:
    listing = Listing(root="/o", area="a", sort=False, slash=False, final_newline=True)
    assert listed(listing, Node("/o/b/x"), Node("/o/a/x"))["/o"] == "b\na\n"


def test_what_is_not_listed_makes_no_directory() -> None:
    assert listed(EC2, Node("/latest/content/0000", listed=False)) == {}


def test_a_hidden_directory_is_not_shown_by_the_one_above() -> None:
    node = Node("/latest/hidden/x", hidden=("/latest/hidden",))
    assert listed(EC2, node, Node("/latest/y")) == {"/latest/hidden": "x", "/latest": "y"}


def test_what_lies_outside_the_root_is_left_alone() -> None:
    assert listed(EC2, Node("/other/x"), Node("/latestx/y")) == {}


def test_the_root_of_the_server_can_be_listed() -> None:
    listing = Listing(root="/", area="a", slash=False)
    assert listed(listing, Node("/latest/x"))["/"] == "latest"


segments = st.lists(st.text(alphabet="abc", min_size=1, max_size=2), min_size=1, max_size=4)


@given(st.lists(segments, max_size=12))
def test_every_entry_leads_to_a_leaf_or_a_listing(paths: list[list[str]]) -> None:
    nodes = [Node("/latest/" + "/".join(parts)) for parts in paths]
    leaves = {node.path for node in nodes}
    found = listed(EC2, *nodes)
    for directory, body in found.items():
        for entry in body.split("\n"):
            path = f"{directory}/{entry.removesuffix('/')}"
            assert path in found if entry.endswith("/") else path in leaves
    for leaf in leaves:
        assert leaf.rpartition("/")[0] in found


def test_a_bare_directory_shows_its_children_without_slash() -> None:
    listing = Listing(root="/latest", area="a", bare=("/latest",))
    nodes = [Node("/latest/meta-data/a/x"), Node("/latest/user-data")]
    assert listed(listing, *nodes) == {
        "/latest": "meta-data\nuser-data",
        "/latest/meta-data": "a/",
        "/latest/meta-data/a": "x",
    }
