"""The HTTP API.

Hides the web framework, the checks before each request, how errors become problem details, and how the
OpenAPI document is made from the one list of routes.
"""

from omnikeywords.api.app import create_app

__all__ = ["create_app"]
