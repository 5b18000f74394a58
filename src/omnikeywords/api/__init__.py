"""The HTTP API.

Hides the web framework, the checks before each request, how errors become problem details, and how the
OpenAPI document is made from the one list of routes.
"""

from omnikeywords.api.app import create_app
from omnikeywords.api.catalogue import Catalogue, database_check
from omnikeywords.api.search import Search

__all__ = ["Catalogue", "Search", "create_app", "database_check"]
