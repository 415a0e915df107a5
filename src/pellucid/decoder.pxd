# The C types of decoder.py. Sizes, depths and places fit in 64 bits; integers from the wire stay
# objects.

cimport cython
from libc.stdint cimport int64_t

from pellucid cimport octets, usual

cdef int _LIST, _INT, _STRING, _NEG, _FLOAT, _LONGINT, _VOCAB, _WIDE, _FEW
cdef int _SEQUENCE, _DICTIONARY, _TUPLE, _REFERENCE, _SET, _FROZENSET, _OTHER
cdef dict _MADE
cdef Py_ssize_t _CROWD
cdef object _NO_BOUND, _PLAIN, _LATE, _DATES, _OTHERS
cdef bytes _UNICODE, _TEXT_PAIR


@cython.final
cdef class Decoder:
    cdef readonly object dialect, limits, registry, importer
    cdef public object perspective
    cdef public Py_ssize_t pos
    cdef bytes _data
    cdef tuple _words
    cdef Py_ssize_t _depth, _seen, _inner, _most
    cdef readonly Py_ssize_t containers
    cdef readonly bint over
    cdef object _hashing, _holes, _unread, _failed, _raw_number
    cdef list _path
    cdef readonly object skipped

    cpdef item(self)
    cpdef read_sexp(self)
    @cython.locals(start=Py_ssize_t)
    cpdef bytes raw(self)
    cpdef list_length(self)
    @cython.locals(data=bytes, end=Py_ssize_t, n=object, digit=int)
    cdef tuple _head(self)
    @cython.locals(data=bytes, pos=Py_ssize_t, n=Py_ssize_t, kind=int)
    cdef bytes _string(self, what)
    cdef object _skip(self, Py_ssize_t count)
    @cython.locals(start=Py_ssize_t, mark=Py_ssize_t)
    cpdef value(self, where)
    cdef object _too_deep(self, where)
    cdef object _check_tags(self, allows)
    cdef object _at(self, where, Py_ssize_t start)
    @cython.locals(data=bytes, pos=Py_ssize_t, kind=int64_t, shift=int, n=int64_t, tag=bytes,
                   made=int)
    cdef object _value(self, Py_ssize_t depth, number)
    cdef object _number(self, int kind, int64_t n, Py_ssize_t pos)
    @cython.locals(kind=int)
    cdef object _wide(self)
    @cython.locals(data=bytes, first=int)
    cdef bytes _tag(self, Py_ssize_t n, Py_ssize_t pos)
    @cython.locals(data=bytes, n=int)
    cdef object _text(self, Py_ssize_t pos)
    cdef bint _count(self) except -1
    cdef Py_ssize_t _deeper(self, Py_ssize_t depth) except -1
    @cython.locals(data=bytes, pos=Py_ssize_t, n=int64_t, kind=int64_t, shift=int,
                   done=Py_ssize_t)
    cdef Py_ssize_t _ints(self, list result, Py_ssize_t count) except -1
    @cython.locals(result=list, mark=Py_ssize_t, done=Py_ssize_t, more=Py_ssize_t)
    cdef object _sequence(self, Py_ssize_t count, Py_ssize_t depth, number, bint is_tuple)
    cdef object _tuple(self, list items, bint has_holes)
    @cython.locals(data=bytes, at=Py_ssize_t, result=dict, mark=Py_ssize_t, index=Py_ssize_t,
                   behind=bint, usual_words=bint, done=Py_ssize_t)
    cdef object _dictionary(self, Py_ssize_t count, Py_ssize_t depth, number)
    @cython.locals(pairs=list, at=Py_ssize_t, behind=bint)
    cdef object _late_pairs(self, dict result, key, counts, Py_ssize_t index, Py_ssize_t count,
                            Py_ssize_t depth)
    @cython.locals(data=bytes, pos=Py_ssize_t)
    cdef object _pair(self)
    @cython.locals(result=set, late=list, at=Py_ssize_t)
    cdef object _set(self, Py_ssize_t count, Py_ssize_t depth, number, bint frozen)
    cdef object _unit(self)
    cdef object _placed(self, value)
    cdef object _reference_number(self)
    cdef object _reference(self, Py_ssize_t count, Py_ssize_t depth, outer)
    cdef object _dereference(self)
    cdef object _costs(self)
    cdef object _admit(self, container, key, counts)
    @cython.locals(used=Py_ssize_t, word=bytes)
    cdef object _other(self, bytes tag, Py_ssize_t count)
    @cython.locals(least=Py_ssize_t, at=Py_ssize_t, seen=Py_ssize_t, shared=bint)
    cdef object _registered(self, bytes tag, Py_ssize_t count, Py_ssize_t depth, number)
    @cython.locals(steps=Py_ssize_t, inner=Py_ssize_t)
    cdef object _raw(self, reader, bytes tag, Py_ssize_t count, Py_ssize_t depth, number)
    cpdef bind(self, value)
    cdef object _note_skipped(self, sexp)
    @cython.locals(pos=Py_ssize_t, seen=Py_ssize_t)
    cpdef part(self, sexp)
    cdef object _apart(self, sexp)
    cdef object _late_state(self, reader, made, state, Py_ssize_t seen, Py_ssize_t at, bint shared)
    cdef object _new_cache(self, reader)
    cdef bint _waits_since(self, Py_ssize_t seen) except -1
    cdef object _luid(self)
    cdef object _by_id(self, bytes tag)
