//! The scenes that docs/MESSAGES.md tells: the worked loop, the side roads, and what the gateway says besides.

use std::time::Duration;

use serde_json::{Value, json};
use snowgate::{
    camera::health::CameraState,
    evidence::{
        access_log::{Head, PublishedHead},
        files::{DeletedFile, DeletionReport, FileName},
        manifest::Reason,
    },
    messages::Example,
    run::{CameraStateMessage, ConfigStateMessage, Origin, Refusal},
    sensor::{
        Telemetry,
        state::{Signs, StateSink, StateTeller},
    },
    signing::SigningKey,
    store::{Class, CommitTime, Gap, LossReason},
    uplink::{Absence, GapReport, Status},
};
use snowgate_core::{
    ids::{Id, IncidentId},
    incidents::{
        Area, CameraSource, JoinedSource, ModelDigest, Place, SensorSource, Source, Target, TimeLimit,
        command::UnknownCommandAnswer,
        summary::{DailySummary, Uptime},
    },
    joined::{Coincidence, Device, Listened, RuleOf},
    priority::Priority,
    rules::{Change, Finding, Tally},
    scene::Condition,
    sensor::{
        reading::{Doubt, Quality, Reading, Verdict},
        rules::{Alarm, AlarmTally},
        watch::Seen,
    },
    severity::Severity,
    time::{Clock, Moment, Mono},
};

use crate::story::{DATE, Story, moment, still};

/// The secret key of the first test vector of RFC 8032, §7.1.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

/// Everything that is said, in order: first the loop.
pub fn all() -> Vec<Example> {
    let mut story = Story::begin();
    the_loop(&mut story);
    side_roads(&mut story);
    besides(&mut story);
    story.said
}

/// What is said in the worked loop.
pub fn worked_loop() -> Vec<Example> {
    let mut story = Story::begin();
    the_loop(&mut story);
    story.said
}

fn id(name: &str) -> Id {
    name.parse().unwrap()
}

fn place(name: &str) -> Place {
    Place { lat: 30.98, lon: 119.96, name: Some(name.to_owned()) }
}

fn target(category: &str, name: &str, severity: Severity, hours: u64) -> Target {
    Target {
        category: id(category),
        category_name: name.to_owned(),
        severity,
        grid: "330522101003001".to_owned(),
        path: ["330522", "330522101", "330522101003", "330522101003001"].map(str::to_owned).to_vec(),
        level: id("grid"),
        level_grid: "330522101003001".to_owned(),
        time_limit: Some(TimeLimit::wall_time(Duration::from_secs(hours * 3600))),
    }
}

fn spillway() -> Source<CameraSource> {
    Source {
        of: CameraSource {
            camera: id("reservoir"),
            camera_name: "Reservoir".to_owned(),
            area: Some(Area { id: id("spillway"), name: "spillway".to_owned() }),
            models: vec![ModelDigest {
                id: id("ssdlite-mobilenet-v2"),
                sha256: "0a3c1d9e5b7f2846a1c0e3d5f7928b6c4d1e0f9a8b7c6d5e4f3a2b1c0d9e8f70".to_owned(),
            }],
        },
        place: Some(place("Qinglong reservoir")),
        rule: id("spillway-intrusion"),
        rule_kind: "intrusion".to_owned(),
        target: target("intrusion", "Intrusion into a closed area", Severity::Ordinary, 2),
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    }
}

fn tally(things: u32, since: Mono, last_seen: Mono) -> Tally {
    Tally { things, peak: things, score: 0.87, ..Tally::new(since, last_seen) }
}

/// A time of the day, as people's systems write it.
fn written(time: &str) -> String {
    format!("{DATE}T{time}+08:00")
}

/// Somebody is at the spillway.
fn intrusion(story: &mut Story, episode: u64) -> IncidentId {
    let (source, at) = (spillway(), story.clock.mono());
    let finding = Finding {
        rule: source.rule.clone(),
        episode,
        at,
        change: Change::Began,
        tally: tally(1, at - Duration::from_secs(1), at),
        subjects: Vec::new(),
    };
    let revision = story.book.found(&source, &finding, &story.clock).unwrap();
    story.announce(&revision)
}

fn disposition(id: &str, incident: IncidentId, stage: &str, at: &str, note: &str) -> Value {
    json!({
        "id": id, "incident": incident, "stage": stage, "by": "Qinglong desk", "note": note,
        "at": written(at), "expires": written("20:00:00"),
    })
}

fn the_loop(story: &mut Story) {
    // 发现上报
    story.at("08:00:01.812");
    let incident = intrusion(story, 1);
    let (began, seen) = (story.clock.mono(), story.clock.now());
    story.at("08:00:02.390");
    story.add_still(incident, still("still.jpg", "reservoir", seen));
    // 指挥派遣
    story.at("08:03:00.204");
    story.dispose(&disposition("d-1", incident, "accepted", "08:03:00", "Seen on the wall"));
    story.at("08:05:00.211");
    story.dispose(&disposition("d-2", incident, "dispatched", "08:05:00", "Team 3"));
    story.light_turns();
    story.at("09:40:00.198");
    let mut more = disposition("d-3", incident, "extended", "09:40:00", "The road is closed, team 3 walks");
    more["for_seconds"] = 3600.into();
    story.dispose(&more);
    // 处置反馈
    story.at("09:52:12.060");
    let source = spillway();
    let finding = Finding {
        rule: source.rule.clone(),
        episode: 1,
        at: story.clock.mono(),
        change: Change::Ended,
        tally: tally(2, began - Duration::from_secs(1), story.clock.mono() - Duration::from_secs(10)),
        subjects: Vec::new(),
    };
    let ended = story.book.found(&source, &finding, &story.clock).unwrap();
    story.announce(&ended);
    story.at("09:55:00.207");
    story.dispose(&disposition("d-4", incident, "handled", "09:54:30", "Two anglers have left, the fence is mended"));
    // 任务核查
    story.at("10:00:00.200");
    let mut verify = json!({
        "id": "v-1", "incident": incident, "by": "Qinglong desk", "reason": "team 3 reports it done",
        "at": written("10:00:00"), "expires": written("10:05:00"), "for_seconds": 60,
    });
    let looking = story.verify(&verify).unwrap();
    let name = FileName::of_verification(&looking.id);
    story.look(&looking, still(name.as_str(), "reservoir", story.clock.now()));
    story.at("10:02:00.200");
    assert!(story.verify(&verify).is_none(), "it has looked");
    story.at("10:05:00.200");
    story.dispose(&disposition("d-5", incident, "verified", "10:05:00", "The picture shows nobody"));
    // 考核评价
    story.at("10:20:00.200");
    story.dispose(&disposition("d-6", incident, "assessed", "10:20:00", "In time, good"));
    // 结案存档
    story.at("10:21:00.200");
    story.dispose(&disposition("d-7", incident, "closed", "10:21:00", ""));
    story.at("10:21:05.200");
    story.dispose(&disposition("d-8", incident, "archived", "10:21:05", "2026-0317"));
    // Nothing is looked at that is finished.
    story.at("10:30:00");
    verify["id"] = "v-2".into();
    verify["expires"] = written("10:35:00").into();
    assert!(story.verify(&verify).is_none());
}

fn side_roads(story: &mut Story) {
    // A false alarm.
    story.at("11:00:00");
    let shadow = intrusion(story, 2);
    story.at("11:02:00.200");
    story.dispose(&disposition("s-1", shadow, "rejected_false_alarm", "11:02:00", "The shadow of a tree"));
    // Suspended and resumed, and what is refused.
    story.at("11:10:00");
    let incident = intrusion(story, 3);
    story.at("11:20:00.200");
    story.dispose(&disposition("s-2", incident, "suspended", "11:20:00", "Until the water is down"));
    story.dispose(&disposition("s-3", incident, "handled", "11:21:00", ""));
    story.at("11:50:00.200");
    story.dispose(&disposition("s-4", incident, "resumed", "11:50:00", "The water is down"));
    story.at("11:51:00.200");
    story.dispose(&disposition("s-5", incident, "closed", "11:51:00", ""));
    // The same command again, another one under its id, one that comes too late.
    story.dispose(&disposition("s-4", incident, "resumed", "11:50:00", "The water is down"));
    story.dispose(&disposition("s-4", incident, "handled", "11:52:00", ""));
    let mut late = disposition("s-6", incident, "handled", "11:00:00", "");
    late["expires"] = written("11:05:00").into();
    story.dispose(&late);
    // One that cannot be read.
    story.dispose(&disposition("s-7", incident, "handed over", "11:55:00", ""));
    // The box is asked too often.
    let verify = |id: &str| {
        json!({ "id": id, "incident": incident, "by": "Qinglong desk", "reason": "is it over?",
            "at": written("11:55:00"), "expires": written("12:00:00") })
    };
    story.at("11:55:00.200");
    story.verify(&verify("v-3")).unwrap();
    assert!(story.verify(&verify("v-4")).is_none());
}

fn besides(story: &mut Story) {
    let gauge = id("bridge-gauge");
    story.at("12:00:00");
    let water = high_water(story, &gauge);

    let topics = story.topics.clone();
    let (gateway, boot) = (story.gateway.id.clone(), story.clock.boot_id().clone());
    let mut say = |topic: String, message: &dyn erased::Message| story.say(topic, &message.json());
    for reason in [None, Some(Absence::Stopped), Some(Absence::ConnectionLost)] {
        say(topics.status(), &Status::new(&gateway, &boot, reason));
    }
    let in_force = ConfigStateMessage {
        digest: "6f0f3c6a1b7d".into(),
        origin: Origin::Given,
        generation: 3,
        since: moment("07:40:00"),
        refused: None,
    };
    say(topics.config_state(), &in_force);
    let refusal = Refusal {
        at: moment("11:58:00"),
        errors: 1,
        first: "/etc/snowgate/cameras.d/reservoir.toml:31:9: there is no zone `spilway`; did you mean `spillway`?"
            .into(),
    };
    say(topics.config_state(), &ConfigStateMessage { refused: Some(refusal), ..in_force });
    let camera = id("reservoir");
    let state = CameraStateMessage {
        camera: &camera,
        state: CameraState::Refused,
        reason: Some("the camera refused the user name or password"),
        record_reason: None,
        pictures: None,
        since: moment("07:58:10").to_string(),
    };
    say(topics.camera_state(&camera), &state);
    let covered =
        CameraStateMessage { state: CameraState::Live, reason: None, pictures: Some(Condition::Covered), ..state };
    say(topics.camera_state(&camera), &covered);
    for (reason, messages, bytes) in [(LossReason::Quota, 12, 815_104), (LossReason::Corrupt, 0, 0)] {
        let committed = |time| CommitTime { wall: moment(time), synchronised: true, mono: None };
        let (first, last) = (committed("08:00:00"), committed("14:00:00"));
        let gap = Gap { class: Class::Evidence, reason, messages, bytes, first, last };
        say(topics.gap(), &GapReport::new(&gateway, &gap));
    }

    let (name, reason) = (FileName::STILL.as_str().to_owned(), Reason::Age);
    let deleted = DeletedFile {
        incident: water,
        name,
        camera: Some(camera.clone()),
        sha256: Some("5f".repeat(32)),
        bytes: 61_204,
        at: moment("23:10:00"),
        reason,
    };
    let report = DeletionReport { gateway: gateway.clone(), files: vec![deleted] };
    story.say(topics.evidence_deleted(), &serde_json::to_vec(&report).unwrap());
    let key = SigningKey::from_pem(KEY.as_bytes()).unwrap();
    let head = Head { number: 218, sha256: "c4".repeat(32) };
    let now = Moment { mono: Mono(0), wall: moment("23:59:59"), synchronised: true };
    let head = PublishedHead::new(&gateway, head, now, Some(&key)).unwrap();
    story.say(topics.access_head(), &serde_json::to_vec(&head).unwrap());

    sensor_state(story, &gauge);
    let summary = story.summary();
    let uptime = |name: &str, up_seconds| Uptime { id: id(name), up_seconds, watched_seconds: 18_000 };
    summary.set_uptimes([uptime("reservoir", 17_940)], [uptime("bridge-gauge", 18_000)]);
    // The incident that was resumed, and the high water.
    summary.unfinished_by_light.green = 2;
    let summary = summary.clone();
    story.say(topics.summary_today(), &serde_json::to_vec(&summary).unwrap());
    let over = DailySummary { complete: true, ..summary };
    story.say(topics.daily_summary(), &serde_json::to_vec(&over).unwrap());
    let unknown = UnknownCommandAnswer::new("c-0900".parse().ok());
    story.say(topics.command_answer("snapshot"), &serde_json::to_vec(&unknown).unwrap());
    of_the_whole_scene(story);
    joined(story, water);
}

/// Somebody is at the spillway while the water is high.
fn joined(story: &mut Story, water: IncidentId) {
    let people = intrusion(story, 4);
    let Source { place, target_during, merge, quiet_after, priority, .. } = spillway();
    let source = Source {
        of: JoinedSource { name: "High water and people at the spillway".to_owned() },
        place: place.clone(),
        rule: id("people-at-high-water"),
        rule_kind: "all".to_owned(),
        target: target("waterside", "Person at dangerous water", Severity::Major, 1),
        target_during,
        merge,
        quiet_after,
        priority,
    };
    let by = |device, rule: &str| RuleOf { device, rule: id(rule) };
    let of_people = by(Device::Camera(id("reservoir")), "spillway-intrusion");
    let at = story.clock.mono();
    let coincidence = Coincidence {
        rule: source.rule.clone(),
        episode: 1,
        at,
        change: Change::Began,
        completed_by: Listened { to: of_people.clone(), grid: source.target.grid.clone(), place },
        since: at,
        last_seen: at,
        joins: vec![(water, by(Device::Sensor(id("bridge-gauge")), "high")), (people, of_people)],
    };
    let revision = story.book.coincided(&source, &coincidence, &story.clock).unwrap();
    story.announce(&revision);
}

/// The camera is covered; when it sees again, something lies before the spillway that was never there.
fn of_the_whole_scene(story: &mut Story) {
    let at = story.clock.mono();
    let found = |rule: &str, tally: Tally| Finding {
        rule: id(rule),
        episode: 1,
        at,
        change: Change::Began,
        tally,
        subjects: Vec::new(),
    };
    let whole = CameraSource { area: None, models: Vec::new(), ..spillway().of };
    let tampered = Source {
        of: whole.clone(),
        rule: id("blind-or-moved"),
        rule_kind: "tamper".to_owned(),
        target: target("camera-tampered", "Camera blind, moved or frozen", Severity::Ordinary, 4),
        ..spillway()
    };
    let blind =
        Tally { score: 1.0, condition: Some(Condition::Covered), ..Tally::new(at - Duration::from_secs(20), at) };
    let revision = story.book.found(&tampered, &found("blind-or-moved", blind), &story.clock).unwrap();
    story.announce(&revision);

    let model = ModelDigest {
        id: id("efficientnet-lite0"),
        sha256: "7b0e4c21d9f8635a4e1c0b7d2f96a8e35c4d1b0f9a8e7c6d5b4f3a2e1d0c9b81".to_owned(),
    };
    let strange = Source {
        of: CameraSource { models: vec![model], ..whole },
        rule: id("unknown-thing"),
        rule_kind: "anomaly".to_owned(),
        target: target("unknown-thing", "Unknown thing in the scene", Severity::Ordinary, 4),
        ..spillway()
    };
    let lies_there = tally(1, at - Duration::from_secs(125), at);
    let revision = story.book.found(&strange, &found("unknown-thing", lies_there), &story.clock).unwrap();
    story.announce(&revision);
}

/// A gauge reads more than it may.
fn high_water(story: &mut Story, gauge: &Id) -> IncidentId {
    let source = Source {
        of: SensorSource {
            sensor: gauge.clone(),
            sensor_name: "Three Mile Bridge".to_owned(),
            quantity: id("water_level"),
            quantity_name: "water level".to_owned(),
            unit: "m".parse().unwrap(),
        },
        place: Some(place("Three Mile Bridge")),
        rule: id("high"),
        rule_kind: "threshold".to_owned(),
        target: target("water-level", "High water", Severity::Ordinary, 4),
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    };
    let reading = |value: f64, measured: Option<&str>, verdict| Reading {
        sensor: gauge.clone(),
        quantity: id("water_level"),
        value,
        unit: "m".parse().unwrap(),
        measured: measured.map(moment),
        arrived: story.clock.now(),
        verdict,
    };
    let high = Verdict::doubtful(Quality::OutOfRange, Doubt::TooHigh);
    let readings = [reading(3.62, Some("11:59:59"), Verdict::GOOD), reading(99.0, None, high)];
    let at = story.clock.mono();
    let alarm = Alarm {
        rule: source.rule.clone(),
        quantity: id("water_level"),
        episode: 1,
        at,
        change: Change::Began,
        tally: AlarmTally { value: Some(3.62), extreme: Some(3.71), count: 4, score: 0.0, since: at, last_seen: at },
    };
    let mut telemetry = Telemetry::default();
    for (reading, score) in readings.iter().zip([Some(0.031), None]) {
        telemetry.push(Seen { reading: reading.clone(), score, reason: None });
    }
    let revision = story.book.alarmed(&source, &alarm, &readings, &story.clock).unwrap();
    let batch = telemetry.take(gauge, &story.gateway.time_zone).unwrap();
    let incident = story.announce(&revision);
    story.say(story.topics.telemetry(gauge), &batch.payload);
    incident
}

fn sensor_state(story: &mut Story, gauge: &Id) {
    let (told, hear) = std::sync::mpsc::channel();
    let mut teller =
        StateTeller::new(gauge.clone(), StateSink::new(move |_, state| told.send(state.unwrap().1).unwrap()));
    let now = story.clock.mono();
    let fault = Some("10.0.0.9:5000 has disconnected".to_owned());
    let signs = Signs { heard: Some(now), since: now, fault, flooding: None, silent_after: Duration::from_secs(600) };
    let (level, rain) = (id("water_level"), id("rain"));
    let skewed = Verdict::doubtful(Quality::Suspect, Doubt::ClockSkew);
    let quantities = [(&level, Some(skewed)), (&rain, Some(Verdict::GOOD))];
    teller.update(&signs, quantities.into_iter(), &story.clock);
    story.say(story.topics.sensor_state(gauge), &hear.recv().unwrap());
}

/// Messages of several types in one loop.
mod erased {
    /// What can be said.
    pub trait Message {
        fn json(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Message for T {
        fn json(&self) -> Vec<u8> {
            serde_json::to_vec(self).unwrap()
        }
    }
}
