"""An analysis as rows of plain values and as an Arrow table: the keyword object, field by field.

A phrase with an error keeps `keyword`, `error` and `model_version`; all else of it is null. Basic analyses end with the
intents. What is not a number or a string: `intents`, `difficulty` and `opportunity` are objects, `modifiers` a list of
objects, `evidence` a list of strings.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.features import MODIFIER_TYPES, QUESTIONS, Spans
from omnikeywords.analysis.language import LANGUAGES
from omnikeywords.analysis.score import BASES, DIFFICULTY_PARTS, OPPORTUNITY_PARTS, Scores
from omnikeywords.analysis.words import Words
from omnikeywords.model import FUNNELS, INTENTS, LENGTHS

if TYPE_CHECKING:
    import pyarrow

    from omnikeywords.analysis.batch import Analysis

__all__ = ["to_arrow", "to_rows"]

_LONGEST_COUNTED = 4  # from four words on a phrase is long tail
_LENGTH_OF_COUNT = np.array([0, 0, 1, 1, 2], np.int8)  # head, body, long tail by number of words

# By code, with what -1 stands for at the end, so that plain indexing finds it.
_LANGUAGE_NAMES = (*LANGUAGES, "und")
_INTENT_NAMES = tuple(map(str, INTENTS))
_FUNNEL_NAMES = tuple(map(str, FUNNELS))
_LENGTH_NAMES = tuple(map(str, LENGTHS))
_QUESTION_NAMES = (*QUESTIONS, None)
_BASIS_NAMES = (*BASES, None)

_BASIC_NULLS: dict[str, Any] = dict.fromkeys(
    (
        "normalized",
        "id",
        "market",
        "language",
        "language_confidence",
        "words",
        "length",
        "question",
        "intent",
        "intents",
    )
)
_MORE_NULLS: dict[str, Any] = dict.fromkeys(
    (
        *("funnel", "modifiers", "branded", "local", "year", "popularity", "difficulty", "opportunity"),
        *("evidence", "near_duplicate_of", "near_duplicate_reason"),
    )
)


def to_rows(analysis: "Analysis") -> list[dict[str, Any]]:
    """A dict a phrase; numbers are rounded as they are shown, missing is None."""
    from omnikeywords.analysis.batch import MODEL_VERSION

    features = analysis.features
    market = None if analysis.options.market is None else str(analysis.options.market)
    errors = analysis.errors
    columns = zip(
        analysis.phrases,
        analysis.normalized,
        analysis.ids,
        analysis.language.tolist(),
        _rounded(analysis.language_confidence, 4),
        analysis.words.counts.tolist(),
        features.question.tolist(),
        features.intent.tolist(),
        _rounded(features.intents, 4),
        strict=True,
    )
    rows: list[dict[str, Any]] = []
    for phrase, normalized, key, language, confidence, count, question, intent, intents in columns:
        rows.append(
            {
                "keyword": phrase,
                "normalized": normalized,
                "id": key,
                "market": market,
                "language": _LANGUAGE_NAMES[language],
                "language_confidence": confidence,
                "words": count,
                "length": _LENGTH_NAMES[0 if count == 1 else 1 if count < _LONGEST_COUNTED else 2],
                "question": _QUESTION_NAMES[question],
                "intent": _INTENT_NAMES[intent],
                "intents": dict(zip(_INTENT_NAMES, intents, strict=True)),
            }
        )
    if analysis.options.kind == "comprehensive":
        _add_comprehensive(analysis, rows)
    for row in rows:
        row["error"] = None
        row["model_version"] = MODEL_VERSION
    nulls = _BASIC_NULLS | _MORE_NULLS if analysis.options.kind == "comprehensive" else _BASIC_NULLS
    for i, error in errors.items():
        rows[i].update(nulls)
        rows[i]["keyword"] = phrase_as_text(analysis.phrases[i])
        rows[i]["error"] = {"code": error.code, "detail": str(error)}
    return rows


def _add_comprehensive(analysis: "Analysis", rows: list[dict[str, Any]]) -> None:
    features = analysis.features
    n = len(rows)
    columns = zip(
        rows,
        features.funnel.tolist(),
        _grouped(features.modifiers, _modifiers(analysis), n),
        features.branded.tolist(),
        features.local.tolist(),
        features.year.tolist(),
        _rounded(analysis.popularity, 2),
        _score_rows(analysis.difficulty, DIFFICULTY_PARTS, n),
        _score_rows(analysis.opportunity, OPPORTUNITY_PARTS, n),
        _grouped(features.evidence, features.evidence.text(analysis.words), n),
        zip(*_near_duplicates(analysis), strict=True),
        strict=True,
    )
    for row, funnel, modifiers, branded, local, year, popularity, difficulty, opportunity, evidence, near in columns:
        row["funnel"] = _FUNNEL_NAMES[funnel]
        row["modifiers"] = modifiers
        row["branded"] = branded
        row["local"] = local
        row["year"] = year or None
        row["popularity"] = None if popularity != popularity else popularity  # NaN alone differs from itself
        row["difficulty"] = difficulty
        row["opportunity"] = opportunity
        row["evidence"] = evidence
        row["near_duplicate_of"], row["near_duplicate_reason"] = near


def phrase_as_text(phrase: object) -> str | None:
    """What is shown of a thing given as a phrase that could not be used."""
    if phrase is None:
        return None
    text = phrase if isinstance(phrase, str) else repr(phrase)
    # A lone surrogate cannot be written as UTF-8; its escape can.
    return text[:700].encode("utf-8", "backslashreplace").decode("utf-8")


def _rounded(values: NDArray[np.floating], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded


def _modifiers(analysis: "Analysis") -> list[dict[str, str]]:
    features = analysis.features
    texts = features.modifiers.text(analysis.words)
    return [
        {"type": MODIFIER_TYPES[code], "text": text}
        for code, text in zip(features.modifier_types.tolist(), texts, strict=True)
    ]


def _grouped(spans: Spans, values: Sequence[Any], n: int) -> list[list[Any]]:
    """The value of each span by phrase, spans being in order of their phrases."""
    groups: list[list[Any]] = [[] for _ in range(n)]
    for phrase, value in zip(spans.phrase.tolist(), values, strict=True):
        groups[phrase].append(value)
    return groups


def _score_rows(scores: Scores | None, names: tuple[str, ...], n: int) -> list[dict[str, Any] | None]:
    if scores is None:
        return [None] * n
    rows: list[dict[str, Any] | None] = []
    bases = [None] * n if scores.basis is None else [_BASIS_NAMES[code] for code in scores.basis.tolist()]
    for score, parts, basis in zip(scores.score.tolist(), scores.parts.tolist(), bases, strict=True):
        if score != score:
            rows.append(None)
            continue
        row: dict[str, Any] = {"score": score}
        if scores.basis is not None:
            row["basis"] = basis
        row["parts"] = {name: part for name, part in zip(names, parts, strict=True) if part == part}
        rows.append(row)
    return rows


def _near_duplicates(analysis: "Analysis") -> tuple[list[str | None], list[str | None]]:
    """The normalized head of the group of each phrase, and why it is in it; None for a head and for a single."""
    from omnikeywords.analysis.duplicates import REASONS

    n = len(analysis)
    heads: list[str | None] = [None] * n
    reasons: list[str | None] = [None] * n
    found = analysis.near_duplicates
    if found is not None:
        for member in np.flatnonzero(found.head != np.arange(n)).tolist():
            heads[member] = analysis.normalized[found.head[member]]
            reasons[member] = REASONS[found.reason[member]]
    return heads, reasons


def to_arrow(analysis: "Analysis", *, keyword: "pyarrow.Array | None" = None, encoded: bool = False) -> "pyarrow.Table":
    """An Arrow table with the same fields; objects are structs, whose parts that nobody has are left null.

    `keyword` is the phrases as large strings, where they are at hand. `encoded` is the form that large files are made
    of: texts that are one of a few are dictionaries with 8-bit indices, other texts and lists have 64-bit offsets.
    """
    import pyarrow as pa

    from omnikeywords.analysis.batch import MODEL_VERSION

    n = len(analysis)
    features = analysis.features
    bad = np.zeros(n, np.bool_)
    bad[list(analysis.errors)] = True
    has_bad = bool(analysis.errors)
    text = pa.large_string() if encoded else pa.string()

    def numbers(values: NDArray[Any], kind: Any, missing: NDArray[np.bool_] | None = None) -> Any:
        mask = bad if missing is None else missing | bad
        return pa.array(values, kind, mask=mask if has_bad or missing is not None else None)

    def coded(codes: NDArray[np.integer], of: Sequence[str], missing: NDArray[np.bool_] | None) -> Any:
        known = pa.array(of, text)
        if encoded:
            return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8), mask=missing), known)
        return known.take(pa.array(codes.astype(np.int32), mask=missing))

    def names(codes: NDArray[np.integer], of: tuple[str | None, ...]) -> Any:
        known = [name for name in of if name is not None]
        # A code of -1 is nobody's, or stands for the last name.
        missing = codes < 0 if len(known) < len(of) else np.zeros(n, np.bool_)
        codes = np.where(codes < 0, len(known) - 1, codes)
        return coded(codes, known, missing | bad)

    def lists(spans: Spans, values: Any) -> Any:
        kind = pa.LargeListArray if encoded else pa.ListArray
        offsets = np.zeros(n + 1, np.int64 if encoded else np.int32)
        np.cumsum(np.bincount(spans.phrase, minlength=n), out=offsets[1:])
        return kind.from_arrays(pa.array(offsets), values, mask=pa.array(bad) if has_bad else None)

    def struct(fields: dict[str, Any], missing: NDArray[np.bool_]) -> Any:
        mask = missing | bad
        return pa.StructArray.from_arrays(
            list(fields.values()), names=list(fields), mask=pa.array(mask) if mask.any() else None
        )

    def score(scores: Scores | None, parts: tuple[str, ...], basis: bool) -> Any:
        points = np.full((n, len(parts)), np.nan) if scores is None else scores.parts
        total = np.full(n, np.nan) if scores is None else scores.score
        codes = np.full(n, -1, np.int8) if scores is None or scores.basis is None else scores.basis
        fields = {"score": pa.array(total, pa.float64(), from_pandas=True)}
        if basis:
            fields["basis"] = names(codes, _BASIS_NAMES)
        columns = [
            pa.array(np.ascontiguousarray(points[:, i]), pa.float64(), from_pandas=True) for i in range(len(parts))
        ]
        fields["parts"] = pa.StructArray.from_arrays(columns, names=list(parts))
        return struct(fields, np.isnan(total))

    if keyword is None or has_bad:
        keyword = pa.array(
            analysis.phrases
            if not has_bad
            else [phrase_as_text(p) if i in analysis.errors else p for i, p in enumerate(analysis.phrases)],
            text,
        )
    normalized = pa.array(analysis.normalized, text)
    market = None if analysis.options.market is None else str(analysis.options.market)
    counts = analysis.words.counts
    one = np.zeros(n, np.int8)
    rounded_intents = np.round(features.intents.astype(np.float64), 4)
    fields: dict[str, Any] = {
        "keyword": keyword,
        "normalized": pa.array(analysis.normalized, text, mask=bad) if has_bad else normalized,
        "id": pa.array(analysis.ids, text, mask=bad if has_bad else None),
        # Not coded: there may be more markets in a file than 8 bits tell apart.
        "market": pa.nulls(n, text) if market is None else pa.array([market], text).take(pa.array(one, mask=bad)),
        "language": names(analysis.language, _LANGUAGE_NAMES),
        "language_confidence": numbers(np.round(analysis.language_confidence.astype(np.float64), 4), pa.float64()),
        "words": numbers(counts.astype(np.int32), pa.int32()),
        "length": names(_LENGTH_OF_COUNT.take(np.minimum(counts, _LONGEST_COUNTED)), _LENGTH_NAMES),
        "question": names(features.question, _QUESTION_NAMES),
        "intent": names(features.intent, _INTENT_NAMES),
        "intents": struct(
            {name: pa.array(np.ascontiguousarray(rounded_intents[:, i])) for i, name in enumerate(_INTENT_NAMES)},
            np.zeros(n, np.bool_),
        ),
    }
    if analysis.options.kind == "comprehensive":
        spans = features.modifiers
        modifiers = pa.StructArray.from_arrays(
            [
                coded(features.modifier_types, MODIFIER_TYPES, None),
                _span_texts(spans, analysis.words, normalized),
            ],
            names=["type", "text"],
        )
        near: tuple[Any, Any] = (pa.nulls(n, text), pa.nulls(n, text))
        if analysis.near_duplicates is not None:
            heads, reasons = _near_duplicates(analysis)
            near = pa.array(heads, text), pa.array(reasons, text)
        popularity = np.round(analysis.popularity.astype(np.float64), 2)
        fields |= {
            "funnel": names(features.funnel, _FUNNEL_NAMES),
            "modifiers": lists(spans, modifiers),
            "branded": numbers(features.branded, pa.bool_()),
            "local": numbers(features.local, pa.bool_()),
            "year": numbers(features.year, pa.int16(), features.year == 0),
            "popularity": numbers(popularity, pa.float64(), np.isnan(popularity)),
            "difficulty": score(analysis.difficulty, DIFFICULTY_PARTS, basis=True),
            "opportunity": score(analysis.opportunity, OPPORTUNITY_PARTS, basis=False),
            "evidence": lists(features.evidence, _span_texts(features.evidence, analysis.words, normalized)),
            "near_duplicate_of": near[0],
            "near_duplicate_reason": near[1],
        }
    error = pa.struct([("code", text), ("detail", text)])
    if has_bad:
        errors = [analysis.errors.get(i) for i in range(n)]
        fields["error"] = pa.array([e and {"code": e.code, "detail": str(e)} for e in errors], error)
    else:
        fields["error"] = pa.nulls(n, error)
    fields["model_version"] = coded(one, [MODEL_VERSION], None)
    return pa.table(fields)


def _span_texts(spans: Spans, words: Words, normalized: "pyarrow.Array") -> "pyarrow.Array":
    """`spans.text`, cut from the bytes of the normalized phrases, in which one space stands between two words."""
    import pyarrow as pa

    if not len(spans):
        return pa.array([], normalized.type)
    wide = normalized.type == pa.large_string()
    offsets = np.frombuffer(normalized.buffers()[1], np.int64 if wide else np.int32)
    letters = np.frombuffer(normalized.buffers()[2], np.uint8)[: offsets[-1]]
    spaces = (letters == ord(" ")).nonzero()[0]
    starts, ends = np.empty((2, len(words.ids)), np.int64)  # in bytes, of each word
    later = np.ones(len(starts), np.bool_)  # words that have one before them in their phrase
    later[words.starts] = False
    starts[words.starts] = offsets[:-1]
    starts[later] = spaces + 1
    before = np.append(later[1:], False)  # words that have one after them
    ends[words.starts + words.counts - 1] = offsets[1:]
    ends[before] = spaces
    start = starts[spans.first]
    length = ends[spans.first + spans.count - 1] - start
    cuts = np.zeros(len(spans) + 1, offsets.dtype)
    np.cumsum(length, out=cuts[1:])
    # Where each letter comes from: its span's start and how far it is into the span.
    source = np.repeat(start - cuts[:-1], length)
    source += np.arange(len(source))
    return type(normalized).from_buffers(len(spans), pa.py_buffer(cuts), pa.py_buffer(letters[source]))
