"""The service that the scalability guide describes: its classes, wired together, repaired only until they run.

Each repair is in README.md with the guide's line. It reads where its servers are from BASELINE_DATABASE_URL and
BASELINE_REDIS_PORT, and counts hits of its caches for every worker in PROMETHEUS_MULTIPROC_DIR.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import redis
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel

from omnikeywords.analysis import MODEL_VERSION, Options, analyse, load_models

KEYWORD_CACHE, SEARCH_RESULTS = "keyword_cache", "search_results"  # the guide's names and times to live
SECONDS = {KEYWORD_CACHE: 3600, SEARCH_RESULTS: 1800}
HITS = 10  # of a search

# The guide names the index, not the query: the one that its index serves, best matches first.
SEARCH = """
SELECT id, keyword, region, created_at
FROM keywords, plainto_tsquery('english', $1) AS query
WHERE to_tsvector('english', keyword) @@ query
ORDER BY ts_rank(to_tsvector('english', keyword), query) DESC
LIMIT $2
"""

lookups = Counter("cache_requests_total", "Look-ups of a cache.", ["cache", "result"])


class IntelligentCache:
    """Two levels: a dictionary of this worker, which nothing leaves, and Redis."""

    def __init__(self, name: str, redis_port: int) -> None:
        self.redis = redis.Redis(host="localhost", port=redis_port, db=0)
        self.local_cache: dict[str, Any] = {}
        self._name = name
        self._count = {result: lookups.labels(name, result).inc for result in ("local", "redis", "miss")}

    def get_result(self, key: str) -> Any | None:
        """What was kept, from the nearer level that has it."""
        result, level = self.local_cache.get(key), "local"
        if result is None:
            result, level = self._get_redis_result(key), "redis"
            if result is not None:
                self.local_cache[key] = result
        self._count["miss" if result is None else level]()
        return result

    def _get_redis_result(self, key: str) -> Any | None:
        kept = self.redis.get(f"{self._name}:{key}")
        return None if kept is None else json.loads(kept)

    def set_result(self, key: str, value: Any) -> None:
        """Keep a result in both levels."""
        self.local_cache[key] = value
        self.redis.setex(f"{self._name}:{key}", SECONDS[self._name], json.dumps(value, default=str))


class OptimizedKeywordAnalyzer:
    """Analyses keywords one by one, all of a call at once."""

    def __init__(self, cache: IntelligentCache) -> None:
        self.cache = cache

    async def analyze_keywords_batch(self, keywords: Sequence[str], kind: str) -> list[dict[str, Any]]:
        """One result a keyword, in their order."""
        return await asyncio.gather(*[self.analyze_single_keyword(keyword, kind) for keyword in keywords])

    async def analyze_single_keyword(self, keyword: str, kind: str) -> dict[str, Any]:
        """From the cache, or worked out."""
        key = f"{kind}:{keyword}"
        result: dict[str, Any] | None = self.cache.get_result(key)
        if result is None:
            result = await self._process_keyword(keyword, kind)
            self.cache.set_result(key, result)
        return result

    async def _process_keyword(self, keyword: str, kind: str) -> dict[str, Any]:
        return analyse([keyword], Options(kind="basic" if kind == "basic" else "comprehensive")).rows()[0]


class KeywordSearchQuery:
    """The read side of the guide's CQRS."""

    def __init__(self, search_term: str, cache: IntelligentCache, database: asyncpg.Pool) -> None:
        self.search_term = search_term
        self._cache = cache
        self._database = database

    async def execute(self) -> list[dict[str, Any]]:
        """The best matches, through the cache."""
        hits: list[dict[str, Any]] | None = self._cache.get_result(self.search_term)
        if hits is None:
            hits = [dict(row) for row in await self._database.fetch(SEARCH, self.search_term, HITS)]
            self._cache.set_result(self.search_term, hits)
        return hits


class AnalyzeRequest(BaseModel):
    """What the guide's clients post."""

    keywords: list[str]
    analysis_type: str = "comprehensive"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Everything that needs a running loop."""
    port = int(os.environ["BASELINE_REDIS_PORT"])
    load_models()
    app.state.analyzer = OptimizedKeywordAnalyzer(IntelligentCache(KEYWORD_CACHE, port))
    app.state.search_cache = IntelligentCache(SEARCH_RESULTS, port)
    async with asyncpg.create_pool(os.environ["BASELINE_DATABASE_URL"]) as app.state.database:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/v1/analyze")
async def analyze(request: AnalyzeRequest) -> dict[str, Any]:
    """Keywords analysed."""
    results = await app.state.analyzer.analyze_keywords_batch(request.keywords, request.analysis_type)
    return {"analysis_type": request.analysis_type, "model_version": MODEL_VERSION, "results": results}


@app.get("/api/v1/search")
async def search(q: str) -> dict[str, Any]:
    """Keywords found."""
    hits = await KeywordSearchQuery(q, app.state.search_cache, app.state.database).execute()
    return {"query": q, "total": len(hits), "hits": hits}


@app.get("/health")
async def health() -> dict[str, str]:
    """It is alive."""
    return {"status": "ok"}


@app.get("/metrics")
async def metrics() -> Response:
    """Counters of all workers."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return Response(generate_latest(registry), media_type="text/plain")
