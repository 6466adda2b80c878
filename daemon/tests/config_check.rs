//! `snowgate check` and `snowgate schema` from the outside: what they print, and how they exit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use common::Directory;
use serde_json::Value as Json;

fn snowgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_snowgate")).args(arguments).env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
}

fn check(directory: &Directory, more: &[&str]) -> (Option<i32>, String) {
    let directory = directory.path().to_str().unwrap();
    let output = snowgate(&[&["check", "--config", directory], more].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The good configuration without its models: what this machine has decides what `check` says of those.
fn without_models() -> Directory {
    let directory = Directory::good();
    directory.replace("gateway.toml", "[mqtt]", "[models]\nonnxruntime = \"no-such-library.so\"\n[mqtt]");
    directory
}

#[test]
fn a_missing_library_is_not_valid() {
    let (code, printed) = check(&without_models(), &[]);
    assert_eq!(code, Some(78), "{printed}");
    assert!(printed.contains("no-such-library.so"), "{printed}");
    assert!(printed.contains("gateway.toml:14:16"), "{printed}");
    assert!(printed.ends_with(": not valid; 1 error, 0 warnings\n"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_decoder_that_this_machine_has_not_is_told_with_what_gives_it() {
    if Path::new("/dev/mpp_service").exists() {
        return;
    }
    let directory = without_models();
    directory.replace("gateway.toml", "[models]", "[decoders]\nbackend = \"rockchip\"\n[models]");
    let (code, printed) = check(&directory, &[]);
    assert_eq!(code, Some(78), "{printed}");
    for part in ["no H.264 decoder by rockchip: mppvideodec is missing", "/dev/mpp_service", "gateway.toml:14:12"] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    assert!(printed.ends_with(": not valid; 2 errors, 0 warnings\n"), "beside the other mistake: {printed}");
}

#[test]
fn errors_are_78_and_machines_can_read_them() {
    let directory = Directory::good();
    directory.replace("cameras.d/north.toml", "zone = \"yard\"", "zone = \"yrad\"");
    let (code, printed) = check(&directory, &["--format", "json"]);
    assert_eq!(code, Some(78));
    let report: Json = serde_json::from_str(&printed).unwrap();
    assert_eq!((&report["valid"], &report["errors"]), (&Json::from(false), &Json::from(1)));
    let problem = report["problems"].as_array().unwrap().iter().find(|problem| problem["severity"] == "error").unwrap();
    assert_eq!(problem["line"], 26);
    assert_eq!(problem["column"], 9);
    assert_eq!(problem["help"], "did you mean `yard`?");
    assert!(problem["file"].as_str().unwrap().ends_with("cameras.d/north.toml"));
}

#[test]
fn a_directory_that_is_not_there_is_78_and_a_wrong_command_line_64() {
    assert_eq!(snowgate(&["check", "--config", "/no/such/directory"]).status.code(), Some(78));
    assert_eq!(snowgate(&["check", "--formta", "json"]).status.code(), Some(64));
    assert_eq!(snowgate(&["chekc"]).status.code(), Some(64));
    assert_eq!(snowgate(&[]).status.code(), Some(64));
    assert_eq!(snowgate(&["--help"]).status.code(), Some(0));
    assert_eq!(snowgate(&["--version"]).status.code(), Some(0));
}

#[test]
fn schemas_are_printed() {
    let output = snowgate(&["schema", "camera"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["rules"].is_object());
    assert_eq!(snowgate(&["schema", "elephant"]).status.code(), Some(64));
    let printed = |subject: &str| serde_json::from_slice::<Json>(&snowgate(&["schema", subject]).stdout).unwrap();
    assert!(printed("messages")["$defs"]["IncidentEvent"].is_object());
    assert_eq!(printed("asyncapi")["asyncapi"], "3.0.0");
}

/// The inline secret is not in what `check` prints, in either format.
#[test]
fn check_prints_no_secret() {
    let directory = Directory::good();
    directory.replace("cameras.d/north.toml", "rtsp://10.0.0.1", "rtsp://admin:hunter2@10.0.0.1");
    directory.replace("cameras.d/north.toml", "[detect]", "password = \"hunter2\"\n[detect]");
    for format in ["human", "json"] {
        let (code, printed) = check(&directory, &["--format", format]);
        assert_eq!(code, Some(78));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn an_unreadable_secret_refuses_one_camera_and_is_an_error() {
    let directory = without_models();
    let models = directory.path().join("models");
    fs::create_dir(&models).unwrap();
    directory.replace("cameras.d/north.toml", "[detect]", "username = \"a\"\npassword_file = \"gone\"\n[detect]");
    let (code, printed) = check(&directory, &["--format", "json"]);
    assert_eq!(code, Some(78));
    let report: Json = serde_json::from_str(&printed).unwrap();
    let of_secret =
        report["problems"].as_array().unwrap().iter().find(|problem| problem["cameras"] == Json::from(vec!["north"]));
    assert!(of_secret.is_some_and(|problem| problem["message"].as_str().unwrap().contains("gone")), "{printed}");
}

#[test]
fn cameras_are_listed_for_the_filing_and_check_warns_of_what_is_not_stated() {
    let directory = Directory::good();
    let stated = "[legal]\npurpose = \"market, \\\"north\\\"\"\nbasis = \"§ 1\"\nsign = \"gate\"\n\
                  filing_number = \"330182-17\"\nunit = \"明亮镇综治中心\"\nretention = \"7d\"\n";
    let north = directory.read("cameras.d/north.toml");
    directory.write("cameras.d/north.toml", format!("{north}\n{stated}").as_bytes());
    let path = directory.path().to_str().unwrap();
    let listed = snowgate(&["cameras", "--config", path, "--format", "csv"]);
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).unwrap();
    let mut table = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let column = |name: &str, headers: &csv::StringRecord| headers.iter().position(|header| header == name).unwrap();
    let headers = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
    let cell = |row: usize, name: &str| rows[row][column(name, &headers)].to_owned();
    assert_eq!((rows.len(), cell(0, "id").as_str(), cell(1, "id").as_str()), (2, "north", "south"));
    assert_eq!((cell(0, "purpose"), cell(0, "missing")), ("market, \"north\"".to_owned(), String::new()));
    assert_eq!((cell(0, "kept_at_most_days"), cell(0, "retention")), ("30.0".to_owned(), "7d".to_owned()));
    assert_eq!(cell(1, "missing"), "purpose basis sign filing_number unit retention");

    let warnings = snowgate::config::Config::load(directory.path()).unwrap().legal_warnings();
    let warnings: Vec<String> = warnings.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("`north` is kept longer than the 7d that are stated"), "{warnings:#?}");
    assert!(warnings[1].contains("why camera `south` is there: legal has no purpose"), "{warnings:#?}");
}
