"""Perspective Broker for Twisted: what `twisted.spread` has, over this package's core.

Its modules have Twisted's names: `from pellucid.twisted import pb, jelly`. A program that can't be
edited calls `install` first, or is started by `python -m pellucid.twisted`.
"""

import importlib.util

if importlib.util.find_spec("twisted") is None:
    raise ModuleNotFoundError(
        "pellucid.twisted needs Twisted: pip install 'pellucid[twisted]'", name="twisted"
    )

from .installing import install

__all__ = ["install"]
