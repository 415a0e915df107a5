"""Gives away an object and knows it again when it comes back."""

from tests.interop.programs.spread import listen, pb, run


class Token(pb.Referenceable):
    """Nobody calls it."""


class Office(pb.Root):
    def __init__(self, token: Token) -> None:
        self.token = token

    def remote_getTwo(self) -> Token:
        print("One.getTwo(), returning my two called", self.token)
        return self.token

    def remote_checkTwo(self, token: object) -> None:
        print("One.checkTwo(): comparing my two", self.token)
        print("One.checkTwo(): against your two", token)
        if self.token == token:
            print("One.checkTwo(): our twos are the same")


listen(pb.PBServerFactory(Office(Token())))
run()
