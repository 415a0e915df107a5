# The C types of outbox.py.

cimport cython

from .encoder cimport Encoder
from .ledger cimport Ledger
from .messages cimport Writer
from .references cimport Ids
from .tables cimport Tables


@cython.final
cdef class Pen:
    cdef readonly Encoder encoder
    cdef readonly Writer writer
    cdef readonly object pens
    cdef public object owner


@cython.final
cdef class Outbox:
    cdef readonly Pen _pen
    cdef Ledger _ledger
    cdef Tables _tables
    cdef readonly list _out
    cdef object _host
    cdef Py_ssize_t _left, _values
    cdef bint _sends_later
    cdef readonly object later
    cdef readonly bint closed, long

    cpdef use(self, dialect)
    cpdef bint is_writing(self) except -1
    @cython.locals(encoder=Encoder, pen=Pen)
    cdef Pen _begin(self, perspective)
    @cython.locals(encoder=Encoder)
    cdef object _end(self, Pen pen)
    cpdef write(self, bytes data)
    @cython.locals(out=list, data=bytes)
    cpdef bytes take(self)
    cpdef list take_pieces(self)
    cpdef left(self, Py_ssize_t count)
    cpdef release(self)
    @cython.locals(pen=Pen, written=bytes, data=bytes)
    cpdef call(self, request, handle, name, bint wants_answer, tuple args, kwargs)
    @cython.locals(pen=Pen, written=bytes, data=bytes)
    cpdef answer(self, bytes request, value, perspective)
    @cython.locals(pieces=list)
    cdef object _finish_from(self, Encoder encoder, bytes data)
    @cython.locals(ids=Ids)
    cdef object _finish(self, bytes data)
    cpdef error(self, bytes request, error, traceback, perspective)
    cdef object _failure(self, bytes request, error, traceback)
    cdef object _take_back(self, Pen pen)
    cpdef put_off(self, act)
    cpdef send_later(self)
    cpdef close(self)
