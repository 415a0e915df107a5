"""Errors as they travel: the state of a failure, and the error that is made of one.

The wire document says what is in it, in section 13.
"""

import os

from .errors import InsecureJelly, PBError, RemoteError, full_name, wire_names
from .registry import Registry

__all__ = [
    "ANY_ERROR", "FAILURE_TAG", "NO_TRACEBACK", "failure_state", "is_failure", "read_failure",
    "received_error", "text_of",
]  # fmt: skip

FAILURE_TAG = b"twisted.spread.pb.CopyableFailure"

NO_TRACEBACK = "Traceback unavailable\n"
# Every exception is one of these, whatever the peer left out.
ANY_ERROR = "builtins.BaseException"
# No class has a longer name, nor more ancestors. What a peer says beyond that is left out, so that
# an error costs no more than its texts.
_LONGEST_NAME = 1_000
_MOST_PARENTS = 100


def failure_state(
    error: BaseException, *, traceback: str | None = None, string_limit: int, paths: bool = False
) -> dict[str, object]:
    """Give what travels of `error`: the ten keys that Twisted sends, in its order.

    No text in it is longer than `string_limit` bytes. A `traceback` is sent only if it is given.
    Without one, and without `paths`, the names of files that Python puts into texts are left out.
    """
    text = _text_of(error) if paths or traceback is not None else _without_paths(error)
    names = wire_names(error)
    remote_type = error.remote_type if isinstance(error, PBError) else None
    return {
        "count": 0,
        "type": _fit(remote_type or names[0], string_limit).encode(),
        "value": _fit(text, string_limit),
        "captureVars": False,
        "tb": None,
        "unsafeTracebacks": traceback is not None,
        "parents": [_fit(name, string_limit) for name in names],
        "frames": [],
        "stack": [],
        "traceback": _fit(NO_TRACEBACK if traceback is None else traceback, string_limit),
    }


def _text_of(error: BaseException) -> str:
    """Give the text of an error, whatever its class does when asked."""
    try:
        return str(error)
    except Exception as problem:
        return f"<no text: str() of the error raised {type(problem).__name__}>"


def _without_paths(error: BaseException) -> str:
    """Give the text of an error, without names of files of this machine in it."""
    text = _text_of(error)
    shown: list[str] = []
    # As Python writes them.
    if isinstance(error, OSError):
        shown = [repr(name) for name in (error.filename, error.filename2) if name is not None]
    elif isinstance(error, ImportError) and error.path:
        shown = [error.path]
    elif isinstance(error, SyntaxError) and error.filename:
        shown = [os.path.basename(error.filename)]
    for name in shown:
        text = text.replace(name, "...")
    return text


def _fit(text: str, limit: int) -> str:
    """Give `text` as a plain str that can be sent: cut, and without lone surrogates."""
    return str.encode(text, "utf-8", "replace")[:limit].decode("utf-8", "ignore")


def read_failure(state: object, registry: Registry) -> PBError:
    """Make an error of a received failure's state, of which any part may be missing.

    Its class is the first among its names that the registry knows, else RemoteError. `__init__` is
    not run. Raises InsecureJelly if the state is not a dictionary.
    """
    if type(state) is not dict:
        raise InsecureJelly("the state of a failure has to be a dictionary", remote=True)
    text = text_of(_field(state, "value")) or ""
    kind = _name_of(_field(state, "type"))
    found = _field(state, "parents")
    listed = found[:_MOST_PARENTS] if isinstance(found, (list, tuple)) else ()
    parents = tuple(name for name in map(_name_of, listed) if name is not None)
    names = parents if kind is None else (kind, *parents)
    traceback = text_of(_field(state, "traceback"))
    error = _make(names, text, registry)
    # Not by assignment: a class may have made itself read-only.
    vars(error).update(
        remote_type=names[0] if names else ANY_ERROR,
        remote_parents=parents,
        remote_traceback=None if traceback == NO_TRACEBACK else traceback,
    )
    return error


def is_failure(value: object) -> bool:
    """Tell whether a received value was made by `read_failure`."""
    return isinstance(value, PBError) and value.remote_type is not None


def received_error(value: object) -> Exception:
    """Give the error that a call fails with whose `error` has this value.

    That is the value itself if it is an exception that anybody can wait for.
    """
    if isinstance(value, Exception) and not isinstance(value, (StopIteration, StopAsyncIteration)):
        return value
    if not isinstance(value, BaseException):
        return RemoteError(f"the call failed with a value: {type(value).__name__}")
    error = RemoteError(_text_of(value))
    error.remote_type = full_name(type(value))
    error.__cause__ = value
    return error


def _field(state: dict[object, object], name: str) -> object:
    """Give an entry; Python 2 had byte strings for keys."""
    return state.get(name, state.get(name.encode()))


def text_of(value: object) -> str | None:
    """Give a received text, which may have come as bytes; None if it is no text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else None


def _name_of(value: object) -> str | None:
    """Give the received name of a class, cut; None if it is no text."""
    return text_of(value[:_LONGEST_NAME]) if isinstance(value, (bytes, str)) else None


def _make(names: tuple[str, ...], text: str, registry: Registry) -> PBError:
    """Make the error itself."""
    cls = next(filter(None, map(registry.error_for, names)), RemoteError)
    try:
        error: object = cls.__new__(cls, text)
    except Exception:
        return RemoteError(text)
    if not isinstance(error, PBError):
        return RemoteError(text)
    if isinstance(error, InsecureJelly):
        error.where, error.remote = "", True
    return error
