"""Run inside a build's directory: checks, then timings, as one JSON object."""

import json
import random
import sys
import timeit

from spike import codec

RNG = random.Random(1)
INTS = [RNG.choice((RNG.randrange(128), RNG.randrange(1 << 31), -RNG.randrange(1, 1 << 31))) for _ in range(9_900)]
INTS += [(-1) ** i * (1 << 40 + i) for i in range(100)]
RNG.shuffle(INTS)
PAYLOADS = {
    "call args": ("hello", 42, 3.5, None, True, [1, 2, 3], {"key": b"value"}),
    "200 dict rows": [{"id": i, "name": f"row {i}", "price": i * 1.5, "tags": ["a", "b"], "ok": None}
                       for i in range(200)],
    "10,000 ints": INTS,
    "64 kB string": "x" * 65536,
}  # fmt: skip


def best(work, number):
    return min(timeit.repeat(work, number=number, repeat=9)) / number * 1e6


def frame(data):
    return codec.Framer().feed(data)[0]


def graphs():
    """Sharing, a cycle, the edges of the integers, vocabulary words as data."""
    shared, cycle = [1, b"list"], ["x"]
    cycle.append({"again": cycle})
    yield [shared, cycle, cycle, shared, (shared,), "list", b"dictionary", b""]
    yield [s * (1 << k) + d for k in (0, 7, 14, 31, 56, 63, 64, 447) for s in (1, -1) for d in (-1, 0, 1)]
    yield [0.0, -0.0, 1e300, float("inf"), True, False, None, (), {}, {(1, 2): [3]}]
    yield from PAYLOADS.values()


def main():
    sums, times = [], {}
    for value in graphs():
        data = codec.PartsEncoder().encode(value)
        assert data == codec.BufferEncoder().encode(value)
        framer, got = codec.Framer(), []
        for i in range(min(len(data), 500)):
            got += framer.feed(data[i : i + 1])
        got += framer.feed(data[500:] + data)
        assert got == [data, data]
        back = codec.Decoder(data).decode()
        assert repr(back) == repr(value)
        assert codec.PartsEncoder().encode(back) == data
        sums.append(data.hex())
    for name, value in PAYLOADS.items():
        data = codec.PartsEncoder().encode(value)
        number = max(1, min(20_000, 2_000_000 // (10 + 4 * len(data))))
        if name.startswith("64"):
            number = 2_000
        times[name] = (
            len(data),
            best(lambda v=value: codec.PartsEncoder().encode(v), number),
            best(lambda v=value: codec.BufferEncoder().encode(v), number),
            best(lambda d=data: frame(d), number),
            best(lambda d=data: codec.Decoder(d).decode(), number),
        )
    json.dump({"file": codec.__file__, "bytes": sums, "times": times}, sys.stdout)


main()
