"""Gives in pages what is too long for one answer."""

from io import BytesIO
from typing import Any

from tests.interop.programs.spread import listen, pb, run, util


class Countdown(util.Pager):
    """A pager of its own kind: its pages are numbers."""

    def __init__(self, collector: Any, start: int) -> None:
        self.left = start
        super().__init__(collector)  # type: ignore[no-untyped-call]

    def nextPage(self) -> int:
        page, self.left = self.left, self.left - 1
        if not page:
            self.stopPaging()  # type: ignore[no-untyped-call]
        return page


class Library(pb.Root):
    def remote_text(self, collector: Any, times: int) -> None:
        util.StringPager(collector, "0123456789" * times, 1000, self.sent, "text", times=times)

    def remote_file(self, collector: Any, size: int) -> None:
        util.FilePager(collector, BytesIO(bytes(range(256)) * (size // 256)), self.sent, "file")

    def remote_count(self, collector: Any) -> None:
        Countdown(collector, 3)

    def sent(self, what: str, **more: Any) -> None:
        print("sent:", what, more)


listen(pb.PBServerFactory(Library()))
run()
