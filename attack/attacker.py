"""`python -m attack.attacker FAMILY PORT PORT`: the process that attacks, when it is told to.

It reads `NAME MILLISECONDS`, attacks for so long, and answers with a line of JSON.
"""

import json
import os
import sys
import time

import attack.attacks  # noqa: F401 - it registers them
from attack.registry import ATTACKS, Attack
from attack.target import Cut, Over, Target, many_files

# Who is cut off and begins again does not do so more often than this.
_PAUSE = 0.001


def run(attack: Attack, family: str, target: Target) -> dict[str, object]:
    """Attack until the time is up, from anew whenever the server ends it."""
    failed = ""
    try:
        while True:
            try:
                attack.ways[family](target)
                break
            except (Cut, OSError):
                target.cut += 1
            if not attack.again:
                break
            target.rest(_PAUSE)
        target.rest(1e9)
    except Over:
        pass
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"[:300]
    if (left := target.end - time.monotonic()) > 0:
        time.sleep(left)
    return {"sent": target.sent, "cut": target.cut, "failed": failed}


def _come_last() -> None:
    """Take what the honest client leaves of the core that they share: it holds the clock.

    Being nice is not enough: who wakes up then still waits for milliseconds, which would be
    counted as the server's.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif hasattr(os, "nice"):
        os.nice(10)


def main() -> None:
    """Be the attacker."""
    family, *ports = sys.argv[1:]
    many_files()
    _come_last()
    print("ready", flush=True)
    for line in sys.stdin:
        name, milliseconds = line.split()
        target = Target([int(port) for port in ports], int(milliseconds) / 1000)
        print(json.dumps(run(ATTACKS[name], family, target)), flush=True)


if __name__ == "__main__":
    main()
