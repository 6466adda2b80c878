//! SL 651 stations over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod station_bench;

use snowgate_core::sensor::codec::sl651::{Direction, End, KnownFunction, Message, PacketNumber};
use snowgate_sensors::{
    intake::{Device, Fault},
    sl651::{ElementId, serve},
    spec::Sl651Source,
};
use snowgate_simulators::sl651::{Sl651Station, number, observed_at};
use station_bench::{Bench, device, time};

const GAUGE: [u8; 5] = [0x00, 0x12, 0x34, 0x56, 0x78];
const VALUES: &str = "
    [[values]]
    id = 'level'
    unit = 'm'
    element = '39'
    [[values]]
    id = 'rain'
    unit = 'mm'
    element = '20'
    [[values]]
    id = 'level_5min'
    unit = 'm'
    element = 'f5'
    [[values]]
    id = 'rain_5min'
    unit = 'mm'
    element = 'F4'
    [[values]]
    id = 'door'
    element = 'FF04'
";

fn station(sensor: &str, address: &str, more: &str, password: Option<&str>) -> Device<Sl651Source> {
    device(sensor, &format!("station = '{address}'\n{more}\n{VALUES}"), password)
}

fn bench() -> Bench {
    let devices = vec![
        station("gauge", "0012345678", "", Some("1234")),
        station("weir", "0012345679", "stay_online = false", None),
    ];
    Bench::start(|listen, intake, shutdown| serve(listen, devices, intake, shutdown))
}

#[test]
fn every_report_gives_its_elements_and_is_acknowledged() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    station.clock = time("2016-07-01T01:00:08Z");
    for function in [
        KnownFunction::Test,
        KnownFunction::Scheduled,
        KnownFunction::Alarm,
        KnownFunction::Hourly,
        KnownFunction::QueryNow,
    ] {
        let observed = observed_at("2016-07-01T00:55:00Z".parse().unwrap());
        let content = [
            station.station_element(),
            number(0x20, 0.5, 1),
            observed,
            number(0x39, -12.345, 3),
            number(0x38, 12.1, 2),
        ];
        assert_eq!(station.send(function, &content.concat()).unwrap().end, End::Esc);
        let (sensor, samples) = bench.heard();
        assert_eq!(sensor, "gauge");
        let samples: Vec<_> = samples.iter().map(|(quantity, it)| (quantity.as_str(), it.value, it.measured)).collect();
        // What stands before the time of observation was measured when it was sent, as far as anybody can know.
        let expected = [("rain", 0.5, time("2016-07-01T01:00:08Z")), ("level", -12.345, time("2016-07-01T00:55:00Z"))];
        assert_eq!(samples, expected, "{function:?}");
    }
    assert!(bench.stop().is_empty());
}

#[test]
fn an_hourly_report_gives_twelve_values_in_their_order() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    station.clock = time("2016-07-01T01:00:08Z");
    let rain: Vec<u8> = [&[0xF4, 0x60][..], &[0, 5, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    let level: Vec<u8> = [0xF5, 0xC0].into_iter().chain((0..12).flat_map(|step| [0x04, 0xD2 + step])).collect();
    let mut heard = |observed: &str| {
        let content = [observed_at(observed.parse().unwrap()), rain.clone(), level.clone()].concat();
        station.send(KnownFunction::Hourly, &content).unwrap();
        bench.heard().1
    };
    // The first of the hour, or the last: no value is measured after it was sent.
    for observed in ["2016-07-01T00:05:00Z", "2016-07-01T01:00:00Z"] {
        let samples = heard(observed);
        let of = |name: &str| -> Vec<_> {
            let of_name = samples.iter().filter(|(quantity, _)| quantity == name);
            of_name.map(|(_, sample)| (sample.value, sample.measured)).collect()
        };
        let (rain, level) = (of("rain_5min"), of("level_5min"));
        assert_eq!(rain.len(), 11, "a gap is no value");
        assert_eq!((rain[1], rain[10]), ((0.5, time("2016-07-01T00:10:00Z")), (0.1, time("2016-07-01T01:00:00Z"))));
        assert_eq!(
            (level[0], level[11]),
            ((12.34, time("2016-07-01T00:05:00Z")), (12.45, time("2016-07-01T01:00:00Z")))
        );
    }
}

#[test]
fn values_that_are_missing_or_of_the_makers_own_are_told() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let absent = [0x39, 0x23, 0xFF, 0xFF, 0xFF, 0xFF];
    let custom = [0xFF, 0x04, 0x11, 0x12, 0x34];
    station.send(KnownFunction::Scheduled, &[&absent[..], &custom].concat()).unwrap();
    let samples = bench.heard().1;
    let [(level, none), (door, some)] = samples.as_slice() else { panic!("{samples:?}") };
    assert!(level == "level" && none.value.is_nan() && none.flagged);
    assert!(door == "door" && (some.value - 123.4).abs() < 1e-9 && !some.flagged);
}

#[test]
fn a_number_that_cannot_be_read_spoils_itself_and_is_not_sent_again() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let spoilt = [0x39, 0x23, 0x00, 0x00, 0x01, 0x2A];
    assert_eq!(
        station.send(KnownFunction::Scheduled, &[&spoilt[..], &number(0x20, 1.5, 1)].concat()).unwrap().end,
        End::Esc
    );
    assert_eq!(bench.values().1.into_iter().collect::<Vec<_>>(), [("rain".to_owned(), 1.5)]);
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor.unwrap().as_str()), ("malformed", "gauge"));
    assert!(rejected.message.contains("element 39"), "{}", rejected.message);

    // Nothing but that: the sensor is faulty.
    let mut bench = self::bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    assert_eq!(station.send(KnownFunction::Scheduled, &spoilt).unwrap().end, End::Esc);
    assert!(bench.heard().1.is_empty());
    assert_eq!(bench.rejected().reason, "malformed");
    assert!(matches!(bench.fault(), (sensor, Fault::Malformed { .. }) if sensor == "gauge"));
}

#[test]
fn keeping_the_link_is_a_sign_of_life_and_is_not_answered() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    station.keep_link().unwrap();
    assert_eq!(bench.heard(), ("gauge".to_owned(), vec![]));
    // The first answer is that to the report: its serial number is checked.
    assert_eq!(station.send_scheduled(&[number(0x39, 1.0, 3)]).unwrap().end, End::Esc);
    assert_eq!(bench.values().1.get("level"), Some(&1.0));
}

#[test]
fn a_station_that_may_leave_is_told_so_and_may_hang_up() {
    let mut bench = bench();
    let mut weir = Sl651Station::connect(bench.address, [0x00, 0x12, 0x34, 0x56, 0x79]).unwrap();
    assert_eq!(weir.send_scheduled(&[number(0x39, 1.0, 3)]).unwrap().end, End::Eot);
    assert_eq!(bench.values().0, "weir");
    drop(weir);
    let mut gauge = Sl651Station::connect(bench.address, GAUGE).unwrap();
    assert_eq!(gauge.send_scheduled(&[]).unwrap().end, End::Esc);
    assert_eq!(bench.heard().0, "gauge");
    let address = gauge.line.address().unwrap().to_string();
    drop(gauge);
    assert_eq!(bench.fault(), ("gauge".to_owned(), Fault::Disconnected { address }));
}

#[test]
fn a_message_in_packets_is_acknowledged_at_its_end_by_the_first_ones_number() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let content = number(0x39, 2.5, 3);
    let packet = |number| Some(PacketNumber { total: 2, number });
    let first = station.message(KnownFunction::Scheduled, &content);
    let serial = first.serial;
    let first = Message { packet: packet(1), end: End::Etb, ..first };
    let last = Message { packet: packet(2), serial: None, sent_at: None, end: End::Etx, ..first.clone() };
    station.line.send(&[first.build().unwrap(), last.build().unwrap()].concat()).unwrap();
    let answer = station.answer().unwrap();
    assert_eq!((answer.end, answer.serial), (End::Esc, serial));
    assert_eq!(bench.values().1.get("level"), Some(&2.5));
    assert!(bench.heard().1.is_empty(), "a later packet may begin inside an element");
}

#[test]
fn elements_count_for_the_station_they_were_measured_at_and_for_no_other() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let of = |address: [u8; 5]| [&[0xF1, 0xF1][..], &address, b"H"].concat();
    let content = [
        number(0x39, 1.0, 3),
        of([0x00, 0x12, 0x34, 0x56, 0x79]),
        number(0x39, 2.0, 3),
        of([0x99; 5]),
        number(0x39, 3.0, 3),
    ];
    station.send(KnownFunction::Scheduled, &content.concat()).unwrap();
    let (gauge, weir) = (bench.values(), bench.values());
    assert_eq!((gauge.0.as_str(), gauge.1.get("level")), ("gauge", Some(&1.0)));
    assert_eq!((weir.0.as_str(), weir.1.get("level")), ("weir", Some(&2.0)));
    let rejected = bench.rejected();
    assert_eq!(rejected.reason, "unknown_sensor");
    assert!(rejected.message.contains("9999999999"), "{}", rejected.message);
}

#[test]
fn strangers_wrong_passwords_and_centres_are_refused() {
    let mut bench = bench();
    let mut stranger = Sl651Station::connect(bench.address, [0x77; 5]).unwrap();
    stranger.keep_link().unwrap();
    let rejected = bench.rejected();
    assert_eq!(rejected.reason, "unknown_sensor");
    assert!(rejected.message.contains("station = \"7777777777\""), "{}", rejected.message);

    let mut wrong = Sl651Station::connect(bench.address, GAUGE).unwrap().with_password(0x4321);
    wrong.keep_link().unwrap();
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor.unwrap().as_str()), ("unauthorised", "gauge"));

    let mut centre = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let message = Message { direction: Direction::Down, ..centre.message(KnownFunction::QueryNow, &[]) };
    centre.line.send(&message.build().unwrap()).unwrap();
    assert_eq!(bench.rejected().reason, "malformed");
    assert!(matches!(bench.fault(), (sensor, Fault::Malformed { .. }) if sensor == "gauge"));
}

#[test]
fn frames_cut_anywhere_with_garbage_between_them_are_heard() {
    let mut bench = bench();
    let mut station = Sl651Station::connect(bench.address, GAUGE).unwrap();
    let content = number(0x39, 1.5, 3);
    let frame = station.message(KnownFunction::Scheduled, &content).build().unwrap();
    for cut in 1..frame.len() {
        station.line.send(&frame[..cut]).unwrap();
        std::thread::yield_now();
        station.line.send(&frame[cut..]).unwrap();
        assert_eq!(station.answer().unwrap().end, End::Esc, "cut at {cut}");
        assert_eq!(bench.values().1.get("level"), Some(&1.5), "cut at {cut}");
    }
    let mut spoilt = frame.clone();
    spoilt[24] ^= 1;
    station.line.send(&[b"\r\n\x7E", spoilt.as_slice(), &frame].concat()).unwrap();
    assert_eq!(station.answer().unwrap().end, End::Esc);
    assert_eq!(bench.rejected().reason, "malformed");
    assert_eq!(bench.values().1.get("level"), Some(&1.5));
}

#[test]
fn what_is_told_wrongly_is_named() {
    let read = |station: &str, element: &str| -> Sl651Source {
        device("s", &format!("station = '{station}'\n[[values]]\nid = 'a'\nelement = '{element}'"), None).source
    };
    assert_eq!(read("0012345678", "39").address().unwrap().to_string(), "0012345678");
    for wrong in ["12345678", "00123456789", "00 2345678", "+012345678", "水位"] {
        assert!(read(wrong, "39").address().unwrap_err().contains("ten digits"), "{wrong}");
    }
    let identifier = |element: &str| read("0012345678", element).values[0].identifier();
    assert_eq!(identifier("1a"), Ok(ElementId::Number(0x1A)));
    assert_eq!(identifier("F4"), Ok(ElementId::RainByFiveMinutes));
    assert_eq!(identifier("FC"), Ok(ElementId::LevelByFiveMinutes(8)));
    assert_eq!(identifier("ff04"), Ok(ElementId::Custom(4)));
    for wrong in ["00", "04", "45", "80", "F0", "F1", "FD", "FF", "3", "xx", "0039", "+9"] {
        assert!(identifier(wrong).is_err(), "{wrong}");
    }
    let password = |text: &str| Sl651Source::password(&text.to_owned().into());
    assert_eq!(password("12aF\n"), Ok(0x12AF));
    let why = password("123").unwrap_err();
    assert!(why.contains("four hexadecimal digits") && !why.contains("\"123\""), "{why}");
}
