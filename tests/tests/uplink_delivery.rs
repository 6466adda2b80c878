//! What was committed arrives: in order, whatever breaks in between.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use snowgate::{
    store::{Class, StoreError},
    uplink::{Fault, LinkState, MqttSecrets},
};
use snowgate_simulators::broker::{Mosquitto, Setup};
use snowgate_tests::{
    proxy::{FaultProxy, Weather},
    reporter::Reporter,
    subscriber::{Received, Subscriber},
};

/// Payloads of incidents and evidence, in the order they came.
fn payloads(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .filter(|m| m.topic.contains("/incident/") || m.topic.contains("/evidence/"))
        .map(Received::text)
        .collect()
}

/// Waits until every one of `expected` has come, and checks that each lane's first arrivals are in order: a payload is
/// "LANE NUMBER".
fn wait_for_all(subscriber: &Subscriber, expected: &BTreeSet<String>) -> Vec<String> {
    let received = subscriber.wait_until("all messages", |received| {
        let came: BTreeSet<_> = payloads(received).into_iter().collect();
        expected.is_subset(&came)
    });
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let all = payloads(&received);
    for payload in all.iter().filter(|payload| seen.insert((*payload).clone())) {
        let (lane, number) = payload.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        let before = last.insert(lane.to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{lane}: {number} came after {before:?}");
    }
    all
}

fn report_numbered(
    reporter: &Reporter,
    lanes: &[&str],
    numbers: std::ops::Range<u32>,
    expected: &mut BTreeSet<String>,
) {
    for number in numbers {
        for lane in lanes {
            let payload = format!("{lane} {number}");
            reporter.report(Class::Incident, &[(lane, &payload)]);
            expected.insert(payload);
        }
    }
}

#[test]
fn revisions_of_an_incident_arrive_in_order_and_leave_the_outbox() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let reporter = Reporter::start(broker.address());
    let mut expected = BTreeSet::new();
    report_numbered(&reporter, &["A", "B", "C"], 0..50, &mut expected);
    let came = wait_for_all(&subscriber, &expected);
    assert_eq!(came.len(), 150, "nothing broke, so nothing comes twice");
    reporter.wait_until_sent();
}

#[test]
fn a_broker_that_is_down_at_the_start_gets_everything_once_it_is_up() {
    let mut broker = Mosquitto::prepare(&Setup::default());
    let reporter = Reporter::start(broker.address());
    reporter.wait_for("a report that nobody is there", |state| {
        matches!(state, LinkState::Waiting { fault: Fault::Unreachable(_), .. })
    });
    reporter.report(Class::Incident, &[("A", "A 1"), ("A", "A 2")]);
    broker.restart();
    let subscriber = Subscriber::start(broker.address());
    reporter.report(Class::Incident, &[("A", "A 3")]);
    // Whoever subscribes late has missed what was not kept for him; the broker has it all the same.
    subscriber.wait_until("the last one", |received| payloads(received).contains(&"A 3".to_owned()));
    reporter.wait_until_sent();
}

#[test]
fn a_broker_killed_in_mid_stream_leaves_no_hole() {
    let mut broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let reporter = Reporter::start(broker.address());
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        report_numbered(&reporter, &["A", "B"], round * 100..round * 100 + 50, &mut expected);
        broker.kill9();
        report_numbered(&reporter, &["A", "B"], round * 100 + 50..round * 100 + 100, &mut expected);
        broker.restart();
    }
    wait_for_all(&subscriber, &expected);
    reporter.wait_until_sent();
}

#[test]
fn a_gateway_killed_in_mid_stream_leaves_no_hole() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::start(broker.address());
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        report_numbered(&reporter, &["A", "B"], round * 100..round * 100 + 100, &mut expected);
        reporter.kill();
        reporter.connect();
    }
    wait_for_all(&subscriber, &expected);
    reporter.wait_until_sent();
}

#[test]
fn what_was_not_acknowledged_is_sent_again() {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(broker.address());
    let subscriber = Subscriber::start(broker.address());
    let reporter = Reporter::start(proxy.address());
    reporter.report(Class::Incident, &[("A", "A 1")]);
    reporter.wait_until_sent();

    proxy.set(Weather { hold_replies: true, ..Weather::default() });
    reporter.report(Class::Incident, &[("A", "A 2"), ("A", "A 3")]);
    let came = |count| move |received: &[Received]| payloads(received).len() >= count;
    subscriber.wait_until("both, though their acknowledgements are on their way", came(3));
    assert_eq!(reporter.store.status().of(Class::Incident).messages, 2, "not acknowledged, not forgotten");
    proxy.cut();
    proxy.set(Weather::default());
    let received = subscriber.wait_until("both again", came(5));
    assert_eq!(payloads(&received), ["A 1", "A 2", "A 3", "A 2", "A 3"]);
    reporter.wait_until_sent();
}

#[test]
fn a_message_no_packet_can_carry_is_refused_and_harms_nothing() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::new(broker.address(), "max_packet = '8KiB'", MqttSecrets::default());
    reporter.connect();
    let topic = reporter.topics.incident("village", "1");
    let huge = snowgate::store::Message {
        class: Class::Incident,
        lane: None,
        topic: topic.clone(),
        payload: vec![b'x'; 8 << 10],
        retain: false,
        origin: None,
    };
    let refused = reporter
        .store
        .commit(|_| snowgate::store::Commit { messages: vec![huge.clone()], ..snowgate::store::Commit::default() });
    assert!(matches!(refused, Err(StoreError::Oversize { limit: 8192, .. })), "{refused:?}");
    // The largest there can be goes through.
    let room = 8192 - snowgate::store::publish_packet_bytes(topic.len(), 8000) as usize + 8000;
    let largest = snowgate::store::Message { payload: vec![b'y'; room], ..huge };
    assert_eq!(largest.packet_bytes(), 8192);
    reporter
        .store
        .commit(|_| snowgate::store::Commit { messages: vec![largest.clone()], ..snowgate::store::Commit::default() })
        .unwrap();
    reporter.report(Class::Incident, &[("A", "A 1")]);
    let received = subscriber.wait_until("both that fit", |received| payloads(received).len() == 2);
    assert_eq!(payloads(&received)[1], "A 1");
    reporter.wait_until_sent();
    assert_eq!(reporter.wait_for("a connection", |_| true), LinkState::Online);
}

#[test]
fn what_a_lowered_limit_shuts_out_is_given_up_and_said() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let reporter = Reporter::new(broker.address(), "", MqttSecrets::default());
    let large = "x".repeat(20_000);
    reporter.report(Class::Evidence, &[("A", &large), ("A", "A 1"), ("A", &large)]);
    reporter.report(Class::Incident, &[("A", "A 2")]);
    let mut reporter = reporter.reopen("max_packet = '8KiB'");
    reporter.connect();
    let received =
        subscriber.wait_until("the report of the loss", |received| received.iter().any(|m| m.topic.ends_with("/gap")));
    let gap = received.iter().find(|m| m.topic.ends_with("/gap")).unwrap().text();
    for part in [r#""class":"evidence""#, r#""reason":"oversize""#, r#""gateway":"gate-1""#] {
        assert!(gap.contains(part), "{part} is missing from {gap}");
    }
    reporter.wait_until_sent();
    let count = |received: &[Received]| -> u64 {
        let gaps = received.iter().filter(|m| m.topic.ends_with("/gap"));
        gaps.map(|m| serde_json::from_slice::<serde_json::Value>(&m.payload).unwrap()["messages"].as_u64().unwrap())
            .sum()
    };
    let received = subscriber.wait_until("both losses counted", |received| count(received) == 2);
    let came: BTreeSet<_> = payloads(&received).into_iter().collect();
    assert_eq!(came, BTreeSet::from(["A 1".to_owned(), "A 2".to_owned()]));
}

#[test]
fn what_happens_now_overtakes_a_long_backlog_but_not_its_own_past() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::new(broker.address(), "drain_rate = 2000", MqttSecrets::default());
    let backlog: Vec<_> = (0..10_000).map(|n| (format!("old{}", n % 2500), format!("old{} {n}", n % 2500))).collect();
    let backlog: Vec<_> = backlog.iter().map(|(lane, payload)| (lane.as_str(), payload.as_str())).collect();
    for part in backlog.chunks(1000) {
        reporter.report(Class::Incident, part);
    }
    reporter.connect();
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
    subscriber.wait_until("some of the backlog", |received| !payloads(received).is_empty());
    // Its lane still has four revisions in the backlog, the last of them near its end.
    reporter.report(Class::Incident, &[("new", "new 1"), ("old2499", "old2499 99999")]);

    let mut expected: BTreeSet<String> = backlog.iter().map(|(_, payload)| (*payload).to_owned()).collect();
    expected.extend(["new 1".to_owned(), "old2499 99999".to_owned()]);
    let came = wait_for_all(&subscriber, &expected);
    assert_eq!(came.len(), 10_002, "nothing twice");
    let place = |payload: &str| came.iter().position(|p| p == payload).unwrap();
    assert!(place("new 1") < 5_000, "a live incident waited for {} messages", place("new 1"));
    assert!(place("old2499 99999") < 5_000, "one with a past waited for {}", place("old2499 99999"));
    reporter.wait_until_sent();
}

#[test]
fn a_backlog_drains_at_its_rate() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let mut reporter = Reporter::new(broker.address(), "drain_rate = 40", MqttSecrets::default());
    for number in 0..100 {
        reporter.report(Class::Incident, &[("A", &format!("A {number}"))]);
    }
    reporter.connect();
    subscriber.wait_until("the first", |received| !payloads(received).is_empty());
    let began = Instant::now();
    subscriber.wait_until("the last", |received| payloads(received).len() == 100);
    // A tenth of a second's worth may go at once.
    let least = Duration::from_secs_f64((100.0 - 1.0 - 2.0 * 4.0) / 40.0);
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

#[test]
fn an_incident_does_not_queue_behind_pictures_on_a_slow_line() {
    let broker = Mosquitto::start();
    let proxy = FaultProxy::start(broker.address());
    let subscriber = Subscriber::start(broker.address());
    let reporter = Reporter::start(proxy.address());
    reporter.wait_for("a connection", |state| *state == LinkState::Online);
    proxy.set(Weather { bytes_per_second: 1_000_000, ..Weather::default() });
    let still = "s".repeat(200_000);
    let stills: Vec<_> = (0..12).map(|_| ("A", still.as_str())).collect();
    reporter.report(Class::Evidence, &stills);
    subscriber.wait_until("the first still", |received| !payloads(received).is_empty());
    reporter.report(Class::Incident, &[("B", "B 1")]);
    let received = subscriber.wait_until("everything", |received| payloads(received).len() == 13);
    let place = payloads(&received).iter().position(|payload| payload == "B 1").unwrap();
    assert!(place <= 6, "the incident waited for {place} stills");
}

#[test]
fn time_from_frame_to_publish_is_measured() {
    let broker = Mosquitto::start();
    let reporter = Reporter::start(broker.address());
    reporter.report(Class::Incident, &[("A", "A 1")]);
    reporter.wait_until_sent();
    let metrics = snowgate::events::REGISTRY.gather();
    let find = |name: &str| metrics.iter().find(|metric| metric.name() == name).unwrap_or_else(|| panic!("no {name}"));
    let histogram = &find("snowgate_frame_to_publish_seconds").get_metric()[0];
    assert!(histogram.get_histogram().get_sample_count() >= 1);
    for name in ["snowgate_mqtt_publishes_total", "snowgate_mqtt_acks_total"] {
        assert!(find(name).get_metric().iter().any(|metric| metric.get_counter().get_value() >= 1.0), "{name}");
    }
    for name in ["snowgate_outbox_messages", "snowgate_outbox_bytes", "snowgate_outbox_oldest_age_seconds"] {
        assert_eq!(find(name).get_metric().len(), Class::COUNT, "{name}");
    }
}
