//! Transmission devices of GB/T 26875.3 over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod station_bench;

use snowgate_core::sensor::codec::gbt26875::Command;
use snowgate_sensors::{
    gbt26875::serve,
    intake::{Device, Fault},
    spec::Gbt26875Source,
};
use snowgate_simulators::gbt26875::{FireDevice, state};
use station_bench::{Bench, device};

const ADDRESS: [u8; 6] = [1, 2, 3, 4, 5, 0x0A];
const VALUES: &str = "
    [[values]]
    id = 'fire'
    state = 'fire'
    [[values]]
    id = 'fault'
    state = 'fault'
    system = 1
    [[values]]
    id = 'pump_room'
    state = 'fire'
    system = 1
    part = 42
    [[values]]
    id = 'valve'
    state = 'supervised'
    system = 2
    [[values]]
    id = 'off'
    state = 'shielded'
    part = 42
";

fn sensor(name: &str, address: &str) -> Device<Gbt26875Source> {
    device(name, &format!("device = '{address}'\n{VALUES}"), None)
}

fn bench() -> Bench {
    let devices = vec![sensor("school", "01020304050a"), sensor("market", "0102030405FF")];
    Bench::start(|listen, intake, shutdown| serve(listen, devices, intake, shutdown))
}

/// What is told of the school next.
fn school(bench: &mut Bench) -> Vec<(String, f64)> {
    let (sensor, samples) = bench.heard();
    assert_eq!(sensor, "school");
    assert!(samples.iter().all(|(_, sample)| sample.measured.is_none() && !sample.flagged));
    samples.into_iter().map(|(quantity, sample)| (quantity, sample.value)).collect()
}

fn values(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(quantity, value)| ((*quantity).to_owned(), *value)).collect()
}

#[test]
fn states_of_systems_and_parts_become_ones_and_zeros_and_are_confirmed() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    /// System, part, state word, and what is told.
    type Case = (u8, Option<u32>, u16, &'static [(&'static str, f64)]);
    let cases: [Case; 5] = [
        (1, Some(42), state::FIRE, &[("fire", 1.0), ("fault", 0.0), ("pump_room", 1.0), ("off", 0.0)]),
        (
            1,
            Some(42),
            state::FAULT | state::SHIELDED,
            &[("fire", 0.0), ("fault", 1.0), ("pump_room", 0.0), ("off", 1.0)],
        ),
        // The fault of part 42 lasts, whatever the system says of itself.
        (1, None, state::NORMAL, &[("fire", 0.0), ("fault", 1.0)]),
        (2, None, state::SUPERVISED, &[("fire", 0.0), ("valve", 1.0)]),
        (2, Some(42), 0, &[("fire", 0.0), ("valve", 1.0), ("off", 1.0)]),
    ];
    for (system, part, word, expected) in cases {
        let answer = match part {
            Some(part) => device.send_part(system, part, word),
            None => device.send_system(system, word),
        };
        assert_eq!(answer.unwrap(), Command::Confirm);
        assert_eq!(school(&mut bench), values(expected), "{system} {part:?} {word:b}");
    }
    assert!(bench.stop().is_empty());
}

#[test]
fn a_fire_lasts_until_its_own_part_is_well() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    let mut fire = |system, part, word| {
        device.send_part(system, part, word).unwrap();
        school(&mut bench).into_iter().find(|(quantity, _)| quantity == "fire").unwrap().1
    };
    assert_eq!(fire(1, 7, state::FIRE), 1.0);
    assert_eq!(fire(1, 8, state::FIRE), 1.0);
    assert_eq!(fire(1, 9, 0), 1.0, "another part that is well ends nothing");
    assert_eq!(fire(2, 7, 0), 1.0, "nor does its namesake in another system");
    assert_eq!(fire(1, 7, 0), 1.0);
    assert_eq!(fire(1, 8, 0), 0.0);
}

#[test]
fn the_contested_bit_mutes_nothing() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    for word in [state::FIRE, state::FIRE | state::NORMAL] {
        device.send_part(1, 42, word).unwrap();
        assert_eq!(school(&mut bench)[0], ("fire".to_owned(), 1.0));
        device.send_part(1, 42, word & state::NORMAL).unwrap();
        assert_eq!(school(&mut bench)[0], ("fire".to_owned(), 0.0));
    }
}

#[test]
fn a_reset_or_the_end_of_the_alarm_ends_it_for_its_system_only() {
    const RESET: u8 = 1;
    const BY_HAND: u8 = 1 << 2;
    const OVER: u8 = 1 << 3;
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    let mut first = |bench: &mut Bench, system, what: Result<u32, u8>| {
        match what {
            Ok(part) => device.send_part(system, part, state::FIRE | state::FAULT),
            Err(operation) => device.send_operation(system, operation),
        }
        .unwrap();
        school(bench)
    };
    first(&mut bench, 1, Ok(42));
    first(&mut bench, 2, Ok(1));
    // The alarm is over in system 1; the fire of system 2 and the fault of part 42 last.
    assert_eq!(first(&mut bench, 1, Err(OVER)), values(&[("fire", 1.0), ("pump_room", 0.0)]));
    assert_eq!(first(&mut bench, 2, Err(OVER)), values(&[("fire", 0.0)]));
    let expected = values(&[("fire", 0.0), ("fault", 0.0), ("pump_room", 0.0), ("off", 0.0)]);
    assert_eq!(first(&mut bench, 1, Err(RESET)), expected);
    // Somebody gives the alarm at the panel.
    assert_eq!(first(&mut bench, 1, Err(BY_HAND)), values(&[("fire", 1.0)]));
    assert_eq!(first(&mut bench, 1, Err(OVER))[0], ("fire".to_owned(), 0.0));
}

#[test]
fn the_device_itself_can_be_in_alarm_and_at_fault() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    // Fault, and main power fails.
    device.send(&[21, 1, 0b1100]).unwrap();
    assert_eq!(school(&mut bench), values(&[("fire", 0.0)]), "the fault wanted is that of system 1");
    device.send(&[24, 1, 1 << 2, 0]).unwrap();
    assert_eq!(school(&mut bench), values(&[("fire", 1.0)]));
    device.send(&[21, 1, 0]).unwrap();
    assert_eq!(school(&mut bench), values(&[("fire", 1.0)]), "the alarm was given by hand");
    device.send(&[24, 1, 1 << 3, 0]).unwrap();
    assert_eq!(school(&mut bench)[0], ("fire".to_owned(), 0.0));
}

#[test]
fn a_fire_that_is_told_and_ended_in_one_message_has_been_one() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    let time = [0, 0, 8, 1, 7, 16];
    let object = |system, low| [&[1, system, low, 0][..], &time].concat();
    device.send(&[vec![1, 2], object(1, 2), object(1, 0)].concat()).unwrap();
    assert_eq!(school(&mut bench), values(&[("fire", 1.0), ("fire", 0.0), ("fault", 0.0)]));
}

#[test]
fn anything_else_is_a_sign_of_life_and_confirmed_if_sent() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    // Nothing, a clock, a version, and a type of the maker's.
    for data in [&[][..], &[28, 1, 0, 0, 8, 1, 7, 16], &[25, 1, 2, 5], &[200, 1, 9, 9]] {
        assert_eq!(device.send(data).unwrap(), Command::Confirm);
        assert_eq!(school(&mut bench), []);
    }
    for command in [Command::Reply, Command::Confirm, Command::Other(200)] {
        let frame = device.frame(command, &[]).build().unwrap();
        device.line.send(&frame).unwrap();
        assert_eq!(school(&mut bench), []);
    }
    // Answers to them would come before this one's.
    assert_eq!(device.send(&[]).unwrap(), Command::Confirm);
}

#[test]
fn what_cannot_be_read_and_who_is_not_known_are_denied() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    assert_eq!(device.send(&[1, 3, 1, 1, 2, 0]).unwrap(), Command::Deny);
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor.unwrap().as_str()), ("malformed", "school"));
    assert!(matches!(bench.fault(), (sensor, Fault::Malformed { .. }) if sensor == "school"));

    let mut stranger = FireDevice::connect(bench.address, [0xAB, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(stranger.send_system(1, state::FIRE).unwrap(), Command::Deny);
    let rejected = bench.rejected();
    assert_eq!((rejected.reason, rejected.sensor), ("unknown_sensor", None));
    assert!(rejected.message.contains("device = \"AB0203040506\""), "{}", rejected.message);
}

#[test]
fn two_devices_do_not_speak_for_each_other_even_over_one_connection() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    device.send_system(1, state::FIRE).unwrap();
    assert_eq!(school(&mut bench)[0].1, 1.0);
    let mut market = FireDevice::connect(bench.address, [1, 2, 3, 4, 5, 0xFF]).unwrap();
    market.send_system(1, state::NORMAL).unwrap();
    let (sensor, samples) = bench.heard();
    assert_eq!((sensor.as_str(), samples[0].1.value), ("market", 0.0));
    let relayed = market.frame(Command::Send, &[1, 1, 1, 1, 4, 0]).build().unwrap();
    device.line.send(&relayed).unwrap();
    assert_eq!(bench.heard().0, "market");
    device.send_system(1, state::FAULT | state::FIRE).unwrap_err();
    assert_eq!(school(&mut bench)[0].1, 1.0);
    let address = device.line.address().unwrap().to_string();
    drop(device);
    assert_eq!(
        bench.fault(),
        ("school".to_owned(), Fault::Disconnected { address }),
        "the market has another connection"
    );
}

#[test]
fn frames_cut_anywhere_with_garbage_between_them_are_heard() {
    let mut bench = bench();
    let mut device = FireDevice::connect(bench.address, ADDRESS).unwrap();
    let frame = device.frame(Command::Send, &[1, 1, 1, 1, 2, 0]).build().unwrap();
    for cut in 1..frame.len() {
        device.line.send(&frame[..cut]).unwrap();
        std::thread::yield_now();
        device.line.send(&frame[cut..]).unwrap();
        assert_eq!(device.answer().unwrap(), Command::Confirm, "cut at {cut}");
        assert_eq!(school(&mut bench)[0].1, 1.0, "cut at {cut}");
    }
    let mut spoilt = frame.clone();
    spoilt[10] ^= 1;
    device.line.send(&[b"@##", spoilt.as_slice(), &frame].concat()).unwrap();
    assert_eq!(device.answer().unwrap(), Command::Confirm);
    assert_eq!(bench.rejected().reason, "malformed");
    assert_eq!(school(&mut bench)[0].1, 1.0);
}

#[test]
fn an_address_that_is_none_is_named() {
    let read =
        |address: &str| -> Gbt26875Source { device("s", &format!("device = '{address}'\nvalues = []"), None).source };
    assert_eq!(read("01020304050A").address().unwrap().0, ADDRESS);
    for wrong in ["", "0102030405", "01020304050G", "+1020304050A", "01 02 03 04 05"] {
        assert!(read(wrong).address().unwrap_err().contains("twelve hexadecimal digits"), "{wrong}");
    }
}
