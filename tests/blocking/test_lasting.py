"""What keeps the background thread alive tells whoever waits that nothing of it is left."""

from pellucid.blocking.lasting import Lasting
from pellucid.blocking.thread import Background
from pellucid.blocking.waiter import Waiter
from tests.blocking.users import ask


class Lamp(Lasting):
    """Ends when it is closed."""

    def __init__(self) -> None:
        self._begin_use()
        self.background.add_user(self)

    def close(self) -> None:
        if not self._told:
            self._tell_end()


def test_who_waits_before_the_end_and_who_asks_after_it_are_told(thread: Background) -> None:
    lamp: Lamp = ask(thread, Lamp)
    assert lamp.background is thread
    early = Waiter(thread)
    ask(thread, lambda: lamp.begin_wait(early))
    assert not early.done()
    thread.request(lamp.begin_close).wait()
    early.wait()
    thread.request(lamp.begin_wait).wait()
    thread.request(lamp.begin_close).wait()


def test_closed_at_once_it_has_no_socket_to_wait_for(thread: Background) -> None:
    lamp: Lamp = ask(thread, Lamp)
    assert ask(thread, lamp.sockets) == []
    ask(thread, lamp.abort)
    thread.request(lamp.begin_wait).wait()
