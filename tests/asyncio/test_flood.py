"""What a peer can't make this side do, however much it sends, and what it can't stop."""

import asyncio
from typing import Any

import pytest

import pellucid
from pellucid import Limits, banana
from tests.asyncio.pairs import Run, Thing, pair


class CallsBack(pellucid.Root):
    async def remote_use(self, thing: pellucid.RemoteReference, more: bytes = b"") -> Any:
        return await thing.call("ping")


def test_methods_that_call_back_get_their_answers_behind_any_number_of_calls(
    run: Run, eager: bool
) -> None:
    async def main() -> None:
        limits = Limits(calls_running=2, calls_waiting=3)
        async with pair(CallsBack(), eager=eager, limits=limits) as (client, _):
            calls = [client.root.call("use", Thing()) for _ in range(50)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert "pong" in answers
            refused = [answer for answer in answers if answer != "pong"]
            assert refused
            for error in refused:
                assert isinstance(error, pellucid.Error)
                assert error.remote_type == "pellucid.LimitExceeded"
            # What was refused cost nothing else.
            assert await client.root.call("use", Thing()) == "pong"

    run(main())


def test_methods_with_large_arguments_get_their_answers_too(run: Run, eager: bool) -> None:
    async def main() -> None:
        limits = Limits(waiting_bytes=1_000)
        async with pair(CallsBack(), eager=eager, limits=limits) as (client, _):
            calls = [client.root.call("use", Thing(), bytes(600)) for _ in range(50)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert "pong" in answers
            assert await client.root.call("use", Thing()) == "pong"

    run(main())


def test_a_peer_can_not_fill_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            assert client._transport is not None
            client._transport.write(b"\x02\x80\x1d\x87\x63\x81" * 1000)
            assert await client.root.call("echo", 1) == 1
            assert not server.closed

    run(main())
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == pellucid.Limits().log_lines + 1
    assert "does not hold" in texts[0]
    assert "left out for up to 60 s" in texts[-1]


class Long(pellucid.Root):
    def remote_fail(self, text: str) -> None:
        raise ValueError(text)


def test_a_long_text_is_logged_in_part(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pair(Long()) as (client, _):
            with pytest.raises(pellucid.RemoteError) as raised:
                await client.root.call("fail", "x" * 100_000)
            assert len(str(raised.value)) == 100_000

    run(main())
    (record,) = caplog.records
    assert "Peer will receive PB traceback" in record.getMessage()
    assert "remote_fail" in record.getMessage()
    assert len(record.getMessage()) < 5_000


class Odd(pellucid.Referenceable):
    """Can't be written, and raises what is no Exception."""

    def write_jelly(self, encoder: Any) -> None:
        raise asyncio.CancelledError


class Strange(pellucid.Root):
    def __init__(self, odd: Any) -> None:
        self.odd = odd

    def remote_odd(self) -> Any:
        return self.odd

    def remote_echo(self, value: object) -> object:
        return value

    def remote_error(self) -> None:
        error = pellucid.Error("x")
        error.remote_type = "a.B"
        error.remote_parents = (None,)  # type: ignore[assignment]
        raise error


class Awkward(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__await__":
            raise ValueError(name)
        return super().__getattribute__(name)


class Result(metaclass=Awkward):
    pass


@pytest.mark.filterwarnings("ignore")
def test_results_that_go_wrong_cost_their_call_only(run: Run) -> None:
    async def main() -> None:
        async with pair(Strange(Result())) as (client, _):
            with pytest.raises(pellucid.RemoteError, match="__await__"):
                await client.root.call("odd")
            with pytest.raises(pellucid.Error, match="can't be sent"):
                await client.root.call("error")
            assert await client.root.call("echo", 1) == 1

    run(main())


def test_a_peer_that_takes_nothing_is_not_read_for_ever(run: Run) -> None:
    async def main() -> None:
        limits = Limits(references_held=10)
        async with pair(limits=limits) as (client, server):
            # Calls of nothing, each with a reference of its own that has to be released.
            assert client._transport is not None
            for luid in range(100):
                client._transport.write(lost_call(luid + 1))
            assert await client.root.call("echo", 1) == 1
            assert len(server._broker.imports) == 0
            assert not server.closed

    run(main())


def lost_call(luid: int) -> bytes:
    """A call, which wants no answer, of an object that is not there."""
    return banana.encode(
        [b"message", luid, 9999, b"x", 0, [b"tuple", [b"remote", luid]], [b"dictionary"]]
    )
