"""Failures as they travel, and as they arrive.

A failure of the other side has names and texts in place of classes and exceptions. Each time that
an errback lets it pass Twisted makes a new, plain Failure of what was raised. Whatever that one
needs is in the entries that it takes over, above all in `value`, which knows what to raise.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from twisted.python import log
from twisted.python.failure import Failure

from ..encoder import Encoder
from ..errors import InsecureJelly as CoreInsecureJelly
from ..errors import PBError, full_name
from ..failures import ANY_ERROR, NO_TRACEBACK, failure_state, text_of
from ..limits import Limits
from ..states import set_state, text_keys
from .errors import InsecureJelly, RemoteError
from .flavors import Copyable, RemoteCopy
from .hooks import default
from .jelly import Jellyable, setUnjellyableForClass

__all__ = [
    "CopiedFailure",
    "CopyableFailure",
    "as_sent",
    "failure2Copyable",
    "is_received",
    "with_texts",
]

_STRING_LIMIT: Final = Limits().string_bytes
# What is no attribute of its own when it is received.
_KNOWN: Final = frozenset(
    (
        *("type", "value", "parents", "_parents", "traceback", "unsafeTracebacks", "count"),
        *("captureVars", "tb", "frames", "_frames", "stack", "pickled"),
        # With this it would be left out of the log.
        "is_logged",
    )
)
# What tells where a failure was awaited here.
_OURS: Final = ("frames", "_frames", "pickled", "count")
# So many names of a class of the other side are shown.
_MOST_NAMES: Final = 20
_own_dict: Any = BaseException.__dict__["__dict__"]


# What stands in a failure of the other side.


class _Name(str):
    """The full name of a class of the other side, for programs that expect a class or bytes."""

    def __new__(cls, text: str) -> "_Name":
        self = super().__new__(cls, text)
        module, _, name = text.rpartition(".")
        self.__dict__.update(__module__=module, __name__=name, __qualname__=name)
        return self

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Give the text."""
        return str(self)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, text_of(other) if isinstance(other, bytes) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class _Names(list[str]):
    """The full names of a class of the other side and its bases, among which classes are found."""

    def __contains__(self, item: object) -> bool:
        return super().__contains__(full_name(item) if isinstance(item, type) else item)


class _RaisedNames(_Names):
    """The names of what was raised here in place of an exception of the other side."""

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or item == full_name(RemoteError)


class _Entries(dict[str, Any]):
    """The `__dict__` of a failure, which keeps the names when the failure is cleaned.

    Twisted would find them anew, by the class, and there is none.
    """

    def copy(self) -> "_Entries":
        """Give another such dictionary."""
        return _Entries(self)

    __copy__ = copy

    def pop(self, name: str, *default: Any) -> Any:
        """Take out an entry, and give it. The names are only given."""
        return self[name] if name == "_parents" else super().pop(name, *default)


class _Text(str):
    """The text of an exception of the other side, which knows what to raise in place of that."""

    entries: dict[str, Any]

    def with_traceback(self, tb: Any) -> BaseException:
        """Give the exception to raise."""
        return _Raised({**self.entries, "value": str(self)}).with_traceback(tb)


class _Raised(RemoteError, Failure):
    """What is raised in place of an exception of the other side.

    Twisted makes a Failure of it by taking over its `__dict__`.
    """

    __module__ = RemoteError.__module__

    def __init__(self, entries: Mapping[str, Any]) -> None:
        made = _entries(entries, _RaisedNames)
        super().__init__(made["type"], str(made["value"]), made["traceback"])
        _own_dict.__get__(self).update(entries, **made)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        # Where it was raised is told to the exception, and to no entry.
        return _Entries({**_own_dict.__get__(self), "tb": self.__traceback__})

    @property
    def remote_type(self) -> str:  # type: ignore[override]
        """The full name of the class on the other side."""
        return str(self.remoteType)

    @property
    def remote_parents(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of that class and its bases."""
        return tuple(self.parents)

    __str__ = Exception.__str__
    __repr__ = Exception.__repr__

    def __reduce__(self) -> Any:
        return _again, ({**_own_dict.__get__(self), "tb": None},)


_Raised.__name__ = _Raised.__qualname__ = RemoteError.__name__


def _again(entries: dict[str, Any]) -> BaseException:
    return _Raised(entries)


def _entries(given: Mapping[str, Any], names_type: type[_Names] = _Names) -> dict[str, Any]:
    """Give what a Failure has, made of a failure's state, of which any part may be missing.

    Nothing in it refers to this side: neither classes nor frames.
    """
    kind = text_of(given.get("type"))
    listed = given.get("parents", given.get("_parents"))
    names = names_type()
    if isinstance(listed, list | tuple):
        names.extend(name for name in map(text_of, listed) if name is not None)
    name = kind or (names[0] if names else ANY_ERROR)
    if name not in names:
        names.insert(0, name)
    count, unsafe = given.get("count"), given.get("unsafeTracebacks")
    made = {
        "count": count if isinstance(count, int) else 0,
        "type": _Name(name),
        "captureVars": False,
        "tb": None,
        "unsafeTracebacks": unsafe if isinstance(unsafe, int) else False,
        "_parents": names,
        # Properties, but not in older releases of Twisted.
        "parents": names,
        "frames": [],
        "stack": [],
        "traceback": text_of(given.get("traceback")) or NO_TRACEBACK,
    }
    value = _Text(text_of(given.get("value")) or "")
    value.entries = made.copy()
    made["value"] = value
    return made


class CopiedFailure(RemoteCopy, Failure):
    """A failure of the other side.

    `type` is the full name of the class of the exception, `value` its text, `parents` the names of
    that class and its bases, and `traceback` the traceback, if the other side chose to send it.
    Classes are trapped by their names. What it raises is a RemoteError.
    """

    __module__ = "twisted.spread.pb"

    type: str  # type: ignore[assignment]
    value: str  # type: ignore[assignment]
    traceback: str

    def setCopyableState(self, state: Any) -> None:
        """Take over a received state, of which any part may be missing, and more may be there.

        Raises InsecureJelly if it is no dictionary.
        """
        given = text_keys(state, CopiedFailure)
        for name, value in given.items():
            if name not in _KNOWN:
                self._set(name, value)
        self.__dict__ = _Entries({**self.__dict__, **_entries(given)})

    def _set(self, name: str, value: object) -> None:
        try:
            set_state(self, {name: value})
        except CoreInsecureJelly:
            pass  # It is not for a peer to set, and nothing that a failure needs.

    @default
    def unjellyFor(self, unjellier: Any, jellyList: Any) -> Any:
        """Take over what was received, and give this failure."""
        self.setCopyableState(unjellier.unjelly(jellyList[1]))
        return self

    def __setstate__(self, state: Any) -> None:
        self.setCopyableState(state)

    def raiseException(self) -> NoReturn:
        """Raise a RemoteError. A Deferred makes a failure of it that is like this one."""
        raise _Raised(self.__dict__)

    def throwExceptionIntoGenerator(self, g: Any) -> Any:
        """Raise a RemoteError where a generator stands, and give what that yields next."""
        return g.throw(_Raised(self.__dict__))

    def printTraceback(
        self, file: Any = None, elideFrameworkCode: int = 0, detail: str = "default"
    ) -> None:
        """Print what is known of the exception, to the log if no file is given."""
        if file is None:
            file = log.logfile
        file.write(f"Traceback from remote host -- {self.type}: {self.value}\n")
        if self.traceback != NO_TRACEBACK:
            file.write(self.traceback)

    printBriefTraceback = printTraceback
    printDetailedTraceback = printTraceback


def is_received(failure: Failure) -> bool:
    """Tell whether the texts of a failure are the other side's, on whatever way it got here."""
    return isinstance(failure, CopiedFailure) or isinstance(vars(failure).get("type"), str)


def with_texts(failure: Failure, change: Callable[[str, str], str]) -> Failure:
    """Give a received failure in which each text is `change(name, text)`, by the name of its entry.

    Whatever else the other side has put into it is left out.
    """
    kept = {name: value for name, value in vars(failure).items() if name in _KNOWN}
    made = _entries(kept)
    texts = {name: change(name, str(made[name])) for name in ("type", "value", "traceback")}
    names = [change("parents", name) for name in made["parents"][:_MOST_NAMES]]
    kind = CopiedFailure if isinstance(failure, CopiedFailure) else Failure
    changed = kind.__new__(kind)
    changed.__dict__ = _Entries(_entries({**texts, "parents": names}))
    # Where it was awaited is this side's.
    changed.__dict__.update((name, kept[name]) for name in _OURS if name in kept)
    return changed


# What is sent.


class _Named(PBError):
    """Has the names and the text of a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(_said(failure.value))
        self.remote_type, self.remote_parents = _names_of(failure)


def _said(value: object) -> str:
    try:
        return text_of(value) or str(value)
    except Exception:
        return ""


class _AsItself(_Named):
    """Travels as something else does, and as a failure where that can't."""

    def __init__(self, failure: Failure, sent: Any) -> None:
        super().__init__(failure)
        self.sent = sent

    def write_jelly(self, encoder: Encoder) -> None:
        """Write what is sent into a message."""
        sent = self.sent
        if not hasattr(type(sent), "write_jelly"):
            sent = None if encoder.host is None else encoder.host.adapt(sent)
            if sent is None:
                raise InsecureJelly(f"a {full_name(type(self.sent))} can't be sent")
        sent.write_jelly(encoder)


def _names_of(failure: Failure) -> tuple[str, tuple[str, ...]]:
    """Give the names of the class of a failure, and of that and its bases."""
    kind: Any = failure.type
    if isinstance(kind, type):
        return full_name(kind), tuple(map(full_name, kind.__mro__))
    names = (
        full_name(name) if isinstance(name, type) else text_of(name) for name in failure.parents
    )
    return text_of(kind) or ANY_ERROR, tuple(name for name in names if name is not None)


def _error_of(failure: Failure) -> BaseException:
    """Give an exception that has the names and the text of a failure."""
    value: Any = failure.value
    is_plain = isinstance(value, BaseException) and not isinstance(value, Failure)
    return value if is_plain and type(value) is failure.type else _Named(failure)


def _traceback_of(failure: Failure) -> str:
    """Give the traceback; of a failure of another side the one that came from there."""
    received = failure.__dict__.get("traceback")
    return (
        received
        if isinstance(received, str) and received != NO_TRACEBACK
        else failure.getTraceback()
    )


class CopyableFailure(Failure, Copyable):
    """A failure that can be sent. The traceback goes with it only if `unsafeTracebacks` is true."""

    __module__ = "twisted.spread.pb"

    unsafeTracebacks: Any = 0

    def getStateToCopy(self) -> dict[str, Any]:
        """Give what is sent: names and texts, and neither frames nor the names of files."""
        traceback = _traceback_of(self) if self.unsafeTracebacks else None
        return failure_state(
            _error_of(self), traceback=traceback, string_limit=_STRING_LIMIT, paths=True
        )


def failure2Copyable(fail: Failure, unsafeTracebacks: Any = 0) -> CopyableFailure:
    """Give a failure that can be sent, made of any other."""
    copy = CopyableFailure.__new__(CopyableFailure)
    copy.__dict__.update(fail.__dict__)
    copy.unsafeTracebacks = unsafeTracebacks
    return copy


failure2Copyable.__module__ = "twisted.spread.pb"


def as_sent(failure: Failure, security: Any, unsafe: Any) -> tuple[BaseException, str | None]:
    """Give the error that answers a call which ended with a failure, and its traceback.

    An exception that says itself how it travels, or whose class `security` allows, goes as itself.
    There is a traceback only if `unsafe` is true.
    """
    traceback = _traceback_of(failure) if unsafe else None
    if isinstance(failure, CopyableFailure):
        failure.unsafeTracebacks = unsafe
    value: Any = failure.value
    if isinstance(value, BaseException) and (
        isinstance(value, Jellyable) or security.isClassAllowed(type(value))
    ):
        return _AsItself(failure, value), traceback
    if isinstance(failure, CopyableFailure) and type(failure) is not CopyableFailure:
        return _AsItself(failure, failure), traceback
    return _error_of(failure), traceback


setUnjellyableForClass(CopyableFailure, CopiedFailure)
