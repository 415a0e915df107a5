"""What travels, at random; and what it means that two values are the same."""

from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from pellucid.banana import PB
from pellucid.flavors import Copyable, RemoteCopy
from pellucid.registry import Registry

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


class Node(Copyable, tag="x.Node"):
    """A copy with any attributes, hashed by its identity."""

    label: int


class Taking(Node, RemoteCopy, tag="x.Taking"):
    """One that takes its state itself."""

    def set_copied_state(self, state: dict[str, Any]) -> None:
        super().set_copied_state(dict(state))


@dataclass(frozen=True)
class Pair(Copyable, tag="x.Pair"):
    """A copy that is hashed by what is in it."""

    label: int
    left: Any
    right: Any = None


class Made(Copyable, tag="x.Made"):
    """A copy that a function makes."""

    def __init__(self, label: int, content: Any) -> None:
        self.label = label
        self.content = content

    def state_to_copy(self) -> Any:
        return self.label, self.content


COPIES = (Node, Taking, Pair, Made)

registry = Registry()
for _cls in (Node, Taking, Pair):
    registry.copy(_cls)
registry.copy("x.Made", lambda state: Made(*state))


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


def copied(random: Random) -> Any:
    """A value with copies in it, in each other and in all kinds of containers."""
    hashable: list[Any] = [random.choice([Node, Taking])() for _ in range(random.randint(1, 3))]
    for label, node in enumerate(hashable):
        node.label = label
    changing: list[Any] = [
        *hashable,
        *(random.choice([list, dict, set])() for _ in range(random.randint(0, 3))),
    ]
    fixed: list[Any] = []

    def some(*choices: list[Any]) -> list[Any]:
        known = [one for choice in choices for one in choice]
        return random.choices([5, "x", *known], k=random.randint(0, 3))

    for label in range(10, 10 + random.randint(0, 8)):
        match random.choice("ffhhtppm"):
            case "f":
                hashable.append(frozenset(some(hashable)))
            case "h":
                hashable.append(tuple(some(hashable)))
            case "p":
                hashable.append(Pair(label, *random.choices(hashable, k=2)))
            case "m":
                hashable.append(Made(label, some(hashable, fixed)))
            case _:
                fixed.append(tuple(some(changing, hashable, fixed)))
    everything = [*changing, *hashable, *fixed]
    for value in changing:
        if isinstance(value, list):
            value.extend(some(everything))
        elif isinstance(value, set):
            value.update(some(hashable))
        elif isinstance(value, dict):
            value.update((key, random.choice(everything)) for key in some(hashable))
        else:
            for name in random.sample("abc", random.randint(0, 3)):
                setattr(value, name, random.choice(everything))
    return random.choice([random.choice(everything), random.sample(everything, len(everything))])


def ring(random: Random) -> Any:
    """A value that most likely contains itself, of lists, dictionaries and tuples."""
    changing = [random.choice([list[Any], dict[Any, Any]])() for _ in range(random.randint(1, 3))]
    fixed: list[Any] = []
    for _ in range(random.randint(0, 5)):
        fixed.append(tuple(random.choices([*changing, *fixed, 5], k=random.randint(0, 3))))
    everything = [*changing, *fixed]
    for value in changing:
        for key in range(random.randint(0, 3)):
            if isinstance(value, list):
                value.append(random.choice(everything))
            else:
                value[key] = random.choice(everything)
    return random.choice([random.choice(everything), random.sample(everything, len(everything))])


copied_graphs = st.randoms(use_true_random=True).map(copied)
rings = st.randoms(use_true_random=True).map(ring)


def _items() -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.integers(-3, 3),
        st.floats(),
        st.sampled_from([*WORDS, b"time", b"timedelta", b"true", b"1 2 3", b"x.Y", b"\xff"]),
    )
    tag = st.sampled_from(
        b"list tuple dictionary set frozenset reference dereference unicode boolean None decimal "
        b"datetime date time timedelta remote unpersistable x.Y x.A x.B".split()
    )
    number = st.integers(1, 3)
    names = st.sampled_from([b"name", b"state", b"other"]).map(lambda name: [b"unicode", name])

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        members = st.lists(inner, max_size=4)
        pairs = st.lists(st.tuples(inner, inner).map(list), max_size=3)
        states = st.lists(st.tuples(names, inner).map(list), max_size=3)
        return st.one_of(
            st.tuples(tag, members).map(lambda both: [both[0], *both[1]]),
            pairs.map(lambda some: [b"dictionary", *some]),
            st.tuples(st.sampled_from([b"x.A", b"x.B", b"x.Y"]), states).map(
                lambda both: [both[0], [b"dictionary", *both[1]]]
            ),
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
    if not isinstance(left, (list, tuple, dict, set, frozenset, *COPIES)):
        return repr(left) == repr(right)
    # Python has one empty tuple, whoever made it.
    if isinstance(left, COPIES) or left or isinstance(left, (list, dict, set)):
        known = id(left) in there
        if there.setdefault(id(left), id(right)) != id(right):
            return False
        if back.setdefault(id(right), id(left)) != id(left):
            return False
        if known:
            return True
    if isinstance(left, COPIES):
        left, right = vars(left), vars(right)
    if len(left) != len(right):
        return False
    if isinstance(left, (set, frozenset)):
        partners = {_label(member): member for member in right}
        if {_label(member) for member in left} != partners.keys():
            return False
        return all(_same(one, partners[_label(one)], there, back) for one in left)
    if isinstance(left, dict):
        left = [part for pair in left.items() for part in pair]
        right = [part for pair in right.items() for part in pair]
    return all(_same(one, other, there, back) for one, other in zip(left, right, strict=True))


def _label(member: Any) -> Any:
    """What tells which member of another set is meant."""
    if isinstance(member, COPIES):
        return "label", member.label
    if isinstance(member, (tuple, frozenset)):
        return type(member)(map(_label, member))
    return member
