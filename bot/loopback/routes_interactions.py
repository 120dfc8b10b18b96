"""REST: callbacks of interactions and the messages that their tokens own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.loopback import interactions, posting
from bot.loopback.calls import Call, Route
from bot.loopback.failures import Refusal

if TYPE_CHECKING:
    from bot.loopback.world import Interaction

CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
HOOK = "/webhooks/{webhook_id}/{webhook_token}"


def callback(call: Call) -> tuple[int, Any]:
    """Answer an interaction."""
    act = call.service.world.interactions.get(call.ids["interaction_id"])
    if act is None or act.token != call.names["interaction_token"]:
        raise Refusal(10062)
    receipt = interactions.answer(call.service, act, call.body, call.files, arrived_at=call.arrived_at)
    return (200, receipt) if call.flag("with_response") else (204, None)


def _act(call: Call) -> Interaction:
    if call.ids["webhook_id"] != call.service.world.application_id:
        raise Refusal(10015)
    return interactions.by_token(call.service, call.names["webhook_token"])


def follow_up(call: Call) -> tuple[int, Any]:
    """Say more."""
    said = interactions.follow_up(call.service, _act(call), call.body, call.files)
    return 200, call.service.wire(said)


def get_original(call: Call) -> tuple[int, Any]:
    """The first answer."""
    return 200, call.service.wire(interactions.original(call.service, _act(call)))


def patch_original(call: Call) -> tuple[int, Any]:
    """Change the first answer, or fill in a deferred one."""
    said = interactions.original(call.service, _act(call))
    posting.change(call.service, said, call.body, call.files)
    return 200, call.service.wire(said)


def delete_original(call: Call) -> tuple[int, Any]:
    """Take the first answer away."""
    posting.unsay(call.service, interactions.original(call.service, _act(call)))
    return 204, None


def get_follow_up(call: Call) -> tuple[int, Any]:
    """A later message."""
    return 200, call.service.wire(interactions.own_message(call.service, _act(call), call.ids["message_id"]))


def patch_follow_up(call: Call) -> tuple[int, Any]:
    """Change a later message."""
    said = interactions.own_message(call.service, _act(call), call.ids["message_id"])
    posting.change(call.service, said, call.body, call.files)
    return 200, call.service.wire(said)


def delete_follow_up(call: Call) -> tuple[int, Any]:
    """Take a later message away."""
    posting.unsay(call.service, interactions.own_message(call.service, _act(call), call.ids["message_id"]))
    return 204, None


ROUTES = (
    Route(method="POST", template=CALLBACK, serve=callback, authorised=False),
    Route(method="POST", template=HOOK, serve=follow_up, authorised=False),
    Route(method="GET", template=f"{HOOK}/messages/@original", serve=get_original, authorised=False),
    Route(method="PATCH", template=f"{HOOK}/messages/@original", serve=patch_original, authorised=False),
    Route(method="DELETE", template=f"{HOOK}/messages/@original", serve=delete_original, authorised=False),
    Route(method="GET", template=f"{HOOK}/messages/{{message_id}}", serve=get_follow_up, authorised=False),
    Route(method="PATCH", template=f"{HOOK}/messages/{{message_id}}", serve=patch_follow_up, authorised=False),
    Route(method="DELETE", template=f"{HOOK}/messages/{{message_id}}", serve=delete_follow_up, authorised=False),
)
