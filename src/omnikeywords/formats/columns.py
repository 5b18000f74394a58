"""What column headers mean: their names in sixteen languages, and the table an observation batch is.

A header is compared folded (accents, case and punctuation away), so one spelling stands here for all of its own.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

__all__ = [
    "ALIASES",
    "COUNT_FIELDS",
    "CURRENCIES",
    "INTENT_FLAGS",
    "NO_KEYWORDS",
    "NUMBER_FIELDS",
    "OBSERVATION_SCHEMA",
    "Column",
    "Header",
    "Recognised",
    "currency_of_header",
    "fold",
]

MONTHLY = pl.List(pl.Struct({"month": pl.String, "searches": pl.Int64}))

# One column a field of model.Observation, in its order; `extra` is a struct of strings with the file's own other
# columns (Null where a file has none), so its type is the only one that differs between files.
OBSERVATION_SCHEMA: dict[str, pl.DataType] = {
    "keyword": pl.String(),
    "line": pl.Int64(),
    "source": pl.String(),
    "market": pl.String(),
    "volume": pl.Int64(),
    "volume_min": pl.Int64(),
    "volume_max": pl.Int64(),
    "cpc": pl.Float64(),
    "currency": pl.String(),
    "competition": pl.Float64(),
    "competition_level": pl.String(),
    "difficulty": pl.Float64(),
    "results": pl.Int64(),
    "clicks": pl.Int64(),
    "impressions": pl.Int64(),
    "ctr": pl.Float64(),
    "position": pl.Float64(),
    "url": pl.String(),
    "cost": pl.Float64(),
    "conversions": pl.Float64(),
    "match_type": pl.String(),
    "serp_features": pl.List(pl.String()),
    "parent_keyword": pl.String(),
    "monthly_searches": MONTHLY,
    "vendor_intent": pl.List(pl.String()),
    "period_start": pl.Date(),
    "period_end": pl.Date(),
    "period_granularity": pl.String(),
    "period_from": pl.String(),
}

COUNT_FIELDS = frozenset({"volume", "volume_min", "volume_max", "results", "clicks", "impressions"})
NUMBER_FIELDS = COUNT_FIELDS | {"cpc", "competition", "difficulty", "ctr", "position", "cost", "conversions"}

_PUNCTUATION = re.compile(r"[^\w%#$€£¥()+]+|_+")


def fold(text: str) -> str:
    """A header without accents, case and punctuation: `Média de pesquisas mensais ` is `media de pesquisas mensais`."""
    text = unicodedata.normalize("NFKD", text.replace("\ufeff", "").casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    return _PUNCTUATION.sub(" ", text).strip()


def _folded(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fold(name) for name in names))


# Earlier names win where a file has several columns of one meaning.
_NAMES: dict[str, tuple[str, ...]] = {
    "keyword": _folded(
        # English, then pt, es, fr, de, it, nl, pl, tr, cs, sv, da, no, fi, ro, hu, ru, uk, ja, ko, zh, vi, id
        "keyword", "keywords", "search keyword", "top queries", "query", "queries", "search query",
        "search queries", "search term", "search terms", "searchterm", "key phrase", "keyphrase", "keyphrases",
        "search phrase", "phrase", "grounding query", "negative keyword", "term", "key word", "kw", "kws",
        "principais consultas", "consultas mais frequentes", "consulta", "consultas", "palavra-chave",
        "palavras-chave", "palavra chave", "termo de pesquisa", "termos de pesquisa", "termo", "termos",
        "consulta de pesquisa", "termo de busca", "termos de busca", "palavra-chave negativa",
        "consultas principales", "palabra clave", "palabras clave", "término de búsqueda", "términos de búsqueda",
        "término", "búsqueda", "consulta de búsqueda", "palabra clave negativa",
        "requêtes les plus fréquentes", "requête", "requêtes", "mot clé", "mots clés", "mot-clef", "mots-clefs",
        "terme de recherche", "termes de recherche", "expression", "mot clé à exclure",
        "häufigste suchanfragen", "suchanfrage", "suchanfragen", "suchbegriff", "suchbegriffe", "suchwort",
        "schlüsselwort", "schlagwort", "auszuschließendes keyword",
        "query principali", "query più frequenti", "parola chiave", "parole chiave", "termine di ricerca",
        "termini di ricerca", "ricerca",
        "populairste zoekopdrachten", "zoekopdracht", "zoekopdrachten", "zoekwoord", "zoekwoorden", "zoekterm",
        "zoektermen", "trefwoord",
        "najpopularniejsze zapytania", "zapytanie", "zapytania", "słowo kluczowe", "słowa kluczowe",
        "wyszukiwane hasło", "fraza",
        "en popüler sorgular", "en çok yapılan sorgular", "sorgu", "sorgular", "anahtar kelime",
        "anahtar kelimeler", "arama terimi",
        "nejčastější dotazy", "dotaz", "dotazy", "klíčové slovo", "klíčová slova", "vyhledávací dotaz",
        "vanligaste sökfrågorna", "sökfråga", "sökfrågor", "sökord", "nyckelord", "sökterm",
        "mest populære forespørgsler", "forespørgsel", "søgeord", "søgeforespørgsel", "nøgleord",
        "populære søk", "søkeord", "søkeord og -fraser", "nøkkelord",
        "suosituimmat kyselyt", "kysely", "kyselyt", "avainsana", "avainsanat", "hakusana", "hakutermi",
        "interogări principale", "interogare", "cuvânt cheie", "cuvinte cheie", "termen de căutare",
        "leggyakoribb lekérdezések", "lekérdezés", "kulcsszó", "kulcsszavak", "keresési kifejezés",
        "поисковый запрос", "поисковые запросы", "популярные запросы", "запрос", "запросы", "ключевое слово",
        "ключевые слова", "ключевая фраза", "фраза",
        "найпопулярніші запити", "пошуковий запит", "запит", "запити", "ключове слово", "ключові слова",
        "上位のクエリ", "クエリ", "キーワード", "検索キーワード", "検索クエリ", "検索語句",
        "인기 검색어", "검색어", "키워드", "열쇠말",
        "热门查询", "熱門查詢項目", "查询", "查詢", "关键词", "關鍵字", "关键字", "搜索词", "搜尋字詞", "搜索关键词",
        "từ khóa", "từ khoá", "cụm từ tìm kiếm", "truy vấn", "truy vấn hàng đầu",
        "kata kunci", "kueri", "kueri teratas", "istilah penelusuran",
        "الكلمة الرئيسية", "كلمة رئيسية", "الكلمات الرئيسية", "طلب البحث", "أهم طلبات البحث", "מילת מפתח", "שאילתה",
        "λέξη-κλειδί", "ερώτημα", "คีย์เวิร์ด", "คำหลัก", "कीवर्ड", "खोज शब्द",
    ),
    "volume": _folded(
        "volume", "search volume", "search vol.", "search vol", "sv", "avg. monthly searches",
        "average monthly searches", "avg monthly searches", "avg. monthly searches (exact match only)",
        "monthly searches", "monthly search volume", "monthly volume", "avg. search volume", "average search volume",
        "avg. search volume (last known months)", "searches", "msv", "vol", "vol.", "nq", "local volume",
        "searches per month", "searches/month", "search volume (monthly)", "volume (monthly)",
        "média de pesquisas mensais", "média pesquisas mensais", "volume de buscas", "volume de busca",
        "volume de pesquisas", "volume de pesquisa", "pesquisas mensais", "buscas mensais", "volume mensal",
        "méd. pesquisas mensais",
        "promedio de búsquedas mensuales", "media de búsquedas mensuales", "búsquedas mensuales", "volumen",
        "volumen de búsqueda", "volumen de búsquedas", "prom. de búsquedas mensuales", "volumen mensual",
        "nombre moyen de recherches mensuelles", "recherches mensuelles", "volume de recherche",
        "volume de recherches", "volume mensuel", "nbre moyen de recherches mensuelles",
        "suchvolumen", "durchschnittliche suchanfragen pro monat", "durchschnittl. suchanfragen pro monat",
        "monatliches suchvolumen", "suchanfragen pro monat",
        "media ricerche mensili", "media delle ricerche mensili", "volume di ricerca", "ricerche mensili",
        "zoekvolume", "gem. aantal zoekopdrachten per maand", "maandelijkse zoekopdrachten",
        "gemiddeld aantal zoekopdrachten per maand",
        "średnia miesięczna liczba wyszukiwań", "liczba wyszukiwań", "wolumen",
        "aylık ortalama arama sayısı", "ort. aylık arama sayısı", "arama hacmi", "hledanost", "sökvolym",
        "genomsnittligt antal sökningar per månad", "søgevolumen", "søkevolum", "hakumäärä", "volum de căutare",
        "keresési volumen",
        "частотность", "объем поиска", "среднее число запросов в месяц", "показов в месяц",
        "検索ボリューム", "月間平均検索ボリューム", "月間検索数", "검색량", "월간 검색량", "월평균 검색수",
        "搜索量", "平均每月搜索量", "月搜索量", "搜尋量", "平均每月搜尋量", "lượng tìm kiếm", "volume pencarian",
    ),
    "volume_min": _folded("min search volume", "min volume", "minimum volume", "volume min", "volume (min)"),
    "volume_max": _folded("max search volume", "max volume", "maximum volume", "volume max", "volume (max)"),
    "cpc": _folded(
        "cpc", "avg. cpc", "average cpc", "cost per click", "suggested bid", "top of page bid (high range)", "cp",
        "cpc médio", "cpc méd.", "custo por clique", "lance sugerido",
        "lance na parte superior da página (maiores valores)", "lance no topo da página (intervalo alto)",
        "licitação no topo da página (intervalo superior)", "licitação de topo de página (intervalo alto)",
        "lance de início de página (faixa superior)", "lance para a parte superior da página (faixa superior)",
        "cpc medio", "cpc prom.", "costo por clic", "coste por clic",
        "puja por la parte superior de la página (intervalo alto)",
        "puja por parte superior de la página (rango alto)",
        "puja para la parte superior de la página (rango alto)",
        "puja de la parte superior de la página (gama alta)",
        "oferta de la parte superior de la página (rango alto)",
        "puja superior de página (alto)",
        "cpc moyen", "coût par clic", "enchère de haut de page (fourchette haute)",
        "enchère de haut de page (haute)", "enchère pour haut de page (plage supérieure)",
        "enchères haut de page (fourchette supérieure)",
        "durchschn. cpc", "klickpreis", "gebot für obere seitenposition (höchster wert)",
        "gebote für obere positionen (oberer bereich)", "gebot für obere positionen (oberer bereich)",
        "cpc medio", "costo per clic", "offerta per parte superiore della pagina (fascia alta)",
        "gem. cpc", "kosten per klik", "śr. cpc", "ort. tbm", "средняя цена за клик", "平均クリック単価", "平均 cpc",
        "평균 cpc", "平均每次点击费用",
    ),
    "currency": _folded(
        "currency", "currency code", "moeda", "código da moeda", "moneda", "código de moneda",
        "código de divisa", "divisa", "devise", "code de devise", "code devise", "währung", "währungscode", "valuta",
        "codice valuta", "valutacode", "waluta", "kod waluty", "para birimi", "para birimi kodu", "měna", "валюта",
        "код валюты", "通貨", "通貨コード", "통화", "통화 코드", "货币", "币种", "货币代码",
    ),
    "competition": _folded(
        "competition (indexed value)", "competition index", "competition density", "competitive density",
        "paid difficulty", "paid competition", "ppc competition", "ppc", "com.", "comp.", "pd", "co",
        "ads competition", "ad competition", "adwords competition",
        "concorrência (valor indexado)", "competência (valor indexado)", "competencia (valor indexado)",
        "competencia (índice)", "concurrence (valeur indexée)", "wettbewerb (indexierter wert)",
        "wettbewerb (indexwert)", "concorrenza (valore indicizzato)", "concurrentie (geïndexeerde waarde)",
        "konkurencja (wartość indeksowana)", "rekabet (dizine eklenen değer)", "конкуренция (индекс)",
        "競合性 (インデックス値)", "경쟁(색인 값)", "竞争程度(索引值)",
    ),
    "competition_level": _folded(
        "competition", "competition level", "concorrência", "nível de concorrência", "competencia",
        "nivel de competencia", "competição", "concurrence", "wettbewerb", "concorrenza", "concurrentie",
        "konkurencja", "rekabet", "konkurence", "konkurrens", "конкуренция", "уровень конкуренции",
        "競合性", "경쟁", "竞争程度",
    ),
    "difficulty": _folded(
        "keyword difficulty", "difficulty", "kd", "kd %", "kd%", "keyword difficulty index", "keyword difficulty %",
        "seo difficulty", "sd", "seo keyword difficulty", "difficulty score", "organic difficulty",
        "dificuldade", "dificuldade da palavra-chave", "dificuldade de seo", "dificuldade seo",
        "dificultad", "dificultad de la palabra clave", "dificultad seo", "dificultad de palabra clave",
        "difficulté", "difficulté du mot clé", "difficulté seo", "schwierigkeit", "keyword-schwierigkeit",
        "keyword-difficulty", "difficoltà", "difficoltà parola chiave", "difficoltà keyword", "moeilijkheid",
        "trudność", "zorluk", "anahtar kelime zorluğu", "сложность", "сложность ключевого слова", "難易度", "난이도",
        "难度", "关键词难度", "độ khó",
    ),
    "results": _folded(
        "number of results", "results", "search results", "serp results", "nr", "número de resultados",
        "resultados", "nombre de résultats", "anzahl der ergebnisse", "numero di risultati",
    ),
    "clicks": _folded(
        "clicks", "cliques", "clics", "klicks", "clic", "klikken", "kliknięcia", "tıklama", "tıklamalar",
        "tıklama sayısı", "kliknutí", "klick", "klik", "klikk", "klikkaukset", "clicuri", "kattintások", "клики",
        "кліки", "クリック数", "클릭수", "点击次数", "點擊次數", "lượt nhấp", "klik", "النقرات", "κλικ",
        "clicks (organic)", "total clicks",
    ),
    "impressions": _folded(
        "impressions", "impr.", "impr", "impressões", "impres.", "impresiones", "impresiuni", "impressionen",
        "impressioni", "vertoningen", "wyświetlenia", "gösterim", "gösterimler", "gösterim sayısı", "zobrazení",
        "visningar", "exponeringar", "eksponeringer", "visninger", "näyttökerrat", "afișări", "megjelenítések",
        "показы", "покази", "表示回数", "노출수", "展示次数", "曝光次數", "lượt hiển thị", "tayangan", "مرات الظهور",
        "εμφανίσεις", "ad impressions", "total impressions",
    ),
    "ctr": _folded(
        "ctr", "url ctr", "site ctr", "average ctr", "click through rate", "klickrate", "klickfrekvens",
        "klikfrekvens", "klikkfrekvens", "taux de clics", "tasa de clics", "taxa de cliques", "percentuale di clic",
        "tıklama oranı", "to", "míra prokliku", "클릭률", "点击率", "點閱率", "クリック率", "współczynnik klikalności",
        "klikkausprosentti",
    ),
    "position": _folded(
        "position", "current position", "avg. position", "average position", "pos", "rank", "ranking",
        "current rank", "google position", "po", "avg. pos.", "current pos.", "serp position", "organic position",
        "posição", "posição média", "posição méd.", "posición", "posición media", "posición promedio",
        "position moyenne", "durchschnittliche position", "posizione", "posizione media", "positie",
        "gemiddelde positie", "pozycja", "średnia pozycja", "pozisyon", "konum", "ortalama konum", "pozice",
        "průměrná pozice", "genomsnittlig position", "placering", "gennemsnitlig placering", "posisjon",
        "gjennomsnittlig posisjon", "sijainti", "keskimääräinen sijainti", "poziție", "poziție medie", "pozíció",
        "позиция", "средняя позиция", "позиція", "середня позиція", "掲載順位", "平均掲載順位", "平均ゲ载順位",
        "평균 게재순위", "게재순위", "게재 순위", "평균 게재 순위", "平均排名", "排名", "平均排序", "vị trí", "vị trí trung bình",
        "posisi", "posisi rata-rata", "متوسط الموضع", "الموضع", "θέση",
    ),
    "url": _folded(
        "url", "current url", "ranking url", "final url", "landing page", "page url", "landing page url",
        "ranking page", "target url", "ur", "página de destino", "url final", "url de classificação",
        "página de aterrizaje", "url actual", "url atual", "url de posicionamiento", "url de positionnement",
        "page de destination", "zielseite", "landingpage", "pagina di destinazione", "url finale",
        "finale url", "最終ページ url",
    ),
    "cost": _folded(
        "cost", "custo", "coste", "costo", "coût", "kosten", "koszt", "maliyet", "náklady", "kostnad",
        "расходы", "стоимость", "費用", "비용", "费用",
    ),
    "conversions": _folded(
        "conversions", "conv.", "conversões", "conversiones", "conversioni", "conversies", "konwersje",
        "dönüşümler", "konverze", "konverteringar", "конверсии", "コンバージョン数", "전환수", "转化次数",
        "conversions (primary)",
    ),
    "match_type": _folded(
        "match type", "tipo de correspondência", "tipo de concordancia", "type de correspondance",
        "type de ciblage", "keyword-option", "übereinstimmungstyp", "tipo di corrispondenza", "zoektype",
        "typ dopasowania", "eşleme türü", "typ shody", "matchningstyp", "тип соответствия", "マッチタイプ",
        "검색 유형", "匹配类型", "criterion type",
    ),
    "serp_features": _folded(
        "serp features", "serp features by keyword", "serp feature", "sf", "recursos de serp", "recursos da serp",
        "características de la serp", "funciones serp", "fonctionnalités serp", "serp-funktionen",
        "funzionalità serp", "caratteristiche serp",
    ),
    "parent_keyword": _folded(
        "parent keyword", "parent topic", "palavra-chave principal", "tópico principal", "tópico pai",
        "palabra clave principal", "tema principal", "mot clé parent", "sujet parent", "übergeordnetes thema",
        "argomento principale",
    ),
    "vendor_intent": _folded(
        "intent", "intents", "keyword intents", "keyword intent", "search intent", "main intent", "intenção",
        "intenção de busca", "intenção de pesquisa", "intenções", "intención", "intención de búsqueda",
        "intenciones", "intention", "intentions", "intention de recherche", "suchintention", "suchabsicht",
        "intento", "intento di ricerca", "in",
    ),
    "market": _folded(
        "market", "country", "database", "country code", "db", "location code", "país", "pays", "land", "paese",
        "mercado", "marché", "banco de dados", "base de datos", "base de données", "datenbank",
    ),
    "date": _folded("date", "timestamp", "data", "fecha", "datum", "day"),
}  # fmt: skip

# Two-letter codes are Semrush's own API names: they mean something only beside their kind (see semrush.py).
_API_CODES = frozenset({"cp", "co", "po", "nr", "nq", "ur", "in", "sd", "pd", "to"})

ALIASES: dict[str, tuple[str, int]] = {}
for _field, _names in _NAMES.items():
    for _rank, _name in enumerate(_names):
        ALIASES.setdefault(_name, (_field, _rank + (1000 if _name in _API_CODES else 0)))

# What exports hold in place of keywords, by the header of their first column: what to call it in a refusal.
NO_KEYWORDS: dict[str, str] = {
    **dict.fromkeys(
        _folded(
            "top pages", "page", "pages", "páginas mais visitadas", "principais páginas", "páginas principais",
            "página", "páginas principales", "pages les plus populaires", "pages principales",
            "häufigste seiten", "die häufigsten seiten", "beliebteste seiten", "seite", "seiten", "pagine principali",
            "pagine più visitate", "pagina", "populairste pagina's", "najpopularniejsze strony", "en popüler sayfalar",
            "nejčastější stránky", "vanligaste sidorna", "上位のページ", "ページ", "인기 페이지", "페이지", "热门网页",
            "网页", "самые популярные страницы", "страница", "landing page",
        ),
        "pages",
    ),
    **dict.fromkeys(
        _folded(
            "country", "countries", "país", "países", "pays", "land", "länder", "paese", "paesi", "kraj", "ülke",
            "země", "国", "국가", "国家", "國家", "страна",
        ),
        "countries",
    ),
    **dict.fromkeys(
        _folded(
            "device", "devices", "dispositivo", "dispositivos", "appareil", "appareils", "gerät", "geräte",
            "dispositivi", "apparaat", "urządzenie", "cihaz", "zařízení", "enhet", "デバイス", "기기", "设备",
            "устройство",
        ),
        "devices",
    ),
    **dict.fromkeys(
        _folded(
            "search appearance", "aspeto da pesquisa", "aparência da pesquisa", "aparência na pesquisa",
            "apariencia en el buscador", "aparición en búsquedas", "aspecto en la búsqueda",
            "apparence dans les résultats de recherche", "darstellung in der suche", "aspetto nella ricerca",
            "zoekopmaak", "検索での見え方", "搜索结果呈现",
        ),
        "search appearances",
    ),
    **dict.fromkeys(
        _folded("date", "data", "fecha", "datum", "tarih", "日付", "날짜", "日期", "дата"),
        "dates",
    ),
    **dict.fromkeys(_folded("filter", "filtro", "filtre", "フィルタ", "필터", "过滤器"), "filters"),
}  # fmt: skip

INTENT_FLAGS = _folded(
    "Branded", "Local", "Informational", "Navigational", "Commercial", "Transactional"
)  # true/false columns, each one label of vendor_intent

CURRENCIES = frozenset(
    "AED ARS AUD BDT BGN BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DOP DZD EGP EUR GBP GTQ HKD HNL HRK HUF IDR ILS INR"
    " JPY KES KRW KWD KZT LKR MAD MXN MYR NGN NIO NOK NZD PAB PEN PHP PKR PLN PYG QAR RON RSD RUB SAR SEK SGD THB TND"
    " TRY TWD UAH USD UYU VES VND ZAR".split()
)
_HEADER_CURRENCY = re.compile(r"[\s(\[,]+(?:([A-Z]{3})|(US\$|R\$|€|£))[)\]]?\s*$")
_SIGNS = {"US$": "USD", "R$": "BRL", "€": "EUR", "£": "GBP"}


def currency_of_header(header: str) -> tuple[str, str | None]:
    """A header without the currency it names, and that currency: `CPC (USD)` gives `CPC` and `USD`."""
    match = _HEADER_CURRENCY.search(header)
    if match is None:
        return header, None
    code = match[1] or _SIGNS[match[2]]
    return (header[: match.start()], code) if code in CURRENCIES else (header, None)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: what was made of it."""

    header: str  # as the file has it, made distinct where it repeats
    field: str | None  # a field of Observation, or None: kept verbatim in `extra` or named in `note`
    note: str = ""  # what a person should know of it


class Header:
    """The header row of a file, ready to be asked what it holds."""

    def __init__(self, cells: Sequence[str | None]) -> None:
        self.cells = [str(cell).replace("\ufeff", "") if cell is not None else "" for cell in cells]
        self.currencies: list[str | None] = []
        self.folded: list[str] = []
        self.aliases: list[tuple[str, int] | None] = []  # field and rank by the general names
        for cell in self.cells:
            bare, currency = currency_of_header(cell)
            name = fold(bare)
            self.folded.append(name)
            self.currencies.append(currency)
            self.aliases.append(ALIASES.get(name) or ALIASES.get(fold(cell)))
        self.names = frozenset(self.folded)
        self.fields = frozenset(alias[0] for alias in self.aliases if alias)
        self.distinct = list(_distinct(self.cells))

    def __len__(self) -> int:
        return len(self.cells)

    def has(self, *names: str) -> bool:
        """Whether all of these names (folded) are among the headers."""
        return self.names.issuperset(names)

    def any(self, names: Iterable[str]) -> bool:
        """Whether one of these names (folded) is among the headers."""
        return not self.names.isdisjoint(names)

    def find(self, *names: str) -> int | None:
        """The first column under the first of these names that there is."""
        for name in names:
            if name in self.names:
                return self.folded.index(name)
        return None


def _distinct(cells: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for i, cell in enumerate(cells):
        name = cell.strip() or f"column {i + 1}"
        unique, n = name, 1
        while unique in seen:
            n += 1
            unique = f"{name} ({n})"
        seen.add(unique)
        yield unique


@dataclass(slots=True)
class Recognised:
    """A tool's report recognised by its header: what to make of each column.

    `fields` says by column number what the general names would get wrong: a field, or None to keep it verbatim.
    """

    tool: str  # machine name, as `google_search_console`
    report: str  # as `queries`
    fields: dict[int, str | None] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    months: dict[int, str] = field(default_factory=dict)  # column to "2025-10"
    trends: dict[int, tuple[str, ...]] = field(default_factory=dict)  # column of many numbers to their months
    flags: dict[int, str] = field(default_factory=dict)  # true/false column to the intent it stands for
    dated_positions: list[tuple[int, int | None, str]] = field(default_factory=list)  # column, its URL column, date
    competition_scale: float | None = None  # what 1.0 is in the file; None: found from the numbers
    ads_syntax: bool = False  # "phrase" and [exact] around a keyword are match types
    totals: bool = False  # rows of totals follow the data
    buckets: bool = False  # volumes may be the lower bounds of ranges
    row_limit: int | None = None  # where the tool cuts its exports
    intent_codes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
