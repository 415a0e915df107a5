from typing import Any

import pytest

from pellucid.errors import InsecureJelly
from pellucid.ports import Exporter, Importer, NullExporter, NullImporter

EXPORTER: Exporter = NullExporter()
IMPORTER: Importer = NullImporter()


@pytest.mark.parametrize(
    ("verb", "count"),
    [
        (EXPORTER.export, 1),
        (EXPORTER.export, 2),
        (EXPORTER.home, 1),
        (EXPORTER.cache, 2),
        (EXPORTER.home_cache, 1),
        (IMPORTER.remote, 2),
        (IMPORTER.local, 1),
        (IMPORTER.new_cache, 2),
        (IMPORTER.cached, 1),
        (IMPORTER.lcache, 1),
    ],
)
def test_without_a_connection_nothing_is_referred_to(verb: Any, count: int) -> None:
    with pytest.raises(InsecureJelly, match="on a connection only"):
        verb(*range(count))


def test_there_is_nothing_to_undo() -> None:
    EXPORTER.undo()
    IMPORTER.undo()
