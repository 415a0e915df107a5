# The C types of banana.py. Sizes and places fit in 64 bits; integers from the wire stay objects.

cimport cython
from libc.stdint cimport int64_t

from pellucid cimport octets

cdef int _LIST, _INT, _STRING, _NEG, _FLOAT, _LONGINT, _LONGNEG, _VOCAB, _BITS, _DEPTH
cdef int64_t _HUGE, _ROOM, _LARGE, _LONG, _MANY, _APART, _BEHIND
cdef object _DOUBLE
cdef bytearray _NO_ROOM
cdef tuple _LISTS, _STRINGS

@cython.locals(out=bytearray)
cdef bytes _token(object n, int kind)

@cython.locals(item=bytes)
cpdef bytes int_token(object n, int64_t most=*)

cpdef bytes list_header(Py_ssize_t n)

@cython.locals(size=Py_ssize_t)
cpdef bytes string_token(bytes data, object dialect)

@cython.locals(words=tuple, top=list, stack=list, items=list, inner=list, left=Py_ssize_t, kind=int)
cpdef tuple read_item(bytes data, Py_ssize_t pos, object dialect, Py_ssize_t depth=*)

@cython.locals(end=Py_ssize_t, n=object, digit=int)
cdef tuple _number(bytes data, Py_ssize_t start)

@cython.locals(need=int64_t, n=int64_t, shift=int, kind=int64_t)
cpdef Py_ssize_t skip_item(bytes data, Py_ssize_t pos) except -1


@cython.final
cdef class Framer:
    cdef public object dialect
    cdef readonly object broken
    cdef readonly int64_t examined, copied, messages, items, size
    cdef public bint apart
    cdef public tuple bodies
    cdef object _apart, _body, _room
    cdef int64_t _size
    cdef public int digits
    cdef int64_t _string_bytes, _list_items, _item_limit, _message_bytes
    cdef object _shared, _view, _chunks, _later
    cdef bytearray _last
    cdef object _parts
    cdef bytes _chunk
    cdef bint _in_place
    cdef readonly Py_ssize_t _held
    cdef Py_ssize_t _filled, _start, _pos, _queued
    cdef int64_t _need, _items, _skip, _prefix
    cdef int _digits

    cdef object _hold_to(self, limits, bint least=*)
    cpdef use(self, limits)
    cpdef close(self)
    cpdef discard(self)
    @cython.locals(filled=Py_ssize_t)
    cpdef feed(self, chunk)
    cdef object _make_room(self)
    cdef object _add(self, bytes chunk)
    @cython.locals(skip=int64_t)
    cpdef get_buffer(self)
    cpdef received(self, Py_ssize_t n)
    cpdef skip(self, Py_ssize_t end)
    @cython.locals(data=bytes, start=Py_ssize_t, pos=Py_ssize_t)
    cpdef next_message(self)
    cdef bint _next_chunk(self) except -1
    @cython.locals(size=Py_ssize_t)
    cdef object _hold(self, bytes rest)
    @cython.locals(data=bytes, start=Py_ssize_t, size=int64_t, came=int64_t, body=Py_ssize_t,
                   at=Py_ssize_t, head=bytes, word=bytes)
    cdef bint _begin_body(self) except -1
    @cython.locals(size=Py_ssize_t)
    cdef object _fill(self, piece)
    @cython.locals(size=Py_ssize_t)
    cdef object _go_on_with_body(self)
    @cython.locals(size=Py_ssize_t, behind=bytes)
    cdef object _received_body(self, Py_ssize_t n)
    @cython.locals(body=bytes)
    cdef object _filled_body(self, Py_ssize_t size)
    cdef object _keep(self, piece)
    cdef object _seal(self)
    @cython.locals(data=bytes, end=int64_t, pos=int64_t, need=int64_t, n=int64_t, digits=int,
                   words=int64_t, bound=int64_t, bad=bint, kind=int64_t, many=int64_t,
                   size=int64_t)
    cdef bint _scan(self) except -1
    cdef object _refuse(self, int kind, int64_t n, int64_t size)
