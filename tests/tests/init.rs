//! `snowgate init`: a configuration that works, by flags and by answers at a terminal; and what it does not touch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use snowgate::config::Config;
use snowgate_core::rules::spec::RuleKind;
use snowgate_tests::{
    daemon::program,
    encode::{H264, ball},
    rtsp::RtspServer,
};
use support::clip;

const BOX: [&str; 4] =
    ["--gateway=box-7", "--broker=mqtt.example:8883", "--grid=330182101201001=桥头第一网格", "--grid=330182101=明亮镇"];

fn init(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let program = program().unwrap();
    told(
        Command::new(program)
            .arg("init")
            .arg("--config")
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

fn told(output: Output) -> (i32, String) {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

fn loaded(folder: &Path) -> Config {
    Config::load(folder).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

#[test]
fn flags_make_a_configuration_that_watches_a_camera() {
    let (_clip, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("mqtt-password");
    fs::write(&secret, "hunter2").unwrap();
    let url = server.url("/cam");
    let given = ["--camera", &url, "--camera-id", "gate", "--ca-file", "/etc/ssl/certs/ca-certificates.crt"];
    let broker = ["--broker-username", "box", "--broker-password-file", secret.to_str().unwrap()];
    let (code, said) = init(folder.path(), &[&BOX[..], &given, &broker].concat());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("snowgate camera still gate --grid") && !said.contains("hunter2"), "{said}");

    let config = loaded(folder.path());
    assert_eq!(config.gateway.id.as_str(), "box-7");
    let path: Vec<_> = config.grid.path("330182101201001").iter().map(|node| node.to_string()).collect();
    assert_eq!(path, ["330182", "330182101", "330182101201", "330182101201001"]);
    let [camera] = &config.cameras[..] else { panic!("{} cameras", config.cameras.len()) };
    let [rule] = &camera.rules[..] else { panic!("{} rules", camera.rules.len()) };
    assert_eq!((camera.id.as_str(), rule.report.grid.as_str()), ("gate", "330182101201001"));
    assert!(matches!(rule.spec.kind, RuleKind::Intrusion(_)));

    // It is the operator's now.
    let before = fs::read(folder.path().join("gateway.toml")).unwrap();
    let (code, said) = init(folder.path(), &["--gateway=other", "--broker=host", "--grid=A1"]);
    assert!(code == 64 && said.contains("is there already"), "{said}");
    assert_eq!(fs::read(folder.path().join("gateway.toml")).unwrap(), before);
}

#[test]
fn a_camera_that_is_not_there_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    drop(listener);
    let (code, said) = init(folder.path(), &[&BOX[..], &["--camera", &url]].concat());
    assert!(code == 69 && said.contains("nothing listens there"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_must_be_given_is_named_where_nobody_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = init(folder.path(), &["--gateway=box-7"]);
    assert!(code == 64 && said.contains("--broker must be given"), "{said}");
    let (code, said) = init(folder.path(), &[&BOX[..], &["--grid=村"]].concat());
    assert!(code == 64 && said.contains("is no grid code"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn at_a_terminal_it_asks() {
    let folder = tempfile::tempdir().unwrap();
    // script(1) gives it a terminal of its own.
    let command = format!("{} init --config {}", program().unwrap().display(), folder.path().display());
    let mut asking = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "zh-CN\nbox-7\n330182101201001\n雪峰县\n明亮镇\n桥头村\n桥头第一网格\nmqtt.example\nno\n\n\n";
    asking.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let (code, said) = told(asking.wait_with_output().unwrap());
    assert!(code == 0 && said.contains("接下来："), "{said}");
    assert_eq!(loaded(folder.path()).gateway.id.as_str(), "box-7");
}
