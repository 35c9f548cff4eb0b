//! Payload descriptors: every combination of flag bits, with enough bytes behind them and without.

pub(super) fn vp8() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for flags in (0..=0xf0_u8).step_by(16) {
        for (first, picture_id) in [(0x90, &[0x85, 0x01][..]), (0xb0, &[0x7f][..]), (0x81, &[0xff, 0xff][..])] {
            let picture_id = if flags & 0x80 == 0 { &[] } else { picture_id };
            let tl0picidx = if flags & 0x40 == 0 { &[][..] } else { &[0xfe] };
            let layer = if flags & 0x30 == 0 { &[][..] } else { &[0x65] };
            // A keyframe's frame header with its start code and 640x360.
            let frame = &[0x50, 0x2d, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
            seeds.push([&[first, flags], picture_id, tl0picidx, layer, frame].concat());
        }
    }
    seeds.extend([vec![], vec![0x10], vec![0x10, 0x51], vec![0x80], vec![0x80, 0x80], vec![0x80, 0xf0, 0x80, 1, 2]]);
    seeds
}

pub(super) fn vp9() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for flags in 0..=0xff_u8 {
        // Odd bits (E, V, Z) add fields only behind the part we read, so a quarter of all combinations is enough.
        if flags & 0x05 != 0 {
            continue;
        }
        let picture_id = if flags & 0x80 == 0 { &[][..] } else { &[0x81, 0x23] };
        let layers = if flags & 0x20 == 0 { &[][..] } else { &[0x53] };
        let tl0picidx = if flags & 0x30 == 0x20 { &[0x07][..] } else { &[] };
        let references = if flags & 0x50 == 0x50 { &[0x03, 0x04][..] } else { &[] };
        let structure = if flags & 0x02 == 0 { &[][..] } else { &[0x18, 0x02, 0x80, 0x01, 0x68] };
        seeds.push([&[flags], picture_id, layers, tl0picidx, references, structure, &[0x82, 0x49]].concat());
    }
    seeds.extend([vec![0x80], vec![0x80, 0x80], vec![0x50, 3, 3, 3, 4], vec![0xa0, 1, 0x10]]);
    seeds
}

pub(super) fn h264() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in 0..32_u8 {
        seeds.push(vec![0x60 | kind, 0x88, 0x84, 0x21]);
    }
    for kind in [1, 5, 7, 8] {
        for start_and_end in [0x00, 0x40, 0x80, 0xc0] {
            seeds.push(vec![0x7c, start_and_end | kind, 0x88, 0x84]);
        }
    }
    let (sps, pps, idr) = (&[0x67, 0x42, 0xc0, 0x1f][..], &[0x68, 0xce, 0x3c, 0x80][..], &[0x65, 0x88][..]);
    for units in [&[sps][..], &[sps, pps], &[sps, pps, idr], &[pps, idr], &[pps, &[0x41]], &[&[]], &[]] {
        let mut packet = vec![0x78];
        for unit in units {
            packet.extend((unit.len() as u16).to_be_bytes());
            packet.extend_from_slice(unit);
        }
        seeds.push(packet.clone());
        seeds.push([&packet[..], &[0]].concat());
        seeds.push([&packet[..], &[0xff, 0xff, 0x67]].concat());
    }
    seeds.extend([vec![], vec![0x7c]]);
    seeds
}

pub(super) fn av1() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![]];
    for flags in (0..=0xf8_u8).step_by(8) {
        seeds.push(vec![flags]);
        seeds.push(vec![flags, 0x0a, 0x0b, 0, 0, 0, 0x42, 0xab, 0xbf, 0xc3, 0x71]);
    }
    seeds
}

pub(super) fn dependency_descriptor() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![], vec![0x80], vec![0x80, 0]];
    for frame_flags in [0x00, 0x40, 0x80, 0xc0] {
        for template in [0, 5, 63] {
            seeds.push(vec![frame_flags | template, 0xff, 0xff]);
            for flags in [0x80, 0x40, 0xf8, 0x00] {
                seeds.push(vec![frame_flags | template, 0, 1, flags, 0x80, 0xe4, 0xb9, 0x08]);
            }
        }
    }
    seeds
}

pub(super) fn red() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![], vec![0x6f], vec![0xef, 0x0f], vec![0x60, 1], vec![0xef, 0x0f, 0xff, 0xff, 0x6f, 1]];
    for count in 0..4_u32 {
        for len in [0, 1, 3, 40_u32] {
            let mut packet = Vec::new();
            for block in (1..=count).rev() {
                packet.push(0xef);
                packet.extend(&(((960 * block) << 10) | len).to_be_bytes()[1..]);
            }
            packet.push(0x6f);
            packet.resize(packet.len() + (count * len) as usize, 0x5a);
            seeds.push([&packet[..], &[0x78, 1, 2]].concat());
            seeds.push(packet);
        }
    }
    seeds
}
