"""What travels, at random; and what it means that two values are the same."""

from typing import Any

from hypothesis import strategies as st

from pellucid.banana import PB

WORDS = [*PB.words, b"unicode", b"boolean", b"set", b"frozenset", b"decimal", b"datetime", b"date"]

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from([word.decode() for word in WORDS]),
    st.sampled_from(["x" * 127, "x" * 128, "é" * 64, "x" * 20000]),
)
strings = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(WORDS),
    st.sampled_from([b"x" * 127, b"x" * 128, b"x" * 20000]),
)
integers = st.one_of(
    st.integers(-(2**448) + 1, 2**448 - 1),
    st.integers(-300, 300),
    st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**61 - 1]),
)
# The sign of a zero is lost on the wire.
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda value: bool(value) or not value.is_signed()
)
keys = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(allow_nan=False),
    strings,
    texts,
    decimals,
    # `fold` is lost too.
    st.datetimes().map(lambda value: value.replace(fold=0)),
    st.dates(),
    st.times().map(lambda value: value.replace(fold=0)),
    st.timedeltas(),
)
scalars = keys | st.just(float("nan"))


@st.composite
def graphs(draw: st.DrawFn, most: int = 6) -> Any:
    """A value with other values in it, any of them anywhere and as often as it likes."""

    def some(choices: list[Any], simple: st.SearchStrategy[Any]) -> list[Any]:
        known = st.sampled_from(choices) if choices else st.nothing()
        return draw(st.lists(known | simple, max_size=4))

    changing: list[Any] = [
        draw(st.sampled_from([list, dict, set]))() for _ in range(draw(st.integers(0, most)))
    ]
    hashable: list[Any] = []
    fixed: list[Any] = []
    for _ in range(draw(st.integers(0, most))):
        match draw(st.sampled_from("fht")):
            case "f":
                hashable.append(frozenset(some(hashable, keys)))
            case "h":
                hashable.append(tuple(some(hashable, keys)))
            case _:
                fixed.append(tuple(some([*changing, *hashable, *fixed], scalars)))
    everything = [*changing, *hashable, *fixed]
    for value in changing:
        if isinstance(value, list):
            value.extend(some(everything, scalars))
        elif isinstance(value, dict):
            for key in some(hashable, keys):
                value[key] = draw(st.sampled_from(everything) | scalars)
        else:
            value.update(some(hashable, keys))
    return draw(st.sampled_from(everything)) if everything else draw(scalars)


def _items() -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.integers(-3, 3),
        st.floats(),
        st.sampled_from([*WORDS, b"time", b"timedelta", b"true", b"1 2 3", b"x.Y", b"\xff"]),
    )
    tag = st.sampled_from(
        b"list tuple dictionary set frozenset reference dereference unicode boolean None decimal "
        b"datetime date time timedelta remote unpersistable x.Y".split()
    )
    number = st.integers(1, 3)

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        members = st.lists(inner, max_size=4)
        pairs = st.lists(st.tuples(inner, inner).map(list), max_size=3)
        return st.one_of(
            st.tuples(tag, members).map(lambda both: [both[0], *both[1]]),
            pairs.map(lambda some: [b"dictionary", *some]),
            st.tuples(number, inner).map(lambda both: [b"reference", *both]),
            number.map(lambda n: [b"dereference", n]),
            members,
        )

    return st.recursive(leaf, larger, max_leaves=25)


sexps = _items()
"""S-expressions that are jelly, or nearly."""


def same(left: Any, right: Any) -> bool:
    """Whether two graphs are the same: types, values, order, and which objects are one object."""
    return _same(left, right, {}, {})


def _same(left: Any, right: Any, there: dict[int, int], back: dict[int, int]) -> bool:
    if type(left) is not type(right):
        return False
    if not isinstance(left, (list, tuple, dict, set, frozenset)):
        return repr(left) == repr(right)
    if len(left) != len(right):
        return False
    # Python has one empty tuple, whoever made it.
    if left or isinstance(left, (list, dict, set)):
        known = id(left) in there
        if there.setdefault(id(left), id(right)) != id(right):
            return False
        if back.setdefault(id(right), id(left)) != id(left):
            return False
        if known:
            return True
    if isinstance(left, (set, frozenset)):
        partners = {member: member for member in right}
        if left != right:
            return False
        return all(_same(one, partners[one], there, back) for one in left)
    if isinstance(left, dict):
        left = [part for pair in left.items() for part in pair]
        right = [part for pair in right.items() for part in pair]
    return all(_same(one, other, there, back) for one, other in zip(left, right, strict=True))
