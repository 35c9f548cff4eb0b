//! What the relay did and what it dropped, as plain cumulative numbers.

macro_rules! counters {
    (
        counts { $($(#[$doc:meta])* $field:ident = $name:literal;)* }
        drops { $($(#[$drop_doc:meta])* $reason:ident = $drop_name:literal;)* }
    ) => {
        /// Cumulative counts.
        #[derive(Debug, Clone, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(crate) $field: u64,)*
            dropped: [u64; REASONS],
        }

        /// Why something was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Dropped {
            $($(#[$drop_doc])* $reason,)*
        }

        impl Counters {
            /// Every counter with its name, in a fixed order.
            pub fn visit(&self, mut f: impl FnMut(&'static str, u64)) {
                $(f($name, self.$field);)*
                $(f($drop_name, self.dropped[Dropped::$reason as usize]);)*
            }
        }

        const REASONS: usize = [$($drop_name,)*].len();
    };
}

counters! {
    counts {
        /// Gauge: allocations that exist.
        allocations = "turn.allocations";
        /// Gauge: their permissions.
        permissions = "turn.permissions";
        /// Gauge: their channels.
        channels = "turn.channels";
        /// Gauge: relay sockets that are bound.
        sockets = "turn.sockets";
        /// Gauge: 5-tuples that we know: with an allocation, a request that waits, or an answer that is remembered.
        clients = "turn.clients";
        /// Gauge: requests that wait for the driver.
        waiting = "turn.requests_waiting";
        /// Gauge: bytes of answers that are remembered.
        remembered_bytes = "turn.remembered_bytes";
        /// Relayed: from clients on UDP.
        from_udp_packets = "turn.from_udp_packets";
        /// Of those, application data.
        from_udp_bytes = "turn.from_udp_bytes";
        /// Relayed: from clients on TCP.
        from_tcp_packets = "turn.from_tcp_packets";
        /// Of those, application data.
        from_tcp_bytes = "turn.from_tcp_bytes";
        /// Relayed: from clients on TLS.
        from_tls_packets = "turn.from_tls_packets";
        /// Of those, application data.
        from_tls_bytes = "turn.from_tls_bytes";
        /// Relayed: to peers, by a relay socket.
        to_peer_packets = "turn.to_peer_packets";
        /// Of those, application data.
        to_peer_bytes = "turn.to_peer_bytes";
        /// Relayed: to media sockets of this process, in memory.
        to_media_packets = "turn.to_media_packets";
        /// Of those, application data.
        to_media_bytes = "turn.to_media_bytes";
        /// Relayed: to clients on UDP, from peers. What media sockets send those clients they count themselves.
        to_udp_packets = "turn.to_udp_packets";
        /// Of those, application data.
        to_udp_bytes = "turn.to_udp_bytes";
        /// Relayed: to clients on TCP.
        to_tcp_packets = "turn.to_tcp_packets";
        /// Of those, application data.
        to_tcp_bytes = "turn.to_tcp_bytes";
        /// Relayed: to clients on TLS.
        to_tls_packets = "turn.to_tls_packets";
        /// Of those, application data.
        to_tls_bytes = "turn.to_tls_bytes";
        /// Relayed: of what went to clients, what came from media sockets of this process.
        from_media_packets = "turn.from_media_packets";
        /// Of those, application data.
        from_media_bytes = "turn.from_media_bytes";
        /// Binding requests answered.
        bindings = "turn.bindings";
        /// Indications that a path is in use: nothing is to be done.
        keepalives = "turn.keepalives";
        /// Requests without credentials answered by 401.
        challenges = "turn.challenges";
        /// Requests with a nonce that is too old or not ours answered by 438.
        stale_nonces = "turn.stale_nonces";
        /// Requests answered by 400 or 420 before anybody looked at their credentials.
        bad_requests = "turn.bad_requests";
        /// Requests handed to the driver.
        requests = "turn.requests";
        /// Requests that were sent again: answered from memory, or waiting still.
        retransmissions = "turn.retransmissions";
        /// Answers of the driver sent.
        replies = "turn.replies";
        /// Requests that the driver did not answer in time.
        unanswered = "turn.unanswered";
    }
    drops {
        /// What would be answered without credentials, from a network that asks too often.
        Limited = "turn.dropped_limited";
        /// Neither STUN nor `ChannelData`.
        Protocol = "turn.dropped_protocol";
        /// STUN or `ChannelData` that contradicts itself.
        Malformed = "turn.dropped_malformed";
        /// FINGERPRINT is wrong.
        Fingerprint = "turn.dropped_fingerprint";
        /// Responses, and methods and indications that a server does not get.
        Method = "turn.dropped_method";
        /// Requests so short that any answer would be longer.
        Bare = "turn.dropped_bare";
        /// Requests and frames longer than any honest one.
        Oversize = "turn.dropped_oversize";
        /// Indications with attributes that must be understood and are not.
        UnknownAttribute = "turn.dropped_unknown_attribute";
        /// Indications that want DONT-FRAGMENT of an allocation made without.
        DontFragment = "turn.dropped_dont_fragment";
        /// More requests than may wait, of one client or in all.
        Overloaded = "turn.dropped_overloaded";
        /// More requests a second than one allocation may send.
        RateRequests = "turn.dropped_rate_requests";
        /// Relayed data of a 5-tuple, a socket or a relayed address without an allocation.
        NoAllocation = "turn.dropped_no_allocation";
        /// To or from a peer without a permission.
        NoPermission = "turn.dropped_no_permission";
        /// A channel that is not bound.
        NoChannel = "turn.dropped_no_channel";
        /// To or from a peer that the rules do not, or no longer, allow.
        DeniedPeer = "turn.dropped_denied_peer";
        /// To a peer of a family without a relayed address or a relay socket.
        NoSocket = "turn.dropped_no_socket";
        /// More packets a second than the allocation may relay.
        RatePackets = "turn.dropped_rate_packets";
        /// More bytes a second than the allocation may relay.
        RateBytes = "turn.dropped_rate_bytes";
        /// More new peers a second than the allocation may reach.
        RatePeers = "turn.dropped_rate_peers";
    }
}

impl Counters {
    #[inline]
    pub(crate) fn drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }
}
