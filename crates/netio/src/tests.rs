//! Both ends on loopback, over IPv4 and IPv6.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as Plain};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{EventFd, Interest, Poller, Receiver, SendQueue, UdpSocket, allow_descriptors, bind_all};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn shared(hosts: &[IpAddr]) -> Arc<[UdpSocket]> {
    bind_all(hosts, 0).map_err(|(address, error)| format!("{address}: {error}")).expect("loopback can be bound").into()
}

fn client(host: IpAddr) -> (Plain, SocketAddr) {
    let socket = Plain::bind((host, 0)).expect("loopback can be bound");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn read(socket: &Plain) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).expect("a datagram in time");
    (buffer[..len].to_vec(), from)
}

/// Receives until `count` datagrams came: (payload, local, remote), and how old each was.
fn collect(socket: &UdpSocket, count: usize) -> Vec<(Vec<u8>, SocketAddr, SocketAddr, Duration)> {
    let (mut receiver, mut all) = (Receiver::new(), Vec::new());
    let deadline = Instant::now() + Duration::from_secs(2);
    while all.len() < count && Instant::now() < deadline {
        for index in 0..receiver.receive(socket).expect("a socket that works") {
            let datagram = receiver.datagram(index);
            all.push((datagram.bytes.to_vec(), datagram.local, datagram.remote, datagram.received.elapsed()));
        }
    }
    all
}

fn queue_all(queue: &mut SendQueue, local: SocketAddr, remote: SocketAddr, datagrams: &[Vec<u8>]) {
    for bytes in datagrams {
        queue.reserve(local, remote, 1500)[..bytes.len()].copy_from_slice(bytes);
        queue.commit(bytes.len());
    }
}

fn numbered(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(index, size)| vec![index as u8; *size]).collect()
}

#[test]
fn a_wildcard_socket_tells_which_address_was_contacted_and_answers_from_it() {
    for (any, contacted) in [(ANY_V4, IpAddr::from([127, 0, 0, 9])), (ANY_V6, V6)] {
        let sockets = shared(&[any]);
        let port = sockets[0].local_address().port();
        let (client, from) = client(if any.is_ipv4() { V4 } else { V6 });
        client.send_to(b"hello", (contacted, port)).expect("sent");

        let received = collect(&sockets[0], 1);
        let (bytes, local, remote, age) = &received[0];
        assert_eq!((bytes.as_slice(), *local, *remote), (&b"hello"[..], SocketAddr::new(contacted, port), from));
        assert!(*age < Duration::from_secs(1));

        let mut queue = SendQueue::new(Arc::clone(&sockets));
        queue_all(&mut queue, *local, *remote, &[b"back".to_vec()]);
        assert!(queue.flush());
        assert_eq!(read(&client), (b"back".to_vec(), SocketAddr::new(contacted, port)));
    }
}

#[test]
fn one_datagram_leaves_at_once_in_either_family() {
    for host in [V4, V6] {
        let sockets = shared(&[host]);
        let (client, to) = client(host);
        sockets[0].send_to(b"alone", to).expect("sent");
        assert_eq!(read(&client), (b"alone".to_vec(), sockets[0].local_address()));
    }
}

#[test]
fn as_many_descriptors_as_the_system_allows() {
    let allowed = allow_descriptors().expect("a limit");
    assert!(allowed >= 256);
    assert_eq!(allow_descriptors().ok(), Some(allowed));
}

#[test]
fn runs_leave_as_one_message_and_arrive_as_the_datagrams_they_were() {
    for host in [V4, V6] {
        let (sockets, (client, to)) = (shared(&[host]), client(host));
        let local = sockets[0].local_address();
        let datagrams = numbered(&[1200, 1200, 1200, 700, 700, 1201]);
        let mut queue = SendQueue::new(sockets);
        queue_all(&mut queue, local, to, &datagrams);
        assert!(queue.flush());
        for expected in datagrams {
            assert_eq!(read(&client), (expected, local));
        }
        let counters = queue.counters();
        assert_eq!((counters.datagrams, counters.messages, counters.calls, counters.errors), (6, 3, 1, 0));
    }
}

#[test]
fn joined_messages_are_split_on_receipt() {
    for host in [V4, V6] {
        let (from, to) = (shared(&[host]), shared(&[host]));
        let (local, remote) = (from[0].local_address(), to[0].local_address());
        let datagrams = numbered(&[1000, 1000, 1000, 10, 0, 64]);
        let mut queue = SendQueue::new(from);
        queue_all(&mut queue, local, remote, &datagrams);
        assert!(queue.flush());
        let sent: Vec<_> = datagrams.into_iter().filter(|bytes| !bytes.is_empty()).collect();
        let received = collect(&to[0], sent.len());
        assert_eq!(received.iter().map(|(bytes, ..)| bytes.clone()).collect::<Vec<_>>(), sent);
        assert!(received.iter().all(|(_, to, from, _)| (*to, *from) == (remote, local)));
    }
}

#[test]
fn each_datagram_leaves_by_the_socket_of_its_local_address() {
    let sockets = shared(&[V4, V6]);
    let port = sockets[0].local_address().port();
    let (v4, to_v4) = client(V4);
    let (v6, to_v6) = client(V6);
    let mut queue = SendQueue::new(sockets);
    for _ in 0..2 {
        queue_all(&mut queue, SocketAddr::new(V4, port), to_v4, &[vec![4]]);
        queue_all(&mut queue, SocketAddr::new(V6, port), to_v6, &[vec![6]]);
    }
    queue_all(&mut queue, SocketAddr::new(V4, port ^ 1), to_v4, &[vec![0]]);
    assert!(queue.flush());
    for _ in 0..2 {
        assert_eq!(read(&v4), (vec![4], SocketAddr::new(V4, port)));
        assert_eq!(read(&v6), (vec![6], SocketAddr::new(V6, port)));
    }
    assert_eq!((queue.counters().datagrams, queue.counters().overflow), (4, 1));
}

#[test]
fn a_route_that_refuses_joined_messages_still_gets_every_datagram() {
    let sockets = shared(&[V4]);
    let (client, to) = client(V4);
    let local = sockets[0].local_address();
    // Without checksums the kernel refuses to segment.
    crate::socket::disable_checksums(&sockets[0]);
    let mut queue = SendQueue::new(sockets);
    let datagrams = numbered(&[800, 800, 800]);
    for round in 0..2 {
        queue_all(&mut queue, local, to, &datagrams);
        assert!(queue.flush());
        for expected in &datagrams {
            assert_eq!(read(&client).0, *expected, "round {round}");
        }
    }
    assert_eq!((queue.counters().fallbacks, queue.counters().datagrams, queue.counters().errors), (1, 6, 0));
}

#[test]
fn more_than_the_slab_holds_is_sent_along_the_way() {
    let (from, to) = (shared(&[V4]), shared(&[V4]));
    let (local, remote) = (from[0].local_address(), to[0].local_address());
    let mut queue = SendQueue::new(from);
    for number in 0..2000u32 {
        queue.reserve(local, remote, 1500)[..1000].fill(number as u8);
        queue.commit(1000);
    }
    assert!(queue.flush());
    assert_eq!((queue.counters().datagrams, queue.counters().overflow), (2000, 0));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_the_address() {
    let (_client, taken) = client(V6);
    let Err((address, error)) = bind_all(&[V4, V6], taken.port()) else { panic!("bound a taken port") };
    assert_eq!((address, error.kind()), (taken, ErrorKind::AddrInUse));
}

#[test]
fn the_wildcards_of_both_families_share_a_port() {
    let sockets = shared(&[ANY_V4, ANY_V6]);
    let addresses: Vec<_> = sockets.iter().map(UdpSocket::local_address).collect();
    assert_eq!(addresses[0].port(), addresses.last().expect("bound").port());
    assert!(sockets[0].receive_buffer_bytes() > 0);
}

#[test]
fn a_full_receive_buffer_counts_as_kernel_drops() {
    let (from, to) = (shared(&[V4]), shared(&[V4]));
    let (local, remote) = (from[0].local_address(), to[0].local_address());
    assert_eq!(to[0].kernel_drops(), 0);
    let mut queue = SendQueue::new(from);
    let count = to[0].receive_buffer_bytes() / 1000 + 100;
    for _ in 0..count {
        queue.reserve(local, remote, 1000).fill(0);
        queue.commit(1000);
    }
    assert!(queue.flush());
    assert!(to[0].kernel_drops() > 0);
}

#[test]
fn the_poller_wakes_for_sockets_and_signals_and_in_time() {
    let sockets = shared(&[V4]);
    let event = EventFd::new().expect("an eventfd");
    let mut poller = Poller::new().expect("an epoll");
    poller.add(&sockets[0], 1, Interest::Read).expect("added");
    poller.add(&event, 2, Interest::Read).expect("added");
    let mut wait = |timeout| {
        let ready = poller.wait(Some(Duration::from_micros(timeout))).expect("waited");
        ready.map(|ready| (ready.token, ready.readable)).collect::<Vec<_>>()
    };

    let start = Instant::now();
    assert_eq!(wait(300), []);
    assert!(start.elapsed() >= Duration::from_micros(300));
    event.signal();
    event.signal();
    assert_eq!(wait(2_000_000), [(2, true)]);
    event.clear();
    assert_eq!(wait(0), []);

    let (client, _) = client(V4);
    client.send_to(b"x", sockets[0].local_address()).expect("sent");
    assert_eq!(wait(2_000_000), [(1, true)]);
    assert_eq!(collect(&sockets[0], 1).len(), 1);

    poller.modify(&sockets[0], 1, Interest::ReadWrite).expect("modified");
    let ready: Vec<_> = poller.wait(None).expect("waited").collect();
    assert!(ready.iter().any(|ready| ready.token == 1 && ready.writable));
}

#[test]
fn what_the_kernel_joined_comes_in_one_message_or_one_by_one_as_asked() {
    for (gro, in_the_first_batch) in [(true, 40), (false, 32)] {
        let (sockets, senders) = (shared(&[V4]), shared(&[V4]));
        sockets[0].set_gro(gro).expect("an option of every kernel");
        let mut queue = SendQueue::new(Arc::clone(&senders));
        queue_all(&mut queue, senders[0].local_address(), sockets[0].local_address(), &numbered(&[100; 40]));
        assert!(queue.flush());
        assert_eq!(queue.counters().messages, 1);
        assert_eq!(Receiver::new().receive(&sockets[0]).expect("a socket that works"), in_the_first_batch);
    }
}
