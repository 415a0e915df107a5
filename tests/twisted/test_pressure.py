"""Real transports whose other side does not take what is sent, in processes."""

from pathlib import Path

import pytest
import trustme

from tests.processes import run

PEERS = Path(__file__).parent / "pressure_peers.py"

SAID = """\
answers True 0
calls True True 0
closing [0, 1, 2, 3, 4]
pages 21 True
stalled ['PBConnectionLost'] stall_time
delayed 0
"""


def ends(kind: str, place: Path) -> tuple[str, str]:
    """Where the server listens and where its client finds it."""
    if kind == "unix":
        return f"unix:{place / 'socket'}", f"unix:{place / 'socket'}"
    if kind == "tcp":
        return "tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:PORT"
    authority = trustme.CA()
    (place / "trusted").mkdir()
    authority.cert_pem.write_to_path(place / "trusted" / "authority.pem")
    pem = place / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    return (
        f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
        f"tls:localhost:PORT:trustRoots={place / 'trusted'}",
    )


@pytest.mark.parametrize("reactor", ["select", "asyncio"])
@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_what_nobody_takes_waits(kind: str, reactor: str, tmp_path: Path) -> None:
    # Twisted's TLS calls what OpenSSL's wrapper has deprecated.
    ended = run(str(PEERS), reactor, *ends(kind, tmp_path), strict=kind != "tls")
    assert (ended.out, ended.status) == (SAID, 0)
    assert ended.err.count("was ended") == 1
    assert "limits.stall_time" in ended.err
