# The C types of messages.py. Places and sizes fit in 64 bits; ids and numbers from the wire stay
# objects.

cimport cython
from libc.stdint cimport int64_t

from pellucid cimport banana, octets, usual
from .decoder cimport Decoder
from .encoder cimport Encoder

cdef int _LIST, _INT, _STRING
cdef int _UPDATE, _DECACHE, _UNCACHE
cdef Py_ssize_t _NAMES, _LONGEST_NAME, _LONGEST_REQUEST
cdef bytes _WANTED, _UNWANTED
cdef dict _COMMANDS, _HEADS


@cython.final
cdef class Message:
    cdef readonly int command
    cdef readonly Decoder decoder
    cdef public object request, subject, name
    cdef public bint wants_answer
    cdef public Py_ssize_t start


cdef str _text(item, what)

@cython.locals(command=int)
cpdef Message read(bytes data, Decoder decoder)

@cython.locals(pos=Py_ssize_t, start=Py_ssize_t, length=Py_ssize_t)
cdef int _command(bytes data, Decoder decoder) except -1

@cython.locals(pos=Py_ssize_t, n=int64_t, kind=int, shift=int)
cdef object _field(bytes data, Decoder decoder)

cpdef tuple arguments(Decoder decoder)


@cython.final
cdef class Writer:
    cdef readonly object dialect
    cdef Encoder _encoder
    cdef dict _names
    cdef bytes _call, _answer, _error, _decref, _no_keywords
    cdef tuple _forms
    cdef bint _usual

    cdef bytes _id(self, luid)
    cdef bytes _name(self, name)
    cpdef bytes version(self)
    @cython.locals(word=bytes, written=bytes)
    cpdef bytes usual_call(self, request, luid, name, bint wants_answer, tuple args, exporter)
    @cython.locals(item=bytes)
    cpdef bytes usual_answer(self, bytes request, value, exporter)
    cpdef bytes call(self, request, luid, name, bint wants_answer, tuple args, dict kwargs,
                     bint update=*)
    cpdef bytes answer(self, bytes request, value)
    cpdef bytes error(self, bytes request, value)
    cpdef bytes failure(self, bytes request, bytes tag, dict state)
    cpdef bytes decref(self, luid)
    cpdef bytes decache(self, luid)
    cpdef bytes uncache(self, luid)
    cpdef bytes did_not_understand(self, bytes command)
