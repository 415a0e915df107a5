# The C types of encoder.py. Depths and places fit in 64 bits; values stay objects.

cimport cython
from libc.stdint cimport int64_t

from pellucid cimport octets, usual

cdef int _LIST, _STRING, _FLOAT, _LONG, _APART, _KEYS, _LONGEST_KEY
cdef tuple _LISTS, _STRINGS, _TEXTS
cdef dict _NO_SLOTS
cdef list _NO_STEPS

@cython.locals(items=int64_t, n=int64_t, shift=int, pos=Py_ssize_t, end=Py_ssize_t, kind=int)
cdef object _count_items(bytes data)


@cython.final
cdef class Encoder:
    cdef readonly object dialect, limits
    cdef public object exporter, perspective, host
    cdef readonly list out
    cdef public list behind
    cdef public bint in_pieces
    cdef int64_t _long
    cdef dict _slots, _words, _keys, _tokens
    cdef int64_t _message_bytes, _items
    cdef list _kept, _path
    cdef object _parts, _root
    cdef Py_ssize_t _root_slot, _numbered, _longest, _short, _level, _head
    cdef bint _copies, _tuples, _usual
    cdef Py_ssize_t _string_bytes, _list_items, _depth, _bits
    cdef bytes _none, _true, _false, _text, _reference, _dereference

    cdef object _hold_to(self, limits)
    cpdef raw(self, bytes data)
    cpdef write_sexp(self, sexp)
    cpdef write_remote(self, luid)
    cpdef write_local(self, luid)
    cpdef write_copy(self, obj, tag, state_for)
    cpdef write_cache(self, obj, tag, state_for, key=*)
    cpdef write_cached(self, luid)
    cpdef write_lcache(self, luid)
    cdef object _by_id(self, bytes word, luid)
    @cython.locals(level=Py_ssize_t, outer_head=Py_ssize_t, at=Py_ssize_t)
    cpdef write_parts(self, obj, build)
    @cython.locals(level=Py_ssize_t, head=Py_ssize_t)
    cpdef part(self, value)
    cpdef share(self, obj)
    cdef object _reorder(self, placed, parts, Py_ssize_t start)
    cdef object _begin(self, obj, int size, tag, Py_ssize_t depth)
    cdef object _state(self, state, Py_ssize_t depth)
    cpdef reset(self)
    @cython.locals(data=bytes)
    cpdef bytes take(self)
    @cython.locals(out=list, size=int64_t, long=int64_t, pieces=list, start=Py_ssize_t, data=bytes)
    cdef bytes _take_pieces(self)
    @cython.locals(items=int64_t)
    cdef object _check(self, int64_t size, bytes data)
    @cython.locals(start=Py_ssize_t, doubtful=bint)
    cpdef unit(self, value, where)
    cdef object _refuse_self_cycle(self, bytes data)
    cdef object _step(self, step)
    cdef object _place(self, where)
    @cython.locals(item=bytes)
    cdef object _value(self, value, Py_ssize_t depth)
    @cython.locals(size=Py_ssize_t, data=bytes)
    cdef object _unicode(self, str value)
    @cython.locals(size=Py_ssize_t)
    cdef object _bytes(self, bytes data)
    cdef object _too_long(self, Py_ssize_t size)
    @cython.locals(size=Py_ssize_t)
    cpdef bytes string(self, bytes data)
    @cython.locals(out=list)
    cdef bint _opens(self, value, Py_ssize_t size, bytes word, Py_ssize_t depth) except -1
    cdef object _deeper(self, Py_ssize_t depth)
    cdef object _again(self, value, Py_ssize_t slot)
    @cython.locals(index=Py_ssize_t, size=Py_ssize_t, done=Py_ssize_t, out=list, item=bytes,
                   atoms=bint)
    cdef object _sequence(self, value, bytes word, Py_ssize_t depth)
    @cython.locals(size=Py_ssize_t, done=Py_ssize_t)
    cdef object _set(self, value, bytes word, Py_ssize_t depth)
    @cython.locals(index=Py_ssize_t, size=Py_ssize_t, out=list, behind=bint, keys=dict, known=bytes,
                   item=bytes, atoms=bint)
    cdef object _dictionary(self, dict value, Py_ssize_t depth)
    @cython.locals(data=bytes, known=bytes)
    cdef bytes _key(self, str key)
    cdef object _rare(self, value, kind, Py_ssize_t depth)
    cdef object _adapted(self, value, kind, Py_ssize_t depth)
    cdef object _decimal(self, value)
