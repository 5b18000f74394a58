"""Every tool's keyword export in, one table of observations out; and our own results back out to files.

Hides encodings, delimiters, preambles, languages of headers, locales of numbers, archives, and what each
vendor means by its columns. Callers see what a file was recognised as, its rows in batches, and every row
that was skipped with its reason.
"""

from omnikeywords.formats.columns import OBSERVATION_SCHEMA, Column
from omnikeywords.formats.export import Batch, Export, Skipped, open_export
from omnikeywords.formats.own import observations_as_file
from omnikeywords.formats.periods import Period
from omnikeywords.formats.records import SkippedRow

__all__ = [
    "OBSERVATION_SCHEMA",
    "Batch",
    "Column",
    "Export",
    "Period",
    "Skipped",
    "SkippedRow",
    "observations_as_file",
    "open_export",
]
