"""Data packets of one room: who may send, to whom they go, and what happens when a reader is not there yet or slow.

Packets pass through unchanged but for the sender's identity and sid, which are always ours. Streams and RPC are such packets.

Sequence: a sender numbers its reliable packets. After a resume it repeats those that we may have missed; what we have had is dropped.

Back-pressure: when more than the engine's high-water mark waits towards a reader, everyone who lately sent it reliable
data is no longer read (SCTP's window then stops them). That lasts until the reader has drained, at most
`PAUSE_S`; after that its reliable data is dropped until it has, because one dead reader must not stop a room.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from livekit.protocol import models

from sfu import seam
from sfu.engine import EngineFacade
from sfu.policy.patience import Patience
from sfu.replay import Replay, is_named

if TYPE_CHECKING:
    from sfu.participant import Participant

RELIABLE, LOSSY = "_reliable", "_lossy"


class _SlowReader:
    """More than the engine's high-water mark waits towards it."""

    def __init__(self) -> None:
        self.dropping = False
        self.patience = Patience(PAUSE_S)
        self.patience.arm()


class DataRouter:
    """Verbs: `handle_joined`, `handle_ready`, `handle_data`, `handle_overflow`, `handle_low`, `handle_left`, `handle_timeout`."""

    def __init__(self, engine: EngineFacade) -> None:
        #: Reason (`DROP_REASONS`) -> packets; for "slow_reader" per reader.
        self.dropped: Counter[str] = Counter()
        self.forwarded = 0
        #: Kept packets that were delivered, per reader.
        self.replayed = 0
        self._engine = engine
        self._replay: Replay[Participant] = Replay()
        #: Everybody, and where their data goes.
        self._readers: dict[Participant, seam.TransportId] = {}
        #: Those whose reliable data goes there now: neither waiting for their channel nor given up as too slow.
        self._served: dict[Participant, seam.TransportId] = {}
        self._slow: dict[Participant, _SlowReader] = {}
        #: Who sent reliable data lately, and to whom; None: to everybody.
        self._senders: dict[Participant, frozenset[Participant] | None] = {}
        self._paused: set[Participant] = set()
        self._memory = Patience(MEMORY_S)
        self._memory.arm()

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_joined(self, reader: Participant) -> None:
        """Its reliable data waits until its channel is open."""
        self._readers[reader] = reader.connection.data_transport
        self._replay.handle_joined(reader, reader.identity)

    def handle_ready(self, reader: Participant, label: str) -> None:
        """A channel towards this reader is open."""
        if label != RELIABLE or not self._replay.waits(reader):
            return
        for kept in self._replay.take(reader):
            if kept.is_for(reader.identity, reader.sid):
                self.replayed += 1
                self._engine.submit(seam.SendData((self._readers[reader],), RELIABLE, kept.payload))
        self._serve(reader)

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
        self._forward(sender, label, _named(packet), packet.SerializeToString())
        return None

    def handle_overflow(self, reader: Participant) -> None:
        if reader in self._readers and reader not in self._slow:
            self._slow[reader] = _SlowReader()
            self._repause()

    def handle_low(self, reader: Participant) -> None:
        """The reader has drained: it is well."""
        self._slow.pop(reader, None)
        self._serve(reader)
        self._repause()

    def handle_left(self, participant: Participant, *, may_return: bool) -> None:
        self._replay.handle_left(participant, participant.identity, may_return=may_return)
        self._readers.pop(participant, None)
        self._served.pop(participant, None)
        self._slow.pop(participant, None)
        self._senders.pop(participant, None)
        self._paused.discard(participant)
        self._repause()

    def handle_timeout(self, now: float) -> None:
        self._replay.handle_timeout(now)
        for reader, slow in self._slow.items():
            if slow.patience.expired(now):
                slow.dropping = True
                self._served.pop(reader, None)
                self._repause()
        if self._memory.expired(now):
            self._memory.arm()
            if not self._paused:
                self._senders.clear()

    # ------------------------------------------------------------------------------------------------- internals

    def _forward(self, sender: Participant, label: str, named: frozenset[str], payload: bytes) -> None:
        readers = self._readers
        if label == RELIABLE:
            self._replay.handle_sent(sender.identity, named, payload)
            for reader, slow in self._slow.items():
                if slow.dropping and reader is not sender and is_named(named, reader.identity, reader.sid):
                    self._drop("slow_reader")
            readers = self._served
        targets = readers
        # Without names nobody is looked at: in a large room that would be the dearest line.
        if named:
            targets = {item: at for item, at in readers.items() if is_named(named, item.identity, item.sid)}
        transports = tuple([transport for target, transport in targets.items() if target is not sender])
        if not transports:
            return
        self.forwarded += 1
        self._engine.submit(seam.SendData(transports, label, payload))
        if label == RELIABLE:
            self._remember(sender, frozenset(targets) if named else None)

    def _serve(self, reader: Participant) -> None:
        transport, slow = self._readers.get(reader), self._slow.get(reader)
        if transport is not None and not self._replay.waits(reader) and (slow is None or not slow.dropping):
            self._served[reader] = transport

    def _remember(self, sender: Participant, readers: frozenset[Participant] | None) -> None:
        before = self._senders.get(sender, _NOBODY)
        if before is None or (readers is not None and readers <= before) or sender not in self._readers:
            return
        self._senders[sender] = None if readers is None else before | readers
        self._repause()

    def _repause(self) -> None:
        """Whoever sends to a slow reader, for whom there still is patience, is not read."""
        slow = {reader for reader, state in self._slow.items() if not state.dropping}
        wanted = {
            sender
            for sender, readers in self._senders.items()
            if (slow if readers is None else slow & readers) - {sender}
        }
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


_NOBODY: frozenset[Participant] = frozenset()
DROP_REASONS = ("unknown_channel", "not_allowed", "malformed", "repeated", "slow_reader")
# Long enough for a phone to change networks; short enough that the others' calls and chats do not seem dead.
PAUSE_S = 5.0
# Who has not sent for this long does not fill a reader's queue.
MEMORY_S = 10.0
