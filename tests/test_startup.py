"""What starting costs: the modules that are loaded, and those that wait until they are used."""

import json
import subprocess
import sys

from tests.processes import environment

# What the core takes of the standard library beyond what asyncio takes: dataclasses.
BEYOND_ASYNCIO = {"copy", "dataclasses", "resource"}
LATER = {
    *{"argon2", "hashlib", "hmac", "pathlib", "random", "secrets", "unicodedata"},
    *{"_datetime", "_decimal", "datetime", "decimal", "ipaddress", "numbers", "urllib.parse"},
    *{"pellucid.blocking", "pellucid.login", "pellucid.passwords", "pellucid.scram"},
    *{"pellucid.asyncio.login", "pellucid.asyncio.portal", "pellucid.asyncio.server"},
}


def loaded(code: str) -> set[str]:
    """The modules that a fresh process has after it ran this, and not before."""
    program = f"import sys; before = {{*sys.modules}}\n{code}\n"
    program += "after = {*sys.modules} - before\nimport json; print(json.dumps([*after]))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {*json.loads(run.stdout)}


def foreign(names: set[str]) -> set[str]:
    """Those that are not ours, nor what Cython makes for compiled ones."""
    ours = ("pellucid", "_cython_", "cython_runtime")
    return {name for name in names if not name.startswith(ours)}


def test_importing_takes_little_that_asyncio_does_not() -> None:
    with_asyncio, with_us = loaded("import asyncio"), loaded("import pellucid")
    assert foreign(with_us) - with_asyncio <= BEYOND_ASYNCIO
    # As every module costs about the same, that is a bound on the time as well.
    assert len(with_us) < len(with_asyncio)


def test_importing_loads_no_face() -> None:
    with_us = loaded("import pellucid")
    assert "asyncio" not in with_us
    assert not {name for name in with_us if name.startswith(("pellucid.asyncio", "twisted"))}
    assert not with_us & LATER


def test_a_client_loads_what_it_uses() -> None:
    with_asyncio = loaded("import asyncio")
    client = loaded("import asyncio, pellucid; pellucid.connect('pb://localhost:8787')")
    assert foreign(client) - with_asyncio <= BEYOND_ASYNCIO
    # On some versions of Python, asyncio itself loads one of them.
    assert not (client - with_asyncio) & LATER
    assert len(client) < 1.6 * len(with_asyncio)


def test_a_server_without_logins_loads_none() -> None:
    later = {"ipaddress", "pathlib", "urllib.parse", "pellucid.asyncio.server"}
    server = loaded("import pellucid; pellucid.serve")
    assert server & LATER <= later
