"""S-expressions with values in them that are written or read by themselves."""

from typing import Any

import pytest

from pellucid.banana import PB, encode
from pellucid.errors import InsecureJelly, LimitExceeded
from pellucid.limits import Limits
from pellucid.parts import Part, Unread, flatten, unread


def joined(pieces: list[Any]) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else b"<part>" for piece in pieces)


def test_an_s_expression_is_bytes_and_parts_in_turn() -> None:
    first, second = Part(0), Part(1)
    sexp = [b"x.P", first, (1, [second, 1.5]), b"list"]
    pieces = flatten(sexp, PB, 9, Limits())
    assert pieces[1::2] == [first, second]
    assert pieces[1] is first
    assert pieces[3] is second
    assert b"".join(pieces[::2]) == encode([b"x.P"])[:2].replace(b"\x01", b"\x04") + encode(
        b"x.P"
    ) + b"\x02\x80\x01\x81\x02\x80" + encode(1.5) + encode(b"list")


def test_what_has_no_parts_is_one_piece() -> None:
    assert flatten([b"remote", 7], PB, 9, Limits()) == [encode([b"remote", 7])]
    assert flatten(7, PB, 9, Limits()) == [encode(7)]


@pytest.mark.parametrize("sexp", ["text", None, [b"x", {}]])
def test_what_is_no_s_expression_is_refused(sexp: Any) -> None:
    with pytest.raises(InsecureJelly, match="an s-expression can't hold"):
        flatten(sexp, PB, 9, Limits())


def test_nesting_is_bounded() -> None:
    sexp: list[Any] = []
    sexp.append(sexp)
    with pytest.raises(InsecureJelly, match="nested too deep"):
        flatten(sexp, PB, 9, Limits())


def read(*items: Any) -> tuple[Unread, dict[int, Unread], bytes]:
    data = encode([b"x.P", *items])
    behind = len(encode(b"x.P")) + 2
    known: dict[int, Unread] = {}
    return unread(data + b"\x07\x81", behind, PB, b"x.P", len(items), known), known, data


def test_lists_know_where_they_are() -> None:
    sexp, known, data = read(1, [b"list", [b"tuple", 2], []], b"three", 1.5)
    assert sexp == [b"x.P", 1, [b"list", [b"tuple", 2], []], b"three", 1.5]
    assert sexp.end == len(data)
    inner, innermost = sexp[2], sexp[2][1]
    assert data[inner.at : inner.end] == encode([b"list", [b"tuple", 2], []])
    assert data[innermost.at : innermost.end] == encode([b"tuple", 2])
    assert set(map(id, known.values())) == {id(sexp), id(inner), id(innermost)}
    assert not any(part.read for part in known.values())


def test_a_list_that_begins_with_a_list_is_not_known_by_a_tag() -> None:
    sexp, known, _ = read([[b"a"], 1])
    assert sexp[1] == [[b"a"], 1]
    assert set(map(id, known.values())) == {id(sexp), id(sexp[1][0])}


def test_a_tag_alone() -> None:
    sexp, _, data = read()
    assert sexp == [b"x.P"]
    assert sexp.end == len(data)


def test_reading_is_bounded_in_depth() -> None:
    data = b"\x01\x80" * 300 + b"\x01\x81"
    with pytest.raises(LimitExceeded) as caught:
        unread(data, 0, PB, b"x.P", 1, {})
    assert caught.value.remote


def test_sizes_are_bounded() -> None:
    limits = Limits(list_items=2, string_bytes=3, integer_bits=32)
    assert flatten([b"abc", 15], PB, 9, limits) == [encode([b"abc", 15])]
    for sexp, limit in (
        ([1, 2, 3], "list_items"),
        (b"abcd", "string_bytes"),
        (1 << 32, "integer_bits"),
    ):
        with pytest.raises(LimitExceeded) as caught:
            flatten([sexp], PB, 9, limits)
        assert caught.value.limit == limit
