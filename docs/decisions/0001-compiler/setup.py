"""Build the spike with Cython. SPIKE_COMPILE: 0 never, 1 always or fail, unset if a compiler is there."""

import os

from setuptools import Extension, setup

WANT = os.environ.get("SPIKE_COMPILE", "")
MODULES = ["spike.codec", "spike.probes"]
DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,
    "auto_pickle": False,
    "boundscheck": True,
    "wraparound": True,
    "nonecheck": True,
    "overflowcheck": True,
}


def extensions():
    if WANT == "0":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if WANT == "1":
            raise
        return []
    found = [Extension(m, [m.replace(".", "/") + ".py"], extra_compile_args=["-g0"]) for m in MODULES]
    found = cythonize(found, compiler_directives=DIRECTIVES)
    for extension in found:  # here, not above: cythonize makes new objects and forgets the flag
        extension.optional = WANT != "1"
    return found


setup(name="spike", version="0", packages=["spike"], package_data={"spike": ["*.pxd"]}, ext_modules=extensions())
