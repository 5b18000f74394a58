"""The table of word frequencies: built whole or not at all, refused when unfit, looked up in bulk."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wordfreq

from omnikeywords.analysis import frequency
from omnikeywords.analysis.frequency import (
    LANGUAGES,
    TABLE_VERSION,
    ZIPF_STEPS,
    FrequencyTable,
    build_table,
    default_table_path,
)
from omnikeywords.analysis.ngrams import BUCKETS, gram_counts, gram_log_odds, gram_scores
from omnikeywords.analysis.scripts import (
    SCRIPTS,
    code_points,
    fold,
    has_symbols,
    hash_rows,
    scripts_of,
    split_parts,
)
from omnikeywords.errors import LanguageTableMissing

# Words by Zipf frequency, as bins of 0.01 below 9 are: tiny lists that stand for wordfreq's.
_TINY = {
    "pt": {
        7.0: ["de"],
        6.5: ["000"],
        6.0: ["00", "0000"],
        5.5: ["música"],
        4.4: ["tênis", "7"],
        1.0: ["raríssimo"],
    },
    "es": {7.2: ["de"], 5.2: ["música"], 4.0: ["musica"]},
    "en": {7.7: ["the"], 4.0: ["tennis", "wi-fi"]},
    "de": {5.0: ["für", "strasse"]},
    "ru": {5.7: ["ещё"]},
    "zh": {5.0: ["中国"]},
    "ja": {5.0: ["日本", "です"]},
}


def _bins(words: dict[float, list[str]]) -> list[list[str]]:
    bins: list[list[str]] = [[] for _ in range(801)]
    for zipf, group in words.items():
        bins[round((9 - zipf) * 100)] = group
    return bins


class _TinyLists:
    def __call__(self, language: str) -> list[list[str]]:
        return _bins(_TINY.get(language, {5.0: ["x"]}))

    def cache_clear(self) -> None:
        pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("table") / "tiny.okflang"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordfreq, "get_frequency_list", _TinyLists())
        build_table(path)
        yield path


def _zipf(path: Path, word: str, language: str) -> float:
    codes = FrequencyTable.load(path).zipf_codes(code_points([word]))
    return round(float(codes[0, LANGUAGES.index(language)]) / ZIPF_STEPS, 2)


@pytest.mark.parametrize(
    ("word", "language", "zipf"),
    [
        ("música", "pt", 5.5),
        ("música", "es", 5.2),
        ("música", "en", 0),
        ("the", "en", 7.7),
        ("tennis", "en", 4.0),
        ("wi-fi", "en", 4.0),
        ("abacate", "pt", 0),
        ("", "pt", 0),
    ],
)
def test_a_listed_word_has_its_frequency_and_any_other_has_none(
    tiny: Path, word: str, language: str, zipf: float
) -> None:
    assert _zipf(tiny, word, language) == pytest.approx(zipf, abs=0.02)


def test_a_word_typed_without_accents_is_a_fifth_as_frequent_besides_its_own_count(tiny: Path) -> None:
    assert _zipf(tiny, "tenis", "pt") == pytest.approx(4.4 - 0.7, abs=0.02)
    # 10^4.0 of its own and a fifth of 10^5.2 are 41,700.
    assert _zipf(tiny, "musica", "es") == pytest.approx(4.62, abs=0.02)


def test_a_word_with_wrong_accents_is_found_by_its_bare_form(tiny: Path) -> None:
    assert _zipf(tiny, "tênïs", "pt") == pytest.approx(4.4 - 0.7, abs=0.02)


def test_umlauts_spelt_out_are_found(tiny: Path) -> None:
    assert _zipf(tiny, "fuer", "de") == pytest.approx(4.3, abs=0.02)


def test_traditional_characters_are_found(tiny: Path) -> None:
    assert _zipf(tiny, "中國", "zh") == pytest.approx(5.0 - 0.52, abs=0.02)


@pytest.mark.parametrize(
    ("number", "zipf"),
    [("7", 4.4), ("13", 4.0), ("2024", 4.0), ("5000", 2.0), ("365", 3.5), ("123456", 0)],
)
def test_a_number_shares_the_frequency_of_its_shape(tiny: Path, number: str, zipf: float) -> None:
    assert _zipf(tiny, number, "pt") == pytest.approx(zipf, abs=0.05)


def test_words_rarer_than_the_table_keeps_are_unknown(tiny: Path) -> None:
    assert _zipf(tiny, "raríssimo", "pt") == 0


def test_looking_up_many_words_is_looking_up_each(tiny: Path) -> None:
    table = FrequencyTable.load(tiny)
    words = ["música", "the", "nada", "tenis", "2024", "x" * 60, "ещё", "日本"]
    together = table.zipf_codes(code_points(words))
    alone = np.concatenate([table.zipf_codes(code_points([word])) for word in words])
    np.testing.assert_array_equal(together, alone)


def test_no_words_have_no_rows(tiny: Path) -> None:
    assert FrequencyTable.load(tiny).zipf_codes(code_points([])).shape == (0, len(LANGUAGES))


def test_the_licence_notice_lies_beside_the_table(tiny: Path) -> None:
    notice = tiny.with_name("tiny.okflang.NOTICE.txt").read_text(encoding="utf-8")
    assert "wordfreq" in notice
    assert "Attribution-ShareAlike 4.0" in notice


def test_a_missing_table_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LanguageTableMissing, match=r"none\.okflang' does not exist: build it with okf warm"):
        FrequencyTable.load(tmp_path / "none.okflang")


def test_a_folder_in_place_of_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LanguageTableMissing, match="cannot be read"):
        FrequencyTable.load(tmp_path)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda whole: b"", "is not a language table"),
        (lambda whole: b"PK\x03\x04" + whole[4:], "is not a language table"),
        (lambda whole: whole[:-1], "is cut short"),
        (lambda whole: whole[:5000], "is cut short"),
        (lambda whole: whole[:40] + b"\xff" + whole[41:], "is damaged"),
    ],
)
def test_a_harmed_table_is_refused(tiny: Path, tmp_path: Path, harm: object, reason: str) -> None:
    path = tmp_path / "harmed.okflang"
    path.write_bytes(harm(tiny.read_bytes()))  # type: ignore[operator]
    with pytest.raises(LanguageTableMissing, match=reason):
        FrequencyTable.load(path)


def test_a_table_of_another_version_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequency, "TABLE_VERSION", TABLE_VERSION + 1)
    with pytest.raises(LanguageTableMissing, match=f"is of version {TABLE_VERSION}, not {TABLE_VERSION + 1}"):
        FrequencyTable.load(tiny)


def test_verifying_reads_what_loading_does_not(tiny: Path, tmp_path: Path) -> None:
    FrequencyTable.verify(tiny)
    whole = bytearray(tiny.read_bytes())
    whole[-100] ^= 1
    path = tmp_path / "flipped.okflang"
    path.write_bytes(whole)
    FrequencyTable.load(path)
    with pytest.raises(LanguageTableMissing, match="is damaged"):
        FrequencyTable.verify(path)


def test_two_builds_at_once_leave_one_whole_table(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "both.okflang"
    builders = [threading.Thread(target=build_table, args=(path,)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    FrequencyTable.verify(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "both.okflang",
        "both.okflang.NOTICE.txt",
    ]


def test_a_build_that_fails_leaves_nothing_behind(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(frequency.os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        build_table(tmp_path / "full.okflang")
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_up_to_its_end(tiny: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build_table(tmp_path / "told.okflang", lambda *step: told.append(step))
    assert told[0] == ("words", 0, len(LANGUAGES))
    assert told[-1] == ("table", 1, 1)
    assert [done for stage, done, _ in told if stage == "words"] == list(range(len(LANGUAGES) + 1))


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", "XDG_DATA_HOME", ("omnikeywords",)),
        ("win32", "LOCALAPPDATA", ("omnikeywords",)),
        ("darwin", "HOME", ("Library", "Application Support", "omnikeywords")),
    ],
)
def test_the_default_place_is_the_platforms_own(
    platform: str, variable: str, folder: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert default_table_path() == tmp_path.joinpath(*folder, f"language-{TABLE_VERSION}.okflang")


def test_the_hash_of_a_word_does_not_depend_on_its_neighbours() -> None:
    alone = hash_rows(code_points(["mar"]))[0]
    beside = hash_rows(code_points(["arm", "mar", "otorrinolaringologista"]))
    assert beside[1] == alone
    assert len(set(beside.tolist())) == 3


@pytest.mark.parametrize(
    ("word", "script"),
    [
        ("hotel", "latin"),
        ("straße", "latin"),
        ("гостиница", "cyrillic"),
        ("ξενοδοχείο", "greek"),
        ("מלון", "hebrew"),
        ("فندق", "arabic"),
        ("होटल", "devanagari"),
        ("হোটেল", "bengali"),
        ("விடுதி", "tamil"),
        ("హోటల్", "telugu"),
        ("โรงแรม", "thai"),
        ("酒店", "han"),
        ("호텔", "hangul"),
        ("ホテル", "kana"),
        ("東京のホテル", "kana"),
        ("სასტუმრო", "other"),
        ("24/7", "common"),
        ("🍕", "common"),
    ],
)
def test_a_word_has_the_script_it_is_written_in(word: str, script: str) -> None:
    assert SCRIPTS[scripts_of(code_points([word]))[0]] == script


@pytest.mark.parametrize(
    ("word", "bare"),
    [
        ("coração", "coracao"),
        ("łódź", "lodz"),
        ("ρόδος", "ροδοσ"),
        ("ещё", "еще"),
        ("أحمد", "احمد"),
        ("ガス", "ガス"),
    ],
)
def test_folding_leaves_letters_as_hurried_people_type_them(word: str, bare: str) -> None:
    np.testing.assert_array_equal(fold(code_points([word])), code_points([bare]))


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("l'oréal", ["l", "oréal"]),
        ("mp3-player", ["mp", "player"]),
        ("24/7", []),
        ("क्या", ["क्या"]),
        ("می\u200cکند", ["می", "کند"]),
        ("サラ・コナー", ["サラ", "コナー"]),
    ],
)
def test_parts_of_a_word_are_its_runs_of_letters(word: str, parts: list[str]) -> None:
    assert split_parts(word) == parts


def test_letters_tell_languages_apart_that_were_counted() -> None:
    counts = np.zeros((BUCKETS, 2), np.float32)
    for column, words in enumerate((["nação", "canção", "avião", "balão"], ["nación", "canción", "avión", "balón"])):
        codes = code_points(words)
        counts[:, column] = gram_counts(codes, np.ones(len(words), np.float32))
    odds = gram_log_odds(counts, 0.05)
    scores = gram_scores(code_points(["porção", "porción", "日本", ""]), odds)
    assert scores[0, 0] > scores[0, 1] + 5
    assert scores[1, 1] > scores[1, 0] + 5
    np.testing.assert_array_equal(scores[3], 0)
    np.testing.assert_array_equal(gram_scores(code_points(["porción"]), odds)[0], scores[1])


def test_digits_and_marks_between_letters_are_symbols() -> None:
    words = ["wi-fi", "mp3", "l'oréal", "wifi", "क्या", "ホテル", ""]
    assert has_symbols(code_points(words)).tolist() == [True, True, True, False, False, False, False]
