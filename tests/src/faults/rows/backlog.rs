//! Three days without a broker, then a broker: the backlog drains in order, and what happens meanwhile does not wait for it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use snowgate::store::{Class, Commit, IncidentRecord, Message, Store, spec::StorageSpec};
use snowgate_core::{
    calendar::Calendar,
    ids::CountedIds,
    incidents::{
        Book, Locale, SensorSource, Source, Target,
        event::{Gateway, Revision},
    },
    priority::Priority,
    rules::Change,
    sensor::rules::{Alarm, AlarmTally},
    severity::Severity,
    spec::{ByteSize, all_defaults},
    time::{Clock, ManualClock},
};
use tempfile::TempDir;

use crate::{
    daemon,
    faults::{
        Order,
        load::Rate,
        rig::{GATEWAY, Plan, Rig},
        table::{MEMORY_BOUND, Row, quantile},
        truth,
    },
    reporter::spec,
};

const OUTAGE: Duration = Duration::from_secs(3 * 86_400);
/// Revisions committed together, an even number.
const TOGETHER: u64 = 500;
/// Room for what three days bring.
const STORAGE: &str = "incident_quota = \"8GiB\"";
/// As an operator may set it who has seen how much waits.
const DRAIN: &str = "drain_rate = 2000";
/// How long it is looked at.
const WINDOW: Duration = Duration::from_secs(900);
/// A store of this size is read through before anything else.
const OPEN_WITHIN: Duration = Duration::from_secs(300);
/// The budget for what happens during the drain.
const LIVE_WITHIN: Duration = Duration::from_secs(1);

pub(super) fn three_days_offline(order: Order) -> Row {
    // On the disk that the build is on: a temporary directory may be memory.
    let program = daemon::program().unwrap_or_else(|error| panic!("{error}"));
    let home = program.parent().map_or_else(TempDir::new, tempfile::tempdir_in).expect("a temporary directory");
    let data = home.path().join("data");
    let began = Instant::now();
    let rows = fill(&data, order.times);
    let filled = began.elapsed();

    let plan = Plan { data: Some(data.clone()), rate: Rate::LIVE, mqtt: DRAIN, storage: STORAGE, ..Plan::STEADY };
    let mut rig = Rig::new(plan);
    rig.receiver.expect_in_order_up_to(rows);
    let began = Instant::now();
    rig.launch();
    rig.running().wait_ready(OPEN_WITHIN).unwrap_or_else(|error| panic!("{error}"));
    let opened = began.elapsed();
    let began = Instant::now();
    rig.load().resume();
    rig.receiver.wait_for(WINDOW, |state| state.ledger.has_all_up_to(rows).then_some(()));
    rig.load().pause();
    let took = began.elapsed();
    let drained = rig.receiver.look(|state| state.ledger.all_up_to().min(rows));
    let committed = rig.sequence();
    let live_all_there = rig
        .receiver
        .wait_for(LIVE_WITHIN * 10, |state| (state.ledger.missing_between(rows + 1, committed) == 0).then_some(()));
    rig.stop();

    let (last, waiting) = (truth::sequence(&data), truth::waiting_count(&data));
    let (last, waiting) = last.and_then(|last| Ok((last, waiting?))).expect("the store can be read");
    let delays: Vec<Duration> = rig.receiver.look(|state| {
        let posted = |sensor: &str, value| rig.load().posted(sensor, value);
        let delay =
            |opening: &crate::faults::ledger::Opening| Some(opening.at - posted(&opening.sensor, opening.value)?);
        state.ledger.openings().iter().filter_map(delay).collect()
    });
    let mut row = Row {
        fault: order.name.to_owned(),
        injected: 1,
        produced: last.div_ceil(2),
        memory: rig.memory.most(),
        recoveries: delays.clone(),
        ..Row::default()
    };
    rig.receiver.look(|state| {
        let ledger = &state.ledger;
        row.delivered = ledger.incidents_with(2);
        row.duplicates = ledger.duplicates();
        row.lost = last.saturating_sub(ledger.events() + waiting);
        let (breached, breaches) = ledger.breaches();
        if breached > 0 {
            row.failures.push(format!("{breached} breaches of the contract: {breaches:?}"));
        }
    });
    if row.lost > 0 {
        row.failures.push(format!("of {last} events, {} neither arrived nor wait", row.lost));
    }
    if live_all_there.is_none() {
        row.failures.push("live events were still missing at the end".to_owned());
    }
    if row.memory > MEMORY_BOUND {
        row.failures.push(format!("{} MiB of memory, more than {}", row.memory >> 20, MEMORY_BOUND >> 20));
    }
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(&delays, share).unwrap_or(Duration::MAX));
    if most > LIVE_WITHIN || delays.is_empty() {
        row.failures.push(format!("a live incident took {most:.3?}, more than {LIVE_WITHIN:?}"));
    }
    row.notes = vec![
        format!(
            "{rows} rows waited (written in {filled:.0?}, opened in {opened:.1?}); recovery is that of live incidents"
        ),
        format!(
            "{drained} of them drained in {took:.0?} ({:.0} a second; {DRAIN}), all in order; {waiting} wait on",
            drained as f64 / took.as_secs_f64()
        ),
        format!("{} live incidents meanwhile: p50 {p50:.0?}, p99 {p99:.0?}, max {most:.0?}", delays.len()),
    ];
    row
}

/// Commits so many revisions, two an incident, over three days, as the daemon would have; answers how many.
fn fill(data: &Path, rows: u64) -> u64 {
    let groups = rows.div_ceil(TOGETHER);
    let incidents = groups * TOGETHER / 2;
    let step = OUTAGE / u32::try_from(2 * incidents).unwrap_or(u32::MAX);
    let began = jiff::Timestamp::now() - OUTAGE;
    let clock = Arc::new(ManualClock::new("the boot of three days ago", began));
    let storage: StorageSpec = spec(STORAGE);
    let (store, _) =
        Store::open(data, &storage, ByteSize::mib(1), clock.clone()).unwrap_or_else(|error| panic!("{error}"));
    let calendar = Calendar::new(&all_defaults(), TimeZone::UTC).expect("the default calendar");
    let (boot, digest) = (clock.boot_id().clone(), "0".repeat(64));
    let mut book = Book::new(Locale::En, boot, digest, Arc::new(calendar), CountedIds::default());
    let gateway = Gateway { id: GATEWAY.parse().expect("a good id"), time_zone: TimeZone::UTC };
    let source = source();
    let mut episode = 0;
    for _ in 0..groups {
        let mut records = Vec::new();
        let mut revisions: Vec<(Revision, _)> = Vec::new();
        for _ in 0..TOGETHER / 2 {
            episode += 1;
            for change in [Change::Began, Change::Ended] {
                clock.advance(step);
                let revision = book.alarmed(&source, &alarm(episode, change, &*clock), [], &*clock);
                revisions.push((revision.expect("the incident is open"), clock.now()));
            }
            let last = &revisions.last().expect("just pushed").0.incident;
            records.push(IncidentRecord {
                id: last.id.to_string(),
                revision: last.revision,
                scene_active: false,
                finished: false,
                json: serde_json::to_vec(last).expect("plain fields"),
            });
        }
        let committed = store.commit(|sequence| {
            let message = |(revision, now): &(Revision, _)| Message {
                class: Class::Incident,
                lane: Some(revision.incident.id.to_string()),
                topic: format!("snowgate/v1/{GATEWAY}/incident/village/330182101201"),
                payload: revision.to_json(&gateway, sequence.next(), *now),
                retain: false,
                origin: None,
            };
            let messages = revisions.iter().map(message).collect();
            Commit { incidents: records, messages, ..Commit::default() }
        });
        committed.unwrap_or_else(|error| panic!("{error}"));
    }
    groups * TOGETHER
}

fn alarm(episode: u64, change: Change, clock: &dyn Clock) -> Alarm {
    let at = clock.mono();
    let value = Some(4.0);
    let tally = AlarmTally { value, extreme: value, count: 1, score: 0.0, since: at, last_seen: at };
    let id = |name: &str| name.parse().expect("a good id");
    Alarm { rule: id("high"), quantity: id("level"), episode, at, change, tally }
}

fn source() -> Source<SensorSource> {
    let id = |name: &str| name.parse().expect("a good id");
    Source {
        of: SensorSource {
            sensor: id("gauge-of-then"),
            sensor_name: "gauge of then".to_owned(),
            quantity: id("level"),
            quantity_name: "level".to_owned(),
            unit: "m".parse().expect("a unit"),
        },
        place: None,
        rule: id("high"),
        rule_kind: "threshold".to_owned(),
        target: Target {
            category: id("high-water"),
            category_name: "High water".to_owned(),
            severity: Severity::Ordinary,
            grid: "330182101201".to_owned(),
            path: vec!["330182101".to_owned(), "330182101201".to_owned()],
            level: id("village"),
            level_grid: "330182101201".to_owned(),
            time_limit: None,
        },
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    }
}
