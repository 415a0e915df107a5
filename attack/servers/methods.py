"""The methods that the servers of PB's family have in common, for objects of each library."""

from attack.servers import BLOB


class Echo:
    """Answers with what it gets."""

    def remote_echo(self, value: object) -> object:
        return value


class Methods(Echo):
    """What everybody may call, but for what needs the library."""

    def __init__(self) -> None:
        self.kept: list[object] = []

    def remote_sink(self, *values: object) -> int:
        return len(values)

    def remote_blob(self, size: int) -> bytes:
        return BLOB[:size]

    def remote_keep(self, value: object) -> None:
        self.kept.append(value)

    def remote_fail(self, text: object) -> None:
        raise ValueError(text)
