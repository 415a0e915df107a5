"""Perspective Broker for Twisted programs: the names of `twisted.spread.pb`.

A server is a `PBServerFactory` around a root, a client a `PBClientFactory` that gives it. What the
objects are that may travel, `flavors` says.
"""

# `import y as y` says that `y` is public, though `import *` must not give it.
# ruff: noqa: PLC0414

import sys
from types import ModuleType

from . import banana as banana
from . import broker
from .avatars import AsReferenceable, Avatar, IPerspective, IUsernameMD5Password, challenge, respond
from .broker import Broker
from .broker import Local as Local
from .errors import DeadReferenceError, Error, NoSuchMethod, PBConnectionLost, ProtocolError
from .errors import RemoteError as RemoteError
from .factories import PBClientFactory, PBServerFactory
from .failures import CopiedFailure, CopyableFailure, failure2Copyable
from .flavors import (
    Cacheable,
    Copyable,
    IPBRoot,
    Jellyable,
    Referenceable,
    RemoteCache,
    RemoteCacheObserver,
    RemoteCopy,
    Root,
    Serializable,
    Viewable,
    ViewPoint,
    copyTags,
    setCopierForClass,
    setCopierForClassTree,
    setFactoryForClass,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
    setUnjellyableForClassTree,
)
from .interfaces import IJellyable as IJellyable
from .interfaces import IUnjellyable as IUnjellyable
from .jelly import globalSecurity as globalSecurity
from .jelly import jelly as jelly
from .jelly import unjelly as unjelly
from .reference import RemoteMethod, RemoteReference

# What `import *` gives is what it gives with Twisted: programs rely on what is not among it.
__all__ = [
    "MAX_BROKER_REFS",
    "AsReferenceable",
    "Avatar",
    "Broker",
    "Cacheable",
    "CopiedFailure",
    "Copyable",
    "CopyableFailure",
    "DeadReferenceError",
    "Error",
    "IPBRoot",
    "IPerspective",
    "IUsernameMD5Password",
    "Jellyable",
    "NoSuchMethod",
    "PBClientFactory",
    "PBConnectionLost",
    "PBServerFactory",
    "ProtocolError",
    "Referenceable",
    "RemoteCache",
    "RemoteCacheObserver",
    "RemoteCopy",
    "RemoteMethod",
    "RemoteReference",
    "Root",
    "Serializable",
    "ViewPoint",
    "Viewable",
    "challenge",
    "copyTags",
    "failure2Copyable",
    "portno",
    "respond",
    "setCopierForClass",
    "setCopierForClassTree",
    "setFactoryForClass",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
    "setUnjellyableForClassTree",
]

portno = 8787
MAX_BROKER_REFS: int


class _Module(ModuleType):
    """This module, to which programs assign how many objects a connection may refer to."""

    @property
    def MAX_BROKER_REFS(self) -> int:
        """How many objects a side may have exported on one connection."""
        return broker.MAX_BROKER_REFS

    @MAX_BROKER_REFS.setter
    def MAX_BROKER_REFS(self, most: int) -> None:
        broker.MAX_BROKER_REFS = most


sys.modules[__name__].__class__ = _Module
