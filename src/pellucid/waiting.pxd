# The C types of waiting.py.

cimport cython

from .events cimport CallReceived
from .ledger cimport Ledger


@cython.final
cdef class Refused:
    cdef readonly object error, request
    cdef readonly Py_ssize_t size


@cython.final
cdef class Waiting:
    cdef Ledger _ledger
    cdef readonly object calls, updates

    cpdef too_many(self)
    cpdef check_update(self, bint wants_answer)
    cpdef bint begin(self, CallReceived call, bint update, bint start) except -1
    cpdef refuse(self, Refused refused)
    cpdef wait(self, call)
    cpdef next(self)
    cpdef clear(self)
