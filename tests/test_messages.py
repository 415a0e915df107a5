"""The order of the fields, both ways; what is no message, and what are no arguments."""

import json
from pathlib import Path
from typing import Any

import pytest

from pellucid import messages
from pellucid.banana import NONE, PB, Dialect, decode, encode
from pellucid.errors import InsecureJelly, LimitExceeded, RemoteProtocolError
from pellucid.jelly import Decoder, Encoder, NullExporter, NullImporter
from pellucid.limits import Limits
from pellucid.messages import Message, Writer, arguments
from pellucid.registry import Registry
from tools.modules import is_compiled

VECTORS = Path(__file__).parent / "vectors"
DICT = [b"dictionary"]


def read(sexp: Any, dialect: Dialect = PB) -> Message:
    data = sexp if isinstance(sexp, bytes) else encode(sexp, dialect)
    return messages.read(data, Decoder(data, dialect, Limits(), Registry(), NullImporter()))


def writer(dialect: Dialect = PB, **limits: int) -> Writer:
    bounds = Limits(**limits)
    return Writer(dialect, Encoder(dialect, bounds, NullExporter()))


class Itself:
    """Says itself how it travels."""

    def write_jelly(self, encoder: Any) -> None:
        encoder.write_sexp([b"x.Itself", 5])


dialects = pytest.mark.parametrize("dialect", [PB, NONE], ids=lambda dialect: dialect.name)


# What comes in.


@dialects
def test_a_call(dialect: Dialect) -> None:
    args = [b"tuple", 5]
    message = read([b"message", 7, b"root", b"echo", 1, args, DICT], dialect)
    assert message.command == messages.MESSAGE
    assert message.request == encode(7)
    assert (message.subject, message.name, message.wants_answer) == (b"root", "echo", True)
    assert message.start == message.decoder.pos
    assert arguments(message.decoder) == ((5,), {})


def test_a_call_of_a_cache() -> None:
    message = read([b"cachemessage", 7, 3, b"add", 0, [b"tuple"], DICT])
    assert message.command == messages.CACHEMESSAGE
    assert (message.subject, message.name, message.wants_answer) == (3, "add", False)


@pytest.mark.parametrize("request_id", [0, -5, 1 << 200, 1.5, b"seven", [1, [b"answer", []]]])
def test_the_number_of_a_call_is_whatever_the_caller_likes(request_id: Any) -> None:
    """Twisted gives back any item; what does not look into it can't change it."""
    message = read([b"message", request_id, b"root", b"x", 1, [b"tuple"], DICT])
    assert message.request == encode(request_id)
    answer = writer().answer(message.request, None)
    assert decode(answer) == [b"answer", request_id, [b"None"]]


@pytest.mark.parametrize(
    ("field", "wants"),
    [
        (1, True),
        (0, False),
        (-1, True),
        (2.5, True),
        (0.0, False),
        (b"", False),
        (b"0", True),
        ([], False),
    ],
)
def test_whatever_is_true_wants_an_answer(field: Any, wants: bool) -> None:
    """`['boolean', 'false']` is a list, and so it is true."""
    assert read([b"message", 7, b"root", b"x", field, [b"tuple"], DICT]).wants_answer is wants


@pytest.mark.parametrize(("word", "command"), [(b"answer", 3), (b"error", 4)])
def test_an_answer(word: bytes, command: int) -> None:
    message = read([word, 12, [b"list", 1]])
    assert (message.command, message.request) == (command, 12)
    assert message.command in (messages.ANSWER, messages.ERROR)
    assert message.decoder.value("result") == [1]
    assert message.wants_answer


@pytest.mark.parametrize(
    ("sexp", "command", "subject"),
    [
        ([b"decref", 4], messages.DECREF, 4),
        ([b"decache", 4], messages.DECACHE, 4),
        ([b"uncache", b"four"], messages.UNCACHE, b"four"),
        ([b"version", 6], messages.VERSION_MESSAGE, 6),
        ([b"version", 6.0], messages.VERSION_MESSAGE, 6),
        ([b"didNotUnderstand", b"hum"], messages.DID_NOT_UNDERSTAND, b"hum"),
        ([b"frobnicate"], messages.UNKNOWN, b"frobnicate"),
        ([b"frobnicate", 1, 2, 3], messages.UNKNOWN, b"frobnicate"),
        (["caf\u00e9".encode()], messages.UNKNOWN, "caf\u00e9".encode()),
    ],
)
def test_the_other_messages(sexp: list[Any], command: int, subject: Any) -> None:
    message = read(sexp)
    assert (message.command, message.subject) == (command, subject)


def test_the_header_may_be_padded() -> None:
    assert read(b"\x02\x00\x80" + encode(b"decref") + encode(4)).subject == 4


CALL = [b"message", 7, b"root", b"echo", 1, [b"tuple"], DICT]


@pytest.mark.parametrize(
    ("sexp", "text"),
    [
        (5, "a message must be a list"),
        (encode(b"message"), "a message must be a list"),
        (1.5, "a message must be a list"),
        ([], "a message must not be empty"),
        ([5], "the command of a message is not a byte string"),
        ([[b"message"]], "the command of a message is not a byte string"),
        ([b"\xff"], "the command of a message is not UTF-8"),
        ([b"message"], "a 'message' message has 6 fields, and 0 came"),
        (CALL[:-1], "a 'message' message has 6 fields, and 5 came"),
        ([*CALL, 9], "a 'message' message has 6 fields, and 7 came"),
        ([b"answer", 1], "an? 'answer' message has 2 fields, and 1 came"),
        ([b"error", 1, 2, 3], "an? 'error' message has 2 fields, and 3 came"),
        ([b"decref"], "a 'decref' message has 1 fields, and 0 came"),
        ([b"version"], "a 'version' message has 1 fields, and 0 came"),
        ([b"version", 7], "does not speak version 6"),
        ([b"version", b"6"], "does not speak version 6"),
        ([b"message", 7, b"root", 5, 1, [], []], "the name of a method is not a byte string"),
        ([b"message", 7, b"root", [b"echo"], 1, [], []], "the name of a method is not a byte"),
        ([b"message", 7, b"root", b"\xff", 1, [], []], "the name of a method is not UTF-8"),
    ],
)
def test_what_is_no_message(sexp: Any, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        read(sexp)


def test_a_field_that_is_nested_too_deep_is_no_field() -> None:
    deep = b"\x01\x80" * 300 + b"\x00\x80"
    with pytest.raises(LimitExceeded) as caught:
        read(b"\x02\x80" + encode(b"decref") + deep)
    assert caught.value.remote


# Arguments.


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [
        ([b"tuple"], DICT, ((), {})),
        ([b"list", 1, 2], DICT, ((1, 2), {})),
        ([b"tuple", [b"list"]], [*DICT, [[b"unicode", b"a"], 1]], (([],), {"a": 1})),
        ([b"tuple"], [*DICT, [b"a", 1]], ((), {"a": 1})),
        ([b"tuple"], [*DICT, [b"a", 1], [[b"unicode", b"b"], 2]], ((), {"a": 1, "b": 2})),
        ([b"tuple"], [*DICT, [b"caf\xc3\xa9", 1]], ((), {"caf\u00e9": 1})),
    ],
)
def test_arguments(args: Any, kwargs: Any, found: Any) -> None:
    assert arguments(read([*CALL[:-2], args, kwargs]).decoder) == found


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (5, DICT, "arguments: not a tuple"),
        (b"ab", DICT, "arguments: not a tuple"),
        ([b"dictionary"], DICT, "arguments: not a tuple"),
        ([b"foo"], DICT, "arguments: .*'foo'"),
        ([b"tuple"], [b"None"], "keywords: not a dictionary"),
        ([b"tuple"], [b"tuple"], "keywords: not a dictionary"),
        ([b"tuple"], [*DICT, [1, 1]], "keywords: a name is not text"),
        ([b"tuple"], [*DICT, [[b"None"], 1]], "keywords: a name is not text"),
        ([b"tuple"], [*DICT, [b"\xff", 1]], "keywords: a name is not UTF-8"),
        ([b"tuple"], [b"foo"], "keywords: .*'foo'"),
    ],
)
def test_what_are_no_arguments(args: Any, kwargs: Any, text: str) -> None:
    with pytest.raises(InsecureJelly, match=text) as caught:
        arguments(read([*CALL[:-2], args, kwargs]).decoder)
    assert caught.value.remote


# What goes out.


@dialects
def test_the_written_call(dialect: Dialect) -> None:
    out = writer(dialect)
    assert decode(out.call(1, b"root", "echo", True, ("x",), {}), dialect) == [
        *[b"message", 1, b"root", b"echo", 1],
        *[[b"tuple", [b"unicode", b"x"]], DICT],
    ]
    assert decode(out.call(300, 4, "caf\u00e9", False, (), {"a": 1}), dialect) == [
        *[b"message", 300, 4, "caf\u00e9".encode(), 0],
        *[[b"tuple"], [*DICT, [[b"unicode", b"a"], 1]]],
    ]


@dialects
def test_what_is_usual(dialect: Dialect) -> None:
    out, exporter = writer(dialect), NullExporter()
    call = (1, b"root", f"is usual in {dialect.name}", True, ("x",))
    request = encode(9, dialect)
    # Its name was not written before.
    assert out.usual_call(*call, exporter) is None
    here = dialect is PB and not is_compiled("messages")
    long_way = out.call(*call, {}), out.answer(request, "x")
    usual = out.usual_call(*call, exporter), out.usual_answer(request, "x", exporter)
    assert usual == (long_way if here else (None, None))
    assert out.usual_call(*call[:-1], (object(),), exporter) is None
    assert out.usual_answer(request, object(), exporter) is None
    assert out.usual_answer(request * 100, "x", exporter) is None


@dialects
def test_the_other_written_messages(dialect: Dialect) -> None:
    out = writer(dialect)
    request = encode(9, dialect)
    written = [
        (out.version(), [b"version", 6]),
        (out.answer(request, [1]), [b"answer", 9, [b"list", 1]]),
        (
            out.failure(request, b"x.Y", {"a": 1}),
            [b"error", 9, [b"x.Y", [*DICT, [[b"unicode", b"a"], 1]]]],
        ),
        (out.error(request, Itself()), [b"error", 9, [b"x.Itself", 5]]),
        (out.decache(7), [b"decache", 7]),
        (out.uncache(7), [b"uncache", 7]),
        (out.decref(7), [b"decref", 7]),
        (out.decref(b"list"), [b"decref", b"list"]),
        (out.did_not_understand(b"hum"), [b"didNotUnderstand", b"hum"]),
    ]
    for data, sexp in written:
        assert decode(data, dialect) == sexp
        assert data == encode(sexp, dialect)


@dialects
def test_an_update_of_a_cache(dialect: Dialect) -> None:
    data = writer(dialect).call(5, 7, "put", False, (1,), {}, True)
    sexp = [b"cachemessage", 5, 7, b"put", 0, [b"tuple", 1], DICT]
    assert data == encode(sexp, dialect)


# The opening.

KNOWN = ("pellucid", "pb", "none")


@pytest.mark.parametrize("name", KNOWN)
def test_a_client_chooses(name: str) -> None:
    assert messages.agree(name.encode(), KNOWN, True) == name


@pytest.mark.parametrize("choice", [b"zz", b"PB", b"", b"\xff", 5, [b"pb"]])
def test_a_choice_that_does_not_fit(choice: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="a dialect that was not offered"):
        messages.agree(choice, KNOWN, True)


@pytest.mark.parametrize(
    ("offer", "name"),
    [
        ([b"pb", b"none"], "pb"),
        ([b"none", b"pellucid"], "none"),
        ([b"zz", 5, [b"none"], b"\xff", b"pellucid", b"pb"], "pellucid"),
    ],
)
def test_a_server_offers(offer: Any, name: str) -> None:
    assert messages.agree(offer, KNOWN, False) == name


@pytest.mark.parametrize("offer", [[], [b"zz", 5], b"pb", 5])
def test_an_offer_that_does_not_fit(offer: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="the server"):
        messages.agree(offer, KNOWN, False)


def test_a_word_of_the_vocabulary_is_one_wherever_it_stands() -> None:
    """Twisted knows nothing of meanings when it replaces words."""
    sexp = [b"message", 1, b"list", b"remote", 1, [b"tuple", b"local"], DICT]
    assert writer().call(1, b"list", "remote", True, (b"local",), {}) == encode(sexp)


def test_each_value_has_reference_numbers_of_its_own() -> None:
    shared: list[Any] = []
    data = writer().call(1, 2, "x", True, (shared, shared), {"a": shared, "b": shared})
    wrapped = [b"reference", 1, [b"list"]]
    assert decode(data)[5:] == [
        [b"tuple", wrapped, [b"dereference", 1]],
        [*DICT, [[b"unicode", b"a"], wrapped], [[b"unicode", b"b"], [b"dereference", 1]]],
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "where"),
    [((object(),), {}, "arguments[0]"), ((), {"a": [object()]}, "keywords['a'][0]")],
)
def test_a_refusal_tells_the_place(
    args: tuple[Any, ...], kwargs: dict[str, Any], where: str
) -> None:
    with pytest.raises(InsecureJelly) as caught:
        writer().call(1, 2, "x", True, args, kwargs)
    assert caught.value.where == where


def test_a_refused_result_tells_the_place() -> None:
    with pytest.raises(InsecureJelly) as caught:
        writer().answer(encode(1), {"a": object()})
    assert caught.value.where == "result['a']"


@pytest.mark.parametrize("name", ["\ud800", "x" * 700_000])
def test_a_name_that_can_not_be_sent(name: str) -> None:
    out = writer()
    with pytest.raises((InsecureJelly, LimitExceeded)):
        out.call(1, 2, name, True, (), {})
    assert decode(out.call(1, 2, "x", True, (), {}))[3] == b"x"


def test_a_message_that_is_too_large() -> None:
    with pytest.raises(LimitExceeded) as caught:
        writer(message_bytes=100).call(1, 2, "x", True, ("x" * 100,), {})
    assert caught.value.limit == "message_bytes"
    assert not caught.value.remote


# What Twisted sent.


def recorded() -> list[Any]:
    sessions = json.loads((VECTORS / "sessions.json").read_text())
    return [
        pytest.param(session["dialect"], bytes.fromhex(message["hex"]), id=f"{session['name']}-{n}")
        for session in sessions
        for n, message in enumerate(session["messages"])
        if isinstance(message["expr"], list) and message["expr"] not in (["pb", "none"], ["none"])
    ]


@pytest.mark.parametrize(("dialect", "data"), recorded())
def test_all_that_twisted_sent_is_read(dialect: str, data: bytes) -> None:
    chosen = {"pb": PB, "none": NONE}[dialect]
    sexp = decode(data, chosen)
    message = read(data, chosen)
    word = sexp[0].decode()
    named = {"version": "VERSION_MESSAGE", "didNotUnderstand": "DID_NOT_UNDERSTAND"}
    assert message.command == getattr(messages, named.get(word, word.upper()))
    if message.command <= messages.CACHEMESSAGE:
        assert message.request == encode(sexp[1], chosen)
        assert [message.subject, message.name.encode(), message.wants_answer] == sexp[2:5]
        assert encode(sexp[5], chosen) + encode(sexp[6], chosen) == data[message.start :]
    elif message.command <= messages.ERROR:
        assert message.request == sexp[1]
        assert encode(sexp[2], chosen) == data[message.start :]
    else:
        assert message.subject == sexp[1]


@dialects
def test_names_are_written_the_same_however_often_and_however_many(dialect: Dialect) -> None:
    ours = writer(dialect)
    names = [f"name_{n}" for n in range(300)] + ["message", "x" * 1000, "caf\u00e9"]
    for name in [*names, *reversed(names)]:
        written = decode(ours.call(1, 2, name, True, (), {}), dialect)
        assert written == [b"message", 1, 2, name.encode(), 1, [b"tuple"], DICT]


def test_a_name_that_can_not_be_sent_is_refused_each_time() -> None:
    ours = writer(string_bytes=10)
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            ours.call(1, 2, "x" * 11, True, (), {})
