use proptest::prelude::*;

use super::*;
use crate::sensor::codec::mutation;

const LINK_KEEP: &str = "7E7E01001234567812342F0008020003591011155111036BCA";
const TEST: &str = "7E7E010012345678123430002B020003591011154947F1F1001234567848F0F0591011154920190000052619000005392300000127381211150320FA";
const TEST_ANSWER: &str = "7E7E00123456780112343080080200035910111549471B75D4";
const SCHEDULED: &str = "7E7E05001122334403E832002B020034170718110016F1F1001122334448F0F01707181100201900004026190000403923000104903812109903A421";
const SCHEDULED_ANSWER: &str = "7E7E00112233440503E83280080200341707181100161BE5D4";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The first event of a stream, with the decoder it is borrowed from.
fn first<'a>(decoder: &'a mut Decoder, stream: &[u8]) -> Result<Message<'a>, DecodeError> {
    let mut input = stream;
    decoder.next_frame(&mut input).unwrap()
}

fn error(stream: &[u8]) -> DecodeError {
    first(&mut Decoder::new(), stream).unwrap_err()
}

fn report(content: &[u8]) -> Message<'_> {
    Message {
        direction: Direction::Up,
        centre: 1,
        station: Station([0, 0x12, 0x34, 0x56, 0x78]),
        password: 0x1234,
        function: Function::Known(KnownFunction::Hourly),
        packet: None,
        serial: Some(7),
        sent_at: Some("2026-07-01T01:00:08Z".parse().unwrap()),
        content,
        end: End::Etx,
    }
}

/// What the content gives as an hourly report that went over the wire.
fn elements(content: &[u8]) -> Vec<Result<String, DecodeError>> {
    let frame = report(content).build().unwrap();
    let mut decoder = Decoder::new();
    let message = first(&mut decoder, &frame).unwrap();
    assert_eq!(message, report(content));
    message.elements().map(|element| element.map(|element| format!("{element:?}"))).collect()
}

fn values(content: &[u8]) -> Vec<(u8, Option<f64>)> {
    let message = report(content);
    let number = |element| match element {
        Ok(Element::Number { id, value, .. }) => Some((id, value)),
        _ => None,
    };
    message.elements().filter_map(number).collect()
}

#[test]
fn the_checked_vector_is_read_and_built_byte_for_byte() {
    let frame = bytes(LINK_KEEP);
    let mut decoder = Decoder::new();
    let message = first(&mut decoder, &frame).unwrap();
    assert_eq!(message.direction, Direction::Up);
    assert_eq!((message.centre, message.station.to_string()), (1, "0012345678".to_owned()));
    assert_eq!((message.password, message.serial), (0x1234, Some(3)));
    assert_eq!(message.function, Function::Known(KnownFunction::LinkKeep));
    assert_eq!(message.sent_at, Some("2059-10-11T07:51:11Z".parse().unwrap()));
    assert_eq!((message.packet, message.end, message.content), (None, End::Etx, [].as_slice()));
    assert_eq!(message.elements().count(), 0);
    assert_eq!(message.acknowledgement(true, message.sent_at.unwrap()), None, "link keeping is not acknowledged");
    assert_eq!(message.build().unwrap(), frame);
}

#[test]
fn reports_give_their_elements_and_are_acknowledged_byte_for_byte() {
    for (report, answer, expected) in [
        (TEST, TEST_ANSWER, [(0x20, Some(0.5)), (0x26, Some(0.5)), (0x39, Some(0.127)), (0x38, Some(11.15))]),
        (SCHEDULED, SCHEDULED_ANSWER, [(0x20, Some(4.0)), (0x26, Some(4.0)), (0x39, Some(10.49)), (0x38, Some(10.99))]),
    ] {
        let frame = bytes(report);
        let mut decoder = Decoder::new();
        let message = first(&mut decoder, &frame).unwrap();
        let elements: Vec<_> = message.elements().collect::<Result<_, _>>().unwrap();
        assert_eq!(elements[0], Element::Station { station: message.station, category: b'H' });
        assert!(matches!(elements[1], Element::ObservedAt(Some(at)) if at <= message.sent_at.unwrap()), "{elements:?}");
        let numbers: Vec<_> = elements[2..]
            .iter()
            .map(|element| match element {
                Element::Number { id, value, .. } => (*id, *value),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(numbers, expected);
        assert_eq!(message.build().unwrap(), frame);

        // The samples' centre repeats the station's time.
        let acknowledgement = message.acknowledgement(true, message.sent_at.unwrap()).unwrap();
        assert_eq!(acknowledgement.build().unwrap(), bytes(answer));
        let mut decoder = Decoder::new();
        let answer = bytes(answer);
        assert_eq!(first(&mut decoder, &answer).unwrap(), acknowledgement, "a downlink names the station first");
    }
}

#[test]
fn acknowledgements_end_as_the_uplink_asks() {
    let at = "2026-07-01T01:00:09Z".parse().unwrap();
    let end = |end, packet: Option<(u16, u16)>, stay| {
        let packet = packet.map(|(total, number)| PacketNumber { total, number });
        Message { end, packet, ..report(&[]) }.acknowledgement(stay, at).map(|answer| answer.end)
    };
    assert_eq!(end(End::Etx, None, true), Some(End::Esc));
    assert_eq!(end(End::Etx, None, false), Some(End::Eot));
    assert_eq!(end(End::Etb, None, true), Some(End::Ack));
    assert_eq!(end(End::Etb, Some((3, 1)), true), None);
    assert_eq!(end(End::Etx, Some((3, 3)), false), Some(End::Eot));
    assert_eq!(Message { direction: Direction::Down, ..report(&[]) }.acknowledgement(true, at), None);
}

#[test]
fn only_the_first_of_several_packets_carries_serial_number_and_time() {
    let first_packet =
        Message { packet: Some(PacketNumber { total: 43, number: 1 }), end: End::Etb, ..report(b"\x01\x02") };
    let frame = first_packet.build().unwrap();
    assert_eq!(frame[13..17], [SYN, 0x02, 0xB0, 0x01]);
    assert_eq!(first(&mut Decoder::new(), &frame).unwrap(), first_packet);

    let later = Message {
        packet: Some(PacketNumber { total: 43, number: 2 }),
        serial: None,
        sent_at: None,
        end: End::Etb,
        ..report(b"\x20\x19\x00\x00\x05")
    };
    let frame = later.build().unwrap();
    let mut decoder = Decoder::new();
    let message = first(&mut decoder, &frame).unwrap();
    assert_eq!(message, later);
    assert_eq!(message.elements().count(), 0, "a later packet may begin inside an element");
}

#[test]
fn numbers_have_signs_decimals_and_absence() {
    let read = |hex: &str, decimals| bcd_number(&bytes(hex), decimals);
    assert_eq!(read("00000127", 3), Ok(Some(0.127)));
    assert_eq!(read("FF000345", 3), Ok(Some(-0.345)));
    assert_eq!(read("FF05", 1), Ok(Some(-0.5)));
    assert_eq!(read("1115", 2), Ok(Some(11.15)));
    for absent in ["FFFF", "FF", "AAAAAA", ""] {
        assert_eq!(read(absent, 1), Ok(None), "{absent}");
    }
    assert_eq!(read("001A", 0), Err(NotDigits { index: 1, found: 0x1A }));
    assert_eq!(read("FF00FF", 0), Err(NotDigits { index: 2, found: 0xFF }));
    assert_eq!(read("AA01", 0), Err(NotDigits { index: 0, found: 0xAA }));
    assert!(read(&"99".repeat(11), 0).is_err(), "more digits than 64 bits hold");
    assert_eq!(read(&format!("{}0123", "00".repeat(20)), 2), Ok(Some(1.23)));
}

#[test]
fn hourly_series_have_twelve_values_and_gaps() {
    let rain = [&[0xF4u8, 0x60][..], &[0, 5, 0xFF, 254, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    let mut expected = [Some(0.0); 12];
    (expected[1], expected[2], expected[3], expected[11]) = (Some(0.5), None, Some(25.4), Some(0.1));
    let message = report(&rain);
    assert_eq!(message.elements().next(), Some(Ok(Element::RainByFiveMinutes(expected))));

    let mut level = vec![0xF6u8, 0xC0];
    level.extend([0x04, 0xD2].repeat(11));
    level.extend([0xFF, 0xFF]);
    let mut metres = [Some(12.34); 12];
    metres[11] = None;
    let message = report(&level);
    assert_eq!(message.elements().next(), Some(Ok(Element::LevelByFiveMinutes { gauge: 2, metres })));
}

#[test]
fn what_is_not_read_is_kept_as_sent_and_passed_over_by_length() {
    let content = bytes("45200000004004180000057A080138121115FF0411123438121116");
    let message = report(&content);
    let read: Vec<_> = message.elements().collect::<Result<_, _>>().unwrap();
    assert_eq!(
        read,
        [
            Element::Bytes { id: 0x45, data: &[0, 0, 0, 0x40] },
            Element::Bytes { id: 0x04, data: &[0, 0, 5] },
            Element::Number { id: 0x7A, value: Some(1.0), decimals: 0 },
            Element::Number { id: 0x38, value: Some(11.15), decimals: 2 },
            Element::Custom { id: 0x04, decimals: 1, data: &[0x12, 0x34] },
            Element::Number { id: 0x38, value: Some(11.16), decimals: 2 },
        ]
    );
    let picture = bytes("F3F3FFD8FFE1");
    let message = report(&picture);
    assert_eq!(message.elements().next(), Some(Ok(Element::Bytes { id: 0xF3, data: &[0xFF, 0xD8, 0xFF, 0xE1] })));
}

#[test]
fn a_bad_number_spoils_itself_only() {
    let content = bytes("39230000012A38121115");
    let read = elements(&content);
    let reason = NotDigits { index: 3, found: 0x2A };
    assert_eq!(read[0], Err(DecodeError::Digits { id: 0x39, offset: 0, reason }));
    assert_eq!(values(&content), [(0x38, Some(11.15))]);
}

#[test]
fn a_lying_definition_ends_the_reading() {
    // A maker's hourly report that declares 11 bytes where the standard has 24: what follows is anyone's guess.
    let content = [bytes("38121115F55C"), vec![0x0A; 24]].concat();
    let read = elements(&content);
    assert_eq!(read.len(), 2);
    let expected = DecodeError::Definition { id: 0xF5, offset: 4, expected: "a length of 24", found: 0x5C };
    assert_eq!(read[1], Err(expected));

    let read = elements(&bytes("392300"));
    assert_eq!(read, [Err(DecodeError::Truncated { offset: 0, needed: 6, found: 3 })]);
    let read = elements(&bytes("39"));
    assert_eq!(read, [Err(DecodeError::Truncated { offset: 0, needed: 2, found: 1 })]);
    let read = elements(&bytes("F1F100"));
    assert_eq!(read, [Err(DecodeError::Truncated { offset: 0, needed: 8, found: 3 })]);
}

#[test]
fn a_broken_clock_does_not_lose_the_water_level() {
    let mut frame = bytes(TEST);
    frame[17] = 0x13; // the thirteenth month
    let end = frame.len() - 2;
    let sum = crc::modbus(&frame[..end]).to_be_bytes();
    frame[end..].copy_from_slice(&sum);
    let mut decoder = Decoder::new();
    let message = first(&mut decoder, &frame).unwrap();
    assert_eq!(message.sent_at, None);
    assert_eq!(message.elements().filter(Result::is_ok).count(), 6);
}

#[test]
fn errors_name_what_is_wrong() {
    assert_eq!(error(b"hello"), DecodeError::Noise { bytes: 5 });
    let with = |at: usize, byte: u8| {
        let mut frame = bytes(LINK_KEEP);
        frame[at] = byte;
        error(&frame)
    };
    assert_eq!(with(11, 0x40), DecodeError::Direction { found: 0x40 });
    assert_eq!(with(13, 0x01), DecodeError::Start { found: 0x01 });
    assert_eq!(with(22, 0x01), DecodeError::End { offset: 22, found: 0x01 });
    assert!(matches!(with(24, 0xCB), DecodeError::Crc { found: 0x6BCB, expected: 0x6BCA }));
    let short = Message { serial: None, sent_at: None, ..report(&[1, 2, 3]) };
    assert_eq!(error(&short.build().unwrap()), DecodeError::Short { needed: 8, found: 3 });
}

#[test]
fn what_cannot_be_sent_is_not_built() {
    let long = vec![0; MAX_BODY];
    assert_eq!(report(&long).build(), Err(BuildError::TooLong { length: MAX_BODY + 8 }));
    let fits = vec![0; MAX_BODY - 8];
    assert_eq!(report(&fits).build().unwrap().len(), Sl651::MAX_FRAME);
    let at = "2100-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(Message { sent_at: Some(at), ..report(&[]) }.build(), Err(BuildError::Year { at }));
}

#[test]
fn frames_are_found_wherever_the_stream_is_cut() {
    let stream = [LINK_KEEP, TEST, TEST_ANSWER, SCHEDULED, SCHEDULED_ANSWER].map(bytes).concat();
    mutation::pieces_do_not_matter::<Sl651>(&stream);
}

#[test]
fn after_garbage_the_next_frame_is_found() {
    let truncated = bytes(TEST)[..40].to_vec();
    let mut corrupted = bytes(TEST);
    corrupted[40] ^= 1;
    let mut lying = bytes(TEST);
    lying[12] = 0x2A;
    let garbage = [b"\r\n".to_vec(), vec![0x7E], vec![0x7E; 3], vec![0x7E; 30], vec![0; 5000], corrupted, lying];
    for noise in garbage {
        let stream = [noise.clone(), bytes(LINK_KEEP), bytes(SCHEDULED)].concat();
        let events = mutation::events::<Sl651>(&[&stream]);
        assert_eq!(events.iter().filter(|event| event.starts_with("Message")).count(), 2, "{noise:02X?}: {events:?}");
    }
    // The end of a frame is lost: its length reaches into the next frames, which are found all the same.
    let stream = [truncated, bytes(LINK_KEEP), bytes(SCHEDULED)].concat();
    let events = mutation::events::<Sl651>(&[&stream]);
    assert_eq!(events.iter().filter(|event| event.starts_with("Message")).count(), 2, "{events:?}");
}

impl mutation::Exercise for Sl651 {
    fn seeds() -> Vec<Vec<u8>> {
        let mut seeds: Vec<_> = [LINK_KEEP, TEST, TEST_ANSWER, SCHEDULED].map(bytes).to_vec();
        let series =
            [bytes("F0F02607010905F460"), vec![3; 12], bytes("F5C0"), vec![4; 24], bytes("26190000403812FF15")]
                .concat();
        seeds.push(report(&series).build().unwrap());
        let packet = Some(PacketNumber { total: 2, number: 2 });
        seeds.push(Message { packet, serial: None, sent_at: None, ..report(&series) }.build().unwrap());
        seeds
    }

    fn seal(frame: &mut Vec<u8>) {
        frame.resize(frame.len().clamp(HEADER + TRAILER, Self::MAX_FRAME), 0);
        let body = frame.len() - HEADER - TRAILER;
        frame[..2].copy_from_slice(&MARKER);
        frame[11] = (frame[11] & 0x80) | (body >> 8) as u8;
        frame[12] = body as u8;
        frame[13] = if frame[13] == SYN { SYN } else { STX };
        let end = frame.len() - TRAILER;
        if End::from_byte(frame[end]).is_none() {
            frame[end] = 0x03;
        }
        let sum = crc::modbus(&frame[..=end]).to_be_bytes();
        frame[end + 1..].copy_from_slice(&sum);
    }

    fn exercise(message: Message<'_>) {
        let elements = message.elements().inspect(|element| match element {
            Ok(Element::Number { value, .. }) => assert!(value.is_none_or(f64::is_finite)),
            Ok(_) => (),
            Err(error) => assert!(!error.to_string().is_empty()),
        });
        assert!(elements.count() <= MAX_BODY);
        let at = "2026-07-01T01:00:09Z".parse().unwrap();
        if let Some(answer) = message.acknowledgement(true, at) {
            assert!(answer.build().is_ok());
        }
    }
}

#[test]
fn mutated_frames_never_panic_nor_grow_the_decoder() {
    mutation::survive::<Sl651>();
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(
        up in any::<bool>(),
        centre in any::<u8>(),
        station in any::<[u8; 5]>(),
        password in any::<u16>(),
        function in any::<u8>(),
        packet in prop::option::of((1u16..4096, 1u16..4096)),
        serial in any::<u16>(),
        seconds in prop::option::of(946_656_000i64..4_102_416_000),
        content in prop::collection::vec(any::<u8>(), 0..2000),
        end in prop::sample::select(vec![End::Etx, End::Etb, End::Enq, End::Eot, End::Ack, End::Nak, End::Esc]),
    ) {
        let packet = packet.map(|(total, number)| PacketNumber { total, number });
        let heads = packet.is_none_or(|packet| packet.number == 1);
        let message = Message {
            direction: if up { Direction::Up } else { Direction::Down },
            centre,
            station: Station(station),
            password,
            function: Function::from_byte(function),
            packet,
            serial: heads.then_some(serial),
            sent_at: seconds.filter(|_| heads).map(|seconds| Timestamp::from_second(seconds).unwrap()),
            content: &content,
            end,
        };
        let frame = message.build().unwrap();
        let mut decoder = Decoder::new();
        prop_assert_eq!(first(&mut decoder, &frame).unwrap(), message);
    }

    #[test]
    fn numbers_are_read_back(scaled in -99_999_999i64..=99_999_999, decimals in 0u8..8) {
        let digits = format!("{:08}", scaled.abs());
        let data = bytes(&if scaled < 0 { format!("FF{digits}") } else { digits });
        let value = bcd_number(&data, decimals).unwrap().unwrap();
        let back = (value * 10f64.powi(i32::from(decimals))).round();
        prop_assert_eq!(back, scaled as f64);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let _ = mutation::events::<Sl651>(&[&bytes]);
    }
}
