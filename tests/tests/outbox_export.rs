//! A box that never comes online: what it exports arrives from somewhere else, whole, in order, or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use snowgate::{
    cli::{self, exit::Exit},
    clock::SystemClock,
    export::Reader,
    shutdown::Shutdown,
    signing::PublicKey,
    store::{Class, Commit, Message, Store},
    uplink::{Broker, Fault, MqttSecrets, Progress, Stopped, Why, import, spec::MqttSpec},
};
use snowgate_core::spec::{ByteSize, all_defaults};
use snowgate_simulators::broker::{Certificates, Mosquitto, Setup, Tls};
use snowgate_tests::{
    reporter::{Reporter, spec},
    repository,
    subscriber::{Received, Subscriber},
};
use tempfile::TempDir;

/// A gateway's configuration and keys, with nothing to watch.
struct Gateway {
    home: TempDir,
}

impl Gateway {
    fn new() -> Self {
        let gateway = Self { home: TempDir::new().unwrap() };
        for name in ["key", "strange"] {
            let (private, public) = (gateway.path(&format!("{name}.pem")), gateway.path(&format!("{name}.pub")));
            openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
            openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        }
        gateway.configure("signing_key_file = 'key.pem'");
        fs::copy(repository().join("configs/categories.toml"), gateway.path("categories.toml")).unwrap();
        gateway
    }

    fn configure(&self, key: &str) {
        let text = format!(
            "[gateway]\nid = 'gate-1'\n{key}\n[mqtt]\nhost = 'nowhere.invalid'\n[storage]\ndirectory = 'data'\n[grid]\n\
             levels = ['township']\nmajor_level = 'township'\n\
             nodes = [{{ code = '1', name = 'T', level = 'township' }}]\n"
        );
        fs::write(self.path("gateway.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn store(&self) -> Store {
        let data = self.home.path().join("data");
        Store::open(&data, &all_defaults(), ByteSize::mib(1), Arc::new(SystemClock::new())).unwrap().0
    }

    fn outbox(&self, command: &str, arguments: &[&str]) -> Exit {
        cli::main(["snowgate", "outbox", command].iter().chain(arguments).map(Into::into))
    }

    fn export(&self, file: &str, further: &[&str]) -> Exit {
        let (config, to) = (self.path(""), self.path(file));
        self.outbox("export", &[&["--config", &config, "--to", &to], further].concat())
    }

    fn verify(&self, file: &str, key: &str) -> Exit {
        self.outbox("verify", &[&self.path(file), "--public-key", &self.path(key), "--format", "json"])
    }

    fn import(&self, file: &str, key: &str, broker: &Mosquitto, further: &[&str]) -> Exit {
        let (file, key, address) = (self.path(file), self.path(key), broker.address().to_string());
        self.outbox("import", &[&[file.as_str(), "--public-key", &key, "--broker", &address], further].concat())
    }

    fn reader(&self, file: &str) -> Reader<BufReader<fs::File>> {
        let key = PublicKey::from_pem(&fs::read(self.path("key.pub")).unwrap()).unwrap();
        Reader::open(BufReader::new(fs::File::open(self.path(file)).unwrap()), &key).unwrap()
    }
}

fn openssl(arguments: &[&str]) {
    assert!(Command::new("openssl").args(arguments).status().unwrap().success(), "{arguments:?}");
}

fn message(class: Class, topic: &str, payload: &[u8], retain: bool) -> Message {
    let (lane, topic) = (Some("A".to_owned()), format!("snowgate/v1/gate-1/{topic}"));
    Message { class, lane, topic, payload: payload.to_vec(), retain, origin: None }
}

fn incidents(numbers: std::ops::Range<u32>) -> Vec<Message> {
    numbers.map(|n| message(Class::Incident, "incident/township/1", n.to_string().as_bytes(), false)).collect()
}

fn commit(store: &Store, messages: Vec<Message>) {
    store.commit(|_| Commit { messages, ..Commit::default() }).unwrap();
}

fn numbers(received: &[Received]) -> Vec<u32> {
    let incidents = received.iter().filter(|message| message.topic.contains("/incident/"));
    incidents.map(|message| message.text().parse().unwrap()).collect()
}

/// Waits for all of 0 to `count`; their first arrivals must be in order. Answers how many came twice.
fn wait_for_all(subscriber: &Subscriber, count: u32) -> usize {
    let received = subscriber.wait_until("all messages", |received| {
        numbers(received).into_iter().collect::<BTreeSet<_>>().len() == count as usize
    });
    let (mut seen, all) = (BTreeSet::new(), numbers(&received));
    let first: Vec<_> = all.iter().copied().filter(|number| seen.insert(*number)).collect();
    assert_eq!(first, (0..count).collect::<Vec<_>>());
    all.len() - first.len()
}

/// A daily summary of this gateway, as the documents show it.
fn a_day() -> Vec<u8> {
    let example = snowgate::messages::examples().into_iter().find(|example| example.message == "dailySummary");
    let mut day = example.unwrap().payload;
    day["gateway"] = "gate-1".into();
    day.to_string().into_bytes()
}

#[test]
fn everything_arrives_from_somewhere_else() {
    let gateway = Gateway::new();
    let store = gateway.store();
    let picture: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut messages = vec![
        message(Class::Incident, "incident/township/1", "事件".as_bytes(), false),
        message(Class::Evidence, "evidence/A/still.jpg", &picture, false),
        message(Class::Summary, "summary/daily", &a_day(), true),
        message(Class::Telemetry, "telemetry/gauge", b"[]", false),
        message(Class::Incident, "incident/township/1", b"", false),
    ];
    commit(&store, messages.clone());
    assert_eq!(gateway.export("first", &[]), Exit::Ok, "the daemon may be running");
    assert_eq!(gateway.outbox("status", &["--config", &gateway.path("")]), Exit::Ok);
    assert_eq!(gateway.export("first", &["--remove"]), Exit::Io, "an export is never replaced");
    assert_eq!(gateway.export("second", &["--remove", "--format", "json"]), Exit::Ok);
    assert_eq!(snowgate::store::inspect(&gateway.home.path().join("data")).unwrap().outbox.messages(), 0);
    assert_eq!(gateway.verify("second", "key.pub"), Exit::Ok);

    let certificates = Certificates::make();
    let tls = Tls { certificates: &certificates, ask_for_client: false };
    let setup = Setup { login: Some(("grid", "geheim")), tls: Some(tls), ..Setup::default() };
    let broker = Mosquitto::start_with(&setup);
    fs::write(gateway.path("password"), "geheim\n").unwrap();
    let (ca, password) = (certificates.path("ca.pem").display().to_string(), gateway.path("password"));
    let secure = ["--ca-file", &ca, "--username", "grid", "--password-file", &password];
    assert_eq!(gateway.import("second", "key.pub", &broker, &secure), Exit::Ok);
    assert_eq!(gateway.import("second", "key.pub", &broker, &[]), Exit::Unavailable, "without TLS there is no answer");

    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    for _ in 0..2 {
        assert_eq!(gateway.import("second", "key.pub", &broker, &["--max-inflight", "2"]), Exit::Ok);
    }
    let received = subscriber.wait_until("both imports", |received| received.len() == 10);
    messages.extend(messages.clone());
    let came: Vec<_> = received.into_iter().map(|message| (message.topic, message.payload)).collect();
    assert_eq!(came, messages.into_iter().map(|message| (message.topic, message.payload)).collect::<Vec<_>>());
    let late = Subscriber::start_with("late", broker.address(), None);
    let kept = late.wait_until("the summary", |received| !received.is_empty());
    assert!(kept.iter().all(|message| message.retained && message.topic.ends_with("/summary/daily")), "{kept:?}");
}

#[test]
fn what_is_not_genuine_is_not_published() {
    let gateway = Gateway::new();
    commit(&gateway.store(), incidents(0..20));
    assert_eq!(gateway.export("good", &[]), Exit::Ok);
    let good = fs::read(gateway.path("good")).unwrap();
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    for (name, change) in [
        ("flipped", Box::new(|file: &mut Vec<u8>| file[good.len() / 2] ^= 4) as Box<dyn Fn(&mut Vec<u8>)>),
        ("flipped-last", Box::new(|file| file[good.len() - 10] ^= 1)),
        ("cut", Box::new(|file| file.truncate(good.len() - 1))),
        ("longer", Box::new(|file| file.push(b'\n'))),
        ("newer", Box::new(|file| file[38] = b'7')),
    ] {
        let mut file = good.clone();
        change(&mut file);
        fs::write(gateway.path(name), file).unwrap();
        assert_eq!(gateway.verify(name, "key.pub"), Exit::BadData, "{name}");
        assert_eq!(gateway.import(name, "key.pub", &broker, &[]), Exit::BadData, "{name}");
    }
    assert_eq!(gateway.import("good", "strange.pub", &broker, &[]), Exit::BadData);
    assert_eq!(gateway.import("good", "key.pem", &broker, &[]), Exit::BadData, "the wrong half");
    assert_eq!(gateway.import("missing", "key.pub", &broker, &[]), Exit::Io);
    // Only now: whatever had been published before would have come before it.
    assert_eq!(gateway.import("good", "key.pub", &broker, &[]), Exit::Ok);
    assert_eq!(wait_for_all(&subscriber, 20), 0);

    for key in ["", "signing_key_file = 'missing.pem'", "signing_key_file = 'key.pub'"] {
        gateway.configure(key);
        assert_eq!(gateway.export("unsigned", &[]), Exit::BadConfig, "{key}");
    }
    assert!(!Path::new(&gateway.path("unsigned")).exists());
}

#[test]
fn a_signature_can_be_verified_with_openssl_alone() {
    let gateway = Gateway::new();
    commit(&gateway.store(), incidents(0..3));
    assert_eq!(gateway.export("file", &[]), Exit::Ok);
    let script = "set -e; cd \"$1\"; head -n -1 file | sha256sum | cut -d' ' -f1 > sum
        printf 'snowgate-outbox 1 %s\\n' \"$(cat sum)\" > signed
        tail -n 1 file | sed 's/.*\"signature\":\"\\([0-9a-f]*\\)\".*/\\1/' | xxd -r -p > signature
        openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in signed -sigfile signature";
    let status = Command::new("sh").args(["-c", script, "sh", &gateway.path("")]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_import_that_is_broken_off_goes_on_or_is_repeated() {
    const COUNT: u32 = 2_000;
    let gateway = Gateway::new();
    commit(&gateway.store(), incidents(0..COUNT));
    assert_eq!(gateway.export("file", &["--remove"]), Exit::Ok);
    let mut broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.address());
    let settings = format!("host = '127.0.0.1'\nport = {}", broker.address().port());
    let to = Broker::new(&"gate-1".parse().unwrap(), &spec::<MqttSpec>(&settings), &MqttSecrets::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shutdown = Shutdown::new();

    let importing = std::thread::spawn({
        let (to, reader, shutdown) = (to.clone(), gateway.reader("file"), shutdown.clone());
        let runtime = runtime.handle().clone();
        move || runtime.block_on(import(&to, reader, None, &shutdown))
    });
    subscriber.wait_until("the first messages", |received| received.len() > 100);
    broker.kill9();
    let Stopped { progress, why } = importing.join().unwrap().unwrap_err();
    assert!(matches!(why, Why::Broker(Fault::Lost(_))), "{why}");
    assert!(progress.acknowledged > 0 && progress.acknowledged < u64::from(COUNT), "{progress:?}");
    let refused = runtime.block_on(import(&to, gateway.reader("file"), progress.up_to, &shutdown)).unwrap_err();
    assert!(matches!(refused, Stopped { why: Why::Broker(Fault::Unreachable(_)), .. }), "{refused}");
    assert_eq!(refused.progress, Progress::default());

    broker.restart();
    let done = runtime.block_on(import(&to, gateway.reader("file"), progress.up_to, &shutdown)).unwrap();
    assert_eq!(done.acknowledged + done.passed_over, u64::from(COUNT));
    assert!(done.passed_over <= progress.acknowledged && done.passed_over + 32 > progress.acknowledged);
    assert!(wait_for_all(&subscriber, COUNT) <= 32 + 100, "only what was on its way comes again");

    shutdown.trigger();
    let stopped = runtime.block_on(import(&to, gateway.reader("file"), None, &shutdown)).unwrap_err();
    assert!(matches!(stopped.why, Why::Interrupted));
}

#[test]
fn exporting_beside_a_daemon_that_sends_loses_nothing() {
    let gateway = Gateway::new();
    let mut broker = Mosquitto::prepare(&Setup::default());
    let reporter = Reporter::start(broker.address());
    let report = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            reporter.report(Class::Incident, &[("A", &number.to_string())]);
        }
    };
    let data = reporter.data().display().to_string();
    report(0..300);
    assert_eq!(gateway.export("offline", &["--data", &data, "--remove"]), Exit::Ok);
    report(300..310);
    broker.restart();
    let subscriber = Subscriber::start(broker.address());
    reporter.wait_until_sent();
    // While it sends, again and again.
    let mut exported = BTreeSet::new();
    let mut files: Vec<PathBuf> = vec![gateway.path("offline").into()];
    std::thread::scope(|scope| {
        let reporting = scope.spawn(|| report(310..600));
        while !reporting.is_finished() {
            let name = format!("online-{}", files.len());
            assert_eq!(gateway.export(&name, &["--data", &data, "--remove"]), Exit::Ok);
            files.push(gateway.path(&name).into());
        }
    });
    report(600..601);
    reporter.wait_until_sent();
    for file in &files {
        let mut reader = gateway.reader(file.file_name().unwrap().to_str().unwrap());
        while let Some(waiting) = reader.next().unwrap() {
            exported.insert(String::from_utf8(waiting.message.payload).unwrap().parse::<u32>().unwrap());
        }
    }
    assert!(exported.is_superset(&(0..300).collect()));
    // Ten went out before anybody had subscribed.
    let awaited: BTreeSet<u32> = (310..601).filter(|number| !exported.contains(number)).collect();
    subscriber
        .wait_until("what was not exported", |received| awaited.is_subset(&numbers(received).into_iter().collect()));
}
