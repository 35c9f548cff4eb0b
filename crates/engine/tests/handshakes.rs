//! A thousand clients that shake hands at once cost a running call nothing: real sockets, one shard, real handshakes.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, connect, consume, publish, start};
use engine::Engine;
use forward::{Event, PathProtocol};

const CLIENTS: u64 = 1_000;
/// Of what the call's packets spend in the server; the histogram has a bound at 4,096 us.
const P99: Duration = Duration::from_millis(5);
/// A machine that does something else meanwhile spoils a measurement or two, not five.
const ATTEMPTS: usize = 5;

#[test]
fn a_thousand_handshakes_at_once_leave_the_forwarding_latency_of_a_call_alone() {
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let storm = storm();
        println!("{storm:?}");
        assert_eq!(storm.connected, CLIENTS, "every one of them connects");
        assert!(storm.packets > 300, "{storm:?}");
        if storm.within_p99 {
            return;
        }
        // Who waits for the processor is late, whatever it does.
        if storm.waited < storm.took.mul_f64(BUSY) {
            measured.push(storm);
        }
    }
    assert!(measured.is_empty(), "p99 is above {P99:?}: {measured:?}");
    eprintln!("not measured: something else had the processors all the time");
}

#[derive(Debug)]
#[allow(dead_code, reason = "read by its Debug")]
struct Storm {
    connected: u64,
    took: Duration,
    /// For a processor, by the shard's thread.
    waited: Duration,
    /// Of the call, while handshakes ran.
    packets: u64,
    within_p99: bool,
    /// Cumulative, by upper bound in microseconds.
    latency: Vec<(Option<u64>, u64)>,
}

fn storm() -> Storm {
    let engine = start(None);
    let open = |id| Client::open(&engine, id, PathProtocol::Udp);
    let (mut publisher, mut subscriber) = (open(0), open(1));
    connect(&engine, &mut [&mut publisher, &mut subscriber]);
    publish(&engine, 0);
    consume(&engine, 1);
    let before = settled_latency(&engine);
    let (over, at_once) = (AtomicBool::new(false), Barrier::new(2));
    let waited_before = shard_waited();
    let (connected, took) = thread::scope(|scope| {
        let attackers = scope.spawn(|| {
            let mut crowd: Vec<Client> = (2..2 + CLIENTS).map(open).collect();
            at_once.wait();
            for client in &mut crowd {
                client.connect(engine.fingerprint());
            }
            while !over.load(Ordering::Relaxed) {
                crowd.iter_mut().for_each(Client::turn);
                // The processor is the server's: this test is not about who gets it.
                thread::sleep(Duration::from_millis(1));
            }
        });
        let driver = scope.spawn(|| count_connected(&engine, &over));
        at_once.wait();
        publish_until(&over, &mut publisher, &mut subscriber);
        attackers.join().expect("the attack goes on");
        driver.join().expect("events are taken")
    });
    let waited = shard_waited().saturating_sub(waited_before);
    let latency: Vec<_> =
        settled_latency(&engine).into_iter().zip(before).map(|((bound, now), (_, then))| (bound, now - then)).collect();
    let packets = latency.last().map_or(0, |(_, count)| *count);
    let p99_us = P99.as_micros() as u64;
    let quick = latency.iter().filter(|(bound, _)| bound.is_some_and(|us| us <= p99_us)).map(|(_, count)| *count).max();
    let within_p99 = quick.unwrap_or(0) * 100 >= packets * 99;
    Storm { connected, took, waited, packets, within_p99, latency }
}

/// Takes events until all have connected.
fn count_connected(engine: &Engine, over: &AtomicBool) -> (u64, Duration) {
    let (started, mut connected) = (Instant::now(), 0);
    while connected < CLIENTS && started.elapsed() < PATIENCE {
        let is_connected = |event: &&Event| matches!(event, Event::TransportConnected { .. });
        connected += engine.drain(4_096).iter().filter(is_connected).count() as u64;
        thread::sleep(Duration::from_millis(1));
    }
    over.store(true, Ordering::Relaxed);
    (connected, started.elapsed())
}

/// How long the shard's thread could have run and did not (the second field of schedstat).
fn shard_waited() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let shard = tasks
        .filter_map(Result::ok)
        .map(|task| task.path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "shard-0"));
    let stat = shard.and_then(|task| std::fs::read_to_string(task.join("schedstat")).ok()).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// The histogram once the shard has posted it again.
fn settled_latency(engine: &Engine) -> Vec<(Option<u64>, u64)> {
    thread::sleep(Duration::from_millis(1_200));
    engine.snapshot()[0].forward_latency.cumulative().collect()
}

/// A packet every millisecond, which makes enough of them to tell what one in a hundred waits. All arrive.
fn publish_until(over: &AtomicBool, publisher: &mut Client, subscriber: &mut Client) {
    let mut sent = 0;
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        publisher.send_rtp(sent, 100);
        sent += 1;
        due += Duration::from_millis(1);
        publisher.turn();
        subscriber.turn();
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let patience = Instant::now() + Duration::from_secs(2);
    while subscriber.received < sent && Instant::now() < patience {
        subscriber.turn();
    }
    // What was sent before the shard took the command to forward is not forwarded.
    assert!(subscriber.received + 20 >= sent, "{} of {sent} arrive", subscriber.received);
}

/// Share of the time: with the clients' two threads on two processors it waits little.
const BUSY: f64 = 0.05;
/// Making a thousand certificates and shaking as many hands takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);
