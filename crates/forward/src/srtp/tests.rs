//! Both directions of every profile: what comes out is what went in, once, and nothing else does.

use super::*;

fn pair(profile: Profile) -> (SrtpOutbound, SrtpInbound) {
    let exported: Vec<u8> = (0..KeyingMaterial::len(profile) as u8).collect();
    let keys = KeyingMaterial::new(profile, &exported).unwrap();
    (SrtpOutbound::to_server(&keys).unwrap(), SrtpInbound::from_client(&keys).unwrap())
}

fn rtp(seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1]);
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn protect(outbound: &mut SrtpOutbound, index: u64) -> Vec<u8> {
    let mut packet = rtp(index as u16, b"payload of a packet");
    let len = packet.len();
    packet.resize(len + outbound.tag_len(), 0);
    assert_eq!(outbound.protect_rtp(&mut packet, 12, len - 12, SSRC, index), packet.len());
    packet
}

fn unprotect(inbound: &mut SrtpInbound, packet: &[u8]) -> Result<u64, SrtpRejection> {
    let seq = u16::from_be_bytes([packet[2], packet[3]]);
    let mut packet = packet.to_vec();
    let (index, len) = inbound.unprotect_rtp(&mut packet, 12, SSRC, seq)?;
    assert_eq!(packet[..len], rtp(seq, b"payload of a packet"));
    Ok(index)
}

fn rtcp(outbound: &mut SrtpOutbound) -> Vec<u8> {
    let mut packet = RECEIVER_REPORT.to_vec();
    packet.resize(RECEIVER_REPORT.len() + outbound.rtcp_overhead(), 0);
    assert_eq!(outbound.protect_rtcp(&mut packet, RECEIVER_REPORT.len()), packet.len());
    packet
}

#[test]
fn rtp_comes_back_as_it_went() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        assert_eq!(outbound.tag_len(), profile.tag_len());
        for index in [5, 6, 4, 7] {
            let packet = protect(&mut outbound, index);
            assert!(!packet.windows(7).any(|window| window == b"payload"), "{profile} left plaintext");
            assert_eq!(unprotect(&mut inbound, &packet), Ok(index));
        }
    }
}

#[test]
fn a_replayed_packet_is_dropped() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let packets: Vec<_> = (1_000..2_500).map(|index| protect(&mut outbound, index)).collect();
        for packet in &packets {
            unprotect(&mut inbound, packet).unwrap();
        }
        assert_eq!(unprotect(&mut inbound, &packets[1_499]), Err(SrtpRejection::Replayed));
        assert_eq!(unprotect(&mut inbound, &packets[480]), Err(SrtpRejection::Replayed));
        assert_eq!(unprotect(&mut inbound, &packets[0]), Err(SrtpRejection::TooOld));
    }
}

#[test]
fn every_changed_byte_is_noticed_and_moves_nothing() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let packet = protect(&mut outbound, 1);
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 0x40;
            let seq = u16::from_be_bytes([forged[2], forged[3]]);
            let result = inbound.unprotect_rtp(&mut forged, 12, SSRC, seq);
            // The SSRC field itself is checked by the caller's parse: here it is authenticated as header bytes.
            assert_eq!(result, Err(SrtpRejection::BadAuthentication), "{profile} byte {at}");
        }
        assert_eq!(unprotect(&mut inbound, &packet), Ok(1));
    }
}

#[test]
fn a_forged_sequence_number_does_not_move_the_roll_over_counter() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        unprotect(&mut inbound, &protect(&mut outbound, 65_000)).unwrap();
        let mut forged = protect(&mut outbound, 65_001);
        forged[2..4].copy_from_slice(&20_000_u16.to_be_bytes());
        assert_eq!(unprotect(&mut inbound, &forged), Err(SrtpRejection::BadAuthentication));
        assert_eq!(unprotect(&mut inbound, &protect(&mut outbound, 65_001)), Ok(65_001));
    }
}

#[test]
fn the_roll_over_counter_follows_wraps_loss_and_reordering() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let mut index = 65_000;
        while index < 400_000 {
            for index in [index + 1, index] {
                assert_eq!(unprotect(&mut inbound, &protect(&mut outbound, index)), Ok(index));
            }
            index += 30_001;
        }
    }
}

#[test]
fn the_index_space_ends_and_does_not_wrap() {
    for profile in Profile::ALL {
        let (mut outbound, _) = pair(profile);
        protect(&mut outbound, (1 << 48) - 1);
        let mut packet = [rtp(0, b"x"), vec![0; 16]].concat();
        assert_eq!(outbound.protect_rtp(&mut packet, 12, 1, SSRC, 1 << 48), 0);
        outbound.set_next_rtcp_index((1 << 31) - 1);
        rtcp(&mut outbound);
        let mut packet = [RECEIVER_REPORT.to_vec(), vec![0; 20]].concat();
        assert_eq!(outbound.protect_rtcp(&mut packet, 8), 0);
    }
}

#[test]
fn rtcp_comes_back_once() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        for _ in 0..3 {
            let sealed = rtcp(&mut outbound);
            let mut packet = sealed.clone();
            assert_eq!(inbound.unprotect_rtcp(&mut packet), Ok(RECEIVER_REPORT.len()));
            assert_eq!(packet[..RECEIVER_REPORT.len()], RECEIVER_REPORT);
            assert_eq!(inbound.unprotect_rtcp(&mut sealed.clone()), Err(SrtpRejection::Replayed));
        }
    }
}

#[test]
fn forged_and_unencrypted_rtcp_is_dropped() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let packet = rtcp(&mut outbound);
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 0x80;
            assert!(inbound.unprotect_rtcp(&mut forged).is_err(), "{profile} byte {at}");
        }
        assert!(inbound.unprotect_rtcp(&mut packet.clone()).is_ok());
    }
}

#[test]
fn truncated_packets_are_dropped() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let (media, control) = (protect(&mut outbound, 1), rtcp(&mut outbound));
        for len in 12..media.len() {
            assert!(inbound.unprotect_rtp(&mut media[..len].to_vec(), 12, SSRC, 1).is_err());
        }
        for len in 0..control.len() {
            assert!(inbound.unprotect_rtcp(&mut control[..len].to_vec()).is_err());
        }
    }
}

#[test]
fn protecting_without_room_for_the_tag_sends_nothing() {
    for profile in Profile::ALL {
        let (mut outbound, _) = pair(profile);
        let mut packet = rtp(1, b"abc");
        assert_eq!(outbound.protect_rtp(&mut packet, 12, 3, SSRC, 1), 0);
        assert_eq!(outbound.protect_rtp(&mut packet, 12, 30, SSRC, 2), 0);
        assert_eq!(outbound.protect_rtcp(&mut RECEIVER_REPORT.to_vec(), RECEIVER_REPORT.len()), 0);
        assert_eq!(outbound.protect_rtcp(&mut [], 0), 0);
    }
}

#[test]
fn keying_material_of_a_wrong_length_is_refused() {
    for profile in Profile::ALL {
        assert!(KeyingMaterial::new(profile, &vec![0; KeyingMaterial::len(profile) - 1]).is_none());
    }
}

const SSRC: u32 = 0x1234_5678;
const RECEIVER_REPORT: [u8; 12] = [0x80, 201, 0, 2, 0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4];
