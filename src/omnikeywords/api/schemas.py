"""The bodies of requests and answers. What is written here is what /openapi.json says, word for word.

Request types also check: a wrong type, an unknown field or a value outside its pattern is refused at once.
Answers are written from plain rows; a contract test holds them against these types.
"""

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "BODY_PROBLEMS",
    "PARTS",
    "AnalyzeAnswer",
    "AnalyzeRequest",
    "Cursor",
    "HealthAnswer",
    "ItemError",
    "KeywordResult",
    "Limit",
    "MarketText",
    "MarketTexts",
    "PageQuery",
    "Part",
    "ProblemDetails",
    "ProjectName",
    "ProjectQuery",
    "Readiness",
    "Total",
    "TotalIsExact",
]

_PROJECT = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_MARKET = r"[A-Za-z]{2,3}([-_]([A-Za-z]{2}|[0-9]{3}))?"
MarketTexts = Annotated[
    str,
    Meta(
        pattern=rf"^({_MARKET}|none)(\|({_MARKET}|none))*$",
        description="As `pt-BR`, or several with | between them; `none`: without a market.",
    ),
]
MarketText = Annotated[
    str,
    Meta(
        pattern=f"^{_MARKET}$",
        description="Language and region, as `pt-BR`, `en` or `und-BR`.",
        examples=["pt-BR"],
    ),
]
ProjectName = Annotated[str, Meta(pattern=_PROJECT, description="Name of a project.", examples=["default"])]
Limit = Annotated[int, Meta(ge=1, le=1000, description="Most items of a page.", examples=[50])]
Cursor = Annotated[str | None, Meta(description="`next_cursor` of the page before.")]
Total = Annotated[int, Meta(ge=0, description="Items in all, whatever the page.")]
TotalIsExact = Annotated[bool, Meta(description="False: there are at least that many.")]

# What may be wrong with a request that has JSON as its body.
BODY_PROBLEMS = ("invalid_json", "body_timeout", "body_too_large", "unsupported_media_type", "invalid_request")


class Part(NamedTuple):
    """A part of a path."""

    noun: str
    pattern: str
    description: str
    example: str


# By its name in the templates.
PARTS: dict[str, Part] = {
    "project": Part("project", _PROJECT, "Name of the project.", "default"),
    "import_id": Part("import", r"^i1[0-9a-f]{24}$", "Id of the import.", "i1" + "0a" * 12),
    "job_id": Part("job", r"^j[0-9a-f]{28}$", "Id of the job.", "j" + "0a" * 14),
    "webhook_id": Part("webhook", r"^w1[0-9a-f]{24}$", "Id of the webhook.", "w1" + "0a" * 12),
    "delivery_id": Part("dead letter", r"^j[0-9a-f]{28}$", "Id of the dead letter.", "j" + "0a" * 14),
    "keyword_id": Part("keyword", r"^k1[a-z2-7]{24}$", "Id of the keyword.", "k1" + "a" * 24),
}


class ProjectQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which project."""

    project: Annotated[
        ProjectName | None, Meta(description="Its project; left out: the key's only one, else `default`.")
    ] = None


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a list of a project."""

    project: ProjectName | None = None
    limit: Limit = 50
    cursor: Cursor = None


AnalysisType = Literal["basic", "comprehensive"]
Probability = Annotated[float, Meta(ge=0, le=1)]


class AnalyzeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Keywords to analyse."""

    keywords: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="Search phrases, as people type them. One that is empty or over 700 bytes is "
            "answered in its place with an `error`.",
            examples=[["comprar ténis de corrida", "how to choose trail running shoes"]],
        ),
    ]
    analysis_type: Annotated[
        AnalysisType, Meta(description="`basic` ends with the intents.", examples=["comprehensive"])
    ] = "comprehensive"
    market: Annotated[
        Annotated[str, Meta(pattern=f"^{_MARKET}$")] | None,
        Meta(
            description="Language and region of the searchers, as `pt-BR`, `en` or `und-BR`: a prior for the "
            "language, and part of each id.",
            examples=["pt-BR"],
        ),
    ] = None
    project: (
        Annotated[
            str,
            Meta(
                pattern=_PROJECT,
                description="The project on whose behalf this is asked. Left out, it is the key's only project, else "
                "`default`.",
                examples=["default"],
            ),
        ]
        | UnsetType
    ) = UNSET


class ItemError(Struct, frozen=True):
    """Why one keyword could not be analysed."""

    code: Annotated[str, Meta(description="Stable: what a program may rely on.", examples=["invalid_keyword"])]
    detail: Annotated[str, Meta(examples=["the keyword is empty"])]


class Intents(Struct, frozen=True):
    """Probabilities; they add up to 1."""

    informational: Probability
    navigational: Probability
    commercial: Probability
    transactional: Probability


class Modifier(Struct, frozen=True):
    """A word that qualifies the rest."""

    type: Annotated[str, Meta(examples=["price"])]
    text: Annotated[str, Meta(examples=["cheap"])]


class Score(Struct, frozen=True):
    """A score and the parts that add up to it."""

    score: Annotated[float, Meta(ge=0, le=100)]
    parts: Annotated[
        dict[str, float | None], Meta(description="What each part contributes; null where nothing was known of it.")
    ]
    basis: Literal["observed", "estimated"] | UnsetType = UNSET


class KeywordResult(Struct, frozen=True):
    """One keyword, analysed. Unknown is null, never 0; with an `error` all else but `keyword` is null."""

    keyword: Annotated[str, Meta(description="As it was given; over-long, its first 700 characters.")]
    normalized: Annotated[str | None, Meta(description="As people see it: lower case, tidy spaces and symbols.")]
    id: Annotated[
        str | None,
        Meta(description="The same for the same phrase and market, everywhere.", examples=["k1" + "a" * 24]),
    ]
    market: str | None
    language: Annotated[str | None, Meta(description="ISO 639 code; `und` where it cannot be told.", examples=["pt"])]
    language_confidence: Probability | None
    words: Annotated[int, Meta(ge=1)] | None
    length: Literal["head", "body", "long_tail"] | None
    question: Annotated[str | None, Meta(description="The kind of question asked.", examples=["how"])]
    intent: Literal["informational", "navigational", "commercial", "transactional"] | None
    intents: Intents | None
    error: ItemError | None
    model_version: Annotated[str | None, Meta(description="What made this analysis.")]
    funnel: Literal["awareness", "consideration", "decision"] | UnsetType | None = UNSET
    modifiers: list[Modifier] | UnsetType | None = UNSET
    branded: bool | UnsetType | None = UNSET
    local: bool | UnsetType | None = UNSET
    year: int | UnsetType | None = UNSET
    popularity: Annotated[
        float | UnsetType | None,
        Meta(description="Zipf scale, from word frequencies; an estimate, not a search volume."),
    ] = UNSET
    difficulty: Score | UnsetType | None = UNSET
    opportunity: Score | UnsetType | None = UNSET
    evidence: Annotated[list[str] | UnsetType | None, Meta(description="What decided the intent.")] = UNSET
    near_duplicate_of: Annotated[
        str | UnsetType | None, Meta(description="The head of its group, where groups were looked for.")
    ] = UNSET
    near_duplicate_reason: str | UnsetType | None = UNSET


class AnalyzeAnswer(Struct, frozen=True):
    """The keywords of a call, analysed, in their order."""

    analysis_type: AnalysisType
    model_version: Annotated[str, Meta(description="Changes whenever an analysis may.", examples=["2026.11.2"])]
    results: list[KeywordResult]


class HealthAnswer(Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"]
    version: str


class Readiness(Struct, frozen=True):
    """Whether requests may be sent here."""

    status: Literal["ready", "not_ready"]
    checks: Annotated[
        dict[str, str | None],
        Meta(description="Each check: null where all is well, else what is wrong.", examples=[{"models": None}]),
    ]


class ProblemDetails(Struct, frozen=True):
    """What went wrong, as RFC 9457 says it."""

    type: Annotated[str, Meta(examples=["urn:omnikeywords:problem:too_many_keywords"])]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="What is wrong with this request, and what to do.")]
    code: Annotated[str, Meta(description="Stable: what a program may rely on.", examples=["too_many_keywords"])]
    params: Annotated[dict[str, Any], Meta(description="The values that `detail` names.")]
    request_id: str | UnsetType = UNSET
