//! `snowgate camera discover` at ONVIF cameras on the loopback: real multicast, real HTTP, and streams of a real RTSP server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use snowgate_simulators::onvif::{Behaviour, Hostile, Login, OnvifCamera, Services, Stream};
use snowgate_tests::{
    clips::configured,
    daemon::program,
    encode::{H264, ball},
    repository,
    rtsp::{Access, RtspServer},
};
use support::clip;
use tempfile::TempDir;

const USER: &str = "admin";
const PASSWORD: &str = "hunter2";

/// Held by tests in which searches are answered: everybody on the loopback hears every search.
static GROUP: Mutex<()> = Mutex::new(());

/// What a run of the program printed.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(arguments: &[&str]) -> Self {
        let output = Command::new(program().unwrap()).args(arguments).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        println!("$ snowgate {}\n{out}{err}", arguments.join(" "));
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "the password is printed");
        Self { code: output.status.code().unwrap(), out, err }
    }

    fn discover(arguments: &[&str]) -> Self {
        Self::of(&[&["camera", "discover"], arguments].concat())
    }

    /// The devices that JSON tells of, asked at these addresses.
    fn devices(cameras: &[&OnvifCamera], arguments: &[&str]) -> (Self, Vec<Value>) {
        let hosts: Vec<String> = cameras.iter().map(|camera| camera.address().to_string()).collect();
        let hosts: Vec<&str> = hosts.iter().flat_map(|host| ["--host", host.as_str()]).collect();
        let run = Self::discover(&[&hosts, arguments, &["--format", "json"]].concat());
        let mut told: Value = serde_json::from_str(&run.out).unwrap();
        let Value::Array(told) = told["devices"].take() else { panic!("no devices") };
        // In the order of the cameras, whatever their ports are.
        let of = |camera: &&OnvifCamera| {
            let address = format!("{}/onvif", camera.address());
            told.iter().find(|device| device["service"].as_str().unwrap().contains(&address)).unwrap().clone()
        };
        let devices = cameras.iter().map(of).collect();
        (run, devices)
    }
}

/// User and password as arguments; the password is in a file.
struct Secret {
    _folder: TempDir,
    file: PathBuf,
}

impl Secret {
    fn of(password: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, password).unwrap();
        Self { _folder: folder, file }
    }

    fn arguments(&self) -> [&str; 4] {
        ["--username", USER, "--password-file", self.file.to_str().unwrap()]
    }
}

fn token() -> Login {
    Login::Token(USER.into(), PASSWORD.into())
}

fn digest() -> Login {
    Login::Digest(USER.into(), PASSWORD.into())
}

fn camera(behaviour: Behaviour) -> OnvifCamera {
    OnvifCamera::start(behaviour).unwrap()
}

/// A stream of a size, at an address that is not asked.
fn stream(token: &str, encoding: &str, size: (u32, u32)) -> Stream {
    Stream::new(token, encoding, size, format!("rtsp://127.0.0.1:554/{token}"))
}

fn two_streams() -> Vec<Stream> {
    vec![stream("main", "H264", (1920, 1080)), stream("sub", "H264", (640, 480))]
}

fn chosen(device: &Value) -> Vec<(&str, Option<&str>)> {
    let cameras = device["cameras"].as_array().unwrap().iter();
    cameras.map(|camera| (camera["detect"].as_str().unwrap(), camera["record"].as_str())).collect()
}

#[test]
fn from_an_unknown_network_to_a_checked_configuration() {
    let _alone = GROUP.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody is there yet.
    let nobody = Run::discover(&["--interface", "lo", "--for", "1s"]);
    assert_eq!(nobody.code, 69, "{}", nobody.err);
    for word in ["no ONVIF device answered", "lo (127.0.0.1): asked", "239.255.255.250", "switched on", "--host"] {
        assert!(nobody.err.contains(word), "{word:?} is not in\n{}", nobody.err);
    }

    let rtsp = RtspServer::start_with(Access::login(USER, PASSWORD));
    let (_main, file) = clip(&ball(50, 1280, 720, H264));
    rtsp.loop_file("/main", &file);
    let (_sub, file) = clip(&ball(50, 640, 360, H264));
    rtsp.loop_file("/sub", &file);
    // One that believes to have no address yet, and writes the password into its own addresses.
    let uri = |mount: &str| rtsp.url(mount).replace("127.0.0.1", &format!("{USER}:{PASSWORD}@0.0.0.0"));
    let mut gate = camera(Behaviour {
        model: "DS-2CD2043".into(),
        login: token(),
        clock_ahead: -3600,
        services: Services::Media,
        streams: vec![
            Stream::new("main", "H264", (1280, 720), uri("/main")),
            Stream::new("sub", "H264", (640, 360), uri("/sub")),
            Stream::new("web", "JPEG", (1920, 1080), uri("/web")),
        ],
        ..Behaviour::default()
    });
    gate.answer_searches(Ipv4Addr::LOCALHOST, "NetworkVideoTransmitter").unwrap();
    let mut yard = camera(Behaviour { streams: two_streams(), ..Behaviour::default() });
    yard.answer_searches(Ipv4Addr::LOCALHOST, "Device").unwrap();

    let secret = Secret::of(PASSWORD);
    let to = TempDir::new().unwrap();
    let directory = to.path().to_str().unwrap();
    let search = [&["--interface", "127.0.0.1", "--for", "2s", "--to", directory], &secret.arguments()[..]].concat();
    let found = Run::discover(&search);
    assert_eq!(found.code, 0, "{}", found.err);
    for word in [
        "# 127.0.0.1, East Gate\n",
        "# device   Snow & Gate DS-2CD2043, firmware 1.2.3, serial SN-7",
        "H.264, 640 × 360, up to 25 pictures a second, key frame every 10 (0.4 s): detect",
        "H.264, 1280 × 720, up to 25 pictures a second, key frame every 10 (0.4 s): record",
        "MJPEG, 1920 × 1080, up to 25 pictures a second: left out",
        "s behind this machine's",
        "user and password stood in it and were taken out",
        "\"0.0.0.0\", where nobody reaches it",
        "# grid = \"\"",
        "name = \"East Gate\"",
    ] {
        assert!(found.out.contains(word), "{word:?} is not in\n{}", found.out);
    }
    for one in [&gate, &yard] {
        let service = format!("http://{}/onvif/device_service", one.address());
        assert_eq!(found.out.matches(&service).count(), 1, "each device is there once:\n{}", found.out);
    }
    assert_eq!(gate.wrong_logins(), 0);

    let id = format!("ds-2cd2043-127-0-0-1-{}", gate.address().port());
    let file = to.path().join(format!("{id}.toml"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("detect = \"{}\"", rtsp.url("/sub"))), "{text}");
    assert!(text.contains(&format!("record = \"{}\"", rtsp.url("/main"))), "{text}");

    let probed = Run::of(&[&["camera", "probe", &rtsp.url("/sub"), "--for", "1s"], &secret.arguments()[..]].concat());
    assert_eq!(probed.code, 0, "{}", probed.err);
    assert!(probed.out.contains("640 × 360"), "{}", probed.out);

    // What is there is never written over.
    fs::write(&file, "mine").unwrap();
    let again = Run::discover(&search);
    assert_eq!((again.code, fs::read_to_string(&file).unwrap().as_str()), (0, "mine"));
    assert!(again.out.contains("was not changed"), "{}", again.out);

    let filled = text.replace("# grid = \"\"", "grid = \"330182101201001\"");
    assert_ne!(filled, text);
    let folder = configured("walkers", |_| filled);
    let checked = Run::of(&["check", "--config", folder.path().to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    assert!(checked.out.contains(&id) || checked.err.contains(&id), "the camera is not looked at");
}

#[test]
fn every_way_to_ask_who_we_are_and_every_service() {
    let with = |login, services| camera(Behaviour { login, services, streams: two_streams(), ..Behaviour::default() });
    let cameras = [
        with(Login::Open, Services::Media2),
        with(token(), Services::Media2),
        with(digest(), Services::Media2),
        with(token(), Services::Capabilities),
        with(digest(), Services::BrokenMedia2),
        camera(Behaviour { login: token(), clock_ahead: 86_400, streams: two_streams(), ..Behaviour::default() }),
    ];
    let secret = Secret::of(PASSWORD);
    let (run, devices) = Run::devices(&cameras.each_ref(), &secret.arguments());
    assert_eq!(run.code, 0);
    for (camera, device) in cameras.iter().zip(&devices) {
        assert_eq!(chosen(device), [("sub", Some("main"))], "{device:#}");
        assert_eq!((&device["fault"], camera.wrong_logins()), (&Value::Null, 0), "{device:#}");
        assert_eq!(device["serial"], "SN-7");
    }
    let media: Vec<_> = devices.iter().map(|device| device["media"].as_str().unwrap()).collect();
    assert_eq!(media, ["media2", "media2", "media2", "media", "media", "media2"]);
    let ahead = devices[5]["clock_ahead_seconds"].as_i64().unwrap();
    assert!((86_300..=86_400).contains(&ahead), "{ahead}");

    // Without a user, as much as is told without one.
    let (run, devices) = Run::devices(&[&cameras[0], &cameras[1], &cameras[2]], &[]);
    assert_eq!(run.code, 0);
    assert_eq!(chosen(&devices[0]), [("sub", Some("main"))]);
    for device in &devices[1..] {
        assert!(device["fault"].as_str().unwrap().contains("wants a user name"), "{device:#}");
        assert!(device["remedy"].as_str().unwrap().contains("--username") && chosen(device).is_empty());
    }
    let (run, _) = Run::devices(&[&cameras[1]], &[]);
    assert_eq!(run.code, 77);
}

#[test]
fn a_wrong_password_is_tried_once() {
    let cameras =
        [token(), digest()].map(|login| camera(Behaviour { login, streams: two_streams(), ..Behaviour::default() }));
    let secret = Secret::of("wrong");
    let (run, devices) = Run::devices(&cameras.each_ref(), &secret.arguments());
    assert_eq!(run.code, 77);
    for (camera, device) in cameras.iter().zip(&devices) {
        assert!(device["fault"].as_str().unwrap().contains("refused the user name or password"), "{device:#}");
        assert_eq!(camera.wrong_logins(), 1, "{:?}", camera.requests());
    }
}

#[test]
fn streams_are_chosen_by_coding_size_and_source() {
    let of = |streams| camera(Behaviour { streams, ..Behaviour::default() });
    let second = |stream: Stream| Stream { source: "source-2".into(), ..stream };
    let cameras = [
        of(vec![
            stream("main", "H265", (3840, 2160)),
            stream("sub", "H265", (704, 576)),
            stream("tiny", "H264", (352, 288)),
        ]),
        of(vec![stream("web", "JPEG", (1280, 720))]),
        of(vec![
            stream("1a", "H264", (1920, 1080)),
            second(stream("2a", "H264", (1280, 720))),
            second(stream("2b", "H264", (320, 240))),
        ]),
    ];
    let (run, devices) = Run::devices(&cameras.each_ref(), &[]);
    assert_eq!(run.code, 0);
    assert_eq!(chosen(&devices[0]), [("sub", Some("main"))]);
    assert_eq!(chosen(&devices[1]), []);
    assert_eq!(chosen(&devices[2]), [("1a", None), ("2a", None)]);
    assert_eq!(devices[1]["profiles"][0]["encoding"], "MJPEG");
    let ids: Vec<_> =
        devices.iter().flat_map(|device| device["cameras"].as_array().unwrap()).map(|one| &one["id"]).collect();
    assert!(ids[1].as_str().unwrap().ends_with("-1") && ids[2].as_str().unwrap().ends_with("-2"), "{ids:?}");

    let alone = Run::discover(&["--host", &cameras[1].address().to_string()]);
    assert_eq!(alone.code, 65);
    assert!(alone.out.contains("no stream in H.264 or H.265"), "{}", alone.out);
}

#[test]
fn a_hostile_device_is_named_and_hurts_no_other() {
    let decoy = camera(Behaviour { streams: two_streams(), ..Behaviour::default() });
    let elsewhere = format!("http://{}/onvif/device_service", decoy.address());
    let kinds = [
        (Hostile::Endless, "larger than"),
        (Hostile::Deep, "levels deep"),
        (Hostile::EntityBomb, "document type"),
        (Hostile::Silent, "no answer within"),
        (Hostile::Cut, "connection broke"),
        (Hostile::Redirect(elsewhere), "redirects elsewhere"),
        (Hostile::WebPage, "no ONVIF service"),
    ];
    let hostile = kinds.clone().map(|(kind, _)| camera(Behaviour { hostile: Some(kind), ..Behaviour::default() }));
    let good = camera(Behaviour { login: token(), streams: two_streams(), ..Behaviour::default() });
    let all: Vec<&OnvifCamera> = hostile.iter().chain([&good]).collect();
    let secret = Secret::of(PASSWORD);
    let (run, devices) = Run::devices(&all, &secret.arguments());
    assert_eq!(run.code, 0);
    for ((_, words), device) in kinds.iter().zip(&devices) {
        assert!(device["fault"].as_str().unwrap().contains(words), "{words:?} is not in {device:#}");
        assert!(chosen(device).is_empty());
    }
    assert_eq!(chosen(&devices[7]), [("sub", Some("main"))]);
    assert!(decoy.requests().is_empty(), "a redirect was followed");
    let order: Vec<Value> = serde_json::from_str::<Value>(&run.out).unwrap()["devices"].as_array().unwrap().clone();
    let services: Vec<_> = order.iter().map(|device| device["service"].as_str().unwrap().to_owned()).collect();
    assert!(services.is_sorted(), "{services:?}");
}

#[test]
fn a_device_is_asked_where_it_answered_and_nowhere_else() {
    let _alone = GROUP.lock().unwrap_or_else(PoisonError::into_inner);
    // Another address of this machine, which only the device names.
    let believed = Some(Ipv4Addr::new(127, 0, 0, 2));
    let mut inner = camera(Behaviour { believed, streams: two_streams(), ..Behaviour::default() });
    let trap = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), inner.address().port())).unwrap();
    trap.set_nonblocking(true).unwrap();
    let (_, devices) = Run::devices(&[&inner], &[]);
    assert_eq!(chosen(&devices[0]), [("sub", Some("main"))], "{:#}", devices[0]);

    inner.answer_searches(Ipv4Addr::LOCALHOST, "Device").unwrap();
    let found = Run::discover(&["--interface", "lo", "--for", "1s", "--format", "json"]);
    let told: Value = serde_json::from_str(&found.out).unwrap();
    let endpoint = inner.endpoint().unwrap();
    let device = told["devices"].as_array().unwrap().iter().find(|device| device["endpoint"] == endpoint).unwrap();
    assert_eq!((&device["host"], chosen(device)), (&"127.0.0.1".into(), vec![("sub", Some("main"))]), "{device:#}");
    assert!(trap.accept().is_err(), "the address that was named was contacted");
}

#[test]
fn a_certificate_of_its_own_is_taken_when_that_is_said() {
    let read = |name: &str| fs::read_to_string(repository().join("tests/fixtures/tls").join(name)).unwrap();
    let certificate = Some((read("server.pem"), read("server.key")));
    let encrypted = camera(Behaviour { certificate, streams: two_streams(), login: digest(), ..Behaviour::default() });
    let host = format!("https://{}", encrypted.address());
    let secret = Secret::of(PASSWORD);
    let ask = |more: &[&str]| Run::discover(&[&["--host", &host], &secret.arguments()[..], more].concat());
    let refused = ask(&[]);
    assert_eq!(refused.code, 76, "{}", refused.out);
    assert!(
        refused.out.contains("certificate is not trusted") && refused.out.contains("--insecure"),
        "{}",
        refused.out
    );
    assert!(encrypted.requests().is_empty());
    let taken = ask(&["--insecure"]);
    assert_eq!(taken.code, 0, "{}", taken.out);
    assert!(taken.out.contains(&format!("{host}/onvif/device_service")), "{}", taken.out);
}

#[test]
fn what_cannot_be_asked_is_told_with_its_code() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = Run::discover(&["--host", &closed]);
    assert_eq!(run.code, 69);
    assert!(run.out.contains("nothing listens there") && run.out.contains("8899"), "{}", run.out);
    let run = Run::discover(&["--interface", "wlan9"]);
    assert_eq!(run.code, 64);
    assert!(run.err.contains("lo (127.0.0.1)"), "{}", run.err);
    assert_eq!(Run::discover(&["--host", "camera.local"]).code, 64);
    assert_eq!(Run::discover(&["--host", &closed, "--password-file", "x"]).code, 64);
    assert_eq!(Run::discover(&["--host", &closed, "--username", "u", "--password-file", "/nowhere"]).code, 66);

    let open = camera(Behaviour { streams: two_streams(), ..Behaviour::default() });
    let run = Run::discover(&["--host", &open.address().to_string(), "--to", "/nowhere"]);
    assert_eq!(run.code, 74);
    assert!(run.err.contains("/nowhere/") && Path::new("/nowhere").metadata().is_err(), "{}", run.err);
}
