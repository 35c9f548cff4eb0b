"""Data packets of one room: who may send, to whom they go, and what happens when a reader is not there yet or slow.

Packets pass through unchanged but for the sender's identity and sid, which are always ours. Streams and RPC are such packets.

Sequence: a sender numbers its reliable packets. After a resume it repeats those that we may have missed; what we have had is dropped.

Back-pressure: when more than the engine's high-water mark waits towards a reader, everyone who lately sent it reliable
data is no longer read (SCTP's window then stops them). That lasts until the reader has drained, at most
`PAUSE_S`; after that its reliable data is dropped until it has, because one dead reader must not stop a room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from livekit.protocol import models

from sfu import seam
from sfu.engine import EngineFacade
from sfu.policy.patience import Patience
from sfu.replay import Replay

if TYPE_CHECKING:
    from sfu.participant import Participant

RELIABLE, LOSSY = "_reliable", "_lossy"


class _Reader:
    """Back-pressure state of one participant as a reader."""

    def __init__(self) -> None:
        self.senders: set[Participant] = set()
        self.pausing = False
        self.dropping = False
        self.patience = Patience(PAUSE_S)


class DataRouter:
    """Verbs: `handle_joined`, `handle_ready`, `handle_data`, `handle_overflow`, `handle_low`, `handle_left`, `handle_timeout`.

    `send` is the server API's.
    """

    def __init__(self, engine: EngineFacade) -> None:
        #: Reason (`DROP_REASONS`) -> packets; for "slow_reader" per reader.
        self.dropped: Counter[str] = Counter()
        self.forwarded = 0
        #: Kept packets that were delivered, per reader.
        self.replayed = 0
        self._engine = engine
        self._replay: Replay[Participant] = Replay()
        self._readers: dict[Participant, _Reader] = {}
        self._paused: set[Participant] = set()
        self._memory = Patience(MEMORY_S)
        self._memory.arm()

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_joined(self, reader: Participant) -> None:
        """Its reliable data waits until its channel is open."""
        self._replay.handle_joined(reader, reader.identity)

    def handle_ready(self, reader: Participant, label: str) -> None:
        """A channel towards this reader is open."""
        if label != RELIABLE or not self._replay.waits(reader):
            return
        for kept in self._replay.take(reader):
            if kept.is_for(reader.identity, reader.sid):
                self.replayed += 1
                self._engine.submit(seam.SendData((reader.connection.data_transport,), RELIABLE, kept.payload))

    def handle_data(self, sender: Participant, label: str, payload: bytes) -> None:
        if label not in (RELIABLE, LOSSY):
            return self._drop("unknown_channel")
        if not sender.permission.can_publish_data:
            return self._drop("not_allowed")
        packet = models.DataPacket()
        try:
            packet.ParseFromString(payload)
        except DecodeError:
            return self._drop("malformed")
        if packet.WhichOneof("value") == "transcription" and not sender.permission.agent:
            return self._drop("not_allowed")
        if label == RELIABLE and packet.sequence:
            if packet.sequence <= sender.last_message_sequence:
                return self._drop("repeated")
            sender.last_message_sequence = packet.sequence
        _stamp(packet, sender)
        self._forward(sender, label, packet, sender.room.others(sender))
        return None

    def handle_overflow(self, reader: Participant) -> None:
        state = self._readers.setdefault(reader, _Reader())
        if not state.dropping:
            state.pausing = True
            state.patience.arm()
            self._repause()

    def handle_low(self, reader: Participant) -> None:
        """The reader has drained: it is well, and its history is forgotten."""
        self._readers.pop(reader, None)
        self._repause()

    def handle_left(self, participant: Participant, *, may_return: bool) -> None:
        self._replay.handle_left(participant, participant.identity, may_return=may_return)
        self._readers.pop(participant, None)
        self._paused.discard(participant)
        for state in self._readers.values():
            state.senders.discard(participant)
        self._repause()

    def handle_timeout(self, now: float) -> None:
        self._replay.handle_timeout(now)
        if self._memory.expired(now):
            self._memory.arm()
            self._readers = {
                reader: state for reader, state in self._readers.items() if state.pausing or state.dropping
            }
        for state in self._readers.values():
            if state.patience.expired(now):
                state.pausing, state.dropping = False, True
                state.senders.clear()
                self._repause()

    def send(self, label: str, packet: models.DataPacket, candidates: Iterable[Participant]) -> None:
        """Data of the server API, which comes from nobody."""
        self._forward(None, label, packet, candidates)

    # ------------------------------------------------------------------------------------------------- internals

    def _forward(
        self, sender: Participant | None, label: str, packet: models.DataPacket, candidates: Iterable[Participant]
    ) -> None:
        named = _named(packet)
        targets = [target for target in candidates if not named or target.identity in named or target.sid in named]
        payload = packet.SerializeToString()
        if label == RELIABLE:
            self._replay.handle_sent("" if sender is None else sender.identity, named, payload)
            targets = [target for target in targets if self._takes_reliable(target, sender)]
        if not targets:
            return
        self.forwarded += 1
        transports = tuple(target.connection.data_transport for target in targets)
        self._engine.submit(seam.SendData(transports, label, payload))

    def _takes_reliable(self, reader: Participant, sender: Participant | None) -> bool:
        if self._replay.waits(reader):
            return False
        state = self._readers.get(reader)
        if state is None:
            state = self._readers[reader] = _Reader()
        if state.dropping:
            self._drop("slow_reader")
            return False
        if sender is not None and sender not in state.senders:
            state.senders.add(sender)
            if state.pausing:
                self._repause()
        return True

    def _repause(self) -> None:
        wanted = {sender for state in self._readers.values() if state.pausing for sender in state.senders}
        for sender in wanted ^ self._paused:
            for transport in sender.connection.transports():
                self._engine.submit(seam.PauseData(transport, sender in wanted))
        self._paused = wanted

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1


def _stamp(packet: models.DataPacket, sender: Participant) -> None:
    """Whatever the client wrote about itself is replaced."""
    packet.participant_identity = sender.identity
    packet.participant_sid = sender.sid
    if packet.WhichOneof("value") == "user":
        packet.user.participant_identity = sender.identity
        packet.user.participant_sid = sender.sid


def _named(packet: models.DataPacket) -> frozenset[str]:
    """Whom it is for, by identity or (in older packets) by sid; empty: everyone."""
    named = frozenset(packet.destination_identities)
    if packet.WhichOneof("value") == "user":
        named |= {*packet.user.destination_identities, *packet.user.destination_sids}
    return named


DROP_REASONS = ("unknown_channel", "not_allowed", "malformed", "repeated", "slow_reader")
# Long enough for a phone to change networks; short enough that the others' calls and chats do not seem dead.
PAUSE_S = 5.0
# Who has not sent for this long does not fill a reader's queue.
MEMORY_S = 10.0
