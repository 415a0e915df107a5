from collections.abc import Callable

import pytest

from pellucid.errors import InsecureJelly
from pellucid.ports import Exporter, Importer, NullExporter, NullImporter

EXPORTER: Exporter = NullExporter()
IMPORTER: Importer = NullImporter()


@pytest.mark.parametrize(
    "verb",
    [
        EXPORTER.export,
        EXPORTER.home,
        EXPORTER.cache,
        EXPORTER.home_cache,
        IMPORTER.remote,
        IMPORTER.local,
        IMPORTER.cached,
        IMPORTER.lcache,
    ],
)
def test_without_a_connection_nothing_is_referred_to(verb: Callable[[int], object]) -> None:
    with pytest.raises(InsecureJelly, match="on a connection only"):
        verb(1)


def test_there_is_nothing_to_undo() -> None:
    EXPORTER.undo()
    IMPORTER.undo()
