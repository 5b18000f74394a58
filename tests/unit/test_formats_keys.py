"""JSON objects that have keys of their own are read in space and time by their number, and nothing is dropped."""

import json

from omnikeywords.formats import Export, open_export
from omnikeywords.model import Observation


def read(*lines: str) -> tuple[Export, list[Observation]]:
    with open_export("".join(f"{line}\n" for line in lines).encode()) as export:
        return export, [row for batch in export.batches() for row in batch.observations()]


OWN_KEYS = [json.dumps({"keyword": f"k{i}", f"own {i}": i, "other keys": "theirs"}) for i in range(20_000)]


def test_keys_of_one_object_each_share_a_column_beyond_the_first() -> None:
    export, rows = read(*OWN_KEYS, '{"keyword": "last", "other keys": "x", "late": [1]}')
    assert (export.rows_in, export.rows_skipped, len(export.columns)) == (20_001, 0, 257)
    assert rows[0].extra == {"own 0": "0", "other keys": "theirs"}
    assert rows[19_999].extra == {"other keys": "theirs", "other keys (2)": '{"own 19999": 19999}'}
    assert rows[20_000].extra == {"other keys": "x", "other keys (2)": '{"late": [1]}'}


def test_a_field_is_found_among_many_keys() -> None:
    _, rows = read(*OWN_KEYS[:1000], '{"keyword": "b", "volume": 7}')
    assert (rows[999].volume, rows[1000].volume) == (None, 7)


def test_objects_that_have_many_keys_keep_a_column_for_each() -> None:
    wide = json.dumps({"keyword": "k", **{f"x{i}": i for i in range(3000)}})
    export, rows = read(wide, wide)
    assert len(export.columns) == 3001
    assert rows[1].extra["x2999"] == "2999"


def test_our_own_results_keep_what_their_rows_have_apart() -> None:
    fixed = {"normalized": "k", "id": "1", "model_version": "1"}
    lines = [json.dumps({"keyword": f"k{i}", **fixed, "extra": {f"own {i}": str(i)}}) for i in range(3000)]
    export, rows = read(*lines)
    assert export.tool == "okf"
    assert rows[500].extra == {"own 500": "500"}
    assert rows[2999].extra == {"other keys": '{"own 2999": "2999"}'}
