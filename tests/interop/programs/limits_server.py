"""Measures what it gets, and lends as many objects as it is asked for, which are eight at most."""

from tests.interop.programs.spread import listen, pb, run


class Measure(pb.Root):
    def remote_length(self, text: bytes) -> int:
        return len(text)

    def remote_bits(self, number: int) -> int:
        return number.bit_length()

    def remote_make(self, count: int) -> list[pb.Referenceable]:
        print("making", count)
        return [pb.Referenceable() for _ in range(count)]


pb.MAX_BROKER_REFS = 8
listen(pb.PBServerFactory(Measure()))
run()
