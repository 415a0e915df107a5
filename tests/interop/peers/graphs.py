"""Objects that refer to each other in any way, made of a number, and what tells them apart.

Both sides make the same ones of the same number, each of its own copies.
"""

from random import Random
from typing import Any

SCALARS = [None, 1, "text", b"bytes", 0.5]


def graph(seed: int, item: Any, own: list[Any]) -> Any:
    """Make a graph of lists, tuples, dicts, sets and copies; `own` are objects to refer to."""
    random = Random(seed)
    makers: list[Any] = [list, list, dict, set, lambda: item(str(len(nodes)))]
    nodes: list[Any] = []
    for _ in range(random.randint(1, 5)):
        nodes.append(random.choice(makers)())
    for _ in range(random.randint(0, 4)):
        members = [_pick(random, nodes, own) for _ in range(random.randint(0, 3))]
        # A set of copies has no order in which to compare them, so it has one at most.
        frozen = random.random() < 0.2
        nodes.append(frozenset([_key(random, nodes, item)]) if frozen else tuple(members))
    for node in nodes:
        for number in range(random.choice([0, 1, 1, 2, 3])):
            value = _pick(random, nodes, own)
            if isinstance(node, list):
                node.append(value)
            elif isinstance(node, item):
                vars(node)[f"field{number}"] = value
            elif isinstance(node, dict) and random.random() < 0.2 and not number:
                node[_key(random, nodes, item)] = value
            elif isinstance(node, dict):
                node[f"key{number}"] = value
            elif isinstance(node, set) and not node:
                node.add(_key(random, nodes, item))
    return random.choice(nodes)


def _pick(random: Random, nodes: list[Any], own: list[Any]) -> Any:
    kind = random.random()
    if kind < 0.3:
        return random.choice(SCALARS)
    return random.choice(own if own and kind < 0.4 else nodes)


def _key(random: Random, nodes: list[Any], item: Any) -> Any:
    """Give what hashes by what it is, perhaps in something else that does not change."""
    items = [one for one in nodes if isinstance(one, item)]
    if not items:
        return "alone"
    key = random.choice(items)
    return random.choice([key, (key, 1), frozenset([key])])


def shape(value: Any, item: Any, own: list[Any], seen: dict[int, int] | None = None) -> Any:
    """Describe a graph, the identities of its objects included."""
    seen = {} if seen is None else seen
    for number, one in enumerate(own):
        if value is one:
            return f"own {number}"
    # There is but one empty tuple, and one empty frozenset, so these tell nothing.
    if value in ((), frozenset()) or not isinstance(value, _compound(item)):
        return value
    if id(value) in seen:
        return f"again {seen[id(value)]}"
    seen[id(value)] = len(seen)
    name = type(value).__name__
    if not isinstance(value, dict | item):
        return [name, [shape(one, item, own, seen) for one in value]]
    pairs = vars(value) if isinstance(value, item) else value
    # What is read late comes late into a dictionary of Twisted's.
    ordered = sorted(pairs.items(), key=lambda pair: str(isinstance(pair[0], str) and pair[0]))
    return [name, [[shape(one, item, own, seen) for one in pair] for pair in ordered]]


def _compound(item: Any) -> Any:
    return (list, tuple, dict, set, frozenset, item)
