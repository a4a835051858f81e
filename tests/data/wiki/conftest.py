"""A wiki index for the tests of this folder."""

from __future__ import annotations

import pytest
from fever_files import write_dump

from candor.data.wiki.index import WikiIndex, build_wiki_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> WikiIndex:
    """The index of the small dump."""
    folder = tmp_path_factory.mktemp("wiki")
    path = folder / "index.sqlite"
    build_wiki_index(write_dump(folder / "wiki-pages.zip"), path)
    return WikiIndex(path)
