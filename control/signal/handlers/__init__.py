"""Signal requests, one small function each, in a table keyed by the name of the protobuf oneof.

Requests without an entry are ignored on purpose: `trickle` (candidates of clients are learned from their checks),
`update_layers` (deprecated), `update_data_subscription` (no data tracks to subscribe to).
"""

from __future__ import annotations

from control.signal.handlers import negotiation, session, subscriptions, tracks
from control.signal.handlers.types import Handler

HANDLERS: dict[str, Handler] = {
    **negotiation.HANDLERS,
    **session.HANDLERS,
    **subscriptions.HANDLERS,
    **tracks.HANDLERS,
}
