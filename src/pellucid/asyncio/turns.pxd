# The C types of turns.py.

cimport cython

from ..banana cimport Framer
from ..broker cimport Broker
from ..events cimport CallCompleted, CallReceived
from ..ledger cimport Ledger
from ..releases cimport Releases
from .calls cimport Calls
from .outgoing cimport Outgoing
from .wakeups cimport Wakeups


@cython.final
cdef class Turns:
    cdef Broker _broker
    cdef Outgoing _out
    cdef Wakeups _wakeups
    cdef Calls _calls
    cdef object _finish, _link, _resume
    cdef Py_ssize_t _left, _most, _few
    cdef bint _held
    cdef object _line
    cdef public bint charged, closing, eof, long, queued, reading
    cdef public double besides
    cdef public object transport

    @cython.locals(broker=Broker, ledger=Ledger, may_start=bint, cut=bint, framer=Framer, over=double, nested=bint, out=Outgoing, releases=Releases, stuck=bint, more=bint, wakeups=Wakeups)
    cpdef run(self)
    @cython.locals(broker=Broker, ledger=Ledger, waits=bint)
    cdef object _leave_behind(self, bint cut, bint stuck)
    @cython.locals(broker=Broker, rests=bint)
    cdef bint _wake(self, Wakeups wakeups) except -1
    cdef object _cut_off(self)
    cdef Wakeups _runs(self)
    cdef object _drop(self, CallReceived call)
    cdef object _read_or_not(self, bint stuck)
    cpdef stop_reading(self)
    cdef object _set_reading(self, bint reading)
    cpdef _go_on(self)
    cpdef go_on_soon(self)
    cdef object _hold(self)


# A class in Python is below it.
cdef class Reader:
    cdef public Broker _broker
    cdef public Turns _turns
