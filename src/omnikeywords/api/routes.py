"""Every endpoint, as data, in one list: the guard calls it, the router knows it, /openapi.json tells it."""

from omnikeywords.api.analyze import Analyze
from omnikeywords.api.catalogue import Catalogue
from omnikeywords.api.exports import export_routes
from omnikeywords.api.imports import import_routes
from omnikeywords.api.jobs import job_routes
from omnikeywords.api.keywords import keyword_routes
from omnikeywords.api.projects import project_routes
from omnikeywords.api.route import RETRY, Answer, Route
from omnikeywords.api.schemas import AnalyzeAnswer, AnalyzeRequest, HealthAnswer, Readiness
from omnikeywords.api.search import Search, search_routes
from omnikeywords.api.system import Ready, health, metrics
from omnikeywords.api.webhooks import webhook_routes
from omnikeywords.ops import METRICS_CONTENT_TYPE, Health

__all__ = ["routes"]


def routes(
    analyze: Analyze, checks: Health, catalogue: Catalogue | None = None, search: Search | None = None
) -> list[Route]:
    """The endpoints, bound to what answers them; those of the catalogue and of search where there are any."""
    kept = (
        []
        if catalogue is None
        else [
            *project_routes(catalogue),
            *import_routes(catalogue),
            *keyword_routes(catalogue),
            *export_routes(catalogue),
            *job_routes(catalogue, checks),
            *webhook_routes(catalogue),
        ]
    )
    return [
        Route(
            "POST",
            "/api/v1/analyze",
            analyze,
            "analyze",
            "keywords",
            "Analyse keywords",
            "Language, intent, question, length and, if comprehensive, funnel, modifiers, brand, place, year "
            "and popularity of each keyword, with what decided them. Results come in the order of the "
            "keywords; one that cannot be analysed has an `error` in its place, and changes no other.",
            takes=AnalyzeRequest,
            example={
                "keywords": ["comprar ténis de corrida", "how to choose trail running shoes"],
                "analysis_type": "comprehensive",
            },
            answers={200: Answer("Every keyword, analysed.", AnalyzeAnswer)},
            problems=(
                "invalid_json",
                "not_acceptable",
                "body_timeout",
                "body_too_large",
                "too_many_keywords",
                "unsupported_media_type",
                "invalid_request",
                "invalid_market",
                "not_found",
                "language_table_missing",
                "deadline_exceeded",
            ),
        ),
        *kept,
        *([] if search is None else search_routes(search)),
        Route(
            "GET",
            "/health",
            health,
            "health",
            "system",
            "Whether the process is alive",
            "For liveness probes: looks at nothing else.",
            answers={200: Answer("It is.", HealthAnswer)},
        ),
        Route(
            "GET",
            "/ready",
            Ready(checks),
            "ready",
            "system",
            "Whether requests may be sent here",
            "For readiness probes and load balancers.",
            answers={
                200: Answer("They may.", Readiness),
                503: Answer("Not now: starting, draining, or something is missing.", Readiness, headers=RETRY),
            },
        ),
        Route(
            "GET",
            "/metrics",
            metrics,
            "metrics",
            "system",
            "Metrics for Prometheus",
            answers={200: Answer("Of all workers on this machine together.", None, METRICS_CONTENT_TYPE)},
        ),
    ]
