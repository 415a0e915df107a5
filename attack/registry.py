"""The list of attacks."""

from collections.abc import Callable
from dataclasses import dataclass, field

from attack.target import Target

PB, FOOLSCAP, RPYC, PYRO = "pb", "foolscap", "rpyc", "pyro"
Function = Callable[[Target], None]


@dataclass
class Attack:
    """One attack. Which peers it is tried on is said by the protocols that it is written for."""

    name: str
    # What it tries, in a sentence.
    about: str
    ways: dict[str, Function] = field(default_factory=dict)
    # Begins again when the server has cut it off.
    again: bool = True
    # So many open files the server may have; 0 for as many as it likes.
    files: int = 0


ATTACKS: dict[str, Attack] = {}


def attack(*families: str, again: bool = True, files: int = 0) -> Callable[[Function], Function]:
    """Register a function as an attack by its name, for PB if nothing else is said.

    The first that is registered under a name says what it tries; the others are the same thing
    for another protocol.
    """

    def register(function: Function) -> Function:
        name = function.__name__.replace("_", "-")
        about = " ".join((function.__doc__ or "").split())
        found = ATTACKS.setdefault(name, Attack(name, about, again=again, files=files))
        for family in families or (PB,):
            found.ways[family] = function
        return function

    return register
