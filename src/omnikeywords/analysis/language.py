"""The language of a phrase and how common its words are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from omnikeywords.analysis.frequency import LANGUAGES, ZIPF_STEPS, FrequencyTable
from omnikeywords.analysis.scripts import code_points

__all__ = ["LANGUAGES", "ZIPF_STEPS", "LanguageModel"]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Word frequencies and n-grams of all LANGUAGES."""

    table: FrequencyTable

    @classmethod
    def load(cls, path: Path) -> "LanguageModel":
        """Map the table at `path`; raises LanguageTableMissing where it cannot be used."""
        return cls(FrequencyTable.load(path))

    def word_columns(self, words: list[str]) -> dict[str, NDArray[Any]]:
        """Of n distinct words: `zipf` uint8 (n, languages), Zipf times ZIPF_STEPS, 0 where unknown."""
        return {"zipf": self.table.zipf_codes(code_points([word.casefold() for word in words]))}
