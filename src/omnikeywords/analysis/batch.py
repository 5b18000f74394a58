"""One batch through all stages: normalise, split into words, language, intent and features, scores, ids."""

import functools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.features import Features, find
from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.analysis.ids import keyword_ids
from omnikeywords.analysis.language import LanguageModel, detect, popularity
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.score import Column, Scores, Weights, column, score_difficulty, score_opportunity
from omnikeywords.analysis.words import Vocabulary, Words
from omnikeywords.errors import InvalidKeyword, InvalidOption
from omnikeywords.model import Market

if TYPE_CHECKING:
    import polars
    import pyarrow

    from omnikeywords.analysis.duplicates import Duplicates

__all__ = ["MODEL_VERSION", "Analysis", "Kind", "Options", "analyse", "load_models"]

# Changes whenever the same phrase may get another analysis: rules, lexicons, tables, weights' defaults.
MODEL_VERSION = "2026.11.2"

Kind = Literal["basic", "comprehensive"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to analyse.

    Raises InvalidOption for an unknown kind.
    """

    kind: Kind = "comprehensive"  # basic ends with the intents
    market: Market | None = None  # a prior for the language, and part of each id
    brands: tuple[str, ...] = ()  # names that make a phrase branded, besides the shipped ones
    weights: Weights = field(default_factory=Weights)
    language_table: Path | None = None  # None: where `okf warm` puts it by default

    def __post_init__(self) -> None:
        if self.kind not in ("basic", "comprehensive"):
            raise InvalidOption(
                f"analysis type {self.kind!r} is unknown: use basic or comprehensive", analysis_type=self.kind
            )


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What was derived for N phrases, column by column, in their order.

    A phrase that cannot be analysed is in `errors`; its other columns hold no meaning and read as null in rows and
    tables.
    """

    phrases: Sequence[object]  # as given
    options: Options
    normalized: list[str]  # "" where there is an error
    errors: Mapping[int, InvalidKeyword]  # by index
    ids: list[str]
    words: Words
    language: NDArray[np.int8]  # index into LANGUAGES, -1 where it cannot be told
    language_confidence: NDArray[np.float32]  # 0-1
    features: Features
    popularity: NDArray[np.float32]  # Zipf scale, NaN unknown; an estimate
    difficulty: Scores | None  # None where no phrase has one
    opportunity: Scores | None
    volume: NDArray[np.float64] | None  # searches a month as observed, NaN missing, None where no phrase has it
    near_duplicates: "Duplicates | None" = None  # None: not looked for

    def __len__(self) -> int:
        return len(self.normalized)

    def with_near_duplicates(self) -> "Analysis":
        """The same with near-duplicates looked for among all phrases of this analysis."""
        from omnikeywords.analysis.duplicates import duplicates

        return replace(self, near_duplicates=duplicates(self, volume=self.volume, model=_models(self.options).language))

    def rows(self) -> list[dict[str, Any]]:
        """A dict a phrase, with the fields of the keyword object up to what analysis derives; missing is None."""
        from omnikeywords.analysis.tables import to_rows

        return to_rows(self)

    def to_arrow(self) -> "pyarrow.Table":
        """The same columns as an Arrow table."""
        from omnikeywords.analysis.tables import to_arrow

        return to_arrow(self)

    def to_polars(self) -> "polars.DataFrame":
        """The same columns as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame


@dataclass(frozen=True, slots=True)
class _Models:
    """What analysis needs loaded, for one language table and one list of brands."""

    language: LanguageModel
    lexicon: Lexicon
    vocabulary: Vocabulary


_DEFAULT = Options()
_default_table_path = functools.cache(default_table_path)  # asked for by every call that names no table
_loaded: OrderedDict[tuple[Path, tuple[str, ...]], _Models] = OrderedDict()
_loading = threading.Lock()
_MOST_LOADED = 64  # brand lists kept ready; each costs its vocabulary


def load_models(options: Options = _DEFAULT) -> None:
    """Load and compile what `analyse` needs with these options, so that the first call is as fast as the next.

    Raises LanguageTableMissing where the table was not built yet.
    """
    analyse(("load", "models"), options)


def _models(options: Options) -> _Models:
    key = (options.language_table or _default_table_path(), options.brands)
    models = _loaded.get(key)
    if models is not None:
        return models
    with _loading:
        models = _loaded.get(key)
        if models is None:
            language = next((m.language for (path, _), m in _loaded.items() if path == key[0]), None)
            language = language or LanguageModel.load(key[0])
            lexicon = Lexicon.load(options.brands)

            def make_columns(words: list[str]) -> dict[str, NDArray[Any]]:
                return {**language.word_columns(words), **lexicon.word_columns(words)}

            models = _Models(language, lexicon, Vocabulary(make_columns))
            _loaded[key] = models
            while len(_loaded) > _MOST_LOADED:
                _loaded.popitem(last=False)
    return models


def analyse(
    phrases: Sequence[object],
    options: Options = _DEFAULT,
    observations: Mapping[str, Column] | None = None,
) -> Analysis:
    """Analyse phrases, in order, each on its own: splitting or reordering a batch changes no phrase's result.

    `observations` are columns of what sources said, one value a phrase, None or NaN where missing; those in
    `score.OBSERVED_COLUMNS` enter the scores. An empty, unprintable or over-long phrase, or a thing that is no string,
    is an error of that item alone.

    Raises LanguageTableMissing where the language table was not built yet, InvalidOption for a column of observations
    that is not as long as `phrases`.
    """
    models = _models(options)
    normalized, errors = normalise_batch(phrases)
    words = models.vocabulary.look_up(normalized)
    detected = detect(words, models.language, options.market)
    features = find(words, models.lexicon, detected.index)
    n = len(normalized)
    difficulty = opportunity = volume = None
    if observations:
        volume = column(observations, "volume", n)
        if options.kind == "comprehensive":
            difficulty = score_difficulty(observations, n, options.weights)
            opportunity = score_opportunity(observations, n, options.weights, features.intents, difficulty)
    return Analysis(
        phrases,
        options,
        normalized,
        errors,
        keyword_ids(options.market, normalized),
        words,
        detected.index,
        detected.confidence,
        features,
        popularity(words, detected.index, models.language),
        difficulty,
        opportunity,
        volume,
    )
