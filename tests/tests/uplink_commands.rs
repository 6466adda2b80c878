//! Commands come in, once they are sent and until they are settled, and never in the way of what goes out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use snowgate::{
    store::Class,
    uplink::{Command, Fault, LinkState, MqttSecrets},
};
use snowgate_core::incidents::command::MAX_COMMAND_BYTES;
use snowgate_simulators::broker::Mosquitto;
use snowgate_tests::{
    proxy::{FaultProxy, Weather},
    reporter::{COMMANDS, Reporter},
    scripted_broker::{Act, ScriptedBroker},
    subscriber::{Received, Subscriber},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// One message for the gateway: the last part of its topic, how it is sent, and what it says.
struct Sent {
    name: String,
    quality: QoS,
    retain: bool,
    payload: Vec<u8>,
}

fn command(name: &str, payload: impl Into<Vec<u8>>) -> Sent {
    Sent { name: name.to_owned(), quality: QoS::AtLeastOnce, retain: false, payload: payload.into() }
}

/// Publishes commands, and waits until the broker has them all.
fn send(broker: SocketAddr, commands: Vec<Sent>) {
    let name = format!("platform-{:?}", thread::current().id());
    let mut options = MqttOptions::new(name, broker.ip().to_string(), broker.port());
    options.set_max_packet_size(16 << 20, 16 << 20).set_inflight(100);
    let (client, mut connection) = Client::new(options, commands.len() + 1);
    let mut left = commands.len();
    for Sent { name, quality, retain, payload } in commands {
        client.try_publish(format!("snowgate/v1/gate-1/cmd/{name}"), quality, retain, payload).unwrap();
    }
    // The last word is acknowledged after everything before it has been taken.
    client.try_publish("platform/done", QoS::AtLeastOnce, false, "").unwrap();
    left += 1;
    let mut at_most_once = 0;
    for event in connection.iter() {
        match event.expect("the broker takes commands") {
            Event::Incoming(Packet::PubAck(_)) => left -= 1,
            Event::Outgoing(rumqttc::Outgoing::Publish(0)) => at_most_once += 1,
            _ => {}
        }
        if left == at_most_once {
            return;
        }
    }
}

/// The next command.
fn next(reporter: &Reporter) -> Command {
    reporter.commands.recv_timeout(PATIENCE).expect("a command")
}

fn text(command: &Command) -> String {
    String::from_utf8(command.payload.clone().expect("it is small enough")).unwrap()
}

/// Settles commands until this one has come, and returns what came before it.
fn settle_until(reporter: &Reporter, last: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let command = next(reporter);
        let text = text(&command);
        command.receipt.settle();
        if text == last {
            return before;
        }
        before.push(text);
    }
}

/// Waits until commands get through.
fn until_heard(reporter: &Reporter, broker: SocketAddr) {
    let end = Instant::now() + PATIENCE;
    for number in 0.. {
        let hello = format!("hello {number}");
        send(broker, vec![command("hello", hello.as_str())]);
        if let Ok(command) = reporter.commands.recv_timeout(Duration::from_millis(100)) {
            let came = text(&command);
            command.receipt.settle();
            if came != hello {
                settle_until(reporter, &hello);
            }
            return;
        }
        assert!(Instant::now() < end, "no command gets through");
    }
}

fn start(broker: SocketAddr, settings: &str) -> Reporter {
    let mut reporter = Reporter::new(broker, settings, MqttSecrets::default());
    reporter.connect();
    reporter
}

fn incidents(received: &[Received]) -> Vec<String> {
    received.iter().filter(|message| message.topic.contains("/incident/")).map(Received::text).collect()
}

#[test]
fn a_settled_command_does_not_come_again() {
    let broker = Mosquitto::start();
    let mut reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    send(broker.address(), vec![command("disposition", "1"), command("verify", "2")]);
    let (first, second) = (next(&reporter), next(&reporter));
    assert_eq!((first.name.as_str(), second.name.as_str()), ("disposition", "verify"));
    assert_eq!((text(&first), text(&second)), ("1".to_owned(), "2".to_owned()));
    second.receipt.settle();
    first.receipt.settle();
    reporter.stop();
    reporter.connect();
    send(broker.address(), vec![command("verify", "3")]);
    assert_eq!(settle_until(&reporter, "3"), Vec::<String>::new());
}

#[test]
fn an_unsettled_command_comes_again_and_a_late_receipt_is_void() {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(broker.address());
    let mut reporter = start(proxy.address(), "");
    until_heard(&reporter, broker.address());
    send(broker.address(), vec![command("disposition", "1")]);
    let first = next(&reporter);
    proxy.cut();
    let again = next(&reporter);
    assert_eq!((text(&first), text(&again)), ("1".to_owned(), "1".to_owned()));
    // The packet identifier it stood for means something else now.
    first.receipt.settle();
    reporter.stop();
    reporter.connect();
    let third = next(&reporter);
    assert_eq!(text(&third), "1");
    again.receipt.settle();
    third.receipt.settle();
    reporter.stop();
    reporter.connect();
    send(broker.address(), vec![command("verify", "2")]);
    assert_eq!(settle_until(&reporter, "2"), Vec::<String>::new());
}

#[test]
fn commands_sent_while_nobody_is_there_wait_at_the_broker() {
    let mut broker = Mosquitto::start();
    let mut reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    reporter.stop();
    send(broker.address(), (0..5).map(|n| command("disposition", n.to_string())).collect());
    reporter.connect();
    assert_eq!(settle_until(&reporter, "4"), ["0", "1", "2", "3"]);
    reporter.kill();
    send(broker.address(), (5..10).map(|n| command("disposition", n.to_string())).collect());
    broker.stop();
    broker.restart();
    reporter.connect();
    let came = settle_until(&reporter, "9");
    assert!(came.ends_with(&["5", "6", "7", "8"].map(str::to_owned)), "{came:?}");
}

#[test]
fn a_broker_that_forgets_the_session_is_asked_again() {
    let mut broker = Mosquitto::start();
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    broker.kill9();
    broker.forget();
    broker.restart();
    until_heard(&reporter, broker.address());
    reporter.report(Class::Incident, &[("A", "A 1")]);
    reporter.wait_until_sent();
}
