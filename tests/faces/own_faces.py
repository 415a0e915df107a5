"""The faces that have no names but Pellucid's own."""

import asyncio
import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import pellucid
from pellucid import blocking
from tests.asyncio import pairs
from tests.asyncio.certificates import Certificates
from tests.blocking import threads
from tests.faces.face import FREE, PATIENCE, Face, Later, Steps, walk, walk_async
from tests.faces.flavours import flavoured


class OwnFace(Face):
    """What both have in common."""

    Referenceable = pellucid.Referenceable
    Root = pellucid.Root
    Avatar = pellucid.Avatar
    Viewable = pellucid.Viewable
    Copyable = pellucid.Copyable
    Cacheable = pellucid.Cacheable
    RemoteCache = pellucid.RemoteCache
    copy_is_gone = pellucid.DeadReferenceError

    def registry(self, copies: dict[str, type], caches: dict[str, type]) -> pellucid.Registry:
        made = pellucid.Registry()
        for tag, cls in copies.items():
            made.copy(tag, flavoured(cls))
        for tag, cls in caches.items():
            made.cache(tag, flavoured(cls))
        return made

    def tls(self, certificates: Certificates) -> dict[str, Any]:
        return {"ssl": certificates.server_tls(), "client": {"ssl": certificates.client_tls()}}

    def portal(
        self, realm: Any, users: dict[str, str], *, anonymous: bool = False
    ) -> pellucid.Portal:
        checkers: list[Any] = [pellucid.InMemory(users, iterations=4_096)]
        if anonymous:
            checkers.append(pellucid.Anonymous())
        return pellucid.Portal(realm, checkers)

    def raises(
        self, kind: type[BaseException], match: str | None = None
    ) -> AbstractContextManager[Any]:
        return pytest.raises(kind, match=match)

    def login_failed(self, text: str) -> Exception:
        return pellucid.LoginFailed(text)

    def viewed(self, view: Any) -> Any:
        return view.viewed if isinstance(view, pellucid.ViewPoint) else None


class AsyncioFace(OwnFace):
    """The asyncio face, on one loop for both sides."""

    RemoteReference = pellucid.RemoteReference

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__()
        self._factory = factory

    def go(self, test: Steps) -> None:
        async def main() -> None:
            async with asyncio.timeout(PATIENCE):
                await walk_async(test)

        with asyncio.Runner(loop_factory=self._factory) as runner:
            runner.run(main())

    def walk(self, way: Steps) -> Any:
        return walk_async(way)

    def serve(self, root: Any, url: str = FREE, **options: Any) -> Any:
        return pellucid.serve(root, url, **options)

    def connect(self, url: str, **options: Any) -> Any:
        return pellucid.connect(url, **options)

    async def close(self, opened: Any) -> None:
        opened.close()
        await opened.wait_closed()

    def event(self) -> Any:
        return asyncio.Event()

    def until(self, condition: Callable[[], object]) -> Any:
        return pairs.until(lambda: bool(condition()))

    async def together(self, *calls: tuple[Any, ...]) -> list[Any]:
        return await asyncio.gather(
            *(reference.call(name, *args) for reference, name, *args in calls)
        )

    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        return asyncio.wait_for(reference.call(*call), seconds)

    def broker(self, connection: Any) -> Any:
        return connection._broker


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        assert super().wait(PATIENCE)
        return True


class BlockingFace(OwnFace):
    """The blocking face, on as many threads as it takes."""

    Cacheable = blocking.Cacheable
    RemoteReference = blocking.RemoteReference

    def go(self, test: Steps) -> None:
        walk(test)

    def walk(self, way: Steps) -> Any:
        return walk(way)

    def serve(self, root: Any, url: str = FREE, **options: Any) -> Any:
        return blocking.serve(root, url, **options)

    def connect(self, url: str, **options: Any) -> Any:
        return blocking.connect(url, **options)

    def close(self, opened: Any) -> None:
        opened.close()

    def event(self) -> Any:
        return _Event()

    def until(self, condition: Callable[[], object]) -> Any:
        return Later(lambda: threads.until(condition))

    def together(self, *calls: tuple[Any, ...]) -> list[Any]:
        made = [
            threads.Doing(functools.partial(reference.call, name, *args))
            for reference, name, *args in calls
        ]
        return [each.result() for each in made]

    def within(self, seconds: float, reference: Any, *call: Any) -> Any:
        return reference.within(seconds).call(*call)

    def broker(self, connection: Any) -> Any:
        return connection._inner._broker
