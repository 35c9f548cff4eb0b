//! Which of several paths carries media, with clients that change networks and with clients that nominate everything.

use std::time::{Duration, Instant};

use wire::stun::{Class, Message, TransactionId};

use super::credentials::Credentials;
use super::{Agent, IceEvent};
use crate::Path;

const PASSWORD: &str = "the password of the server";

/// A client with several paths to one agent, in virtual time. It answers our checks unless told otherwise.
struct Client {
    agent: Agent,
    now: Instant,
    server: Credentials,
    own: Credentials,
    answers: bool,
    changes: Vec<Path>,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        let mut agent = Agent::new("serv".to_owned(), PASSWORD, 1);
        agent.set_remote(now, "clie".to_owned(), "the client's");
        Self {
            agent,
            now,
            server: Credentials::new("serv".to_owned(), PASSWORD),
            own: Credentials::new("clie".to_owned(), "the client's"),
            answers: true,
            changes: Vec::new(),
        }
    }

    fn check(&mut self, path: Path, priority: u32, nominates: bool) {
        let username = format!("{}:clie", self.server.ufrag);
        let request = self.server.write(Class::Request, TransactionId([9; 12]), |writer| {
            writer.username(&username).priority(priority).ice_controlling(5);
            if nominates {
                writer.use_candidate();
            }
        });
        self.agent.handle_stun(self.now, path, &request.unwrap());
        self.answer();
        while let Some(event) = self.agent.poll_event() {
            if let IceEvent::Selected(path) = event {
                self.changes.push(path);
            }
        }
    }

    fn answer(&mut self) {
        while let Some((path, message)) = self.agent.poll_datagram() {
            let message = Message::parse(&message).unwrap();
            if self.answers && message.class() == Class::Request {
                let response = self.own.write(Class::Success, message.transaction_id(), |_| ()).unwrap();
                self.agent.handle_stun(self.now, path, &response);
            }
        }
    }

    fn nominate(&mut self, nth: u8, priority: u32) {
        self.check(udp(nth), priority, true);
    }

    fn sleep(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn selected(&self) -> Option<Path> {
        self.agent.selected()
    }
}

fn udp(nth: u8) -> Path {
    Path::udp("192.0.2.1:7882".parse().unwrap(), ([198, 51, 100, nth], 5000).into())
}

fn tcp(nth: u8) -> Path {
    Path::tcp("192.0.2.1:7881".parse().unwrap(), ([198, 51, 100, nth], 5000).into())
}

#[test]
fn a_client_that_nominates_every_pair_gets_its_media_on_the_best_and_it_stays_there() {
    for priorities in [[400, 300, 200, 100], [100, 200, 300, 400], [200, 400, 100, 300]] {
        let mut client = Client::new();
        for _ in 0..1_200 {
            for (nth, priority) in priorities.iter().enumerate() {
                client.nominate(nth as u8, *priority);
            }
            client.sleep(50);
        }
        let best = (0..4).max_by_key(|nth| priorities[*nth]).unwrap();
        assert_eq!(client.selected(), Some(udp(best as u8)));
        assert!(client.changes.len() <= 4, "{priorities:?}: {:?}", client.changes);
    }
}

#[test]
fn media_does_not_flap_between_paths_that_are_worth_the_same() {
    let mut client = Client::new();
    for _ in 0..1_200 {
        (0..4).for_each(|nth| client.nominate(nth, 100));
        client.sleep(50);
    }
    assert!(client.changes.len() <= 6, "{:?}", client.changes);
}

#[test]
fn firefox_is_followed_to_its_best_pair_which_it_then_checks_without_nominations() {
    let mut client = Client::new();
    // The best pair's first check was lost: it is nominated last, and the others once.
    for (nth, priority) in [(1, 200), (2, 100), (0, 300)] {
        client.nominate(nth, priority);
        client.sleep(20);
    }
    assert_eq!(client.selected(), Some(udp(0)));
    for _ in 0..20 {
        client.sleep(5_900);
        client.check(udp(0), 300, false);
    }
    assert_eq!((client.selected(), client.changes.len()), (Some(udp(0)), 2));
}

#[test]
fn a_client_that_moves_is_followed_at_once_and_back_again() {
    let mut client = Client::new();
    client.nominate(1, 300);
    client.sleep(60_000);
    // From Wi-Fi to the mobile network, which is worth less; and back.
    for (nth, priority) in [(2, 200), (1, 300), (2, 200)] {
        client.sleep(1_000);
        client.nominate(nth, priority);
        assert_eq!(client.selected(), Some(udp(nth)));
        for _ in 0..13 {
            client.sleep(2_500);
            client.nominate(nth, priority);
        }
    }
}

#[test]
fn after_a_restart_the_new_credentials_decide() {
    let mut client = Client::new();
    client.nominate(1, 300);
    client.sleep(500);
    client.agent.restart("next".to_owned(), "another password");
    // The old ones are still valid.
    client.nominate(1, 300);
    client.server = Credentials::new("next".to_owned(), "another password");
    client.nominate(2, 100);
    assert_eq!(client.selected(), Some(udp(2)), "worth less, and the other was nominated a moment ago");
}

#[test]
fn checks_without_a_nomination_take_over_when_the_selected_path_has_fallen_silent() {
    let mut client = Client::new();
    client.nominate(1, 300);
    for _ in 0..3 {
        client.sleep(2_000);
        client.check(udp(2), 200, false);
        assert_eq!(client.selected(), Some(udp(1)));
    }
    client.sleep(2_000);
    client.check(udp(2), 200, false);
    assert_eq!(client.selected(), Some(udp(2)));
}

#[test]
fn udp_is_preferred_and_tcp_needs_no_proof() {
    let mut client = Client::new();
    client.answers = false;
    client.check(tcp(1), 100, true);
    assert!(client.agent.charge(tcp(1), 1 << 20), "the handshake of TCP has shown who is there");
    client.answers = true;
    client.check(udp(1), 100, true);
    client.check(tcp(1), 100, true);
    assert_eq!(client.selected(), Some(udp(1)));
}

#[test]
fn a_closed_connection_is_no_path_any_more() {
    let mut client = Client::new();
    client.check(tcp(1), 100, true);
    client.check(udp(2), 50, false);
    client.agent.handle_path_closed(client.now, tcp(1));
    assert_eq!((client.selected(), client.agent.paths().count()), (Some(udp(2)), 1));
    client.agent.handle_path_closed(client.now, udp(2));
    assert_eq!(client.selected(), None);
    client.check(tcp(3), 100, false);
    assert_eq!(client.selected(), Some(tcp(3)));
}

#[test]
fn a_proven_path_serves_while_a_better_one_does_not_answer() {
    let mut client = Client::new();
    client.answers = false;
    client.nominate(1, 200);
    client.answers = true;
    client.sleep(20);
    client.nominate(2, 100);
    assert_eq!(client.selected(), Some(udp(2)));
    client.sleep(200);
    client.nominate(1, 200);
    assert_eq!(client.selected(), Some(udp(1)));
    assert_eq!(client.changes, [udp(1), udp(2), udp(1)]);
}
