# The C types of broker.py.

cimport cython
from libc.stdint cimport int64_t

from pellucid cimport usual
from .banana cimport Framer
from .decoder cimport Decoder
from .events cimport CallReceived
from .ledger cimport Ledger
from .messages cimport Message
from .outbox cimport Outbox
from .references cimport Exports
from .releases cimport Releases
from .tables cimport Tables
from .waiting cimport Waiting


cdef int64_t _ITEM_BYTES, _CONTAINER_BYTES, _USUAL_BYTES


@cython.final
cdef class Broker:
    cdef object __weakref__
    cdef readonly object limits, registry, face
    cdef readonly Ledger ledger
    cdef readonly bint ready, closed
    cdef readonly Exports exports
    cdef readonly Releases releases
    cdef public object root, tracebacks
    cdef public Py_ssize_t patience
    cdef bint _is_server, _usual, _is_full
    cdef object _dialect, _dialects, _wake, _error_value, _eof
    cdef readonly object _reports, _last_request
    cdef Framer _framer
    cdef readonly Outbox _outbox
    cdef readonly Tables _tables
    cdef Waiting _waiting
    cdef dict _pending

    cpdef get_buffer(self)
    cpdef received(self, Py_ssize_t count)
    cpdef receive_data(self, data)
    @cython.locals(releases=Releases, ledger=Ledger)
    cdef bint _may_read(self) except -1
    @cython.locals(waiting=Waiting, framer=Framer, data=bytes, start=Py_ssize_t, silent=Py_ssize_t)
    cpdef next_event(self, bint start_calls=*)
    @cython.locals(decoder=Decoder, message=Message, command=int, framer=Framer)
    cdef object _message(self, bytes data, bint start_calls)
    @cython.locals(framer=Framer, ledger=Ledger, end=Py_ssize_t, size=Py_ssize_t,
                   call=CallReceived)
    cdef object _usual_message(self, Py_ssize_t start, bint start_calls)
    cdef object _usual_references(self, list values, list ids)
    @cython.locals(update=bint, call=CallReceived, items=int64_t, size=int64_t, decoder=Decoder,
                   wants_answer=bint)
    cdef object _call_arrived(self, Message message, bytes data, bint start_calls)
    cdef object _refuse_call(self, Message message, bytes data, int64_t size, error)
    @cython.locals(failed=bint)
    cdef object _answer_arrived(self, Message message, bytes data)
    cdef object _accept(self, bytes data, Decoder decoder)
    @cython.locals(pos=Py_ssize_t)
    cdef object _refuse(self, bytes data, Message message, int fields)
    cpdef bytes data_to_send(self)
    @cython.locals(outbox=Outbox, ledger=Ledger, wants_answer=bint)
    cpdef call(self, waiter, reference, name, tuple args=*, kwargs=*)
    @cython.locals(outbox=Outbox, ledger=Ledger)
    cpdef answer(self, CallReceived call, value, refused=*)
    @cython.locals(outbox=Outbox, ledger=Ledger)
    cpdef fail(self, CallReceived call, error, traceback=*)
