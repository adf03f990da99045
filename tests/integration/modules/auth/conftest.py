"""One deployment a test file and database, spoken to in both versions."""

from tests.support.databases import database_url, module_database_url
from tests.support.people import deployment, here

__all__ = ["database_url", "deployment", "here", "module_database_url"]
