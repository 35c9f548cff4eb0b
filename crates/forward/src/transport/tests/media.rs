//! SRTP and SRTCP over a connected transport.

use super::*;

fn client_packet(pair: &mut Pair, index: u64) -> Vec<u8> {
    let mut packet = rtp(index as u16, 200);
    let outbound = pair.client.srtp_outbound().unwrap();
    packet.resize(200 + outbound.tag_len(), 0);
    let total = outbound.protect_rtp(&mut packet, 12, 188, SSRC, index);
    packet.truncate(total);
    packet
}

#[test]
fn rtp_before_dtls_is_dropped() {
    let mut pair = Pair::new();
    pair.introduce();
    pair.receive(mirror(client_path(1)), &mut rtp(1, 200));
    assert_eq!(pair.server_drops, [Drop::NotConnected]);
}

#[test]
fn media_goes_both_ways() {
    let mut pair = Pair::connected();
    assert!(pair.send_media(65_535, 500) && pair.send_media(65_536, 500));
    pair.run(50);
    assert_eq!(
        pair.client_rtp.iter().map(|packet| (packet.index, packet.len)).collect::<Vec<_>>(),
        [(65_535, 500), (65_536, 500)]
    );
    let mut packet = client_packet(&mut pair, 9);
    let inbound = pair.server.unprotect_rtp(pair.now, mirror(client_path(1)), &mut packet).unwrap();
    assert_eq!((inbound.index, inbound.len, inbound.header.ssrc.0), (9, 200, SSRC));
    assert_eq!(packet[..200], rtp(9, 200));
}

#[test]
fn replayed_and_forged_media_is_dropped() {
    let mut pair = Pair::connected();
    let packet = client_packet(&mut pair, 5);
    pair.receive(mirror(client_path(1)), &mut packet.clone());
    pair.receive(mirror(client_path(1)), &mut packet.clone());
    let mut forged = client_packet(&mut pair, 6);
    forged[100] ^= 1;
    pair.receive(mirror(client_path(1)), &mut forged);
    pair.receive(mirror(client_path(1)), &mut packet[..20].to_vec());
    pair.receive(mirror(client_path(1)), &mut [0x80, 96]);
    let expected = [Drop::Replayed, Drop::BadAuthentication, Drop::Malformed, Drop::Malformed];
    assert_eq!(pair.server_drops, expected);
}

#[test]
fn rtcp_goes_both_ways_once() {
    let mut pair = Pair::connected();
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    let mut packet = [report.to_vec(), vec![0; 32]].concat();
    let total = pair.client.srtp_outbound().unwrap().protect_rtcp(&mut packet, report.len());
    let sealed = packet[..total].to_vec();
    let mut opened = sealed.clone();
    assert_eq!(pair.server.unprotect_rtcp(pair.now, mirror(client_path(1)), &mut opened), Ok(report.len()));
    assert_eq!(opened[..report.len()], report);
    assert_eq!(pair.server.unprotect_rtcp(pair.now, mirror(client_path(1)), &mut sealed.clone()), Err(Drop::Replayed));

    let mut packet = [report.to_vec(), vec![0; 32]].concat();
    let total = pair.server.srtp_outbound().unwrap().protect_rtcp(&mut packet, report.len());
    let inbound = pair.client.handle_datagram(pair.now, client_path(1), &mut packet[..total]);
    assert!(matches!(inbound, ClientInbound::Rtcp(8)), "{inbound:?}");
}
