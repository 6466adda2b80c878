//! What hostile stations can make the servers allocate: every allocation of this process is counted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod station_bench;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use snowgate_core::sensor::codec::{crc, gbt26875, sl651};
use snowgate_simulators::{
    allocations::{self, Counting},
    noise::Noise,
};
use station_bench::{Bench, device};

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a message is taken apart into, or the samples it gives: less than this.
const LARGEST_ALLOCATION: usize = 64 << 10;
/// Eight connections at once, and what is told of them.
const MOST_GROWTH: usize = 2 << 20;
/// A queue that nobody empties, of messages that give as many samples as one may.
const MOST_QUEUED: usize = 24 << 20;

const STATION: [u8; 5] = [0, 0x12, 0x34, 0x56, 0x78];
const LEVEL: &str = "station = '0012345678'\n[[values]]\nid = 'level'\nelement = '39'";

/// As many elements as a message holds.
fn full_message() -> Vec<u8> {
    let content = [0x39u8, 0x00].repeat(2043);
    let message = sl651::Message {
        direction: sl651::Direction::Up,
        centre: 1,
        station: sl651::Station(STATION),
        password: 0,
        function: sl651::Function::Known(sl651::KnownFunction::Scheduled),
        packet: None,
        serial: Some(1),
        sent_at: None,
        content: &content,
        end: sl651::End::Etx,
    };
    message.build().unwrap()
}

/// A frame of HJ 212 with as many factors as it holds.
fn full_packet() -> Vec<u8> {
    let fields: String = (0..200).map(|factor| format!("{factor:x}-=;")).collect();
    let data = format!("ST=32;CN=2011;MN=1;CP=&&{fields}&&");
    format!("##{:04}{data}{:04X}\r\n", data.len(), crc::hj212(data.as_bytes())).into_bytes()
}

/// A frame of GB/T 26875.3 with as many objects as it holds.
fn full_unit() -> Vec<u8> {
    let data = [&[1u8, 255][..], &[1, 1, 2, 0].repeat(255)].concat();
    let frame = gbt26875::Frame {
        serial: 1,
        version: gbt26875::Version { main: 1, user: 1 },
        sent_at: None,
        source: gbt26875::Address([1, 2, 3, 4, 5, 6]),
        destination: gbt26875::Address([9; 6]),
        command: gbt26875::Command::Send,
        data: &data,
    };
    frame.build().unwrap()
}

/// Streams that begin well and badly: promises of long frames, markers without end, full frames, full frames with mistakes.
fn hostile(full: &[u8], marker: &[u8], promise: &[u8]) -> Vec<Vec<u8>> {
    let mut noise = Noise::new(7);
    let spoilt = (0..50).flat_map(|_| {
        let mut frame = full.to_vec();
        noise.spoil(&mut frame, &[full.to_vec()]);
        frame
    });
    vec![
        full.repeat(50),
        marker.repeat(50_000),
        promise.repeat(5_000),
        spoilt.collect(),
        [promise, &full.repeat(50)].concat(),
        vec![0xFF; 200_000],
    ]
}

/// Sends to the end or until the server has had enough; what it answers is passed over.
fn send(centre: SocketAddr, stream: &[u8]) {
    let mut line = TcpStream::connect(centre).unwrap();
    line.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answers = [0; 4096];
    for piece in stream.chunks(4096) {
        if line.write_all(piece).is_err() {
            return;
        }
    }
    while line.read(&mut answers).is_ok_and(|count| count > 0) {}
}

#[test]
fn hostile_stations_allocate_no_more_than_a_frame_is_worth() {
    assert!(full_packet().len() <= 1036 && full_unit().len() <= 1054 && full_message().len() <= 4112);
    let outfall = "station = '1'\n[[values]]\nid = 'cod'\nfactor = 'a'";
    let school = "device = '010203040506'\n[[values]]\nid = 'fire'\nstate = 'fire'";
    let cases = [
        (
            Bench::start(|listen, intake, stop| {
                snowgate_sensors::hj212::serve(listen, vec![device("outfall", outfall, None)], intake, stop)
            }),
            hostile(&full_packet(), b"#", b"##1024QN="),
        ),
        (
            Bench::start(|listen, intake, stop| {
                snowgate_sensors::sl651::serve(listen, vec![device("gauge", LEVEL, None)], intake, stop)
            }),
            hostile(&full_message(), &[0x7E], &[0x7E, 0x7E, 1, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0x32, 0x0F, 0xFF, 2]),
        ),
        (
            Bench::start(|listen, intake, stop| {
                snowgate_sensors::gbt26875::serve(listen, vec![device("school", school, None)], intake, stop)
            }),
            hostile(&full_unit(), b"@", b"@@0000000000000000000000\x00\x04\x02"),
        ),
    ];
    for (mut bench, streams) in cases {
        let mut told = 0;
        let address = bench.address;
        let ((), growth, largest) = allocations::cost(|| {
            for _ in 0..3 {
                std::thread::scope(|scope| {
                    streams.iter().for_each(|stream| drop(scope.spawn(move || send(address, stream))));
                });
                told += bench.drain();
            }
        });
        println!("{address}: largest {largest}, growth {growth}, {told} told");
        assert!(told > 10, "{address}: only {told} messages were told");
        assert!(largest <= LARGEST_ALLOCATION, "{address}: {largest} bytes at once");
        assert!(growth <= MOST_GROWTH, "{address}: {growth} bytes more than before");
    }

    let mut bench = Bench::start(|listen, intake, stop| {
        snowgate_sensors::sl651::serve(listen, vec![device("gauge", LEVEL, None)], intake, stop)
    });
    let stream = full_message().repeat(64);
    let mut line = TcpStream::connect(bench.address).unwrap();
    line.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut sent = 0usize;
    let ((), growth, largest) = allocations::cost(|| {
        while line.write_all(&stream).is_ok() {
            sent += 64;
            assert!(sent < 100_000, "a full queue holds nobody back");
        }
    });
    assert!(sent > 1000 && growth > 1 << 20, "{sent} messages, {growth} bytes: the queue was not filled");
    assert!(largest <= LARGEST_ALLOCATION, "{largest} bytes at once");
    assert!(growth <= MOST_QUEUED, "{growth} bytes more than before");
    assert!(bench.drain() >= 1024);
    println!("largest {largest}, growth {growth}, {sent} messages sent");
}
