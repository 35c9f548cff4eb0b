//! Two sides of an association over a link with 20 ms of round trip in virtual time.

use std::time::{Duration, Instant};

use super::*;

struct Link {
    now: Instant,
    client: DataChannels,
    server: DataChannels,
    in_flight: Vec<(Instant, bool, Vec<u8>)>,
    lose: fn(usize) -> bool,
    sent: usize,
    client_events: Vec<DataEvent>,
    server_events: Vec<DataEvent>,
}

impl Link {
    fn new() -> Self {
        Self {
            now: Instant::now(),
            client: DataChannels::new(Parity::Even),
            server: DataChannels::new(Parity::Odd),
            in_flight: Vec::new(),
            lose: |_| false,
            sent: 0,
            client_events: Vec::new(),
            server_events: Vec::new(),
        }
    }

    /// A client with one channel, as every SDK opens it; the server only waits.
    fn with_channel(parameters: ChannelParameters) -> Self {
        let mut link = Self::new();
        let label = parameters.label.clone();
        link.client.open(link.now, parameters).unwrap();
        link.client.start(link.now);
        link.run(200);
        assert_eq!(link.server_events, [DataEvent::Opened { label: label.clone() }]);
        assert_eq!(link.client_events, [DataEvent::Opened { label }]);
        link.server_events.clear();
        link.client_events.clear();
        link
    }

    fn run(&mut self, for_ms: u64) {
        let end = self.now + Duration::from_millis(for_ms);
        loop {
            self.collect();
            let due = self.in_flight.iter().map(|(at, ..)| *at).min();
            let timers = [due, self.client.poll_timeout(), self.server.poll_timeout()];
            let next = timers.into_iter().flatten().min().unwrap_or(end).max(self.now);
            self.now = next.min(end);
            if next >= end {
                break;
            }
            let (due, later): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(|(at, ..)| *at <= self.now);
            self.in_flight = later;
            for (_, to_server, packet) in due {
                let side = if to_server { &mut self.server } else { &mut self.client };
                side.handle_packet(self.now, &packet);
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
    }

    fn collect(&mut self) {
        self.server_events.extend(std::iter::from_fn(|| self.server.poll_event(self.now)));
        self.client_events.extend(std::iter::from_fn(|| self.client.poll_event(self.now)));
        for to_server in [true, false] {
            let side = if to_server { &mut self.client } else { &mut self.server };
            while let Some(packet) = side.poll_packet() {
                assert!(packet.len() <= 1_160, "{}", packet.len());
                self.sent += 1;
                if !(self.lose)(self.sent) {
                    self.in_flight.push((self.now + Duration::from_millis(10), to_server, packet));
                }
            }
        }
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        payloads(&self.server_events)
    }
}

fn payloads(events: &[DataEvent]) -> Vec<Vec<u8>> {
    let payload = |event: &DataEvent| match event {
        DataEvent::Data { payload, .. } => Some(payload.clone()),
        _ => None,
    };
    events.iter().filter_map(payload).collect()
}

fn reliable(label: &str, stream: Option<u16>) -> ChannelParameters {
    ChannelParameters { label: label.to_owned(), ordered: true, max_retransmits: None, stream }
}

fn lossy(label: &str) -> ChannelParameters {
    ChannelParameters { ordered: false, max_retransmits: Some(0), ..reliable(label, None) }
}

#[test]
fn messages_of_every_size_arrive_in_order() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    let messages: Vec<Vec<u8>> = [0, 1, 3, 1_000, 16_384, 65_536, MESSAGE_MAX].map(|len| vec![len as u8; len]).to_vec();
    for message in &messages {
        assert!(link.client.send(link.now, "_reliable", message));
    }
    assert!(!link.client.send(link.now, "_reliable", &vec![0; MESSAGE_MAX + 1]));
    link.run(3_000);
    assert_eq!(link.payloads(), messages);
}

#[test]
fn both_sides_may_start_the_association() {
    let mut link = Link::new();
    link.client.open(link.now, reliable("theirs", None)).unwrap();
    link.server.open(link.now, reliable("ours", None)).unwrap();
    link.client.start(link.now);
    link.server.start(link.now);
    link.run(1_000);
    for events in [&link.client_events, &link.server_events] {
        for label in ["ours", "theirs"] {
            assert!(events.contains(&DataEvent::Opened { label: label.to_owned() }), "{label} in {events:?}");
        }
    }
    assert_eq!(link.server.channels.by_label("ours").unwrap().stream % 2, 1);
    assert_eq!(link.server.channels.by_label("theirs").unwrap().stream % 2, 0);
}

#[test]
fn the_association_comes_up_through_loss() {
    for lost in 1..=6 {
        let mut link = Link::new();
        link.client.open(link.now, reliable("x", None)).unwrap();
        link.client.start(link.now);
        link.lose = [|n| n == 1, |n| n == 2, |n| n == 3, |n| n == 4, |n| n == 5, |n| n == 6][lost - 1];
        link.run(3_000);
        assert!(link.client_events.contains(&DataEvent::Opened { label: "x".to_owned() }), "packet {lost} lost");
    }
}

#[test]
fn a_lossy_channel_loses_and_never_waits() {
    let mut link = Link::with_channel(lossy("_lossy"));
    link.lose = |nth| nth % 10 == 0;
    for nth in 0..300_u16 {
        assert!(link.client.send(link.now, "_lossy", &[nth.to_be_bytes().to_vec(), vec![0; 500]].concat()));
        link.run(10);
    }
    link.run(1_000);
    let received = link.payloads().len();
    assert!((240..300).contains(&received), "{received}");
}

#[test]
fn data_that_overtakes_its_announcement_is_delivered() {
    let mut link = Link::new();
    link.client.open(link.now, lossy("_lossy")).unwrap();
    link.client.start(link.now);
    // INIT, INIT ACK, COOKIE ECHO, COOKIE ACK and the announcement, which has to be repeated after the data.
    link.lose = |nth| nth == 5;
    link.run(45);
    link.client.channels.iter_mut().for_each(|channel| channel.state = State::Open);
    link.client.send(link.now, "_lossy", b"early");
    link.run(3_000);
    assert_eq!(link.payloads(), [b"early"]);
}

#[test]
fn messages_for_a_negotiated_stream_wait_for_its_declaration() {
    let mut link = Link::new();
    link.client.open(link.now, reliable("_reliable", Some(100))).unwrap();
    link.client.start(link.now);
    link.run(100);
    link.client.send(link.now, "_reliable", b"early");
    link.run(100);
    assert!(link.server_events.is_empty());
    link.server.open(link.now, reliable("_reliable", Some(100))).unwrap();
    link.run(10);
    let label = || "_reliable".to_owned();
    let expected =
        [DataEvent::Opened { label: label() }, DataEvent::Data { label: label(), payload: b"early".to_vec() }];
    assert_eq!(link.server_events, expected);
}

#[test]
fn a_reader_that_pauses_pushes_back_and_loses_nothing() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    link.server.pause(true);
    let chunk = |nth: u32| [nth.to_be_bytes().to_vec(), vec![0; 16_000]].concat();
    let (mut sent, mut full) = (0, 0);
    while full < 100 {
        if link.client.send(link.now, "_reliable", &chunk(sent)) {
            sent += 1;
        } else {
            full += 1;
        }
        link.run(5);
    }
    assert!(link.payloads().is_empty());
    assert!(sent < 400, "the client could send {sent} chunks to nobody");
    link.server.pause(false);
    link.run(30_000);
    assert_eq!(link.payloads(), (0..sent).map(chunk).collect::<Vec<_>>());
}

#[test]
fn overflow_and_low_come_once_each() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    while !link.server_events.contains(&DataEvent::Overflow) {
        assert!(link.server.send(link.now, "_reliable", &[0; 16_000]));
        link.server_events.extend(std::iter::from_fn(|| link.server.poll_event(link.now)));
    }
    for _ in 0..10 {
        assert!(link.server.send(link.now, "_reliable", &[0; 16_000]), "there is room beyond the mark");
    }
    assert_eq!(link.server_events.len(), 1);
    link.run(10_000);
    assert_eq!(link.server_events, [DataEvent::Overflow, DataEvent::Low]);
    assert!(payloads(&link.client_events).len() > 65);
}

#[test]
fn a_queue_without_end_is_refused() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    let accepted = (0..1_000).take_while(|_| link.server.send(link.now, "_reliable", &[0; 16_000])).count();
    assert!((200..300).contains(&accepted), "{accepted}");
}

#[test]
fn a_closed_channel_can_be_opened_again() {
    let mut link = Link::with_channel(reliable("x", None));
    link.client.socket.as_mut().unwrap().reset(link.now, &[0]);
    link.client.channels.remove(0);
    link.run(500);
    assert!(!link.server.send(link.now, "x", b"nobody there"));
    link.client.open(link.now, reliable("x", None)).unwrap();
    link.run(500);
    assert!(link.server.send(link.now, "x", b"here again"));
    link.run(100);
    assert_eq!(payloads(&link.client_events), [b"here again"]);
}

#[test]
fn labels_streams_and_their_number_are_limited() {
    let mut link = Link::with_channel(reliable("x", None));
    assert_eq!(link.server.open(link.now, reliable("x", None)), Err(Refusal::ChannelTaken));
    assert_eq!(link.server.open(link.now, reliable("y", Some(0))), Err(Refusal::ChannelTaken));
    let opened = (0..100).filter(|nth| link.server.open(link.now, reliable(&nth.to_string(), None)).is_ok()).count();
    assert_eq!(opened, 63);
    for nth in 0..100 {
        let _ = link.client.open(link.now, reliable(&format!("c{nth}"), None));
    }
    link.run(1_000);
    assert!(link.server.channels.iter().count() <= 64);
}

#[test]
fn random_and_truncated_packets_change_nothing() {
    let mut link = Link::with_channel(reliable("x", None));
    link.client.send(link.now, "x", b"payload");
    let packet = link.client.poll_packet().unwrap();
    for len in 0..packet.len() {
        link.server.handle_packet(link.now, &packet[..len]);
    }
    let mut random = 7_u64;
    for _ in 0..5_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut junk = packet.clone();
        let at = (random >> 33) as usize % junk.len();
        junk[at] ^= (random >> 8) as u8 | 1;
        link.server.handle_packet(link.now, &junk);
    }
    link.server.handle_packet(link.now, &packet);
    link.run(100);
    assert_eq!(link.payloads(), [b"payload"]);
}

/// What somebody with an association of its own and no stack at all can send.
struct Forger {
    header: [u8; 12],
    tsn: u32,
}

impl Forger {
    /// Goes on where the client of the link has stopped.
    fn after(link: &mut Link) -> Self {
        assert!(link.client.send(link.now, "_reliable", &[7; 50]));
        let packet = link.client.poll_packet().unwrap();
        link.server.handle_packet(link.now, &packet);
        link.collect();
        assert_eq!(packet[12], 0, "a DATA chunk");
        let tsn = u32::from_be_bytes(packet[16..20].try_into().unwrap());
        Self { header: packet[..12].try_into().unwrap(), tsn }
    }

    /// `count` chunks of one byte each on the channel's stream.
    fn packet(&mut self, count: u16, flags: u8, stream_seq: impl Fn(u16) -> u16) -> Vec<u8> {
        let mut packet = self.header.to_vec();
        for number in 0..count {
            self.tsn = self.tsn.wrapping_add(1);
            packet.extend([0, flags, 0, 17]);
            packet.extend(self.tsn.to_be_bytes());
            packet.extend([0, 0]);
            packet.extend(stream_seq(number).to_be_bytes());
            packet.extend([0, 0, 0, 53, 9, 0, 0, 0]);
        }
        packet[8..12].fill(0);
        let checksum = crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
        packet
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, fold)
}

#[test]
fn pieces_of_one_byte_are_taken_as_far_as_an_honest_stack_would_send_them() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    let mut forger = Forger::after(&mut link);
    let mut taken = 0;
    for _ in 0..5_000 {
        // The middle of a message that never ends.
        let packet = forger.packet(50, 0, |_| 2);
        taken += usize::from(link.server.handle_packet(link.now, &packet)) * 50;
        while link.server.poll_packet().is_some() {}
    }
    assert!((100..1_000).contains(&taken), "{taken} pieces of 250,000");
}

#[test]
fn messages_of_one_byte_are_bounded_while_reading_is_paused() {
    let mut link = Link::with_channel(reliable("_reliable", None));
    let mut forger = Forger::after(&mut link);
    link.server_events.clear();
    link.server.pause(true);
    let (mut taken, mut seq) = (0_usize, 2_u16);
    for _ in 0..2_000 {
        let before = (forger.tsn, seq);
        let packet = forger.packet(50, 3, |number| seq + number);
        if link.server.handle_packet(link.now, &packet) {
            (taken, seq) = (taken + 50, seq + 50);
        } else {
            (forger.tsn, seq) = before;
        }
        while link.server.poll_packet().is_some() {}
    }
    assert!((10_000..20_000).contains(&taken), "{taken} messages of 100,000");
    // Read again, nothing that was taken is lost and more is welcome.
    link.server.pause(false);
    let read = |link: &mut Link| std::iter::from_fn(|| link.server.poll_event(link.now)).count();
    assert_eq!(read(&mut link), taken);
    let packet = forger.packet(50, 3, |number| seq + number);
    assert!(link.server.handle_packet(link.now, &packet));
    assert_eq!(read(&mut link), 50);
}

#[test]
fn honest_messages_of_every_size_are_never_taken_for_a_flood() {
    for len in [1, 9, 10, 11, 20, 60, 200, 300, 1_000, 1_200, 3_000] {
        let mut link = Link::with_channel(reliable("_reliable", None));
        for _ in 0..1_000 {
            assert!(link.client.send(link.now, "_reliable", &vec![1; len]));
        }
        link.run(3_000);
        assert_eq!(link.payloads().len(), 1_000, "messages of {len} bytes");
    }
}
