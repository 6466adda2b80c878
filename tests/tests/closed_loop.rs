//! The loop closed, with the whole daemon and a real broker: a desk disposes of incidents, and has the box look again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

use std::{fs, time::Duration};

use serde_json::{Value, json};
use snowgate_simulators::modbus::ModbusSlaves;
use snowgate_tests::{
    daemon::Daemon,
    grid_system::{GridSystem, IncidentEvent},
    site::Site,
    wait::PATIENCE,
};

/// A clip is 80 s long, and this machine may be busy.
const A_WHILE: Duration = Duration::from_secs(240);
/// Looks that a test need not wait for.
const VERIFY: &str = "[verify]\nincident_every = \"1s\"\nevery = \"1s\"\nburst = 1000\n";

/// A desk that looks after what a running daemon reports.
struct Desk {
    site: Site,
    grid_system: GridSystem,
    daemon: Daemon,
    commands: u32,
}

impl Desk {
    fn open(site: Site) -> Self {
        // Nobody here synchronises the kernel's clock, and to verify is urgent or nothing.
        site.edit("gateway.toml", |text| text.replace("locale = \"en\"", "locale = \"en\"\ntrust_clock = true"));
        let grid_system = site.grid_system();
        let mut daemon = site.start().unwrap();
        daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        Self { site, grid_system, daemon, commands: 0 }
    }

    /// Waits for the next event that is as wanted.
    fn event(&self, what: &str, wanted: impl Fn(&IncidentEvent) -> bool) -> IncidentEvent {
        let found = self.grid_system.wait_for(A_WHILE, |received| received.events.iter().find(|e| wanted(e)).cloned());
        found.unwrap_or_else(|| panic!("{what} did not come\n{}", self.daemon.last_log_lines(20)))
    }

    /// Sends a command about an incident; answers its id.
    fn send(&mut self, name: &str, incident: &str, rest: Value) -> String {
        self.commands += 1;
        let id = format!("{name}-{}", self.commands);
        let now = jiff::Timestamp::now();
        let mut command = json!({
            "id": id, "incident": incident, "by": "青龙街道 desk", "at": now, "expires": now + Duration::from_secs(600),
        });
        command.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        self.grid_system.command(name, &command).unwrap();
        id
    }

    /// The first answer to a command.
    fn answer(&self, name: &str, id: &str) -> Value {
        let answer = self.grid_system.wait_for(PATIENCE, |received| {
            let to_it = received.answers.iter().find(|(to, answer)| to == name && answer["id"] == id);
            to_it.map(|(_, answer)| answer.clone())
        });
        answer.unwrap_or_else(|| panic!("{id} is not answered\n{}", self.daemon.last_log_lines(20)))
    }

    /// Disposes of an incident; answers how, and the event that came of it.
    fn dispose(&mut self, incident: &str, stage: &str) -> (Value, IncidentEvent) {
        let id = self.send("disposition", incident, json!({ "stage": stage }));
        let answer = self.answer("disposition", &id);
        let event = self.event(stage, |event| event.json["data"]["disposition"]["command"] == id.as_str());
        (answer, event)
    }

    /// Has the box look again; what it has seen.
    fn verify(&mut self, incident: &str) -> IncidentEvent {
        let id = self.send("verify", incident, json!({ "reason": "核查", "for_seconds": 3 }));
        let answer = self.answer("verify", &id);
        assert_eq!(answer["result"], "looking", "{answer}");
        self.event("what was seen", |event| event.json["data"]["verification"]["command"] == id.as_str())
    }
}

#[test]
fn what_a_gauge_shows_is_verified_and_its_incident_closed() {
    let slaves = ModbusSlaves::tcp().unwrap();
    slaves.set_input(1, 10, 390);
    let gauge = "id = \"gauge\"\nname = \"gauge\"\ncategory = \"high-water\"\ngrid = \"330182101201001\"\n\
        [source]\nprotocol = \"modbus\"\nbus = \"ethernet\"\nslave = 1\npoll_every = \"200ms\"\n\
        [[source.values]]\nid = \"level\"\nunit = \"cm\"\nreport_in = \"m\"\ntable = \"input\"\naddress = 10\n\
        [[rules]]\nid = \"high\"\nquantity = \"level\"\nkind = \"threshold\"\nabove = 3.5\n";
    let bus = format!("{VERIFY}[[sensors.buses]]\nid = \"ethernet\"\ntcp = \"{}\"", slaves.address());
    let mut desk = Desk::open(Site::of_sensors(&bus, &[("gauge", gauge)]));
    let incident = desk.event("the incident", |event| event.kind() == "opened").data.incident.to_string();

    for stage in ["accepted", "dispatched", "handled"] {
        let (answer, event) = desk.dispose(&incident, stage);
        let now = json!({ "revision": event.data.revision, "scene": "active", "handling": stage, "suspended": false });
        assert_eq!((&answer["result"], &answer["now"]), (&json!("done"), &now));
        assert_eq!((&event.json["data"]["handling"], &event.json["data"]["scene"]), (&json!(stage), &json!("active")));
    }
    let seen = desk.verify(&incident);
    assert_eq!(seen.json["data"]["verification"]["outcome"], "persists", "{}", seen.json);

    slaves.set_input(1, 10, 210);
    desk.event("the end", |event| event.data.scene == "ended");
    let seen = desk.verify(&incident);
    assert_eq!(seen.json["data"]["verification"]["outcome"], "cleared", "{}", seen.json);
    assert_eq!(seen.json["data"]["handling"], "handled", "what follows from it people say");

    drop(slaves);
    let seen = desk.verify(&incident);
    let verification = &seen.json["data"]["verification"];
    assert_eq!((&verification["outcome"], &verification["obstacle"]), (&json!("cannot_tell"), &json!("not_seen")));

    for stage in ["verified", "assessed", "closed"] {
        assert_eq!(desk.dispose(&incident, stage).0["result"], "done", "{stage}");
    }
    let closed = desk.event("the close", |event| event.kind() == "closed");
    // What is not possible any more is refused, and changes nothing.
    let id = desk.send("disposition", &incident, json!({ "stage": "dispatched" }));
    assert_eq!(desk.answer("disposition", &id)["result"], "refused");
    let id = desk.send("verify", &incident, json!({ "reason": "核查" }));
    let answer = desk.answer("verify", &id);
    assert_eq!((&answer["result"], &answer["reason"]), (&json!("refused"), &json!("finished")), "{answer}");
    let (_, archived) = desk.dispose(&incident, "archived");
    assert_eq!(archived.data.revision, closed.data.revision + 1);
    desk.daemon.stop(PATIENCE).unwrap();
    desk.grid_system.look(|received| {
        assert_eq!((received.holes(), received.missing_sequences()), (Vec::new(), Vec::new()));
    });
}

#[test]
fn a_camera_looks_again_and_sends_a_fresh_covered_still() {
    let site = Site::new();
    site.edit("cameras.d/walkers.toml", |text| text.replace("for = \"10s\"", "for = \"1s\""));
    site.edit("gateway.toml", |text| text + "\n" + VERIFY);
    let mut desk = Desk::open(site);
    let opened =
        desk.event("the incident", |event| event.kind() == "opened" && event.data.rule.as_str() == "on-left-road");
    let incident = opened.data.incident;
    let seen = desk.verify(&incident.to_string());
    let data = &seen.json["data"];
    let outcome = data["verification"]["outcome"].as_str().unwrap();
    assert!(["persists", "cleared"].contains(&outcome), "a camera that plays can tell: {data}");
    let name = data["verification"]["still"].as_str().expect("a fresh still");
    assert!(seen.data.evidence.iter().any(|evidence| evidence.name == name), "{data}");
    let arrived = desk.grid_system.wait_for(PATIENCE, |received| {
        received.stills.iter().find(|still| still.incident == incident && still.name == name).cloned()
    });
    assert!(arrived.is_some(), "the still itself arrives");
    desk.grid_system.look(|received| assert!(received.forged_stills().is_empty()));

    let log = fs::read_to_string(desk.site.data().join("access.jsonl")).unwrap();
    let accesses: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let looked =
        accesses.iter().find(|access| access.to_string().contains(&incident.to_string())).expect("it is on record");
    assert!(looked.to_string().contains("青龙街道 desk") && looked.to_string().contains("核查"), "{looked}");
    desk.daemon.stop(PATIENCE).unwrap();
}
