//! The Dependency Descriptor as a header extension of str0m's: bytes from a file, as they are.

use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

/// What str0m writes.
pub(crate) struct Descriptor(pub(crate) Vec<u8>);

/// To be registered under an id of one byte.
pub(crate) fn extension() -> Extension {
    Extension::with_serializer(URI, Serializer)
}

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(Descriptor(bytes)) = values.user_values.get() else { return 0 };
        buf[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, _buf: &[u8], _values: &mut ExtensionValues) -> bool {
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get().is_some_and(|Descriptor(bytes)| bytes.len() > 16)
    }
}

const URI: &str = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
