"""The rows, by noun. An order's truth is here, not in the engine's history.

Times are timezone-aware UTC. Ids that come from Discord are kept as text. Columns named `*_json` hold text written by the
frozen types of `storage.domain` (`Plan.to_json` ...), so that SQLite and PostgreSQL hold the same.
"""

from storage.tables.ballots import Ballot, Vote
from storage.tables.checkpoints import Checkpoint
from storage.tables.checkups import Checkup
from storage.tables.installation import Lease, Switch
from storage.tables.instants import Instant, now
from storage.tables.logs import LogEntry
from storage.tables.members import Community, Member
from storage.tables.orders import Order, Picture, PlanRow
from storage.tables.outcomes import Outcome, Revision
from storage.tables.posts import Delivery, Post
from storage.tables.shares import Share
from storage.tables.signs import SignRow
from storage.tables.work import Attempt, DepartureRow, Piece, Progress

__all__ = [
    "Attempt",
    "Ballot",
    "Checkpoint",
    "Checkup",
    "Community",
    "Delivery",
    "DepartureRow",
    "Instant",
    "Lease",
    "LogEntry",
    "Member",
    "Order",
    "Outcome",
    "Picture",
    "Piece",
    "PlanRow",
    "Post",
    "Progress",
    "Revision",
    "Share",
    "SignRow",
    "Switch",
    "Vote",
    "now",
]
