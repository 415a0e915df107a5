"""Exceptions: never compiled, so that anybody may subclass them."""


class CodecError(ValueError):
    """A value that cannot be sent, or bytes that no peer may send."""
