//! What is never a peer, whatever the configuration says (but for our own media addresses): the registries of special-purpose
//! addresses (RFC 6890), without those that a site may use as it likes.

use super::ranges::{Range, v4, v6};

pub(super) const NEVER: [Range; 22] = [
    // This network, loopback, link-local (the metadata services of clouds).
    v4([0, 0, 0, 0], 8),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    // IETF protocols, documentation, the anycast of 6to4, benchmarks.
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast, what is reserved, broadcast.
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    // Unspecified, loopback, and IPv4-compatible (RFC 4291 section 2.5.5.1).
    v6([0, 0, 0, 0], 96),
    // IPv4-translated (RFC 2765): `::ffff:0:0:0/96`.
    (0xffff << 48, (0xffff << 48) | 0xffff_ffff),
    // NAT64 for local use: where in it the IPv4 address stands is the site's choice (RFC 8215).
    v6([0x64, 0xff9b, 1, 0], 48),
    // Discard, and the dummy prefix (RFC 6666, RFC 9780).
    v6([0x100, 0, 0, 0], 63),
    // IETF protocols, with Teredo: two IPv4 addresses, either of which may be anybody's (RFC 4380).
    v6([0x2001, 0, 0, 0], 23),
    // Documentation.
    v6([0x2001, 0xdb8, 0, 0], 32),
    v6([0x3fff, 0, 0, 0], 20),
    // Segment routing (RFC 9602).
    v6([0x5f00, 0, 0, 0], 16),
    // Link-local, site-local, multicast.
    v6([0xfe80, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0], 8),
];
