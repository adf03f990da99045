"""For every code of `check` something that has the fault, and something that only looks so."""

from __future__ import annotations

from tests.support.checks.awaits import AWAITS
from tests.support.checks.deployment import DEPLOYMENT
from tests.support.checks.events import EVENTS
from tests.support.checks.generators import GENERATORS
from tests.support.checks.given import GIVEN
from tests.support.checks.handed import HANDED
from tests.support.checks.helpers import HELPERS
from tests.support.checks.loop import LOOP
from tests.support.checks.models import MODELS
from tests.support.checks.modules import MODULES
from tests.support.checks.responses import RESPONSES
from tests.support.checks.routes import ROUTES
from tests.support.checks.sessions import SESSIONS
from tests.support.checks.tables import MIGRATED
from tests.support.checks.waits import WAITS

CASES = [
    *MODULES,
    *ROUTES,
    *RESPONSES,
    *MODELS,
    *MIGRATED,
    *LOOP,
    *WAITS,
    *HELPERS,
    *GENERATORS,
    *AWAITS,
    *GIVEN,
    *HANDED,
    *SESSIONS,
    *EVENTS,
    *DEPLOYMENT,
]
