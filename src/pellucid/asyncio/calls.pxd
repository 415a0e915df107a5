# The C types of calls.py.

cimport cython

from ..broker cimport Broker
from ..events cimport CallReceived
from .outgoing cimport Outgoing

cdef object _VALUES


cdef class Calls:
    cdef readonly object _connection, _link, _loop
    cdef readonly Broker _broker
    cdef readonly Outgoing _out
    cdef bint _eager, _starting
    cdef public dict running

    @cython.locals(awaitable=bint)
    cpdef start(self, CallReceived call)
    cpdef _answer(self, CallReceived call, value)
    cpdef _fail(self, CallReceived call, error)
    cpdef ended(self, CallReceived call, future)
