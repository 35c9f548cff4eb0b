//! Reads what an SFU's session descriptions say, and writes a sink's answer: everything that is offered is taken and nothing is sent
//! (RFC 8829, RFC 9143). Lines that a sink has no use for are passed over.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// An offer of the subscriber connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    /// "sha-256 AA:BB:...".
    pub(crate) fingerprint: String,
    /// The server answers checks and makes none.
    pub(crate) ice_lite: bool,
    /// Over UDP.
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) sections: Vec<Section>,
    mixed_extensions: bool,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: Kind,
    pub(crate) mid: String,
    /// Its port is 0.
    pub(crate) rejected: bool,
    /// The server sends here.
    pub(crate) sends: bool,
    pub(crate) ssrc: Option<u32>,
    /// Of retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Last word of a=msid, which is the track's sid.
    pub(crate) track: Option<String>,
    /// Id of the transport-wide sequence number.
    pub(crate) transport_cc: Option<u8>,
    /// Everything behind the port: protocol and formats.
    formats: String,
    /// Lines about formats and extensions, to be repeated.
    lines: Vec<String>,
}

/// Of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Audio,
    Video,
    Application,
}

/// The transport of the one who answers.
pub(crate) struct Answerer<'a> {
    pub(crate) ufrag: &'a str,
    pub(crate) password: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) address: SocketAddr,
}

impl Offer {
    /// `None` where something is missing without which there is no connection.
    pub(crate) fn parse(sdp: &str) -> Option<Self> {
        let mut blocks = split_sections(sdp);
        let session = blocks.next()?;
        let blocks: Vec<Vec<&str>> = blocks.collect();
        let anywhere = |name| blocks.iter().chain([&session]).find_map(|block| attribute(block, name));
        let candidates = blocks.iter().chain([&session]).flatten();
        Some(Self {
            ufrag: anywhere("ice-ufrag")?.to_owned(),
            password: anywhere("ice-pwd")?.to_owned(),
            fingerprint: anywhere("fingerprint")?.to_owned(),
            ice_lite: session.contains(&"a=ice-lite"),
            candidates: candidates.filter_map(|line| parse_candidate(line.strip_prefix("a=")?)).collect(),
            sections: blocks.iter().map(|block| Section::parse(block)).collect::<Option<_>>()?,
            mixed_extensions: session.contains(&"a=extmap-allow-mixed"),
        })
    }

    /// What a sink answers.
    pub(crate) fn answer(&self, by: &Answerer<'_>) -> String {
        let mids: Vec<&str> = self.accepted().map(|section| section.mid.as_str()).collect();
        let mut out =
            format!("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "));
        if self.mixed_extensions {
            out += "a=extmap-allow-mixed\r\n";
        }
        out += "a=msid-semantic: WMS *\r\n";
        let first = self.accepted().next().map(|section| section.mid.as_str());
        for section in &self.sections {
            section.write_answer(&mut out, by, first == Some(&section.mid));
        }
        out
    }

    fn accepted(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !section.rejected)
    }
}

impl Section {
    fn parse(block: &[&str]) -> Option<Self> {
        let (kind, rest) = block.first()?.strip_prefix("m=")?.split_once(' ')?;
        let (port, formats) = rest.split_once(' ')?;
        let kind = match kind {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            "application" => Kind::Application,
            _ => return None,
        };
        let (ssrc, rtx_ssrc) = sources(block);
        let bundle_only = block.contains(&"a=bundle-only");
        let extensions = block.iter().filter_map(|line| line.strip_prefix("a=extmap:"));
        Some(Self {
            kind,
            mid: attribute(block, "mid")?.to_owned(),
            rejected: port == "0" && !bundle_only,
            sends: !block.contains(&"a=inactive") && !block.contains(&"a=recvonly"),
            ssrc,
            rtx_ssrc,
            track: attribute(block, "msid").and_then(|msid| msid.split_whitespace().nth(1)).map(str::to_owned),
            transport_cc: extensions
                .filter_map(parse_extension)
                .find_map(|(id, uri)| (uri == TRANSPORT_CC).then_some(id)),
            formats: formats.to_owned(),
            lines: block.iter().filter(|line| is_repeated(line)).map(|line| (*line).to_owned()).collect(),
        })
    }

    fn write_answer(&self, out: &mut String, by: &Answerer<'_>, first: bool) {
        let kind = match self.kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
            Kind::Application => "application",
        };
        let port = if self.rejected { 0 } else { 9 };
        let _ = write!(out, "m={kind} {port} {}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\n", self.formats, self.mid);
        if self.rejected {
            *out += "a=inactive\r\n";
            return;
        }
        let Answerer { ufrag, password, fingerprint, address } = by;
        let _ = write!(
            out,
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:{fingerprint}\r\na=setup:active\r\n"
        );
        if first {
            let (ip, port) = (address.ip(), address.port());
            let _ =
                write!(out, "a=candidate:1 1 udp {CANDIDATE_PRIORITY} {ip} {port} typ host\r\na=end-of-candidates\r\n");
        }
        *out += match (self.kind, self.sends) {
            (Kind::Application, _) => "a=sctp-port:5000\r\na=max-message-size:262144\r\n",
            (_, true) => "a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n",
            (_, false) => "a=inactive\r\na=rtcp-mux\r\na=rtcp-rsize\r\n",
        };
        for line in &self.lines {
            let _ = write!(out, "{line}\r\n");
        }
    }
}

/// The address of `candidate:...` where it is a UDP one; a component other than 1 does not occur with rtcp-mux.
pub(crate) fn parse_candidate(candidate: &str) -> Option<SocketAddr> {
    let mut words = candidate.trim_start_matches("a=").strip_prefix("candidate:")?.split_whitespace().skip(1);
    let (component, protocol, _priority) = (words.next()?, words.next()?, words.next()?);
    let (ip, port) = (words.next()?.parse::<IpAddr>().ok()?, words.next()?.parse().ok()?);
    (component == "1" && protocol.eq_ignore_ascii_case("udp")).then(|| SocketAddr::new(ip, port))
}

/// A client's offer as browsers write it: simulcast streams are told by their rids, and their SSRCs are left out.
pub(crate) fn without_simulcast_sources(sdp: &str) -> String {
    let mut out = String::with_capacity(sdp.len());
    for block in split_sections(sdp) {
        let simulcast = block.iter().any(|line| line.starts_with("a=simulcast:"));
        for line in block.iter().filter(|line| !(simulcast && line.starts_with("a=ssrc"))) {
            let _ = write!(out, "{line}\r\n");
        }
    }
    out
}

/// A server's offer as str0m wants it. It would rather be passive than active (RFC 8842 section 5.3 advises against that), and it wants
/// to know the formats of rejected sections, too.
pub(crate) fn for_str0m(sdp: &str) -> String {
    let mut out = String::with_capacity(sdp.len());
    for block in split_sections(sdp) {
        for line in &block {
            let line = if *line == "a=setup:actpass" { "a=setup:passive" } else { line };
            let _ = write!(out, "{line}\r\n");
        }
        let words: Vec<&str> = block[0].split(' ').collect();
        if let ([kind @ ("m=audio" | "m=video"), "0", _, format, ..], None) = (&words[..], attribute(&block, "rtpmap"))
        {
            let codec = if *kind == "m=audio" { "opus/48000/2" } else { "VP8/90000" };
            let _ = write!(out, "a=rtpmap:{format} {codec}\r\n");
        }
    }
    out
}

/// The session's lines, then those of each section.
fn split_sections(sdp: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = sdp.lines().map(str::trim_end).filter(|line| !line.is_empty()).peekable();
    std::iter::from_fn(move || {
        let mut block = vec![lines.next()?];
        while let Some(line) = lines.next_if(|line| !line.starts_with("m=")) {
            block.push(line);
        }
        Some(block)
    })
}

fn attribute<'a>(block: &[&'a str], name: &str) -> Option<&'a str> {
    block.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The SSRC of media, and of its retransmissions (RFC 5576).
fn sources(block: &[&str]) -> (Option<u32>, Option<u32>) {
    let numbers = |text: &str| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>();
    if let Some([media, rtx, ..]) =
        attribute(block, "ssrc-group").and_then(|group| group.strip_prefix("FID ")).map(numbers).as_deref()
    {
        return (Some(*media), Some(*rtx));
    }
    let first = attribute(block, "ssrc").and_then(|ssrc| ssrc.split_whitespace().next()?.parse().ok());
    (first, None)
}

fn parse_extension(value: &str) -> Option<(u8, &str)> {
    let (id, rest) = value.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok()?;
    Some((id, rest.split(' ').next()?))
}

fn is_repeated(line: &str) -> bool {
    ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"].iter().any(|start| line.starts_with(start))
}

const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// RFC 8445 section 5.1.2.1: a host's, the first of its kind.
const CANDIDATE_PRIORITY: u32 = (126 << 24) + (65_535 << 8) + 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// As `sfu/negotiation` writes it, with one camera, one section that has ended and one that was rejected.
    const OFFER: &str = "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=ice-lite\r\n\
        a=msid-semantic: WMS *\r\na=extmap-allow-mixed\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:serv\r\na=ice-pwd:password\r\n\
        a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\n\
        a=candidate:2 1 tcp 1526726655 127.0.0.1 40001 typ host tcptype passive\r\na=end-of-candidates\r\n\
        a=mid:0\r\na=sendrecv\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:serv\r\na=ice-pwd:password\r\n\
        a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=msid:PA_x|TR_y TR_y\r\na=ssrc-group:FID 11 12\r\na=ssrc:11 cname:PA_x\r\na=ssrc:12 cname:PA_x\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=inactive\r\na=rtcp-mux\r\n\
        a=rtpmap:111 opus/48000/2\r\na=ssrc:21 cname:PA_x\r\n\
        m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:3\r\na=inactive\r\n";

    fn answer() -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], 5_004));
        let by = Answerer { ufrag: "mine", password: "secret", fingerprint: "sha-256 CC", address };
        Offer::parse(OFFER).expect("an offer").answer(&by)
    }

    #[test]
    fn an_offer_says_where_the_server_is_and_what_it_sends() {
        let offer = Offer::parse(OFFER).expect("an offer");
        assert_eq!((offer.ufrag.as_str(), offer.password.as_str()), ("serv", "password"));
        assert_eq!((offer.fingerprint.as_str(), offer.ice_lite), ("sha-256 AA:BB", true));
        assert_eq!(offer.candidates, [SocketAddr::from(([127, 0, 0, 1], 40_000))]);
        let kinds: Vec<_> =
            offer.sections.iter().map(|section| (section.kind, section.sends, section.rejected)).collect();
        let expected = [
            (Kind::Application, true, false),
            (Kind::Video, true, false),
            (Kind::Audio, false, false),
            (Kind::Audio, false, true),
        ];
        assert_eq!(kinds, expected);
        let camera = &offer.sections[1];
        assert_eq!((camera.ssrc, camera.rtx_ssrc, camera.track.as_deref()), (Some(11), Some(12), Some("TR_y")));
        assert_eq!(camera.transport_cc, Some(4));
        assert_eq!((offer.sections[2].ssrc, offer.sections[2].rtx_ssrc), (Some(21), None));
    }

    #[test]
    fn the_answer_has_the_sections_of_the_offer_in_its_order() {
        let answer = answer();
        let sections: Vec<_> =
            answer.lines().filter(|line| line.starts_with("m=") || line.starts_with("a=mid:")).collect();
        let expected = [
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "a=mid:0",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "a=mid:1",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "a=mid:2",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111",
            "a=mid:3",
        ];
        assert_eq!(sections, expected);
        assert!(answer.contains("a=group:BUNDLE 0 1 2\r\n"));
    }

    #[test]
    fn the_answer_takes_every_format_and_extension_and_sends_nothing() {
        let answer = answer();
        for line in ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack pli", "a=fmtp:97 apt=96", "a=extmap-allow-mixed"] {
            assert!(answer.contains(&format!("{line}\r\n")), "{line}");
        }
        assert_eq!(answer.matches("a=recvonly").count(), 1);
        assert_eq!(answer.matches("a=inactive").count(), 2);
        assert!(!answer.contains("a=ssrc") && !answer.contains("a=sendonly") && !answer.contains("a=msid:"));
    }

    #[test]
    fn the_answer_has_one_candidate_and_the_active_role() {
        let answer = answer();
        assert_eq!(answer.matches("a=candidate:1 1 udp 2130706431 127.0.0.1 5004 typ host\r\n").count(), 1);
        assert_eq!(answer.matches("a=setup:active\r\n").count(), 3);
        assert_eq!(answer.matches("a=ice-ufrag:mine\r\n").count(), 3);
    }

    #[test]
    fn what_stands_above_the_sections_counts_for_all() {
        let sdp = "v=0\na=fingerprint:sha-256 AA\na=ice-ufrag:u\na=ice-pwd:p\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\n";
        let offer = Offer::parse(sdp).expect("an offer");
        assert_eq!((offer.ufrag.as_str(), offer.fingerprint.as_str(), offer.ice_lite), ("u", "sha-256 AA", false));
    }

    #[test]
    fn what_is_no_offer_is_refused() {
        for sdp in
            ["", "v=0\n", "m=audio 9 x 0\na=mid:0\n", "v=0\na=ice-ufrag:u\na=ice-pwd:p\na=fingerprint:f\nm=audio 9\n"]
        {
            assert_eq!(Offer::parse(sdp), None, "{sdp:?}");
        }
    }

    #[test]
    fn simulcast_streams_are_told_by_rid_alone() {
        let sdp = "v=0\r\nm=audio 9 x 0\r\na=ssrc:1 cname:a\r\nm=video 9 x 0\r\na=ssrc-group:FID 2 3\r\na=ssrc:2 cname:a\r\n\
            a=simulcast:send q;h;f\r\n";
        let expected = "v=0\r\nm=audio 9 x 0\r\na=ssrc:1 cname:a\r\nm=video 9 x 0\r\na=simulcast:send q;h;f\r\n";
        assert_eq!(without_simulcast_sources(sdp), expected);
    }

    #[test]
    fn str0m_is_active_and_knows_every_format() {
        let sdp = for_str0m(OFFER);
        assert!(!sdp.contains("actpass"));
        assert_eq!(sdp.matches("a=setup:passive\r\n").count(), 2);
        assert!(sdp.ends_with("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:3\r\na=inactive\r\na=rtpmap:111 opus/48000/2\r\n"));
    }

    #[test]
    fn candidates_over_udp_have_an_address() {
        let udp = "candidate:1 1 UDP 2130706431 ::1 7882 typ host";
        assert_eq!(parse_candidate(udp), "[::1]:7882".parse().ok());
        assert_eq!(parse_candidate("candidate:1 1 tcp 5 127.0.0.1 7881 typ host tcptype passive"), None);
        assert_eq!(parse_candidate("candidate:1 1 udp 5 name.local 7881 typ host"), None);
        assert_eq!(parse_candidate(""), None);
    }
}
