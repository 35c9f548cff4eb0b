//! Rewrites what a loop or a jump would tear: picture ids and the numbers of frames go on where they were.

use wire::codec::{dependency_descriptor, vp8, vp9};

/// What has to go on in payloads of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Vp8,
    Vp9,
    /// Nothing.
    Other,
}

/// The counters of one stream.
#[derive(Debug)]
pub(crate) struct Continuity {
    format: Format,
    picture_id: u16,
    tl0picidx: u8,
    /// Between the frame numbers of the file and those that are sent.
    frame_offset: u16,
    last_frame: Option<u16>,
}

/// Where a packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the start of the loop, or after a jump: the first of a picture, too.
    Start,
    /// The first of a picture.
    Picture,
    Inside,
}

impl Continuity {
    /// By the codec's name in signalling. Counters start anywhere, as browsers' do.
    pub(crate) fn new(codec: &str, seed: u32) -> Self {
        let format = match codec {
            "vp8" => Format::Vp8,
            "vp9" => Format::Vp9,
            _ => Format::Other,
        };
        Self {
            format,
            picture_id: seed as u16 & WIDE_MASK,
            tl0picidx: seed as u8,
            frame_offset: seed as u16,
            last_frame: None,
        }
    }

    /// The next packet in sending order.
    pub(crate) fn rewrite(&mut self, place: Place, payload: &mut [u8], extension: &mut [u8]) {
        match self.format {
            Format::Vp8 => self.rewrite_vp8(place, payload),
            Format::Vp9 => self.rewrite_vp9(place, payload),
            Format::Other => {}
        }
        self.rewrite_descriptor(place, extension);
    }

    fn rewrite_vp8(&mut self, place: Place, payload: &mut [u8]) {
        let lowest = vp8::parse(payload).is_ok_and(|descriptor| descriptor.tid.unwrap_or_default() == 0);
        self.count(place, lowest);
        vp8::rewrite(payload, self.picture_id, self.tl0picidx);
    }

    fn rewrite_vp9(&mut self, place: Place, payload: &mut [u8]) {
        let Ok(descriptor) = vp9::parse(payload) else { return };
        self.count(place, descriptor.temporal_id == 0);
        write_vp9(payload, &descriptor, self.picture_id, self.tl0picidx);
    }

    fn count(&mut self, place: Place, lowest_layer: bool) {
        if place != Place::Inside {
            self.picture_id = (self.picture_id + 1) & WIDE_MASK;
            self.tl0picidx = self.tl0picidx.wrapping_add(u8::from(lowest_layer));
        }
    }

    fn rewrite_descriptor(&mut self, place: Place, extension: &mut [u8]) {
        let Ok(descriptor) = dependency_descriptor::parse(extension) else { return };
        if let (Place::Start, Some(last)) = (place, self.last_frame) {
            self.frame_offset = last.wrapping_add(1).wrapping_sub(descriptor.frame_number);
        }
        let number = descriptor.frame_number.wrapping_add(self.frame_offset);
        extension[1..3].copy_from_slice(&number.to_be_bytes());
        self.last_frame = Some(number);
    }
}

/// RFC 9628 section 4.2: the picture id comes first, the index behind the byte of layers.
fn write_vp9(payload: &mut [u8], descriptor: &vp9::Descriptor, picture_id: u16, tl0picidx: u8) {
    let mut at = 1;
    if descriptor.picture_id.is_some() {
        if payload[at] & 0x80 == 0 {
            payload[at] = picture_id as u8 & 0x7f;
            at += 1;
        } else {
            payload[at..at + 2].copy_from_slice(&(0x8000 | picture_id).to_be_bytes());
            at += 2;
        }
    }
    if descriptor.tl0picidx.is_some() {
        payload[at + 1] = tl0picidx;
    }
}

/// Picture ids have 15 bits, or 7, and wrap alike.
const WIDE_MASK: u16 = 0x7fff;

#[cfg(test)]
mod tests {
    use super::*;

    /// Extended, with a wide picture id, TL0PICIDX and TID.
    fn vp8_packet(tid: u8) -> Vec<u8> {
        vec![0x90, 0xe0, 0x80, 1, 1, tid << 6, 1, 2, 3]
    }

    fn send(continuity: &mut Continuity, place: Place, mut payload: Vec<u8>) -> Vec<u8> {
        continuity.rewrite(place, &mut payload, &mut []);
        payload
    }

    #[test]
    fn vp8_pictures_go_on_over_loops_and_wraps() {
        let mut continuity = Continuity::new("vp8", 0x7ffd);
        let places = [Place::Start, Place::Inside, Place::Picture, Place::Start, Place::Picture];
        let ids: Vec<_> = places
            .into_iter()
            .map(|place| {
                let descriptor = vp8::parse(&send(&mut continuity, place, vp8_packet(0))).expect("VP8");
                (descriptor.picture_id.map(vp8::PictureId::value), descriptor.tl0picidx)
            })
            .collect();
        let expected = [(0x7ffe, 0xfe), (0x7ffe, 0xfe), (0x7fff, 0xff), (0, 0), (1, 1)];
        assert_eq!(ids, expected.map(|(id, index)| (Some(id), Some(index))));
    }

    #[test]
    fn only_pictures_of_the_lowest_temporal_layer_move_its_index() {
        let mut continuity = Continuity::new("vp8", 10);
        let index = |payload: &[u8]| vp8::parse(payload).ok().and_then(|descriptor| descriptor.tl0picidx);
        assert_eq!(index(&send(&mut continuity, Place::Start, vp8_packet(0))), Some(11));
        assert_eq!(index(&send(&mut continuity, Place::Picture, vp8_packet(1))), Some(11));
        assert_eq!(index(&send(&mut continuity, Place::Picture, vp8_packet(0))), Some(12));
    }

    #[test]
    fn vp9_fields_keep_their_widths() {
        let mut continuity = Continuity::new("vp9", 0x1234);
        let wide = send(&mut continuity, Place::Start, vec![0xa8, 0x80, 1, 0, 7, 9, 9]);
        assert_eq!(wide, [0xa8, 0x92, 0x35, 0, 0x35, 9, 9]);
        let narrow = send(&mut continuity, Place::Picture, vec![0xa8, 1, 0x20, 7, 9, 9]);
        assert_eq!(narrow, [0xa8, 0x36, 0x20, 0x35, 9, 9]);
        let flexible = send(&mut continuity, Place::Picture, vec![0xb8, 1, 0, 9, 9]);
        assert_eq!(flexible, [0xb8, 0x37, 0, 9, 9]);
    }

    #[test]
    fn frame_numbers_go_on_where_they_were() {
        let mut continuity = Continuity::new("av1", 0);
        let mut number = |place, frame: u16| {
            let [high, low] = frame.to_be_bytes();
            let mut extension = [0xc0, high, low];
            continuity.rewrite(place, &mut [], &mut extension);
            u16::from_be_bytes([extension[1], extension[2]])
        };
        assert_eq!(
            [number(Place::Start, 500), number(Place::Inside, 501), number(Place::Picture, 502)],
            [500, 501, 502]
        );
        assert_eq!([number(Place::Start, 500), number(Place::Picture, 501)], [503, 504]);
    }

    #[test]
    fn other_codecs_and_short_payloads_are_left_alone() {
        for codec in ["vp8", "vp9", "h264", "opus"] {
            let mut continuity = Continuity::new(codec, 77);
            assert_eq!(send(&mut continuity, Place::Start, Vec::new()), Vec::<u8>::new());
        }
        let mut continuity = Continuity::new("h264", 77);
        assert_eq!(send(&mut continuity, Place::Start, vec![0x90, 0xe0, 0x80]), [0x90, 0xe0, 0x80]);
    }
}
