//! Data channels over a whole transport; what they do among themselves is tested next to them.

use super::*;

fn channel(label: &str, stream: Option<u16>) -> ChannelParameters {
    ChannelParameters { label: label.to_owned(), ordered: true, max_retransmits: None, stream }
}

fn data(label: &str, payload: &[u8]) -> TransportEvent {
    TransportEvent::Data { label: label.to_owned(), payload: payload.to_vec() }
}

#[test]
fn a_channel_of_the_client_carries_data_both_ways() {
    let mut pair = Pair::new();
    pair.introduce();
    pair.client.open_channel(pair.now, channel("_reliable", None)).unwrap();
    pair.connect();
    pair.run(500);
    assert!(pair.server_got(&TransportEvent::ChannelOpened { label: "_reliable".to_owned() }));
    assert!(
        pair.client.send_data(pair.now, "_reliable", b"hello")
            && pair.server.send_data(pair.now, "_reliable", b"you too")
    );
    pair.run(100);
    assert!(pair.server_got(&data("_reliable", b"hello")));
    assert!(pair.client_events.contains(&data("_reliable", b"you too")));
}

#[test]
fn a_channel_of_ours_asked_for_before_the_handshake_opens_after_it() {
    let mut pair = Pair::new();
    pair.server.open_channel(pair.now, channel("_reliable", None)).unwrap();
    pair.introduce();
    pair.connect();
    pair.run(500);
    assert!(pair.server_got(&TransportEvent::ChannelOpened { label: "_reliable".to_owned() }));
    assert!(pair.server.send_data(pair.now, "_reliable", b"first"));
    pair.run(100);
    assert!(pair.client_events.contains(&data("_reliable", b"first")));
}

#[test]
fn negotiated_channels_need_no_announcement() {
    let mut pair = Pair::new();
    pair.introduce();
    for (label, stream) in [("_reliable", 100), ("_lossy", 101), ("_data_track", 102)] {
        pair.server.open_channel(pair.now, channel(label, Some(stream))).unwrap();
        pair.client.open_channel(pair.now, channel(label, Some(stream))).unwrap();
    }
    pair.connect();
    pair.run(500);
    for label in ["_reliable", "_lossy", "_data_track"] {
        assert!(pair.server.send_data(pair.now, label, label.as_bytes()));
    }
    pair.run(100);
    for label in ["_reliable", "_lossy", "_data_track"] {
        assert!(pair.client_events.contains(&data(label, label.as_bytes())));
    }
}

#[test]
fn without_a_data_section_channels_are_refused() {
    let mut pair = Pair::with(|config| config.data = false);
    pair.introduce();
    assert_eq!(pair.server.open_channel(pair.now, channel("x", None)), Err(Refusal::NoData));
}

#[test]
fn a_file_arrives_whole_through_loss_and_pauses() {
    let mut pair = Pair::new();
    pair.introduce();
    pair.client.open_channel(pair.now, channel("_reliable", None)).unwrap();
    pair.connect();
    pair.run(500);
    pair.deliver = Box::new(|_, nth, _| nth % 97 != 0);
    let chunk = |nth: u32| [nth.to_be_bytes().to_vec(), vec![nth as u8; 15_000]].concat();
    for nth in 0..100 {
        assert!(pair.client.send_data(pair.now, "_reliable", &chunk(nth)));
        if nth == 30 {
            pair.server.pause_data(true);
        }
        pair.run(20);
    }
    let received = |pair: &Pair| {
        let payloads = pair.server_events.iter().filter_map(|(_, event)| match event {
            TransportEvent::Data { payload, .. } => Some(payload.clone()),
            _ => None,
        });
        payloads.collect::<Vec<_>>()
    };
    assert!(received(&pair).len() <= 31, "nothing is handed out while paused");
    pair.server.pause_data(false);
    pair.run(60_000);
    assert_eq!(received(&pair), (0..100).map(chunk).collect::<Vec<_>>());
}
