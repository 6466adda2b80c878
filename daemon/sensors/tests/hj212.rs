//! HJ 212 stations over real sockets. What all three protocols share is tested here: connections, limits, ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod station_bench;

use std::{net::TcpListener, time::Duration};

use snowgate_sensors::{
    hj212::{Listen, serve},
    intake::{Device, Fault, Told},
    spec::Hj212Source,
};
use snowgate_simulators::hj212::Hj212Station;
use station_bench::{Bench, device, time};

const MN: &str = "010000A8900016F000169DC0";
const OTHER: &str = "010000A8900016F000169DC1";
const VALUES: &str = "
    [[values]]
    id = 'cod'
    unit = 'mg/L'
    factor = 'w01018'
    [[values]]
    id = 'flow'
    unit = 'L/s'
    factor = 'w00000'
    [[values]]
    id = 'cod_mean'
    unit = 'mg/L'
    factor = 'w01018'
    figure = 'Avg'
    [[values]]
    id = 'cod_hour'
    unit = 'mg/L'
    factor = 'w01018'
    figure = 'Avg'
    data = 'hour'
    [[values]]
    id = 'flow_day'
    unit = 'm3'
    factor = 'w00000'
    figure = 'Cou'
    data = 'day'
";

fn station(sensor: &str, mn: &str, password: Option<&str>) -> Device<Hj212Source> {
    device(sensor, &format!("station = '{mn}'\n{VALUES}"), password)
}

fn devices() -> Vec<Device<Hj212Source>> {
    vec![station("outfall", MN, Some("123456")), station("inlet", OTHER, None)]
}

fn bench() -> Bench {
    Bench::start(|listen, intake, shutdown| serve(listen, devices(), intake, shutdown))
}

fn bench_with(change: impl FnOnce(&mut Listen)) -> Bench {
    let mut listen = Bench::listen();
    change(&mut listen);
    Bench::start_at(listen, |listen, intake, shutdown| serve(listen, devices(), intake, shutdown))
}

/// Connects once somebody listens.
fn connect(bench: &Bench, mn: &str) -> Hj212Station {
    let began = std::time::Instant::now();
    loop {
        match Hj212Station::connect(bench.address, mn) {
            Ok(station) => return station,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(10), "{error}"),
        }
    }
}

#[test]
fn real_time_data_arrives_and_is_answered() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    station.clock = time("2016-07-01T01:00:00Z");
    let answer = station.send_realtime(&[("w01018", 12.5), ("w21003", 3.0), ("w00000", 1.25)]).unwrap();
    assert_eq!((answer.cn, answer.qn.as_str()), (9014, "20160701090000000"));
    let (sensor, samples) = bench.heard();
    assert_eq!(sensor, "outfall");
    let samples: Vec<_> =
        samples.iter().map(|(quantity, it)| (quantity.as_str(), it.value, it.measured, it.flagged)).collect();
    let at = time("2016-07-01T01:00:00Z");
    assert_eq!(samples, [("cod", 12.5, at, false), ("flow", 1.25, at, false)]);
    assert!(bench.stop().is_empty());
}

#[test]
fn figures_come_from_the_messages_that_are_told() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    let cp =
        "DataTime=20160701080000;w01018-Rtd=9,w01018-Avg=7.5,w01018-Min=1,w01018-Max=9,w01018-Flag=N;w00000-Cou=96";
    let mut heard = |cn| {
        station.send(cn, cp).unwrap();
        let samples = bench.heard().1;
        let told = |(quantity, sample): (String, snowgate_core::sensor::reading::Sample)| {
            (quantity, sample.value, sample.measured)
        };
        samples.into_iter().map(told).collect::<Vec<_>>()
    };
    let began = time("2016-07-01T00:00:00Z");
    assert_eq!(heard(2011), [("cod".to_owned(), 9.0, began)]);
    assert_eq!(heard(2051), [("cod_mean".to_owned(), 7.5, began)]);
    // An hour's data is complete, and new, at its end.
    assert_eq!(heard(2061), [("cod_hour".to_owned(), 7.5, time("2016-07-01T01:00:00Z"))]);
    assert_eq!(heard(2031), [("flow_day".to_owned(), 96.0, time("2016-07-02T00:00:00Z"))]);
    assert_eq!(heard(2081), [], "a station that says it was switched on is there");
}

#[test]
fn marks_times_and_missing_numbers_come_with_the_values() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    let cp = "DataTime=20160701080000;w01018-Rtd=999,w01018-Flag=T,w01018-SampleTime=20160701075500;w00000-Rtd=---,w00000-Flag=D";
    station.send(2011, cp).unwrap();
    let samples = bench.heard().1;
    let [(_, demand), (_, flow)] = samples.as_slice() else { panic!("{samples:?}") };
    assert!(demand.flagged && demand.measured == time("2016-06-30T23:55:00Z"));
    assert!(flow.flagged && flow.value.is_nan());

    // A broken clock does not lose the measurement.
    assert_eq!(station.send(2011, "DataTime=20161301080000;w01018-Rtd=5").unwrap().cn, 9014);
    let samples = bench.heard().1;
    assert_eq!(samples[0].1.measured, None);
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor.unwrap().as_str()), ("malformed", "outfall"));
    assert!(
        rejected.message.contains("DataTime") && rejected.message.contains("20161301080000"),
        "{}",
        rejected.message
    );
    assert!(bench.stop().is_empty(), "a sensor that measures is not faulty");
}

#[test]
fn the_parts_of_a_split_packet_share_their_time() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    let sealed = |part: &str| {
        let data = format!("QN=20160701080000001;ST=32;CN=2011;PW=123456;MN={MN};Flag=6;PNUM=2;{part}&&");
        let sum = snowgate_core::sensor::codec::crc::hj212(data.as_bytes());
        format!("##{:04}{data}{sum:04X}\r\n", data.len())
    };
    let parts = [
        sealed("PNO=1;CP=&&DataTime=20160701080000;w01018-Rtd=1"),
        sealed("PNO=2;CP=&&w00000-Rtd=2"),
        sealed("PNO=2;CP=&&w00000-Rtd=3"),
    ];
    station.line.send(parts.concat().as_bytes()).unwrap();
    let at = time("2016-07-01T00:00:00Z");
    let mut measured = || bench.heard().1[0].1.measured;
    assert_eq!([measured(), measured(), measured()], [at, at, None]);
}

#[test]
fn what_asks_for_no_answer_gets_none() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    let silent = station.packet(2011, "w01018-Rtd=1", "20160701080000000", 4).unwrap();
    let asking = station.packet(1013, "", "20160701080000001", 5).unwrap();
    station.line.send(&[silent, asking].concat()).unwrap();
    let answer = station.answer().unwrap();
    assert_eq!((answer.cn, answer.qn.as_str()), (9013, "20160701080000001"), "the first answer is that to the second");
    assert_eq!(bench.values().1.get("cod"), Some(&1.0));
    assert!(bench.heard().1.is_empty());
}

#[test]
fn frames_cut_anywhere_with_garbage_between_them_are_heard() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    let frame = station.packet(2011, "w01018-Rtd=1.5", "20160701080000000", 5).unwrap();
    for cut in (1..frame.len()).step_by(7) {
        let (front, back) = frame.split_at(cut);
        station.line.send(front).unwrap();
        std::thread::yield_now();
        station.line.send(back).unwrap();
        assert_eq!(station.answer().unwrap().cn, 9014, "cut at {cut}");
        assert_eq!(bench.values().1.get("cod"), Some(&1.5), "cut at {cut}");
    }
    let mut spoilt = frame.clone();
    spoilt[30] ^= 1;
    station.line.send(&[b"\r\nhello#", spoilt.as_slice(), b"##12ab", &frame].concat()).unwrap();
    assert_eq!(station.answer().unwrap().cn, 9014);
    let rejected = bench.rejected();
    assert_eq!((rejected.protocol, rejected.reason), ("hj212", "malformed"));
    assert_eq!(rejected.sensor.unwrap().as_str(), "outfall", "only its station speaks on this connection");
    assert!(rejected.message.contains(&station.line.address().unwrap().to_string()), "{}", rejected.message);
    assert_eq!(bench.values().1.get("cod"), Some(&1.5), "more of the same kind is not told within a second");
}

#[test]
fn a_station_that_misbehaves_is_disconnected_and_another_goes_on() {
    let mut bench = bench();
    let mut good = Hj212Station::connect(bench.address, OTHER).unwrap();
    let mut bad = Hj212Station::connect(bench.address, MN).unwrap();
    bad.send_realtime(&[("w01018", 1.0)]).unwrap();
    assert_eq!(bench.values().0, "outfall");
    bad.line.send(&b"##12ab".repeat(10_000)).unwrap();
    bad.line.wait_for_end().unwrap();
    assert_eq!(good.send_realtime(&[("w01018", 2.0)]).unwrap().cn, 9014);
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(match bench.told() {
            Told::Heard { sensor, .. } => format!("heard {sensor}"),
            Told::Rejected(rejected) => rejected.reason.to_owned(),
            Told::Fault { sensor, fault: Fault::Disconnected { .. } } => format!("lost {sensor}"),
            other => panic!("{other:?}"),
        });
    }
    told.sort();
    assert_eq!(told, ["disconnected", "heard inlet", "lost outfall", "malformed"]);
}

#[test]
fn a_stranger_and_a_wrong_password_are_refused_by_name() {
    let mut bench = bench();
    let mut stranger = Hj212Station::connect(bench.address, "STRANGER").unwrap();
    stranger.line.wait_at_most(Duration::from_millis(200)).unwrap();
    assert!(stranger.send_realtime(&[("w01018", 1.0)]).is_err(), "what is refused is not answered");
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor), ("unknown_sensor", None));
    assert!(rejected.message.contains("\"STRANGER\""), "{}", rejected.message);

    let mut wrong = Hj212Station::connect(bench.address, MN).unwrap().with_password("654321");
    for _ in 0..16 {
        let frame = wrong.packet(2011, "w01018-Rtd=1", "20160701080000000", 5).unwrap();
        wrong.line.send(&frame).unwrap();
    }
    wrong.line.wait_for_end().unwrap();
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor.as_ref().map(|it| it.as_str())), ("unauthorised", Some("outfall")));
    assert!(!rejected.message.contains("654321") && !rejected.message.contains("123456"), "{}", rejected.message);
    assert_eq!(bench.rejected().reason, "disconnected");
    assert!(bench.stop().is_empty(), "whoever does not know the password does not disconnect the station");
}

#[test]
fn nothing_is_acknowledged_that_was_not_taken() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    bench.stop_listening_to_it();
    let sent = station.send_realtime(&[("w01018", 1.0)]);
    assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_full_intake_holds_the_station_back_and_loses_nothing() {
    let mut bench = bench();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    station.line.wait_at_most(Duration::from_millis(200)).unwrap();
    let mut answered = 0;
    // More than the queue holds; the answer to the first that does not fit stays away.
    let frame = station.packet(2011, "w01018-Rtd=1", "20160701080000000", 5).unwrap();
    loop {
        station.line.send(&frame).unwrap();
        match station.answer() {
            Ok(_) => answered += 1,
            Err(_) => break,
        }
        assert!(answered < 5000, "the queue has no end");
    }
    for _ in 0..answered {
        assert_eq!(bench.heard().1.len(), 1);
    }
    station.line.wait_at_most(Duration::from_secs(5)).unwrap();
    assert_eq!(station.answer().unwrap().cn, 9014);
    assert_eq!(bench.heard().1.len(), 1);
}

#[test]
fn a_station_is_gone_with_its_last_connection() {
    let mut bench = bench();
    let mut first = Hj212Station::connect(bench.address, MN).unwrap();
    let mut second = Hj212Station::connect(bench.address, MN).unwrap();
    first.send_realtime(&[("w01018", 1.0)]).unwrap();
    second.send_realtime(&[("w01018", 2.0)]).unwrap();
    assert_eq!((bench.heard().1.len(), bench.heard().1.len()), (1, 1));
    // Once it has hung up, too, the server knows: the second's end cannot overtake the first's.
    first.line.finish().unwrap();
    first.line.wait_for_end().unwrap();
    second.send_realtime(&[("w01018", 3.0)]).unwrap();
    assert_eq!(bench.values().1.get("cod"), Some(&3.0), "one connection is left");
    let address = second.line.address().unwrap().to_string();
    drop(second);
    assert_eq!(bench.fault(), ("outfall".to_owned(), Fault::Disconnected { address }));
    // Stopping is nobody's fault.
    let mut third = Hj212Station::connect(bench.address, MN).unwrap();
    third.send_realtime(&[("w01018", 4.0)]).unwrap();
    bench.heard();
    assert!(bench.stop().is_empty());
}

#[test]
fn when_all_places_are_taken_the_silent_make_place_and_stations_do_not() {
    let mut bench = bench_with(|listen| listen.max_connections = 2);
    let mut known = connect(&bench, MN);
    known.send_realtime(&[("w01018", 1.0)]).unwrap();
    assert_eq!(bench.values().0, "outfall");
    let mut silent = Hj212Station::connect(bench.address, OTHER).unwrap();
    let mut next = Hj212Station::connect(bench.address, OTHER).unwrap();
    silent.line.wait_for_end().unwrap();
    next.send_realtime(&[("w01018", 2.0)]).unwrap();
    assert_eq!(bench.values().0, "inlet");
    let mut surplus = Hj212Station::connect(bench.address, OTHER).unwrap();
    surplus.line.wait_for_end().unwrap();
    assert_eq!(bench.rejected().reason, "too_many");
    known.send_realtime(&[("w01018", 3.0)]).unwrap();
    assert_eq!(bench.values().0, "outfall");
}

#[test]
fn a_connection_without_anything_usable_is_closed() {
    let mut bench = bench_with(|listen| listen.idle_after = Duration::from_millis(400));
    let mut silent = connect(&bench, MN);
    silent.line.wait_for_end().unwrap();
    let mut station = Hj212Station::connect(bench.address, MN).unwrap();
    station.send_realtime(&[("w01018", 1.0)]).unwrap();
    bench.heard();
    // Bytes that are no message do not keep a connection.
    while station.line.send(b"#").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    loop {
        match bench.told() {
            Told::Rejected(rejected) => assert_eq!(rejected.reason, "malformed"),
            Told::Fault { fault: Fault::Disconnected { .. }, .. } => break,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_frame_that_never_ends_is_given_up_and_the_next_is_heard() {
    let mut bench = bench_with(|listen| listen.idle_after = Duration::from_secs(2));
    let mut station = connect(&bench, MN);
    station.send_realtime(&[("w01018", 1.0)]).unwrap();
    bench.heard();
    station.line.send(b"##1024QN=").unwrap();
    let rejected = bench.rejected();
    assert!(rejected.message.contains("9 bytes of a message, then nothing more came"), "{}", rejected.message);
    assert_eq!(station.send_realtime(&[("w01018", 2.0)]).unwrap().cn, 9014);
    assert_eq!(bench.values().1.get("cod"), Some(&2.0));
}

#[test]
fn a_port_that_is_taken_is_told_and_had_once_it_is_free() {
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = squatter.local_addr().unwrap();
    let mut bench = bench_with(|listen| listen.address = address);
    for sensor in ["outfall", "inlet"] {
        let (told, fault) = bench.fault();
        assert_eq!(told, sensor);
        assert!(matches!(&fault, Fault::NotListening { address: at, .. } if *at == address.to_string()), "{fault}");
    }
    drop(squatter);
    for expected in ["outfall", "inlet"] {
        let told = bench.told();
        assert!(matches!(&told, Told::Reached { sensor } if sensor.as_str() == expected), "{told:?}");
    }
    connect(&bench, MN).send_realtime(&[("w01018", 1.0)]).unwrap();
    assert_eq!(bench.values().0, "outfall");
}

#[test]
fn what_is_told_wrongly_is_named() {
    let read = |station: &str, factor: &str| -> Hj212Source {
        device("s", &format!("station = '{station}'\n[[values]]\nid = 'a'\nfactor = '{factor}'"), None).source
    };
    assert_eq!(read(MN, "w01018").mn(), Ok(MN));
    for wrong in ["", "has space", "semi;colon", "0123456789012345678901234"] {
        assert!(read(wrong, "w01018").mn().unwrap_err().contains("MN"), "{wrong:?}");
    }
    let source = read(MN, "w01018-Rtd");
    let why = source.values[0].code().unwrap_err();
    assert!(why.contains("factor = \"w01018\" and figure = \"Rtd\""), "{why}");
    assert!(read(MN, "").values[0].code().is_err());

    // Where it was not checked, the sensor is faulty and the others are heard.
    let devices = vec![device("wrong", "station = 'a b'\nvalues = []", None), station("outfall", MN, None)];
    let mut bench = Bench::start(|listen, intake, shutdown| serve(listen, devices, intake, shutdown));
    assert_eq!(bench.fault().0, "wrong");
    Hj212Station::connect(bench.address, MN).unwrap().send_realtime(&[("w01018", 1.0)]).unwrap();
    assert_eq!(bench.values().0, "outfall");
}
