//! What one participant knows of the others, what it wants of them, and what it has asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::{ParticipantInfo, Request, TrackType, UpdateSubscription, UpdateTrackSettings, VideoQuality};
use super::sdp::Kind;
use super::wishes::{self, Quality, Subscribe};

/// The publishers of one room, as planned: they need not be there yet.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) microphones: BTreeSet<String>,
    pub(crate) cameras: BTreeSet<String>,
}

/// One participant's view.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Published tracks by their owners' identities.
    tracks: BTreeMap<String, Vec<Track>>,
    wishes: BTreeMap<(String, Kind), Option<Quality>>,
    /// What was asked for, by track.
    asked: BTreeMap<String, Option<Quality>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Track {
    sid: String,
    kind: Kind,
}

impl Roster {
    // ---- in

    /// Somebody came, changed or left.
    pub(crate) fn handle_participant(&mut self, participant: &ParticipantInfo) {
        if participant.has_left() {
            self.tracks.remove(&participant.identity);
            return;
        }
        let tracks = participant.tracks.iter().filter_map(|track| match TrackType::try_from(track.r#type) {
            Ok(TrackType::Audio) => Some(Track { sid: track.sid.clone(), kind: Kind::Audio }),
            Ok(TrackType::Video) => Some(Track { sid: track.sid.clone(), kind: Kind::Video }),
            _ => None,
        });
        self.tracks.insert(participant.identity.clone(), tracks.collect());
    }

    /// What `own` wants in a room with these publishers.
    pub(crate) fn set_wishes(&mut self, own: &str, room: &Room, subscribe: &Subscribe) {
        let microphones = room.microphones.iter().filter(|other| subscribe.audio && *other != own);
        let cameras = wishes::cameras(own, &room.cameras, subscribe);
        let microphones = microphones.map(|other| ((other.clone(), Kind::Audio), None));
        let cameras = cameras.into_iter().map(|(other, quality)| ((other.to_owned(), Kind::Video), Some(quality)));
        self.wishes = microphones.chain(cameras).collect();
    }

    // ---- out

    /// What to ask the server for so that it knows all wishes that it can fulfil by now.
    pub(crate) fn poll_requests(&mut self) -> Vec<Request> {
        let wanted: BTreeMap<String, Option<Quality>> =
            self.wanted().filter_map(|(track, quality)| Some((track?.sid.clone(), quality))).collect();
        // As SDKs do, it says nothing of a track that has ended.
        let published: BTreeSet<&String> = self.tracks.values().flatten().map(|track| &track.sid).collect();
        let unwanted = self.asked.keys().filter(|sid| !wanted.contains_key(*sid) && published.contains(sid));
        let unwanted: Vec<String> = unwanted.cloned().collect();
        let new: Vec<String> = wanted.keys().filter(|sid| !self.asked.contains_key(*sid)).cloned().collect();
        let changed = wanted.iter().filter(|(sid, quality)| self.asked.get(*sid) != Some(quality));
        let of_quality = |quality| {
            let sids = changed.clone().filter(move |(_, wanted)| **wanted == Some(quality));
            sids.map(|(sid, _)| sid.clone()).collect::<Vec<_>>()
        };
        let (low, high) = (of_quality(Quality::Low), of_quality(Quality::High));
        self.asked = wanted;
        let requests = [
            subscription(unwanted, false),
            subscription(new, true),
            setting(low, VideoQuality::Low),
            setting(high, VideoQuality::High),
        ];
        requests.into_iter().flatten().collect()
    }

    // ---- getters

    /// How many wishes of a kind are there, and how many are fulfilled, as `flows` says of a track.
    pub(crate) fn progress(&self, kind: Kind, flows: impl Fn(&str) -> bool) -> (usize, usize) {
        let of_kind = || self.wishes.keys().filter(|(_, other)| *other == kind);
        let fulfilled = of_kind().filter(|wish| self.track(wish).is_some_and(|track| flows(&track.sid)));
        (of_kind().count(), fulfilled.count())
    }

    pub(crate) fn has_wishes(&self) -> bool {
        !self.wishes.is_empty()
    }

    // ---- details

    fn wanted(&self) -> impl Iterator<Item = (Option<&Track>, Option<Quality>)> {
        self.wishes.iter().map(|(wish, quality)| (self.track(wish), *quality))
    }

    fn track(&self, (identity, kind): &(String, Kind)) -> Option<&Track> {
        self.tracks.get(identity)?.iter().find(|track| track.kind == *kind)
    }
}

fn subscription(track_sids: Vec<String>, subscribe: bool) -> Option<Request> {
    let update = UpdateSubscription { track_sids, subscribe, ..UpdateSubscription::default() };
    (!update.track_sids.is_empty()).then_some(Request::Subscription(update))
}

fn setting(track_sids: Vec<String>, quality: VideoQuality) -> Option<Request> {
    let update = UpdateTrackSettings { track_sids, quality: quality.into() };
    (!update.track_sids.is_empty()).then_some(Request::TrackSetting(update))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::messages::TrackInfo;
    use crate::call::wishes::Amount;

    fn publisher(identity: &str, tracks: &[(&str, TrackType)]) -> ParticipantInfo {
        let track = |(sid, kind): &(&str, TrackType)| TrackInfo { sid: (*sid).to_owned(), r#type: (*kind).into() };
        ParticipantInfo {
            identity: identity.to_owned(),
            tracks: tracks.iter().map(track).collect(),
            ..ParticipantInfo::default()
        }
    }

    fn roster() -> Roster {
        let mut roster = Roster::default();
        let identities = || ["a", "b", "c"].map(str::to_owned).into();
        let room = Room { microphones: identities(), cameras: identities() };
        roster.set_wishes("a", &room, &Subscribe { audio: true, high: Amount::Some(1), low: Amount::Some(1) });
        roster
    }

    fn sids(request: &Request) -> (&[String], i32) {
        match request {
            Request::Subscription(update) => (&update.track_sids, -1 - i32::from(update.subscribe)),
            Request::TrackSetting(update) => (&update.track_sids, update.quality),
            _ => panic!("another request"),
        }
    }

    #[test]
    fn tracks_are_asked_for_when_they_are_there() {
        let mut roster = roster();
        assert_eq!(roster.poll_requests(), []);
        roster.handle_participant(&publisher("b", &[("TR_ba", TrackType::Audio), ("TR_bv", TrackType::Video)]));
        let requests = roster.poll_requests();
        let expected = [(vec!["TR_ba".to_owned(), "TR_bv".to_owned()], -2), (vec!["TR_bv".to_owned()], 2)];
        assert_eq!(
            requests.iter().map(sids).collect::<Vec<_>>(),
            expected.each_ref().map(|(sids, more)| (&sids[..], *more))
        );
        assert_eq!(roster.poll_requests(), []);
    }

    #[test]
    fn the_rest_is_wanted_small_and_oneself_not_at_all() {
        let mut roster = roster();
        roster.handle_participant(&publisher("a", &[("TR_av", TrackType::Video)]));
        roster.handle_participant(&publisher("c", &[("TR_cv", TrackType::Video)]));
        let requests = roster.poll_requests();
        assert_eq!(requests.iter().map(sids).map(|(_, more)| more).collect::<Vec<_>>(), [-2, 0]);
    }

    #[test]
    fn one_who_comes_back_has_other_tracks() {
        let mut roster = roster();
        roster.handle_participant(&publisher("b", &[("TR_1", TrackType::Audio)]));
        roster.poll_requests();
        roster.handle_participant(&ParticipantInfo { state: 3, ..publisher("b", &[]) });
        roster.handle_participant(&publisher("b", &[("TR_2", TrackType::Audio)]));
        assert_eq!(roster.poll_requests().iter().map(sids).collect::<Vec<_>>(), [(&["TR_2".to_owned()][..], -2)]);
    }

    #[test]
    fn what_is_there_and_no_longer_wanted_is_given_back() {
        let mut roster = roster();
        roster.handle_participant(&publisher("b", &[("TR_ba", TrackType::Audio)]));
        roster.poll_requests();
        roster.set_wishes(
            "a",
            &Room::default(),
            &Subscribe { audio: true, high: Amount::Some(1), low: Amount::Some(1) },
        );
        assert_eq!(roster.poll_requests().iter().map(sids).collect::<Vec<_>>(), [(&["TR_ba".to_owned()][..], -1)]);
    }

    #[test]
    fn a_wish_is_fulfilled_when_its_track_flows() {
        let mut roster = roster();
        assert!(roster.has_wishes());
        roster.handle_participant(&publisher("b", &[("TR_ba", TrackType::Audio), ("TR_bv", TrackType::Video)]));
        assert_eq!(roster.progress(Kind::Audio, |sid| sid == "TR_ba"), (2, 1));
        assert_eq!(roster.progress(Kind::Video, |sid| sid == "TR_ba"), (2, 0));
    }
}
