//! Sensors in a configuration: what is made of good files, what operators read of wrong ones, and what a wrong one takes
//! down with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use std::{collections::BTreeSet, fs, time::Duration};

use common::{Directory, SENSORS, known_models};
use proptest::prelude::*;
use snowgate::config::{Config, Problems, last_good, preflight};
use snowgate_core::{ids::Id, severity::Severity};

fn load(directory: &Directory) -> Result<Config, Problems> {
    Config::load(directory.path()).and_then(|config| preflight(config, &known_models(), None))
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// Changes the good configuration and answers with everything that is then said about it.
fn problems(case: &str, change: impl FnOnce(&Directory)) -> String {
    let directory = Directory::with_sensors();
    change(&directory);
    let checked = load(&directory);
    let (outcome, problems) = match &checked {
        Ok(config) => {
            let refused: Vec<&str> = config
                .sensors
                .iter()
                .filter(|sensor| sensor.refused.is_some())
                .map(|sensor| sensor.id.as_str())
                .collect();
            let outcome =
                if refused.is_empty() { "everything runs".to_owned() } else { format!("{refused:?} refused") };
            (outcome, &config.problems)
        }
        Err(problems) => ("all is refused".to_owned(), problems),
    };
    let text = problems.render(false).replace(&*directory.path().to_string_lossy(), "/etc/snowgate");
    format!("──── {case}: {outcome}\n{text}")
}

#[test]
fn a_good_file_says_it_all() {
    let directory = Directory::with_sensors();
    let config = load(&directory).unwrap();
    assert!(config.problems.is_empty(), "{}", config.problems);
    let ids: Vec<&str> = config.sensors.iter().map(|sensor| sensor.id.as_str()).collect();
    assert_eq!(ids, ["gauge", "level", "meter", "outlet", "smoke", "sos"], "in the order of the files' names");
    assert!(config.sensors.iter().all(|sensor| sensor.is_watched()));

    let level = config.sensor(&id("level")).unwrap();
    assert_eq!((level.name.as_str(), level.silent_after), ("水位计", Duration::from_secs(7200)));
    assert_eq!(level.place.as_ref().unwrap().lon, 119.5);
    let target = |rule: usize| {
        let report = &level.rules[rule].report;
        (report.category.as_str(), report.severity, report.grid.as_str())
    };
    assert_eq!(
        target(0),
        ("intrusion", Severity::Major, "3301"),
        "the sensor's category, with the category's severity"
    );
    assert_eq!(target(1), ("intrusion", Severity::Critical, "3301"), "the rule's own severity");
    assert_eq!(target(2), ("crossing", Severity::Ordinary, "3301"), "the rule's own category");

    assert_eq!(config.sensor(&id("sos")).unwrap().secret.as_ref().unwrap().expose(), "a-long-token");
    assert!(!format!("{config:?}").contains("a-long-token"), "secrets are not printed");

    let network = &config.sensor_network;
    assert_eq!(network.hj212.unwrap().address, "0.0.0.0:9212".parse().unwrap());
    assert_eq!((network.http.unwrap().max_connections, network.http.unwrap().most_a_second), (64, 20));
    assert_eq!((network.hj212.unwrap().max_connections, network.sl651.unwrap().idle_after.as_secs()), (64, 900));
    assert_eq!((network.most_a_second, network.publish_every.as_secs()), (50.0, 10));
    assert_eq!(network.buses.len(), 2);
}

#[test]
fn every_client_of_a_broker_has_a_name_of_its_own() {
    let directory = Directory::with_sensors();
    let two = "brokers = [{ id = \"far\", host = \"lora\", client_id = \"listener\" }, ";
    directory.replace("gateway.toml", "brokers = [", two);
    let config = load(&directory).unwrap();
    let brokers = config.sensor_network.brokers.values().chain([&config.broker]);
    let names: Vec<String> = brokers.map(|broker| broker.subscriber("sensors").0.client_id()).collect();
    assert_eq!(names, ["listener-sensors", "snowgate-box-lora-sensors", "snowgate-box-sensors"]);
    let (options, _) = config.sensor_network.brokers[&id("lora")].subscriber("sensors");
    assert_eq!(options.broker_address(), ("lora".to_owned(), 1883));
    assert!(options.last_will().is_none());
}

/// Each case: a name, the file, what stands there and what is written instead.
const REPLACEMENTS: &[(&str, &str, &str, &str)] = &[
    ("unknown_key", "level", "silent_after", "silent_for"),
    ("unknown_protocol", "level", "\"mqtt\"", "\"matt\""),
    ("key_of_another_protocol", "meter", "slave = 3", "slave = 3\nstation = \"1\""),
    ("no_unit", "level", "unit = \"cm\"", "unit = \"℃\""),
    ("units_of_two_kinds", "level", "report_in = \"m\"", "report_in = \"Cel\""),
    ("scale_of_nothing", "meter", "scale = 0.1", "scale = 0"),
    ("min_over_max", "level", "min = -0.5", "min = 12"),
    ("no_change_allowed", "level", "min = -0.5", "max_change_per_hour = 0"),
    ("stuck_at_once", "level", "min = -0.5", "stuck_after = \"0s\""),
    ("no_values", "outlet", "[[source.values]]\nid = \"cod\"\nunit = \"mg/L\"\nfactor = \"w01018\"\n", "values = []"),
    ("quantity_twice", "level", "id = \"battery\"", "id = \"water_level\""),
    ("rule_twice", "level", "id = \"rising\"", "id = \"high\""),
    ("sensor_twice", "gauge", "id = \"gauge\"", "id = \"level\""),
    ("id_of_a_camera", "gauge", "id = \"gauge\"", "id = \"north\""),
    ("latitude", "level", "lat = 29", "lat = 99"),
    ("unknown_category", "level", "category = \"intrusion\"", "category = \"intrusoin\""),
    ("no_category", "meter", "category = \"crossing\"", ""),
    ("no_grid", "meter", "grid = \"3301\"", ""),
    ("unknown_quantity", "level", "quantity = \"water_level\"\nabove", "quantity = \"water-level\"\nabove"),
    ("no_threshold", "level", "above = 3.5", ""),
    ("threshold_over_max", "level", "above = 3.5", "above = 12"),
    ("threshold_under_min", "level", "above = 3.5", "below = -0.5"),
    ("nothing_in_order", "level", "above = 3.5", "above = 1\nbelow = 2"),
    ("wide_hysteresis", "level", "above = 3.5", "above = 3.5\nbelow = 3.4"),
    ("negative_hysteresis", "level", "hysteresis = 0.1", "hysteresis = -0.1"),
    ("unknown_schedule", "level", "above = 3.5", "above = 3.5\nschedule = \"night\""),
    ("no_change", "level", "rise = 0.5", ""),
    ("negative_fall", "level", "rise = 0.5", "fall = -0.5"),
    ("within_nothing", "level", "within = \"30m\"", "within = \"0s\""),
    ("unwatched_anomaly", "level", "anomaly = { method = \"auto\" }", ""),
    ("misspelt_anomaly", "level", "anomaly = {", "anomly = {"),
    ("unknown_method", "level", "method = \"auto\"", "method = \"rubust_z\""),
    ("silence_shorter_than_poll", "meter", "after = \"1m\"", "after = \"10s\""),
    ("silence_of_one_answer", "meter", "after = \"1m\"", "after = \"15s\""),
    ("silent_after_shorter_than_poll", "meter", "grid =", "silent_after = \"5s\"\ngrid ="),
    ("button_that_waits", "sos", "kind = \"button\"", "kind = \"button\"\nfor = \"5s\""),
    ("button_that_is_quiet", "sos", "kind = \"button\"", "kind = \"button\"\nquiet_after = \"5s\""),
    ("quiet_for_no_time", "level", "above = 3.5", "above = 3.5\nquiet_after = \"0s\""),
    ("button_that_cannot_be_pressed", "sos", "kind = \"button\"", "kind = \"button\"\npressed_from = 2"),
    ("missing_broker", "level", "broker = \"lora\"", "broker = \"lore\""),
    ("missing_bus", "meter", "bus = \"line\"", "bus = \"lien\""),
    ("topic_wildcard_inside", "level", "24e1/event/up", "#/event/up"),
    ("topic_of_everybody", "level", "24e1", "+"),
    ("pointer", "level", "pointer = \"/level\"", "pointer = \"$.level\""),
    ("pointer_to_everything", "level", "pointer = \"/level\"", "pointer = \"\""),
    ("time_pointer", "level", "format =", "time = \"time\"\nformat ="),
    ("same_pointer", "level", "\"/battery\"", "\"/level\""),
    ("token_unreadable", "sos", "secrets/token", "secrets/tokn"),
    ("inline_token", "sos", "token_file =", "token = \"1234\"\ntoken_file ="),
    ("slave", "meter", "slave = 3", "slave = 248"),
    ("slave_of_a_line", "meter", "slave = 3", "slave = 255"),
    ("poll_every", "meter", "poll_every = \"10s\"", "poll_every = \"10ms\"\ntimeout = \"0s\""),
    ("poll_hardly_ever", "meter", "poll_every = \"10s\"", "poll_every = \"2d\""),
    ("register_beyond", "meter", "address = 18", "address = 65535"),
    ("register_too_large", "meter", "address = 18", "address = 65536"),
    ("bits_in_registers", "meter", "kind = \"f32\"", "kind = \"bit\""),
    ("numbers_in_coils", "meter", "address = 18", "table = \"coils\"\naddress = 18"),
    ("byte_order", "meter", "address = 0", "address = 0\nbyte_order = \"ABDC\""),
    ("bit_of_a_number", "meter", "address = 0", "address = 0\nbit = 3"),
    ("bit_beyond", "meter", "kind = \"f32\"", "kind = \"bit\"\nbit = 16"),
    ("device_of_no_format", "level", "format = \"chirpstack\"", "device = \"24e1\""),
    ("hj212_station", "outlet", "010000A8900016F000169DC0", "010000A8900016F000169DC01"),
    ("hj212_factor", "outlet", "w01018", "w01018-Rtd"),
    ("sl651_station", "gauge", "0012345678", "12345678"),
    ("sl651_element", "gauge", "element = \"39\"", "element = \"Z\""),
    ("sl651_password", "gauge", "station =", "password_file = \"secrets/token\"\nstation ="),
    ("gbt26875_device", "smoke", "0d0080150c16", "0d:00:80:15:0c:16"),
    ("gbt26875_state", "smoke", "state = \"fire\"", "state = \"fier\""),
    ("no_port", "../gateway", "hj212 = { listen = \"0.0.0.0:9212\" }", ""),
    ("misspelt_port", "../gateway", "hj212 =", "hj211 ="),
    ("port_twice", "../gateway", "0.0.0.0:9651", "127.0.0.1:9212"),
    ("port_of_the_admin", "../gateway", "127.0.0.1:9465", "127.0.0.1:9464"),
    ("not_an_address", "../gateway", "0.0.0.0:9651", "localhost"),
    ("max_connections", "../gateway", "\"0.0.0.0:9651\"", "\"0.0.0.0:9651\", max_connections = 0"),
    ("most_a_second", "../gateway", "[sensors]", "[sensors]\nmost_a_second = 0\npublish_every = \"1d\""),
    ("http_most_a_second", "../gateway", "\"127.0.0.1:9465\"", "\"127.0.0.1:9465\", most_a_second = 0"),
    ("broker_twice", "../gateway", "brokers = [", "brokers = [{ id = \"lora\", host = \"other\" }, "),
    ("broker_url", "../gateway", "host = \"lora\"", "host = \"mqtt://lora\""),
    ("broker_port", "../gateway", "host = \"lora\"", "host = \"lora\", port = 0"),
    (
        "broker_secret_unreadable",
        "../gateway",
        "host = \"lora\"",
        "host = \"lora\", username = \"a\", password_file = \"gone\"",
    ),
    ("broker_ca_unreadable", "../gateway", "host = \"lora\"", "host = \"lora\", tls = { ca_file = \"gone\" }"),
    ("unneeded_broker", "../gateway", "brokers = [", "brokers = [{ id=\"x\", host=\"x\", tls={ ca_file=\"gone\" } }, "),
    ("bus_twice", "../gateway", "id = \"net\"", "id = \"line\""),
    ("bus_to_nowhere", "../gateway", "tcp = \"10.0.0.9:502\"", ""),
    ("bus_of_two_kinds", "../gateway", "tcp = ", "serial = \"/dev/ttyS1\"\ntcp = "),
    ("bus_without_port", "../gateway", "10.0.0.9:502", "10.0.0.9:"),
    ("bus_without_a_name", "../gateway", "/dev/ttyS0", ""),
    ("baud_over_tcp", "../gateway", "tcp = ", "baud = 9600\ntcp = "),
    ("stop_bits", "../gateway", "serial = ", "stop_bits = 3\nserial = "),
    ("one_line_twice", "../gateway", "tcp = \"10.0.0.9:502\"", "serial = \"/dev/ttyS0\""),
];

#[test]
fn every_mistake_has_its_sentence() {
    let said = REPLACEMENTS
        .iter()
        .map(|(case, file, from, to)| problems(case, |all| all.replace(&format!("sensors.d/{file}.toml"), from, to)));
    insta::assert_snapshot!(said.collect::<String>());
}

#[test]
fn mistakes_between_files() {
    let copy = |directory: &Directory, of: &str, to: &str| {
        let text = directory
            .read(&format!("sensors.d/{of}.toml"))
            .replace(&format!("id = \"{of}\""), &format!("id = \"{to}\""));
        directory.write(&format!("sensors.d/{to}.toml"), text.as_bytes());
    };
    let said = [
        problems("read_twice", |all| copy(all, "outlet", "outlet-2")),
        problems("one_station_in_two_files", |all| {
            copy(all, "outlet", "outlet-2");
            all.replace("sensors.d/outlet-2.toml", "w01018", "w21003");
        }),
        problems("not_read", |all| all.write("sensors.d/east.tml", b"")),
        problems("misspelt_folder", |all| {
            fs::rename(all.path().join("sensors.d"), all.path().join("sensor.d")).unwrap();
        }),
        problems("all_at_once", |all| {
            all.replace("gateway.toml", "hj212 = { listen = \"0.0.0.0:9212\" }", "");
            all.replace("sensors.d/level.toml", "above = 3.5", "abvoe = 3.5");
            all.replace("sensors.d/meter.toml", "slave = 3", "slave = 0");
            all.replace("sensors.d/sos.toml", "secrets/token", "gone");
            all.write("sensors.d/west.toml", b"id = \"west\n");
        }),
    ];
    insta::assert_snapshot!(said.concat());
}

#[test]
fn an_unreadable_secret_refuses_its_sensors_only() {
    let directory = Directory::with_sensors();
    directory.replace("sensors.d/sos.toml", "secrets/token", "gone");
    directory.replace("gateway.toml", "host = \"lora\"", "host = \"lora\", tls = { ca_file = \"gone.pem\" }");
    let config = load(&directory).unwrap();
    assert!(config.problems.has_errors() && !config.problems.is_fatal());
    let refused: BTreeSet<&str> = config
        .sensors
        .iter()
        .filter(|sensor| !sensor.is_watched())
        .inspect(|sensor| assert!(sensor.refused.as_ref().unwrap().contains("gone")))
        .map(|sensor| sensor.id.as_str())
        .collect();
    assert_eq!(refused, ["level", "sos"].into());
    let report = serde_json::to_value(config.problems.report()).unwrap();
    let named: Vec<_> = report.as_array().unwrap().iter().map(|problem| problem["sensors"].to_string()).collect();
    assert_eq!(named, ["[\"level\"]", "[\"sos\"]"]);
}

#[test]
fn a_model_that_cannot_be_used_refuses_its_sensor_only() {
    let said = ["tides", "tidse", "torn", "centerface"].map(|model| {
        problems(model, |all| {
            let anomaly = format!("{{ method = \"onnx\", model = \"{model}\" }}");
            all.replace("sensors.d/level.toml", "{ method = \"auto\" }", &anomaly);
        })
    });
    insta::assert_snapshot!(said.concat());
}

#[test]
fn a_camera_has_no_use_for_a_model_of_readings() {
    let directory = Directory::with_sensors();
    directory.replace("cameras.d/north.toml", "fps = 5", "fps = 5\nobject_model = \"tides\"");
    let config = load(&directory).unwrap();
    let refused = config.camera(&id("north")).unwrap().refused.as_deref().unwrap();
    assert_eq!(refused, "object model `tides` scores what sensors measure and finds nothing in pictures");
    assert!(config.sensors.iter().all(|sensor| sensor.is_watched()));
}

#[test]
fn a_sensor_that_is_switched_off_needs_neither_secret_nor_port() {
    let directory = Directory::with_sensors();
    directory.replace("sensors.d/sos.toml", "id = \"sos\"", "id = \"sos\"\nenabled = false");
    directory.replace("sensors.d/sos.toml", "secrets/token", "gone");
    directory.replace("gateway.toml", "http = { listen = \"127.0.0.1:9465\" }", "");
    let config = load(&directory).unwrap();
    assert!(config.problems.is_empty(), "{}", config.problems);
    let sos = config.sensor(&id("sos")).unwrap();
    assert!(!sos.is_watched() && sos.refused.is_none() && sos.secret.is_none());
}

#[test]
fn households_take_sensors_and_no_cameras() {
    let directory = Directory::with_sensors();
    directory.replace("gateway.toml", "village", "household");
    let said = load(&directory).unwrap_err().to_string();
    assert!(said.lines().all(|line| line.contains("cameras.d/")) && said.contains("household"), "{said}");
    directory.replace("cameras.d/north.toml", "3301", "33");
    let config = load(&directory).unwrap();
    assert_eq!(config.sensor(&id("level")).unwrap().rules[0].report.grid, "3301");
}

#[test]
fn a_box_of_sensors_alone_is_a_box() {
    let directory = Directory::with_sensors();
    fs::remove_dir_all(directory.path().join("cameras.d")).unwrap();
    let config = load(&directory).unwrap();
    assert!(config.problems.is_empty() && config.cameras.is_empty(), "{}", config.problems);
    assert_eq!(config.sensors.len(), SENSORS.len());
}

#[test]
fn sensors_are_part_of_the_digest_and_of_the_last_good_copy() {
    let directory = Directory::with_sensors();
    let data = tempfile::tempdir().unwrap();
    let config = load(&directory).unwrap();
    last_good::save(&config, data.path()).unwrap();
    directory.replace("sensors.d/level.toml", "above = 3.5", "above = 3.6");
    assert_ne!(load(&directory).unwrap().digest(), config.digest());
    let kept = last_good::load(data.path(), directory.path()).unwrap();
    assert_eq!((kept.digest(), kept.sensors.len()), (config.digest(), SENSORS.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A line of a good file taken out, doubled, or put elsewhere: an answer comes, and it prints.
    #[test]
    fn shuffled_lines_never_stop_the_loader(
        file in 0..SENSORS.len(),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..4),
    ) {
        let directory = Directory::with_sensors();
        let (name, text) = SENSORS[file];
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to, keep) in moves {
            let line = lines[from.index(lines.len())];
            if !keep {
                lines.remove(from.index(lines.len()));
            }
            lines.insert(to.index(lines.len() + 1), line);
        }
        directory.write(&format!("sensors.d/{name}.toml"), lines.join("\n").as_bytes());
        let loaded = load(&directory);
        let problems = match &loaded {
            Ok(config) => &config.problems,
            Err(problems) => problems,
        };
        prop_assert_eq!(problems.render(false).is_empty(), problems.is_empty());
    }
}
