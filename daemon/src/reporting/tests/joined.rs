//! Joined rules at the desk: their incidents open, are handled and end like all others.

use snowgate_core::{
    incidents::{CameraSource, JoinedSource, Place},
    joined::{Device, JoinedRules, Listened, RuleOf, Wiring},
    priority::Priority,
    rules::{Finding, Tally},
    schedule::Schedules,
    severity::Severity,
    spec::read_table,
};

use super::*;

const RULE: &str = "id = 'flood'
when = 'all'
within = '1m'
same = 'grid'
linger = '10s'
[[inputs]]
sensor = 'bridge'
rule = 'high'
[[inputs]]
camera = 'bank'
rule = 'people'";

fn bank() -> Option<Place> {
    Some(Place { lat: 29.5, lon: 119.3, name: Some("Bridge, left bank".into()) })
}

fn joined() -> Joined {
    let listened = |device, rule: &str, place| {
        vec![Listened { to: RuleOf { device, rule: rule.parse().unwrap() }, grid: "1".into(), place }]
    };
    let inputs = vec![
        listened(Device::Sensor("bridge".parse().unwrap()), "high", None),
        listened(Device::Camera("bank".parse().unwrap()), "people", bank()),
    ];
    let spec = read_table(&mut toml_span::parse(RULE).unwrap()).unwrap();
    let rules = JoinedRules::new([Wiring { spec, inputs }], &Schedules::new()).unwrap();
    let Source { target, .. } = source();
    let target = Target { category_name: "Danger".into(), severity: Severity::Critical, ..target };
    let source = Source {
        of: JoinedSource { name: "people at high water".into() },
        place: None,
        rule: "flood".parse().unwrap(),
        rule_kind: "all".into(),
        target,
        target_during: Vec::new(),
        merge: None,
        quiet_after: Duration::ZERO,
        priority: Priority::Normal,
    };
    Joined::new(rules, [(("flood".parse().unwrap(), "1".to_owned()), source)])
}

/// People on the bank, reported as minor.
fn people(desk: &Desk, episode: u64, change: Change) {
    let Source { place, rule_kind, target, target_during, merge, quiet_after, priority, .. } = source();
    let rule: Id = "people".parse().unwrap();
    let of =
        CameraSource { camera: "bank".parse().unwrap(), camera_name: "Bank".into(), area: None, models: Vec::new() };
    let target = Target { severity: Severity::Minor, ..target };
    let rule_id = rule.clone();
    let source = Source { of, place, rule: rule_id, rule_kind, target, target_during, merge, quiet_after, priority };
    let at = desk.clock.mono();
    let tally = Tally { things: 1, peak: 1, score: 0.9, ..Tally::new(at, at) };
    let finding = Finding { rule, episode, at, change, tally, subjects: Vec::new() };
    let rule = Arc::new(WatchedRule {
        source,
        outline: None,
        masks: Arc::new([]),
        best_of: Duration::ZERO,
        clips: Wanted::default(),
    });
    let found = Found { rule, finding, arrived: None, sight: None };
    desk.running().items.send(Item::Found(Box::new(found))).unwrap();
}

/// Water and people, told in this order, and the incident that joins them, opened.
fn flooded(desk: &mut Desk) -> (String, String, Value) {
    let water = desk.opened();
    desk.clock.advance(Duration::from_secs(3));
    people(desk, 1, Change::Began);
    let people = desk.next(Class::Incident);
    assert_eq!(people["data"]["camera"], "bank");
    let joined = desk.next(Class::Incident);
    assert_eq!(joined["type"], "org.snowgate.incident.opened");
    (water, people["subject"].as_str().unwrap().to_owned(), joined)
}

#[test]
fn an_alarm_and_a_finding_make_one_incident_of_higher_severity_that_names_both_and_ends() {
    let mut desk = Desk::joining(joined);
    let (water, on_bank, event) = flooded(&mut desk);
    let data = &event["data"];
    assert_eq!((&data["severity"], &data["rule_kind"]), (&json!("critical"), &json!("all")));
    assert_eq!(data["title"], "Danger: people at high water, Bridge, left bank");
    assert_eq!(data["place"]["lat"], 29.5, "it is where it was completed");
    let joins = json!([
        { "incident": water, "sensor": "bridge", "rule": "high" },
        { "incident": on_bank, "camera": "bank", "rule": "people" },
    ]);
    assert_eq!(data["joined"], json!({ "rule": "flood", "incidents": joins }));
    assert!(data.get("camera").is_none() && data.get("sensor").is_none());
    let wished = || desk.wished.recv_timeout(Duration::from_secs(30)).unwrap().of.incident.to_string();
    assert_eq!(
        [wished(), wished()],
        [water.as_str(), event["subject"].as_str().unwrap()],
        "they have no picture of their own"
    );

    people(&desk, 1, Change::Ended);
    assert_eq!(desk.next(Class::Incident)["subject"], json!(on_bank));
    // What has ended counts for a minute, and what is over lingers for ten seconds.
    for seconds in [61, 9, 1] {
        desk.clock.advance(Duration::from_secs(seconds));
        if seconds > 1 {
            settled(&desk);
            assert_eq!(desk.rows(Class::Incident).len(), 4, "it is not over yet");
        }
    }
    let ended = desk.next(Class::Incident);
    assert_eq!((&ended["subject"], &ended["data"]["scene"]), (&event["subject"], &json!("ended")));
    assert_eq!(ended["data"]["joined"], data["joined"]);
    assert_eq!(desk.rows(Class::Incident).len(), 5, "those of its inputs are reported as ever");
}

/// Waits until the thread has looked after what time brings about.
fn settled(desk: &Desk) {
    // A command waits behind it, and the next turn is over once the second one is answered.
    for id in ["s-1", "s-2"] {
        let fate = desk.command("settle", json!({ "id": id }).to_string());
        fate.recv_timeout(Duration::from_secs(30)).unwrap();
    }
}

#[test]
fn a_joined_incident_is_disposed_of_counted_and_ended_by_a_restart() {
    let mut desk = Desk::joining(joined);
    let (.., event) = flooded(&mut desk);
    let incident = event["subject"].as_str().unwrap().to_owned();
    let answer = desk.dispose(&disposition("c-1", &incident, "rejected_false_alarm"));
    assert_eq!(answer["result"], "done", "{answer}");
    assert_eq!(desk.next(Class::Incident)["data"]["handling"], "rejected_false_alarm");
    desk.restart();
    let ended: Vec<Value> = (0..3).map(|_| desk.next(Class::Incident)).collect();
    let ended = ended.iter().find(|event| event["subject"] == json!(incident)).unwrap();
    assert_eq!(ended["data"]["times"]["end_reason"], "restarted");
    assert_eq!(ended["data"]["joined"]["incidents"].as_array().unwrap().len(), 2);
    desk.clock.advance(Duration::from_secs(15 * 3600));
    let day: Value = serde_json::from_slice(&desk.next_day().message.payload).unwrap();
    let rules = day["by_rule"].as_array().unwrap();
    let row = rules.iter().find(|row| row["source_kind"] == "joined").unwrap();
    assert_eq!((&row["source"], &row["rule"], &row["false_alarms"]), (&json!("flood"), &json!("flood"), &json!(1)));
}

#[test]
fn whether_a_joined_incident_persists_cannot_be_told() {
    let mut desk = Desk::joining(joined);
    let (.., event) = flooded(&mut desk);
    let incident = event["subject"].as_str().unwrap();
    let fate = desk.command("verify", verify("v-1", incident).to_string());
    assert_eq!(fate.recv_timeout(Duration::from_secs(30)), Ok(Fate::Settled));
    let event = desk.next(Class::Incident);
    assert_eq!(event["type"], "org.snowgate.incident.verified");
    assert_eq!(event["data"]["verification"]["outcome"], "cannot_tell");
    assert_eq!(event["data"]["verification"]["obstacle"], Obstacle::NotWatched.as_str());
    assert!(desk.wishes.is_empty(), "nobody is asked");
}
