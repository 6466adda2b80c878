//! H.264 access units as RTP packets in RTSP's interleaved frames (RFC 6184 §5.6 and §5.8, RFC 2326 §10.12), made once;
//! what differs from reader to reader is patched into a copy.

/// The largest RTP packet, header included.
pub const PACKET_LIMIT: usize = 1400;
/// RTP payload type, as the session description announces it.
pub const PAYLOAD_TYPE: u8 = 96;
/// `$`, channel, length.
const FRAME_HEADER: usize = 4;
const RTP_HEADER: usize = 12;
const PAYLOAD_LIMIT: usize = PACKET_LIMIT - RTP_HEADER;
const FU_A: u8 = 28;

/// One access unit, ready to be sent but for the fields of [`Stamp`].
#[derive(Debug, Default)]
pub struct Packets {
    bytes: Vec<u8>,
    /// Where each interleaved frame begins in `bytes`.
    starts: Vec<usize>,
}

/// What one reader's copy of an access unit carries.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Interleaved channel.
    pub channel: u8,
    /// Sequence number of the first packet.
    pub sequence: u16,
    /// RTP time, 90 kHz.
    pub time: u32,
    /// The source's identifier.
    pub source: u32,
}

impl Packets {
    /// Cuts an access unit, given as its NAL units without start codes, into packets; the last one has the marker.
    pub fn of_unit(nals: &[&[u8]]) -> Self {
        let mut packets = Self::default();
        for nal in nals {
            match nal {
                [] => {}
                nal if nal.len() <= PAYLOAD_LIMIT => packets.push(&[], nal),
                [header, body @ ..] => packets.fragment(*header, body),
            }
        }
        if let Some(last) = packets.starts.last()
            && let Some(marker) = packets.bytes.get_mut(last + FRAME_HEADER + 1)
        {
            *marker |= 0x80;
        }
        packets
    }

    /// A NAL unit too large for one packet: fragmentation units, type A.
    fn fragment(&mut self, header: u8, body: &[u8]) {
        let indicator = header & 0xe0 | FU_A;
        let kind = header & 0x1f;
        let chunks = body.chunks(PAYLOAD_LIMIT - 2);
        let last = chunks.len() - 1;
        for (index, chunk) in chunks.enumerate() {
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            self.push(&[indicator, start | end | kind], chunk);
        }
    }

    fn push(&mut self, prefix: &[u8], payload: &[u8]) {
        // At most PACKET_LIMIT.
        let length = (RTP_HEADER + prefix.len() + payload.len()) as u16;
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(&[b'$', 0]);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&[0x80, PAYLOAD_TYPE]);
        self.bytes.extend_from_slice(&[0; RTP_HEADER - 2]);
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(payload);
    }

    /// How many packets there are.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// RTP payload bytes, as sender reports count them.
    pub fn payload_size(&self) -> usize {
        self.bytes.len() - self.starts.len() * (FRAME_HEADER + RTP_HEADER)
    }

    /// Appends this unit to `out`, stamped.
    pub fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let base = out.len();
        out.extend_from_slice(&self.bytes);
        let mut sequence = stamp.sequence;
        for start in &self.starts {
            // `push` wrote whole headers.
            if let Some([_, channel, _, _, _, _, rest @ ..]) = out.get_mut(base + start..base + start + 16) {
                *channel = stamp.channel;
                rest[..2].copy_from_slice(&sequence.to_be_bytes());
                rest[2..6].copy_from_slice(&stamp.time.to_be_bytes());
                rest[6..].copy_from_slice(&stamp.source.to_be_bytes());
            }
            sequence = sequence.wrapping_add(1);
        }
    }
}

/// An RTCP sender report (RFC 3550 §6.4.1) without report blocks, as an interleaved frame. `stamp.sequence` is not used.
pub fn sender_report(stamp: Stamp, ntp: u64, packets: u32, octets: u32, out: &mut Vec<u8>) {
    const WORDS: u16 = 6;
    out.extend_from_slice(&[b'$', stamp.channel]);
    out.extend_from_slice(&((WORDS + 1) * 4).to_be_bytes());
    out.extend_from_slice(&[0x80, 200]);
    out.extend_from_slice(&WORDS.to_be_bytes());
    out.extend_from_slice(&stamp.source.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for word in [stamp.time, packets, octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// The NAL units of a byte stream, without start codes and the zeros around them.
pub fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while let Some(code) = stream.get(at..at + 3) {
        if code == [0, 0, 1] {
            units.extend(begin.and_then(|begin| stream.get(begin..at)));
            begin = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    units.extend(begin.and_then(|begin| stream.get(begin..)));
    // A NAL unit never ends in a zero byte: one belongs to the next start code.
    units.into_iter().map(without_end_zeros).filter(|unit| !unit.is_empty()).collect()
}

fn without_end_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a packet's header says: channel, sequence number, time, source, marker.
    type Header = (u8, u16, u32, u32, bool);

    /// Takes interleaved frames apart again: NAL units, and each packet's header.
    fn received(mut wire: &[u8]) -> (Vec<Vec<u8>>, Vec<Header>) {
        let (mut nals, mut headers) = (Vec::new(), Vec::new());
        let mut open: Option<Vec<u8>> = None;
        while let [b'$', channel, high, low, rest @ ..] = wire {
            let (packet, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            wire = after;
            assert!(packet.len() <= PACKET_LIMIT);
            assert_eq!((packet[0], packet[1] & 0x7f), (0x80, PAYLOAD_TYPE));
            let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            headers.push((*channel, word(0) as u16, word(4), word(8), packet[1] & 0x80 != 0));
            let payload = &packet[12..];
            if payload[0] & 0x1f == FU_A {
                if payload[1] & 0x80 != 0 {
                    assert!(open.is_none(), "a fragment begins inside another NAL unit");
                    open = Some(vec![payload[0] & 0xe0 | payload[1] & 0x1f]);
                }
                open.as_mut().expect("a fragment without a beginning").extend_from_slice(&payload[2..]);
                if payload[1] & 0x40 != 0 {
                    nals.extend(open.take());
                }
            } else {
                assert!(open.is_none(), "a NAL unit inside another");
                nals.push(payload.to_vec());
            }
        }
        assert!(wire.is_empty() && open.is_none());
        (nals, headers)
    }

    fn nal() -> impl Strategy<Value = Vec<u8>> {
        let size = prop_oneof![
            1usize..40,
            Just(PAYLOAD_LIMIT),
            Just(PAYLOAD_LIMIT + 1),
            // A body that is a whole number of fragments.
            Just(1 + 2 * (PAYLOAD_LIMIT - 2)),
            1200usize..9000
        ];
        // Types of single NAL units, 1 to 23.
        (size, 1u8..24, 0u8..4, any::<u8>()).prop_map(|(size, kind, importance, fill)| {
            let mut nal: Vec<u8> = (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(fill)).collect();
            nal[0] = importance << 5 | kind;
            nal
        })
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_out_again(nals in prop::collection::vec(nal(), 1..6), channel: u8, sequence: u16, time: u32, source: u32) {
            let units: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let packets = Packets::of_unit(&units);
            let mut wire = Vec::new();
            packets.write(Stamp { channel, sequence, time, source }, &mut wire);
            prop_assert_eq!(wire.len(), packets.size());
            let (got, headers) = received(&wire);
            prop_assert_eq!(got, nals);
            prop_assert_eq!(headers.len(), packets.count());
            for (number, header) in headers.iter().enumerate() {
                let last = number + 1 == packets.count();
                prop_assert_eq!(*header, (channel, sequence.wrapping_add(number as u16), time, source, last));
            }
        }

        #[test]
        fn a_byte_stream_splits_into_its_nal_units(nals in prop::collection::vec(prop::collection::vec(2u8.., 1..50), 0..8), long: bool) {
            let mut stream = Vec::new();
            for nal in &nals {
                stream.extend_from_slice(if long { &[0, 0, 0, 1] } else { &[0, 0, 1] });
                stream.extend_from_slice(nal);
            }
            prop_assert_eq!(nal_units(&stream), nals.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sender_report_has_its_fields_where_readers_look() {
        let mut wire = Vec::new();
        let stamp = Stamp { channel: 1, sequence: 0, time: 0x0a0b_0c0d, source: 0x0102_0304 };
        sender_report(stamp, 0x1122_3344_5566_7788, 7, 9, &mut wire);
        assert_eq!(wire[..8], [b'$', 1, 0, 28, 0x80, 200, 0, 6]);
        assert_eq!(wire[8..12], [1, 2, 3, 4]);
        assert_eq!(wire[12..20], 0x1122_3344_5566_7788u64.to_be_bytes());
        assert_eq!(wire[20..24], [0x0a, 0x0b, 0x0c, 0x0d]);
        assert_eq!(wire[24..], [0, 0, 0, 7, 0, 0, 0, 9]);
    }
}
