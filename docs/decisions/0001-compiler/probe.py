"""Run inside a build's directory with a module's name: what its classes and functions allow, a line each."""

import gc
import importlib
import sys
import traceback
import weakref

m = importlib.import_module(sys.argv[1])


def weak():
    hits = []
    thing = m.Watched("a")
    ref = weakref.ref(thing, hits.append)
    del thing
    gc.collect()
    return len(hits), m.finalised, ref()


def subclass(bases, body):
    return type("User", bases, body)


def failure(*more):
    error = subclass((m.Failure, *more), {})("text", 3)
    return error.code, isinstance(error, m.Failure)


def undeclared():
    m.Node().other = 1


def override():
    user = subclass((m.Node,), {"size": lambda self: 21})()
    user.free = 1
    return user.double()


def trace():
    try:
        m.outer(1)
    except ValueError as error:
        return [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[1:]]


def show(label, work, *args):
    try:
        print(f"  {label:34}{work(*args)}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        print(f"  {label:34}{type(error).__name__}: {str(error)[:70]}")


print("\n" + sys.argv[1], m.__file__.rsplit("/", 1)[-1])
show("weakref callback, __del__", weak)
show("subclass of Failure", failure)
show("subclass of Failure and OSError", failure, OSError)
show("undeclared attribute", undeclared)
show("interpreted override", override)
show("traceback", trace)
for value in (None, True, 1.0):
    show(f"x: int, given {value}", m.take_int, value)
show("x: float, given 1", m.take_float, 1)
show("x: bytes, given None", m.take_bytes, None)
show("x: bytes, given a subclass", m.take_bytes, type("B", (bytes,), {})(b"x"))
