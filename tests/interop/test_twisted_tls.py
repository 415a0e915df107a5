"""TLS between Pellucid and Twisted, in both roles, with and without a client's certificate."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

import pellucid
from pellucid import Connection, ConnectionLost, RemoteReference
from tests.asyncio.pairs import Run
from tests.interop.goods import Ours, registry
from tests.interop.meeting import Twisted, complaints, ended, port_of, twisted_program
from tests.interop.test_twisted_login import USERS, Realm

LOCAL = "pbs://127.0.0.1:0"
SIZE = 600_000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what an authority has issued to a server and to a client."""
    place = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(place / "authority.pem")
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(place / "server.pem")
    client = authority.issue_cert("carol@example.com", common_name="carol")
    client.private_key_and_cert_chain_pem.write_to_path(place / "client.pem")
    trustme.CA().cert_pem.write_to_path(place / "stranger.pem")
    return place


@pytest.fixture(scope="module")
def twisted(certificates: Path) -> Iterator[Twisted]:
    """The program, with these certificates."""
    with twisted_program(str(certificates)) as twisted:
        yield twisted
        ended = twisted.program.stop()
    # A plain server that is told a TLS greeting complains.
    assert complaints(ended.err) <= {"builtins.NotImplementedError"}, ended.err


def server_tls(place: Path, mutual: bool) -> ssl.SSLContext:
    authorities = place / "authority.pem" if mutual else None
    return pellucid.server_tls(place / "server.pem", client_authorities=authorities)


def client_tls(place: Path, mutual: bool) -> ssl.SSLContext:
    certificate = place / "client.pem" if mutual else None
    return pellucid.client_tls(place / "authority.pem", certificate=certificate)


@asynccontextmanager
async def secure(
    twisted: Twisted, place: Path, role: str, mutual: bool
) -> AsyncIterator[tuple[RemoteReference, Connection, Ours]]:
    """The shop of a Twisted program over TLS, our end of the connection, and what it calls."""
    ours, kind = Ours(), "mutual" if mutual else "tls"
    if role == "twisted serves":
        url = f"pbs://localhost:{twisted.ports[f'shop_{kind}']}"
        context = client_tls(place, mutual)
        async with pellucid.connect(url, ssl=context, registry=registry) as connection:
            await connection.root.call("meet", ours)
            yield connection.root, connection, ours
            await ended(connection)
        ours.driver.cancel()
        return
    context = server_tls(place, mutual)
    async with (
        twisted.control() as control,
        pellucid.serve(ours, LOCAL, ssl=context, registry=registry) as server,
    ):
        await control.call("open_shop", port_of(server.url), kind)
        shop = await ours.driver
        connection = shop.connection
        yield shop, connection, ours
        del shop, ours.driver
        await ended(connection)


@pytest.mark.parametrize("mutual", [False, True], ids=["server", "both"])
def test_calls(run: Run, twisted: Twisted, certificates: Path, role: str, mutual: bool) -> None:
    async def main() -> None:
        async with secure(twisted, certificates, role, mutual) as (shop, connection, ours):
            assert connection.encrypted
            assert await shop.call("echo", b"x" * SIZE) == b"x" * SIZE
            assert await shop.call("call", "ours", "echo", "y" * SIZE) == ["y" * SIZE, None]
            assert await shop.call("hold", "it", ours.stock) == ("StockCopy", {"apples": 1})
            assert await ours.stock.set_surely("pears", 2) == ["pears set"]
            certificate = connection.certificate
            if role == "twisted serves":
                assert certificate is not None
                assert "localhost" in certificate.dns_names
            elif mutual:
                assert certificate is not None
                assert certificate.common_name == "carol"
                assert certificate.email_addresses == ("carol@example.com",)
            else:
                assert certificate is None

    run(main())


def test_twisted_closes(run: Run, twisted: Twisted, certificates: Path, role: str) -> None:
    async def main() -> None:
        async with secure(twisted, certificates, role, False) as (shop, connection, _):
            # Over TLS Twisted sends nothing more, not even the answer.
            with pytest.raises(ConnectionLost):
                await shop.call("lose")
            await connection.wait_closed()

    run(main())


def test_we_log_in(run: Run, twisted: Twisted, certificates: Path) -> None:
    async def main() -> None:
        url = f"pbs://localhost:{twisted.ports['members_tls']}"
        context = client_tls(certificates, False)
        async with pellucid.connect(url, ssl=context) as connection:
            # Also over TLS a Twisted server knows but one way.
            alice = await connection.login("alice", "secret")
            assert (await alice.call("who"))[0] == "alice"

    run(main())


def test_twisted_logs_in(run: Run, twisted: Twisted, certificates: Path) -> None:
    async def main() -> None:
        realm = Realm()
        portal = pellucid.Portal(realm, [pellucid.InMemory(USERS)])
        context = server_tls(certificates, False)
        async with (
            twisted.control() as control,
            pellucid.serve(portal, LOCAL, ssl=context, registry=registry) as server,
        ):
            visitor = await control.call("visit", port_of(server.url), "tls")
            came = ["twisted.spread.pb.RemoteReference", None]
            assert await visitor.call("login", "me", b"alice", b"secret", True) == came
            assert await visitor.call("call", "me", "tell_mind", 1) == [1, None]
            await visitor.call("lose")
        assert realm.events == ["alice in", "alice out"]

    run(main())


def test_a_stranger_is_not_believed(run: Run, twisted: Twisted, certificates: Path) -> None:
    async def main() -> None:
        context: Any = pellucid.client_tls(certificates / "stranger.pem")
        url = f"pbs://localhost:{twisted.ports['shop_tls']}"
        with pytest.raises(ConnectionLost, match=r"(?i)issuer|authority|self.signed"):
            async with pellucid.connect(url, ssl=context):
                pass

    run(main())


def test_twisted_wants_our_certificate(run: Run, twisted: Twisted, certificates: Path) -> None:
    async def main() -> None:
        context = client_tls(certificates, False)
        url = f"pbs://localhost:{twisted.ports['shop_mutual']}"
        with pytest.raises(ConnectionLost, match="certificate"):
            async with pellucid.connect(url, ssl=context) as connection:
                await connection.root.call("echo", 1)

    run(main())


def test_plain_meets_tls(run: Run, twisted: Twisted, certificates: Path) -> None:
    async def main() -> None:
        context = client_tls(certificates, False)
        # Twisted resets, so what it sent before may be lost. There is a hint all the same.
        with pytest.raises(ConnectionLost, match="speak TLS"):
            async with pellucid.connect(
                f"pbs://127.0.0.1:{twisted.ports['shop']}", ssl=context
            ) as connection:
                await connection.root.call("echo", 1)

    run(main())
