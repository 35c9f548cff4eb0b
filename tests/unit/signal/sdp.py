"""The SDP side of a scripted client: offers like libwebrtc's, cut down to what matters, and answers to our offers."""

from __future__ import annotations

from dataclasses import dataclass, field

VIDEO_CODECS = {"VP8": 96, "H264": 102, "VP9": 98, "AV1": 45}
_EXTENSIONS = {
    "audio": (
        (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        (3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
        (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    ),
    "video": (
        (3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
        (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
        (10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
        (11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
    ),
}


@dataclass
class Section:
    kind: str
    direction: str = "recvonly"
    cid: str = ""
    rids: tuple[str, ...] = ()


@dataclass
class Sdp:
    """The client's view of its publisher (or only) connection."""

    sections: list[Section] = field(default_factory=list)
    codecs: tuple[str, ...] = ("VP8", "H264", "VP9", "AV1")
    ufrag: str = "clientufrag"
    fingerprint: str = ":".join(["CD"] * 32)
    #: Like the SDKs: an application section after the first ones.
    version: int = 0

    def offer(self) -> str:
        self.version += 1
        lines = [
            "v=0",
            f"o=- 4611731400430051336 {self.version} IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE " + " ".join(str(index) for index in range(len(self.sections))),
            "a=extmap-allow-mixed",
            "a=msid-semantic: WMS",
        ]
        for mid, section in enumerate(self.sections):
            lines += self._section(mid, section)
        return "\r\n".join([*lines, ""])

    def _transport(self, mid: int | str) -> list[str]:
        return [
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{self.ufrag}",
            "a=ice-pwd:clientpasswordclientpassword",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            "a=setup:actpass",
            f"a=mid:{mid}",
        ]

    def _section(self, mid: int, section: Section) -> list[str]:
        if section.kind == "application":
            head = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
            return [head, *self._transport(mid), "a=sctp-port:5000", "a=max-message-size:262144"]
        payload_types, codec_lines = self._codec_lines(section.kind)
        lines = [f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {payload_types}", *self._transport(mid)]
        lines += [f"a=extmap:{number} {uri}" for number, uri in _EXTENSIONS[section.kind]]
        lines += [f"a={section.direction}", "a=rtcp-mux", "a=rtcp-rsize"]
        if section.direction in ("sendonly", "sendrecv"):
            lines.append(f"a=msid:- {section.cid}")
        lines += codec_lines
        if section.rids:
            lines += [f"a=rid:{rid} send" for rid in section.rids]
            lines.append("a=simulcast:send " + ";".join(section.rids))
        elif section.direction in ("sendonly", "sendrecv"):
            lines.append(f"a=ssrc:{1000 + mid} cname:client")
        return lines

    def _codec_lines(self, kind: str) -> tuple[str, list[str]]:
        if kind == "audio":
            lines = ["a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 nack"]
            return "111", [*lines, "a=fmtp:111 minptime=10;useinbandfec=1"]
        numbers, lines = [], []
        for name in self.codecs:
            number = VIDEO_CODECS[name]
            numbers += [number, number + 1]
            lines += [f"a=rtpmap:{number} {name}/90000"]
            lines += [
                f"a=rtcp-fb:{number} {what}" for what in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
            ]
            if name == "H264":
                lines.append(f"a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
            lines += [f"a=rtpmap:{number + 1} rtx/90000", f"a=fmtp:{number + 1} apt={number}"]
        return " ".join(map(str, numbers)), lines


def answer(offer: str, *, refuse: tuple[str, ...] = ()) -> str:
    """Accepts every section of a server's offer as it is, but for video codecs in `refuse`."""
    head, *sections = _split(offer)
    kept = [line for line in head if line.startswith(("v=", "s=", "t=", "a=group", "a=extmap-allow-mixed"))]
    lines = [kept[0], "o=- 77 1 IN IP4 127.0.0.1", *kept[1:]]
    for section in sections:
        lines += _answer_section(section, refuse)
    return "\r\n".join([*lines, ""])


def attribute(section: list[str], name: str) -> str | None:
    return next((line.partition(":")[2] for line in section if line.startswith(f"a={name}:")), None)


def sections(text: str) -> list[list[str]]:
    return _split(text)[1:]


def _split(text: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def _answer_section(section: list[str], refuse: tuple[str, ...]) -> list[str]:
    if any(f" {codec}/90000" in line for codec in refuse for line in section):
        media = section[0].split()
        mid = next(line for line in section if line.startswith("a=mid:"))
        return [" ".join([media[0], "0", *media[2:]]), "c=IN IP4 0.0.0.0", mid, "a=inactive"]
    keep = (
        "m=",
        "a=mid",
        "a=extmap",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap",
        "a=fmtp",
        "a=rtcp-fb",
        "a=sctp",
        "a=max",
    )
    lines = [line for line in section if line.startswith(keep)]
    direction = "a=recvonly" if "a=sendonly" in section else "a=inactive"
    transport = [
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:subufrag",
        "a=ice-pwd:clientpasswordclientpassword",
        "a=fingerprint:sha-256 " + ":".join(["EF"] * 32),
        "a=setup:active",
    ]
    return [lines[0], *transport, *lines[1:], *([] if lines[0].startswith("m=application") else [direction])]
