"""The caches of one process, by the settings: how the memory is divided, and what keeps their counts current."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from omnikeywords.api.answers import Answers, Kept, Remembered, Stamp
from omnikeywords.api.route import Answer, Route
from omnikeywords.cache import Cache
from omnikeywords.redis_link import RedisLink
from omnikeywords.settings import Settings

__all__ = ["Caches"]

_BEAT_SECONDS = 0.5


class Caches:
    """What a process keeps: keyword objects, answers of analyze, results of searches and answers of searches, a quarter
    of the memory each.

    The memory of OKF_CACHE_BYTES is that of all workers, so each has its part. Results of searches have Redis behind
    them, if there is one; its `link` is there for limits too.
    """

    def __init__(self, settings: Settings) -> None:
        self.link = (
            RedisLink(settings.redis_urls, seconds=settings.redis_timeout_ms / 1000, changed=self._changed)
            if settings.redis_urls
            else None
        )
        share = settings.cache_bytes // settings.workers // 4
        keywords, searches = settings.keyword_cache_entries, settings.search_results_entries
        self.keywords: Cache[bytes] = Cache(
            "keyword_cache",
            policy="lru",
            entries=keywords,
            most_bytes=share,
            seconds=settings.keyword_cache_seconds,
        )
        self.searches: Cache[bytes] = Cache(
            "search_results",
            policy="lfu",
            entries=searches,
            most_bytes=share,
            seconds=settings.search_results_seconds,
            store=self.link,
        )
        analyze: Cache[Kept] = Cache(
            "analyze_answers",
            policy="lru",
            entries=keywords,
            most_bytes=share,
            seconds=settings.keyword_cache_seconds,
        )
        search: Cache[Kept] = Cache(
            "search_answers",
            policy="lfu",
            entries=searches,
            most_bytes=share,
            seconds=settings.search_results_seconds,
        )
        self.analyze_answers = Answers(analyze, settings)
        self.search_answers = Answers(search, settings)
        self._all: tuple[Cache[bytes] | Cache[Kept], ...] = (self.keywords, self.searches, analyze, search)

    def remember(self, route: Route, stamp: Stamp, *, dear: bool) -> Route:
        """A route of searches whose answers are kept; `dear` if all of them take long."""
        endpoint = Remembered(route.path, route.endpoint, stamp, self.search_answers, self.searches, dear=dear)
        right = Answer("The answer that has the ETag is still right.", media=None)
        wanted = {"if-none-match": "The ETag of an answer that the client has."}
        return replace(
            route, endpoint=endpoint, headers={**route.headers, **wanted}, answers={**route.answers, 304: right}
        )

    async def run(self) -> None:
        """Keep the link to Redis made and the counts of this process current, until cancelled."""
        linking = None if self.link is None else asyncio.create_task(self.link.run())
        try:
            while True:
                await asyncio.sleep(_BEAT_SECONDS)
                for cache in self._all:
                    cache.tell()
        finally:
            if linking is not None:
                linking.cancel()
                with suppress(asyncio.CancelledError):
                    await linking

    def _changed(self, namespace: str | None) -> None:
        self.searches.forget(namespace)
