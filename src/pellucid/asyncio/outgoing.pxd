# The C types of outgoing.py.

cimport cython

from ..broker cimport Broker


@cython.final
cdef class Outgoing:
    cdef Broker _broker
    cdef object _below, _loop, _link, _waiters, _rest
    cdef public object _transport
    cdef Py_ssize_t _written, _unsent, _rest_bytes
    cdef bint _corked, _plain
    cdef public bint in_turn, closing
    cdef readonly bint paused, releasing
    cdef public object thread

    cpdef send(self, waiter, handle, name, tuple args, dict kwargs)
    cpdef flush(self)
    @cython.locals(broker=Broker)
    cpdef uncork(self)
    cdef object _write(self)
    cdef object _count_and_watch(self)
    @cython.locals(size=Py_ssize_t)
    cdef object _write_pieces(self)
    cdef object _feed(self, bint all_of_it=*)
    cpdef count(self)
