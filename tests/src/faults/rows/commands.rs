//! Commands that are no commands, and far too many of those that are.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use snowgate_core::ids::IncidentId;
use snowgate_simulators::noise::Noise;

use crate::{
    faults::{
        Order,
        rig::{GATEWAY, Plan, RECOVER_WITHIN, Rig},
        table::Row,
        truth,
        verdict::{self, MayLose},
    },
    wait,
};

/// Every stage of the closed loop, in order.
const LOOP: [&str; 7] = ["accepted", "dispatched", "handled", "verified", "assessed", "closed", "archived"];
/// Incidents that a flood is about.
const INCIDENTS: usize = 60;
/// The largest of all malformed commands, in bytes.
const LARGE: usize = 200_000;
/// Publishes on their way at once.
const AT_ONCE: usize = 64;

/// A grid system that only speaks: QoS 1, everything acknowledged by the broker.
struct Commander {
    client: Option<Client>,
    thread: Option<JoinHandle<u64>>,
    sent: u64,
}

impl Commander {
    fn connect(broker: SocketAddr) -> Self {
        let mut options = MqttOptions::new("commander", broker.ip().to_string(), broker.port());
        options.set_max_packet_size(1 << 20, 1 << 20).set_inflight(AT_ONCE as u16);
        let (client, mut connection) = Client::new(options, AT_ONCE);
        let thread = thread::spawn(move || {
            let mut acknowledged = 0;
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::PubAck(_))) => acknowledged += 1,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            acknowledged
        });
        Self { client: Some(client), thread: Some(thread), sent: 0 }
    }

    fn send(&mut self, name: &str, payload: impl Into<Vec<u8>>) {
        let client = self.client.as_ref().expect("it is taken only at the end");
        let topic = format!("snowgate/v1/{GATEWAY}/cmd/{name}");
        client.publish(topic, QoS::AtLeastOnce, false, payload).expect("the broker is there");
        self.sent += 1;
    }

    /// Waits until the broker has everything.
    fn finish(mut self) {
        if let Some(client) = self.client.take() {
            client.disconnect().expect("the broker is there");
        }
        let thread = self.thread.take().expect("it is taken only here");
        let acknowledged = thread.join().expect("the commander's thread does not panic");
        assert!(acknowledged <= self.sent, "{acknowledged} of {} acknowledged", self.sent);
    }
}

/// A disposition as the grid system writes it. Its times are fixed, so that the same command is the same bytes.
fn disposition(id: &str, incident: IncidentId, stage: &str, now: Timestamp) -> Vec<u8> {
    let expires = now + Duration::from_secs(3600);
    let command = serde_json::json!({
        "id": id, "incident": incident, "stage": stage, "by": "张网格", "note": "泵站已开", "at": now, "expires": expires
    });
    serde_json::to_vec(&command).expect("plain strings")
}

/// A rig whose clock is synchronised, and incidents that have arrived.
fn with_incidents(least: usize) -> (Rig, Vec<IncidentId>) {
    let mut rig = Rig::new(Plan { preload: true, ..Plan::STEADY });
    rig.start();
    let known = rig.receiver.wait_for(RECOVER_WITHIN, |state| {
        let incidents = state.ledger.some_incidents(least);
        (incidents.len() >= least).then_some(incidents)
    });
    let known = known.unwrap_or_else(|| panic!("fewer than {least} incidents arrive"));
    (rig, known)
}

pub(super) fn malformed(order: Order) -> Row {
    let mut noise = order.noise();
    let (mut rig, incidents) = with_incidents(4);
    let now = Timestamp::now();
    let good: Vec<Vec<u8>> = ["accepted", "extended", "nonsense"]
        .iter()
        .zip(&incidents)
        .map(|(stage, incident)| disposition("template", *incident, stage, now))
        .collect();
    let began = Instant::now();
    let mut commander = Commander::connect(rig.broker.address());
    for _ in 0..order.times {
        let (name, payload) = nonsense(&mut noise, &good);
        commander.send(name, payload);
    }
    // Nonsense does not keep what makes sense from being carried out.
    let incident = *incidents.last().expect("four were asked for");
    commander.send("disposition", disposition("the-good-one", incident, "rejected_false_alarm", now));
    commander.finish();
    wait_handled(&rig, 1, "rejected_false_alarm");
    rig.wait_outbox_empty();
    let took = began.elapsed();
    rig.running().ensure_running().unwrap_or_else(|error| panic!("{error}"));
    let truth = rig.settle();
    let mut row = verdict::row(&rig, order, &truth, vec![took], MayLose::Nothing);
    row.notes.push(answers(&rig));
    row
}

/// Something that is no command, or is one only by chance.
fn nonsense(noise: &mut Noise, good: &[Vec<u8>]) -> (&'static str, Vec<u8>) {
    let name = match noise.below(20) {
        0 => "verify",
        1 => "nonsense",
        _ => "disposition",
    };
    let payload = match noise.below(50) {
        0 => Vec::new(),
        1 => vec![b'['; noise.below(LARGE)],
        2 => (0..noise.below(LARGE)).map(|_| noise.byte()).collect(),
        _ => {
            let mut payload = good[noise.below(good.len())].clone();
            for _ in 0..=noise.below(6) {
                noise.spoil(&mut payload, good);
            }
            payload
        }
    };
    (name, payload)
}

pub(super) fn flood(order: Order) -> Row {
    let mut noise = order.noise();
    let commands = (INCIDENTS * LOOP.len()) as u64;
    let incidents_wanted = INCIDENTS.min(usize::try_from(order.times).unwrap_or(usize::MAX).div_ceil(LOOP.len()));
    let (mut rig, incidents) = with_incidents(incidents_wanted);
    // Each command as often as the flood is longer than the list of them.
    let copies = usize::try_from(order.times / commands).unwrap_or_default().max(1);
    let (now, began) = (Timestamp::now(), Instant::now());
    let mut commander = Commander::connect(rig.broker.address());
    let mut earlier: Vec<Vec<u8>> = Vec::new();
    for stage in LOOP {
        for (number, incident) in incidents.iter().enumerate() {
            let command = disposition(&format!("{stage}-{number}"), *incident, stage, now);
            commander.send("disposition", command.clone());
            // The same again at once, and others of long ago.
            for _ in 0..noise.below(2 * copies) {
                let again = match noise.below(2) {
                    0 => &command,
                    _ => earlier.get(noise.below(earlier.len())).unwrap_or(&command),
                };
                commander.send("disposition", again.clone());
            }
            earlier.push(command);
        }
    }
    let sent = commander.sent;
    commander.finish();
    wait_handled(&rig, incidents.len() as u64, "archived");
    rig.wait_outbox_empty();
    let took = began.elapsed();
    let done = rig.receiver.look(|state| state.answers.get("done").copied().unwrap_or(0));
    if done < earlier.len() as u64 {
        rig.receiver.breach(format!("{done} answers that it was done, to {} commands", earlier.len()));
    }
    rig.running().ensure_running().unwrap_or_else(|error| panic!("{error}"));
    let truth = rig.settle();
    let steps = truth::steps(rig.data()).expect("the store can be read");
    if steps != (incidents.len() * LOOP.len()) as u64 {
        rig.receiver.breach(format!("{steps} steps in the store, {} were ordered", incidents.len() * LOOP.len()));
    }
    let mut row = verdict::row(&rig, order, &truth, vec![took], MayLose::Nothing);
    row.injected = sent;
    row.notes.push(format!("{} commands, {sent} times; each carried out once; {}", earlier.len(), answers(&rig)));
    row
}

/// Waits until so many incidents have come so far.
fn wait_handled(rig: &Rig, incidents: u64, handling: &str) {
    let come = || truth::handled(rig.data(), handling).ok();
    let all = wait::wait_until(RECOVER_WITHIN, || {
        thread::sleep(Duration::from_millis(100));
        come().is_some_and(|come| come >= incidents)
    });
    assert!(all, "{:?} of {incidents} incidents are {handling}; {}\n{}", come(), answers(rig), rig.last_log_lines());
}

fn answers(rig: &Rig) -> String {
    let answers = rig.receiver.look(|state| state.answers.clone());
    let words: Vec<_> = answers.iter().map(|(answer, times)| format!("{times} {answer}")).collect();
    format!("answers: {}", words.join(", "))
}
