"""Language figures: whole questions, their ends, keywords with and without a market, honest confidence.

    python benchmarks/quality_language.py --data DIR

DIR holds language/questions_half.tsv and queries/{pt,es}_keywords.tsv. `und` counts as wrong everywhere.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.frequency import build_table, default_table_path
from omnikeywords.analysis.language import LANGUAGES, LanguageModel, detect
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.words import Vocabulary
from omnikeywords.model import Market

__all__ = ["run"]

_WHOLE = ("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "zh")
_ENDS = ("en", "es", "fr", "de", "fi", "id")
_HONEST = 0.9


class _Detector:
    """Answers, and every answer given with its confidence."""

    def __init__(self) -> None:
        path = default_table_path()
        if not path.exists():
            build_table(path)
        self.model = LanguageModel.load(path)
        self.vocabulary = Vocabulary(self.model.word_columns)
        self.answers: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []

    def right(self, phrases: Sequence[str], language: str, market: str | None = None) -> float:
        """Per cent of normalized phrases that are said to be in `language`."""
        words = self.vocabulary.look_up(phrases)
        detected = detect(words, self.model, Market.parse(market) if market else None)
        right = detected.index == LANGUAGES.index(language)
        self.answers.append((detected.confidence, right))
        return 100 * float(right.mean())

    def honest(self) -> tuple[float, float]:
        """Per cent right of the answers at 0.9 and above, and the share of all answers that they are."""
        confidence = np.concatenate([confidence for confidence, _ in self.answers])
        right = np.concatenate([right for _, right in self.answers])
        sure = confidence >= _HONEST
        return 100 * float(right[sure].mean()), 100 * float(sure.mean())


def _rows(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").split("\n")[1:]:
        if line:
            yield line.split("\t")


def _keywords(path: Path) -> list[str]:
    """Normalized keywords of two words and more."""
    normalized, _ = normalise_batch([row[0] for row in _rows(path)])
    return [phrase for phrase in normalized if " " in phrase]


def _ends(phrases: Sequence[str], words: int) -> list[str]:
    return [" ".join(phrase.split(" ")[-words:]) for phrase in phrases]


def run(data: Path) -> list[tuple[str, float, float]]:
    """Every figure as (name, value, at least), in per cent."""
    detector = _Detector()
    by_language: defaultdict[str, list[str]] = defaultdict(list)
    for language, question in _rows(data / "language" / "questions_half.tsv"):
        by_language[language].append(question)
    questions = {language: normalise_batch(by_language[language])[0] for language in _WHOLE}

    whole = {language: detector.right(questions[language], language) for language in _WHOLE}
    figures = [("whole question, average of 14 languages", float(np.mean(list(whole.values()))), 99.5)]
    last_three = {language: detector.right(_ends(questions[language], 3), language) for language in _ENDS}
    figures += [(f"last 3 words, {language}", value, 92.0) for language, value in last_three.items()]
    last_two = [detector.right(_ends(questions[language], 2), language) for language in _ENDS]
    figures.append(("last 2 words, average of 6 languages", float(np.mean(last_two)), 90.0))

    portuguese = _keywords(data / "queries" / "pt_keywords.tsv")
    spanish = _keywords(data / "queries" / "es_keywords.tsv")
    figures += [
        ("Portuguese keywords, no market", detector.right(portuguese, "pt"), 86.0),
        ("Spanish keywords, no market", detector.right(spanish, "es"), 98.0),
        ("Portuguese keywords, market pt-BR", detector.right(portuguese, "pt", "pt-BR"), 97.0),
        ("Spanish keywords, market es-ES", detector.right(spanish, "es", "es-ES"), 99.0),
        ("English questions, market pt-BR", detector.right(questions["en"], "en", "pt-BR"), 95.0),
    ]
    honest, sure = detector.honest()
    figures += [
        ("answers with confidence >= 0.9 that are right", honest, 98.0),
        ("answers with confidence >= 0.9 of all answers", sure, 0.0),
    ]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="Print the language figures against their bounds.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation sets")
    missed = 0
    for name, value, at_least in run(parser.parse_args().data):
        missed += value < at_least
        print(f"{'ok  ' if value >= at_least else 'MISS'} {name:<48} {value:7.2f} %  >= {at_least:g}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
