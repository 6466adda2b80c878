//! Sensors end to end: a simulator that speaks the protocol from the other side, the whole daemon, and incidents at a real
//! broker.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::{Value, json};
use snowgate_simulators::{
    gbt26875::FireDevice,
    hj212::Hj212Station,
    http::Poster,
    modbus::ModbusSlaves,
    mqtt::{Delivery, Publisher, Uplink},
    sl651::{self, Sl651Station},
};
use snowgate_tests::{
    daemon::{self, Daemon},
    grid_system::{GridSystem, IncidentEvent},
    site::Site,
    wait::PATIENCE,
};
use tokio::runtime::Runtime;

/// A camera takes a while to be live on a busy machine.
const A_WHILE: Duration = Duration::from_secs(120);

/// A sensor's file: how its incidents are reported, then the rest.
fn sensor(id: &str, rest: &str) -> String {
    format!("id = \"{id}\"\nname = \"{id}\"\ncategory = \"high-water\"\ngrid = \"330182101201001\"\n{rest}")
}

fn port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, daemon::free_port().unwrap()).into()
}

/// A running daemon without cameras, and who hears it.
struct Running {
    site: Site,
    grid_system: GridSystem,
    daemon: Daemon,
}

impl Running {
    fn start(gateway: &str, sensors: &[(&str, &str)]) -> Self {
        let site = Site::of_sensors(gateway, sensors);
        let grid_system = site.grid_system();
        let mut daemon = site.start().unwrap();
        daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        Self { site, grid_system, daemon }
    }

    /// Waits for an event of a sensor's rule.
    fn event(&self, sensor: &str, rule: &str, kind: &str) -> IncidentEvent {
        event(&self.grid_system, sensor, rule, kind).unwrap_or_else(|| {
            let states = self.grid_system.look(|received| format!("{:?}", received.states));
            panic!("no {kind} of {sensor}/{rule}: {states}\n{}", self.daemon.last_log_lines(20))
        })
    }

    /// Waits until a sensor's state is this.
    fn state(&self, sensor: &str, state: &str) -> Value {
        let topic = format!("sensor/{sensor}/state");
        let found = self.grid_system.wait_for(PATIENCE, |received| {
            received.states.get(&topic).filter(|found| found["state"] == state).cloned()
        });
        let last = || self.grid_system.look(|received| received.states.get(&topic).cloned());
        found.unwrap_or_else(|| panic!("{sensor} is not {state}: {:?}\n{}", last(), self.daemon.last_log_lines(20)))
    }
}

fn event(grid_system: &GridSystem, sensor: &str, rule: &str, kind: &str) -> Option<IncidentEvent> {
    grid_system.wait_for(PATIENCE, |received| {
        let wanted = |event: &&IncidentEvent| {
            event.kind() == kind && event.json["data"]["sensor"] == sensor && event.data.rule.as_str() == rule
        };
        received.events.iter().find(wanted).cloned()
    })
}

/// A threshold rule on the quantity `level`.
const HIGH: &str = "\n[[rules]]\nid = \"high\"\nquantity = \"level\"\nkind = \"threshold\"\nabove = 3.5\n";

#[test]
fn json_over_mqtt_of_every_format_becomes_incidents() {
    let plain = sensor(
        "plain",
        &format!(
            "[source]\nprotocol = \"mqtt\"\ntopic = \"gauges/1\"\ntime = \"/at\"\n[[source.values]]\nid = \"level\"\nname = \"水位\"\n\
             unit = \"cm\"\nreport_in = \"m\"\nmin = 0\nmax = 12\npointer = \"/data/0/level\"\n{HIGH}hysteresis = 0.2\n"
        ),
    );
    let chirpstack = sensor(
        "chirpstack",
        &format!(
            "[source]\nprotocol = \"mqtt\"\ntopic = \"application/+/device/24e124713d123456/event/up\"\nformat = \"chirpstack\"\n\
             [[source.values]]\nid = \"level\"\nunit = \"m\"\npointer = \"/level\"\n{HIGH}"
        ),
    );
    let things = sensor(
        "things",
        "[source]\nprotocol = \"mqtt\"\ntopic = \"v3/+/devices/pump/up\"\nformat = \"the_things_stack\"\n\
         [[source.values]]\nid = \"flow\"\nunit = \"m3/h\"\npointer = \"/flow\"\nmissing = \"zero\"\n\
         [[rules]]\nid = \"dry\"\nquantity = \"flow\"\nkind = \"threshold\"\nbelow = 0.5\n",
    );
    let the_box = Running::start(
        "[sensors]\npublish_every = \"1s\"",
        &[("plain", &plain), ("chirpstack", &chirpstack), ("things", &things)],
    );
    the_box.state("plain", "waiting");
    let runtime = Runtime::new().unwrap();
    let mut publisher = Publisher::new("network-server", the_box.site.broker.address());
    let mut publish = |uplink: &Uplink| runtime.block_on(publisher.publish(uplink, Delivery::AtLeastOnce)).unwrap();
    let now = || jiff::Timestamp::now().to_string();
    let gauge =
        |level: f64| Uplink::plain("gauges/1", json!({ "at": now(), "data": [{ "level": level }] }).to_string());

    publish(&gauge(210.0));
    publish(&gauge(362.0));
    let opened = the_box.event("plain", "high", "opened");
    let data = &opened.json["data"];
    assert_eq!(data["title"], "High water: plain, 水位 3.62 m");
    assert_eq!((&data["quantity"], &data["unit"]), (&json!("level"), &json!("m")));
    assert_eq!(data["measure"], json!({ "value": 3.62, "extreme": 3.62, "count": 1 }));
    let readings = data["readings"].as_array().unwrap();
    let values: Vec<_> = readings.iter().map(|reading| (&reading["value"], &reading["quality"])).collect();
    assert_eq!(values, [(&json!(2.1), &json!("good")), (&json!(3.62), &json!("good"))]);
    // A major one starts higher than its own grid.
    assert!(opened.topic.ends_with("/incident/township/330182101"), "{}", opened.topic);
    // Within the hysteresis it goes on; beyond it is over.
    publish(&gauge(340.0));
    publish(&gauge(320.0));
    let ended = the_box.event("plain", "high", "ended");
    assert_eq!((ended.data.incident, &ended.json["data"]["measure"]["count"]), (opened.data.incident, &json!(2)));

    publish(&Uplink::chirpstack("7", "24e124713d123456", &now(), json!({ "level": 3.9 })));
    assert_eq!(the_box.event("chirpstack", "high", "opened").json["data"]["measure"]["value"], 3.9);

    // What The Things Stack leaves out is zero where the file says so.
    publish(&Uplink::the_things_stack("app", "pump", "0004a30b001c0530", &now(), json!({})));
    assert_eq!(the_box.event("things", "dry", "opened").json["data"]["measure"]["value"], 0.0);

    // What cannot be read is refused by name, and the sensor says so until it is heard again.
    publish(&Uplink::plain("gauges/1", "{ no JSON"));
    let faulty = the_box.state("plain", "faulty");
    assert!(faulty["reason"].as_str().unwrap().contains("cannot be used"), "{faulty}");
    publish(&gauge(9999.0));
    let live = the_box.state("plain", "live");
    assert_eq!(live["quantities"]["level"], json!({ "quality": "out_of_range", "why": "too_high" }));
    let metrics = the_box.daemon.metrics().unwrap();
    assert!(metrics.total("snowgate_sensor_rejects_total", &[("sensor", "plain"), ("reason", "malformed")]) >= 1.0);

    let telemetry = the_box.grid_system.wait_for(PATIENCE, |received| {
        let readings = received.telemetry.iter().filter(|message| message["sensor"] == "plain");
        let readings: Vec<Value> =
            readings.flat_map(|message| message["readings"].as_array().unwrap().clone()).collect();
        (readings.len() >= 5).then_some(readings)
    });
    let telemetry = telemetry.expect("all readings, batched");
    assert_eq!((&telemetry[0]["value"], &telemetry[0]["unit"]), (&json!(2.1), &json!("m")));
}

#[test]
fn a_press_of_a_button_over_http_is_critical_at_once() {
    let listen = port();
    let sos = sensor(
        "sos",
        "[source]\nprotocol = \"http\"\ntoken_file = \"token\"\n[[source.values]]\nid = \"button\"\npointer = \"/pressed\"\n\
         [[rules]]\nid = \"pressed\"\nquantity = \"button\"\nkind = \"button\"\ncool_down = \"10m\"\ncategory = \"sos\"\n",
    );
    let site = Site::of_sensors(&format!("[sensors.http]\nlisten = \"{listen}\""), &[("sos", &sos)]);
    site.write_secret("token", "a-very-secret-token");
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let the_box = Running { site, grid_system, daemon };
    the_box.state("sos", "waiting");

    let runtime = Runtime::new().unwrap();
    let mut poster = runtime.block_on(Poster::connect(listen)).unwrap();
    let mut post = |token: &str| runtime.block_on(poster.post("sos", token, r#"{"pressed":true}"#)).unwrap().status;
    assert_eq!(post("a-very-secret-token"), 204);
    let opened = the_box.event("sos", "pressed", "opened");
    assert_eq!(opened.data.severity, "critical");
    // A critical one starts higher than its own grid.
    assert!(opened.topic.contains("/incident/township/"), "{}", opened.topic);
    // Who presses again while the incident is open joins it, and is heard.
    assert_eq!(post("a-very-secret-token"), 204);
    let again = the_box.event("sos", "pressed", "updated");
    assert_eq!((again.data.incident, &again.json["data"]["measure"]["count"]), (opened.data.incident, &json!(2)));
    assert_eq!(post("a-guess"), 401);
}

#[test]
fn registers_over_modbus_tcp_and_rtu_become_incidents() {
    let (tcp, rtu) = (ModbusSlaves::tcp().unwrap(), ModbusSlaves::rtu().unwrap());
    tcp.set_input(1, 10, 210);
    rtu.set_holding(7, 0, 2);
    let over_tcp = sensor(
        "over-tcp",
        &format!(
            "[source]\nprotocol = \"modbus\"\nbus = \"ethernet\"\nslave = 1\npoll_every = \"200ms\"\n[[source.values]]\nid = \"level\"\n\
             unit = \"cm\"\nreport_in = \"m\"\ntable = \"input\"\naddress = 10\n{HIGH}"
        ),
    );
    let over_rtu = sensor(
        "over-rtu",
        &format!(
            "[source]\nprotocol = \"modbus\"\nbus = \"serial\"\nslave = 7\npoll_every = \"200ms\"\n[[source.values]]\nid = \"level\"\n\
             unit = \"m\"\naddress = 0\n{HIGH}"
        ),
    );
    let buses = format!(
        "[[sensors.buses]]\nid = \"ethernet\"\ntcp = \"{}\"\n[[sensors.buses]]\nid = \"serial\"\nserial = \"{}\"\nbaud = 115200\n",
        tcp.address(),
        rtu.address()
    );
    let the_box = Running::start(&buses, &[("over-tcp", &over_tcp), ("over-rtu", &over_rtu)]);
    the_box.state("over-tcp", "live");
    the_box.state("over-rtu", "live");
    tcp.set_input(1, 10, 362);
    assert_eq!(the_box.event("over-tcp", "high", "opened").json["data"]["measure"]["value"], 3.62);
    rtu.set_holding(7, 0, 4);
    assert_eq!(the_box.event("over-rtu", "high", "opened").json["data"]["measure"]["value"], 4.0);
    tcp.set_input(1, 10, 210);
    the_box.event("over-tcp", "high", "ended");
}

#[test]
fn a_station_of_hj212_is_answered_and_its_effluent_reported() {
    let listen = port();
    let station = sensor(
        "outlet",
        "category = \"effluent\"\n[source]\nprotocol = \"hj212\"\nstation = \"010000A8900016F000169DC0\"\n[[source.values]]\n\
         id = \"cod\"\nname = \"COD\"\nunit = \"mg/L\"\nfactor = \"w01018\"\n\
         [[rules]]\nid = \"over\"\nquantity = \"cod\"\nkind = \"threshold\"\nabove = 50\n",
    )
    .replacen("category = \"high-water\"\n", "", 1);
    let the_box = Running::start(&format!("[sensors.hj212]\nlisten = \"{listen}\""), &[("outlet", &station)]);
    the_box.state("outlet", "waiting");
    let mut connected = Hj212Station::connect(listen, "010000A8900016F000169DC0").unwrap();
    let answer = connected.send_realtime(&[("w01018", 61.5)]).unwrap();
    assert_eq!(answer.cn, 9014, "the flag asks for an answer");
    let opened = the_box.event("outlet", "over", "opened");
    assert_eq!(opened.json["data"]["title"], "Effluent over the limit: outlet, COD 61.5 mg/L");
    drop(connected);
    assert!(the_box.state("outlet", "faulty")["reason"].as_str().unwrap().contains("disconnected"));
}

#[test]
fn a_station_of_sl651_is_acknowledged_and_its_water_level_reported() {
    let listen = port();
    let station = sensor(
        "weir",
        &format!(
            "[source]\nprotocol = \"sl651\"\nstation = \"0012345678\"\n[[source.values]]\nid = \"level\"\nunit = \"m\"\nelement = \"39\"\n\
             {HIGH}"
        ),
    );
    let the_box = Running::start(&format!("[sensors.sl651]\nlisten = \"{listen}\""), &[("weir", &station)]);
    the_box.state("weir", "waiting");
    let mut connected = Sl651Station::connect(listen, [0x00, 0x12, 0x34, 0x56, 0x78]).unwrap();
    let level = |value: f64| [sl651::number(0x39, value, 3)];
    connected.send_scheduled(&level(2.105)).unwrap();
    connected.send_scheduled(&level(3.62)).unwrap();
    let opened = the_box.event("weir", "high", "opened");
    assert_eq!(opened.json["data"]["measure"]["value"], 3.62);
}

#[test]
fn a_fire_over_gbt26875_is_confirmed_and_reported() {
    let listen = port();
    let device = sensor(
        "hall",
        "[source]\nprotocol = \"gbt26875\"\ndevice = \"010203040506\"\n[[source.values]]\nid = \"fire\"\nstate = \"fire\"\n\
         [[rules]]\nid = \"fire\"\nquantity = \"fire\"\nkind = \"threshold\"\nabove = 0.5\ncategory = \"fire-alarm\"\n",
    );
    let the_box = Running::start(&format!("[sensors.gbt26875]\nlisten = \"{listen}\""), &[("hall", &device)]);
    the_box.state("hall", "waiting");
    let mut connected = FireDevice::connect(listen, [1, 2, 3, 4, 5, 6]).unwrap();
    // Bit 1 of a system's state is fire.
    connected.send_system(1, 0b10).unwrap();
    let opened = the_box.event("hall", "fire", "opened");
    assert_eq!(opened.data.severity, "critical");
    connected.send_system(1, 0).unwrap();
    the_box.event("hall", "fire", "ended");
}

#[test]
fn silence_is_an_incident_and_a_state() {
    let gauge = sensor(
        "gauge",
        "silent_after = \"1s\"\n[source]\nprotocol = \"mqtt\"\ntopic = \"gauges/1\"\n[[source.values]]\nid = \"level\"\nunit = \"m\"\n\
         pointer = \"\"\n[[rules]]\nid = \"silent\"\nquantity = \"level\"\nkind = \"silence\"\nafter = \"1s\"\n\
         category = \"sensor-silent\"\n",
    );
    let the_box = Running::start("", &[("gauge", &gauge)]);
    let opened = the_box.event("gauge", "silent", "opened");
    assert_eq!(opened.json["data"]["title"], "Sensor not heard: gauge, level");
    assert_eq!(opened.json["data"]["measure"]["value"], Value::Null);
    the_box.state("gauge", "silent");
    let staleness =
        the_box.daemon.metrics().unwrap().total("snowgate_sensor_staleness_seconds", &[("sensor", "gauge")]);
    assert!(staleness >= 1.0, "{staleness}");
    let runtime = Runtime::new().unwrap();
    let mut publisher = Publisher::new("gauge", the_box.site.broker.address());
    runtime.block_on(publisher.publish(&Uplink::plain("gauges/1", "2.1"), Delivery::AtLeastOnce)).unwrap();
    the_box.event("gauge", "silent", "ended");
}

#[test]
fn an_incident_gets_a_still_from_a_camera_that_shares_its_grid() {
    let site = Site::new();
    let gauge = sensor(
        "gauge",
        &format!(
            "[source]\nprotocol = \"mqtt\"\ntopic = \"gauges/1\"\n[[source.values]]\nid = \"level\"\nunit = \"m\"\npointer = \"\"\n{HIGH}"
        ),
    );
    site.add_sensors("", &[("gauge", &gauge)]);
    let grid_system = site.grid_system();
    let mut daemon = site.start().unwrap();
    daemon.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let live = grid_system
        .wait_for(A_WHILE, |received| (received.states.get("camera/walkers/state")?["state"] == "live").then_some(()));
    assert!(live.is_some(), "{}", daemon.last_log_lines(20));
    let runtime = Runtime::new().unwrap();
    let mut publisher = Publisher::new("gauge", site.broker.address());
    runtime.block_on(publisher.publish(&Uplink::plain("gauges/1", "3.9"), Delivery::AtLeastOnce)).unwrap();
    let opened = event(&grid_system, "gauge", "high", "opened").expect("the incident");
    assert_eq!(opened.json["data"]["evidence"], json!([]), "it does not wait for the still");
    let with_still = grid_system.wait_for(A_WHILE, |received| {
        let updated = received.events.iter().find(|event| {
            event.data.incident == opened.data.incident && event.json["data"]["evidence"][0]["camera"] == "walkers"
        })?;
        let still = received.stills.iter().find(|still| still.incident == opened.data.incident)?;
        Some((updated.clone(), still.clone()))
    });
    let (updated, still) = with_still.unwrap_or_else(|| panic!("no still\n{}", daemon.last_log_lines(30)));
    assert_eq!(updated.json["data"]["evidence"][0]["sha256"], still.sha256);
    grid_system.look(|received| assert!(received.forged_stills().is_empty()));
}

#[test]
fn one_bad_sensor_takes_nothing_else_down() {
    let listen = port();
    let bad = sensor(
        "bad",
        "[source]\nprotocol = \"http\"\ntoken_file = \"not-there\"\n[[source.values]]\nid = \"level\"\npointer = \"/level\"\n",
    );
    let good = sensor(
        "good",
        &format!(
            "[source]\nprotocol = \"mqtt\"\ntopic = \"gauges/1\"\n[[source.values]]\nid = \"level\"\nunit = \"m\"\npointer = \"\"\n{HIGH}"
        ),
    );
    let gateway = format!(
        "[sensors.http]\nlisten = \"{listen}\"\n[[sensors.buses]]\nid = \"nowhere\"\ntcp = \"127.0.0.1:{}\"",
        daemon::free_port().unwrap()
    );
    let unreachable = sensor(
        "unreachable",
        "[source]\nprotocol = \"modbus\"\nbus = \"nowhere\"\nslave = 1\n[[source.values]]\nid = \"level\"\naddress = 0\n",
    );
    let the_box = Running::start(&gateway, &[("bad", &bad), ("good", &good), ("unreachable", &unreachable)]);
    assert!(the_box.state("bad", "refused")["reason"].as_str().unwrap().contains("not-there"));
    assert!(the_box.state("unreachable", "faulty")["reason"].as_str().unwrap().contains("127.0.0.1"));
    let runtime = Runtime::new().unwrap();
    let mut publisher = Publisher::new("gauge", the_box.site.broker.address());
    the_box.state("good", "waiting");
    runtime.block_on(publisher.publish(&Uplink::plain("gauges/1", "4.2"), Delivery::AtLeastOnce)).unwrap();
    the_box.event("good", "high", "opened");
}
