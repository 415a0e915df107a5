"""What URLs mean, and which are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.asyncio import url as urls
from pellucid.asyncio.url import DEFAULT_PORT, Address, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("pb://localhost", Address("localhost", 8787)),
        ("pb://localhost/", Address("localhost", 8787)),
        ("pb://localhost//", Address("localhost", 8787)),
        ("pb://localhost:", Address("localhost", 8787)),
        ("pb://localhost:/", Address("localhost", 8787)),
        ("pb://localhost:007/", Address("localhost", 7)),
        ("pb://localhost:000007", Address("localhost", 7)),
        ("pb://a_b.ORG", Address("a_b.org", 8787)),
        ("pb://192.0.2.1:65535/", Address("192.0.2.1", 65535)),
        ("pb://localhost:0", Address("localhost", 0)),
        ("pb://Example.ORG:1", Address("example.org", 1)),
        ("pb://[::1]:65535", Address("::1", 65535)),
        ("pbs://localhost", Address("localhost", 8787, tls=True)),
        ("PBS://[::1]:1", Address("::1", 1, tls=True)),
        ("pb+unix:///run/x", Address(path="/run/x", mode=0o600)),
        ("pb+unix:///run/x?mode=660", Address(path="/run/x", mode=0o660)),
        ("pb+unix:///a%20b%23c%3F", Address(path="/a b#c?")),
    ],
)
def test_a_url_is_read(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "begins with pb://"),
        ("localhost:8787", "begins with pb://"),
        ("http://localhost", "begins with pb://"),
        ("pb://", "an address is written"),
        ("pbs://", "an address is written"),
        ("pbs+unix:///x", "begins with pb://, pbs:// or"),
        ("pb://:8787", "an address is written"),
        ("pb://host/path", "an address is written"),
        ("pb://host?x=1", "an address is written"),
        ("pb://host#x", "an address is written"),
        ("pb://me@host", "an address is written"),
        ("pb://:secret@host", "an address is written"),
        ("pb://host:65536", "(?i)port"),
        ("pb://host:-1", "(?i)port"),
        ("pb://host:x", "(?i)port"),
        ("pb://[::1", "(?i)ipv6"),
        ("pb+unix://host/path", "pb\\+unix:///path"),
        ("pb+unix://", "pb\\+unix:///path"),
        ("pb+unix:///path#x", "pb\\+unix:///path"),
        ("pb+unix:foo.sock", "pb\\+unix:///path"),
        ("pb+unix:foo/bar.sock", "pb\\+unix:///path"),
        ("pb+unix:%2Fpath", "pb\\+unix:///path"),
        ("pb+unix:///path?mode=rw", "octal"),
        ("pb+unix:///path?mode=", "octal"),
        ("pb+unix:///path?mode=0o660", "octal"),
        ("pb+unix:///path?mode=-60", "octal"),
        ("pb+unix:///path?owner=me", "only the mode"),
    ],
)
def test_what_is_no_url_is_refused_with_the_reason(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        parse(url)
    assert repr(url) in str(caught.value)


@given(
    st.sampled_from(["pb", "pbs", "PB", ""]),
    st.text("aZ0.-_:/[]@?#%\u00e9\u0663 \n", max_size=8),
    st.text("0129:-_+/\u0663 ", max_size=7),
)
def test_the_short_way_reads_the_same(scheme: str, host: str, port: str) -> None:
    """Most URLs are read without the library that reads them all."""
    for url in (f"{scheme}://{host}:{port}", f"{scheme}://{host}"):
        try:
            wanted: Address | str = urls._read(url)
        except ValueError as error:
            wanted = str(error)
        try:
            found: Address | str = parse(url)
        except ValueError as error:
            found = str(error)
        assert found == wanted


def test_the_last_mode_counts() -> None:
    assert parse("pb+unix:///x?mode=666&mode=640").mode == 0o640


@given(st.integers(0, 65535), st.sampled_from(["localhost", "127.0.0.1", "::1", "fe80::1%25lo"]))
def test_an_address_is_written_as_it_is_read(port: int, host: str) -> None:
    address = Address(host, port)
    assert parse(str(address)) == address


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_path_is_written_as_it_is_read(name: str) -> None:
    address = Address(path=f"/{name}")
    assert parse(str(address)) == address


def test_the_default_port() -> None:
    assert DEFAULT_PORT == 8787
    assert str(Address("localhost")) == "pb://localhost:8787"
    assert str(Address("::1", 1)) == "pb://[::1]:1"
