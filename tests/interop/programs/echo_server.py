"""Gives back what it is told."""

from tests.interop.programs.spread import listen, pb, run


class Repeater(pb.Root):
    def remote_echo(self, text: str) -> str:
        print("echoing:", text)
        return text


listen(pb.PBServerFactory(Repeater()))
run()
