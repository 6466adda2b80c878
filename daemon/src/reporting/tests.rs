//! The reporting thread on a real store, with a clock that is set by hand.

mod joined;

use std::{
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::unbounded;
use serde_json::{Value, json};
use snowgate_core::{
    incidents::{
        Target, TimeLimit,
        verify::{Obstacle, Outcome, Seen},
    },
    rules::Change,
    sensor::rules::AlarmTally,
    spec::{ByteSize, all_defaults, read_table},
    time::ManualClock,
};
use tempfile::TempDir;

use super::{verify::Finder, *};
use crate::{
    evidence::clip,
    store::{Class, Commit, IncidentRecord, OutboxRow, RowId, Selection, spec::StorageSpec},
    uplink::{Fate, Receipt, Topics},
};

const START: &str = "2026-03-02T01:00:00Z";

/// A desk to report at: the thread, and everything around it.
struct Desk {
    source: Arc<Source<SensorSource>>,
    home: TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    retained: RetainedStates,
    health: Arc<Health>,
    wishes: Receiver<LookAgain>,
    look_again: Sender<LookAgain>,
    wished: Receiver<Look>,
    looks: Sender<Look>,
    joined: fn() -> Joined,
    running: Option<Running>,
    /// The last row read of each class.
    read: [RowId; Class::COUNT],
}

struct Running {
    items: Sender<Item>,
    commands: Sender<Command>,
    shutdown: Shutdown,
    thread: JoinHandle<()>,
}

impl Desk {
    fn open() -> Self {
        Self::open_at(ManualClock::new("boot", START.parse().unwrap()))
    }

    fn open_at(clock: ManualClock) -> Self {
        Self::open_with(clock, Joined::default)
    }

    fn joining(joined: fn() -> Joined) -> Self {
        Self::open_with(ManualClock::new("boot", START.parse().unwrap()), joined)
    }

    fn open_with(clock: ManualClock, joined: fn() -> Joined) -> Self {
        let home = TempDir::new().unwrap();
        let clock = Arc::new(clock);
        let store = store(&home, &clock);
        let (look_again, wishes) = crossbeam_channel::bounded(4);
        let (looks, wished) = crossbeam_channel::bounded(4);
        let mut desk = Self {
            source: Arc::new(source()),
            home,
            clock,
            store,
            retained: RetainedStates::new(),
            health: Arc::default(),
            wishes,
            look_again,
            wished,
            looks,
            joined,
            running: None,
            read: [RowId(0); Class::COUNT],
        };
        desk.start();
        desk
    }

    fn start(&mut self) {
        let (items, queued) = queue();
        let (commands, commanded) = unbounded();
        let shutdown = Shutdown::new();
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let thread = Reporting {
            locale: Locale::En,
            gateway: Gateway { id: "gate".parse().unwrap(), time_zone: zone.clone() },
            config_digest: "digest".into(),
            joined: (self.joined)(),
            calendar: Arc::new(Calendar::new(&all_defaults(), zone).unwrap()),
            store: self.store.clone(),
            commands: commanded,
            stills: None,
            clips: clip::queue().0,
            looks: Some(self.looks.clone()),
            look_again: self.look_again.clone(),
            verify: all_defaults(),
            access_log: AccessLog::open(self.home.path()).unwrap(),
            signing_key: None,
            retained: self.retained.clone(),
            uptimes: Arc::default(),
            health: Arc::clone(&self.health),
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
        }
        .spawn(queued)
        .unwrap();
        self.running = Some(Running { items, commands, shutdown, thread });
    }

    fn stop(&mut self) {
        let Running { items, commands, shutdown, thread } = self.running.take().unwrap();
        shutdown.trigger();
        drop((items, commands));
        thread.join().unwrap();
    }

    fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// A sensor's alarm.
    fn alarm(&self, episode: u64, change: Change) {
        let now = self.clock.mono();
        let tally =
            AlarmTally { value: Some(3.6), extreme: Some(3.6), count: 3, score: 0.0, since: now, last_seen: now };
        let (rule, quantity) = ("high".parse().unwrap(), "level".parse().unwrap());
        let alarm = Alarm { rule, quantity, episode, at: now, change, tally };
        let alarmed = Alarmed { source: Arc::clone(&self.source), alarm, readings: Vec::new() };
        self.running().items.send(Item::Alarmed(Box::new(alarmed))).unwrap();
    }

    /// Sends a command; answers where its fate is told.
    fn command(&self, name: &str, payload: impl Into<Vec<u8>>) -> Receiver<Fate> {
        let (tell, fate) = unbounded();
        let receipt = Receipt::new(move |fate| tell.send(fate).unwrap_or_default());
        let command = Command { name: name.into(), payload: Ok(payload.into()), receipt };
        self.running().commands.send(command).unwrap();
        fate
    }

    fn dispose(&mut self, command: &Value) -> Value {
        let fate = self.command("disposition", command.to_string());
        assert_eq!(fate.recv_timeout(Duration::from_secs(30)), Ok(Fate::Settled));
        self.next(Class::DispositionAck)
    }

    /// The next message of a class; they are taken in the order of their rows.
    fn next(&mut self, class: Class) -> Value {
        let row = self.next_row(class);
        serde_json::from_slice(&row.message.payload).unwrap()
    }

    fn next_row(&mut self, class: Class) -> OutboxRow {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let read = self.read[class.index()];
            if let Some(row) = self.rows(class).into_iter().find(|row| row.row > read) {
                self.read[class.index()] = row.row;
                return row;
            }
            assert!(Instant::now() < give_up, "no message of class {}", class.as_str());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The next day that is over.
    fn next_day(&mut self) -> OutboxRow {
        let daily = Topics::new(&"gate".parse().unwrap()).daily_summary();
        loop {
            let row = self.next_row(Class::Summary);
            if row.message.topic == daily {
                return row;
            }
        }
    }

    fn rows(&self, class: Class) -> Vec<OutboxRow> {
        let (after, up_to) = (RowId(0), RowId(i64::MAX));
        let all = Selection { class, lane: None, after, up_to, rows: usize::MAX, bytes: usize::MAX };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.store.pending(all)).unwrap()
    }

    fn opened(&mut self) -> String {
        self.alarm(1, Change::Began);
        let event = self.next(Class::Incident);
        assert_eq!(event["type"], "org.snowgate.incident.opened");
        event["subject"].as_str().unwrap().to_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

fn store(home: &TempDir, clock: &Arc<ManualClock>) -> Store {
    let spec: StorageSpec = read_table(&mut toml_span::parse("").unwrap()).unwrap();
    Store::open(home.path(), &spec, ByteSize::mib(1), clock.clone()).unwrap().0
}

/// A gauge whose incidents must be handled within an hour.
fn source() -> Source<SensorSource> {
    Source {
        of: SensorSource {
            sensor: "bridge".parse().unwrap(),
            sensor_name: "Bridge".into(),
            quantity: "level".parse().unwrap(),
            quantity_name: "level".into(),
            unit: "m".parse().unwrap(),
        },
        place: None,
        rule: "high".parse().unwrap(),
        rule_kind: "threshold".into(),
        target: Target {
            category: "water".parse().unwrap(),
            category_name: "High water".into(),
            severity: snowgate_core::severity::Severity::Major,
            grid: "1".into(),
            path: vec!["1".into()],
            level: "grid".parse().unwrap(),
            level_grid: "1".into(),
            time_limit: Some(TimeLimit::wall_time(Duration::from_secs(3600))),
        },
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    }
}

fn disposition(id: &str, incident: &str, stage: &str) -> Value {
    json!({ "id": id, "incident": incident, "stage": stage, "by": "Li", "at": START, "expires": "2026-03-05T00:00:00Z" })
}

fn verify(id: &str, incident: &str) -> Value {
    json!({ "id": id, "incident": incident, "by": "Li", "reason": "核查", "at": START, "expires": "2026-03-05T00:00:00Z" })
}

#[test]
fn the_loop_is_walked_and_every_step_is_a_revision_with_its_answer() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    let road = ["accepted", "dispatched", "handled", "verified", "assessed", "closed", "archived"];
    for (number, stage) in road.into_iter().enumerate() {
        let answer = desk.dispose(&disposition(stage, &incident, stage));
        assert_eq!(answer["result"], "done", "{answer}");
        let event = desk.next(Class::Incident);
        assert_eq!(event["data"]["handling"], stage);
        assert_eq!(event["data"]["scene"], "active", "what people do is not what the box sees");
        assert_eq!(event["data"]["revision"], 2 + number);
        assert_eq!(event["data"]["sequence"], 2 + number);
        assert_eq!(event["data"]["disposition"]["command"], stage);
        let kind = if stage == "closed" { "closed" } else { "updated" };
        assert_eq!(event["type"], format!("org.snowgate.incident.{kind}"));
    }
    desk.alarm(1, Change::Ended);
    let event = desk.next(Class::Incident);
    assert_eq!((&event["data"]["scene"], &event["data"]["handling"]), (&json!("ended"), &json!("archived")));
}

#[test]
fn a_command_is_carried_out_once_over_a_restart_too() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    let command = disposition("c-1", &incident, "accepted");
    let answer = desk.dispose(&command);
    assert_eq!(desk.next(Class::Incident)["data"]["revision"], 2);
    desk.restart();
    assert_eq!(desk.next(Class::Incident)["type"], "org.snowgate.incident.ended", "the box has not watched meanwhile");
    assert_eq!(desk.dispose(&command), answer);
    let other = desk.dispose(&disposition("c-1", &incident, "dispatched"));
    assert_eq!((&other["result"], &other["reason"]), (&json!("refused"), &json!("id_reused")));
    let unknown = desk.dispose(&disposition("c-2", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "accepted"));
    assert_eq!(unknown["reason"], "unknown_incident");
    let late = desk.dispose(
        &json!({ "id": "c-3", "incident": incident, "stage": "handled", "by": "Li", "at": START, "expires": START }),
    );
    assert_eq!(late["reason"], "expired");
    let skipped = desk.dispose(&disposition("c-4", &incident, "assessed"));
    assert_eq!((&skipped["reason"], &skipped["now"]["handling"]), (&json!("out_of_order"), &json!("accepted")));
    let done = desk.dispose(&disposition("c-5", &incident, "handled"));
    assert_eq!((&done["now"]["revision"], &done["now"]["scene"]), (&json!(4), &json!("ended")));
    assert_eq!(desk.rows(Class::Incident).len(), 4, "what is refused or repeated makes no revision");
}

#[test]
fn a_rule_whose_false_alarm_was_rejected_stays_quiet_over_a_restart() {
    let mut desk = Desk::open();
    desk.source = Arc::new(Source { quiet_after: Duration::from_secs(600), ..source() });
    let incident = desk.opened();
    desk.alarm(1, Change::Ended);
    desk.dispose(&disposition("c-1", &incident, "rejected_false_alarm"));
    desk.restart();
    desk.clock.advance(Duration::from_secs(599));
    desk.alarm(1, Change::Began);
    desk.alarm(1, Change::Ended);
    desk.clock.advance(Duration::from_secs(1));
    desk.alarm(2, Change::Began);
    let kinds = ["ended", "closed", "opened"].map(|kind| format!("org.snowgate.incident.{kind}"));
    let told = [(); 3].map(|()| desk.next(Class::Incident));
    assert_eq!(told.each_ref().map(|event| event["type"].as_str().unwrap()), kinds.each_ref().map(String::as_str));
    assert_ne!(told[2]["subject"], incident.as_str());
}

#[test]
fn what_is_no_command_is_answered_but_not_without_end() {
    let desk = Desk::open();
    for number in 0..300 {
        desk.command("disposition", format!("{{ \"id\": \"{number}\" "));
    }
    let fate = desk.command("dance", json!({ "id": "d-1" }).to_string());
    assert_eq!(fate.recv_timeout(Duration::from_secs(30)), Ok(Fate::Settled), "no rubbish comes twice");
    let answers = desk.rows(Class::DispositionAck);
    assert_eq!(answers.len(), 100);
    let first: Value = serde_json::from_slice(&answers[0].message.payload).unwrap();
    assert_eq!((&first["result"], &first["reason"]), (&json!("refused"), &json!("malformed")));
    desk.clock.advance(Duration::from_secs(1));
    let fate = desk.command("dance", json!({ "id": "d-2" }).to_string());
    fate.recv_timeout(Duration::from_secs(30)).unwrap();
    let last = desk.rows(Class::DispositionAck).pop().unwrap();
    assert_eq!(last.message.topic, "snowgate/v1/gate/cmd-ack/dance");
    let last: Value = serde_json::from_slice(&last.message.payload).unwrap();
    assert_eq!(last, json!({ "id": "d-2", "result": "refused", "reason": "unknown_command" }));
}

#[test]
fn lights_turn_by_themselves_over_a_restart_and_not_while_it_is_suspended() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    desk.clock.advance(Duration::from_secs(47 * 60));
    desk.dispose(&disposition("c-1", &incident, "suspended"));
    assert_eq!(desk.next(Class::Incident)["data"]["time_limit"]["light"], "green");
    desk.clock.advance(Duration::from_secs(7200));
    desk.dispose(&disposition("c-2", &incident, "resumed"));
    assert_eq!(desk.next(Class::Incident)["data"]["time_limit"]["light"], "green");
    desk.stop();
    desk.clock.advance(Duration::from_secs(2 * 60));
    desk.start();
    let ended = desk.next(Class::Incident);
    assert_eq!((&ended["data"]["scene"], &ended["data"]["time_limit"]["light"]), (&json!("ended"), &json!("green")));
    let yellow = desk.next(Class::Incident);
    assert_eq!((&yellow["data"]["time_limit"]["light"], &yellow["data"]["revision"]), (&json!("yellow"), &json!(5)));
    desk.clock.advance(Duration::from_secs(20 * 60));
    let red = desk.next(Class::Incident);
    assert_eq!((&red["data"]["time_limit"]["light"], &red["data"]["scene"]), (&json!("red"), &json!("ended")));
    desk.dispose(&disposition("c-3", &incident, "handled"));
    assert_eq!(desk.next(Class::Incident)["data"]["time_limit"]["light"], "red");
}

#[test]
fn the_box_looks_again_and_says_what_it_has_seen() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    let fate = desk.command("verify", verify("v-1", &incident).to_string());
    assert_eq!(fate.recv_timeout(Duration::from_secs(30)), Ok(Fate::Settled));
    assert_eq!(desk.next(Class::DispositionAck)["result"], "looking");
    let wish = desk.wishes.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((wish.by, wish.rule.as_str()), (Finder::Sensor("bridge".parse().unwrap()), "high"));
    let log = std::fs::read_to_string(desk.home.path().join("access.jsonl")).unwrap();
    assert!(log.contains("\"by\":\"Li\"") && log.contains("\"granted\":true"), "{log}");

    let again = desk.command("verify", verify("v-2", &incident).to_string());
    again.recv_timeout(Duration::from_secs(30)).unwrap();
    let (from, until) = (desk.clock.now(), desk.clock.now());
    let seen = Seen { outcome: Outcome::Persists, obstacle: None };
    let looked = Looked { command: wish.command, seen, from, until, still: None };
    desk.running().items.send(Item::Looked(Box::new(looked))).unwrap();
    let event = desk.next(Class::Incident);
    assert_eq!(event["type"], "org.snowgate.incident.verified");
    assert_eq!(event["data"]["verification"]["outcome"], "persists");
    assert_eq!(event["data"]["handling"], "reported", "people say what follows from it");
    let answers: Vec<Value> = desk
        .rows(Class::DispositionAck)
        .iter()
        .map(|row| serde_json::from_slice(&row.message.payload).unwrap())
        .collect();
    assert_eq!(answers[1]["reason"], "too_often");
    assert_eq!((&answers[2]["id"], &answers[2]["outcome"]), (&json!("v-1"), &json!("persists")));
}

#[test]
fn a_look_cut_short_by_a_restart_is_answered() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    desk.command("verify", verify("v-1", &incident).to_string()).recv_timeout(Duration::from_secs(30)).unwrap();
    desk.restart();
    assert_eq!(desk.next(Class::Incident)["type"], "org.snowgate.incident.ended");
    let event = desk.next(Class::Incident);
    assert_eq!(event["data"]["verification"]["outcome"], "cannot_tell");
    assert_eq!(event["data"]["verification"]["obstacle"], Obstacle::Restarted.as_str());
    desk.restart();
    desk.command("verify", verify("v-1", &incident).to_string()).recv_timeout(Duration::from_secs(30)).unwrap();
    let last = desk.rows(Class::DispositionAck).pop().unwrap();
    let last: Value = serde_json::from_slice(&last.message.payload).unwrap();
    assert_eq!((&last["result"], &last["outcome"]), (&json!("done"), &json!("cannot_tell")));
    assert_eq!(desk.rows(Class::Incident).len(), 3);
}

#[test]
fn times_are_filled_in_once_the_clock_is_right() {
    let clock = ManualClock::new("boot", START.parse().unwrap());
    clock.set_wall("1970-01-01T00:00:00Z".parse().unwrap(), false);
    let mut desk = Desk::open_at(clock);
    desk.alarm(1, Change::Began);
    let event = desk.next(Class::Incident);
    assert_eq!(event["data"]["times"]["clock_synchronised"], false);
    assert_eq!(event["data"]["time_limit"]["due"], Value::Null);
    desk.clock.advance(Duration::from_secs(600));
    desk.clock.set_wall("2026-03-02T01:10:00Z".parse().unwrap(), true);
    let event = desk.next(Class::Incident);
    assert_eq!(event["data"]["times"]["clock_synchronised"], true);
    assert_eq!(event["data"]["times"]["opened"], "2026-03-02T09:00:00.000+08:00");
    assert_eq!(event["data"]["time_limit"]["due"], "2026-03-02T10:00:00.000+08:00");
}

#[test]
fn a_day_is_told_when_it_is_over_and_goes_on_over_a_restart() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    desk.dispose(&disposition("c-1", &incident, "rejected_false_alarm"));
    desk.restart();
    desk.clock.advance(Duration::from_secs(15 * 3600));
    let row = desk.next_day();
    assert!(row.message.retain);
    assert_eq!(row.message.topic, "snowgate/v1/gate/summary/daily");
    let day: Value = serde_json::from_slice(&row.message.payload).unwrap();
    assert_eq!((&day["date"], &day["complete"]), (&json!("2026-03-02"), &json!(true)));
    assert_eq!((&day["total"]["opened"], &day["total"]["false_alarms"]), (&json!(1), &json!(1)));
    assert_eq!(day["by_rule"][0]["false_alarm_share"], 1.0);
}

#[test]
fn the_head_of_the_access_log_is_published_at_the_start_and_when_a_day_is_over() {
    let mut desk = Desk::open();
    let head = |desk: &mut Desk| -> Value {
        let row = desk.next_row(Class::Summary);
        assert_eq!((row.message.topic.as_str(), row.message.retain), ("snowgate/v1/gate/access-log/head", true));
        serde_json::from_slice(&row.message.payload).unwrap()
    };
    let first = head(&mut desk);
    assert_eq!((&first["number"], &first["gateway"]), (&json!(0), &json!("gate")));
    let incident = desk.opened();
    desk.command("verify", verify("v-1", &incident).to_string()).recv_timeout(Duration::from_secs(30)).unwrap();
    desk.clock.advance(Duration::from_secs(15 * 3600));
    desk.next_day();
    let next = head(&mut desk);
    assert_eq!(next["number"], json!(1));
    assert_ne!(next["sha256"], first["sha256"]);
}

#[test]
fn what_is_unfinished_is_counted_however_much_it_is_and_what_has_gone_no_longer() {
    const MANY: usize = 600;
    let mut desk = Desk::open();
    let opened = desk.opened();
    desk.stop();
    let of_then: Value = serde_json::from_slice(&desk.store.incident(&opened).unwrap().unwrap().json).unwrap();
    let commit = |desk: &Desk, revision: u32, finished, count| {
        let record = |number| {
            let id = format!("{number:026}");
            let mut incident = of_then.clone();
            incident["id"] = json!(id);
            incident["target"]["time_limit"] = Value::Null;
            incident["deadline"] = Value::Null;
            let json = serde_json::to_vec(&incident).unwrap();
            IncidentRecord { id, revision, scene_active: false, finished, json }
        };
        let incidents = (0..count).map(record).collect();
        desk.store.commit(|_| Commit { incidents, ..Commit::default() }).unwrap();
    };
    commit(&desk, 1, false, MANY);
    desk.start();
    desk.clock.advance(Duration::from_secs(15 * 3600));
    let unfinished = |desk: &mut Desk| {
        let day: Value = serde_json::from_slice(&desk.next_day().message.payload).unwrap();
        day["unfinished_by_light"]["none"].clone()
    };
    assert_eq!(unfinished(&mut desk), json!(MANY));

    commit(&desk, 2, true, MANY / 2);
    desk.clock.advance(Duration::from_secs(3600));
    // A day or two until the store has been gone through.
    let told = std::iter::repeat_with(|| {
        desk.clock.advance(Duration::from_secs(86_400));
        unfinished(&mut desk)
    });
    assert!(told.take(10).any(|unfinished| unfinished == json!(MANY / 2)));
}

#[test]
fn what_cannot_be_read_is_not_taken_for_forgotten() {
    let mut desk = Desk::open();
    let incident = desk.opened();
    let file = rusqlite::Connection::open(desk.home.path().join("store.sqlite")).unwrap();
    file.execute_batch("ALTER TABLE incidents RENAME TO hidden").unwrap();
    let fate = desk.command("disposition", disposition("c-1", &incident, "accepted").to_string());
    let give_up = Instant::now() + Duration::from_secs(30);
    while !desk.health.not_ready().iter().any(|part| part.contains("store")) {
        assert!(Instant::now() < give_up, "it does not say that it cannot read: {:?}", desk.health.not_ready());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(fate.is_empty(), "the command is neither carried out nor refused");
    file.execute_batch("ALTER TABLE hidden RENAME TO incidents").unwrap();
    assert_eq!(fate.recv_timeout(Duration::from_secs(30)), Ok(Fate::Settled));
    assert_eq!(desk.next(Class::DispositionAck)["result"], "done");
}
