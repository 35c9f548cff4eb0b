//! Which of the others' cameras a participant wants, and how large: so many in high quality and so many in low, ring-wise after its
//! own place in the sorted list. Every camera is then wanted equally often.

use std::collections::BTreeSet;

use serde::Deserialize;

/// What a participant subscribes to.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Subscribe {
    /// Everybody's microphone.
    #[serde(default)]
    pub(crate) audio: bool,
    #[serde(default)]
    pub(crate) high: Amount,
    /// After those in high quality.
    #[serde(default)]
    pub(crate) low: Amount,
}

/// A number, or "all".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Amount {
    Some(usize),
    All(All),
}

/// The word "all".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum All {
    All,
}

impl Default for Amount {
    fn default() -> Self {
        Self::Some(0)
    }
}

impl Amount {
    fn of(self, available: usize) -> usize {
        match self {
            Self::Some(number) => number.min(available),
            Self::All(All::All) => available,
        }
    }
}

/// Of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Low,
    High,
}

/// The cameras that `own` wants of those whose owners are `publishers`.
pub(crate) fn cameras<'a>(
    own: &str,
    publishers: &'a BTreeSet<String>,
    subscribe: &Subscribe,
) -> Vec<(&'a str, Quality)> {
    let after = publishers.iter().filter(|other| other.as_str() > own);
    let before = publishers.iter().filter(|other| other.as_str() < own);
    let ring: Vec<&str> = after.chain(before).map(String::as_str).collect();
    let high = subscribe.high.of(ring.len());
    let low = subscribe.low.of(ring.len() - high);
    let quality = |place| if place < high { Quality::High } else { Quality::Low };
    ring.into_iter().take(high + low).enumerate().map(|(place, other)| (other, quality(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publishers() -> BTreeSet<String> {
        ["a", "b", "c", "d"].map(str::to_owned).into()
    }

    fn subscribe(high: Amount, low: Amount) -> Subscribe {
        Subscribe { audio: true, high, low }
    }

    #[test]
    fn those_after_oneself_come_first_and_the_ring_closes() {
        let wanted = subscribe(Amount::Some(1), Amount::Some(2));
        let expected = [("d", Quality::High), ("a", Quality::Low), ("b", Quality::Low)];
        assert_eq!(cameras("c", &publishers(), &wanted), expected);
    }

    #[test]
    fn one_who_has_no_camera_has_a_place_too() {
        let wanted = subscribe(Amount::Some(1), Amount::Some(0));
        assert_eq!(cameras("bb", &publishers(), &wanted), [("c", Quality::High)]);
        assert_eq!(cameras("x", &publishers(), &wanted), [("a", Quality::High)]);
    }

    #[test]
    fn nobody_wants_more_than_there_is() {
        let all = Amount::All(All::All);
        let expected = [("b", Quality::High), ("c", Quality::High), ("d", Quality::High)];
        assert_eq!(cameras("a", &publishers(), &subscribe(all, all)), expected);
        assert_eq!(cameras("a", &publishers(), &subscribe(Amount::Some(2), Amount::Some(9))).len(), 3);
        assert_eq!(cameras("a", &BTreeSet::new(), &subscribe(all, all)), []);
    }

    #[test]
    fn amounts_are_numbers_or_all() {
        let read = |text| serde_json::from_str::<Subscribe>(text).map(|subscribe| (subscribe.high, subscribe.low)).ok();
        assert_eq!(read(r#"{"audio":true,"high":"all"}"#), Some((Amount::All(All::All), Amount::Some(0))));
        assert_eq!(read(r#"{"high":1,"low":5}"#), Some((Amount::Some(1), Amount::Some(5))));
        assert_eq!(read(r#"{"high":"some"}"#), None);
    }
}
