"""What operators need of every part: metrics, logs, health.

Hides the metrics files that processes share, how log lines are written, how one process tells the others that the
service is draining, and how little memory a process may keep.

Parts above declare their metrics and register their checks here; this package knows none of them.
"""

from omnikeywords.ops.health import Check, Health, SharedFlag
from omnikeywords.ops.logs import configure_logs, get_logger, server_log_config
from omnikeywords.ops.memory import keep_little_memory
from omnikeywords.ops.metrics import (
    METRICS_CONTENT_TYPE,
    counter,
    gauge,
    histogram,
    render_metrics,
    share_metrics,
)

__all__ = [
    "METRICS_CONTENT_TYPE",
    "Check",
    "Health",
    "SharedFlag",
    "configure_logs",
    "counter",
    "gauge",
    "get_logger",
    "histogram",
    "keep_little_memory",
    "render_metrics",
    "server_log_config",
    "share_metrics",
]
