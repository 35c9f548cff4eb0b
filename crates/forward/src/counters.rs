//! What one forwarder counted since its start: plain cumulative numbers, posted once a second by the engine.

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident = $name:literal;)*) => {
        /// Cumulative counts. The dotted names are those of `docs/metrics.md`.
        #[derive(Debug, Clone, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counters {
            /// Every counter with its name, in a fixed order.
            pub fn visit(&self, mut f: impl FnMut(&'static str, u64)) {
                $(f($name, self.$field);)*
            }

            /// Adds those of another forwarder.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counters! {
    /// Gauge: transports that exist.
    transports = "transports.open";
    /// Gauge: producers that exist.
    producers = "producers.open";
    /// Gauge: consumers that exist.
    consumers = "consumers.open";
    /// Gauge: timers that run, one at most for each transport.
    timers = "timers.open";
    /// Transports that finished DTLS.
    transports_connected = "transports.connected";
    /// Ended by themselves: the handshake failed.
    closed_dtls_failed = "transports.dtls_failed";
    /// Ended by themselves: another certificate than the SDP announced.
    closed_fingerprint_mismatch = "transports.fingerprint_mismatch";
    /// Ended by themselves: no connectivity check for too long.
    closed_consent_expired = "transports.consent_expired";
    /// Ended by the client.
    closed_peer_closed = "transports.peer_closed";
    /// Ended by themselves: a protocol library failed.
    closed_internal_error = "transports.internal_error";
    /// Paths that transports connected over or changed to: UDP.
    paths_selected_udp = "paths.selected_udp";
    /// The same: TCP.
    paths_selected_tcp = "paths.selected_tcp";
    /// The same: our own relay.
    paths_selected_relay = "paths.selected_relay";
    /// Datagrams handed in.
    datagrams_in = "datagrams.in";
    /// Bytes of those.
    datagram_bytes_in = "datagrams.in_bytes";
    /// Datagrams handed to the sink.
    datagrams_out = "datagrams.out";
    /// Bytes of those.
    datagram_bytes_out = "datagrams.out_bytes";
    /// Authenticated RTP packets.
    rtp_in = "rtp.in";
    /// Bytes of those, decrypted.
    rtp_bytes_in = "rtp.in_bytes";
    /// RTP packets sent, retransmissions included.
    rtp_out = "rtp.out";
    /// Bytes of those, encrypted.
    rtp_bytes_out = "rtp.out_bytes";
    /// Authenticated compound RTCP packets.
    rtcp_in = "rtcp.in";
    /// RTCP datagrams sent.
    rtcp_out = "rtcp.out";
    /// Padding-only packets: counted, never forwarded.
    padding_in = "rtp.padding_in";
    /// Bytes of padding that made the packets of a picture equally long.
    rtp_pad_bytes_out = "rtp.pad_bytes_out";
    /// Packets of redundant audio (RED) received.
    red_in = "red.in";
    /// Packets of redundant audio sent as such.
    red_out = "red.out";
    /// Lost packets that the redundancy of later ones brought back.
    red_recovered = "red.recovered";
    /// Retransmissions that arrived on an RTX stream and were of use.
    rtx_in = "rtx.in";
    /// Retransmissions sent to subscribers.
    rtx_out = "rtx.out";
    /// Bytes of those.
    rtx_bytes_out = "rtx.out_bytes";
    /// Of those sent, ends of frames that nobody had asked for.
    rtx_probes = "rtx.probes";
    /// Retransmissions asked for that were no longer, or not yet, in the ring.
    rtx_missing = "rtx.missing";
    /// Retransmissions held back: asked for again within one round trip.
    rtx_repeated = "rtx.repeated";
    /// Retransmissions held back: over 15 % of what is sent.
    rtx_over_budget = "rtx.over_budget";
    /// Retransmissions that cannot be sent: RTX was not negotiated, and the packet cannot be repeated byte for byte.
    rtx_unavailable = "rtx.unavailable";
    /// Sequence numbers asked for by subscribers.
    nack_in = "nack.in";
    /// Sequence numbers that we asked publishers for.
    nack_out = "nack.out";
    /// Missing packets that arrived after all.
    nack_recovered = "nack.recovered";
    /// Missing packets given up.
    nack_abandoned = "nack.abandoned";
    /// Keyframe requests (PLI or FIR) of subscribers.
    keyframe_requests_in = "keyframe.requests_in";
    /// Of those, held back: the client asks all the time.
    keyframe_requests_held = "keyframe.requests_held";
    /// PLIs sent to publishers.
    keyframe_requests_out = "keyframe.requests_out";
    /// Keyframes that arrived.
    keyframes_in = "keyframe.in";
    /// TWCC feedback packets sent.
    twcc_out = "twcc.feedback_out";
    /// TWCC feedback packets received.
    twcc_in = "twcc.feedback_in";
    /// Packets that subscribers reported as lost by TWCC.
    twcc_reported_lost = "twcc.reported_lost";
    /// REMB packets sent.
    remb_out = "remb.out";
    /// Switches of a consumer to another encoding.
    layer_switches = "consumers.layer_switches";
    /// Dropped: no transport owns the address and it is no connectivity check.
    drop_unknown_path = "drop.unknown_path";
    /// Dropped: a first byte that belongs to no protocol of ours.
    drop_unknown_protocol = "drop.unknown_protocol";
    /// Dropped: STUN that is malformed or not for us.
    drop_stun_malformed = "drop.stun_malformed";
    /// Dropped: STUN for a ufrag that no transport has.
    drop_stun_unknown_ufrag = "drop.stun_unknown_ufrag";
    /// Dropped: STUN whose integrity does not verify.
    drop_stun_integrity = "drop.stun_integrity";
    /// Dropped: STUN for other reasons.
    drop_stun_other = "drop.stun_other";
    /// Dropped: more DTLS datagrams than a transport may queue.
    drop_session_queue_full = "drop.session_queue_full";
    /// Dropped: DTLS without a whole record, or whose records do not verify or lead nowhere.
    drop_dtls = "drop.dtls";
    /// Dropped: SRTP or SRTCP before the keys.
    drop_not_connected = "drop.not_connected";
    /// Dropped: RTP or RTCP that does not parse.
    drop_malformed = "drop.malformed";
    /// Dropped: SRTP or SRTCP whose tag does not verify.
    drop_authentication = "drop.authentication";
    /// Dropped: SRTP or SRTCP seen before.
    drop_replayed = "drop.replayed";
    /// Dropped: SRTP or SRTCP older than the replay window.
    drop_too_old = "drop.too_old";
    /// Dropped: RTP that belongs to no producer.
    drop_unknown_ssrc = "drop.unknown_ssrc";
    /// Dropped: redundant audio whose blocks contradict each other or are of another payload type.
    drop_red = "drop.red";
    /// Dropped: RTP with a payload type that was not negotiated.
    drop_payload_type = "drop.payload_type";
    /// Dropped: more SSRCs than a transport may use, or changed more often than an encoding may.
    drop_ssrc_table_full = "drop.ssrc_table_full";
    /// Dropped: a packet that the ring holds already.
    drop_duplicate = "drop.duplicate";
    /// Dropped: a packet older than the ring, or before the encoding's start.
    drop_late = "drop.late";
    /// Dropped: a packet too large for the ring.
    drop_oversize = "drop.oversize";
    /// Dropped: queued for a client, but overwritten in the ring before it could go.
    drop_overwritten = "drop.overwritten";
    /// Dropped: a client that may not be sent to (yet).
    drop_no_path = "drop.no_path";
    /// Dropped: more packets than one client's queue holds.
    drop_egress_full = "drop.egress_full";
    /// Gauge: pipes to other shards that begin here.
    pipes_out = "pipes.out";
    /// Gauge: pipes from other shards that end here.
    pipes_in = "pipes.in";
    /// Packets handed to other shards, once for each.
    pipe_packets_out = "pipe.packets_out";
    /// Packets that other shards handed over.
    pipe_packets_in = "pipe.packets_in";
    /// Times that a pipe's consumers changed what they want of its source, keyframe requests included.
    pipe_demands = "pipe.demands";
    /// Dropped: from a pipe that was closed in the meantime.
    drop_pipe_closed = "drop.pipe_closed";
    /// Data messages received.
    data_in = "data.in";
    /// Data messages queued, once per receiver.
    data_out = "data.out";
    /// Data messages for a transport that has no such channel or no room.
    data_skipped = "data.skipped";
    /// Commands refused.
    refused = "commands.refused";
}
