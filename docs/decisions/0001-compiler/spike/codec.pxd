cimport cython
from libc.stdint cimport int64_t

cdef int _LIST, _INT, _STRING, _NEG, _FLOAT, _LONGINT, _LONGNEG, _VOCAB, _DIGITS, _SIZE, _DEPTH
cdef list _WORDS
cdef dict _TOKENS, _KINDS
cdef bytes _NONE, _TRUE, _FALSE, _TEXT, _PAIR, _REFERENCE, _DEREFERENCE
cdef object _DOUBLE

@cython.locals(out=bytearray)
cdef bytes _token(int64_t n, int kind)

@cython.locals(out=bytearray)
cdef bytes _digits(object value, int kind)


@cython.final
cdef class PartsEncoder:
    cdef list _out
    cdef dict _slots, _numbers
    cpdef bytes encode(self, object value)
    cdef int _value(self, object value, int depth) except -1
    cdef int _int(self, object value) except -1
    cdef int _small(self, int64_t n) except -1
    cdef int _big(self, object value) except -1
    @cython.locals(size=Py_ssize_t)
    cdef int _string(self, bytes value) except -1
    cdef int _head(self, Py_ssize_t size, bytes tag) except -1
    cdef bint _seen(self, object key) except -1
    cdef int _container(self, object value, int depth) except -1


@cython.final
cdef class BufferEncoder:
    cdef bytearray _out
    cdef dict _slots, _numbers
    cdef list _patches
    cpdef bytes encode(self, object value)
    cdef int _value(self, object value, int depth) except -1
    cdef int _int(self, object value) except -1
    cdef int _small(self, int64_t n) except -1
    cdef int _big(self, object value) except -1
    @cython.locals(out=bytearray)
    cdef int _token(self, int64_t n, int kind) except -1
    @cython.locals(size=Py_ssize_t)
    cdef int _string(self, bytes value) except -1
    cdef int _head(self, Py_ssize_t size, int tag) except -1
    cdef bint _seen(self, object key) except -1
    cdef int _container(self, object value, int depth) except -1


@cython.final
cdef class Framer:
    cdef bytearray _buffer
    cdef Py_ssize_t _need, _pos
    cpdef list feed(self, bytes data)
    @cython.locals(data=bytearray, end=Py_ssize_t, pos=Py_ssize_t, start=Py_ssize_t, need=Py_ssize_t,
                   n=int64_t, shift=int, kind=int)
    cdef bint _scan(self) except -1


@cython.final
cdef class Decoder:
    cdef bytes _data
    cdef Py_ssize_t _pos
    cdef dict _refs
    cpdef object decode(self)
    @cython.locals(data=bytes, start=Py_ssize_t, pos=Py_ssize_t, n=int64_t, shift=int, b=int64_t,
                   view="const char*")
    cdef object _value(self, int64_t ref, int depth)
    @cython.locals(data=bytes, pos=Py_ssize_t, value=object)
    cdef object _long(self, Py_ssize_t start)
    cdef bytes _bytes(self)
    @cython.locals(tag=bytes, kind=int, items=list, number=int64_t)
    cdef object _list(self, Py_ssize_t count, int64_t ref, int depth)
    cdef object _boolean(self)
    cdef Py_ssize_t _number(self) except -1
    @cython.locals(items=dict, data=bytes)
    cdef object _dict(self, Py_ssize_t count, int64_t ref, int depth)
