//! The test rig: the whole daemon without cameras, sensors that post, a bad network, a real mosquitto, and a receiver.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use snowgate_simulators::broker::{Certificates, Mosquitto, Setup, Tls};
use tempfile::TempDir;

use super::{
    ledger::Truth,
    load::{self, Load, Rate},
    memory::MemoryWatch,
    preload::Preload,
    receiver::Receiver,
    truth,
};
use crate::{
    daemon::{self, Daemon, DaemonError, Launch},
    proxy::FaultProxy,
    repository,
    wait::{self, PATIENCE},
};

/// The gateway's id.
pub const GATEWAY: &str = "fault-rig";

/// How long a recovery may take before the rest counts as lost: the uplink itself pauses for up to a minute.
pub const RECOVER_WITHIN: Duration = Duration::from_secs(120);

/// Starts within which a daemon that nobody troubles has told everything.
const STARTS_TO_SETTLE: u32 = 5;

/// How long a start is waited for that a broken disk may hold up.
const START_WITHIN: Duration = Duration::from_secs(5);

/// What arrives comes sooner than this after it has left.
const IDLE: Duration = Duration::from_millis(300);

/// How a [`Rig`] is set up.
#[derive(Clone)]
pub struct Plan {
    /// Everything encrypted.
    pub tls: bool,
    /// The broker keeps nothing over a restart.
    pub fleeting: bool,
    /// The proxy knows MQTT; not with `tls`.
    pub packets: bool,
    /// What is posted.
    pub rate: Rate,
    /// The daemon runs with another wall clock, and a disk that fails on command.
    pub preload: bool,
    /// Where the daemon keeps its data, if not in the rig's own directory.
    pub data: Option<PathBuf>,
    /// Further lines of the `[mqtt]` table.
    pub mqtt: &'static str,
    /// Further lines of the `[storage]` table.
    pub storage: &'static str,
}

impl Plan {
    /// A good line to a broker that keeps its state.
    pub const STEADY: Self = Self {
        tls: false,
        fleeting: false,
        packets: false,
        rate: Rate::STEADY,
        preload: false,
        data: None,
        mqtt: "",
        storage: "",
    };
}

/// Everything but a running daemon, which is started as often as a fault wants it.
pub struct Rig {
    // Fields are dropped in this order: who speaks goes before who listens.
    load: Load,
    daemon: Option<Daemon>,
    /// The receiver, at the broker itself.
    pub receiver: Receiver,
    /// Between the daemon and the broker.
    pub proxy: FaultProxy,
    /// The broker.
    pub broker: Mosquitto,
    preload: Option<Preload>,
    /// What the daemon has taken of the machine.
    pub memory: MemoryWatch,
    certificates: Option<Certificates>,
    admin: SocketAddr,
    listen: SocketAddr,
    data: PathBuf,
    plan: Plan,
    home: TempDir,
}

fn local_port() -> SocketAddr {
    ([127, 0, 0, 1], daemon::free_port().expect("a free loopback port")).into()
}

impl Rig {
    /// Starts everything but the daemon.
    pub fn new(plan: Plan) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let certificates = plan.tls.then(Certificates::make);
        let tls = certificates.as_ref().map(|certificates| Tls { certificates, ask_for_client: false });
        let broker = Mosquitto::start_with(&Setup { login: None, tls, fleeting: plan.fleeting });
        let authority = certificates.as_ref().map(|certificates| certificates.read("ca.pem"));
        let receiver = Receiver::start(broker.address(), GATEWAY, authority);
        let proxy = match plan.packets {
            true => FaultProxy::start_mqtt(broker.address()),
            false => FaultProxy::start(broker.address()),
        };
        let (admin, listen) = (local_port(), local_port());
        let data = plan.data.clone().unwrap_or_else(|| home.path().join("data"));
        let preload = plan.preload.then(|| Preload::new(&home.path().join("preload"), &data));
        let load = Load::start(listen, plan.rate);
        let rig = Self {
            load,
            daemon: None,
            receiver,
            proxy,
            broker,
            preload,
            memory: MemoryWatch::start(),
            certificates,
            admin,
            listen,
            data,
            plan,
            home,
        };
        rig.configure("");
        rig
    }

    /// Writes the configuration, with these further lines of the `[mqtt]` table.
    pub fn configure(&self, mqtt: &str) {
        let config = self.home.path().join("config");
        fs::create_dir_all(config.join("sensors.d")).expect("the temporary directory is writable");
        let write = |name: &str, text: String| {
            let file = config.join(name);
            fs::write(&file, text).expect("the temporary directory is writable");
            file
        };
        write("gateway.toml", self.gateway(mqtt));
        let category = "id = \"high-water\"\nname = { zh = \"水位超警\", en = \"High water\" }\n";
        write("categories.toml", format!("[[category]]\n{category}"));
        let token = write("token", load::TOKEN.to_owned());
        fs::set_permissions(token, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        if let Some(certificates) = &self.certificates {
            fs::copy(certificates.path("ca.pem"), config.join("ca.pem")).expect("the temporary directory is writable");
        }
        for number in 0..self.plan.rate.sensors {
            let id = load::sensor(number);
            let text = format!(
                "id = \"{id}\"\nname = \"{id}\"\ncategory = \"high-water\"\ngrid = \"330182101201\"\n\
                 [source]\nprotocol = \"http\"\ntoken_file = \"token\"\n\
                 [[source.values]]\nid = \"level\"\nunit = \"m\"\npointer = \"/level\"\n\
                 [[rules]]\nid = \"high\"\nquantity = \"level\"\nkind = \"threshold\"\nabove = 3.5\n"
            );
            write(&format!("sensors.d/{id}.toml"), text);
        }
    }

    fn gateway(&self, mqtt: &str) -> String {
        let root = repository();
        // A dead line is noticed within seconds, and a backlog drains as fast as it can.
        let keep_alive = if mqtt.contains("keep_alive") { "" } else { "keep_alive = \"5s\"\n" };
        let drain = if self.plan.mqtt.contains("drain_rate") { "" } else { "drain_rate = 10000\n" };
        let tls = if self.plan.tls { "[mqtt.tls]\nca_file = \"ca.pem\"\n" } else { "" };
        format!(
            "[gateway]\nid = \"{GATEWAY}\"\nlocale = \"en\"\n\
             [grid]\nlevels = [\"township\", \"village\"]\nmajor_level = \"township\"\nnodes = [\n\
             {{ code = \"330182101\", name = \"Mingliang\", level = \"township\" }},\n\
             {{ code = \"330182101201\", name = \"Qiaotou\", level = \"village\", parent = \"330182101\" }},\n]\n\
             [mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n{keep_alive}{drain}{}\n{mqtt}\n{tls}\
             [storage]\ndirectory = \"{}\"\n{}\n\
             [evidence]\nstills = false\n\
             [admin]\nlisten = \"{}\"\n\
             [sensors.http]\nlisten = \"{}\"\nmost_a_second = 1000\n\
             [models]\ndirectory = \"{}\"\nonnxruntime = \"{}\"\n",
            self.plan.mqtt,
            self.data.display(),
            self.plan.storage,
            self.admin,
            self.listen,
            root.join("models").display(),
            root.join("assets/onnxruntime/libonnxruntime.so.1.31.1").display(),
            port = self.proxy.address().port(),
        )
    }

    /// The daemon's data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The load.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Starts the daemon, and does not wait for it.
    pub fn launch(&mut self) {
        assert!(self.daemon.is_none(), "it is running");
        let launch = Launch {
            program: daemon::program().unwrap_or_else(|error| panic!("{error}")),
            config: self.home.path().join("config"),
            admin: self.admin,
            log: self.home.path().join("snowgate.log"),
            arguments: Vec::new(),
        };
        let environment: Vec<(&str, &OsStr)> = self.preload.iter().flat_map(Preload::environment).collect();
        let daemon = Daemon::start_with(launch, &environment).unwrap_or_else(|error| panic!("{error}"));
        self.memory.follow(Some(daemon.pid()));
        self.daemon = Some(daemon);
    }

    /// Starts the daemon, waits until it is ready, and has it heard by the sensors.
    pub fn start(&mut self) {
        self.launch();
        self.wait_ready();
        self.load.resume();
    }

    /// Waits until the daemon is ready, or has ended by itself because it cannot start; answers whether it is ready.
    pub fn starts(&mut self) -> bool {
        match self.running().wait_ready(START_WITHIN) {
            Ok(()) | Err(DaemonError::NotReady { .. }) => true,
            Err(DaemonError::Ended { .. }) => {
                self.memory.follow(None);
                self.daemon = None;
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether the daemon has been started and not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let running = self.daemon.as_mut().is_some_and(|daemon| daemon.ensure_running().is_ok());
        if !running {
            self.memory.follow(None);
            self.daemon = None;
        }
        running
    }

    /// What stands between the daemon and the system.
    pub fn preload(&self) -> &Preload {
        self.preload.as_ref().expect("it was asked for")
    }

    /// Waits until no event, no answer and no gap waits any more.
    pub fn wait_outbox_empty(&mut self) {
        let waiting = |rig: &mut Self| {
            let metrics = rig.running().metrics().unwrap_or_else(|error| panic!("{error}"));
            let of = |class| metrics.total("snowgate_outbox_messages", &[("class", class)]);
            of("incident") + of("disposition_ack") + of("gap")
        };
        self.load.pause();
        let empty = wait::wait_until(RECOVER_WITHIN, || {
            thread::sleep(Duration::from_millis(50));
            waiting(self) == 0.0
        });
        assert!(empty, "the outbox does not empty\n{}", self.last_log_lines());
        // What has just been acknowledged is on its way to the receiver, and what is not yet counted to the outbox.
        self.wait_idle();
    }

    /// Waits until nothing has arrived for a while.
    fn wait_idle(&self) {
        let mut before = self.receiver.look(|state| state.ledger.events());
        loop {
            thread::sleep(IDLE);
            let now = self.receiver.look(|state| state.ledger.events());
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Waits until the daemon is ready.
    pub fn wait_ready(&mut self) {
        self.running().wait_ready(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The daemon.
    pub fn running(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the daemon runs")
    }

    /// Kills the daemon as a power cut would.
    pub fn kill(&mut self) {
        self.memory.follow(None);
        if let Some(daemon) = self.daemon.take() {
            daemon.kill9().unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Waits for the daemon, which is about to end by itself, and answers its exit code.
    pub fn wait_exit(&mut self) -> Option<i32> {
        self.memory.follow(None);
        let mut daemon = self.daemon.take()?;
        match daemon.wait_exit(PATIENCE) {
            Ok(Some(status)) => status.code(),
            Ok(None) => panic!("the daemon goes on:\n{}", daemon.last_log_lines(10)),
            Err(error) => panic!("{error}"),
        }
    }

    /// Stops the daemon in order.
    pub fn stop(&mut self) {
        self.load.pause();
        self.memory.follow(None);
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(PATIENCE).unwrap_or_else(|error: DaemonError| panic!("{error}"));
        }
    }

    /// The number of the newest committed event, while the daemon runs.
    pub fn sequence(&self) -> u64 {
        let read = || truth::sequence(&self.data).ok();
        wait::wait_for(PATIENCE, read).unwrap_or_else(|| panic!("the store cannot be read beside the daemon"))
    }

    /// Waits until so many more events have been committed.
    pub fn wait_produced(&self, more: u64) {
        let wanted = self.sequence() + more;
        let produced = wait::wait_until(PATIENCE, || {
            thread::sleep(Duration::from_millis(15));
            self.sequence() >= wanted
        });
        assert!(produced, "the daemon commits nothing more after event {}, wanted {wanted}", self.sequence());
    }

    /// Waits until so many more events have been received than now.
    pub fn wait_received(&self, more: u64) {
        let wanted = self.receiver.look(|state| state.ledger.events()) + more;
        let received = |state: &super::receiver::State| (state.ledger.events() >= wanted).then_some(());
        let come = self.receiver.wait_for(RECOVER_WITHIN, received);
        assert!(come.is_some(), "fewer than {more} further events arrive\n{}", self.last_log_lines());
    }

    /// Waits until everything committed up to now has arrived, and answers how long that took since `ended`.
    pub fn recovery(&self, ended: Instant) -> Duration {
        let sequence = self.sequence();
        self.wait_all_up_to(sequence);
        ended.elapsed()
    }

    /// Waits until all events up to this one have arrived.
    pub fn wait_all_up_to(&self, sequence: u64) {
        let all = self.receiver.wait_for(RECOVER_WITHIN, |state| state.ledger.has_all_up_to(sequence).then_some(()));
        if all.is_none() {
            let up_to = self.receiver.look(|state| state.ledger.all_up_to());
            let log = self.last_log_lines();
            panic!("event {} of {sequence} has not arrived after {RECOVER_WITHIN:?}\n{log}", up_to + 1);
        }
    }

    /// Ends the load, waits until all has arrived, stops the daemon and reads what it has committed.
    pub fn settle(&mut self) -> Truth {
        self.load.pause();
        self.wait_all_up_to(self.sequence());
        self.stop();
        let mut truth = self.read_truth();
        // What was committed between the last look and the stop, a light that turned, leaves after the next start.
        for _ in 0..STARTS_TO_SETTLE {
            if self.receiver.look(|state| state.ledger.has_all_up_to(truth.sequence)) {
                break;
            }
            self.launch();
            self.wait_ready();
            self.load.pause();
            self.wait_all_up_to(truth.sequence);
            self.wait_outbox_empty();
            self.stop();
            truth = self.read_truth();
        }
        truth
    }

    /// What is committed, while the daemon is down.
    pub fn read_truth(&self) -> Truth {
        truth::read(&self.data).unwrap_or_else(|error| panic!("the store cannot be read: {error}"))
    }

    /// The last lines of the daemon's log.
    pub fn last_log_lines(&self) -> String {
        let log = fs::read(self.home.path().join("snowgate.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Everything the daemon has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.path().join("snowgate.log")).unwrap_or_default()).into_owned()
    }
}
