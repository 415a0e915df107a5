# The C types of turns.py.

cimport cython

from ..broker cimport Broker
from ..events cimport CallCompleted, CallReceived
from .outgoing cimport Outgoing
from .wakeups cimport Wakeups


@cython.final
cdef class Turns:
    cdef Broker _broker
    cdef Outgoing _out
    cdef Wakeups _wakeups
    cdef object _calls, _finish, _link, _resume
    cdef Py_ssize_t _left, _most, _few
    cdef bint _held
    cdef public bint reading, closing, eof
    cdef public object transport

    cpdef updated(self, Py_ssize_t count)
    @cython.locals(broker=Broker, out=Outgoing, stuck=bint, nested=bint)
    cpdef run(self)
    cdef Wakeups _runs(self)
    cdef object _start(self, CallReceived call)
    cdef object _read_or_not(self, bint stuck)
    cdef object _set_reading(self, bint reading)
    cpdef _go_on(self)
    cpdef go_on_soon(self)
    cdef object _hold(self)
