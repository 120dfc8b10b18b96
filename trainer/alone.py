"""`lorasmith train DIR --subject TYPE --out DIR`: the whole trip without Discord, on this machine, in one process and its child.

The same story as a worker's (`trainer/job.py`), on a storage of its own in `OUT/.lorasmith`. Nobody votes, so measurement
chooses. It can be stopped at any time: the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from sqlmodel import Session

from storage import orders, turns
from storage.artifacts import Artifacts
from storage.database import migrate
from storage.domain.choice import NothingToChoose, choose_checkpoint
from storage.domain.errors import Fault, LorasmithError
from storage.domain.lifecycle import Stage
from storage.pieces import live_pieces
from storage.system import Locked, lock, on_signals
from storage.tables import Delivery, Order, now
from storage.view import OrderView, view_of
from storage.written import write_out
from trainer import terminal
from trainer.job import take_turn
from trainer.settings import WorkerSettings, writes_tensorboard
from trainer.train_options import parse
from trainer.turn import Bench
from trainer.weights import missing, present
from trainer.wish import Wish, ordered, require_faces
from trainer.worker import opened

STOPPED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells know it."""
PAUSE_S = 0.5
"""Between two looks for a turn where there was none to take."""


async def train(wish: Wish, settings: WorkerSettings) -> OrderView:
    """From a folder of pictures to a folder with a LoRA. Doing it again goes on, or finds everything done.

    Raises `LorasmithError` with what to tell; `CancelledError` where it was stopped.
    """
    with _alone(settings.data_dir):
        return await _train(wish, settings)


async def _train(wish: Wish, settings: WorkerSettings) -> OrderView:
    await asyncio.to_thread(migrate, settings)
    async with opened(settings, f"alone:{secrets.token_hex(4)}", serves=False) as bench:
        try:
            await bench.seat.meet()
            order_id = await ordered(bench, wish)
            await _trained(bench, order_id)
            await bench.database.transact(terminal.checkup, order_id)
            await _chosen(bench, order_id)
            await _swept(bench, order_id)
            return await _delivered(bench, order_id, wish)
        finally:
            await bench.seat.leave()
            await bench.engine.close()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One such command a folder: a second one would take the first one's turns for left over."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        try:
            lock(file, wait=False)
        except Locked as error:
            raise LorasmithError(f"another lorasmith is at work in {folder.parent}") from error
        yield


async def _trained(bench: Bench, order_id: str) -> None:
    """Turn after turn until the last checkpoint is stored."""
    async with terminal.progress_of(bench.database, order_id, "Training"):
        await _turns_while(bench, order_id, Stage.QUEUED, Stage.TRAINING)


async def _swept(bench: Bench, order_id: str) -> None:
    async with terminal.progress_of(bench.database, order_id, "Scale"):
        await _turns_while(bench, order_id, Stage.SCALING)


async def _turns_while(bench: Bench, order_id: str, *stages: Stage) -> None:
    """Raises `LorasmithError` where the order fails."""
    await bench.database.transact(_free, bench, order_id)
    while (order := await bench.database.transact(_order, order_id)).stage in [s.value for s in stages]:
        if await take_turn(bench, f"alone:{secrets.token_hex(6)}") is None:
            await asyncio.sleep(PAUSE_S)
    if order.stage == Stage.FAILED.value:
        raise LorasmithError(terminal.failed(order))


def _free(session: Session, bench: Bench, order_id: str) -> None:
    """Turns that an earlier run of this command was killed in the middle of are taken back."""
    for piece in live_pieces(session, order_id):
        if piece.executor_id is not None:
            turns.give_up(session, bench.engine, piece.executor_id)


async def _chosen(bench: Bench, order_id: str) -> None:
    await bench.database.transact(_choose, bench, order_id)


def _choose(session: Session, bench: Bench, order_id: str) -> None:
    """Nobody votes here: measurement chooses."""
    order = orders.locked_order(session, order_id)
    if order.stage != Stage.VOTING.value:
        return
    try:
        choice = choose_checkpoint(orders.candidates(session, order_id))
    except NothingToChoose:
        orders.fail(session, bench.engine, order_id, Fault.PROGRAM, "every checkpoint came out broken")
        return
    order.chosen_step, order.chosen_because = choice.step, choice.because.value
    order.choice_json = json.dumps(asdict(choice), sort_keys=True)
    orders.move(session, bench.engine, order_id, Stage.SCALING)


async def _delivered(bench: Bench, order_id: str, wish: Wish) -> OrderView:
    """Everything into the folder that was named; the row says delivered once it is all there."""
    out = wish.out
    await bench.database.transact(_hand_over, bench, order_id)
    view = await view_of(bench.database, bench.artifacts, order_id)
    files = await write_out(view, bench.artifacts, out)
    await _checkpoints(view, bench.artifacts, wish)
    terminal.summary(view, out, files)
    return view


async def _checkpoints(view: OrderView, artifacts: Artifacts, wish: Wish) -> None:
    """The files of the checkpoints that were asked for. Raises `LorasmithError` for one that was never taken."""
    taken = {checkpoint.step: checkpoint for checkpoint in view.checkpoints}
    for step in wish.checkpoints:
        if step not in taken:
            raise LorasmithError(f"there is no checkpoint {step}; there are {', '.join(map(str, sorted(taken)))}")
        await artifacts.fetch(taken[step].lora, wish.out / "checkpoints" / f"step-{step}.safetensors")


def _hand_over(session: Session, bench: Bench, order_id: str) -> None:
    order = orders.locked_order(session, order_id)
    if order.stage != Stage.DELIVERING.value:
        return
    session.get_one(Delivery, f"{order_id}:final:{order.chosen_step}").delivered_at = now()
    orders.move(session, bench.engine, order_id, Stage.DELIVERED)


def _order(session: Session, order_id: str) -> Order:
    return session.get_one(Order, order_id)


def settings_of(wish: Wish) -> WorkerSettings:
    """This machine's settings, with a storage of its own whatever the installation uses, and no lease: nobody else works here."""
    return WorkerSettings(
        data_dir=wish.out / ".lorasmith",
        work_dir=None,
        database_url=None,
        artifacts_url=None,
        logs_dir=wish.out / "logs" if writes_tensorboard() else None,
        bases=(wish.base,),
        lease_s=1e9,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with a LoRA, 1 with the reason, 130 where it was stopped."""
    wish, as_json = parse(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = settings_of(wish)
    if not present(wish.base, settings.weights(wish.base)):
        terminal.say(missing(wish.base, settings.weights(wish.base)))
        return 1
    try:
        asyncio.run(_until_stopped(wish, settings))
    except (KeyboardInterrupt, asyncio.CancelledError):
        terminal.say("Stopped. The same command goes on from the last checkpoint.")
        return STOPPED
    except LorasmithError as error:
        terminal.say(str(error))
        return 1
    if as_json:
        sys.stdout.write((wish.out / "result.json").read_text())
    return 0


async def _until_stopped(wish: Wish, settings: WorkerSettings) -> None:
    """Ctrl-C and SIGTERM end the child and leave the order where it is."""
    require_faces(settings, wish)
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("there is always a task here")
    on_signals((signal.SIGINT, signal.SIGTERM), task.cancel)
    await train(wish, settings)


if __name__ == "__main__":
    sys.exit(main())
