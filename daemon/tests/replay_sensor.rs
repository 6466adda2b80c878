//! `snowgate replay --sensor` from the outside: what it finds in a table, what it draws, and how it exits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output},
};

use common::Directory;
use serde_json::Value as Json;

const GAUGE: &str = r#"id = "gauge"
name = "Bridge gauge"
grid = "3301"
category = "intrusion"

[source]
protocol = "mqtt"
topic = "gauge"

[[source.values]]
id = "level"
name = "water level"
unit = "cm"
report_in = "m"
pointer = "/level"
max = 12
anomaly = { method = "auto" }

[[rules]]
id = "high"
kind = "threshold"
quantity = "level"
above = 3.5
for = "10m"

[[rules]]
id = "silent"
kind = "silence"
quantity = "level"
after = "1h"

[[rules]]
id = "odd"
kind = "anomaly"
quantity = "level"
severity = "ordinary"
"#;

/// Ten days of a gentle tide, a reading every five minutes.
const READINGS: usize = 2880;

fn configured() -> Directory {
    let directory = Directory::good();
    fs::create_dir_all(directory.path().join("sensors.d")).unwrap();
    fs::write(directory.path().join("sensors.d/gauge.toml"), GAUGE).unwrap();
    directory
}

/// A table in centimetres; `level` says what stands in a row (nothing: the row is left out).
fn table(level: impl Fn(usize, f64) -> Option<f64>) -> String {
    let mut text = "timestamp,value\n".to_owned();
    for row in 0..READINGS {
        let tide = 200.0 + 20.0 * (row as f64 * std::f64::consts::TAU / 288.0).sin() + ((row * 7919) % 13) as f64 / 4.0;
        if let Some(level) = level(row, tide) {
            let minutes = row * 5;
            let (day, hour, minute) = (1 + minutes / 1440, minutes / 60 % 24, minutes % 60);
            writeln!(text, "2026-05-{day:02} {hour:02}:{minute:02}:00,{level}").unwrap();
        }
    }
    text
}

/// A flood on the seventh day, half an hour of rubbish on the eighth, two hours of silence on the ninth.
fn eventful() -> String {
    table(|row, tide| match row {
        1800..=1835 => Some(tide + 180.0),
        2100..=2105 => Some(9999.0),
        2400..=2423 => None,
        _ => Some(tide),
    })
}

fn replay(directory: &Directory, table: &str, more: &[&str]) -> Output {
    let file = directory.path().join("gauge.csv");
    fs::write(&file, table).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
    command.args(["replay", "--sensor", "gauge", "--config"]).arg(directory.path()).arg(file).args(more);
    command.env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
}

fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_flood_a_silence_and_an_anomaly_are_found_where_they_are() {
    let directory = configured();
    let lines = printed(&replay(&directory, &eventful(), &["--format", "json"]));
    let incidents: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |rule: &str| incidents.iter().filter(|incident| incident["rule"] == rule).collect::<Vec<_>>();

    // Times without a zone are China Standard Time; row 1800 is the seventh day at 06:00.
    let [high] = of("high")[..] else { panic!("{lines}") };
    assert_eq!(high["began"], "2026-05-07T06:00:00+08:00");
    assert_eq!(high["opened"], "2026-05-07T06:10:00+08:00");
    assert_eq!(high["ended"], "2026-05-07T09:00:00+08:00");
    assert_eq!((&high["unit"], &high["severity"], &high["count"]), (&"m".into(), &"major".into(), &36.into()));
    assert!(high["title"].as_str().unwrap().contains("Bridge gauge, water level"), "{high}");

    // The last reading before the silence is row 2399, the ninth day at 07:55: an hour later nothing has come.
    let [silent] = of("silent")[..] else { panic!("{lines}") };
    assert_eq!(
        (&silent["opened"], &silent["ended"]),
        (&"2026-05-09T08:55:00+08:00".into(), &"2026-05-09T10:00:00+08:00".into())
    );

    let odd = of("odd");
    let flood = odd.iter().find(|odd| odd["opened"] == "2026-05-07T06:00:00+08:00");
    assert!(flood.expect("the flood is an anomaly too")["reason"].is_string(), "{lines}");
    assert!(odd.len() <= 5, "{lines}");
}

#[test]
fn a_rule_rests_outside_its_schedule() {
    let directory = configured();
    directory
        .write("schedules.toml", b"[[schedule]]\nid = \"early\"\nwindow = [{ from = \"07:00\", to = \"08:00\" }]\n");
    directory.replace("sensors.d/gauge.toml", "above = 3.5", "above = 3.5\nschedule = \"early\"");
    let text = printed(&replay(&directory, &eventful(), &[]));
    assert!(text.contains("high: opened 2026-05-07 07:10:00, ended 2026-05-07 08:00:00"), "{text}");
}

#[test]
fn people_get_tables_and_a_picture() {
    let directory = configured();
    let picture = directory.path().join("gauge.png");
    let text = printed(&replay(&directory, &eventful(), &["--plot", picture.to_str().unwrap()]));
    for part in [
        "high: opened 2026-05-07 06:10:00, ended 2026-05-07 09:00:00",
        "out_of_range  too_high",
        "high                 threshold          1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let drawn = image::open(&picture).unwrap().into_rgb8();
    assert_eq!(drawn.width(), 1600);
    let has = |colour: [u8; 3]| drawn.pixels().filter(|pixel| pixel.0 == colour).count();
    // Values, scores, limits, bands of incidents, and readings that do not count.
    for colour in [[65, 105, 225], [46, 139, 87], [220, 20, 60], [255, 228, 225], [255, 140, 0]] {
        assert!(has(colour) > 20, "{colour:?}: {}", has(colour));
    }
}

#[test]
fn a_golden_file_holds_until_something_changes() {
    let directory = configured();
    let golden = directory.path().join("golden.jsonl");
    fs::write(&golden, printed(&replay(&directory, &eventful(), &["--format", "json"]))).unwrap();
    let expect = ["--expect", golden.to_str().unwrap()];
    printed(&replay(&directory, &eventful(), &expect));
    directory.replace("sensors.d/gauge.toml", "above = 3.5", "above = 3.97");
    let output = replay(&directory, &eventful(), &expect);
    assert_eq!(output.status.code(), Some(65));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("not as expected") && error.contains("\n- high: opened 2026-05-07 06:10:00"), "{error}");
}

#[test]
fn values_may_have_been_converted_already() {
    let directory = configured();
    let text = table(|row, tide| Some(if (1800..1836).contains(&row) { 4.0 } else { tide / 100.0 }));
    let text = printed(&replay(&directory, &text, &["--reported"]));
    assert!(text.contains("high: opened 2026-05-07 06:10:00") && text.contains("furthest 4 m"), "{text}");
}

/// The same sensor, its anomalies found by a model, on a machine that has the shipped ones.
fn configured_with_model(model: &str) -> Directory {
    let directory = configured();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let models = format!(
        "[models]\ndirectory = \"{0}/models\"\nonnxruntime = \"{0}/assets/onnxruntime/libonnxruntime.so.1.31.1\"\n[mqtt]",
        root.display()
    );
    directory.replace("gateway.toml", "[mqtt]", &models);
    let anomaly = format!("{{ method = \"onnx\", model = \"{model}\" }}");
    directory.replace("sensors.d/gauge.toml", "{ method = \"auto\" }", &anomaly);
    directory
}

#[test]
fn a_model_finds_the_flood_too() {
    let directory = configured_with_model("window-distance");
    // The flood, and that the tide has gone on while the sensor was silent.
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gauge-model.jsonl");
    printed(&replay(&directory, &eventful(), &["--expect", golden]));
    let quiet = replay(&directory, &table(|_, tide| Some(tide)), &["--expect", golden]);
    assert_eq!(quiet.status.code(), Some(65));
    let quiet = String::from_utf8(quiet.stderr).unwrap();
    assert!(quiet.contains("\n- odd: opened 2026-05-07 06:00:00") && !quiet.contains("\n+ odd"), "{quiet}");
}

#[test]
fn a_model_that_cannot_be_used_refuses_the_sensor_by_name() {
    for (model, part) in [
        ("window-distanse", "is not in the folder `sensors` of the models directory"),
        ("centerface", "finds things in pictures"),
    ] {
        let output = replay(&configured_with_model(model), &eventful(), &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        let named = error.contains(&format!("sensor gauge is refused: anomaly model `{model}` {part}"));
        assert!(output.status.code() == Some(78) && named, "{error}");
    }
}

#[test]
fn what_is_wrong_is_named_and_ends_with_its_code() {
    let directory = configured();
    let code = |table: &str, more: &[&str]| {
        let output = replay(&directory, table, more);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, error) = code("timestamp,value\n2026-05-01 00:00:00,1\nnonsense,2\n2026-05-01 00:05:00,x\n", &[]);
    assert_eq!(status, Some(0));
    assert!(error.contains("gauge.csv, line 3: \"nonsense\" is no time"), "{error}");
    assert!(error.contains("1 readings, 2 bad line(s)"), "{error}");
    for (table, part) in [
        ("timestamp,value\n", "there is no reading in it"),
        ("when,what\n1,2\n", "there is no column of times"),
        ("", "the file is empty"),
    ] {
        let (status, error) = code(table, &[]);
        assert!(status == Some(65) && error.contains(part), "{status:?} {error}");
    }
    assert_eq!(code("", &["--camera", "north"]).0, Some(64), "a sensor or a camera");
    assert_eq!(code("", &["--start", "2026-01-01T00:00:00Z"]).0, Some(64), "a table has its own times");
    let (status, error) = code(&eventful(), &["--plot", "/no/such/folder/a.png"]);
    assert!(status == Some(74) && error.contains("/no/such/folder/a.png"), "{status:?} {error}");
    directory.replace("sensors.d/gauge.toml", "id = \"gauge\"", "id = \"other\"");
    let (status, error) = code("", &[]);
    assert!(status == Some(78) && error.contains("there is no sensor gauge"), "{status:?} {error}");
}
