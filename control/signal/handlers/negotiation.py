"""Offers and answers. Ids are echoed; the rest is the connection's."""

from __future__ import annotations

from livekit.protocol import rtc

from control.signal.handlers.types import Handler, Session
from sfu.participant import Participant


def offer(_session: Session, participant: Participant, message: rtc.SessionDescription) -> None:
    participant.connection.handle_offer(message.sdp, message.id)


def answer(_session: Session, participant: Participant, message: rtc.SessionDescription) -> None:
    participant.connection.handle_answer(message.sdp, message.id)


HANDLERS: dict[str, Handler] = {"offer": offer, "answer": answer}
