"""grpc.aio: unary calls over one channel, without TLS.

The code for the schema `echo.proto` is generated into `build` when it is not there. The structure
travels as a typed message that is made once and compared whole; the other messages are made for
each call.
"""

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.json_format import ParseDict

from bench import workloads
from bench.workloads import IN_FLIGHT, INTEGERS, STRUCTURE, TEXT, wrong

if TYPE_CHECKING:
    from bench.driver import Driver

OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


def generated() -> tuple[Any, Any]:
    """Give the modules of the messages and of the service, made from the schema."""
    schema = Path(__file__).with_name("echo.proto")
    folder = schema.parents[2] / "build" / "bench" / f"grpc-{grpc.__version__}"
    service = folder / "echo_pb2_grpc.py"
    if not service.exists() or service.stat().st_mtime < schema.stat().st_mtime:
        generate(schema, folder)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")
    finally:
        sys.path.remove(str(folder))


def generate(schema: Path, folder: Path) -> None:
    """Write the modules for SCHEMA into FOLDER."""
    from grpc_tools import protoc  # noqa: PLC0415 - slow to import, and seldom needed

    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"--proto_path={schema.parent}",
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        schema.name,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc cannot make code from {schema}")


messages, service = generated()


class Session:
    """One channel and its stub."""

    def __init__(self, channel: Any) -> None:
        stub = service.EchoStub(channel)
        self._text: Callable[[Any], Awaitable[Any]] = stub.EchoText
        self._structure: Callable[[Any], Awaitable[Any]] = stub.EchoStructure
        self._integers: Callable[[Any], Awaitable[Any]] = stub.EchoIntegers
        self._blob: Callable[[Any], Awaitable[Any]] = stub.EchoBlob
        self._typed = ParseDict(
            {key: item for key, item in STRUCTURE.items() if item is not None}, messages.Structure()
        )

    async def one(self) -> None:
        if (await self._text(messages.Text(value=TEXT))).value != TEXT:
            wrong()

    async def sequential(self, count: int) -> None:
        echo, text = self._text, messages.Text
        for _ in range(count):
            if (await echo(text(value=TEXT))).value != TEXT:
                wrong()

    async def in_flight(self, count: int) -> None:
        echo, text = self._text, messages.Text
        for _ in range(count):
            for call in [echo(text(value=TEXT)) for _ in range(IN_FLIGHT)]:
                if (await call).value != TEXT:
                    wrong()

    async def structure(self, count: int) -> None:
        echo, value = self._structure, self._typed
        for _ in range(count):
            if await echo(value) != value:
                wrong()

    async def integers(self, count: int) -> None:
        echo, integers = self._integers, messages.Integers
        for _ in range(count):
            if (await echo(integers(value=INTEGERS))).value != INTEGERS:
                wrong()

    async def bytes_(self, count: int) -> None:
        echo, blob = self._blob, messages.Blob
        for _ in range(count):
            if (await echo(blob(value=workloads.BLOB))).value != workloads.BLOB:
                wrong()


class Echo:
    """What the server serves."""

    async def EchoText(self, request: Any, context: Any) -> Any:
        return request

    EchoStructure = EchoIntegers = EchoBlob = EchoText


async def serving() -> None:
    server = grpc.aio.server(options=OPTIONS)
    service.add_EchoServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def serve() -> None:
    asyncio.run(serving())


async def calling(port: int, driver: "Driver") -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        await driver.run_async(Session(channel))


def client(port: int, driver: "Driver") -> None:
    asyncio.run(calling(port, driver))
