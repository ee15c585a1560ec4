"""The page is one of the views: what their tests put in the place of Celery and of users serves here, too."""

from tests.api.conftest import _fresh_log, broken_database, celery, client_of, staff

__all__ = ["_fresh_log", "broken_database", "celery", "client_of", "staff"]
