"""The plays: those of PB's introduction first, then those of its other documents.

What the introduction shows as output is printed word for word.
"""

from tests.interop.plays import ALONE, CALLS, SERVES, SERVES_BOTH, Play, Role

INSECURE = frozenset({"twisted.spread.jelly.InsecureJelly"})
UNAUTHORIZED = frozenset({"twisted.cred.error.UnauthorizedLogin"})

PLAYS = [
    Play(
        "echo",
        Role("echo_server", "echoing: hello network"),
        (Role("echo_client", "server echoed: hello network"),),
    ),
    Play(
        "a second object",
        Role(
            "second_server",
            """
            returning a Two called <__main__.Helper>
            Two.three was given 12
            """,
        ),
        (
            Role(
                "second_client",
                """
                got first object: <twisted.spread.pb.RemoteReference>
                asking it to getTwo
                got second object: <twisted.spread.pb.RemoteReference>
                telling it to do three(12)
                """,
            ),
        ),
    ),
    Play(
        "home again",
        Role(
            "home_server",
            """
            One.getTwo(), returning my two called <__main__.Token>
            One.checkTwo(): comparing my two <__main__.Token>
            One.checkTwo(): against your two <__main__.Token>
            One.checkTwo(): our twos are the same
            """,
        ),
        (
            Role(
                "home_client",
                """
                got one object: <twisted.spread.pb.RemoteReference>
                asking it to getTwo
                got two object: <twisted.spread.pb.RemoteReference>
                giving it back to one
                one is <twisted.spread.pb.RemoteReference>
                """,
            ),
        ),
    ),
    Play(
        "called back",
        Role(
            "callback_server",
            """
            received a Two called <twisted.spread.pb.RemoteReference>
            telling it to print(12)
            """,
        ),
        (
            Role(
                "callback_client",
                """
                got One: <twisted.spread.pb.RemoteReference>
                giving it our two
                Two.print() called with 12
                """,
            ),
        ),
    ),
    Play(
        "an expected error",
        Role("errors_server", "raising a MyError exception with data 'fall down go boom'"),
        (
            Role(
                "errors_client broken",
                """
                got remote Exception
                 .__class__ = <class 'twisted.spread.pb.CopiedFailure'>
                 .getErrorMessage() = fall down go boom
                 .type = __main__.MyError
                Main loop terminated.
                """,
                twisted_says="""
                got remote Exception
                 .__class__ = <class 'twisted.spread.pb.CopiedFailure'>
                 .getErrorMessage() = fall down go boom
                 .type = b'__main__.MyError'
                Main loop terminated.
                """,
            ),
        ),
    ),
    Play(
        "an unexpected error",
        Role(
            "errors_server",
            "raising a MyError2 exception with data 'hadda owie'",
            reports=frozenset({"__main__.MyError2"}),
            mentions=("Peer will receive following PB traceback", "in remote_broken2"),
        ),
        (
            Role(
                "errors_client broken2",
                """
                got remote Exception
                 .__class__ = <class 'twisted.spread.pb.CopiedFailure'>
                 .getErrorMessage() = hadda owie
                 .type = __main__.MyError2
                Main loop terminated.
                """,
                twisted_says="""
                got remote Exception
                 .__class__ = <class 'twisted.spread.pb.CopiedFailure'>
                 .getErrorMessage() = hadda owie
                 .type = b'__main__.MyError2'
                Main loop terminated.
                """,
            ),
        ),
    ),
    Play(
        "four calls",
        Role("trap_server", ""),
        (
            Role(
                "trap_client",
                """
                callOne: call with safe object
                 method successful, response: response
                callTwo: call with dangerous object
                 InsecureJelly: you tried to send something unsafe to them
                callThree: call that raises remote exception
                 remote raised a MyException
                telling them to shut down
                callFour: call on stale reference
                 stale reference: the client disconnected or crashed
                """,
                # Twisted sends a note in place of the object, and can't trap twice.
                twisted_says="""
                callOne: call with safe object
                 method successful, response: response
                callTwo: call with dangerous object
                 method successful, response: response
                callThree: call that raises remote exception
                 something else happened
                telling them to shut down
                callFour: call on stale reference
                 stale reference: the client disconnected or crashed
                """,
                twisted_reports=frozenset({"builtins.AttributeError"}),
            ),
        ),
        ends=True,
    ),
    Play(
        "copies",
        Role(
            "copy_server",
            """
            got a RemotePond
            count 7
            got a RemoteMixedPond
            count 7
            got a ZooPond
            count 5
            Frog is here: Fred says ribbit
            Newt is here: Ned says nothing
            Animal is here: Ann says nothing
            """,
            # The face takes no fault of a peer for one of its own program.
            twisted_reports=INSECURE,
        ),
        (
            Role(
                "copy_client",
                """
                count 7
                it is there in good health
                count 7
                it is there in good health
                count 5
                it is there in good health
                one pond: True
                a stray is there not at all
                lent a RemotePond black 2
                """,
            ),
        ),
    ),
    Play(
        "caches, the second drops its own",
        Role(
            "ducks_server",
            """
            1 watching
            2 watching
            the second left, 1 watching
            the first left, 0 watching
            """,
        ),
        (
            Role(
                "ducks_client first stays",
                """
                cached: mallard, teal
                now there are mallard, teal, goose
                now there are mallard, teal, goose, swan
                """,
            ),
            Role(
                "ducks_client second drops",
                """
                cached: mallard, teal
                now there are mallard, teal, goose
                """,
            ),
        ),
        # Twisted as the owner can't tell the observers of two connections apart.
        (ALONE, SERVES, SERVES_BOTH),
    ),
    Play(
        "caches, the first disconnects",
        Role(
            "ducks_server",
            """
            1 watching
            2 watching
            the first left, 1 watching
            the first left, 0 watching
            """,
        ),
        (
            Role(
                "ducks_client first disconnects",
                """
                cached: mallard, teal
                now there are mallard, teal, goose
                """,
            ),
            Role(
                "ducks_client second stays",
                """
                cached: mallard, teal
                now there are mallard, teal, goose
                now there are mallard, teal, goose, swan
                """,
            ),
        ),
        (ALONE, SERVES, CALLS, SERVES_BOTH),
    ),
    Play(
        "security",
        Role(
            "security_server",
            """
            a Parcel of Ann
            a Parcel of Ben
            a Sealed with a letter
            """,
            # The face takes no fault of a peer for one of its own program.
            twisted_reports=INSECURE,
        ),
        (
            Role(
                "security_client",
                """
                pounds: 2.5
                opened: Sealed a letter
                class: a class called Parcel
                crate: refused
                class of crates: refused
                set: refused
                """,
            ),
        ),
    ),
    Play(
        "factories",
        Role(
            "coins_server",
            """
            paid: 5 crowns True
            a purse with 12 in it
            deposited: [(5, 'crowns'), (2, 'crowns'), (5, 'crowns')]
            """,
        ),
        (
            Role(
                "coins_client",
                """
                change: 2 crowns True
                all of them: [True, True, True]
                """,
            ),
        ),
    ),
    Play(
        "pages",
        Role(
            "pages_server",
            """
            sent: text {'times': 250}
            sent: file {}
            """,
        ),
        (
            Role(
                "pages_client",
                """
                text: [1000, 1000, 500] True
                file: [16384, 16384, 8192] True
                count: [3, 2, 1, 0]
                """,
            ),
        ),
    ),
    Play(
        "a chat",
        Role(
            "chat_server",
            """
            alice sends hello
            bob sends bye
            bob left
            alice left
            """,
            reports=UNAUTHORIZED,
        ),
        (
            Role(
                "chat_client alice ribbit",
                """
                not with that password
                #frogs is complete
                <alice> hello
                <bob> bye
                bob left #frogs
                """,
            ),
            Role(
                "chat_client bob quack",
                """
                not with that password
                #frogs is complete
                <alice> hello
                refused: don't say that word
                card for bob
                <bob> bye
                """,
            ),
        ),
        (ALONE, SERVES, CALLS, SERVES_BOTH),
    ),
    Play(
        "an anonymous login",
        Role(
            "login_server",
            """
            nobody signs page 13
            ann signs page 14
            nobody logs out
            ann logs out
            """,
        ),
        (
            Role(
                "anonymous_client",
                """
                got a perspective: <twisted.spread.pb.RemoteReference>
                they are ['nobody', 'ann']
                """,
            ),
        ),
    ),
    Play(
        "three avatars on one connection",
        Role(
            "login_server",
            """
            ann signs page 15
            ben signs page 15
            ann signs page 15
            ann logs out
            ben signs page 16
            ann signs page 16
            ben logs out
            ben is not there to hear it
            ann logs out
            """,
        ),
        (
            Role(
                "avatars_client",
                """
                they are ann ben ann
                goodbye ann
                still here: ben ann
                """,
            ),
        ),
    ),
    Play(
        "an avatar of many logins",
        Role(
            "greeter_server",
            """
            ann is here 1 times
            ann is here 2 times
            ann is here 1 times
            ann is here 2 times
            ann is here 1 times
            ann is here 0 times
            """,
            reports=frozenset({"builtins.ValueError"}),
        ),
        (
            Role(
                "greeter_client",
                """
                welcome number 1 welcome number 2
                refused: too many of you
                welcome number 3 welcome number 4
                """,
            ),
        ),
    ),
    Play(
        "limits",
        Role(
            "limits_server",
            """
            making 8
            making 16
            """,
        ),
        (
            Role(
                "limits_client",
                """
                length: 655360
                length: too much, says BananaError
                bits: 448
                bits: too much, says BananaError
                made: 8
                made: too much, says Error
                """,
                # Twisted goes on to wait for what it has not sent.
                twisted_reports=frozenset({"twisted.spread.pb.PBConnectionLost"}),
            ),
        ),
    ),
]
