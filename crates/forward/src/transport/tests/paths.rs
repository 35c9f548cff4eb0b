//! Which path is used, and how much may go over one that has not proven itself.

use super::*;

#[test]
fn a_path_that_never_answers_gets_at_most_three_times_what_it_sent() {
    let mut pair = Pair::new();
    pair.client.answer_checks(false);
    pair.introduce();
    pair.connect();
    for index in 1..2_000 {
        pair.run(5);
        pair.send_media(index, 1_000);
        for (path, received, sent) in &pair.traffic {
            assert!(*sent <= 3 * received, "{path:?}: {sent} bytes for {received}");
        }
    }
    assert!(pair.server_connected(), "enough for the handshake all the same");
}

#[test]
fn a_connection_is_told_when_its_path_has_answered() {
    let mut pair = Pair::new();
    pair.client.answer_checks(false);
    pair.introduce();
    pair.connect();
    pair.run(300);
    assert!(pair.server.srtp_outbound().is_some() && !pair.server_connected());
    pair.client.answer_checks(true);
    pair.run(500);
    assert!(pair.server_connected());
    assert!((1..1_000).all(|index| pair.send_media(index, 1_000)));
}

#[test]
fn a_client_that_answers_no_checks_is_let_in_after_a_while() {
    let mut pair = Pair::new();
    pair.client.answer_checks(false);
    pair.introduce();
    pair.connect();
    pair.run(2_000);
    assert!(pair.connected_after_ms().is_some_and(|ms| (500..1_000).contains(&ms)), "{:?}", pair.connected_after_ms());
}

#[test]
fn a_path_that_answers_is_not_limited() {
    let mut pair = Pair::connected();
    assert!((1..1_000).all(|index| pair.send_media(index, 1_000)));
}

#[test]
fn media_follows_the_client_to_a_new_path() {
    let mut pair = Pair::connected();
    pair.client.migrate(pair.now, client_path(2));
    pair.run(100);
    assert!(pair.server_got(&TransportEvent::PathChanged(mirror(client_path(2)))));
    assert_eq!(pair.server.selected_path(), Some(mirror(client_path(2))));
    assert_eq!(pair.server.paths().count(), 2);
    pair.client.migrate(pair.now, client_path(1));
    pair.run(100);
    assert_eq!(pair.server.selected_path(), Some(mirror(client_path(1))), "the newest nomination wins");
}

#[test]
fn media_stays_where_it_was_while_a_new_path_does_not_answer() {
    let mut pair = Pair::connected();
    pair.client.answer_checks(false);
    pair.client.migrate(pair.now, client_path(2));
    pair.run(1_000);
    assert_eq!(pair.server.selected_path(), Some(mirror(client_path(1))));
    // The old path fell silent: the new one is better than nothing, though limited.
    pair.run(10_000);
    assert_eq!(pair.server.selected_path(), Some(mirror(client_path(2))));
    let sent = (1..100).take_while(|index| pair.send_media(*index, 1_000)).count();
    assert!(sent < 20, "{sent}");
}

#[test]
fn nine_paths_are_one_too_many() {
    let mut pair = Pair::connected();
    for nth in 2..=8 {
        pair.client.migrate(pair.now, client_path(nth));
        pair.run(100);
    }
    assert_eq!(pair.server.paths().count(), 8);
    pair.client.migrate(pair.now, client_path(9));
    pair.run(100);
    assert_eq!(pair.server.paths().count(), 8);
    assert!(pair.server_got(&TransportEvent::PathForgotten(mirror(client_path(1)))));
    assert_eq!(pair.server.selected_path(), Some(mirror(client_path(9))));
}

#[test]
fn nothing_is_sent_before_a_check_has_verified() {
    let mut pair = Pair::new();
    pair.introduce();
    pair.run(1_000);
    assert_eq!(pair.sent[From::Server as usize], 0);
    assert_eq!(pair.server.may_send(1), None);
}
