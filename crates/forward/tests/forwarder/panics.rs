//! A panic in a third-party machine ends the transport that it belongs to, and nothing else.

use forward::testing::Machine;
use forward::{CloseTransport, Command, Event, OpenDataChannel, SendData, TransportId};

use crate::support::{Consume, Receiver, SIMULCAST, Video, World, ms, usual_extensions};

/// A call of two, and mallory beside them with data channels open.
struct Call {
    world: World,
    video: Video,
    receiver: Receiver,
    mallory: usize,
}

impl Call {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let (alice, bob) = (world.add_client(), world.add_client());
        let video = Video::publish(&mut world, alice, 0, SIMULCAST);
        let ssrc = world.consume(bob, 0, 0, Consume::default());
        let mallory = world.add_client();
        // Mallory is part of the call too: what hangs on its transport goes with it.
        Video::publish(&mut world, mallory, 1, &[]);
        world.consume(mallory, 0, 1, Consume::default());
        world.consume(bob, 1, 2, Consume::default());
        open_channel(&mut world, bob);
        open_channel(&mut world, mallory);
        let mut call = Self { world, video, receiver: Receiver::new(bob, ssrc), mallory };
        call.video.run(&mut call.world, ms(500));
        call
    }

    /// The transport ended with the reason, at once, and alice and bob go on.
    fn assert_mallory_alone_is_gone(mut self) {
        let closed = |event: &Event| match event {
            Event::TransportClosed { transport, reason } => Some((transport.0, *reason)),
            _ => None,
        };
        let ended: Vec<_> = self.world.events.iter().filter_map(|(_, event)| closed(event)).collect();
        assert_eq!(ended, [(self.mallory as u64, "internal_error")]);
        let counters = self.world.counters();
        assert_eq!((counters.transports, counters.producers, counters.consumers), (2, 1, 1));
        assert_eq!(counters.closed_internal_error, 1);
        let before = counters.rtp_out;
        self.video.run(&mut self.world, ms(1_000));
        assert!(self.world.counters().rtp_out > before + 80);
        self.receiver.take(&self.world);
        self.receiver.assert_continuous_video();
        assert!(send_data(&mut self.world, 1), "bob's own machines are untouched");
        // A later client meets machines in good order.
        self.world.add_client();
        assert_eq!(self.world.counters().transports, 3);
    }
}

fn open_channel(world: &mut World, client: usize) {
    world.command(Command::OpenDataChannel(OpenDataChannel {
        transport: TransportId(client as u64),
        label: "_reliable".to_owned(),
        ordered: true,
        max_retransmits: None,
        stream: None,
    }));
    world.run_for(ms(100));
    let opened =
        |event: &Event| matches!(event, Event::DataChannelOpened { transport, .. } if transport.0 == client as u64);
    assert!(world.events.iter().any(|(_, event)| opened(event)));
}

/// True when the forwarder took it.
fn send_data(world: &mut World, client: usize) -> bool {
    let before = world.counters().data_out;
    world.command(Command::SendData(SendData {
        transports: vec![TransportId(client as u64)],
        label: "_reliable".to_owned(),
        payload: vec![1; 100],
    }));
    world.counters().data_out > before
}

#[test]
fn in_sctp_while_a_packet_is_read() {
    let mut call = Call::new(61);
    assert!(call.world.shards.sabotage(TransportId(call.mallory as u64), Machine::Sctp));
    let now = call.world.now;
    assert!(call.world.clients[call.mallory].transport.send_data(now, "_reliable", b"boom"));
    call.world.run_for(ms(50));
    call.assert_mallory_alone_is_gone();
}

#[test]
fn in_sctp_while_data_is_sent() {
    let mut call = Call::new(62);
    assert!(call.world.shards.sabotage(TransportId(call.mallory as u64), Machine::Sctp));
    let mallory = call.mallory;
    assert!(!send_data(&mut call.world, mallory));
    call.world.run_for(ms(50));
    call.assert_mallory_alone_is_gone();
}

#[test]
fn in_sctp_while_a_timer_runs() {
    let mut call = Call::new(63);
    assert!(call.world.shards.sabotage(TransportId(call.mallory as u64), Machine::Sctp));
    // Nothing is sent: what is left are heartbeats.
    call.video.run(&mut call.world, ms(60_000));
    call.assert_mallory_alone_is_gone();
}

#[test]
fn in_dtls_while_a_record_is_read() {
    let mut call = Call::new(64);
    assert!(call.world.shards.sabotage(TransportId(call.mallory as u64), Machine::Dtls));
    let now = call.world.now;
    assert!(call.world.clients[call.mallory].transport.send_data(now, "_reliable", b"boom"));
    call.world.run_for(ms(50));
    call.assert_mallory_alone_is_gone();
}

#[test]
fn in_dtls_in_the_middle_of_a_handshake() {
    let mut call = Call::new(65);
    let far = netem::LinkConfig { delay: ms(30), ..netem::LinkConfig::default() };
    let late = call.world.open_client(usual_extensions());
    call.world.set_links(late, far, far);
    let at = TransportId(late as u64);
    while !call.world.shards.sabotage(at, Machine::Dtls) {
        call.world.run_for(ms(1));
    }
    assert!(!call.world.clients[late].transport.is_connected());
    call.world.run_for(ms(3_000));
    let ended = |event: &Event| matches!(event, Event::TransportClosed { transport, reason } if *transport == at && *reason == "internal_error");
    assert!(call.world.events.iter().any(|(_, event)| ended(event)));
    assert_eq!(call.world.counters().transports, 3);
}

#[test]
fn at_the_end_of_a_transport() {
    for machine in [Machine::Sctp, Machine::Dtls] {
        let mut call = Call::new(66);
        let mallory = TransportId(call.mallory as u64);
        assert!(call.world.shards.sabotage(mallory, machine));
        call.world.command(Command::CloseTransport(CloseTransport { transport: mallory }));
        call.world.run_for(ms(50));
        assert_eq!(call.world.counters().transports, 2);
        call.video.run(&mut call.world, ms(500));
        call.receiver.take(&call.world);
        call.receiver.assert_continuous_video();
    }
}
