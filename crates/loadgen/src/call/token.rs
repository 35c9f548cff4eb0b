//! What an access token says of its owner. Not verified: that is the server's part.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

/// Who joins what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) identity: String,
    pub(crate) room: String,
}

impl Claims {
    /// Reads a JWT; `None` from anything else.
    pub(crate) fn read(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let payload = BASE64URL_NOPAD.decode(payload.trim_end_matches('=').as_bytes()).ok()?;
        let Payload { sub, video } = serde_json::from_slice(&payload).ok()?;
        Some(Self { identity: sub, room: video.room })
    }
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    video: Video,
}

#[derive(Deserialize)]
struct Video {
    room: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl", BASE64URL_NOPAD.encode(payload.as_bytes()))
    }

    #[test]
    fn identity_and_room_are_in_the_token() {
        let claims = Claims::read(&token(r#"{"sub":"ada","video":{"roomJoin":true,"room":"blue"}}"#));
        assert_eq!(claims, Some(Claims { identity: "ada".to_owned(), room: "blue".to_owned() }));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["", "a.b", "a.!.c", &token("{}"), &token(r#"{"sub":1}"#)] {
            assert_eq!(Claims::read(text), None, "{text}");
        }
    }
}
