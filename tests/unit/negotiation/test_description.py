"""The model loses nothing and reads nothing that is not a description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.negotiation import SdpError, SessionDescription
from sfu.negotiation.description import MAX_CHARACTERS, MAX_SECTIONS
from tests.unit.negotiation.support import DATA, load, sections


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.sdp")))
def test_a_captured_description_is_written_as_it_was_read(name: str) -> None:
    assert str(SessionDescription.parse(load(name))) == load(name)


_text = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f\x85\u2028\u2029", exclude_categories=["Cs"]))
_line = st.tuples(st.sampled_from("osicbtkaa"), _text).map(lambda pair: f"{pair[0]}={pair[1]}")
_media = st.sampled_from(["m=audio 9 UDP/TLS/RTP/SAVPF 0 111", "m=video 0 RTP/SAVPF 96", "m=text 9 X *"])
_section = st.tuples(_media, st.lists(_line, max_size=6)).map(lambda pair: [pair[0], *pair[1]])


@given(st.lists(_line, max_size=5), st.lists(_section, max_size=5))
def test_every_valid_text_is_written_as_it_was_read(session: list[str], media: list[list[str]]) -> None:
    lines = ["v=0", *session, *(line for section in media for line in section)]
    text = "\r\n".join(lines) + "\r\n"
    description = SessionDescription.parse(text)
    assert str(description) == text
    assert len(description.sections) == len(media)


def test_bare_line_feeds_are_read_and_written_as_crlf() -> None:
    text = load("chromium-v1-join.offer.sdp")
    assert str(SessionDescription.parse(text.replace("\r\n", "\n"))) == text


def test_attributes_keep_their_order_and_colons() -> None:
    section = sections(load("chromium-v1-vp8.offer.sdp"))["8"]
    assert section.attributes["rid"][0] == "q send"
    assert section.first("fingerprint") is not None
    assert section.first("rtcp-mux") == ""
    assert section.first("nothing") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\r\n",
        "hello",
        "v=0\r\n\r\nm=audio 9 RTP/SAVPF 0\r\n",
        "v=0\r\nnonsense\r\n",
        "v=0\r\ns=-\ra=ice-lite\r\n",
        "v=0\r\ns=-\r\r\n",
        "v=0\r\ns=a\rb\na=ice-lite\r\n",
        "v=0\r\ns=\x00\r\n",
        "v=0\r\ns=a\x0bb\r\n",
        "v=0\r\ns=a\x85a=ice-lite\r\n",
        "v=0\r\ns=a\u2028a=ice-lite\r\n",
        "v=0\r\nm=audio\r\n",
        "v=0\r\nm=audio nine RTP/SAVPF 0\r\n",
        "v=0\r\nm=audio \u0669 RTP/SAVPF 0\r\n",
        "v=0\r\nm=audio 9 RTP/SAVPF \r\n",
        "v=0\r\nm=audio 9 RTP/SAVPF \u0661\r\n",
    ],
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(SdpError):
        SessionDescription.parse(text)


def test_one_mebibyte_is_read_and_one_character_more_is_not() -> None:
    text = "v=0\r\ns=" + "x" * (MAX_CHARACTERS - len("v=0\r\ns=\r\n")) + "\r\n"
    assert len(text) == MAX_CHARACTERS
    SessionDescription.parse(text)
    with pytest.raises(SdpError, match="characters"):
        SessionDescription.parse(text + "\n")


def test_a_thousand_sections_are_read_and_ten_thousand_are_not() -> None:
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
    assert len(SessionDescription.parse("v=0\r\n" + section * MAX_SECTIONS).sections) == MAX_SECTIONS
    with pytest.raises(SdpError, match="10000 media sections"):
        SessionDescription.parse("v=0\r\n" + section * 10_000)


def test_the_error_names_the_line() -> None:
    with pytest.raises(SdpError, match="line 3 "):
        SessionDescription.parse("v=0\r\ns=-\r\n?\r\n")


@pytest.mark.parametrize("mid", ["\u00e9", "a b", "", "x" * 17, "0;1"])
def test_a_mid_that_is_no_short_token_is_refused(mid: str) -> None:
    description = SessionDescription.parse(f"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\n")
    with pytest.raises(SdpError, match="a=mid"):
        description.check_mids()


def test_two_sections_with_one_mid_are_refused() -> None:
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    with pytest.raises(SdpError, match="two sections"):
        SessionDescription.parse("v=0\r\n" + section * 2).check_mids()
