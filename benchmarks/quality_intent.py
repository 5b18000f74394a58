"""Measure intents against labelled keywords: `python benchmarks/quality_intent.py --data DIR`.

How labels are mapped:

- Real queries in three classes (ORCAS-I gold): Factual, Instrumental and Abstain are informational, and so is our
  commercial, which those labels do not have.
- Small clean and ambiguous sets with Local among the labels: a Local row is right where the local flag is set; for the
  others our commercial counts as informational.
- A vendor's multi-label intents: a phrase is commercial from features.COMMERCIAL_THRESHOLD on.
- Our own 400 phrases: the four classes as they are.

Phrases are read with the language that is detected, or with the labelled one where the file has it and detection is
not set up.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis.features import COMMERCIAL_THRESHOLD, Features, find
from omnikeywords.analysis.lexicon import Lexicon
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.words import Vocabulary
from omnikeywords.errors import LanguageTableMissing
from omnikeywords.model import INTENTS, Intent

__all__ = ["features_of", "run"]

LABELLED = Path(__file__).parent.parent / "tests" / "data" / "intent_labelled.tsv"
THREE = ("informational", "navigational", "transactional")

_ORCAS = {
    "Factual": "informational",
    "Instrumental": "informational",
    "Abstain": "informational",
    "Navigational": "navigational",
    "Transactional": "transactional",
}


def features_of(phrases: Sequence[str]) -> Features:
    """The features of phrases, in the language detected without a market."""
    from omnikeywords.analysis import analyse

    try:
        return analyse(phrases).features
    except LanguageTableMissing:
        lexicon = Lexicon.load()
        words = Vocabulary(lexicon.word_columns).look_up(normalise_batch(phrases)[0])
        return find(words, lexicon, np.full(len(phrases), -1, np.int8))


def named_intents(features: Features, commercial_is: Intent = Intent.COMMERCIAL) -> list[str]:
    """The winning intent of each phrase, with commercial read as another where a label set lacks it."""
    names = [str(commercial_is if intent is Intent.COMMERCIAL else intent) for intent in INTENTS]
    return [names[i] for i in features.intent.tolist()]


def accuracy(predicted: Sequence[str], labels: Sequence[str]) -> float:
    """The share of equal pairs."""
    return sum(p == label for p, label in zip(predicted, labels, strict=True)) / len(labels)


def macro_f1(predicted: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> float:
    """The mean over classes of the harmonic mean of precision and recall."""
    pairs = list(zip(predicted, labels, strict=True))
    return float(np.mean([f1([p == c for p, _ in pairs], [label == c for _, label in pairs]) for c in classes]))


def f1(predicted: Sequence[bool] | NDArray[np.bool_], actual: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall, 0 where nothing is both."""
    p, a = np.asarray(predicted, bool), np.asarray(actual, bool)
    return float(2 * (p & a).sum() / max(1, p.sum() + a.sum()))


def _rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
        return [
            {k.strip(): (v or "").strip() for k, v in row.items() if isinstance(k, str) and not isinstance(v, list)}
            for row in csv.DictReader(file, delimiter=delimiter, quoting=quoting)
        ]


def _orcas(path: Path) -> list[tuple[str, float, float]]:
    rows = _rows(path, "\t")
    labels = [_ORCAS[row["label_manual"]] for row in rows]
    predicted = named_intents(features_of([row["query"] for row in rows]), Intent.INFORMATIONAL)
    return [
        ("intent, real queries in 3 classes, accuracy", accuracy(predicted, labels), 0.88),
        ("intent, real queries in 3 classes, macro F1", macro_f1(predicted, labels, THREE), 0.77),
    ]


def _with_local(path: Path, column: str) -> float:
    rows = _rows(path)
    features = features_of([row["query"] for row in rows])
    predicted = named_intents(features, Intent.INFORMATIONAL)
    right = [
        bool(features.local[i]) if row[column] == "Local" else predicted[i] == row[column].lower()
        for i, row in enumerate(rows)
    ]
    return sum(right) / len(right)


def run(data: Path) -> list[tuple[str, float, float]]:
    """Every figure as (name, value, least value to reach); sets that are not under `data` are left out."""
    figures: list[tuple[str, float, float]] = []
    folder = data / "intent"
    if (path := folder / "orcas_i_gold_half.tsv").exists():
        figures += _orcas(path)
    if (path := folder / "parker_bakken" / "dataset.csv").exists():
        figures.append(("intent and local flag, clean set, accuracy", _with_local(path, "intent"), 0.95))
    if (path := folder / "parker_bakken" / "dataset_ambiguous.csv").exists():
        figures.append(("intent and local flag, ambiguous set, accuracy", _with_local(path, "chosen_intent"), 0.68))
    if (path := folder / "silver_ahrefs.csv").exists():
        rows = [row for row in _rows(path) if row["keyword"]]
        commercial = features_of([row["keyword"] for row in rows]).intents[:, INTENTS.index(Intent.COMMERCIAL)]
        labels = ["C" in row["intents"].split("|") for row in rows]
        figures.append(("commercial, a vendor's labels, F1", f1(commercial >= COMMERCIAL_THRESHOLD, labels), 0.65))
    if LABELLED.exists():
        rows = _rows(LABELLED, "\t")
        predicted = named_intents(features_of([row["phrase"] for row in rows]))
        labels = [row["intent"] for row in rows]
        figures.append(
            ("intent, 400 labelled phrases in pt, es, en, macro F1", macro_f1(predicted, labels, list(INTENTS)), 0.80)
        )
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled sets")
    for name, value, bound in run(parser.parse_args().data):
        print(f"{'ok  ' if value >= bound else 'LOW '} {value:6.3f}  at least {bound:.2f}  {name}")
