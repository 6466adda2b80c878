//! Commands come in, once they are sent and until they are settled, and never in the way of what goes out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
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
use snowgate_simulators::broker::{Mosquitto, Setup};
use snowgate_tests::{
    proxy::FaultProxy,
    reporter::{COMMANDS, Reporter},
    scripted_broker::{Act, ScriptedBroker},
    subscriber::{Received, Subscriber},
    wait::{PATIENCE, wait_until},
};

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

#[test]
fn what_could_not_be_answered_is_acknowledged_and_passed_over() {
    let broker = Mosquitto::start();
    let mut reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    let no_names = ["UPPER", "核查", "", &"x".repeat(65)].map(|name| command(name, "{}"));
    let mut commands: Vec<_> = no_names.into_iter().collect();
    // A retained command, taken back.
    commands.push(Sent { retain: true, ..command("verify", "kept") });
    commands.push(Sent { retain: true, ..command("verify", "") });
    commands.push(command("verify", "1"));
    send(broker.address(), commands);
    assert_eq!(settle_until(&reporter, "1"), ["kept"]);
    reporter.stop();
    reporter.connect();
    send(broker.address(), vec![command("verify", "2")]);
    assert_eq!(settle_until(&reporter, "2"), Vec::<String>::new());
}

#[test]
fn a_command_too_long_to_read_can_be_answered_all_the_same() {
    let broker = Mosquitto::start();
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    let payload = |bytes| vec![b' '; bytes];
    let lengths = [MAX_COMMAND_BYTES, MAX_COMMAND_BYTES + 1, 1 << 19];
    send(broker.address(), lengths.map(|length| command("verify", payload(length))).into());
    let [longest, too_long, far_too_long] = [(); 3].map(|()| next(&reporter));
    assert_eq!(longest.payload.unwrap().len(), MAX_COMMAND_BYTES);
    for (command, bytes) in [(too_long, "16385"), (far_too_long, "524288")] {
        assert_eq!(command.name, "verify");
        let malformed = command.payload.unwrap_err();
        assert!(malformed.detail.contains(bytes), "{malformed}");
    }
}

#[test]
fn a_packet_that_cannot_be_taken_in_is_got_rid_of() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let reporter = start(broker.address(), "max_packet = '8KiB'");
    until_heard(&reporter, broker.address());
    send(broker.address(), vec![command("verify", vec![b'x'; 9000]), command("verify", "behind it")]);
    let fault = reporter.wait_for("a fault", |state| matches!(state, LinkState::Waiting { .. }));
    assert!(matches!(fault, LinkState::Waiting { fault: Fault::Unreadable(_), .. }), "{fault:?}");
    reporter.report(Class::Incident, &[("A", "A 1")]);
    reporter.wait_until_sent();
    until_heard(&reporter, broker.address());
    assert_eq!(incidents(&subscriber.received()), ["A 1"], "it was not what broke the connection");
}

#[test]
fn a_retained_packet_that_cannot_be_taken_in_costs_commands_and_nothing_else() {
    let broker = Mosquitto::start();
    let kept = Sent { retain: true, ..command("verify", vec![b'x'; 9000]) };
    send(broker.address(), vec![kept]);
    let proxy = FaultProxy::start(broker.address());
    let reporter = start(proxy.address(), "max_packet = '8KiB'");
    // Three connections break over it, the fourth does without; and each time the session is discarded by one more.
    let subscriber = Subscriber::start(broker.address());
    assert!(wait_until(PATIENCE, || proxy.accepted() == 7), "{} connections", proxy.accepted());
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
    for number in 0..20 {
        reporter.report(Class::Incident, &[("A", &format!("A {number}"))]);
        reporter.wait_until_sent();
    }
    assert_eq!(incidents(&subscriber.received()).len(), 20);
    assert_eq!(proxy.accepted(), 7, "it lasts");
}

#[test]
fn brokers_that_let_no_commands_through_get_incidents_all_the_same() {
    for act in [Act::RefuseSubscribe, Act::CloseOnSubscribe, Act::IgnoreSubscribe] {
        let broker = ScriptedBroker::start([act.clone()]);
        let reporter = start(broker.address(), "keep_alive = '1s'");
        reporter.report(Class::Incident, &[("A", "1"), ("A", "2"), ("B", "3")]);
        reporter.wait_until_sent();
        let connections = |count: usize| {
            let awaited = format!("connection {count} with {act:?}");
            // The first thing published on every connection is the status.
            broker.wait_until(&awaited, |publishes| publishes.iter().any(|publish| publish.connection == count));
        };
        match act {
            Act::RefuseSubscribe => connections(0),
            _ => connections(3),
        }
        if act == Act::IgnoreSubscribe {
            continue;
        }
        reporter.report(Class::Incident, &[("A", "4")]);
        reporter.wait_until_sent();
        assert_eq!(reporter.wait_for("a connection", |state| *state == LinkState::Online), LinkState::Online);
    }
}

#[test]
fn a_subscription_that_is_not_answered_is_a_fault() {
    let broker = ScriptedBroker::start([Act::IgnoreSubscribe]);
    let reporter = start(broker.address(), "keep_alive = '1s'");
    let state = reporter.wait_for("a fault", |state| matches!(state, LinkState::Waiting { .. }));
    let LinkState::Waiting { fault, .. } = state else { panic!("{state:?}") };
    assert_eq!(fault.kind(), "silent");
    assert!(fault.to_string().contains("subscription"), "{fault}");
}

#[test]
fn commands_of_quality_0_fill_half_the_queue_and_leave_room_for_the_others() {
    let broker = Mosquitto::start();
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    let fleeting = (0..COMMANDS).map(|n| Sent { quality: QoS::AtMostOnce, ..command("verify", n.to_string()) });
    send(broker.address(), fleeting.collect());
    send(broker.address(), vec![command("disposition", "kept")]);
    // Once that one is there, so is everything before it; reading earlier would make room.
    assert!(wait_until(PATIENCE, || reporter.commands.len() == COMMANDS / 2 + 1));
    let before = settle_until(&reporter, "kept");
    assert_eq!(before, (0..COMMANDS / 2).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn commands_that_find_no_room_stay_with_the_broker_and_are_fetched() {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(broker.address());
    let subscriber = Subscriber::start(broker.address());
    let reporter = start(proxy.address(), "");
    until_heard(&reporter, broker.address());
    let all: BTreeSet<_> = (0..COMMANDS * 2).map(|n| n.to_string()).collect();
    // This broker sends as many as it has without waiting for an acknowledgement.
    send(broker.address(), all.iter().map(|n| command("disposition", n.as_str())).collect());
    assert!(wait_until(PATIENCE, || reporter.commands.is_full()));
    let mut came = BTreeSet::new();
    while came != all {
        let command = next(&reporter);
        came.insert(text(&command));
        command.receipt.settle();
    }
    assert!(proxy.accepted() >= 2, "they came by another connection");
    let offline = subscriber.received().iter().any(|message| message.text().contains("offline"));
    assert!(!offline, "it was never away");
    // All of them are settled: nothing is left to come.
    send(broker.address(), vec![command("verify", "last")]);
    settle_until(&reporter, "last");
}

#[test]
fn a_command_dropped_unsettled_is_fetched_again() {
    let broker = Mosquitto::start();
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    send(broker.address(), vec![command("disposition", "1")]);
    drop(next(&reporter));
    assert_eq!(settle_until(&reporter, "1"), Vec::<String>::new());
}

#[test]
fn a_flood_of_commands_is_not_in_the_way_of_incidents() {
    let broker = Mosquitto::start_with(&Setup { fleeting: true, ..Setup::default() });
    let subscriber = Subscriber::start(broker.address());
    let reporter = start(broker.address(), "keep_alive = '2s'");
    until_heard(&reporter, broker.address());
    let address = broker.address();
    // Nobody carries them out meanwhile.
    let flood = thread::spawn(move || {
        for round in 0..10 {
            let quality = if round % 2 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let garbage = |n: usize| Sent { quality, ..command("disposition", format!("{{\"id\":{n},[[[")) };
            send(address, (0..1000).map(garbage).collect());
        }
    });
    let mut slowest = Duration::ZERO;
    let mut number = 0;
    while !flood.is_finished() || number < 200 {
        let began = Instant::now();
        reporter.report(Class::Incident, &[("A", &format!("A {number}"))]);
        reporter.wait_until_sent();
        slowest = slowest.max(began.elapsed());
        number += 1;
    }
    flood.join().unwrap();
    let wanted: Vec<_> = (0..number).map(|n| format!("A {n}")).collect();
    let received = subscriber.wait_until("all incidents", |received| incidents(received).len() >= number);
    assert_eq!(incidents(&received), wanted);
    assert!(slowest < Duration::from_secs(5), "one took {slowest:?}");
    assert!(!received.iter().any(|message| message.text().contains("connection_lost")), "keep-alive held");
    assert!(reporter.commands.is_full(), "the flood came this far");
}

#[test]
fn a_flood_of_nonsense_is_acknowledged_to_the_end() {
    let broker = Mosquitto::start_with(&Setup { fleeting: true, ..Setup::default() });
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    send(broker.address(), (0..10_000).map(|_| command("NO-NAME", "x")).collect());
    send(broker.address(), vec![command("verify", "last")]);
    assert_eq!(settle_until(&reporter, "last"), Vec::<String>::new());
    assert_eq!(reporter.wait_for("a connection", |state| *state == LinkState::Online), LinkState::Online);
}

#[test]
fn commands_are_counted() {
    let broker = Mosquitto::start();
    let reporter = start(broker.address(), "");
    until_heard(&reporter, broker.address());
    let names = ["disposition", "verify", "no-such-command", "NO-NAME", "last"];
    send(broker.address(), names.map(|name| command(name, name)).into());
    settle_until(&reporter, "last");
    let count = |name: &str, label: &str| {
        let metrics = snowgate::events::REGISTRY.gather();
        let values = metrics.iter().filter(|metric| metric.name() == name).flat_map(|metric| metric.get_metric());
        let labelled = values.filter(|value| label.is_empty() || value.get_label()[0].value() == label);
        labelled.map(|value| value.get_counter().get_value()).sum::<f64>()
    };
    for (name, label) in [
        ("snowgate_mqtt_commands_total", "disposition"),
        ("snowgate_mqtt_commands_total", "verify"),
        ("snowgate_mqtt_commands_total", "other"),
        ("snowgate_mqtt_commands_dropped_total", "name"),
        ("snowgate_mqtt_command_acks_total", ""),
    ] {
        assert!(wait_until(PATIENCE, || count(name, label) >= 1.0), "{name} {label}");
    }
    assert_eq!(count("snowgate_mqtt_commands_total", "no-such-command"), 0.0, "what is on the wire is no label");
}
