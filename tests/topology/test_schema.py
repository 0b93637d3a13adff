"""The JSON Schema and the loader say the same: what the schema refuses the loader refuses, and every key is described.

The schema is judged by another program (jsonschema), the YAML is read for it by another reader (ruamel's own
constructor), so that the two sides share nothing but the description under test.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from rules.keys import TOPOLOGY
from rules.load import TopologyFaults, read
from rules.schema import topology_schema
from rules.shape import Either, Keys, Many, Shape
from rules.template import TEMPLATE
from tests.topology.site import SITE

HERE = Path(__file__).parent
EVERY_KEY = (HERE / "every_key.yaml").read_text()
CONTOSO = (HERE.parents[1] / "pcaps" / "contoso.yaml").read_text()
VALIDATOR = Draft202012Validator(topology_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def plain(text: str) -> Any:
    """The file as JSON would have it; dates are words there."""
    loaded = YAML(typ="safe", pure=True).load(text)
    return json.loads(json.dumps(loaded, default=_date))


def _date(value: object) -> str:
    assert isinstance(value, datetime.date)
    return value.isoformat()


def written(value: Any) -> bytes:
    """JSON is YAML; keys and words in quotes."""
    return json.dumps(value).encode()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(topology_schema())
    Draft202012Validator.check_schema(topology_schema({"sip-udp"}))


@pytest.mark.parametrize("text", [CONTOSO, EVERY_KEY, SITE, TEMPLATE], ids=["contoso", "every key", "site", "template"])
def test_valid_files_pass_both(text: str) -> None:
    assert list(VALIDATOR.iter_errors(plain(text))) == []
    read(text.encode(), "file")
    assert read(written(plain(text)), "file") == read(text.encode(), "file")


def test_every_key_occurs_in_the_file_of_every_key_and_is_described() -> None:
    used: dict[tuple[int, str], bool] = {}
    _walk(TOPOLOGY, [plain(EVERY_KEY)], used)
    assert len(used) > 130
    assert [name for (_, name), occurs in used.items() if not occurs] == []


def _walk(shape: Shape, values: list[Any], used: dict[tuple[int, str], bool]) -> None:
    """Notes for each key of each shape whether some value has it. A shape that several keys share counts once."""
    if isinstance(shape, Keys):
        for key in shape.keys:
            assert len(key.about) > 4, key.name
            below = [value[key.name] for value in values if isinstance(value, dict) and key.name in value]
            used[id(shape), key.name] = used.get((id(shape), key.name), False) or bool(below)
            _walk(key.shape, below, used)
    elif isinstance(shape, Many):
        _walk(shape.item, [item for value in values for item in (value if isinstance(value, list) else [value])], used)
    elif isinstance(shape, Either):
        _walk(shape.mapping, values, used)


def test_known_rules_are_named_when_given() -> None:
    value = plain(SITE)
    assert list(Draft202012Validator(topology_schema({"unlisted-path"})).iter_errors(value)) == []
    assert list(Draft202012Validator(topology_schema({"sip-udp"})).iter_errors(value)) != []


# --- random changes --------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70000),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(
        [
            "",
            " ",
            "off",
            "none",
            "1.0",
            "443",
            "10.1.2.3",
            "10.1.2.0/24",
            "2001:db8::1",
            "fe80::1%eth0",
            "a.example",
            "edge1.example.net",
            "dir.example.net",
            "*.example.net",
            "required",
            "external",
            "hq",
            "1-2",
            "2027-01-01",
            "a b",
            "\u202e",
            "x" * 2000,
            "unlisted-path",
            "tcp",
        ]
    ),
    st.just([]),
    st.just({}),
    st.just(["10.1.2.9"]),
    st.just([{}]),
    st.just({"fqdn": "a.example", "address": "10.1.1.1"}),
    st.text(max_size=5),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _places(item, (*path, index))
    return found


BASES = [plain(text) for text in (SITE, EVERY_KEY)]
PLACES = [_places(base) for base in BASES]


def _changed(which: int, path: tuple[Any, ...], action: str, value: Any) -> Any:
    root = copy.deepcopy(BASES[which])
    parent = root
    for step in path[:-1]:
        parent = parent[step]
    if action == "drop":
        del parent[path[-1]]
    elif action == "add":
        (parent if isinstance(parent, dict) else root)["surprise"] = value
    else:
        parent[path[-1]] = value
    return root


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_the_schema_refuses_the_loader_refuses(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, 1))
    path = data.draw(st.sampled_from(PLACES[which]))
    action = data.draw(st.sampled_from(["set", "set", "set", "drop", "add"]))
    value = _changed(which, path, action, data.draw(VALUES))
    errors = list(VALIDATOR.iter_errors(value))
    try:
        read(written(value), "file")
        accepted = True
    except TopologyFaults:
        accepted = False
    assert not (errors and accepted), (path, action, [error.message for error in errors])
    if action == "add":
        assert errors
        assert not accepted


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_missing_key_is_refused_by_both_or_by_neither(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([p for p in PLACES[0] if isinstance(p[-1], str)]))
    value = _changed(0, path, "drop", None)
    missing = [error for error in VALIDATOR.iter_errors(value) if error.validator in ("required", "minProperties")]
    try:
        read(written(value), "file")
        said: list[str] = []
    except TopologyFaults as error:
        said = [f.message for f in error.faults if "is missing" in f.message or f.message == "an empty mapping"]
    conditional = path[-1] == "port" or path[:1] == ("reverse_proxies",)  # needed only beside certain others
    assert bool(missing) == bool(said) or conditional


def test_the_schema_can_be_written_as_json() -> None:
    out = io.StringIO()
    json.dump(topology_schema(), out)
    assert json.loads(out.getvalue()) == topology_schema()
