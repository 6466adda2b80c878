//! The thread that judges: everything that adapters tell, in the order in which it arrives.

use std::{collections::BTreeMap, io, sync::Arc, thread::JoinHandle, time::Duration};

use jiff::tz::TimeZone;
use snowgate_core::{
    ids::Id,
    sensor::{
        reading::{Reading, Sample},
        rules::Alarm,
        watch::SensorWatch,
    },
    time::{Clock, Moment, Mono},
};
use snowgate_sensors::intake::{Rejected, Told};
use tokio::{
    runtime,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    allowance::Allowance,
    state::{Signs, StateSink, StateTeller},
    telemetry::{Batch, Telemetry},
};
use crate::{
    events::sensor::{AlarmMade, Limited, MessageRejected, ReadingJudged, Unheard},
    shutdown::Shutdown,
    verify::Watchpoint,
};

/// How often rules are told the time, and asked what it brings about, and states are told.
const TICK: Duration = Duration::from_secs(1);
/// So many refused messages a minute are logged, and the others only counted.
const LOGGED_A_MINUTE: u32 = 20;

/// A sensor that is listened to.
pub struct Sensor {
    /// Its name.
    pub id: Id,
    /// What becomes of its samples.
    pub watch: SensorWatch,
    /// Nothing heard for so long is silence.
    pub silent_after: Duration,
    /// Who has asked to look again hears here what is heard.
    pub watchpoint: Arc<Watchpoint>,
}

/// What the judge works with.
pub struct JudgeConfig {
    /// Readings a second of one sensor that are published and scored.
    pub most_a_second: f64,
    /// How often readings are published.
    pub publish_every: Duration,
    /// The zone of times in telemetry.
    pub time_zone: TimeZone,
    /// Where states are told.
    pub states: StateSink,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// What the judge tells.
pub enum Judged {
    /// A rule of a sensor has something to tell.
    Alarm {
        /// The sensor.
        sensor: Id,
        /// What.
        alarm: Alarm,
        /// The last readings of the rule's quantity, the oldest first.
        readings: Vec<Reading>,
    },
    /// Readings that are to be published.
    Telemetry(Vec<Batch>),
}

/// How the sensors that are listened to change.
pub enum Change {
    /// This one is listened to from now on. If it was before, what stays the same of it keeps what was heard of it
    /// ([`SensorWatch::succeed`]).
    Listen(Box<Sensor>),
    /// This one cannot be listened to, and why: what is under way ends.
    Refuse(Id, String),
    /// There is no such sensor any more: what is under way ends.
    Forget(Id),
}

/// Starts the thread, for no sensors yet: it hears `told` and `changes` and calls `tell`, which may wait, until every adapter
/// has ended or it is time to stop.
///
/// # Errors
/// No thread or no runtime could be had.
pub fn spawn(
    config: JudgeConfig,
    told: mpsc::Receiver<Told>,
    changes: mpsc::Receiver<Vec<Change>>,
    tell: impl FnMut(Judged) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let mut judge = Judge::new(config, tell);
    std::thread::Builder::new().name("sensors".to_owned()).spawn(move || runtime.block_on(judge.serve(told, changes)))
}

struct Judge<T> {
    with: JudgeConfig,
    sensors: BTreeMap<Id, Listened>,
    tell: T,
    published: Mono,
    logged: (Mono, u32),
    alarms: Vec<Alarm>,
}

struct Listened {
    id: Id,
    watch: SensorWatch,
    allowance: Allowance,
    telemetry: Telemetry,
    signs: Signs,
    state: StateTeller,
    watchpoint: Arc<Watchpoint>,
}

impl<T: FnMut(Judged)> Judge<T> {
    fn new(with: JudgeConfig, tell: T) -> Self {
        let now = with.clock.mono();
        Self { with, sensors: BTreeMap::new(), tell, published: now, logged: (now, 0), alarms: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Listen(sensor) => self.listen(*sensor),
            Change::Refuse(id, reason) => {
                self.close(&id);
                StateTeller::new(id, self.with.states.clone()).refused(&reason, &*self.with.clock);
            }
            Change::Forget(id) => {
                self.close(&id);
                self.with.states.forget(&id);
            }
        }
    }

    fn listen(&mut self, sensor: Sensor) {
        let moment = self.with.clock.now();
        let now = moment.mono;
        let Sensor { id, mut watch, silent_after, watchpoint } = sensor;
        watch.it_is(moment);
        match self.sensors.get_mut(&id) {
            Some(listened) => {
                listened.watch.succeed(watch, now, &mut self.alarms);
                (listened.signs.silent_after, listened.watchpoint) = (silent_after, watchpoint);
                tell_alarms(listened, &mut self.alarms, &mut self.tell);
            }
            None => {
                let listened = Listened {
                    watch,
                    watchpoint,
                    allowance: Allowance::new(self.with.most_a_second, now),
                    telemetry: Telemetry::default(),
                    signs: Signs { heard: None, since: now, fault: None, flooding: None, silent_after },
                    state: StateTeller::new(id.clone(), self.with.states.clone()),
                    id: id.clone(),
                };
                self.sensors.insert(id, listened);
            }
        }
    }

    fn close(&mut self, id: &Id) {
        let Some(mut sensor) = self.sensors.remove(id) else { return };
        sensor.watch.close(self.with.clock.mono(), &mut self.alarms);
        tell_alarms(&sensor, &mut self.alarms, &mut self.tell);
        if let Some(batch) = sensor.telemetry.take(id, &self.with.time_zone) {
            (self.tell)(Judged::Telemetry(vec![batch]));
        }
    }

    async fn serve(&mut self, mut told: mpsc::Receiver<Told>, mut changes: mpsc::Receiver<Vec<Change>>) {
        let stop = self.with.shutdown.token();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = told.recv() => match next {
                    Some(next) => self.take(next),
                    None => break,
                },
                Some(changes) = changes.recv() => changes.into_iter().for_each(|change| self.change(change)),
                _ = tick.tick() => self.tick(),
                () = stop.cancelled() => break,
            }
        }
        // What has been taken is acknowledged: it is judged before everything stops. What comes now is taken no more.
        told.close();
        while let Ok(next) = told.try_recv() {
            self.take(next);
        }
        self.publish();
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Heard { sensor, samples, arrived } => self.hear(&sensor, samples, arrived),
            Told::Fault { sensor, fault } => {
                if let Some(sensor) = self.sensors.get_mut(&sensor) {
                    sensor.signs.fault = Some(fault.to_string());
                }
            }
            Told::Reached { sensor } => {
                if let Some(sensor) = self.sensors.get_mut(&sensor) {
                    sensor.signs.fault = None;
                }
            }
            Told::Rejected(rejected) => self.rejected(&rejected),
        }
    }

    fn hear(&mut self, sensor: &Id, samples: Vec<(Id, Sample)>, arrived: Moment) {
        let Some(sensor) = self.sensors.get_mut(sensor) else { return };
        let now = arrived.mono;
        (sensor.signs.heard, sensor.signs.fault) = (Some(now), None);
        for (quantity, sample) in samples {
            let within = sensor.allowance.take(now);
            let (watch, alarms) = (&mut sensor.watch, &mut self.alarms);
            let seen = match within {
                true => watch.hear(&quantity, sample, arrived, alarms),
                false => watch.hear_in_a_flood(&quantity, sample, arrived, alarms),
            };
            if sensor.watchpoint.is_on() {
                sensor.watchpoint.heard(&sensor.watch);
            }
            if let Some(seen) = seen {
                let verdict = seen.reading.verdict;
                ReadingJudged {
                    sensor: sensor.id.as_str(),
                    quantity: quantity.as_str(),
                    quality: verdict.quality.as_str(),
                    why: verdict.why.map_or("", |why| why.as_str()),
                    score: seen.score,
                }
                .emit();
                if within && sensor.telemetry.push(seen) {
                    let batch = sensor.telemetry.take(&sensor.id, &self.with.time_zone);
                    (self.tell)(Judged::Telemetry(batch.into_iter().collect()));
                }
            }
            tell_alarms(sensor, &mut self.alarms, &mut self.tell);
        }
    }

    fn rejected(&mut self, rejected: &Rejected) {
        let now = self.with.clock.mono();
        let (since, logged) = &mut self.logged;
        if now.since(*since) >= Duration::from_secs(60) {
            (*since, *logged) = (now, 0);
        }
        *logged = logged.saturating_add(1);
        MessageRejected {
            protocol: rejected.protocol,
            sensor: rejected.sensor.as_ref().map(Id::as_str),
            reason: rejected.reason,
            message: &rejected.message,
            quiet: *logged > LOGGED_A_MINUTE,
        }
        .emit();
    }

    fn tick(&mut self) {
        let moment = self.with.clock.now();
        let now = moment.mono;
        for sensor in self.sensors.values_mut() {
            sensor.watch.it_is(moment);
            sensor.watch.tick(now, &mut self.alarms);
            if sensor.watchpoint.is_on() {
                sensor.watchpoint.heard(&sensor.watch);
            }
            tell_alarms(sensor, &mut self.alarms, &mut self.tell);
            sensor.observe(now, &*self.with.clock);
        }
        if now.since(self.published) >= self.with.publish_every {
            self.published = now;
            self.publish();
        }
    }

    fn publish(&mut self) {
        let zone = &self.with.time_zone;
        let batches = self.sensors.values_mut().filter_map(|sensor| sensor.telemetry.take(&sensor.id, zone));
        let batches: Vec<Batch> = batches.collect();
        if !batches.is_empty() {
            (self.tell)(Judged::Telemetry(batches));
        }
    }
}

impl Listened {
    fn observe(&mut self, now: Mono, clock: &dyn Clock) {
        let signs = &mut self.signs;
        Unheard { sensor: self.id.as_str(), since: now.since(signs.heard.unwrap_or(signs.since)) }.emit();
        Limited { sensor: self.id.as_str(), readings: self.allowance.take_refused() }.emit();
        signs.flooding = self.allowance.is_flooding(now).then(|| self.allowance.rate());
        self.state.update(signs, self.watch.quantities(), clock);
    }
}

fn tell_alarms(sensor: &Listened, alarms: &mut Vec<Alarm>, tell: &mut impl FnMut(Judged)) {
    for alarm in alarms.drain(..) {
        AlarmMade { sensor: sensor.id.as_str(), rule: alarm.rule.as_str(), change: alarm.change.as_str() }.emit();
        let readings = sensor.watch.last_readings(&alarm.quantity).cloned().collect();
        tell(Judged::Alarm { sensor: sensor.id.clone(), alarm, readings });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use snowgate_core::{
        calendar::Calendar,
        ids::{CountedIds, IncidentIds as _},
        incidents::verify::{LookFor, Outcome, Seen, Verify},
        rules::Change as RuleChange,
        schedule::{Schedule, Schedules},
        sensor::{anomaly::outside::NoModels, rules::spec::SensorRuleSpec, spec::QuantitySpec},
        spec::{all_defaults, read_table},
        time::ManualClock,
    };
    use snowgate_sensors::intake::Fault;

    use super::*;
    use crate::{
        current::Current,
        evidence::provenance::Provenance,
        reporting::verify::{Finder, LookAgain},
        sensor::asked::AskedSensor,
        verify::{Verifier, Watchable},
    };

    const RULES: [&str; 3] = [
        "id = 'by-day'\nquantity = 'level'\nkind = 'threshold'\nabove = 3.5\nschedule = 'day'",
        "id = 'high'\nquantity = 'level'\nkind = 'threshold'\nabove = 3.5",
        "id = 'sos'\nquantity = 'button'\nkind = 'button'",
    ];

    type States = Arc<Mutex<Vec<serde_json::Value>>>;

    struct Bench {
        judge: Judge<Box<dyn FnMut(Judged)>>,
        clock: Arc<ManualClock>,
        states: States,
        judged: Arc<Mutex<Vec<Judged>>>,
    }

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    /// `day`: from 9:00 to 17:00, UTC.
    fn schedules() -> Schedules {
        let mut day = toml_span::parse("id = 'day'\nwindow = [{ from = '09:00', to = '17:00' }]").unwrap();
        let calendar = Arc::new(Calendar::new(&all_defaults(), TimeZone::UTC).unwrap());
        [(id("day"), Arc::new(Schedule::new(&read_table(&mut day).unwrap(), calendar, None).unwrap()))].into()
    }

    fn bench(most_a_second: f64) -> Bench {
        let clock = Arc::new(ManualClock::new("boot", "2026-03-01T00:00:00Z".parse().unwrap()));
        let quantities = ["id = 'level'\nunit = 'm'", "id = 'button'"]
            .map(|text| read_table::<QuantitySpec>(&mut toml_span::parse(text).unwrap()).unwrap());
        let rules = RULES.map(|text| read_table::<SensorRuleSpec>(&mut toml_span::parse(text).unwrap()).unwrap());
        let watch =
            SensorWatch::new(id("gauge"), TimeZone::UTC, &quantities, &rules, &schedules(), &NoModels, clock.mono())
                .unwrap();
        let states = States::default();
        let judged: Arc<Mutex<Vec<Judged>>> = Arc::default();
        let sink = {
            let states = Arc::clone(&states);
            StateSink::new(move |_, told| {
                let state = told.map(|(_, state)| serde_json::from_slice(&state).unwrap());
                states.lock().unwrap().push(state.unwrap_or_default());
            })
        };
        let tell: Box<dyn FnMut(Judged)> = {
            let judged = Arc::clone(&judged);
            Box::new(move |told| judged.lock().unwrap().push(told))
        };
        let with = JudgeConfig {
            most_a_second,
            publish_every: Duration::from_secs(10),
            time_zone: TimeZone::fixed(jiff::tz::offset(8)),
            states: sink,
            clock: Arc::<ManualClock>::clone(&clock),
            shutdown: Shutdown::new(),
        };
        let sensor =
            Sensor { id: id("gauge"), watch, silent_after: Duration::from_secs(3600), watchpoint: Arc::default() };
        let mut judge = Judge::new(with, tell);
        judge.listen(sensor);
        Bench { judge, clock, states, judged }
    }

    impl Bench {
        fn hear(&mut self, quantity: &str, value: f64) {
            let samples = vec![(id(quantity), Sample { value, measured: None, flagged: false })];
            self.judge.take(Told::Heard { sensor: id("gauge"), samples, arrived: self.clock.now() });
        }

        fn alarms(&self) -> Vec<(String, RuleChange)> {
            let judged = self.judged.lock().unwrap();
            let alarm = |told: &Judged| match told {
                Judged::Alarm { alarm, .. } => Some((alarm.rule.to_string(), alarm.change)),
                Judged::Telemetry(_) => None,
            };
            judged.iter().filter_map(alarm).collect()
        }

        fn readings_published(&self) -> usize {
            let judged = self.judged.lock().unwrap();
            let batches = judged.iter().filter_map(|told| match told {
                Judged::Telemetry(batches) => Some(batches),
                Judged::Alarm { .. } => None,
            });
            let readings = |batch: &Batch| {
                let message: serde_json::Value = serde_json::from_slice(&batch.payload).unwrap();
                message["readings"].as_array().unwrap().len()
            };
            batches.flatten().map(readings).sum()
        }

        fn last_state(&self) -> serde_json::Value {
            self.states.lock().unwrap().last().unwrap().clone()
        }
    }

    #[test]
    fn a_flooding_sensor_is_named_and_loses_no_alarm() {
        let mut bench = bench(50.0);
        bench.judge.tick();
        for round in 0..10_000 {
            bench.clock.advance(Duration::from_micros(100));
            bench.hear("level", 2.0);
            if round == 9_000 {
                bench.hear("button", 1.0);
                bench.hear("level", 3.6);
            }
        }
        assert_eq!(
            bench.alarms(),
            [
                ("sos".to_owned(), RuleChange::Began),
                ("sos".to_owned(), RuleChange::Ended),
                ("high".to_owned(), RuleChange::Began),
                ("high".to_owned(), RuleChange::Ended)
            ]
        );
        bench.judge.tick();
        assert_eq!(bench.last_state()["state"], "flooding");
        assert_eq!(bench.last_state()["reason"], "it sends more than 50 readings a second");
        bench.judge.publish();
        // Ten seconds' worth at once, and a second's.
        let published = bench.readings_published();
        assert!((500..=551).contains(&published), "{published}");
        bench.clock.advance(Duration::from_secs(61));
        bench.hear("level", 2.0);
        bench.judge.tick();
        assert_eq!(bench.last_state()["state"], "live");
    }

    #[test]
    fn a_sensor_that_is_no_more_ends_what_it_has_told_and_is_forgotten() {
        for refused in [false, true] {
            let mut bench = bench(50.0);
            bench.hear("level", 4.0);
            bench.judge.tick();
            assert_eq!(bench.last_state()["state"], "live");
            bench.judge.change(match refused {
                true => Change::Refuse(id("gauge"), "its token cannot be read".into()),
                false => Change::Forget(id("gauge")),
            });
            assert_eq!(bench.alarms().last(), Some(&("high".to_owned(), RuleChange::Ended)));
            assert_eq!(bench.readings_published(), 1, "what was taken is told");
            match refused {
                true => assert_eq!(bench.last_state()["reason"], "its token cannot be read"),
                false => assert_eq!(bench.last_state(), serde_json::Value::Null),
            }
            bench.hear("level", 5.0);
            assert_eq!(bench.readings_published(), 1, "nobody listens any more");
        }
    }

    #[test]
    fn rules_are_told_the_time() {
        let mut bench = bench(50.0);
        let mut hours_go_by = |hours: u32| {
            bench.clock.advance(hours * Duration::from_secs(3_600));
            bench.judge.tick();
            bench.hear("level", 4.0);
            bench.alarms()
        };
        assert_eq!(hours_go_by(0), [("high".to_owned(), RuleChange::Began)], "at midnight");
        assert_eq!(hours_go_by(9)[1..], [("by-day".to_owned(), RuleChange::Began)]);
        assert_eq!(hours_go_by(8)[2..], [("by-day".to_owned(), RuleChange::Ended)]);
    }

    #[test]
    fn a_fault_stands_until_the_sensor_is_heard_again() {
        let mut bench = bench(50.0);
        bench.hear("level", f64::NAN);
        bench.judge.tick();
        assert_eq!(bench.last_state()["quantities"]["level"]["why"], "not_a_number");
        let fault = Fault::Disconnected { address: "10.0.0.9:5000".into() };
        bench.judge.take(Told::Fault { sensor: id("gauge"), fault });
        bench.judge.tick();
        assert_eq!(bench.last_state()["state"], "faulty");
        assert_eq!(bench.last_state()["reason"], "10.0.0.9:5000 has disconnected");
        bench.hear("level", 2.0);
        bench.judge.tick();
        assert_eq!(bench.last_state()["state"], "live");
        assert_eq!(bench.last_state()["quantities"]["level"]["quality"], "good");
    }

    #[test]
    fn whoever_asked_to_look_hears_what_is_heard() {
        for (level, outcome) in [(4.0, Outcome::Persists), (2.0, Outcome::Cleared)] {
            let mut bench = bench(50.0);
            let watchpoint = Arc::clone(&bench.judge.sensors[&id("gauge")].watchpoint);
            let silent_after = Duration::from_secs(3600);
            let asked = AskedSensor { watchpoint: Arc::clone(&watchpoint), rules: vec![id("high")], silent_after };
            let asked: Box<dyn Watchable> = Box::new(asked);
            let verifier = Verifier {
                watched: Current::new([(Finder::Sensor(id("gauge")), asked)].into()),
                stills: None,
                lookout: None,
                clock: Arc::<ManualClock>::clone(&bench.clock),
                shutdown: Shutdown::new(),
            };
            let now = bench.clock.now();
            let command = Verify {
                id: "v".parse().unwrap(),
                incident: CountedIds::default().next(now),
                by: "desk".parse().unwrap(),
                reason: "it is said to be over".parse().unwrap(),
                at: now.wall,
                expires: now.wall + Duration::from_secs(600),
                for_seconds: LookFor::default(),
            };
            let by = Finder::Sensor(id("gauge"));
            let of = Provenance::any(command.incident);
            let wish = LookAgain { command, of, by, rule: id("high"), grid: "33".into(), place: None };
            let (wishes, wished) = crossbeam_channel::bounded(1);
            let (looked, answers) = crossbeam_channel::bounded(1);
            let never = crossbeam_channel::never();
            let thread = verifier.spawn(wished, never, move |answer| looked.send(answer).unwrap()).unwrap();
            wishes.send(wish).unwrap();
            while !watchpoint.is_on() {
                std::thread::yield_now();
            }
            bench.clock.advance(Duration::from_secs(10));
            bench.hear("level", level);
            bench.clock.advance(Duration::from_secs(30));
            drop(wishes);
            thread.join().unwrap();
            assert_eq!(answers.recv().unwrap().seen, Seen { outcome, obstacle: None });
        }
    }

    #[test]
    fn what_was_taken_before_the_stop_is_judged() {
        let Bench { mut judge, judged, clock, .. } = bench(50.0);
        let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (sender, told) = mpsc::channel(8);
        let samples = vec![(id("button"), Sample { value: 1.0, measured: None, flagged: false })];
        sender.try_send(Told::Heard { sensor: id("gauge"), samples, arrived: clock.now() }).unwrap();
        judge.with.shutdown.trigger();
        let (_changes, changed) = mpsc::channel(1);
        runtime.block_on(judge.serve(told, changed));
        let judged = judged.lock().unwrap();
        assert!(
            judged.iter().any(|told| matches!(told, Judged::Alarm { alarm, .. } if alarm.change == RuleChange::Began))
        );
        assert!(matches!(judged.last(), Some(Judged::Telemetry(_))), "and its readings are on their way");
    }
}
