//! Modbus RTU against slaves at the other end of a pseudo-terminal.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod modbus_bench;

use std::{os::unix::fs::symlink, time::Duration};

use modbus_bench::Bench;
use snowgate_sensors::intake::{Fault as Told, Told as Message};
use snowgate_simulators::modbus::{Fault, ModbusSlaves};

fn bus(path: &str) -> String {
    format!("serial = '{path}'\nbaud = 19200\nparity = 'even'")
}

/// A source that polls often, and waits so long that no load of the machine looks like a fault.
fn source(slave: u8, values: &str) -> String {
    format!("slave = {slave}\npoll_every = '100ms'\ntimeout = '10s'\nvalues = [{values}]")
}

/// The same for slaves with faults, which would take long otherwise.
fn hasty(slave: u8, values: &str) -> String {
    source(slave, values).replace("10s", "500ms")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_of_several_slaves_are_read() {
    let slaves = ModbusSlaves::rtu().unwrap();
    slaves.set_holding(1, 0, 0x42F6);
    slaves.set_holding(1, 1, 0xE979);
    slaves.set_input(247, 7, 0x8000);
    slaves.set_coil(247, 3, true);
    slaves.set_discrete(247, 4, true);
    let float = source(1, "{ id = 'x', address = 0, kind = 'f32' }");
    let mixed = source(
        247,
        "{ id = 'i', address = 7, kind = 'i16', table = 'input' },
         { id = 'c', address = 3, kind = 'bit', table = 'coils' },
         { id = 'd', address = 4, kind = 'bit', table = 'discrete_inputs' }",
    );
    let mut bench = Bench::poll(&bus(slaves.address()), &[("float", &float), ("mixed", &mixed)]);
    bench.goes_on("float", 2, &[f64::from(123.456_f32)]).await;
    bench.goes_on("mixed", 2, &[1.0, 1.0, -32_768.0]).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_answers_arrive_whole() {
    let slaves = ModbusSlaves::rtu().unwrap();
    let mut values = String::new();
    for address in 0..125 {
        slaves.set_holding(1, address, address * 3);
        values += &format!("{{ id = 'q{address}', address = {address} }},");
    }
    let mut bench = Bench::poll(&bus(slaves.address()), &[("s", &source(1, &values))]);
    let expected: Vec<f64> = (0..125_u16).map(|address| f64::from(address * 3)).collect();
    bench.goes_on("s", 3, &expected).await;
    assert!(slaves.asked().iter().all(|asked| (asked.start, asked.count) == (0, 125)));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_name_and_passes() {
    let mut cases = tokio::task::JoinSet::new();
    for (fault, named) in [
        (Fault::Exception(1), "refuses: function 3 (holding), addresses 0 to 2: Illegal function"),
        (Fault::Silence, "no answer from slave 7"),
        (Fault::WrongCheck, "no answer from slave 7"),
        (Fault::WrongSlave, "another slave"),
        (Fault::WrongFunction, "function 4 instead of 3"),
        (Fault::Short, "2 registers instead of 3"),
        (Fault::Cut(5), "no answer from slave 7"),
        (Fault::Noise(vec![0x03; 40]), "slave 7"),
        (Fault::Late(Duration::from_millis(800)), "no answer from slave 7"),
    ] {
        cases.spawn(is_named_and_passes(fault, named));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

async fn is_named_and_passes(fault: Fault, named: &'static str) {
    let slaves = ModbusSlaves::rtu().unwrap();
    for address in 0..3 {
        slaves.set_holding(7, address, address);
    }
    slaves.set_holding(8, 0, 80);
    let values = "{ id = 'a', address = 0 }, { id = 'b', address = 1 }, { id = 'c', address = 2 }";
    let beside = hasty(8, "{ id = 'x', address = 0 }");
    let mut bench = Bench::poll(&bus(slaves.address()), &[("s", &hasty(7, values)), ("beside", &beside)]);
    let expected = [0.0, 1.0, 2.0];
    bench.goes_on("s", 1, &expected).await;
    // Once is no fault, unless the slave itself says so.
    if !matches!(fault, Fault::Exception(1)) {
        slaves.set_next(7, [Some(fault.clone())]);
        bench.goes_on("s", 4, &expected).await;
    }
    slaves.set_fault(7, fault.clone());
    let told = bench.fault("s").await.to_string();
    assert!(told.contains(named) && told.contains(slaves.address()), "{fault:?}: {told}");
    for _ in 0..3 {
        assert_eq!(bench.heard("beside").await, [80.0], "{fault:?}");
    }
    slaves.clear_fault(7);
    assert_eq!(bench.heard("s").await, expected, "{fault:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_little_noise_before_a_frame_is_passed_over() {
    let slaves = ModbusSlaves::rtu().unwrap();
    slaves.set_holding(1, 0, 5);
    slaves.set_fault(1, Fault::Noise(vec![0x00]));
    let mut bench = Bench::poll(&bus(slaves.address()), &[("s", &source(1, "{ id = 'x', address = 0 }"))]);
    bench.goes_on("s", 5, &[5.0]).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_not_taken_for_another_requests() {
    let slaves = ModbusSlaves::rtu().unwrap();
    slaves.set_holding(1, 0, 100);
    slaves.set_holding(1, 1_000, 200);
    slaves.set_holding(2, 0, 300);
    let both = "{ id = 'low', address = 0 }, { id = 'high', address = 1000 }";
    let sources = [hasty(1, both), hasty(2, "{ id = 'x', address = 0 }")];
    let mut bench = Bench::poll(&bus(slaves.address()), &[("both", &sources[0]), ("other", &sources[1])]);
    bench.heard("both").await;
    let late = |millis| Some(Fault::Late(Duration::from_millis(millis)));
    slaves.set_next(1, [late(505), None, None, late(550), None, None, late(800)]);
    for _ in 0..8 {
        // What comes too late may be missing, but nothing stands in another's place.
        let both = bench.heard("both").await;
        assert!(both == [100.0, 200.0] || both == [100.0], "{both:?}");
    }
    for _ in 0..3 {
        assert_eq!(bench.heard("other").await, [300.0]);
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_port_that_is_unplugged_is_told_for_everybody_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ttyUSB0");
    let plug = |value| {
        let slaves = ModbusSlaves::rtu().unwrap();
        slaves.set_holding(1, 0, value);
        symlink(slaves.address(), &path).unwrap();
        slaves
    };
    let device = path.to_str().unwrap();
    let slaves = plug(1);
    let one = source(1, "{ id = 'x', address = 0 }");
    let dead = hasty(2, "{ id = 'x', address = 0 }");
    let mut bench = Bench::poll(&bus(device), &[("one", &one), ("dead", &dead)]);
    assert_eq!(bench.heard("one").await, [1.0]);
    std::fs::remove_file(&path).unwrap();
    drop(slaves);
    for name in ["one", "dead"] {
        bench
            .until("unreachable", |told| match told {
                Message::Fault { sensor, fault: Told::Unreachable { address, .. } } => {
                    (sensor.to_string() == name && address == device).then_some(())
                }
                _ => None,
            })
            .await;
    }
    let _slaves = plug(2);
    bench
        .until("the new value", |told| {
            matches!(told, Message::Heard { samples, .. } if samples[0].1.value == 2.0).then_some(())
        })
        .await;
    bench.stop().await;
}
