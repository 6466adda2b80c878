//! Sensors behind a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod support;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use rumqttc::{MqttOptions, NetworkOptions};
use serde_json::json;
use snowgate_sensors::{
    intake::{Device, Fault, Intake, Told},
    mqtt::{self, Connection},
    spec::MqttSource,
};
use snowgate_simulators::{
    broker::{Mosquitto, Setup},
    mqtt::{Delivery, Publisher, Uplink},
};
use support::{Ear, intake};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const TIME: &str = "2026-05-01T00:29:58Z";

fn device(sensor: &str, source: &str) -> Device<MqttSource> {
    support::device(sensor, source, None)
}

fn gauge(sensor: &str, topic: &str) -> Device<MqttSource> {
    device(sensor, &format!("topic = '{topic}'\n[[values]]\nid = 'level'\nunit = 'm'\npointer = '/level'"))
}

/// The adapter at work.
struct Adapter {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Adapter {
    fn start(
        address: SocketAddr,
        login: Option<(&str, &str)>,
        devices: Vec<Device<MqttSource>>,
        intake: Intake,
    ) -> Self {
        let mut options = MqttOptions::new("gateway-sensors", address.ip().to_string(), address.port());
        options.set_keep_alive(Duration::from_secs(5));
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let broker = Connection { name: "main".to_owned(), address: address.to_string(), options, network };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(mqtt::subscribe(broker, devices, intake, shutdown.clone()));
        Self { task, shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.task).await.expect("it stops").expect("it does not panic");
    }
}

/// Publishes until a sensor hears it: then its subscription stands.
async fn settle(publisher: &mut Publisher, ear: &mut Ear, topic: &str, sensor: &str) {
    let probe = Uplink::plain(topic, "{}");
    let probes = async {
        loop {
            publisher.publish(&probe, Delivery::AtMostOnce).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = probes => {}
        said = ear.heard(sensor) => assert_eq!(said, []),
    }
}

/// The next thing a sensor says that is no probe.
async fn said(ear: &mut Ear, sensor: &str) -> Vec<(String, f64)> {
    loop {
        let said = ear.heard(sensor).await;
        if !said.is_empty() {
            return said;
        }
    }
}

fn level(value: f64) -> Vec<(String, f64)> {
    vec![("level".to_owned(), value)]
}

#[tokio::test]
async fn three_formats_end_in_the_same_samples() {
    let broker = Mosquitto::start();
    let (intake, mut ear) = intake();
    let devices = vec![
        gauge("plain", "水位/+"),
        device(
            "chirpstack",
            "topic = 'application/1/device/+/event/up'\nformat = 'chirpstack'\ndevice = '24E124713D123456'
            [[values]]\nid = 'level'\nunit = 'm'\npointer = '/level'
            [[values]]\nid = 'battery'\nunit = '%'\npointer = '/status/battery'",
        ),
        device(
            "other",
            "topic = 'application/1/device/+/event/up'\nformat = 'chirpstack'\ndevice = '24e124713d12ffff'
            [[values]]\nid = 'level'\nunit = 'm'\npointer = '/level'",
        ),
        device(
            "things",
            "topic = 'v3/+/devices/+/up'\nformat = 'the_things_stack'
            [[values]]\nid = 'rain'\nunit = 'mm'\npointer = '/rain'\nmissing = 'zero'
            [[values]]\nid = 'door'\npointer = '/door'\nwords = { open = 1, closed = 0 }",
        ),
    ];
    let adapter = Adapter::start(broker.address(), None, devices, intake);
    let mut publisher = Publisher::new("network-server", broker.address());
    settle(&mut publisher, &mut ear, "水位/桥", "plain").await;
    let chirpstack =
        |eui, level| Uplink::chirpstack("1", eui, TIME, json!({ "level": level, "status": { "battery": 97 } }));
    for uplink in [
        Uplink::plain("水位/桥", r#"{"level":"2.5"}"#),
        chirpstack("24e124713d123456", 1.25),
        chirpstack("24e124713d123457", 9.0),
        chirpstack("24e124713d12ffff", 1.5),
        Uplink::the_things_stack("app", "gauge", "0004A30B001C0530", TIME, json!({ "rain": 0.0, "door": "open" })),
    ] {
        publisher.publish(&uplink, Delivery::AtLeastOnce).await.unwrap();
    }
    assert_eq!(said(&mut ear, "plain").await, level(2.5));
    assert_eq!(said(&mut ear, "chirpstack").await, [("level".to_owned(), 1.25), ("battery".to_owned(), 97.0)]);
    assert_eq!(said(&mut ear, "other").await, level(1.5));
    assert_eq!(said(&mut ear, "things").await, [("rain".to_owned(), 0.0), ("door".to_owned(), 1.0)]);
    let more = ear.rest().iter().filter(|told| match told {
        Told::Heard { samples, .. } => !samples.is_empty(),
        _ => true,
    });
    assert_eq!(more.count(), 0, "the third device's message is nobody's");
    adapter.stop().await;
}

#[tokio::test]
async fn what_is_sent_while_the_gateway_or_the_broker_is_away_arrives() {
    let mut broker = Mosquitto::start();
    let (intake, mut ear) = intake();
    let devices = || vec![gauge("gauge", "water/bridge"), gauge("sos", "sos/#")];
    let mut publisher = Publisher::new("device", broker.address());
    let adapter = Adapter::start(broker.address(), None, devices(), intake.clone());
    settle(&mut publisher, &mut ear, "water/bridge", "gauge").await;
    settle(&mut publisher, &mut ear, "sos/1", "sos").await;

    // The gateway is away.
    adapter.stop().await;
    publisher.publish(&Uplink::plain("sos/1", r#"{"level":1}"#), Delivery::AtLeastOnce).await.unwrap();
    let adapter = Adapter::start(broker.address(), None, devices(), intake);
    assert_eq!(said(&mut ear, "sos").await, level(1.0));

    // The broker is away, comes back, and hears of the press before it hears of the gateway; both find each other.
    broker.stop();
    for sensor in ["gauge", "sos"] {
        assert!(matches!(ear.fault(sensor).await, Fault::Unreachable { .. }));
    }
    broker.restart();
    publisher.publish(&Uplink::plain("sos/1", r#"{"level":2}"#), Delivery::AtLeastOnce).await.unwrap();
    // The broker may not have seen the last acknowledgement: at least once.
    while said(&mut ear, "sos").await != level(2.0) {}
    for sensor in ["gauge", "sos"] {
        ear.reached(sensor).await;
    }
    adapter.stop().await;
}

#[tokio::test]
async fn what_the_intake_has_not_taken_comes_again() {
    let broker = Mosquitto::start();
    let mut publisher = Publisher::new("device", broker.address());
    let devices = || vec![gauge("gauge", "water/bridge")];
    let (first, mut ear) = intake();
    let adapter = Adapter::start(broker.address(), None, devices(), first);
    settle(&mut publisher, &mut ear, "water/bridge", "gauge").await;
    // Nobody reads the intake: it fills up, and whatever the adapter holds then is not acknowledged.
    let sent = 2000u32;
    let message = |number| Uplink::plain("water/bridge", format!(r#"{{"level":{number}}}"#));
    let messages: Vec<_> = (1..=sent).map(message).collect();
    publisher.publish_all(&messages, Delivery::AtLeastOnce).await.unwrap();
    adapter.stop().await;
    let mut heard: Vec<u32> = Vec::new();
    let levels = |told: &[Told]| -> Vec<u32> {
        let samples = told.iter().filter_map(|told| match told {
            Told::Heard { samples, .. } => samples.first(),
            _ => None,
        });
        samples.map(|(_, sample)| sample.value as u32).collect()
    };
    heard.extend(levels(ear.rest()));
    assert!(heard.len() < sent as usize, "the intake took everything: nothing is tried here");
    let (second, mut ear) = intake();
    let adapter = Adapter::start(broker.address(), None, devices(), second);
    while heard.last() != Some(&sent) {
        heard.push(said(&mut ear, "gauge").await[0].1 as u32);
    }
    let heard: BTreeSet<u32> = heard.into_iter().collect();
    let lost: Vec<u32> = (1..=sent).filter(|number| !heard.contains(number)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    adapter.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_told_of_every_sensor() {
    let broker = Mosquitto::start_with(&Setup { login: Some(("gateway", "right")), ..Setup::default() });
    let (intake, mut ear) = intake();
    let devices = vec![gauge("gauge", "water/bridge"), gauge("door", "door/1")];
    let adapter = Adapter::start(broker.address(), Some(("gateway", "wrong")), devices, intake);
    for sensor in ["gauge", "door"] {
        let Fault::Refused { address, why } = ear.fault(sensor).await else { panic!("it was let in") };
        assert_eq!(address, broker.address().to_string());
        assert!(!why.contains("wrong\"") && why.contains("password"), "{why}");
    }
    adapter.stop().await;
}

#[tokio::test]
async fn rubbish_is_refused_and_hurts_nobody_else() {
    let broker = Mosquitto::start();
    let (intake, mut ear) = intake();
    let eui = |sensor: &str, eui: &str| {
        let source =
            "topic = 'app/+'\nformat = 'chirpstack'\ndevice = '{}'\n[[values]]\nid = 'level'\npointer = '/level'";
        device(sensor, &source.replace("{}", eui))
    };
    let devices = vec![gauge("gauge", "water/bridge"), gauge("other", "water/mill"), eui("a", "01"), eui("b", "02")];
    let adapter = Adapter::start(broker.address(), None, devices, intake);
    let mut publisher = Publisher::new("device", broker.address());
    settle(&mut publisher, &mut ear, "water/bridge", "gauge").await;
    settle(&mut publisher, &mut ear, "water/mill", "other").await;
    let mut send = async |topic: &str, payload: &[u8]| {
        publisher.publish(&Uplink::plain(topic, payload), Delivery::AtLeastOnce).await.unwrap();
    };

    send("water/bridge", b"{\"level\":").await;
    let (sensor, message) = ear.rejected("malformed").await;
    assert_eq!(sensor.as_deref(), Some("gauge"));
    assert!(message.contains("\"water/bridge\" of broker main: no JSON"), "{message}");
    assert!(matches!(ear.fault("gauge").await, Fault::Malformed { .. }));

    send("water/bridge", &vec![b' '; 65_537]).await;
    assert_eq!(ear.rejected("too_long").await.0.as_deref(), Some("gauge"));
    assert!(matches!(ear.fault("gauge").await, Fault::Malformed { .. }));

    // What cannot be read on a topic that devices share is none of theirs.
    send("app/1", b"\xFF\xFE").await;
    assert_eq!(ear.rejected("malformed").await.0, None);

    send("water/mill", br#"{"level":1.5}"#).await;
    assert_eq!(said(&mut ear, "other").await, level(1.5));
    send("water/bridge", br#"{"level":2.5}"#).await;
    assert_eq!(said(&mut ear, "gauge").await, level(2.5));
    let faults = ear.rest().iter().filter(|told| matches!(told, Told::Fault { .. })).count();
    assert_eq!(faults, 0);
    adapter.stop().await;
}

#[tokio::test]
async fn what_was_retained_counts_only_with_a_time_of_its_own() {
    let broker = Mosquitto::start();
    let mut publisher = Publisher::new("device", broker.address());
    for topic in ["sos/1", "timed/1"] {
        let message = Uplink::plain(topic, format!(r#"{{"level":1,"time":"{TIME}"}}"#));
        publisher.publish(&message, Delivery::Retained).await.unwrap();
    }
    let (intake, mut ear) = intake();
    let timed = "topic = 'timed/+'\ntime = '/time'\n[[values]]\nid = 'level'\npointer = '/level'";
    let devices = vec![gauge("sos", "sos/+"), device("timed", timed)];
    let adapter = Adapter::start(broker.address(), None, devices, intake);
    assert_eq!(ear.rejected("retained").await.0.as_deref(), Some("sos"));
    assert_eq!(ear.heard("timed").await, level(1.0));
    // Published now, it is news, also for those who come later.
    publisher.publish(&Uplink::plain("sos/1", r#"{"level":2}"#), Delivery::Retained).await.unwrap();
    assert_eq!(ear.heard("sos").await, level(2.0));
    adapter.stop().await;
}

#[tokio::test]
async fn the_topic_of_a_removed_sensor_is_given_up() {
    let broker = Mosquitto::start();
    let mut publisher = Publisher::new("device", broker.address());
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(broker.address(), None, vec![gauge("gone", "water/gone")], intake.clone());
    settle(&mut publisher, &mut ear, "water/gone", "gone").await;
    adapter.stop().await;
    let adapter = Adapter::start(broker.address(), None, vec![gauge("gauge", "water/bridge")], intake);
    settle(&mut publisher, &mut ear, "water/bridge", "gauge").await;
    let gone = Uplink::plain("water/gone", r#"{"level":1}"#);
    publisher.publish(&gone, Delivery::AtLeastOnce).await.unwrap();
    let (sensor, message) = ear.rejected("unknown_sensor").await;
    assert!(sensor.is_none() && message.contains("water/gone"), "{message}");
    // The broker answers UNSUBSCRIBE in its own time.
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        assert!(tokio::time::Instant::now() < end, "the topic was not given up");
        ear.clock.advance(Duration::from_secs(2));
        publisher.publish(&gone, Delivery::AtLeastOnce).await.unwrap();
        settle(&mut publisher, &mut ear, "water/bridge", "gauge").await;
        if !ear.rest().iter().any(|told| matches!(told, Told::Rejected(_))) {
            break;
        }
        ear.rejected("unknown_sensor").await;
    }
    adapter.stop().await;
}

/// A broker that says what the test wants it to say.
struct ScriptedBroker(TcpStream);

impl ScriptedBroker {
    /// Takes the next connection; answers whether it asked for a clean session.
    async fn accept(listener: &TcpListener) -> (Self, bool) {
        let mut broker = Self(listener.accept().await.unwrap().0);
        let (kind, connect) = broker.packet().await.expect("CONNECT");
        assert_eq!(kind, 0x10);
        broker.send(&[0x20, 2, 0, 0]).await;
        // After the protocol's name (6 bytes) and level come the flags.
        (broker, connect[7] & 0x02 != 0)
    }

    /// The next packet: its first byte and what follows the length. `None` at the end of the connection.
    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.0.read_u8().await.ok()?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.0.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).await.ok()?;
        Some((kind, rest))
    }

    /// The next SUBSCRIBE: its packet identifier and topics.
    async fn subscribe(&mut self) -> ([u8; 2], Vec<String>) {
        let (kind, rest) = self.packet().await.expect("SUBSCRIBE");
        assert_eq!(kind, 0x82);
        let (mut topics, mut at) = (Vec::new(), 2);
        while at < rest.len() {
            let length = usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
            topics.push(String::from_utf8(rest[at + 2..at + 2 + length].to_vec()).unwrap());
            at += length + 3;
        }
        ([rest[0], rest[1]], topics)
    }

    async fn grant(&mut self, id: [u8; 2], codes: &[u8]) {
        let mut packet = vec![0x90, 2 + codes.len() as u8, id[0], id[1]];
        packet.extend(codes);
        self.send(&packet).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }
}

fn publish(topic: &str, id: u8, payload: &str) -> Vec<u8> {
    let length = 2 + topic.len() + 2 + payload.len();
    let mut packet = vec![0x32, length as u8, 0, topic.len() as u8];
    packet.extend(topic.bytes().chain([0, id]).chain(payload.bytes()));
    packet
}

#[tokio::test]
async fn a_refused_topic_is_its_sensors_fault_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (intake, mut ear) = intake();
    let devices = vec![gauge("all", "#"), gauge("mine", "water/bridge"), gauge("theirs", "water/mill")];
    let adapter = Adapter::start(listener.local_addr().unwrap(), None, devices, intake);
    let (mut broker, clean) = ScriptedBroker::accept(&listener).await;
    assert!(!clean);
    let (id, topics) = broker.subscribe().await;
    assert_eq!(topics, ["#"], "it stands for the others, too");
    broker.grant(id, &[0x80]).await;
    let (id, topics) = broker.subscribe().await;
    assert_eq!(topics, ["water/bridge", "water/mill"]);
    broker.grant(id, &[1, 0x80]).await;
    for (sensor, topic) in [("all", "#"), ("theirs", "water/mill")] {
        let Fault::Refused { why, .. } = ear.fault(sensor).await else { panic!("{sensor} is not refused") };
        assert!(why.ends_with(topic), "{why}");
    }
    broker.send(&publish("water/bridge", 1, r#"{"level":1}"#)).await;
    assert_eq!(ear.heard("mine").await, level(1.0));
    assert_eq!(broker.packet().await, Some((0x40, vec![0, 1])), "acknowledged once the intake has it");
    assert!(ear.rest().iter().all(|told| !matches!(told, Told::Fault { .. })));
    adapter.stop().await;
}

#[tokio::test]
async fn what_an_intake_that_has_ended_does_not_take_is_not_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (intake, ear) = intake();
    let adapter = Adapter::start(listener.local_addr().unwrap(), None, vec![gauge("gauge", "water/bridge")], intake);
    let (mut broker, _) = ScriptedBroker::accept(&listener).await;
    let (id, _) = broker.subscribe().await;
    drop(ear);
    broker.grant(id, &[1]).await;
    broker.send(&publish("water/bridge", 1, r#"{"level":1}"#)).await;
    assert_eq!(broker.packet().await, Some((0xE0, vec![])), "DISCONNECT, and no PUBACK before it");
    adapter.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_received_does_not_block_the_way_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(listener.local_addr().unwrap(), None, vec![gauge("gauge", "water/bridge")], intake);
    for _ in 0..2 {
        let (mut broker, clean) = ScriptedBroker::accept(&listener).await;
        assert!(!clean);
        // What stands before it in the same segment is heard; then the head of a packet of 16 MiB.
        let mut bytes = publish("water/bridge", 1, r#"{"level":1}"#);
        bytes.extend([0x32, 0xFF, 0xFF, 0xFF, 0x07, 0, 12]);
        broker.send(&bytes).await;
        assert_eq!(ear.heard("gauge").await, level(1.0));
        while broker.packet().await.is_some() {}
    }
    let Fault::Unreachable { why, .. } = ear.fault("gauge").await else { panic!("no fault") };
    assert!(why.contains("packet of 16777215 bytes"), "{why}");
    let (mut broker, clean) = ScriptedBroker::accept(&listener).await;
    assert!(clean, "the session is discarded");
    assert_eq!(broker.packet().await, Some((0xE0, vec![])));
    drop(broker);
    let (mut broker, clean) = ScriptedBroker::accept(&listener).await;
    assert!(!clean);
    let (id, _) = broker.subscribe().await;
    broker.grant(id, &[1]).await;
    ear.reached("gauge").await;
    adapter.stop().await;
}
