"""The endpoints for machines and operators: /health, /ready, /metrics."""

import msgspec

from omnikeywords import __version__
from omnikeywords.api.guard import Call, Reply
from omnikeywords.ops import METRICS_CONTENT_TYPE, Health, render_metrics

__all__ = ["Ready", "health", "metrics"]

_ALIVE = Reply(msgspec.json.encode({"status": "alive", "version": __version__}))


async def health(call: Call) -> Reply:
    """This process answers; nothing else is looked at, so that a slow dependency restarts no pod."""
    return _ALIVE


async def metrics(call: Call) -> Reply:
    """All metrics in Prometheus's text format."""
    return Reply(render_metrics(), content_type=METRICS_CONTENT_TYPE.encode())


class Ready:
    """Whether this process can do its work now: 200, or 503 with what is missing."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def __call__(self, call: Call) -> Reply:
        """Answer one call."""
        checks = self._health.look()
        well = not any(checks.values())
        body = msgspec.json.encode({"status": "ready" if well else "not_ready", "checks": checks})
        return Reply(body, 200 if well else 503, headers=() if well else ((b"retry-after", b"1"),))
