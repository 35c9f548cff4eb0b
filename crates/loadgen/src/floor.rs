//! The floor: what a forwarder cannot avoid. Per sink and packet one AES-128-GCM encryption and a share of a GSO send,
//! paced like the real run, with nothing else: no receive, no routing, no rewriting. Sends through `quinn-udp`, so that it
//! shares no code with the engine.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use quinn_udp::{Transmit, UdpSocketState};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::cpu;

/// What to measure.
#[derive(Deserialize)]
pub(crate) struct FloorRequest {
    /// Where the sinks listen.
    pub(crate) sinks: Vec<SocketAddr>,
    /// Packets per sink that leave together.
    pub(crate) burst: usize,
    /// Packets per second and sink.
    pub(crate) rate_pps: f64,
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// SRTP packet size on the wire, tag included, in bytes.
    pub(crate) datagram_bytes: usize,
}

/// CPU time spent and packets sent.
#[derive(Serialize)]
pub(crate) struct FloorReport {
    /// Datagrams sent to all sinks together.
    pub(crate) packets: u64,
    /// Sends that the kernel refused.
    pub(crate) failed: u64,
    /// User + system seconds.
    pub(crate) cpu_s: f64,
}

/// Runs the floor on the calling thread.
pub(crate) fn run(request: &FloorRequest) -> Result<FloorReport, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let state = UdpSocketState::new((&socket).into())?;
    let keys: Vec<LessSafeKey> = request.sinks.iter().map(|_| key()).collect::<Result<_, _>>()?;
    let size = request.datagram_bytes;
    let tag_bytes = AES_128_GCM.tag_len();
    let mut run = vec![0u8; size * request.burst];
    let interval = Duration::from_secs_f64(request.burst as f64 / request.rate_pps);
    let mut report = FloorReport { packets: 0, failed: 0, cpu_s: 0.0 };
    let (started, cpu_before) = (Instant::now(), cpu::consumed());
    let mut due = started;
    let mut nonce = 0u64;
    while due.duration_since(started).as_secs_f64() < request.seconds {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for (sink, key) in request.sinks.iter().zip(&keys) {
            for packet in run.chunks_exact_mut(size) {
                nonce += 1;
                let (header, rest) = packet.split_at_mut(RTP_HEADER_BYTES);
                header[0] = 0x80;
                let (payload, tag) = rest.split_at_mut(size - RTP_HEADER_BYTES - tag_bytes);
                let sealed = key.seal_in_place_separate_tag(unique(nonce), Aad::from(&*header), payload);
                tag.copy_from_slice(sealed.map_err(|_| Failure::Crypto)?.as_ref());
            }
            let transmit = Transmit {
                destination: *sink,
                ecn: None,
                contents: &run,
                segment_size: (request.burst > 1).then_some(size),
                src_ip: None,
            };
            match state.try_send((&socket).into(), &transmit) {
                Ok(()) => report.packets += request.burst as u64,
                Err(_) => report.failed += request.burst as u64,
            }
        }
        due += interval;
    }
    report.cpu_s = cpu::consumed().saturating_sub(cpu_before).as_secs_f64();
    Ok(report)
}

fn key() -> Result<LessSafeKey, Failure> {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| Failure::Crypto)?;
    Ok(LessSafeKey::new(key))
}

fn unique(counter: u64) -> Nonce {
    let mut nonce = [0u8; NONCE_LEN];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Fixed RTP header and the one-byte extension block that the engine writes (MID, transport-cc): authenticated, not encrypted.
const RTP_HEADER_BYTES: usize = 12;
