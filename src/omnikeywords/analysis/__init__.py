"""Keyword analysis: columns in, columns out, nothing else touched.

    analyse(["comprar tênis de corrida", "how to choose trail running shoes"]).rows()

Hides Unicode, language models, lexicons and the numeric work. One code path serves one phrase and ten million. Needs
numpy alone; tables are made with polars and pyarrow where they are asked for. `frequency.build_table` builds the table
of word frequencies that the first call expects (`okf warm` does).
"""

from omnikeywords.analysis.batch import MODEL_VERSION, Analysis, Kind, Options, analyse, load_models
from omnikeywords.analysis.duplicates import Duplicates, duplicates
from omnikeywords.analysis.score import Weights

__all__ = [
    "MODEL_VERSION",
    "Analysis",
    "Duplicates",
    "Kind",
    "Options",
    "Weights",
    "analyse",
    "duplicates",
    "load_models",
]
