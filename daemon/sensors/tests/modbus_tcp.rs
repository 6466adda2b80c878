//! Modbus TCP against slaves behind a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod modbus_bench;

use std::time::Duration;

use modbus_bench::Bench;
use snowgate_sensors::intake::{Fault as Told, Told as Message};
use snowgate_simulators::modbus::{Asked, Fault, ModbusSlaves};

fn bus(slaves: &ModbusSlaves) -> String {
    format!("tcp = '{}'", slaves.address())
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
async fn every_table_kind_and_order_is_read_and_neighbours_in_one_request() {
    let slaves = ModbusSlaves::tcp().unwrap();
    // 0x42F6E979 is 123.456 in single precision.
    for (address, value) in [
        (0, 0xFFFE),
        (1, 0xFFFE),
        (2, 0x42F6),
        (3, 0xE979),
        (4, 0xE979),
        (5, 0x42F6),
        (6, 0xF642),
        (7, 0x79E9),
        (8, 0x79E9),
        (9, 0xF642),
        (10, 0x8001),
        (11, 0x3FF1),
        (12, 0x9999),
        (13, 0x9999),
        (14, 0x999A),
    ] {
        slaves.set_holding(1, address, value);
    }
    slaves.set_input(1, 30_000, 0xFFFF);
    slaves.set_input(1, 30_001, 0xFFFF);
    for address in 0..9 {
        slaves.set_coil(1, address, address == 8);
    }
    slaves.set_discrete(1, 65_535, true);
    let values = "
        { id = 'u16', address = 0 },
        { id = 'i16', address = 1, kind = 'i16' },
        { id = 'abcd', address = 2, kind = 'f32' },
        { id = 'cdab', address = 4, kind = 'f32', byte_order = 'CDAB' },
        { id = 'badc', address = 6, kind = 'f32', byte_order = 'BADC' },
        { id = 'dcba', address = 8, kind = 'f32', byte_order = 'DCBA' },
        { id = 'bit_0', address = 10, kind = 'bit', bit = 0 },
        { id = 'bit_1', address = 10, kind = 'bit', bit = 1 },
        { id = 'bit_15', address = 10, kind = 'bit', bit = 15 },
        { id = 'f64', address = 11, kind = 'f64' },
        { id = 'u32', address = 30000, kind = 'u32', table = 'input' },
        { id = 'i32', address = 30000, kind = 'i32', table = 'input' },
        { id = 'coil_0', address = 0, kind = 'bit', table = 'coils' },
        { id = 'coil_8', address = 8, kind = 'bit', table = 'coils' },
        { id = 'door', address = 65535, kind = 'bit', table = 'discrete_inputs' },
    ";
    let mut bench = Bench::poll(&bus(&slaves), &[("all", &source(1, values))]);
    let read: Vec<(String, f64)> = bench
        .until("all values", |told| match told {
            Message::Heard { samples, .. } => Some(samples.iter().map(|(id, s)| (id.to_string(), s.value)).collect()),
            _ => None,
        })
        .await;
    let expected = [
        ("coil_0", 0.0),
        ("coil_8", 1.0),
        ("door", 1.0),
        ("u16", 65_534.0),
        ("i16", -2.0),
        ("abcd", f64::from(123.456_f32)),
        ("cdab", f64::from(123.456_f32)),
        ("badc", f64::from(123.456_f32)),
        ("dcba", f64::from(123.456_f32)),
        ("bit_0", 1.0),
        ("bit_1", 0.0),
        ("bit_15", 1.0),
        ("f64", 1.1),
        ("u32", 4_294_967_295.0),
        ("i32", -1.0),
    ];
    assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value)));
    let asked = |function, start, count| Asked { slave: 1, function, start, count };
    assert_eq!(slaves.asked()[..4], [asked(1, 0, 9), asked(2, 65_535, 1), asked(3, 0, 15), asked(4, 30_000, 2)]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_slave_is_named_asked_less_and_less_and_recovers_while_the_others_go_on() {
    let slaves = ModbusSlaves::tcp().unwrap();
    slaves.set_holding(1, 0, 11);
    slaves.set_holding(2, 0, 22);
    slaves.set_holding(2, 50, 23);
    slaves.set_fault(2, Fault::Silence);
    let (living, dead, other) = (
        source(1, "{ id = 'x', address = 0 }"),
        hasty(2, "{ id = 'x', address = 0 }"),
        hasty(2, "{ id = 'x', address = 50 }"),
    );
    let mut bench = Bench::poll(&bus(&slaves), &[("living", &living), ("dead", &dead), ("dead-too", &other)]);
    // The other sensor of the slave is told without another time-out.
    let fault = bench.fault("dead-too").await;
    let address = format!("slave 2 at {}", slaves.address());
    assert_eq!(fault, Told::NoAnswer { address, within: Duration::from_millis(500) });
    for _ in 0..15 {
        assert_eq!(bench.heard("living").await, [11.0]);
    }
    let asked = slaves.asked().iter().filter(|asked| asked.slave == 2).count();
    assert!((1..=5).contains(&asked), "{asked} requests to a slave that is dead");
    slaves.clear_fault(2);
    assert_eq!(bench.heard("dead").await, [22.0]);
    assert_eq!(bench.heard("dead-too").await, [23.0]);
    bench.goes_on("dead", 3, &[22.0]).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slave_refuses_is_named_and_costs_nothing_else() {
    let slaves = ModbusSlaves::tcp().unwrap();
    for address in [10, 11, 13] {
        slaves.set_holding(5, address, address);
    }
    let values = "{ id = 'a', address = 10 }, { id = 'b', address = 11 }, { id = 'c', address = 12 }, { id = 'd', address = 13 }";
    let mut bench = Bench::poll(&bus(&slaves), &[("s", &source(5, values))]);
    assert_eq!(bench.heard("s").await, [10.0, 11.0, 13.0]);
    let fault = bench.fault("s").await;
    let address = format!("slave 5 at {}", slaves.address());
    let why = "function 3 (holding), address 12: Illegal data address".to_owned();
    assert_eq!(fault, Told::Refused { address, why });
    // What was learnt is kept: the whole is not asked again.
    let before = slaves.asked().len();
    bench.heard("s").await;
    bench.heard("s").await;
    assert!(slaves.asked()[before..].iter().all(|asked| asked.count == 1), "{:?}", slaves.asked());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_name_and_passes() {
    let mut cases = tokio::task::JoinSet::new();
    for (fault, named) in [
        (Fault::Exception(4), "Server device failure"),
        (Fault::Exception(11), "Gateway target device failed to respond"),
        (Fault::WrongCheck, "another request"),
        (Fault::WrongSlave, "another slave"),
        (Fault::WrongFunction, "function 4 instead of 3"),
        (Fault::Short, "2 registers instead of 3"),
        (Fault::Cut(9), "no answer from slave 7"),
        (Fault::Noise(vec![0xFF; 3]), "slave 7"),
        (Fault::Late(Duration::from_millis(800)), "no answer from slave 7"),
        (Fault::Disconnect, "cannot be reached: closed by the other side"),
    ] {
        cases.spawn(is_named_and_passes(fault, named));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

async fn is_named_and_passes(fault: Fault, named: &'static str) {
    let slaves = ModbusSlaves::tcp().unwrap();
    for address in 0..3 {
        slaves.set_holding(7, address, address);
    }
    let values = "{ id = 'a', address = 0 }, { id = 'b', address = 1 }, { id = 'c', address = 2 }";
    let mut bench = Bench::poll(&bus(&slaves), &[("s", &hasty(7, values))]);
    let expected = [0.0, 1.0, 2.0];
    bench.goes_on("s", 1, &expected).await;
    // Once is no fault, unless the slave itself says so.
    if !matches!(fault, Fault::Exception(4)) {
        slaves.set_next(7, [Some(fault.clone())]);
        bench.goes_on("s", 4, &expected).await;
    }
    slaves.set_fault(7, fault.clone());
    let told = bench.fault("s").await.to_string();
    assert!(told.contains(named), "{fault:?}: {told}");
    slaves.clear_fault(7);
    assert_eq!(bench.heard("s").await, expected, "{fault:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_not_taken_for_another_requests() {
    let slaves = ModbusSlaves::tcp().unwrap();
    slaves.set_holding(1, 0, 100);
    slaves.set_holding(1, 1_000, 200);
    let sources = [hasty(1, "{ id = 'x', address = 0 }"), hasty(1, "{ id = 'x', address = 1000 }")];
    let mut bench = Bench::poll(&bus(&slaves), &[("low", &sources[0]), ("high", &sources[1])]);
    bench.heard("high").await;
    // Later than the time-out, and at all sorts of moments of the requests that follow.
    let late = |millis| Some(Fault::Late(Duration::from_millis(millis)));
    slaves.set_next(1, [late(510), None, late(550), None, late(600), None, late(700), None, late(1_010)]);
    for _ in 0..12 {
        assert_eq!(bench.heard("low").await, [100.0]);
        assert_eq!(bench.heard("high").await, [200.0]);
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_gateway_is_told_for_everybody_and_found_again() {
    let slaves = ModbusSlaves::tcp().unwrap();
    let at = slaves.address().parse().unwrap();
    slaves.set_holding(1, 0, 1);
    slaves.set_holding(2, 0, 2);
    let sources = [hasty(1, "{ id = 'x', address = 0 }"), hasty(2, "{ id = 'x', address = 0 }")];
    let mut bench = Bench::poll(&bus(&slaves), &[("one", &sources[0]), ("two", &sources[1])]);
    bench.heard("one").await;
    bench.heard("two").await;
    drop(slaves);
    for name in ["one", "two"] {
        let fault = bench.fault(name).await;
        assert!(matches!(&fault, Told::Unreachable { address, .. } if *address == format!("{at}")), "{fault}");
    }
    let slaves = ModbusSlaves::tcp_at(at).unwrap();
    slaves.set_holding(1, 0, 3);
    slaves.set_holding(2, 0, 4);
    for name in ["one", "two"] {
        bench
            .until("reached", |told| {
                matches!(told, Message::Reached { sensor } if sensor.as_str() == name).then_some(())
            })
            .await;
    }
    bench
        .until("new value", |told| {
            matches!(told, Message::Heard { samples, .. } if samples[0].1.value == 3.0).then_some(())
        })
        .await;
    assert_eq!(bench.heard("two").await, [4.0]);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_closes_idle_connections_is_no_fault() {
    let slaves = ModbusSlaves::tcp().unwrap();
    slaves.set_holding(1, 0, 1);
    let mut bench = Bench::poll(&bus(&slaves), &[("s", &source(1, "{ id = 'x', address = 0 }"))]);
    for connections in 1..5 {
        bench.goes_on("s", 2, &[1.0]).await;
        assert_eq!(slaves.connected(), connections);
        slaves.disconnect();
    }
    bench.goes_on("s", 2, &[1.0]).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_it_waits() {
    // Nobody listens there: the port was free a moment ago.
    let at = ModbusSlaves::tcp().unwrap().address().to_owned();
    let mut bench = Bench::poll(&format!("tcp = '{at}'"), &[("s", &source(1, "{ id = 'x', address = 0 }"))]);
    assert!(bench.fault("s").await.to_string().starts_with(&format!("{at} cannot be reached: ")));
    bench.stop().await;
    let slaves = ModbusSlaves::tcp().unwrap();
    let slow = "slave = 9\ntimeout = '60s'\nvalues = [{ id = 'x', address = 0 }]";
    let bench = Bench::poll(&bus(&slaves), &[("s", slow)]);
    while slaves.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.stop().await;
    Bench::poll(&bus(&slaves), &[]).stop().await;
}
