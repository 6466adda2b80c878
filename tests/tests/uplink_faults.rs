//! What the gateway says of itself, and what it makes of brokers that refuse, fall silent or misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use snowgate::{
    store::Class,
    uplink::{Fault, LinkState, MqttSecrets},
};
use snowgate_simulators::broker::{Certificates, Mosquitto, Setup, Tls};
use snowgate_tests::{
    proxy::{FaultProxy, Weather},
    reporter::Reporter,
    scripted_broker::{Act, Publish, ScriptedBroker},
    subscriber::{Received, Subscriber},
};

fn fault(reporter: &Reporter) -> Fault {
    match reporter.wait_for("a fault", |state| matches!(state, LinkState::Waiting { .. })) {
        LinkState::Waiting { fault, .. } => fault,
        state => panic!("{state:?}"),
    }
}

fn statuses(received: &[Received]) -> Vec<serde_json::Value> {
    let statuses = received.iter().filter(|message| message.topic == "snowgate/v1/gate-1/status");
    statuses.map(|message| serde_json::from_slice(&message.payload).unwrap()).collect()
}

fn incidents(publishes: &[Publish], connection: usize) -> Vec<&[u8]> {
    let of_connection = publishes.iter().filter(|p| p.connection == connection && p.topic.contains("/incident/"));
    of_connection.map(|publish| publish.payload.as_slice()).collect()
}

#[test]
fn a_wrong_password_is_said_and_the_right_one_works() {
    let broker = Mosquitto::start_with(&Setup { login: Some(("gate", "geheim")), tls: None, ..Setup::default() });
    let with = |password: &str| {
        let secrets = MqttSecrets { password: Some(password.to_owned()), ..MqttSecrets::default() };
        let mut reporter = Reporter::new(broker.address(), "username = 'gate'", secrets);
        reporter.connect();
        reporter
    };
    // Mosquitto does not tell a wrong password from a user it does not let in.
    assert_eq!(fault(&with("falsch")), Fault::NotAuthorised);
    let reporter = with("geheim");
    reporter.report(Class::Incident, &[("A", "A 1")]);
    reporter.wait_until_sent();
}

#[test]
fn refusals_and_nonsense_are_told_apart() {
    for (act, expected) in [
        (Act::Refuse(1), "refused"),
        (Act::Refuse(2), "refused"),
        (Act::Refuse(3), "refused"),
        (Act::Refuse(4), "bad_credentials"),
        (Act::Refuse(5), "not_authorised"),
        (Act::Refuse(77), "protocol"),
        (Act::Babble, "protocol"),
    ] {
        let broker = ScriptedBroker::start([act.clone()]);
        assert_eq!(fault(&Reporter::start(broker.address())).kind(), expected, "{act:?}");
    }
}

#[test]
fn tls_with_an_authority_and_a_client_certificate() {
    let certificates = Certificates::make();
    let strangers = Certificates::make();
    let setup =
        Setup { login: None, tls: Some(Tls { certificates: &certificates, ask_for_client: true }), ..Setup::default() };
    let broker = Mosquitto::start_with(&setup);
    let connect = |settings: &str, secrets: MqttSecrets| {
        let mut reporter = Reporter::new(broker.address(), settings, secrets);
        reporter.connect();
        reporter
    };
    let (authority, both) =
        ("tls = { ca_file = 'ca' }", "tls = { ca_file = 'ca', certificate_file = 'c', key_file = 'k' }");
    let identity = |authority: &Certificates, owner: &Certificates| MqttSecrets {
        ca: Some(authority.read("ca.pem")),
        certificate: Some(owner.read("client.pem")),
        key: Some(owner.read("client.key")),
        ..MqttSecrets::default()
    };

    let good = connect(both, identity(&certificates, &certificates));
    good.report(Class::Incident, &[("A", "A 1")]);
    good.wait_until_sent();

    let only_authority = MqttSecrets { ca: Some(certificates.read("ca.pem")), ..MqttSecrets::default() };
    for (what, reporter) in [
        ("an unknown authority", connect(both, identity(&strangers, &certificates))),
        ("a stranger's certificate", connect(both, identity(&certificates, &strangers))),
        ("no certificate", connect(authority, only_authority)),
        ("the system's authorities", connect("tls = {}", MqttSecrets::default())),
    ] {
        let fault = fault(&reporter);
        assert_eq!(fault.kind(), "tls", "{what}: {fault}");
    }
    // Talking plainly to an encrypted port gets no answer in MQTT.
    let fault = fault(&connect("", MqttSecrets::default()));
    assert!(matches!(fault.kind(), "unreachable" | "protocol"), "{fault}");
}

#[test]
fn a_client_certificate_may_be_needless() {
    let certificates = Certificates::make();
    let setup = Setup {
        login: None,
        tls: Some(Tls { certificates: &certificates, ask_for_client: false }),
        ..Setup::default()
    };
    let broker = Mosquitto::start_with(&setup);
    let secrets = MqttSecrets { ca: Some(certificates.read("ca.pem")), ..MqttSecrets::default() };
    let mut reporter = Reporter::new(broker.address(), "tls = { ca_file = 'ca' }", secrets);
    reporter.connect();
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
}

#[test]
fn the_status_tells_online_from_stopped_from_lost() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::start(broker.address());
    let is = |state: &'static str, reason: Option<&'static str>| {
        move |received: &[Received]| {
            statuses(received)
                .last()
                .is_some_and(|status| status["state"] == state && status["reason"].as_str() == reason)
        }
    };
    let received = subscriber.wait_until("online", is("online", None));
    let status = statuses(&received).pop().unwrap();
    assert!(status["boot_id"].as_str().is_some_and(|id| !id.is_empty()) && status["version"].is_string(), "{status}");
    assert_eq!(status["gateway"], "gate-1");

    reporter.stop();
    subscriber.wait_until("a clean stop", is("offline", Some("stopped")));
    reporter.connect();
    subscriber.wait_until("online again", is("online", None));
    reporter.kill();
    subscriber.wait_until("the last will", is("offline", Some("connection_lost")));

    // Retained: who comes later is told at once.
    let late = Subscriber::start_with("late", broker.address(), None);
    let received = late.wait_until("what the broker kept", |received| !statuses(received).is_empty());
    assert!(received.iter().any(|message| message.topic.ends_with("/status") && message.retained));
}

#[test]
fn a_stop_sends_what_is_on_its_way_and_keeps_the_rest() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::start(broker.address());
    for number in 0..50 {
        reporter.report(Class::Incident, &[("A", &format!("A {number}"))]);
    }
    reporter.stop();
    let unsent = usize::try_from(reporter.store.status().messages()).unwrap();
    let came = |received: &[Received]| received.iter().filter(|m| m.topic.contains("/incident/")).count();
    // The offline status is the last thing it says.
    let received = subscriber.wait_until("the end", |r| statuses(r).last().is_some_and(|s| s["state"] == "offline"));
    assert_eq!(came(&received) + unsent, 50, "sent and forgotten, or unsent and kept");
    reporter.connect();
    let received = subscriber.wait_until("all of them", |received| came(received) == 50);
    assert_eq!(came(&received), 50);
}

#[test]
fn retained_states_are_published_on_every_connection() {
    let mut broker = Mosquitto::start();
    let reporter = Reporter::start(broker.address());
    let north = reporter.topics.camera_state(&"north".parse().unwrap());
    reporter.retained.set(north.clone(), "connecting");
    reporter.retained.set(north.clone(), "live");
    // A fresh broker that has kept nothing.
    let retained_live = |broker: &Mosquitto, id: &str| {
        let subscriber = Subscriber::start_with(id, broker.address(), None);
        let newest =
            |received: &[Received]| received.iter().rfind(|message| message.topic == north).map(Received::text);
        subscriber.wait_until("the camera's state", |received| newest(received).as_deref() == Some("live"));
    };
    retained_live(&broker, "first");
    broker.kill9();
    broker.forget();
    broker.restart();
    retained_live(&broker, "second");
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
    let subscriber = Subscriber::start_with("third", broker.address(), None);
    reporter.retained.set(north.clone(), "stalled");
    subscriber.wait_until("the change", |received| {
        received.iter().any(|message| message.topic == north && message.text() == "stalled")
    });
}

#[test]
fn a_broker_that_closes_gets_everything_again_in_order() {
    let broker = ScriptedBroker::start([Act::CloseAfter(4), Act::CloseAfter(2), Act::Behave]);
    let reporter = Reporter::start(broker.address());
    reporter.report(Class::Incident, &[("A", "1"), ("A", "2"), ("B", "3"), ("A", "4"), ("B", "5")]);
    reporter.wait_until_sent();
    let publishes = broker.wait_until("all", |publishes| incidents(publishes, 2).len() == 5);
    // The first thing on every connection is the status.
    assert_eq!(incidents(&publishes, 0), [b"1", b"2", b"3"]);
    assert_eq!(incidents(&publishes, 1), [b"1"]);
    assert_eq!(incidents(&publishes, 2), [b"1", b"2", b"3", b"4", b"5"]);
}

#[test]
fn acknowledgements_that_come_twice_lose_nothing() {
    let broker = ScriptedBroker::start([Act::AcknowledgeTwice, Act::Behave]);
    let reporter = Reporter::start(broker.address());
    reporter.report(Class::Incident, &[("A", "1"), ("A", "2"), ("A", "3")]);
    reporter.wait_until_sent();
    broker.wait_until("all", |publishes| {
        [b"1", b"2", b"3"].iter().all(|wanted| publishes.iter().any(|publish| publish.payload == *wanted))
    });
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let broker = ScriptedBroker::start([Act::NeverAcknowledge, Act::Behave]);
    let mut reporter = Reporter::new(broker.address(), "keep_alive = '1s'", MqttSecrets::default());
    reporter.connect();
    reporter.report(Class::Incident, &[("A", "1")]);
    assert_eq!(fault(&reporter).kind(), "silent");
    reporter.wait_until_sent();
}

#[test]
fn one_message_left_unacknowledged_blocks_nothing_for_long() {
    let broker = ScriptedBroker::start([Act::ForgetFirst, Act::Behave]);
    let mut reporter = Reporter::new(broker.address(), "keep_alive = '1s'\nmax_inflight = 4", MqttSecrets::default());
    reporter.connect();
    let numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let messages: Vec<_> = numbers.iter().map(|number| ("A", number.as_str())).collect();
    reporter.report(Class::Incident, &messages);
    reporter.wait_until_sent();
}

#[test]
fn a_line_that_swallows_everything_is_noticed() {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(broker.address());
    let mut reporter = Reporter::new(proxy.address(), "keep_alive = '1s'", MqttSecrets::default());
    reporter.connect();
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
    proxy.set(Weather { hold_replies: true, hold_requests: true, ..Weather::default() });
    assert_eq!(fault(&reporter).kind(), "silent");
    proxy.cut();
    proxy.set(Weather::default());
    reporter.wait_for("a connection again", |state| *state == LinkState::Online);
}

#[test]
fn a_message_the_broker_cannot_stand_holds_up_its_own_lane_only() {
    let broker = ScriptedBroker::start([Act::CloseOn(b"poison")]);
    let reporter = Reporter::start(broker.address());
    let messages = [("A", "poison"), ("A", "after it"), ("B", "1"), ("", "2"), ("B", "3")];
    reporter.report(Class::Incident, &messages);
    let publishes = broker.wait_until("the innocent", |publishes| {
        [&b"1"[..], b"2", b"3"].iter().all(|wanted| publishes.iter().any(|publish| publish.payload == *wanted))
    });
    assert!(!publishes.iter().any(|publish| publish.payload == b"after it"), "it would come before what it follows");
    assert_eq!(reporter.wait_for("a connection", |state| *state == LinkState::Online), LinkState::Online);
    reporter.wait_for_messages(2);
}
