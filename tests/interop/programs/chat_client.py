"""Chats as the user and with the password on its command line."""

from typing import Any

from twisted.cred import credentials, error
from twisted.internet import defer
from twisted.python import log
from twisted.python.failure import Failure

from tests.interop.programs.spread import WORDS, connect, finish, pb, run

NAME, PASSWORD = (word.encode() for word in WORDS[1:])
# What each user answers to what it reads, and what is the last that it reads or says.
ANSWERS = {
    b"alice": {"#frogs is complete": "hello"},
    b"bob": {"<alice> hello": "what a fool", "card for bob": "bye"},
}[NAME]
LAST = {b"alice": "bob left #frogs", b"bob": "bye"}[NAME]


class CardCopy(pb.RemoteCopy):
    reader: str


class Chatter(pb.Referenceable):
    def __init__(self) -> None:
        self.done: defer.Deferred[None] = defer.Deferred()

    async def main(self) -> None:
        wrong = credentials.UsernamePassword(NAME, b"wrong")
        await factory.login(wrong, self).addErrback(self.not_in)
        right = credentials.UsernamePassword(NAME, PASSWORD)
        user = await factory.login(right, self)
        self.group = await user.callRemote("joinGroup", "#frogs", size=2)
        await self.group.callRemote("enter")
        await self.done

    def not_in(self, reason: Failure) -> None:
        reason.trap(error.UnauthorizedLogin)
        print("not with that password")

    def remote_print(self, text: str) -> None:
        print(text)
        if text in ANSWERS:
            said = self.group.callRemote("send", ANSWERS[text])
            said.addCallbacks(self.told, self.refused, callbackArgs=(ANSWERS[text],))
            said.addErrback(log.err)
        self.told(None, text)

    def told(self, _: object, text: str) -> None:
        if text == LAST:
            self.done.callback(None)

    def refused(self, reason: Failure) -> Any:
        reason.trap("__main__.Rude")
        print("refused:", reason.getErrorMessage())
        return self.group.callRemote("card").addCallback(self.got_card)

    def got_card(self, given: tuple[str, CardCopy]) -> None:
        group, card = given
        assert group == "#frogs"
        self.remote_print(f"card for {card.reader}")


pb.setUnjellyableForClass("__main__.Card", CardCopy)
factory = pb.PBClientFactory()
connector = connect(factory)
finish(defer.ensureDeferred(Chatter().main()), connector)
run()
