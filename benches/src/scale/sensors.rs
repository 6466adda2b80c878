//! Sensors under load: readings over MQTT at a high rate, one sensor that floods, and alarms among them. What counts is that
//! no alarm is lost, how long one takes, and what it all costs.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use rumqttc::{Client, Event, MqttOptions, Outgoing, Packet, QoS};
use serde::Serialize;
use snowgate::clock::SystemClock;
use snowgate_core::time::{Clock, Mono};
use snowgate_simulators::broker::{Mosquitto, Setup};
use snowgate_tests::{daemon::Daemon, grid_system::Received, metrics::Metrics, site::Site};

use super::{error::ScaleError, patience::Patience, process::Usage, report::Report, table::Table};

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Sensors that keep to their limit.
    pub sensors: u32,
    /// Readings a second of all sensors together.
    pub rate: u32,
    /// How long.
    pub measure: Duration,
    /// Whether their readings are watched for anomalies.
    pub anomaly: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Sensors.
    pub sensors: u32,
    /// Readings a second that the daemon heard.
    pub rate: f64,
    /// Readings sent, and heard.
    pub sent: u64,
    /// Readings heard.
    pub heard: u64,
    /// Readings that were neither published nor scored.
    pub limited: u64,
    /// Sensors of which any were.
    pub limited_sensors: usize,
    /// Alarms that should have been.
    pub alarms: usize,
    /// Alarms that were announced.
    pub announced: usize,
    /// Seconds from publishing the reading that raises an alarm to its event at the grid system: median, 99 %.
    pub alarm_seconds: Option<(f64, f64)>,
    /// CPU of the daemon, cores.
    pub cores: f64,
    /// The same by group of threads.
    pub groups: BTreeMap<&'static str, f64>,
    /// Memory at the beginning and at the end, bytes.
    pub memory: (u64, u64),
}

/// The sensor that floods sends this share of all readings.
const FLOOD_SHARE: f64 = 0.5;
/// One in so many turns of sending raises an alarm.
const ALARM_EVERY: u64 = 20;
/// Readings are sent in turns of so long.
const TURN: Duration = Duration::from_millis(50);
/// Whatever is on its way arrives in so long.
const ARRIVED_WITHIN: Duration = Duration::from_secs(60);
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// Publishes on their way at once.
const INFLIGHT: u16 = 200;

/// Measures, and reports.
///
/// # Errors
/// Something could not be started, or broke.
pub fn run(wanted: &Wanted, patience: &Patience, report: &mut Report) -> Result<(), ScaleError> {
    report.heading(&format!(
        "{} sensors and one that floods, {} readings/s in messages of one, anomalies {}",
        wanted.sensors,
        wanted.rate,
        if wanted.anomaly { "watched" } else { "not watched" },
    ));
    let figures = measure(wanted, patience)?;
    show(&figures, report);
    report.keep("sensors", &figures);
    Ok(())
}

fn measure(wanted: &Wanted, patience: &Patience) -> Result<Figures, ScaleError> {
    let site = Site::with_broker(Mosquitto::start_with(&Setup { fleeting: true, ..Setup::default() }));
    site.leave_cameras_out();
    let files: Vec<(String, String)> = (0..=wanted.sensors).map(|number| sensor(number, wanted.anomaly)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    site.add_sensors("[sensors]\nmost_a_second = 200\npublish_every = \"1s\"", &files);
    let grid = site.grid_system();
    let mut daemon = site.start()?;
    daemon.wait_ready(READY_WITHIN)?;
    let waiting = |received: &Received| {
        let waiting = received.states.values().filter(|state| state["state"] == "waiting").count();
        (waiting > usize::try_from(wanted.sensors).unwrap_or(usize::MAX)).then_some(())
    };
    grid.wait_for(READY_WITHIN, waiting).ok_or(ScaleError::Deadline {
        what: "a state of every sensor".to_owned(),
        within: READY_WITHIN,
        detail: None,
    })?;

    let (before, metrics, began) = (Usage::of(daemon.pid())?, daemon.metrics()?, Instant::now());
    let sent = send(wanted, site.broker.address().port(), patience)?;
    let took = began.elapsed();
    let arrived = |received: &Received| (opened(received).len() >= sent.alarms.len()).then_some(());
    let _ = grid.wait_for(ARRIVED_WITHIN, arrived);
    let (after, metrics) = (Usage::of(daemon.pid())?, daemon.metrics()?.since(&metrics));
    let figures = grid.look(|received| figures(wanted, &sent, took, &metrics, received, &before, &after));
    stop(daemon)?;
    Ok(figures)
}

fn stop(daemon: Daemon) -> Result<(), ScaleError> {
    Ok(daemon.stop(STOP_WITHIN).map(drop)?)
}

/// Sensor 0 is the one that floods.
fn sensor(number: u32, anomaly: bool) -> (String, String) {
    let mut text = format!(
        "id = \"gauge-{number}\"\ncategory = \"high-water\"\ngrid = \"330182101201001\"\n\n\
         [source]\nprotocol = \"mqtt\"\ntopic = \"gauges/{number}\"\n\n\
         [[source.values]]\nid = \"level\"\nunit = \"m\"\npointer = \"\"\n"
    );
    if anomaly {
        text += "anomaly = { method = \"auto\" }\n";
    }
    text += "\n[[rules]]\nid = \"high\"\nquantity = \"level\"\nkind = \"threshold\"\nabove = 5\n";
    (format!("gauge-{number}"), text)
}

/// What was sent.
struct Sent {
    readings: u64,
    /// When each alarm's reading was handed to the client, by sensor, in order.
    alarms: Vec<(u32, Mono)>,
}

/// Sends readings at the rate; waits for the broker where it cannot keep up.
fn send(wanted: &Wanted, port: u16, patience: &Patience) -> Result<Sent, ScaleError> {
    let mut options = MqttOptions::new("gauges", "127.0.0.1", port);
    options.set_inflight(INFLIGHT);
    let (client, mut connection) = Client::new(options, 10_000);
    let (done, acknowledged) = std::sync::mpsc::channel();
    let poller = thread::spawn(move || {
        let (mut sent, mut acked, mut disconnecting) = (0u64, 0u64, false);
        for event in connection.iter() {
            match event {
                Ok(Event::Outgoing(Outgoing::Publish(_))) => sent += 1,
                Ok(Event::Incoming(Packet::PubAck(_))) => acked += 1,
                Ok(Event::Outgoing(Outgoing::Disconnect)) => disconnecting = true,
                Ok(_) => {}
                Err(_) => break,
            }
            if disconnecting && acked >= sent {
                break;
            }
        }
        let _ = done.send(acked);
    });
    let clock = SystemClock::new();
    let (begin, mut sent) = (Instant::now(), Sent { readings: 0, alarms: Vec::new() });
    let a_turn = f64::from(wanted.rate) * TURN.as_secs_f64();
    let flood = (a_turn * FLOOD_SHARE).round() as u64;
    let (mut next_sensor, mut turn) = (0u32, 0u64);
    let mut publish = |sensor: u32, value: f64| {
        sent.readings += 1;
        client
            .publish(format!("gauges/{sensor}"), QoS::AtLeastOnce, false, format!("{value:.3}"))
            .map_err(|error| ScaleError::Readings(error.to_string()))
    };
    let mut alarms = Vec::new();
    while begin.elapsed() < wanted.measure {
        for index in 0..a_turn.round() as u64 {
            if index < flood {
                publish(0, 2.0)?;
                continue;
            }
            next_sensor = next_sensor % wanted.sensors + 1;
            publish(next_sensor, 2.0 + 0.01 * (index % 17) as f64)?;
        }
        // An alarm and its end: of the flooding sensor too.
        if turn % ALARM_EVERY == 0 {
            let sensor = u32::try_from(turn / ALARM_EVERY).unwrap_or(0) % (wanted.sensors + 1);
            alarms.push((sensor, clock.mono()));
            publish(sensor, 6.0)?;
            publish(sensor, 2.0)?;
        }
        turn += 1;
        let due = begin + TURN * u32::try_from(turn).unwrap_or(u32::MAX);
        patience.until(due)?;
    }
    // What the client still holds leaves before it says good-bye.
    client.disconnect().map_err(|error| ScaleError::Readings(error.to_string()))?;
    let acknowledged = acknowledged.recv_timeout(ARRIVED_WITHIN).unwrap_or(0);
    let _ = poller.join();
    if acknowledged < sent.readings {
        return Err(ScaleError::Readings(format!("the broker took {acknowledged} of {}", sent.readings)));
    }
    sent.alarms = alarms;
    Ok(sent)
}

/// The opened incidents, in order of arrival: sensor and time of arrival.
fn opened(received: &Received) -> Vec<(&str, Mono)> {
    let opened = received.events.iter().filter(|event| event.kind() == "opened");
    opened.map(|event| (event.data.origin.id().as_str(), event.arrived)).collect()
}

fn figures(
    wanted: &Wanted,
    sent: &Sent,
    took: Duration,
    metrics: &Metrics,
    received: &Received,
    before: &Usage,
    after: &Usage,
) -> Figures {
    let opened = opened(received);
    let mut arrivals: HashMap<&str, Vec<Mono>> = HashMap::new();
    for (sensor, at) in &opened {
        arrivals.entry(sensor).or_default().push(*at);
    }
    // A sensor's alarms are announced in the order in which they were raised.
    let mut nth: HashMap<u32, usize> = HashMap::new();
    let mut seconds: Vec<f64> = Vec::new();
    for (sensor, at) in &sent.alarms {
        let index = nth.entry(*sensor).or_default();
        let name = format!("gauge-{sensor}");
        if let Some(arrived) = arrivals.get(name.as_str()).and_then(|arrivals| arrivals.get(*index)) {
            seconds.push(arrived.since(*at).as_secs_f64());
        }
        *index += 1;
    }
    seconds.sort_by(f64::total_cmp);
    let quantile = |q: f64| seconds.get(((seconds.len() as f64 * q) as usize).min(seconds.len().saturating_sub(1)));
    let heard = metrics.total("snowgate_sensor_readings_total", &[]);
    let limited_by = |sensor: &String| metrics.total("snowgate_sensor_limited_total", &[("sensor", sensor)]) > 0.0;
    let groups = after.by_group(before);
    Figures {
        sensors: wanted.sensors,
        rate: heard / took.as_secs_f64(),
        sent: sent.readings,
        heard: heard as u64,
        limited: metrics.total("snowgate_sensor_limited_total", &[]) as u64,
        limited_sensors: metrics
            .label_values("snowgate_sensor_limited_total", "sensor")
            .iter()
            .filter(|sensor| limited_by(sensor))
            .count(),
        alarms: sent.alarms.len(),
        announced: opened.len(),
        alarm_seconds: quantile(0.5).copied().zip(quantile(0.99).copied()),
        cores: after.cpu.saturating_sub(before.cpu).as_secs_f64() / took.as_secs_f64(),
        groups: groups.into_iter().map(|(group, cpu)| (group, cpu.as_secs_f64() / took.as_secs_f64())).collect(),
        memory: (before.memory.resident, after.memory.resident),
    }
}

fn show(figures: &Figures, report: &mut Report) {
    let mut groups = String::new();
    for (group, cores) in figures.groups.iter().filter(|(_, cores)| **cores >= 0.005) {
        // Writing to a string cannot fail.
        let _ = write!(groups, "{group} {:.1} %  ", cores * 100.0);
    }
    let latency = figures.alarm_seconds.map_or("none".to_owned(), |(median, most)| {
        format!("p50 {:.0} ms, p99 {:.0} ms", median * 1000.0, most * 1000.0)
    });
    let mut table = Table::new(&["what", "measured"]);
    let mut row = |what: &str, measured: String| table.row([what, &measured]);
    row("readings", format!("{} sent, {} heard, {:.0} a second", figures.sent, figures.heard, figures.rate));
    row("beyond the limit", format!("{} of {} sensor(s)", figures.limited, figures.limited_sensors));
    row("alarms", format!("{} raised, {} announced", figures.alarms, figures.announced));
    row("reading to event at the grid system", latency);
    row("daemon", format!("{:.1} % of a core: {groups}", figures.cores * 100.0));
    row("memory", format!("{} → {} MiB", figures.memory.0 >> 20, figures.memory.1 >> 20));
    report.table(&table);
}
