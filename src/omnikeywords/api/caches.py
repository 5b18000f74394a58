"""The caches of one process, by the settings: how the memory is divided, and what keeps their counts current."""

import asyncio
from contextlib import suppress

from omnikeywords.api.answers import Answers, Kept
from omnikeywords.cache import Cache
from omnikeywords.redis_link import RedisLink
from omnikeywords.settings import Settings

__all__ = ["Caches"]

_BEAT_SECONDS = 0.5


class Caches:
    """What a process keeps: keyword objects, results of searches and ready-made answers, a third of the memory each.

    The memory of OKF_CACHE_BYTES is that of all workers, so each has its part. Results of searches have Redis behind
    them, if there is one; its `link` is there for limits too.
    """

    def __init__(self, settings: Settings) -> None:
        self.link = (
            RedisLink(settings.redis_urls, seconds=settings.redis_timeout_ms / 1000, changed=self._changed)
            if settings.redis_urls
            else None
        )
        share = settings.cache_bytes // settings.workers // 3
        self.keywords: Cache[bytes] = Cache(
            "keyword_cache",
            policy="lru",
            entries=settings.keyword_cache_entries,
            most_bytes=share,
            seconds=settings.keyword_cache_seconds,
        )
        self.searches: Cache[bytes] = Cache(
            "search_results",
            policy="lfu",
            entries=settings.search_results_entries,
            most_bytes=share,
            seconds=settings.search_results_seconds,
            store=self.link,
        )
        answers: Cache[Kept] = Cache(
            "answers",
            policy="lru",
            entries=settings.search_results_entries,
            most_bytes=share,
            seconds=settings.search_results_seconds,
        )
        self.answers = Answers(answers, compress_bytes=settings.compress_bytes, edge_seconds=settings.edge_seconds)
        self._all: tuple[Cache[bytes] | Cache[Kept], ...] = (self.keywords, self.searches, answers)

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
