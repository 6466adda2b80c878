use proptest::prelude::*;

use super::*;
use crate::sensor::codec::mutation;

const SET_INTERVAL: &str = "##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n";

fn frame(data: &str) -> Vec<u8> {
    format!("##{:04}{data}{:04X}\r\n", data.len(), crc::hj212(data.as_bytes())).into_bytes()
}

fn upload() -> Vec<u8> {
    frame(
        "QN=20160801085000001;ST=32;CN=2051;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20160801084000;\
         w00000-Cou=96,w00000-Min=0.09,w00000-Avg=0.10,w00000-Max=0.12,w00000-Flag=N;\
         w01018-Rtd=-1.5,w01018-ZsRtd=2,w01018-Flag=T,w01018-SampleTime=20160801083000;w21003-Rtd=---,w21003-Flag=D&&",
    )
}

fn one(bytes: &[u8]) -> String {
    let events = mutation::events::<Hj212>(&[bytes]);
    assert_eq!(events.len(), 1, "{events:?}");
    events.into_iter().next().unwrap()
}

/// The first event, which is an error.
fn error(bytes: &[u8]) -> DecodeError {
    let mut decoder = Decoder::new();
    let mut input = bytes;
    decoder.next_frame(&mut input).unwrap().unwrap_err()
}

#[test]
fn the_standards_example_is_read_and_built_byte_for_byte() {
    let mut decoder = Decoder::new();
    let mut input = SET_INTERVAL.as_bytes();
    let packet = decoder.next_frame(&mut input).unwrap().unwrap();
    assert_eq!(packet.qn, Some("20160801085857223"));
    assert_eq!((packet.st, packet.cn, packet.pw), ("32", 1062, Some("100000")));
    assert_eq!(packet.mn, "010000A8900016F000169DC0");
    assert_eq!((packet.flag.answer_wanted(), packet.flag.split(), packet.flag.version()), (true, false, 1));
    assert_eq!(packet.fields().collect::<Vec<_>>(), [("RtdInterval", "30")]);
    assert_eq!(packet.request_time(), Some("2016-08-01T00:58:57.223Z".parse().unwrap()));
    assert_eq!(packet.build().unwrap(), SET_INTERVAL.as_bytes());
    assert!(decoder.next_frame(&mut input).is_none());
    assert_eq!(decoder.held(), 0);
}

#[test]
fn an_upload_gives_its_factors_with_marks_and_times() {
    let bytes = upload();
    let mut decoder = Decoder::new();
    let packet = decoder.next_frame(&mut bytes.as_slice()).unwrap().unwrap();
    assert_eq!(packet.data_time().unwrap(), Some("2016-08-01T00:40:00Z".parse().unwrap()));
    let factors = packet.factors();
    let [flow, demand, ammonia] = factors.as_slice() else { panic!("{factors:?}") };

    assert_eq!(flow.code, "w00000");
    assert_eq!((flow.cumulated, flow.minimum), (Some(96.0), Some(0.09)));
    assert_eq!((flow.average, flow.maximum, flow.real_time), (Some(0.10), Some(0.12), None));
    assert_eq!(flow.mark.map(Mark::trust), Some(Trust::Good));

    assert_eq!((demand.code, demand.real_time), ("w01018", Some(-1.5)));
    assert_eq!(demand.mark, Some(Mark::OverRange));
    assert_eq!(demand.mark.map(Mark::trust), Some(Trust::OutOfRange));
    assert_eq!(demand.sample_time, Some("2016-08-01T00:30:00Z".parse().unwrap()));
    assert_eq!(demand.other, [("ZsRtd", "2")]);

    // What is no number is kept as sent, never taken for a measurement.
    assert_eq!((ammonia.code, ammonia.real_time), ("w21003", None));
    assert_eq!(ammonia.other, [("Rtd", "---")]);
    assert_eq!(ammonia.mark.map(Mark::trust), Some(Trust::Error));
}

#[test]
fn numbers_that_are_none_are_not_read() {
    for text in ["NaN", "inf", "-infinity", "1e999", "", "0x10", "1,5"] {
        assert_eq!(finite(text), None, "{text:?}");
    }
    assert_eq!(finite(" 2.50 "), Some(2.5));
}

#[test]
fn the_flag_decides_which_answer_is_sent() {
    let bytes = upload();
    let mut decoder = Decoder::new();
    let packet = decoder.next_frame(&mut bytes.as_slice()).unwrap().unwrap();
    let receipt = packet.wanted_answer().unwrap().build().unwrap();
    let expected = frame("QN=20160801085000001;ST=91;CN=9014;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&");
    assert_eq!(receipt, expected);
    let accepted = packet.answer(Answer::Request).build().unwrap();
    assert_eq!(
        accepted,
        frame("QN=20160801085000001;ST=91;CN=9011;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&QnRtn=1&&")
    );

    let with = |cn, flag| Packet { cn, flag: Flag(flag), ..packet.clone() };
    assert_eq!(with(2011, 4).wanted_answer(), None);
    assert_eq!(with(1013, 5).wanted_answer().map(|answer| answer.cn), Some(9013));
    for answer in 9011..=9014 {
        assert_eq!(with(answer, 5).wanted_answer(), None, "an answer is not answered");
    }
}

#[test]
fn a_split_packet_says_which_part_it_is() {
    let head = "QN=20160801085000001;ST=32;CN=2011;PW=1;MN=2;Flag=7;";
    let part = frame(&format!("{head}PNUM=3;PNO=2;CP=&&a-Rtd=1&&"));
    let mut decoder = Decoder::new();
    let packet = decoder.next_frame(&mut part.as_slice()).unwrap().unwrap();
    assert!(packet.flag.split());
    assert_eq!(packet.split, Some(Split { total: 3, number: 2 }));
    assert_eq!(packet.build().unwrap(), part);
    for beyond in ["PNUM=3;PNO=4", "PNUM=3;PNO=0"] {
        let bytes = frame(&format!("{head}{beyond};CP=&&&&"));
        assert!(matches!(error(&bytes), DecodeError::Value { key: "PNO", .. }), "{beyond}");
    }
}

#[test]
fn packets_of_the_first_edition_need_neither_number_nor_flag() {
    let bytes = frame("ST=32;CN=2011;PW=123456;MN=88888880000001;CP=&&DataTime=20040506010101;B01-Rtd=36.5&&");
    let mut decoder = Decoder::new();
    let packet = decoder.next_frame(&mut bytes.as_slice()).unwrap().unwrap();
    assert_eq!((packet.qn, packet.flag, packet.wanted_answer()), (None, Flag(0), None));
    assert_eq!(packet.factors().first().map(|factor| factor.real_time), Some(Some(36.5)));
}

#[test]
fn errors_name_what_is_wrong() {
    assert_eq!(error(b"hello"), DecodeError::Noise { bytes: 5 });
    assert_eq!(error(b"##01x1QN"), DecodeError::Length { found: "01x1".into() });
    assert_eq!(error(b"##1025QN"), DecodeError::Length { found: "1025".into() });
    assert_eq!(error(b"##0002ab12G4\r\n"), DecodeError::Trailer { offset: 8, found: "12G4\\r\\n".into() });
    let wrong = SET_INTERVAL.replace("1C80", "1C81");
    assert_eq!(error(wrong.as_bytes()), DecodeError::Crc { found: 0x1C81, expected: 0x1C80 });
    assert_eq!(error(&frame("ST=32;CN=2011;PW=1;CP=&&&&")), DecodeError::Missing { key: "MN" });
    assert_eq!(error(&frame("ST=32;PW=1;MN=2;CP=&&&&")), DecodeError::Missing { key: "CN" });
    assert_eq!(error(&frame("ST=32;CN=2011;MN=2;CP=&&a-Rtd=1")), DecodeError::Unclosed);
    assert!(matches!(error(&frame("ST=32;CN=+2011;MN=2;CP=&&&&")), DecodeError::Value { key: "CN", .. }));
    assert!(matches!(error(&frame("ST=32;CN=2011;MN=2;Flag=256;CP=&&&&")), DecodeError::Value { key: "Flag", .. }));
    let mut bytes = frame("ST=32;CN=2011;MN=2?;CP=&&&&");
    bytes[24] = 0xFF;
    let end = bytes.len() - TRAILER;
    let sum = format!("{:04X}", crc::hj212(&bytes[HEADER..end]));
    bytes[end..end + 4].copy_from_slice(sum.as_bytes());
    assert_eq!(error(&bytes), DecodeError::NotText { offset: 24 });
}

#[test]
fn the_checksum_may_be_sent_in_small_letters() {
    let small = SET_INTERVAL.replace("1C80", "1c80");
    assert!(one(small.as_bytes()).contains("cn: 1062"));
}

#[test]
fn too_long_a_packet_is_not_built() {
    let cp = "x".repeat(MAX_DATA);
    let packet = Packet { qn: None, st: "32", cn: 2011, pw: None, mn: "1", flag: Flag(4), split: None, cp: &cp };
    assert!(matches!(packet.build(), Err(BuildError::TooLong { length }) if length > MAX_DATA));
}

#[test]
fn frames_are_found_wherever_the_stream_is_cut() {
    let stream = [SET_INTERVAL.as_bytes(), &upload(), SET_INTERVAL.as_bytes()].concat();
    mutation::pieces_do_not_matter::<Hj212>(&stream);
}

#[test]
fn after_garbage_the_next_frame_is_found() {
    let garbage: [&[u8]; 7] =
        [b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"#", b"##", b"##9999", b"##0004abcdefghij", &[0xFF; 3000]];
    for noise in garbage {
        let stream = [noise, SET_INTERVAL.as_bytes(), &upload()].concat();
        let frames = mutation::events::<Hj212>(&[&stream]).into_iter().filter(|event| event.starts_with("Packet"));
        assert_eq!(frames.count(), 2, "after {:?}", noise.escape_ascii().to_string());
    }
    // A false start that announces a long frame is seen through once that many bytes have come.
    let stream = [b"##1024".as_slice(), &SET_INTERVAL.as_bytes().repeat(20)].concat();
    let frames = mutation::events::<Hj212>(&[&stream]).into_iter().filter(|event| event.starts_with("Packet"));
    assert_eq!(frames.count(), 20);
}

impl mutation::Exercise for Hj212 {
    fn seeds() -> Vec<Vec<u8>> {
        let part = frame("QN=20160801085000001;ST=32;CN=2011;PW=1;MN=2;Flag=7;PNUM=2;PNO=1;CP=&&a-Rtd=1;b-Rtd=2.5&&");
        vec![SET_INTERVAL.as_bytes().to_vec(), upload(), part]
    }

    fn seal(bytes: &mut Vec<u8>) {
        let data = bytes.get(HEADER..bytes.len().saturating_sub(TRAILER)).unwrap_or_default();
        let data = data[..data.len().min(MAX_DATA)].to_vec();
        *bytes = format!("##{:04}", data.len()).into_bytes();
        bytes.extend_from_slice(&data);
        bytes.extend_from_slice(format!("{:04X}\r\n", crc::hj212(&data)).as_bytes());
    }

    fn exercise(packet: Packet<'_>) {
        let _ = packet.data_time();
        let _ = packet.request_time();
        for factor in packet.factors() {
            for value in [factor.real_time, factor.average, factor.minimum, factor.maximum, factor.cumulated] {
                assert!(value.is_none_or(f64::is_finite));
            }
            let _ = factor.mark.map(Mark::trust);
        }
        if let Some(Ok(answer)) = packet.wanted_answer().map(|answer| answer.build()) {
            assert!(answer.len() <= Hj212::MAX_FRAME);
        }
    }
}

#[test]
fn mutated_frames_never_panic_nor_grow_the_decoder() {
    mutation::survive::<Hj212>();
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(
        qn in prop::option::of("[0-9]{17}"),
        st in "[0-9]{2}",
        cn in 0u16..10_000,
        pw in prop::option::of("[0-9a-zA-Z]{1,9}"),
        mn in "[0-9A-F]{14,24}",
        flag in any::<u8>(),
        split in prop::option::of((1u16..10_000).prop_flat_map(|total| (Just(total), 1..=total))),
        cp in "([a-w][0-9]{5}-(Rtd|Avg|Flag)=[0-9NFMSDCTB.]{1,6}[;,]){0,20}",
    ) {
        let split = split.map(|(total, number)| Split { total, number });
        let packet =
            Packet { qn: qn.as_deref(), st: &st, cn, pw: pw.as_deref(), mn: &mn, flag: Flag(flag), split, cp: &cp };
        let bytes = packet.build().unwrap();
        let mut decoder = Decoder::new();
        let read = decoder.next_frame(&mut bytes.as_slice()).unwrap().unwrap();
        prop_assert_eq!(read, packet);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = mutation::events::<Hj212>(&[&bytes]);
    }
}
