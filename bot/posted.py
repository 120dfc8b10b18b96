"""What is written down about posted messages and threads; each function is one transaction, or part of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlmodel import Session, col, delete, select

from bot.shown import LIVE, Face
from storage.drafts import locked_order
from storage.tables import Order, Post, now


def keep_thread(session: Session, order_id: str, thread_id: str) -> None:
    """The order has a thread from now on."""
    order = session.get_one(Order, order_id)
    order.thread_id = thread_id


def forget_deleted(session: Session, thread_id: str) -> bool:
    """A thread is gone: whether it was that of an order that goes on, whose messages there are forgotten."""
    live = [s.value for s in LIVE]
    wanted = select(Order.id).where(Order.thread_id == thread_id, Order.channel_id != thread_id)
    found = session.exec(wanted.where(col(Order.stage).in_(live))).first()
    if found is not None:
        forget_thread(session, found, thread_id)
    return found is not None


def forget_thread(session: Session, order_id: str, thread_id: str) -> None:
    """The order has no thread any more, and none of the messages in it."""
    order = locked_order(session, order_id)
    if order.thread_id != thread_id:
        return
    order.thread_id = None
    session.exec(delete(Post).where(col(Post.order_id) == order_id, col(Post.channel_id) == thread_id))


def record(session: Session, post: Post, also: Callable[[Session, Post], None] | None) -> Post:
    """A message was posted; `also` belongs to the same transaction."""
    kept = session.merge(post)
    if also is not None:
        also(session, kept)
    return kept


def say(session: Session, name: str, text: str) -> Post:
    """The message of this mark says this now."""
    post = session.get_one(Post, name)
    post.shown_json, post.edited_at = replace(Face.of(post), text=text).to_json(), now()
    return post


def seeded(session: Session, name: str) -> Post:
    """The message of this mark has its first reactions."""
    post = session.get_one(Post, name)
    post.shown_json = replace(Face.of(post), seeded=True).to_json()
    return post


def forget(session: Session, name: str) -> None:
    """The message of this mark is gone."""
    post = session.get(Post, name)
    if post is not None:
        session.delete(post)
