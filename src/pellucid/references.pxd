# The C types of references.py.

cimport cython

from .ledger cimport Ledger
from .releases cimport Releases

cdef dict _EMPTY
cdef list _NONE_COUNTED


cdef class RemoteReference:
    cdef object __weakref__
    cdef public object luid, origin, perspective


@cython.final
cdef class Ids:
    cdef public object next
    cdef readonly list counted

    cpdef take(self)
    cpdef count(self, counted)
    cpdef give_back(self, luid)
    cpdef commit(self, Py_ssize_t before=*)
    cpdef undo(self, Py_ssize_t before=*)


@cython.final
cdef class Remembered:
    cdef Py_ssize_t _most
    cdef object _by_luid

    cpdef use(self, most)
    cpdef add(self, luid, obj)
    cpdef find(self, luid)
    cpdef clear(self)


@cython.final
cdef class _Export:
    cdef readonly Exports table
    cdef readonly object luid, obj, key
    cdef public Py_ssize_t count

    cpdef uncount(self)


@cython.final
cdef class Exports:
    cdef readonly Ids ids
    cdef readonly Ledger ledger
    cdef object _owner, _report, _named
    cdef bytes _name
    cdef dict _by_luid, _by_key, _names
    cdef Remembered _remembered
    cdef bint _open

    cpdef follow(self)
    cpdef dict snapshot(self)
    cpdef publish(self, name, obj)
    @cython.locals(export=_Export)
    cpdef export(self, obj, key=*)
    cpdef forget(self, _Export export)
    @cython.locals(export=_Export)
    cpdef bint decref(self, luid) except -1
    @cython.locals(export=_Export)
    cpdef lookup(self, luid)
    cpdef resolve_home(self, luid)
    cpdef clear(self)


@cython.final
cdef class Imports:
    cdef readonly Ledger ledger
    cdef object _owner, _make_reference, _report
    cdef readonly Releases releases
    cdef readonly dict held

    cpdef receive(self, luid, perspective=*)
    cpdef clear(self)
