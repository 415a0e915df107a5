# The C types of outbox.py.

cimport cython

from .encoder cimport Encoder
from .ledger cimport Ledger
from .messages cimport Writer
from .references cimport Ids
from .tables cimport Tables


@cython.final
cdef class Outbox:
    cdef Encoder _encoder
    cdef Ledger _ledger
    cdef Ids _ids
    cdef readonly list _out
    cdef Py_ssize_t _left, _values
    cdef bint _sends_later
    cdef readonly Writer writer
    cdef readonly object writing, later
    cdef readonly bint closed

    cpdef use(self, dialect)
    cdef object _use(self, dialect, tables, host)
    cpdef write(self, bytes data)
    cpdef bytes take(self)
    cpdef left(self, Py_ssize_t count)
    cpdef release(self)
    cpdef call(self, request, handle, name, bint wants_answer, tuple args, kwargs)
    cpdef answer(self, bytes request, value, perspective)
    cdef object _finish(self, bytes data)
    cpdef error(self, bytes request, error, traceback, perspective)
    cdef object _failure(self, bytes request, error, traceback)
    cdef object _take_back(self)
    cpdef put_off(self, act)
    cpdef send_later(self)
    cpdef close(self)
