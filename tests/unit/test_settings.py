"""Settings come from the environment, once, and nothing wrong in it passes unnoticed."""

import dataclasses
from pathlib import Path

import pytest

from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.errors import InvalidSetting
from omnikeywords.settings import TABLE, Settings, available_cores, default_data_dir, settings_page

DOCS = Path(__file__).parents[2] / "docs"


def refused(**environ: str) -> str:
    with pytest.raises(InvalidSetting) as caught:
        Settings.load(environ)
    assert caught.value.code == "invalid_setting"
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    settings = Settings.load({"PATH": "/bin", "HOME": "/root"})
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.data_dir == default_data_dir()
    assert settings.language_table is None
    assert settings.brands == ()
    assert settings.analyze_max_keywords == 1000
    assert settings.workers == available_cores() >= 1
    assert settings.given == frozenset()


def test_each_kind_of_value_is_read() -> None:
    settings = Settings.load(
        {
            "OKF_DATA_DIR": "/srv/okf",
            "OKF_PORT": "9000",
            "OKF_MAX_BODY_BYTES": "1_000_000",
            "OKF_BRANDS": "acme, Contoso Shoes,acme,",
            "OKF_ACCESS_LOG": "on",
            "OKF_LOG_FORMAT": "TEXT",
            "OKF_CORS_ORIGINS": "https://app.example.com,http://localhost:3000",
        }
    )
    assert settings.data_dir == Path("/srv/okf")
    assert settings.port == 9000
    assert settings.max_body_bytes == 1_000_000
    assert settings.brands == ("acme", "Contoso Shoes")
    assert settings.access_log is True
    assert settings.log_format == "text"
    assert settings.cors_origins == ("https://app.example.com", "http://localhost:3000")
    assert "OKF_PORT" in settings.given


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.load({}).port = 1  # type: ignore[misc]


def test_what_is_made_of_settings_can_be_kept_by_them() -> None:
    servers = {"OKF_DATABASE_SERVERS": "west=postgresql://west/okf"}
    assert {Settings.load(servers): 1}[Settings.load(servers)] == 1
    assert Settings.load(servers) != Settings.load({})


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    assert refused(OKF_PROT="1") == "OKF_PROT is not a setting: did you mean OKF_PORT?"
    assert refused(OKF_LOGLEVEL="info") == "OKF_LOGLEVEL is not a setting: did you mean OKF_LOG_LEVEL?"
    assert refused(OKF_ZZZ="1") == "OKF_ZZZ is not a setting: `okf settings` lists those there are"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OKF_PORT", "http", "OKF_PORT='http' cannot be used: give a whole number from 0 to 65535"),
        ("OKF_PORT", "65536", "OKF_PORT='65536' cannot be used: give a whole number from 0 to 65535"),
        ("OKF_WORKERS", "0", "OKF_WORKERS='0' cannot be used: give a whole number from 1 to 256 (processes)"),
        ("OKF_LOG_LEVEL", "loud", "OKF_LOG_LEVEL='loud' cannot be used: use debug, info, warning or error"),
        ("OKF_ACCESS_LOG", "maybe", "OKF_ACCESS_LOG='maybe' cannot be used: use on or off"),
        ("OKF_HOST", " ", "OKF_HOST=' ' cannot be used: it must not be empty"),
        (
            "OKF_CORS_ORIGINS",
            "example.com",
            "OKF_CORS_ORIGINS='example.com' cannot be used: 'example.com' is no origin: "
            "write it as https://example.com, or * for any",
        ),
    ],
)
def test_a_wrong_value_is_quoted_beside_what_is_allowed(name: str, value: str, said: str) -> None:
    assert refused(**{name: value}) == said


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    brands = tmp_path / "brands"
    brands.write_text("acme\nCafé Lisboa\n", encoding="utf-8")
    settings = Settings.load({"OKF_BRANDS_FILE": str(brands)})
    assert settings.brands == ("acme", "Café Lisboa")
    assert settings.given == {"OKF_BRANDS"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert refused(OKF_BRANDS_FILE=str(missing)) == (
        f"OKF_BRANDS_FILE: cannot read {str(missing)!r} (no such file or directory): name a readable text file"
    )
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "(not UTF-8)" in refused(OKF_BRANDS_FILE=str(binary))


def test_a_value_and_its_file_are_not_both_taken(tmp_path: Path) -> None:
    assert refused(OKF_BRANDS="a", OKF_BRANDS_FILE=str(tmp_path)) == (
        "OKF_BRANDS and OKF_BRANDS_FILE are both set: keep one of them"
    )


def test_what_kubernetes_adds_for_a_service_is_left_aside() -> None:
    settings = Settings.load(
        {
            "OKF_SERVICE_HOST": "10.0.0.7",
            "OKF_SERVICE_PORT": "8080",
            "OKF_SERVICE_PORT_HTTP": "8080",
            "OKF_PORT": "tcp://10.0.0.7:8080",
            "OKF_PORT_8080_TCP": "tcp://10.0.0.7:8080",
            "OKF_PORT_8080_TCP_ADDR": "10.0.0.7",
            "OKF_ANALYZER_SERVICE_HOST": "10.0.0.8",
            "OKF_ANALYZER_PORT": "tcp://10.0.0.8:8080",
        }
    )
    assert settings.port == 8080
    assert settings.given == frozenset()


def test_the_language_table_is_in_the_data_folder_unless_it_is_named() -> None:
    named = Settings.load({"OKF_LANGUAGE_TABLE": "/srv/table.okflang"})
    assert named.language_table_path == Path("/srv/table.okflang")
    moved = Settings.load({"OKF_DATA_DIR": "/srv/okf"})
    assert moved.language_table_path.parent == Path("/srv/okf")
    assert moved.language_table_path.name.endswith(".okflang")


def test_the_default_place_is_the_one_that_analysis_looks_in() -> None:
    assert Settings.load({}).language_table_path == default_table_path()


def test_the_table_and_the_type_name_the_same_settings() -> None:
    fields = [field.name for field in dataclasses.fields(Settings) if field.name != "given"]
    assert [setting.field for setting in TABLE] == fields


def test_rows_show_each_setting_as_it_stands() -> None:
    rows = {row.name: row for row in Settings.load({"OKF_PORT": "9000", "OKF_BRANDS": "a,b"}).rows()}
    assert list(rows) == [setting.name for setting in TABLE]
    assert (rows["OKF_PORT"].value, rows["OKF_PORT"].given) == ("9000", True)
    assert (rows["OKF_HOST"].value, rows["OKF_HOST"].given) == ("127.0.0.1", False)
    assert rows["OKF_BRANDS"].value == "a, b"
    assert rows["OKF_LANGUAGE_TABLE"].value == ""
    assert rows["OKF_ACCESS_LOG"].value == "off"


def test_the_page_of_settings_is_current() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: python -m omnikeywords.settings > docs/settings.md"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("50", (50, 100, False)),
        ("50/200", (50, 200, False)),
        ("0.5/1/exact", (0.5, 1, True)),
        ("7/exact", (7, 14, True)),
        ("none", None),
        ("0", None),
    ],
)
def test_limits_of_keys_are_read(text: str, limit: tuple[float, int, bool] | None) -> None:
    assert Settings.load({"OKF_RATE_LIMIT": text}).rate_limit == limit
    assert Settings.load({"OKF_RATE_LIMITS": f"k1={text}, k2=3"}).rate_limits == {"k1": limit, "k2": (3, 6, False)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OKF_RATE_LIMIT", "fast"),
        ("OKF_RATE_LIMIT", "-1"),
        ("OKF_RATE_LIMIT", "5/0"),
        ("OKF_RATE_LIMIT", "5/000"),
        ("OKF_RATE_LIMITS", "50/200"),
        ("OKF_RATE_LIMITS", "k1=fast"),
        ("OKF_REDIS_URL", "localhost:6379"),
        ("OKF_REDIS_URL", ","),
    ],
)
def test_a_limit_or_address_that_is_none_is_told(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name}=.*(write|empty)"):
        Settings.load({name: text})


def test_what_is_shown_of_redis_and_limits_can_be_read_and_tells_no_password() -> None:
    shown = {
        row.name: row.value
        for row in Settings.load(
            {
                "OKF_REDIS_URL": "redis://app:secret@one:6379,redis://two:6379",
                "OKF_RATE_LIMIT": "50/200/exact",
                "OKF_RATE_LIMITS": "k1=5,k2=none",
            }
        ).rows()
    }
    assert shown["OKF_REDIS_URL"] == "redis://app:***@one:6379, redis://two:6379"
    assert shown["OKF_RATE_LIMIT"] == "50/200/exact"
    assert shown["OKF_RATE_LIMITS"] == "k1=5/10, k2=none"


def test_indexes_of_two_databases_lie_apart() -> None:
    """Whoever has two catalogues finds in each what is in it, although both have the same data folder."""
    here = Settings.load({"OKF_DATA_DIR": "/srv/okf"})
    first, second = (
        Settings.load({"OKF_DATA_DIR": "/srv/okf", "OKF_DATABASE_URL": f"postgresql://okf:{secret}@{host}/okf"})
        for secret, host in (("a", "one"), ("a", "two"))
    )
    changed = Settings.load({"OKF_DATA_DIR": "/srv/okf", "OKF_DATABASE_URL": "postgresql://okf:b@one/okf"})
    assert len({here.search_folder, first.search_folder, second.search_folder}) == 3
    assert changed.search_folder == first.search_folder, "another password is no other database"
    assert first.search_folder.parent == Path("/srv/okf/search")
    assert here.search_folder == Path("/srv/okf/catalogue.search")
    file = Settings.load({"OKF_DATA_DIR": "/srv/okf", "OKF_DATABASE_URL": "sqlite:////home/ana/shop.sqlite3"})
    assert file.search_folder == Path("/home/ana/shop.search"), "it goes where its catalogue goes"
