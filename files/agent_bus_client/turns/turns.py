"""The turns of one agent, one at a time: a wake during a turn makes one more turn after it."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from agent_bus_client.record import Record
from agent_bus_client.turns import session
from agent_bus_client.turns.readiness import look
from agent_bus_client.turns.session import Session
from agent_bus_client.turns.turn import Ended, Turn

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Callable, Optional

    from agent_bus_client.agents import Agent
    from agent_bus_client.turns.readiness import Readiness

logger = logging.getLogger(__name__)

PROVEN_S = 20.0  # a program without a login or a model says so and ends within this time
RETRY_S, RETRY_MAX_S = 60.0, 1800.0  # after a failed turn: each one may cost money
DOUBT = 3  # failed turns in a row, after which the conversation itself may be the cause
REASON = 200  # characters


class Answer(Record):
    """What the watcher is told; the fields are those of the answer's JSON.

    Attributes:
        status: `accepted`, `queued`, `refused` (try again) or `rejected` (mend something first).
        left_s: how long the running turn may still take, if queued behind it.
    """

    status: str
    reason: str = ""
    fix: str = ""
    retry_after_s: Optional[float] = None
    left_s: Optional[float] = None


class _First:
    """The turn that a wake has asked for, for the thread that answers it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()
        self.answer: Optional[Answer] = None

    def failed(self, answer: Answer) -> None:
        self.answer = answer

    def done(self) -> None:
        self.begun.set()
        self.over.set()


class Turns:
    """Any thread may call; `mail_waits` asks the hub."""

    def __init__(self, agent: Agent, state_dir: Path, mail_waits: Callable[[], bool]) -> None:
        assert agent.turns is not None
        self._agent, self._settings = agent, agent.turns
        self._state_dir = state_dir
        self._mail_waits = mail_waits
        self._lock = threading.Lock()
        self._busy = False
        self._again = False
        self._closed = False
        self._turn: Optional[Turn] = None
        self._thread: Optional[threading.Thread] = None
        self.idle_since = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether a turn runs, or may follow."""
        return self._busy

    def check(self) -> Answer:
        """Say whether a wake would be accepted now; nothing is started."""
        ready = look(self._agent, self._settings)
        if ready.reason:
            return Answer("rejected", ready.reason, ready.fix)
        known = session.load(self._state_dir)
        if known.trouble:
            return Answer("refused", f"last turn failed: {known.trouble}"[:REASON])
        return Answer("accepted")

    def wake(self) -> Answer:
        """Begin a turn, or have one more follow the running one.

        Blocks until the program runs. If the last turn failed, or none has gone well yet, it
        blocks until this one has ended or has run for some time: then its failure can be told.
        """
        with self._lock:
            if self._closed:
                return Answer("refused", "stopping")
            if self._busy:
                self._again = True
                turn = self._turn
                return Answer("queued", left_s=turn.left_s if turn else 0.0)
            self._busy, self._again = True, False
        ready = look(self._agent, self._settings)
        if ready.reason:
            self._rest()
            return Answer("rejected", ready.reason, ready.fix)
        known = session.load(self._state_dir)
        first = _First()
        self._thread = threading.Thread(target=self._run, args=(ready, first), name="turns")
        self._thread.start()
        first.begun.wait()
        if known.trouble or not known.proven:
            first.over.wait(PROVEN_S)
        return first.answer or Answer("accepted")

    def close(self) -> None:
        """End the running turn and all that it has started, and take no more."""
        with self._lock:
            self._closed, self._again = True, False
            if self._turn:
                self._turn.stop()
        if self._thread:
            self._thread.join()

    def _rest(self) -> None:
        with self._lock:
            self._busy, self.idle_since = False, time.monotonic()

    def _run(self, ready: Readiness, first: _First) -> None:
        try:
            self._take(ready, first)
            while self._one_more():
                ready = look(self._agent, self._settings)
                if ready.reason:
                    logger.error("no turn: %s", ready.fix, extra=self._extra(reason=ready.reason))
                else:
                    self._take(ready, _First())
        except Exception:
            logger.exception("turns failed unexpectedly", extra=self._extra())
            first.failed(Answer("refused", "turn service failed, see its journal"))
            self._rest()
        finally:
            first.done()

    def _one_more(self) -> bool:
        """Tell whether a turn has to follow: a wake came, and its mail is still not fetched."""
        while True:
            with self._lock:
                if self._closed or not self._again:
                    # under the lock: a wake from now on begins a turn itself
                    self._busy, self.idle_since = False, time.monotonic()
                    return False
                self._again = False
            if session.load(self._state_dir).trouble:
                words = "no turn follows the failed one; the watcher wakes again"
                logger.warning(words, extra=self._extra())
                continue
            if self._mail_waits():
                return True
            logger.info("no turn follows: the last one has fetched its mail", extra=self._extra())

    def _take(self, ready: Readiness, first: _First) -> None:
        """Take one turn, and another one at once if its conversation is gone."""
        known = session.load(self._state_dir)
        resume = self._resumes(known)
        ended = self._turn_of(
            known.id if resume else str(uuid.uuid4()), ready, first, resume=resume
        )
        if ended is not None and resume and ended.gone and not self._closed:
            extra = self._extra(session=known.id)
            logger.warning("conversation is gone; a new one begins, without its past", extra=extra)
            ended = self._turn_of(str(uuid.uuid4()), ready, first, resume=False)
            known = known.replaced(id="")
        if ended is not None:
            self._remember(known, ended, first)
        first.done()

    def _resumes(self, known: Session) -> bool:
        if self._settings.session == "new" or not known.id:
            return False
        if (known.waker, known.folder) != (self._agent.waker, self._settings.folder):
            extra = self._extra(session=known.id)
            logger.info("waker or folder has changed; a new conversation begins", extra=extra)
            return False
        if known.failures and known.failures % DOUBT == 0:
            extra = self._extra(session=known.id, failures=known.failures)
            logger.warning("turns keep failing; trying a new conversation", extra=extra)
            return False
        return True

    def _turn_of(
        self, name: str, ready: Readiness, first: _First, *, resume: bool
    ) -> Optional[Ended]:
        try:
            with self._lock:
                if self._closed:
                    first.failed(Answer("refused", "stopping"))
                    return None
                turn = Turn(self._agent, self._settings, ready, session=name, resume=resume)
                self._turn = turn
        except OSError as error:
            reason = f"program cannot be started: {error.strerror or error}"
            first.failed(Answer("rejected", reason, f"look at {ready.program}"))
            logger.error("turn was not started", extra=self._extra(reason=reason))
            return None
        extra = self._extra(program=ready.program, session=name if resume else "")
        logger.info("turn started", extra=extra)
        first.begun.set()
        try:
            ended = turn.wait()
        finally:
            with self._lock:
                self._turn = None
        level = logging.WARNING if ended.trouble or ended.cut else logging.INFO
        extra = self._extra(
            code=ended.code, duration_s=ended.duration_s, session=ended.session, reason=ended.cut
        )
        if ended.trouble:
            extra["reason"] = ended.trouble
        how = "failed" if ended.trouble else "was cut off" if ended.cut else "ended"
        logger.log(level, "turn %s", how, extra=extra)
        return ended

    def _remember(self, known: Session, ended: Ended, first: _First) -> None:
        if ended.trouble:
            failures = known.failures + 1
            after = known.replaced(failures=failures, trouble=ended.trouble[:REASON])
            retry_s = min(RETRY_S * 2 ** (failures - 1), RETRY_MAX_S)
            reason = f"turn failed: {ended.trouble}"[:REASON]
            first.failed(Answer("refused", reason, retry_after_s=retry_s))
        else:
            settings = self._settings
            after = Session(
                ended.session,
                self._agent.waker,
                settings.folder,
                proven=known.proven or not ended.cut,
            )
        try:
            session.save(self._state_dir, after)
        except OSError as error:
            extra = self._extra(session=after.id, reason=str(error))
            logger.error("conversation is not remembered", extra=extra)

    def _extra(self, **more: object) -> dict[str, object]:
        return {"agent": self._agent.name, **more}
