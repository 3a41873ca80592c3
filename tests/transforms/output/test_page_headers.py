from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from tests.support.shards import make_scores, make_shard
from transforms.output.commit import commit
from transforms.output.parts import DamagedPartError, read_pages


def test_a_part_whose_page_headers_are_damaged_is_found_or_reads_the_same(tmp_path: Path) -> None:
    """Every bit of the first 150 bytes; headers have no checksum of their own."""
    commit(str(tmp_path), make_shard([("q", ["a", "b"])]), make_scores(1.0, 2.0))
    (path,) = (tmp_path / "scored").glob("part-*.parquet")
    whole = path.read_bytes()
    table = pq.ParquetFile(path).read(use_threads=False)
    for bit in range(8 * 4, 8 * 150):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with suppress(DamagedPartError):
            read_pages(str(path))
            assert pq.ParquetFile(path).read(use_threads=False).equals(table)
