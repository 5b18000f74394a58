"""Lexicons: which entry a word or phrase is, by language, shape, number and spelling; and tables of one's own."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.analysis.intent import read
from omnikeywords.analysis.lexicon import Lexicon, years_of
from omnikeywords.analysis.lexicon_tables import LEXICON_LANGUAGES, MOST_WORDS, read_tables
from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.analysis.words import Vocabulary
from omnikeywords.errors import InvalidInput


@cache
def shipped() -> Lexicon:
    return Lexicon.load()


def entries(phrase: str, language: str | None = None, lexicon: Lexicon | None = None) -> list[tuple[str, str]]:
    """Each entry of a phrase with its kind, as (text, kind)."""
    lexicon = lexicon or shipped()
    words = Vocabulary(lexicon.word_columns).look_up(normalise_batch([phrase])[0])
    index = np.array([LANGUAGES.index(language) if language else -1], np.int8)
    reading = read(words, lexicon, index)
    return [
        (" ".join(words.text[i : i + length]), lexicon.kinds[kind].name)
        for i, (kind, length) in enumerate(zip(reading.kind.tolist(), reading.length.tolist(), strict=True))
        if length
    ]


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("best running shoes", [("best", "compare"), ("running shoes", "product")]),
        ("how to clean shoes", [("how to", "how_to"), ("clean", "problem"), ("shoes", "product")]),
        ("dentist near me", [("dentist", "trade"), ("near me", "near")]),
        ("melhor custo benefício", [("melhor custo benefício", "compare")]),
        ("dentista cerca de mí", [("dentista", "trade"), ("cerca de mí", "near")]),
        ("zzq wuxa", [("zzq", "unknown"), ("wuxa", "unknown")]),
    ],
)
def test_the_longest_entry_stands(phrase: str, expected: list[tuple[str, str]]) -> None:
    assert entries(phrase) == expected


def test_accents_and_case_do_not_matter() -> None:
    assert entries("Preço", "pt") == [("preço", "price")]
    assert entries("PRECO", "pt") == [("preco", "price")]
    assert entries("sao paulo") == [("sao paulo", "place")]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("2024", "year"),
        ("1899", "number"),
        ("13", "number"),
        ("16:9", "number"),
        ("3.5", "number"),
        ("$100", "money"),
        ("r$50", "money"),
        ("20€", "money"),
        ("15%", "percent"),
        ("amazon.com", "domain"),
        ("www.vonage.co.uk", "domain"),
        ("https://example.org/a?b=c", "domain"),
        ("magazineluiza.com.br", "domain"),
        ("@nasa", "handle"),
        ("someone@example.com", "handle"),
        ("node.js", "technology"),
        ("asp.net", "unknown"),
        (".net", "unknown"),
    ],
)
def test_shapes_of_words(word: str, kind: str) -> None:
    assert entries(word) == [(word, kind)]


def test_years_are_read_from_their_tokens() -> None:
    tokens = shipped().word_columns(["1900", "2024", "2099"])["lexicon"]
    assert years_of(tokens).tolist() == [1900, 2024, 2099]


def test_singular_and_plural_are_one() -> None:
    assert entries("calculators") == [("calculators", "tool")]
    assert entries("plumbers") == [("plumbers", "trade")]
    assert entries("ferramenta", "pt") == [("ferramenta", "software")]
    assert entries("tattoo shops") == [("tattoo shops", "trade")]
    assert entries("vestidos de novia", "es") == [("vestidos de novia", "product")]


def test_possessives_and_elided_articles_are_looked_through() -> None:
    assert entries("walmart's") == [("walmart's", "site")]
    assert entries("l'hôtel", "fr") == [("l'hôtel", "lodging")]


@pytest.mark.parametrize("name", ["facebok", "youtub", "netflx", "spotfy", "instagran"])
def test_a_well_known_name_with_one_letter_wrong_is_known(name: str) -> None:
    assert entries(name) == [(name, "site")]


@pytest.mark.parametrize("word", ["version", "primary", "estados", "politics", "primera"])
def test_words_near_a_name_are_not_taken_for_it(word: str) -> None:
    assert entries(word) == [(word, "unknown")]


def test_names_of_several_words_are_known_written_as_one() -> None:
    assert entries("bankofamerica") == [("bankofamerica", "site")]
    assert entries("mercadolivre") == [("mercadolivre", "site")]


def test_the_language_decides_between_homographs() -> None:
    assert entries("zapatos o botas", "es") == [("zapatos", "product"), ("o", "choice"), ("botas", "product")]
    assert entries("o carro", "pt") == [("o", "stop"), ("carro", "product")]
    assert entries("new york ca", "en")[-1] == ("ca", "place")
    assert entries("ca", "es") == [("ca", "unknown")]


def test_some_words_count_only_at_the_start() -> None:
    assert entries("order pizza", "en")[0] == ("order", "buy_first")
    assert entries("byte order", "en")[1] == ("order", "unknown")
    assert entries("is it safe", "en")[0] == ("is it", "ask_other")


def test_entries_never_cross_phrases() -> None:
    lexicon = shipped()
    words = Vocabulary(lexicon.word_columns).look_up(["dentist near", "me now"])
    reading = read(words, lexicon, np.array([-1, -1], np.int8))
    assert reading.length.tolist() == [1, 1, 1, 1]


def test_of_overlapping_entries_the_longer_then_the_earlier_stands(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text(
        "kind\tlanguages\tphrases\nproduct\t*\tzza zzb, zzb zzc zzd, zzd zze\n", encoding="utf-8"
    )
    lexicon = Lexicon.load(folder=tmp_path)
    assert entries("zza zzb zzc zzd zze", lexicon=lexicon) == [
        ("zza", "unknown"),
        ("zzb zzc zzd", "product"),
        ("zze", "unknown"),
    ]
    assert entries("zzd zze zzd zze", lexicon=lexicon) == [("zzd zze", "product"), ("zzd zze", "product")]


def test_brands_of_ones_own_are_brands() -> None:
    lexicon = Lexicon.load(brands=["Acme Shoes", "Über-Zahn"])
    assert entries("acme shoes outlet", lexicon=lexicon)[0] == ("acme shoes", "brand")
    assert entries("uber-zahn", lexicon=lexicon) == [("uber-zahn", "brand")]
    assert entries("acme shoes")[0] == ("acme", "unknown")


@pytest.mark.parametrize("brand", ["", "???", "one two three four five six"])
def test_a_brand_that_is_none_is_refused(brand: str) -> None:
    with pytest.raises(InvalidInput, match="give names of 1 to 5"):
        Lexicon.load(brands=[brand])


def test_a_folder_of_ones_own_mends_the_shipped_tables(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text(
        "# a note\n\nkind\tlanguages\tphrases\nnone\t*\tbest\nproduct\ten pt\tquux(|es), Gadgét maior\n",
        encoding="utf-8",
    )
    lexicon = Lexicon.load(folder=tmp_path)
    assert entries("best quux", lexicon=lexicon) == [("best", "unknown"), ("quux", "product")]
    assert entries("quuxes", lexicon=lexicon) == [("quuxes", "product")]
    assert entries("gadget maior", lexicon=lexicon) == [("gadget maior", "product")]


def test_a_folder_may_add_kinds_and_replace_rules(tmp_path: Path) -> None:
    weights = "informational\tnavigational\tcommercial\ttransactional"
    (tmp_path / "kinds.tsv").write_text(
        f"kind\tclasses\t{weights}\tmodifier\tquestion\tflags\tabout\nplant\tproduct\t1\t0\t2.5\t0\tfeature\t\tlocal\n",
        encoding="utf-8",
    )
    (tmp_path / "rules.tsv").write_text(f"with\twithout\t{weights}\tabout\n\t\t7\t0\t0\t0\tever\n", encoding="utf-8")
    (tmp_path / "plants.tsv").write_text("kind\tlanguages\tphrases\nplant\t*\tficus\n", encoding="utf-8")
    lexicon = Lexicon.load(folder=tmp_path)
    assert entries("ficus", lexicon=lexicon) == [("ficus", "plant")]
    assert lexicon.interactions[0].tolist() == [700, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind\tlanguages\twords\nprice\ten\tx\n", "bad.tsv line 1: column 'words' is unknown"),
        ("kind\tphrases\nprice\tx\n", "bad.tsv line 1: column 'languages' is missing"),
        ("kind\tlanguages\tphrases\n\nprize\ten\tx\n", "bad.tsv line 3: kind 'prize' is not in kinds.tsv"),
        ("kind\tlanguages\tphrases\nprice\txx\tx\n", "bad.tsv line 2: language 'xx' is unknown"),
        ("kind\tlanguages\tphrases\nprice\t\tx\n", "bad.tsv line 2: languages are missing"),
        ("kind\tlanguages\tphrases\nprice\ten\ta b c d e f\n", "bad.tsv line 2: phrase 'a b c d e f' has 6 words"),
        ("kind\tlanguages\tphrases\nprice\ten\tx\ty\n", "bad.tsv line 2: 4 cells under 3 columns"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message.replace("'", ".")):
        Lexicon.load(folder=tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x\tnonsense\t0\t0\t0\t0\t\t\t\t", "class 'nonsense' is unknown"),
        ("x\t\theavy\t0\t0\t0\t\t\t\t", "informational 'heavy' is no weight"),
        ("x\t\t0\t0\t0\t99\t\t\t\t", "transactional '99' is no weight"),
        ("x\t\t0\t0\t0\t0\tweight\t\t\t", "modifier 'weight' is unknown"),
        ("x\t\t0\t0\t0\t0\t\thuh\t\t", "question 'huh' is unknown"),
        ("x\t\t0\t0\t0\t0\t\t\tshiny\t", "flag 'shiny' is unknown"),
        ("none\t\t0\t0\t0\t0\t\t\t\t", "kind 'none' cannot be a name"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(tmp_path: Path, row: str, message: str) -> None:
    columns = "kind\tclasses\tinformational\tnavigational\tcommercial\ttransactional\tmodifier\tquestion\tflags\tabout"
    (tmp_path / "kinds.tsv").write_text(f"{columns}\n{row}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=f"kinds.tsv line 2: {message}"):
        Lexicon.load(folder=tmp_path)


def test_a_file_that_is_no_utf8_or_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        Lexicon.load(folder=tmp_path / "nowhere")
    (tmp_path / "bad.tsv").write_bytes("kind\tlanguages\tphrases\nprice\tpt\tpreço\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"bad\.tsv: byte \d+ is not UTF-8"):
        Lexicon.load(folder=tmp_path)


def test_the_shipped_tables_are_small_and_broad() -> None:
    folder = Path(__file__).parents[2] / "src" / "omnikeywords" / "analysis" / "lexicons"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 600_000
    tables = read_tables((), None)
    kinds = [kind.name for kind in tables.kinds]
    names = {entry.words for entry in tables.entries.values() if kinds[entry.kind] in ("brand", "site", "maker")}
    assert len(names) > 600
    assert {kind for entry in tables.entries.values() for kind in [kinds[entry.kind]]} >= set(kinds) - {
        *("unknown", "number", "year", "money", "percent", "domain", "handle")
    }
    assert {code for entry in tables.entries.values() for code in entry.languages} == set(LEXICON_LANGUAGES)
    assert max(len(entry.words) for entry in tables.entries.values()) <= MOST_WORDS
