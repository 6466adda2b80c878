use proptest::prelude::*;

use super::*;
use crate::sensor::codec::mutation;

const VERSION: &str = "404000000101011E16080C15800D00000000000000000000040002190101000E2323";
/// A component in fire, as a device sends it.
const FIRE: &str = "404000000101180D11160A14000000000000060504030201300002\
                    0201010300D90006000200A3C1C7F8A3B1B2E3DFC8B2B8D7DFC0C8\
                    000000000000000000000000000000301213010814682323";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The first event of a stream, borrowed from its decoder.
fn first<'a>(decoder: &'a mut Decoder, stream: &[u8]) -> Result<Frame<'a>, DecodeError> {
    let mut input = stream;
    decoder.next_frame(&mut input).unwrap()
}

fn error(stream: &[u8]) -> DecodeError {
    first(&mut Decoder::new(), stream).unwrap_err()
}

fn report(data: &[u8]) -> Frame<'_> {
    Frame {
        serial: 0x0102,
        version: Version { main: 1, user: 3 },
        sent_at: Some("2026-07-01T01:00:08Z".parse().unwrap()),
        source: Address([1, 2, 3, 4, 5, 6]),
        destination: Address([9, 0, 0, 0, 0, 0]),
        command: Command::Send,
        data,
    }
}

/// The one entry of a report.
fn entry(data: &[u8]) -> Entry<'_> {
    let mut entries = report(data).entries().unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn system_state(low: u8, high: u8) -> SystemState {
    match entry(&[1, 1, 1, 7, low, high, 1, 30, 22, 8, 12, 21]).object {
        Object::SystemState { system, state } => {
            assert_eq!(system, System { kind: 1, address: 7 });
            state
        }
        other => panic!("{other:?}"),
    }
}

fn component_state(low: u8, high: u8) -> ComponentState {
    let data = [&[2, 1, 1, 7, 42, 1, 0, 2, 0, low, high][..], &[0; 31], &[1, 30, 22, 8, 12, 21]].concat();
    match entry(&data).object {
        Object::ComponentState { component, state, description, .. } => {
            assert_eq!(component, Component { kind: 42, address: 0x0002_0001 });
            assert_eq!(description, b"");
            state
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_checked_vector_is_read_and_built_byte_for_byte() {
    let stream = bytes(VERSION);
    let mut decoder = Decoder::new();
    let frame = first(&mut decoder, &stream).unwrap();
    assert_eq!((frame.serial, frame.version), (0, Version { main: 1, user: 1 }));
    assert_eq!(frame.sent_at, Some("2021-12-08T14:30:01Z".parse().unwrap()));
    assert_eq!(frame.source.to_string(), "000000000D80");
    assert_eq!(frame.destination, Address([0; 6]));
    assert_eq!(frame.command, Command::Send);
    let entries = frame.entries().unwrap();
    assert_eq!(entries, [Entry { object: Object::DeviceVersion { major: 1, minor: 0 }, at: None }]);
    assert_eq!(frame.build().unwrap(), stream);
}

#[test]
fn a_fire_is_a_fire() {
    let stream = bytes(FIRE);
    let mut decoder = Decoder::new();
    let frame = first(&mut decoder, &stream).unwrap();
    assert_eq!(frame.destination.to_string(), "010203040506");
    let entries = frame.entries().unwrap();
    let [Entry { object, at }] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(*at, Some("2020-08-01T11:18:48Z".parse().unwrap()));
    let Object::ComponentState { system, component, state, description } = *object else { panic!("{object:?}") };
    assert_eq!((system.kind, system_name(system.kind)), (1, Some("fire alarm system")));
    assert_eq!((system.address, component.address), (3, 0x0006_00D9));
    assert!(state.fire(), "{state:?}");
    assert_eq!(state.names().collect::<Vec<_>>(), ["fire"]);
    assert_eq!(description, bytes("A3C1C7F8A3B1B2E3DFC8B2B8D7DFC0C8"));
    assert_eq!(frame.build().unwrap(), stream);
}

/// Read with the bytes the other way round, a fire is a backup power fault and a main power fault is "normal".
#[test]
fn the_low_byte_of_a_state_comes_first() {
    assert!(system_state(0x02, 0x00).fire());
    assert!(!system_state(0x00, 0x02).fire());
    assert_eq!(system_state(0x00, 0x02).names().collect::<Vec<_>>(), ["backup_power_fault"]);
    assert_eq!(system_state(0x00, 0x01).names().collect::<Vec<_>>(), ["main_power_fault"]);
    assert_eq!(system_state(0x01, 0x00).names().collect::<Vec<_>>(), ["normal_operation"]);
    assert_eq!(system_state(0x0E, 0x20).names().collect::<Vec<_>>(), ["fire", "fault", "shielded", "reset"]);
    assert_eq!(system_state(0x00, 0xC0).names().count(), 0, "reserved bits say nothing");

    assert!(component_state(0x02, 0x00).fire());
    assert!(!component_state(0x00, 0x02).fire());
    assert_eq!(component_state(0x04, 0x01).names().collect::<Vec<_>>(), ["fault", "power_fault"]);
}

#[test]
fn analogue_values_are_signed_and_scaled() {
    let analogue = |kind: u8, raw: i16| {
        let [low, high] = raw.to_le_bytes();
        match entry(&[3, 1, 1, 7, 31, 1, 0, 2, 0, kind, low, high, 1, 30, 22, 8, 12, 21]).object {
            Object::ComponentAnalogue { analogue, .. } => analogue.quantity(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(analogue(3, 215), Some(("temperature", 21.5, "Cel")));
    assert_eq!(analogue(3, -40), Some(("temperature", -4.0, "Cel")));
    assert_eq!(analogue(2, 127), Some(("height", 1.27, "m")));
    assert_eq!(analogue(12, 3), Some(("wind speed", 3.0, "m/s")));
    assert_eq!(analogue(0, 3), None);
    assert_eq!(analogue(200, 3), None);
}

#[test]
fn operations_and_the_devices_own_reports_are_read() {
    let at = Some("2021-12-08T14:30:01Z".parse().unwrap());
    let read = |data: &[u8]| {
        let data = [data, &[1, 30, 22, 8, 12, 21]].concat();
        let entry = entry(&data);
        assert_eq!(entry.at, at);
        format!("{:?}", entry.object)
    };
    let system = System { kind: 1, address: 7 };
    let expected = Object::SystemOperation { system, operation: Operation(0x24), operator: 9 };
    assert_eq!(read(&[4, 1, 1, 7, 0x24, 9]), format!("{expected:?}"));
    assert_eq!(Operation(0x24).names().collect::<Vec<_>>(), ["manual_alarm", "acknowledged"]);
    assert_eq!(read(&[8, 1, 1, 7]), format!("{:?}", Object::SystemTime { system }));
    assert_eq!(read(&[21, 1, 0x22]), format!("{:?}", Object::DeviceState(DeviceState(0x22))));
    assert_eq!(DeviceState(0x22).names().collect::<Vec<_>>(), ["fire", "channel_fault"]);
    let expected = Object::DeviceOperation { operation: DeviceOperation(0x20), operator: 1 };
    assert_eq!(read(&[24, 1, 0x20, 1]), format!("{expected:?}"));
    assert_eq!(DeviceOperation(0x20).names().collect::<Vec<_>>(), ["duty_answered"]);
    assert_eq!(read(&[28, 1]), format!("{:?}", Object::DeviceTime));
}

#[test]
fn several_objects_come_with_or_without_their_times() {
    let timed = [&[21u8, 2][..], &[0x02, 1, 30, 22, 8, 12, 21], &[0x04, 2, 30, 22, 8, 12, 21]].concat();
    let frame = report(&timed);
    let entries = frame.entries().unwrap();
    let states: Vec<_> = entries.iter().map(|entry| entry.object.clone()).collect();
    assert_eq!(states, [Object::DeviceState(DeviceState(2)), Object::DeviceState(DeviceState(4))]);
    assert!(entries.iter().all(|entry| entry.at.is_some()));

    let frame = report(&[21, 2, 0x02, 0x04]);
    let entries = frame.entries().unwrap();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.at.is_none()));

    assert_eq!(report(&[21, 0]).entries(), Ok(vec![]));
    assert_eq!(report(&[]).entries(), Ok(vec![]));
}

#[test]
fn objects_that_do_not_fill_the_data_are_not_guessed() {
    let expected = DecodeError::Objects { type_flag: 1, count: 2, expected: 20, found: 10 };
    assert_eq!(report(&[1, 2, 1, 7, 2, 0, 1, 30, 22, 8, 12, 21]).entries(), Err(expected));
    assert_eq!(report(&[1]).entries(), Err(DecodeError::Unit { found: 1 }));
    assert!(report(&[28, 1]).entries().is_err());
}

#[test]
fn types_that_are_not_read_are_kept_as_sent() {
    for type_flag in [5, 6, 7, 26, 128, 255] {
        let data = [type_flag, 3, 1, 2, 3, 4, 5];
        let expected = Object::Raw { type_flag, count: 3, bytes: &[1, 2, 3, 4, 5] };
        assert_eq!(entry(&data), Entry { object: expected, at: None });
    }
    // What a centre sends holds no objects.
    let request = Frame { command: Command::Request, ..report(&[61, 1, 1, 7]) };
    assert_eq!(request.entries(), Ok(vec![]));
}

#[test]
fn a_report_is_confirmed_or_denied() {
    let stream = bytes(VERSION);
    let mut decoder = Decoder::new();
    let frame = first(&mut decoder, &stream).unwrap();
    assert!(frame.wants_confirmation());
    let at = "2021-12-08T14:30:02Z".parse().unwrap();
    let confirmation = frame.confirmation(at);
    // Addresses change places, serial number and version stay, no data: 01+01 + 02+1E+16+08+0C+15 + 80+0D + 03 = F1.
    assert_eq!(confirmation.build().unwrap(), bytes("404000000101021E16080C15000000000000800D00000000000003F12323"));
    assert!(!confirmation.wants_confirmation());
    assert_eq!(frame.denial(at), Frame { command: Command::Deny, ..confirmation });
}

#[test]
fn a_broken_clock_does_not_lose_the_fire() {
    let data = [1, 1, 1, 7, 2, 0, 0, 0, 0, 0, 0, 0];
    let silent = Frame { sent_at: None, ..report(&data) };
    let stream = silent.build().unwrap();
    let mut decoder = Decoder::new();
    let frame = first(&mut decoder, &stream).unwrap();
    assert_eq!((frame.sent_at, frame.entries().unwrap().first().map(|entry| entry.at)), (None, Some(None)));
    let expected = Object::SystemState { system: System { kind: 1, address: 7 }, state: SystemState(2) };
    assert_eq!(frame.entries().unwrap().first().map(|entry| entry.object.clone()), Some(expected));
}

#[test]
fn errors_name_what_is_wrong() {
    assert_eq!(error(b"hello"), DecodeError::Noise { bytes: 5 });
    let with = |at: usize, byte: u8| {
        let mut stream = bytes(VERSION);
        stream[at] = byte;
        error(&stream)
    };
    assert_eq!(with(25, 0x05), DecodeError::Length { found: 0x0504 });
    assert_eq!(with(32, b'!'), DecodeError::End { offset: 32, found: *b"!#" });
    assert_eq!(with(31, 0x0F), DecodeError::Checksum { found: 0x0F, expected: 0x0E });
    assert_eq!(with(27, 0x1A), DecodeError::Checksum { found: 0x0E, expected: 0x0F });
    assert_eq!(Gbt26875::parse(b"@@"), Err(DecodeError::Short { found: 2 }));
}

#[test]
fn what_cannot_be_sent_is_not_built() {
    let long = vec![0; MAX_DATA + 1];
    assert_eq!(report(&long).build(), Err(BuildError::TooLong { length: MAX_DATA + 1 }));
    let fits = vec![0; MAX_DATA];
    assert_eq!(report(&fits).build().unwrap().len(), Gbt26875::MAX_FRAME);
    let at = "1999-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(Frame { sent_at: Some(at), ..report(&[]) }.build(), Err(BuildError::Year { at }));
}

#[test]
fn frames_are_found_wherever_the_stream_is_cut() {
    let stream = [bytes(VERSION), bytes(FIRE), bytes(VERSION)].concat();
    mutation::pieces_do_not_matter::<Gbt26875>(&stream);
}

#[test]
fn after_garbage_the_next_frame_is_found() {
    let mut corrupted = bytes(FIRE);
    corrupted[40] ^= 1;
    let mut lying = bytes(FIRE);
    lying[24] = 0x20;
    let truncated = bytes(FIRE)[..50].to_vec();
    let garbage =
        [b"\r\n".to_vec(), vec![b'@'], vec![b'@'; 5], vec![b'#'; 9], vec![0; 4000], corrupted, lying, truncated];
    for noise in garbage {
        let stream = [noise.clone(), bytes(VERSION), bytes(FIRE)].concat();
        // Enough follows to see through a length that lies.
        let stream = [stream, vec![0; Gbt26875::MAX_FRAME]].concat();
        let events = mutation::events::<Gbt26875>(&[&stream]);
        let frames = events.iter().filter(|event| event.starts_with("Frame"));
        assert_eq!(frames.count(), 2, "{noise:02X?}: {events:?}");
    }
}

impl mutation::Exercise for Gbt26875 {
    fn seeds() -> Vec<Vec<u8>> {
        let system = report(&[1, 2, 1, 7, 2, 0, 1, 30, 22, 8, 12, 21, 1, 8, 1, 0, 1, 30, 22, 8, 12, 21]).build();
        let analogue = report(&[3, 1, 1, 7, 31, 1, 0, 2, 0, 3, 215, 0, 1, 30, 22, 8, 12, 21]).build();
        let device = report(&[21, 1, 0x22, 1, 30, 22, 8, 12, 21]).build();
        vec![bytes(VERSION), bytes(FIRE), system.unwrap(), analogue.unwrap(), device.unwrap()]
    }

    fn seal(frame: &mut Vec<u8>) {
        frame.resize(frame.len().clamp(HEADER + TRAILER, Self::MAX_FRAME), 0);
        let end = frame.len() - TRAILER;
        frame[..2].copy_from_slice(&MARKER);
        frame[24..26].copy_from_slice(&u16::try_from(end - HEADER).unwrap().to_le_bytes());
        frame[end] = checksum(&frame[2..end]);
        frame[end + 1..].copy_from_slice(&END);
    }

    fn exercise(frame: Frame<'_>) {
        match frame.entries() {
            Ok(entries) => {
                assert!(entries.len() <= 255);
                for entry in entries {
                    match entry.object {
                        Object::SystemState { system, state } => {
                            let _ = (system_name(system.kind), state.names().count());
                        }
                        Object::ComponentState { component, state, description, .. } => {
                            let _ = (component_name(component.kind), state.names().count());
                            assert!(description.len() <= 31);
                        }
                        Object::ComponentAnalogue { analogue, .. } => {
                            assert!(analogue.quantity().is_none_or(|(_, value, _)| value.is_finite()));
                        }
                        _ => (),
                    }
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let at = "2021-12-08T14:30:02Z".parse().unwrap();
        assert_eq!(frame.confirmation(at).build().unwrap().len(), HEADER + TRAILER);
    }
}

#[test]
fn mutated_frames_never_panic_nor_grow_the_decoder() {
    mutation::survive::<Gbt26875>();
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(
        serial in any::<u16>(),
        main in any::<u8>(),
        user in any::<u8>(),
        seconds in prop::option::of(946_656_000i64..4_102_416_000),
        source in any::<[u8; 6]>(),
        destination in any::<[u8; 6]>(),
        command in any::<u8>(),
        data in prop::collection::vec(any::<u8>(), 0..=MAX_DATA),
    ) {
        let frame = Frame {
            serial,
            version: Version { main, user },
            sent_at: seconds.map(|seconds| Timestamp::from_second(seconds).unwrap()),
            source: Address(source),
            destination: Address(destination),
            command: Command::from_byte(command),
            data: &data,
        };
        let stream = frame.build().unwrap();
        let mut decoder = Decoder::new();
        prop_assert_eq!(first(&mut decoder, &stream).unwrap(), frame);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = mutation::events::<Gbt26875>(&[&bytes]);
    }
}
