"""Who analyses the batches of a file: this process, and workers beside it once there is enough to share.

A batch of observations lies in an Arrow file, what is derived from it goes to another beside it, and only their names
and a few numbers pass between processes. Nothing here reads exports: a worker starts with what analysis needs alone.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.ipc
from numpy.typing import NDArray

from omnikeywords.analysis import Options, analyse, load_models
from omnikeywords.analysis.score import OBSERVED_COLUMNS
from omnikeywords.analysis.tables import to_arrow
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.model import KEYWORD_ID_PREFIX, Market

__all__ = ["Analysts", "Derived", "derive", "map_table"]

_OFTEN_EMPTY = ("market", "near_duplicate_of", "near_duplicate_reason", "error")


@dataclass(frozen=True, slots=True)
class Derived:
    """What came of a batch of N rows, besides its file."""

    path: Path
    keys: NDArray[np.uint64]  # (N,) the same for the same id, and hardly ever for another; 0 without one
    errors: int  # keywords that cannot be analysed


def map_table(path: Path) -> Any:
    """The Arrow table in a file; mapped, not copied."""
    with pyarrow.memory_map(str(path)) as file:
        return pyarrow.ipc.open_file(file).read_all()


class Analysts:
    """Those who share the work, `processes` at most: this one, and workers from `hire` on. A context manager that
    ends the workers, at once if it fails.
    """

    def __init__(self, options: Options, processes: int) -> None:
        self._options = options
        self._workers = processes - 1
        self._pool: Executor | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Analysts":
        return self

    def __exit__(self, *failure: Any) -> bool | None:
        return self._open.__exit__(*failure)

    def hire(self) -> None:
        """Start the workers, if there may be any."""
        if self._workers and not self._pool:
            self._pool = self._open.enter_context(_pool(self._workers, self._options))

    def derive_all(self, batches: Iterable[tuple[Path, Path]]) -> Iterator[Derived]:
        """What `derive` makes of each pair of files, in their order. Batches are drawn as there is time for them."""
        waiting: deque[Future[Derived] | Derived] = deque()
        for observed, derived in batches:
            # Two for each worker, one at hand and one to go on with; what is more is done here meanwhile.
            if self._pool and sum(not _is_done(item) for item in waiting) < 2 * self._workers:
                waiting.append(self._pool.submit(_derive_in_worker, observed, derived))
            else:
                waiting.append(derive(self._options, observed, derived))
            while waiting and _is_done(waiting[0]):
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _is_done(item: Future[Derived] | Derived) -> bool:
    return isinstance(item, Derived) or item.done()


def _result(item: Future[Derived] | Derived) -> Derived:
    return item if isinstance(item, Derived) else item.result()


@contextlib.contextmanager
def _pool(workers: int, options: Options) -> Iterator[Executor]:
    # Each worker is one process of several: its libraries must not start threads for every core again. The
    # variables are read when a worker starts, so they are only set while the pool exists. Spawned, not forked: this
    # process has threads.
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # glibc gives large blocks back to the system and fetches them again for the next batch: a tenth of all time.
    variables |= {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(options, os.getpid())
    )
    try:
        # So that they load while the first batches are read.
        for _ in range(workers):
            pool.submit(os.getpid)
        yield pool
    except BrokenProcessPool as error:
        raise OmniKeywordsError(
            "a worker process was ended from outside, perhaps for want of memory: analyse fewer keywords at a time"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_worker_options = Options()


def _start_worker(options: Options, parent: int) -> None:
    global _worker_options
    _worker_options = options
    # Ctrl-C reaches every process of the terminal; the first one decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), name="parent", daemon=True).start()
    load_models(options)
    # Batches are many short-lived objects and no cycles: looking for some at every turn costs a tenth.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _end_with_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _derive_in_worker(observed: Path, derived: Path) -> Derived:
    return derive(_worker_options, observed, derived)


def derive(options: Options, observed: Path, derived: Path) -> Derived:
    """Analyse one batch, from file to file.

    `observed` has the column `keyword` and may have `market` and those of OBSERVED_COLUMNS. `derived` gets the columns
    of `to_arrow` in its encoded form; `keyword` only where it may differ from the one observed, and of _OFTEN_EMPTY
    those that have any value.
    """
    rows = map_table(observed)
    rows = rows.select([name for name in ("keyword", "market", *OBSERVED_COLUMNS) if name in rows.column_names])
    table, errors = _analysed(rows.combine_chunks(), options)
    keys = _keys(table["id"].combine_chunks())
    left_out = [name for name in _OFTEN_EMPTY if name in table.column_names and table[name].null_count == len(table)]
    table = table.drop_columns(left_out if errors else [*left_out, "keyword"])
    with pyarrow.ipc.new_file(str(derived), table.schema) as file:
        file.write_table(table)
    return Derived(derived, keys, errors)


def _analysed(rows: Any, options: Options) -> tuple[Any, int]:
    """Derived columns of observed rows, in their order, and the number of errors; each row in its own market."""
    if "market" not in rows.column_names or not rows.num_rows:
        return _analysed_in_market(rows, options)
    markets = rows["market"].combine_chunks().dictionary_encode(null_encoding="encode")
    names = markets.dictionary.to_pylist()
    if len(names) == 1:
        return _analysed_in_market(rows, _in_market(options, names[0]))
    order = np.argsort(codes := markets.indices.to_numpy(), kind="stable")
    ends = np.searchsorted(codes[order], np.arange(1, len(names) + 1))
    parts, errors = [], 0
    for name, numbers in zip(names, np.split(order, ends[:-1]), strict=True):
        part, wrong = _analysed_in_market(rows.take(numbers).combine_chunks(), _in_market(options, name))
        parts.append(part)
        errors += wrong
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return pyarrow.concat_tables(parts).combine_chunks().take(place).combine_chunks(), errors


def _in_market(options: Options, market: str | None) -> Options:
    return options if market is None else replace(options, market=Market.parse(market))


def _analysed_in_market(rows: Any, options: Options) -> tuple[Any, int]:
    observations = {
        name: rows[name].cast(pyarrow.float64(), safe=False).fill_null(float("nan")).to_numpy()
        for name in OBSERVED_COLUMNS
        if name in rows.column_names
    }
    keyword = rows["keyword"].combine_chunks()
    analysis = analyse(keyword.to_numpy(zero_copy_only=False).tolist(), options, observations)
    return to_arrow(analysis, keyword=keyword, encoded=True), len(analysis.errors)


def _keys(ids: Any) -> NDArray[np.uint64]:
    """A number for each id, made of 80 bits of its digest."""
    keys = np.zeros(len(ids), np.uint64)
    there = ids.drop_null()
    if len(there):
        _, ends, digits = there.buffers()
        width = int(np.frombuffer(ends, np.int64)[1])
        first = len(KEYWORD_ID_PREFIX)
        rows = np.frombuffer(digits, np.uint8, width * len(there)).reshape(len(there), width)
        halves = np.ascontiguousarray(rows[:, first : first + 16]).view(np.uint64)
        # An odd factor loses nothing of a half; to set the last bit, so that none is 0, loses little.
        mixed = halves[:, 0] * np.uint64(0x9E3779B97F4A7C15) + halves[:, 1] | np.uint64(1)
        keys[ids.is_valid().to_numpy(zero_copy_only=False)] = mixed
    return keys
