"""From a table's columns to observations: what each means is settled once, then applied block by block."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from omnikeywords.formats.cells import (
    ads_keywords,
    ads_match_types,
    blank,
    competition_level,
    currency_code,
    mapped,
    said,
    split_list,
    trend,
)
from omnikeywords.formats.columns import (
    COUNT_FIELDS,
    NUMBER_FIELDS,
    OBSERVATION_SCHEMA,
    Column,
    Header,
    Recognised,
)
from omnikeywords.formats.google_ads import PLANNER_BUCKETS, match_type_of
from omnikeywords.formats.keyword_rows import KeywordRows
from omnikeywords.formats.markets import market_with_region
from omnikeywords.formats.numbers import (
    MISSING,
    Decimals,
    Number,
    Numbers,
    read_number,
    read_numbers,
)
from omnikeywords.formats.periods import DayOrder, Period, period_of_cell
from omnikeywords.formats.records import Block, SkippedRow, as_text
from omnikeywords.model import Market

__all__ = ["Plan"]

_SCALE_ROWS = 5_000  # of the first block, by which a scale is told
# The smallest and largest number of a field: what is beyond is a mistake of somebody's.
_ANY_AMOUNT = (0.0, 9e15)
_LIMITS = {
    "difficulty": (0.0, 100.0),
    "competition": (0.0, 1.0),
    "position": (1.0, 10_000.0),  # no results page goes on so far
}


def _where(cells: pl.Series, then: pl.Series, otherwise: pl.Series | None = None) -> pl.Series:
    """Those cells of one series, and of the other, or none, where they are not meant."""
    chosen = pl.when(cells).then(then)
    return pl.select(chosen if otherwise is None else chosen.otherwise(otherwise)).to_series()


class Plan:
    """What a table's columns mean, and how its blocks become observations.

    Built from the header, the recognised format and a first block, in which decimal marks, scales and ranges
    are looked for; later blocks only add to what is known.
    """

    def __init__(
        self,
        header: Header,
        recognised: Recognised,
        sample: pl.DataFrame,
        *,
        market: Market | None,
        market_known: str | None,
        period: Period | None,
        currency: str | None = None,
        semicolons: bool = False,
        preamble: Sequence[str] = (),
    ) -> None:
        self.header = header
        self.recognised = recognised
        self.tool = recognised.tool
        self.market = market
        self._market = market_known or (str(market) if market else None)
        self.period = period
        self.currency = currency
        self._of: dict[str, int] = {}  # field to column
        self._extra: list[int] = []
        self._known: dict[int, tuple[str, dict[str, Number | None]]] = {}
        self.columns: list[Column] = []
        self.unread: Counter[tuple[str, str]] = Counter()  # cells kept in extra, by header and what they are
        self.unread_example: dict[tuple[str, str], tuple[str, int]] = {}
        self.oddities: Counter[str] = Counter()  # numbers that cannot be, by what is wrong
        self._settle(sample)
        self._rows = KeywordRows(header, self.keyword_column, totals=recognised.totals, preamble=preamble)
        numeric = {i: field in COUNT_FIELDS for field, i in self._of.items() if field in NUMBER_FIELDS}
        self._decimals = Decimals(numeric, everywhere="," if semicolons else ".")
        self._decimals.learn(sample)
        self._day_order = DayOrder()
        self._scales = {  # what 1.0 is in the file; cells with a percent sign say so themselves
            "ctr": self._ctr_scale(sample),
            "competition": recognised.competition_scale or self._competition_scale(sample),
        }
        self._buckets_without_months = recognised.buckets and self._only_buckets(sample)
        self._single_currency(sample)

    # --- settling what columns mean

    def _settle(self, sample: pl.DataFrame) -> None:
        header, found = self.header, self.recognised
        wanted: dict[str, tuple[int, int]] = {}  # field to (rank, column)
        for i in range(len(header)):
            if i in found.months or i in found.trends or i in found.flags:
                continue
            if i in found.fields:
                field, rank = found.fields[i], -1
            else:
                field, rank = header.aliases[i] or (None, 0)
            if field == "competition_level" and self._is_numeric(sample, i):
                field = "competition"
            if field is None or (field in NUMBER_FIELDS and not self._may_be_numeric(sample, i)):
                continue
            if field not in wanted or rank < wanted[field][0]:
                wanted[field] = (rank, i)
        self._of = {field: i for field, (_, i) in wanted.items()}
        if found.dated_positions:
            self._of.pop("position", None)
            self._of.pop("date", None)
        field_of = {i: field for field, i in self._of.items()}
        for i, name in enumerate(header.distinct):
            note = found.notes.get(i, "")
            shown: str | None = field_of.get(i)
            if i in found.months:
                shown, note = "monthly_searches", found.months[i]
            elif i in found.trends:
                shown, note = "monthly_searches", f"{found.trends[i][0]} to {found.trends[i][-1]}"
            elif i in found.flags:
                shown, note = "vendor_intent", "where it is true"
            elif shown == "date":
                shown, note = "period_start", note or "the day of each row"
            elif shown is None and not note:
                alias = header.aliases[i]
                if alias and alias[0] in self._of:
                    note = f"another column has {alias[0].replace('_', ' ')}: kept as it is"
                elif alias and alias[0] in NUMBER_FIELDS:
                    note = "no numbers in it: kept as it is"
            if shown is None or i in found.keep:
                self._extra.append(i)
            self.columns.append(Column(name, shown, note))

    @property
    def keyword_column(self) -> int:
        """The column that the keywords are in."""
        return self._of["keyword"]

    def _texts(self, frame: pl.DataFrame, column: int) -> pl.Series:
        return as_text(frame[str(column)])

    def _cells(self, sample: pl.DataFrame, column: int) -> list[str]:
        """Distinct cells of a column's sample that say something, at most 1,000."""
        if str(column) not in sample.columns:
            return []
        texts = self._texts(sample, column).drop_nulls().str.strip_chars().unique(maintain_order=True)
        return [text for text in texts.head(1000) if text.casefold() not in MISSING]

    def _is_numeric(self, sample: pl.DataFrame, column: int) -> bool:
        cells = self._cells(sample, column)
        return bool(cells) and all(read_number(cell) is not None for cell in cells)

    def _may_be_numeric(self, sample: pl.DataFrame, column: int) -> bool:
        cells = self._cells(sample, column)
        return not cells or any(read_number(cell) is not None for cell in cells)

    def _values(self, sample: pl.DataFrame, field: str) -> pl.Series:
        """The numbers of a field in the sample's rows; none where there is no such column."""
        if field not in self._of or not sample.height:
            return pl.Series(dtype=pl.Float64)
        column = self._of[field]
        return read_numbers(sample[str(column)].head(_SCALE_ROWS), self._decimals.of(column)).value

    def _has_percent(self, sample: pl.DataFrame, field: str) -> bool:
        return field in self._of and any("%" in cell for cell in self._cells(sample, self._of[field]))

    def _competition_scale(self, sample: pl.DataFrame) -> float:
        """100 where more numbers are above 1 than between 0 and 1."""
        values = self._values(sample, "competition").unique()
        if self._has_percent(sample, "competition"):
            return 1.0
        return 100.0 if (values > 1).sum() > ((values > 0) & (values < 1)).sum() else 1.0

    def _ctr_scale(self, sample: pl.DataFrame) -> float:
        """100 where clicks and impressions say so; where they do not, if a tenth of the numbers are above 1."""
        values = self._values(sample, "ctr")
        if self._has_percent(sample, "ctr") or not len(values):
            return 1.0
        clicks, impressions = self._values(sample, "clicks"), self._values(sample, "impressions")
        if len(clicks) and len(impressions):
            share = clicks / impressions
            telling = share.is_finite() & (share > 0.02)
            near = 0.006 + share * 0.1
            fractions = (((values - share).abs() <= near) & telling).sum()
            percents = (((values / 100 - share).abs() <= near) & telling).sum()
            if fractions != percents:
                return 100.0 if percents > fractions else 1.0
        above = (values > 1).sum()
        return 100.0 if above and 10 * above >= (values > 0).sum() else 1.0

    def _only_buckets(self, sample: pl.DataFrame) -> bool:
        """Whether a planner file without months has nothing but the volumes of low-spend accounts."""
        if self.recognised.months or "volume" not in self._of:
            return False
        volumes = {
            number.value for cell in self._cells(sample, self._of["volume"]) if (number := read_number(cell, ""))
        }
        volumes.discard(None)
        return bool(volumes - {0.0}) and volumes <= set(map(float, PLANNER_BUCKETS))

    def single_market(self, sample: pl.DataFrame) -> Market | None:
        """The market that every cell of the sample names, where they agree."""
        if "market" not in self._of:
            return None
        cells = self._cells(sample, self._of["market"])
        named = {market_with_region(cell, self.market) for cell in cells}
        one = named.pop() if len(named) == 1 else None
        return Market.parse(one) if one else None

    def _single_currency(self, sample: pl.DataFrame) -> None:
        """The file's currency, where its header or every cell of the sample names the same one."""
        if self.currency:
            return
        if "currency" in self._of:
            codes = {code for cell in self._cells(sample, self._of["currency"]) if (code := currency_code(cell))}
            self.currency = codes.pop() if len(codes) == 1 else None
            return
        for field in ("cpc", "cost"):
            if field in self._of:
                column = self._of[field]
                self.currency = self.currency or self.header.currencies[column]
                named = {n.currency for cell in self._cells(sample, column) if (n := read_number(cell)) and n.currency}
                if len(named) == 1:
                    self.currency = self.currency or named.pop()

    # --- applying

    def apply(self, block: Block) -> tuple[pl.DataFrame, list[SkippedRow]]:
        """Observations of a block's rows (`OBSERVATION_SCHEMA` and `extra`), and rows without a keyword."""
        frame, lines, skipped = self._rows.of(block)
        self._decimals.learn(frame)
        made: dict[str, pl.Series] = {"line": lines}
        leftover: dict[int, pl.Series] = {}
        keyword = self._texts(frame, self.keyword_column)
        if self.recognised.ads_syntax:
            made["match_type"] = ads_match_types(keyword)
            keyword = ads_keywords(keyword)
        made["keyword"] = keyword
        currencies: list[pl.Series] = []
        for field, column in self._of.items():
            if field in NUMBER_FIELDS:
                self._number(field, column, frame, made, leftover, currencies)
        self._planner_buckets(frame, made)
        self._derived_texts(frame, made, leftover)
        self._currency(frame, made, leftover, currencies)
        self._months(frame, made, leftover)
        self._intents(frame, made, leftover)
        self._dates(frame, made, leftover)
        self._check(frame, made, leftover)
        made["extra"] = self._extras(frame, leftover)
        have = pl.DataFrame([series.alias(name) for name, series in made.items()])
        constants: dict[str, str | date | None] = {"source": self.tool, "market": self._market}
        if self.period:
            constants |= {
                "period_start": self.period.start,
                "period_end": self.period.end,
                "period_granularity": self.period.granularity,
                "period_from": self.period.known_from,
            }
        select = []
        for name, dtype in OBSERVATION_SCHEMA.items():
            if name not in made:
                select.append(pl.lit(constants.get(name), dtype=dtype).alias(name))
            elif name in constants and constants[name] is not None:
                select.append(pl.col(name).fill_null(pl.lit(constants[name])).cast(dtype))
            else:
                select.append(pl.col(name).cast(dtype))
        return have.select(*select, pl.col("extra")), skipped

    def add_columns(self, names: Sequence[str]) -> None:
        """More columns, found later in a file whose rows name their own (JSONL): all are kept verbatim."""
        for name in names[len(self.header) :]:
            self._extra.append(len(self.header))
            self.header.append(name)
            self.columns.append(Column(self.header.distinct[-1], None))

    def _keep(
        self,
        column: int,
        cells: pl.Series | None,
        what: str,
        frame: pl.DataFrame,
        made: Mapping[str, pl.Series],
        leftover: dict[int, pl.Series],
    ) -> None:
        """Keep cells (Boolean) of a column in `extra`, and count them for the warnings as what they are, if told."""
        if cells is None or not cells.any():
            return
        leftover[column] = leftover[column] | cells if column in leftover else cells
        if what:
            of = self.header.distinct[column], what
            self.unread[of] += int(cells.sum())
            first = cells.arg_true()[0]
            self.unread_example.setdefault(of, (str(frame[str(column)][first]), int(made["line"][first])))

    def _number(
        self,
        field: str,
        column: int,
        frame: pl.DataFrame,
        made: dict[str, pl.Series],
        leftover: dict[int, pl.Series],
        currencies: list[pl.Series],
    ) -> None:
        texts = frame[str(column)]
        percent: pl.Series | None = None  # cells with that sign
        if texts.dtype == pl.String:
            if texts.str.contains("%", literal=True).any():
                if field == "difficulty":
                    texts = texts.str.replace("%", "", literal=True)
                else:
                    percent = texts.str.contains("%", literal=True).fill_null(False)
            decimal = self._decimals.of(column)
            known = self._known.get(column)
            if known is None or known[0] != decimal:
                known = self._known[column] = (decimal, {})
            numbers = read_numbers(texts, decimal, known[1])
        else:
            numbers = read_numbers(texts, ".")
        value = numbers.value
        if numbers.currency is not None:
            currencies.append(numbers.currency)
        unread = numbers.unreadable
        if field not in self._scales:
            if percent is not None:  # of what?
                unread = percent if unread is None else unread | percent
                value = _where(~percent, value)
        elif self._scales[field] != 1.0:
            scaled = value / self._scales[field]
            value = scaled if percent is None else _where(percent, value, scaled)
        self._bounds(field, column, numbers, frame, made, leftover)
        if field != "volume":
            self._keep(column, numbers.is_range, "no number", frame, made, leftover)
        self._keep(column, unread, "no number", frame, made, leftover)
        if field == "position":
            nowhere = (value == 0).fill_null(False)
            if nowhere.any():
                self.oddities["position 0, read as not ranking"] += int(nowhere.sum())
                value = _where(~nowhere, value)
        value = self._possible(field, column, value, frame, made, leftover)
        if field in made and field in ("volume_min", "volume_max"):
            value = made[field].fill_null(value)
        made[field] = value

    def _bounds(
        self,
        field: str,
        column: int,
        numbers: Numbers,
        frame: pl.DataFrame,
        made: dict[str, pl.Series],
        leftover: dict[int, pl.Series],
    ) -> None:
        """The ranges among the cells of a volume."""
        if field != "volume" or numbers.low is None or numbers.high is None:
            return
        for name, bound in (("volume_min", numbers.low), ("volume_max", numbers.high)):
            made[name] = self._possible(name, column, bound, frame, made, leftover)

    def _possible(
        self,
        field: str,
        column: int,
        value: pl.Series,
        frame: pl.DataFrame,
        made: Mapping[str, pl.Series],
        leftover: dict[int, pl.Series],
    ) -> pl.Series:
        """The numbers that a field can have, counts as whole ones; the others are kept in `extra`."""
        low, high = _LIMITS.get(field, _ANY_AMOUNT)
        least, most = value.min(), value.max()
        if isinstance(least, int | float) and isinstance(most, int | float) and (least < low or most > high):
            wrong = ((value < low) | (value > high)).fill_null(False)
            self._keep(column, wrong, "out of range", frame, made, leftover)
            value = _where(~wrong, value)
        if field in COUNT_FIELDS:
            whole = value.round()
            self._keep(column, (whole != value).fill_null(False), "no whole number, rounded", frame, made, leftover)
            value = whole.cast(pl.Int64, strict=False)
        return value

    def _planner_buckets(self, frame: pl.DataFrame, made: dict[str, pl.Series]) -> None:
        """Volumes of a low-spend account are ranges: in a file of nothing else, or beside empty months."""
        if not self.recognised.buckets or "volume" not in made:
            return
        volume = made["volume"]
        bucket = volume.is_in(list(PLANNER_BUCKETS)).fill_null(False)
        if self.recognised.months:
            for column in self.recognised.months:
                bucket &= blank(self._texts(frame, column))
        elif not self._buckets_without_months:
            return
        if not bucket.any():
            return
        for name, end in (("volume_min", 0), ("volume_max", 1)):
            bound = volume.replace_strict(
                list(PLANNER_BUCKETS),
                [bounds[end] for bounds in PLANNER_BUCKETS.values()],
                default=None,
                return_dtype=pl.Int64,
            )
            old = made.get(name, pl.repeat(None, len(volume), dtype=pl.Int64, eager=True))
            made[name] = pl.select(pl.when(bucket & old.is_null()).then(bound).otherwise(old)).to_series()
        made["volume"] = pl.select(pl.when(~bucket).then(volume)).to_series()
        self.oddities["volume of a low-spend account, read as the range it stands for"] += int(bucket.sum())

    def _derived_texts(self, frame: pl.DataFrame, made: dict[str, pl.Series], leftover: dict[int, pl.Series]) -> None:
        for field in ("url", "parent_keyword"):
            if field in self._of:
                made[field] = said(self._texts(frame, self._of[field]))
        if "match_type" in self._of:
            stated = mapped(said(self._texts(frame, self._of["match_type"])), match_type_of)
            made["match_type"] = stated.fill_null(made["match_type"]) if "match_type" in made else stated
        if "competition_level" in self._of:
            column = self._of["competition_level"]
            stated = said(self._texts(frame, column))
            made["competition_level"] = mapped(stated, competition_level)
            lost = stated.is_not_null() & made["competition_level"].is_null()
            if lost.any():
                leftover[column] = lost
        if "serp_features" in self._of:
            made["serp_features"] = split_list(said(self._texts(frame, self._of["serp_features"])))
        if "market" in self._of:
            column = self._of["market"]
            stated = said(self._texts(frame, column))
            made["market"] = mapped(stated, lambda text: market_with_region(text, self.market))
            lost = stated.is_not_null() & made["market"].is_null()
            if lost.any():
                leftover[column] = lost

    def _currency(
        self,
        frame: pl.DataFrame,
        made: dict[str, pl.Series],
        leftover: dict[int, pl.Series],
        currencies: list[pl.Series],
    ) -> None:
        named: pl.Series | None = None
        if "currency" in self._of:
            stated = said(self._texts(frame, self._of["currency"]))
            named = mapped(stated, currency_code)
            unknown = stated.is_not_null() & (stated.str.strip_chars() != "") & named.is_null()
            self._keep(self._of["currency"], unknown, "", frame, made, leftover)
        for currency in currencies:
            named = currency if named is None else named.fill_null(currency)
        of_header = next(
            (code for f in ("cpc", "cost") if f in self._of and (code := self.header.currencies[self._of[f]])),
            None,
        )
        if of_header:
            money = [made[field].is_not_null() for field in ("cpc", "cost") if field in made]
            has_money = money[0] if len(money) == 1 else money[0] | money[1]
            codes = pl.select(pl.when(has_money).then(pl.lit(of_header))).to_series()
            named = codes if named is None else named.fill_null(codes)
        if named is not None:
            made["currency"] = named

    def _months(self, frame: pl.DataFrame, made: dict[str, pl.Series], leftover: dict[int, pl.Series]) -> None:
        if self.recognised.months:
            read: dict[str, pl.Series] = {}
            for column, month in sorted(self.recognised.months.items(), key=lambda pair: pair[1]):
                cells = read_numbers(frame[str(column)], "")
                self._keep(column, cells.unreadable, "no number", frame, made, leftover)
                self._keep(column, cells.is_range, "no number", frame, made, leftover)
                searches = self._possible("volume", column, cells.value, frame, made, leftover)
                if month in read:  # a month twice: what the first leaves open
                    both = searches.is_not_null() & read[month].is_not_null() & (searches != read[month])
                    self._keep(column, both, "of a month that stands twice", frame, made, leftover)
                    searches = read[month].fill_null(searches)
                read[month] = searches
            columns = pl.DataFrame({str(i): series for i, series in enumerate(read.values())})
            entries = [
                pl.struct(pl.lit(month).alias("month"), pl.col(str(i)).alias("searches"))
                for i, month in enumerate(read)
            ]
            known = pl.any_horizontal(pl.all().is_not_null())
            made["monthly_searches"] = columns.select(
                pl.when(known).then(pl.concat_list(entries)).alias("monthly_searches")
            ).to_series()
            return
        for column, months in self.recognised.trends.items():
            texts = said(self._texts(frame, column))
            values = [
                [{"month": m, "searches": n} for m, n in zip(months, numbers, strict=True)]
                if (numbers := trend(text)) and len(numbers) == len(months)
                else None
                for text in texts
            ]
            made["monthly_searches"] = pl.Series(values, dtype=OBSERVATION_SCHEMA["monthly_searches"])
            unread = ~blank(texts) & made["monthly_searches"].is_null()
            self._keep(column, unread, f"not the {len(months)} numbers its header names", frame, made, leftover)

    def _intents(self, frame: pl.DataFrame, made: dict[str, pl.Series], leftover: dict[int, pl.Series]) -> None:
        if self.recognised.flags:
            for column in self.recognised.flags:
                texts = said(self._texts(frame, column))
                unread = ~blank(texts) & ~texts.str.to_lowercase().is_in(["true", "false"])
                self._keep(column, unread.fill_null(False), "neither true nor false", frame, made, leftover)
            flags = [
                pl.when(pl.col(str(column)).str.to_lowercase() == "true").then(pl.lit(label))
                for column, label in self.recognised.flags.items()
            ]
            labels = frame.select(pl.concat_list(flags).list.drop_nulls().alias("labels"))
            made["vendor_intent"] = labels.select(
                pl.when(pl.col("labels").list.len() > 0).then(pl.col("labels"))
            ).to_series()
        elif "vendor_intent" in self._of:
            codes = self.recognised.intent_codes
            labels_of = split_list(said(self._texts(frame, self._of["vendor_intent"])).str.to_lowercase())
            if codes:
                labels_of = labels_of.list.eval(pl.element().replace(codes))
            made["vendor_intent"] = labels_of

    def _dates(self, frame: pl.DataFrame, made: dict[str, pl.Series], leftover: dict[int, pl.Series]) -> None:
        dated = self.recognised.dated_positions
        if dated:
            self._latest_position(frame, made)
            return
        if "date" not in self._of:
            return
        column = self._of["date"]
        texts = said(self._texts(frame, column))
        distinct = texts.drop_nulls().unique()
        self._day_order.see(distinct)
        periods = [period_of_cell(text, self._day_order) for text in distinct]
        unread = [text for text, period in zip(distinct, periods, strict=True) if period is None and text.strip()]
        self._keep(column, texts.is_in(unread).fill_null(False), "no certain day", frame, made, leftover)
        # A period has no hours.
        hours = texts.str.contains(r"[T\s]\d?\d:\d\d") & ~texts.str.contains(r"[T\s]00:00(?::00(?:\.0+)?)?\s*$")
        self._keep(column, hours.fill_null(False), "", frame, made, leftover)
        if len(unread) == len(distinct):
            return

        for name, values, dtype in (
            ("start", [period.start if period else None for period in periods], pl.Date()),
            ("end", [period.end if period else None for period in periods], pl.Date()),
            ("granularity", [period.granularity if period else None for period in periods], pl.String()),
            ("from", [period.known_from if period else None for period in periods], pl.String()),
        ):
            to = pl.Series(values, dtype=dtype)
            made[f"period_{name}"] = texts.replace_strict(distinct, to, default=None, return_dtype=dtype)

    def _latest_position(self, frame: pl.DataFrame, made: dict[str, pl.Series]) -> None:
        position: pl.Series | None = None
        day: pl.Series | None = None
        url: pl.Series | None = None
        for column, url_column, iso in sorted(self.recognised.dated_positions, key=lambda item: item[2], reverse=True):
            there = read_numbers(frame[str(column)], ".").value
            there = pl.select(pl.when(there > 0).then(there)).to_series()
            date_there = pl.select(pl.when(there.is_not_null()).then(pl.lit(date.fromisoformat(iso)))).to_series()
            url_there = said(self._texts(frame, url_column)) if url_column is not None else None
            if position is None or day is None:
                position, day, url = there, date_there, url_there
                continue
            first = position.is_null() & there.is_not_null()
            if url is not None and url_there is not None:
                url = pl.select(pl.when(first).then(url_there).otherwise(url)).to_series()
            position, day = position.fill_null(there), day.fill_null(date_there)
            if not position.is_null().any():
                break
        if position is None or day is None:
            return
        made["position"] = position
        if url is not None:
            made["url"] = url.fill_null(made["url"]) if "url" in made else url
        self._set_days(made, day)

    def _set_days(self, made: dict[str, pl.Series], day: pl.Series) -> None:
        known = day.is_not_null()
        made["period_start"] = day
        made["period_end"] = day
        made["period_granularity"] = pl.select(pl.when(known).then(pl.lit("day"))).to_series()
        made["period_from"] = pl.select(pl.when(known).then(pl.lit("file"))).to_series()

    def _check(self, frame: pl.DataFrame, made: dict[str, pl.Series], leftover: dict[int, pl.Series]) -> None:
        """Count what cannot be together, for the warnings; the numbers stay as the source has them.

        A person may click twice on what was shown once, so a click-through rate above 1 stays where clicks and
        impressions bear it out; else it is kept in `extra`.
        """
        both = "clicks" in made and "impressions" in made
        if both:
            self.oddities["more clicks than impressions"] += int((made["clicks"] > made["impressions"]).sum())
        if "ctr" not in made or not (made["ctr"] > 1).any():
            return
        ctr = made["ctr"]
        above = (ctr > 1).fill_null(False)
        if both:
            borne_out = ((made["clicks"] / made["impressions"] - ctr).abs() <= 0.006 + ctr * 0.01).fill_null(False)
            self.oddities["click-through rate above 100 %"] += int((above & borne_out).sum())
            above &= ~borne_out
        self._keep(self._of["ctr"], above, "out of range", frame, made, leftover)
        made["ctr"] = _where(~above, ctr)

    def _extras(self, frame: pl.DataFrame, leftover: Mapping[int, pl.Series]) -> pl.Series:
        columns: list[pl.Expr] = []
        if any(kind != pl.String for kind in frame.dtypes):
            frame = frame.select(as_text(series) for series in frame)
        for i in self._extra:
            text = pl.col(str(i))
            columns.append(pl.when(text != "").then(text).alias(self.header.distinct[i]))
        for i, lost in leftover.items():
            if i not in self._extra:
                text = pl.col(str(i))
                columns.append(pl.when(pl.lit(lost)).then(text).alias(self.header.distinct[i]))
        if not columns:
            return pl.repeat(None, frame.height, dtype=pl.Null, eager=True).alias("extra")
        return frame.select(pl.struct(columns).alias("extra")).to_series()
