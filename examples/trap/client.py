"""Four calls, the client: each way in which a call can end has an `except` of its own.

Both programs run as `__main__`, so that `__main__.MyException` means the same on both sides. In an
application both sides would import their exceptions from one module.
"""

import asyncio
import logging

import pellucid
from examples.program import run, server_url


class MyException(pellucid.Error):
    pass


class MyOtherException(pellucid.Error):
    pass


class ScaryObject:
    """Of no kind that may travel."""


async def call(remote: pellucid.RemoteReference, explanation: str, arg: object) -> None:
    print(explanation)
    try:
        response = await remote.call("fooMethod", arg)
    except pellucid.DeadReferenceError:
        print(" stale reference: the client disconnected or crashed")
    except pellucid.InsecureJelly:
        print(" InsecureJelly: you tried to send something unsafe to them")
    except (MyException, MyOtherException) as error:
        print(f" remote raised a {type(error).__name__}")
    except Exception:
        print(" something else happened")
        logging.exception("not expected")
    else:
        print(" method successful, response:", response)


async def main(url: str) -> None:
    async with pellucid.connect(url) as connection:
        remote = connection.root
        await call(remote, "callOne: call with safe object", "safe string")
        await call(remote, "callTwo: call with dangerous object", ScaryObject())
        await call(remote, "callThree: call that raises remote exception", "panic!")
        gone = asyncio.Event()
        connection.on_close(lambda *_: gone.set())
        print("telling them to shut down")
        remote.notify("shutdown")
        await gone.wait()
        await call(remote, "callFour: call on stale reference", "dummy")


if __name__ == "__main__":
    run(main(server_url()))
