"""Random joins, publishes, mutes, drops, resumes and changes of rights; after each, the rooms are what the model says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from livekit.protocol import models, rtc

from sfu import seam
from sfu.ids import Identity, TrackSid
from sfu.participant import RESUME_TIMEOUT_S
from sfu.policy.permission import Permission
from tests.unit.rooms.house import House, consumers_on, quiet, restricted
from tests.unit.rooms.model import Member, Model, Track

IDENTITIES = ("ada", "bob", "cyd", "dan")
CODECS = (("VP8", "H264"), ("VP8",))


class Rooms(RuleBasedStateMachine):
    """Rules pick from what is there, by order and never by random names, so that a failure repeats itself."""

    #: Of the engine; with several, neighbours in the room are on different ones.
    SHARDS = 1

    def __init__(self) -> None:
        super().__init__()
        self.quiet = quiet()
        self.quiet.__enter__()
        self.house = House(self.SHARDS, spread=1)
        self.model = Model()
        self.cids = (f"track{number}" for number in itertools.count())

    @initialize(data=st.data())
    def two_to_begin_with(self, data: st.DataObject) -> None:
        for identity in IDENTITIES[:2]:
            self._join(data, identity)

    # ------------------------------------------------------------------------------------------ coming and going

    @rule(data=st.data(), identity=st.sampled_from(IDENTITIES))
    def join(self, data: st.DataObject, identity: str) -> None:
        self._join(data, identity)

    def _join(self, data: st.DataObject, identity: str) -> None:
        """Another of the same identity has to leave."""
        permission = Permission(hidden=data.draw(st.integers(0, 7), "hidden if 0") == 0)
        options = {
            "v1": data.draw(st.booleans(), "v1"),
            "protocol": data.draw(st.sampled_from((17, 18)), "protocol"),
            "auto_subscribe": data.draw(st.integers(0, 3), "not auto if 0") != 0,
            "codecs": data.draw(st.sampled_from(CODECS), "codecs"),
        }
        older = self.model.members.get(identity)
        peer = self.house.join(identity, permission, **options)
        self.model.members[identity] = Member(peer, permission)
        self.house.turn()
        if older is not None:
            assert not older.peer.present
            if older.attentive:
                assert older.peer.left is not None and older.peer.left.reason == models.DUPLICATE_IDENTITY

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if member := self._one(data, lambda member: member.attentive):
            del self.model.members[member.identity]
            member.peer.leave()
            self.house.turn()

    @rule(data=st.data())
    def is_removed(self, data: st.DataObject) -> None:
        if member := self._one(data):
            del self.model.members[member.identity]
            self.house.room.remove(Identity(member.identity))
            self.house.turn()

    @rule(data=st.data(), reason=st.sampled_from(("consent_expired", "internal_error", "dtls_failed", "peer_closed")))
    def loses_its_media(self, data: st.DataObject, reason: str) -> None:
        """Only a full reconnect helps; who has closed the connection itself is given a while to leave, if it has a socket for that."""
        if member := self._one(data, lambda member: not member.dying):
            transports = member.peer.participant.connection.transports()
            transport = data.draw(st.sampled_from(transports))
            if reason == "peer_closed" and not member.peer.dropped:
                member.dying = member.peer.holds = True
                member.tracks.clear()
            else:
                del self.model.members[member.identity]
            self.house.engine.emit(seam.TransportClosed(transport, reason))
            self.house.turn()

    # ---------------------------------------------------------------------------------------- signalling and time

    @rule(data=st.data())
    def loses_its_socket(self, data: st.DataObject) -> None:
        """With its media connection gone there is nothing to resume."""
        if member := self._one(data, lambda member: not member.peer.dropped):
            if member.dying:
                del self.model.members[member.identity]
            member.peer.holds, member.dropped_s = False, 0.0
            member.peer.drop()
            self.house.turn()

    @rule(data=st.data())
    def resumes(self, data: st.DataObject) -> None:
        if member := self._one(data, lambda member: member.peer.dropped and not member.dying):
            auto = member.peer.options.auto_subscribe
            deviating = [sid for sid, wanted in member.wishes.items() if wanted != auto]
            member.peer.resume(deviating, member.disabled)
            self.house.turn()

    @rule(data=st.data())
    def reads_nothing_for_a_while(self, data: st.DataObject) -> None:
        if member := self._one(data, lambda member: member.attentive):
            member.peer.holds = True

    @rule()
    def all_read_again(self) -> None:
        for member in self.model.members.values():
            member.peer.holds = member.dying
        self.house.turn()

    @precondition(lambda self: all(member.dropped_s < 10 for member in self.model.members.values()))
    @rule()
    def a_moment_passes(self) -> None:
        self.all_read_again()
        for member in self.model.members.values():
            member.dropped_s += 1.5 if member.peer.dropped or member.dying else 0.0
        self.house.pass_time(1)

    @rule()
    def a_long_time_passes(self) -> None:
        """Who has no socket and did not resume is gone."""
        self.all_read_again()
        self.house.pass_time(RESUME_TIMEOUT_S + 1)
        self.model.remove_all(member for member in self.model.members.values() if member.peer.dropped or member.dying)

    # ------------------------------------------------------------------------------------------------- publishing

    @rule(data=st.data(), kind=st.sampled_from(("audio", "video")), muted=st.booleans())
    def publishes(self, data: st.DataObject, kind: str, muted: bool) -> None:
        member = self._one(data, lambda member: member.attentive and len(member.tracks) < 4)
        if member is None:
            return
        cid, codec = next(self.cids), data.draw(st.sampled_from(member.peer.codecs), "codec")
        first_the_media = data.draw(st.booleans(), "first the media")
        if first_the_media:
            member.peer.send_media(cid, kind)
        member.peer.add_track(cid, kind, codec, muted=muted)
        self.house.turn()
        if not member.permission.may_publish(_SOURCES[kind]):
            assert cid in member.peer.refused
            if first_the_media:
                member.peer.stop_media(cid)
                self.house.turn()
            return
        if not first_the_media:
            member.peer.send_media(cid, kind)
        self.house.turn()
        if first_the_media:
            codec = member.peer.codecs[0]  # its section was answered before anybody said which
        track = Track(cid, member.peer.published[cid], kind, codec, muted)
        member.tracks[cid] = self.model.ever[track.sid] = track

    @rule(data=st.data())
    def unpublishes(self, data: st.DataObject) -> None:
        if found := self._track(data, lambda owner, _track: owner.attentive):
            owner, track = found
            del owner.tracks[track.cid]
            owner.peer.stop_media(track.cid)
            self.house.turn()

    @rule(data=st.data(), muted=st.booleans())
    def mutes_or_unmutes(self, data: st.DataObject, muted: bool) -> None:
        if found := self._track(data, lambda owner, _track: owner.attentive):
            owner, track = found
            track.muted = muted
            owner.peer.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=muted))
            self.house.turn()

    @rule(data=st.data())
    def is_muted_by_the_server(self, data: st.DataObject) -> None:
        if found := self._track(data):
            owner, track = found
            track.muted = True
            self.house.room.mute_track(Identity(owner.identity), TrackSid(track.sid), True)
            self.house.turn()

    # ------------------------------------------------------------------------------------------------ subscribing

    @rule(data=st.data(), subscribe=st.booleans())
    def wants_or_does_not(self, data: st.DataObject, subscribe: bool) -> None:
        pair = self._member_and_track(data)
        if pair is not None:
            member, _, track = pair
            member.wishes[track.sid] = subscribe
            member.peer.request(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=subscribe))
            self.house.turn()

    @rule(data=st.data(), subscribe=st.booleans(), disable=st.booleans())
    def changes_its_mind_while_its_socket_is_gone(self, data: st.DataObject, subscribe: bool, disable: bool) -> None:
        """The server learns it from the state that a resume brings."""
        member = self._one(data, lambda member: member.peer.dropped and not member.dying)
        found = self._track(data, lambda owner, _track: owner is not member) if member else None
        if member is not None and found is not None:
            _, track = found
            member.wishes[track.sid] = subscribe
            if disable:
                member.disabled.add(track.sid)

    @rule(data=st.data(), disabled=st.booleans())
    def switches_off_or_on(self, data: st.DataObject, disabled: bool) -> None:
        pair = self._member_and_track(data)
        if pair is not None:
            member, _, track = pair
            (member.disabled.add if disabled else member.disabled.discard)(track.sid)
            member.peer.request(
                track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], disabled=disabled, quality="HIGH")
            )
            self.house.turn()

    @rule(data=st.data(), everybody=st.booleans(), all_tracks=st.booleans())
    def says_who_may_subscribe(self, data: st.DataObject, everybody: bool, all_tracks: bool) -> None:
        member = self._one(data, lambda member: member.attentive)
        if member is None:
            return
        friends = data.draw(st.lists(st.sampled_from(IDENTITIES), max_size=2, unique=True), "friends")
        sids = {track.sid for track in list(member.tracks.values())[:1]}
        member.access = None if everybody else dict.fromkeys(friends, None if all_tracks else sids)
        member.peer.request(
            subscription_permission=rtc.SubscriptionPermission(
                all_participants=everybody,
                track_permissions=[]
                if everybody
                else [
                    rtc.TrackPermission(participant_identity=friend, all_tracks=all_tracks, track_sids=sorted(sids))
                    for friend in friends
                ],
            )
        )
        self.house.turn()

    @rule(data=st.data(), can_publish=st.booleans(), can_subscribe=st.booleans(), sources=st.sampled_from(((), (2,))))
    def gets_other_rights(
        self, data: st.DataObject, can_publish: bool, can_subscribe: bool, sources: tuple[int, ...]
    ) -> None:
        if member := self._one(data, lambda member: not member.dying):
            member.permission = restricted(
                member.permission,
                can_publish=can_publish,
                can_subscribe=can_subscribe,
                can_publish_sources=frozenset(sources),
                can_publish_data=can_publish,
            )
            may = member.permission.may_publish
            member.tracks = {cid: track for cid, track in member.tracks.items() if may(_SOURCES[track.kind])}
            member.peer.participant.handle_permission(member.permission)
            self.house.turn()

    # ------------------------------------------------------------------------------------------------------- data

    @rule(data=st.data())
    def sends_data(self, data: st.DataObject) -> None:
        member = self._one(data, lambda member: not member.dying)
        if member is None:
            return
        before = len(self.house.engine.sent)
        transport = member.peer.participant.connection.transports()[-1]
        packet = models.DataPacket(user=models.UserPacket(payload=b"hello"))
        self.house.engine.emit(seam.DataReceived(transport, "_lossy", packet.SerializeToString()))
        self.house.turn()
        expected = {other.peer.participant.connection.data_transport for other in self.model.others(member)}
        sent = {transport for command in self.house.engine.sent[before:] for transport in command.transports}
        assert sent == (expected if member.permission.can_publish_data else set())

    # ------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def those_are_in_the_room_who_should_be(self) -> None:
        present = set(self.house.room.participants)
        assert present == set(self.model.members)
        for identity, member in self.model.members.items():
            assert self.house.room.participants[Identity(identity)] is member.peer.participant

    @invariant()
    def everybody_is_sent_what_the_model_says(self) -> None:
        for member in self.model.members.values():
            if not member.attentive:
                continue
            expected = self.model.received(member)
            consumers = consumers_on(self.house, member.peer).items()
            sent = {self._sid_of(producer): consumer for producer, consumer in consumers}
            assert set(sent) == set(expected), member.identity
            for sid, consumer in sent.items():
                assert consumer.paused == member.is_paused(expected[sid][1]), (member.identity, expected[sid][1])

    @invariant()
    def everybody_was_described_what_it_is_sent(self) -> None:
        for member in self.model.members.values():
            if member.attentive:
                # A track that it has refused stays in its last offer, whatever became of it.
                described = {sid for sid in member.peer.described if member.decodes(self.model.ever[sid])}
                assert described == set(self.model.received(member)), member.identity

    @invariant()
    def everybody_knows_the_others(self) -> None:
        for member in self.model.members.values():
            if not member.attentive:
                continue
            expected = {
                other.identity: {track.sid: track.muted for track in other.tracks.values()}
                for other in self.model.visible(member).values()
            }
            known = {
                identity: {track.sid: track.muted for track in info.tracks}
                for identity, info in member.peer.view.items()
            }
            assert known == expected, member.identity
            sids = {identity: info.sid for identity, info in member.peer.view.items()}
            assert sids == {other: self.model.members[other].peer.participant.sid for other in sids}

    @invariant()
    def the_engine_holds_what_the_facade_counts(self) -> None:
        if not any(member.dying for member in self.model.members.values()):
            assert self.house.engine.open_ids() == self.house.facade.counts()
        assert self.house.faults.seen == []

    def teardown(self) -> None:
        try:
            self.house.close()
        finally:
            self.quiet.__exit__(None, None, None)

    # -------------------------------------------------------------------------------------------------- internals

    def _one(self, data: st.DataObject, where: Callable[[Member], bool] = lambda _: True) -> Member | None:
        names = sorted(name for name, member in self.model.members.items() if where(member))
        return self.model.members[data.draw(st.sampled_from(names), "who")] if names else None

    def _track(
        self, data: st.DataObject, where: Callable[[Member, Track], bool] = lambda _owner, _track: True
    ) -> tuple[Member, Track] | None:
        tracks = {cid: found for cid, found in self.model.tracks().items() if where(*found)}
        return tracks[data.draw(st.sampled_from(sorted(tracks)), "track")] if tracks else None

    def _member_and_track(self, data: st.DataObject) -> tuple[Member, Member, Track] | None:
        """Somebody attentive, and a track of somebody else that it knows of."""
        member = self._one(data, lambda member: member.attentive)
        if member is None:
            return None
        known = self.model.visible(member)
        found = self._track(data, lambda owner, _track: owner.identity in known and owner is not member)
        return (member, *found) if found else None

    def _sid_of(self, producer: seam.ProducerId) -> str:
        for member in self.model.members.values():
            for sid, publication in member.peer.participant.publishing.publications.items():
                for rendition in publication.renditions():
                    if rendition.source is not None and rendition.source.producer == producer:
                        return str(sid)
        raise AssertionError(f"producer {producer} belongs to no track")


_SOURCES: dict[str, Any] = {"audio": models.MICROPHONE, "video": models.CAMERA}
