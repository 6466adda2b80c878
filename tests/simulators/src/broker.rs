//! A real mosquitto on a free loopback port, for whoever speaks MQTT. Without one a test has nothing to try, so whatever keeps
//! it from running is a panic that says why.

#![allow(clippy::expect_used)]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest time until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A mosquitto that keeps its sessions and their messages while it is down; it is killed when dropped.
pub struct Mosquitto {
    home: TempDir,
    port: u16,
    child: Option<Child>,
}

/// How a [`Mosquitto`] is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// User name and password it asks for.
    pub login: Option<(&'a str, &'a str)>,
    /// Encrypted only.
    pub tls: Option<Tls<'a>>,
    /// Keeps nothing on disk: much faster, and a kill loses what it has acknowledged.
    pub fleeting: bool,
}

/// How a [`Mosquitto`] encrypts.
pub struct Tls<'a> {
    /// Its certificates.
    pub certificates: &'a Certificates,
    /// Whether a client must show a certificate of the same authority.
    pub ask_for_client: bool,
}

impl Mosquitto {
    /// Starts one that lets everybody in.
    pub fn start() -> Self {
        Self::start_with(&Setup::default())
    }

    /// Starts one, and waits until it answers.
    pub fn start_with(setup: &Setup<'_>) -> Self {
        let mut broker = Self::prepare(setup);
        broker.restart();
        broker
    }

    /// Makes everything ready, but does not start it: a broker that is down.
    pub fn prepare(setup: &Setup<'_>) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let path = |name: &str| home.path().join(name).display().to_string();
        // Everything a subscriber may have is pushed to its socket before the publisher gets its acknowledgement, and
        // every change is saved: what mosquitto has acknowledged it does not lose by a kill.
        let mut config =
            format!("listener {port} 127.0.0.1\nuser root\nmax_inflight_messages 0\nmax_queued_messages 0\n");
        if !setup.fleeting {
            config += &format!(
                "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1\n",
                home.path().display()
            );
        }
        match setup.login {
            Some((user, password)) => {
                run(Command::new("mosquitto_passwd").args(["-b", "-c", &path("passwords"), user, password]));
                config += &format!("allow_anonymous false\npassword_file {}\n", path("passwords"));
            }
            None => config += "allow_anonymous true\n",
        }
        if let Some(Tls { certificates, ask_for_client }) = &setup.tls {
            config += &format!(
                "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {ask_for_client}\n",
                certificates.path("ca.pem").display(),
                certificates.path("server.pem").display(),
                certificates.path("server.key").display(),
            );
        }
        fs::write(home.path().join("mosquitto.conf"), config).expect("the temporary directory is writable");
        Self { home, port, child: None }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        self.end(Signal::KILL);
    }

    /// Ends it in order: it saves what it has first.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), signal).expect("mosquitto is ours to end");
            child.wait().expect("mosquitto is ours to wait for");
        }
    }

    /// Deletes what it had saved before it ended.
    pub fn forget(&self) {
        assert!(self.child.is_none(), "it is running");
        let _ = fs::remove_file(self.home.path().join("mosquitto.db"));
    }

    /// Starts it where it is down, with what it had saved, and waits until it answers.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it is running");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log"));
        let child = Command::new(mosquitto())
            .arg("-c")
            .arg(self.home.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the temporary directory is writable"))
            .spawn()
            .expect("mosquitto is installed");
        self.child = Some(child);
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "mosquitto does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Debian keeps it where only root's `PATH` looks.
fn mosquitto() -> &'static str {
    if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

/// A port nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// An authority of its own (`ca.pem`), a server for 127.0.0.1 and localhost (`server.pem`, `server.key`) and a client
/// (`client.pem`, `client.key`) that it has certified.
pub struct Certificates {
    home: TempDir,
}

impl Certificates {
    /// Makes a new authority.
    pub fn make() -> Self {
        let certificates = Self { home: TempDir::new().expect("a temporary directory") };
        certificates.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        let extension = "subjectAltName = IP:127.0.0.1, DNS:localhost\n";
        fs::write(certificates.path("server.ext"), extension).expect("the temporary directory is writable");
        for name in ["server", "client"] {
            certificates.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            let extensions = if name == "server" { "-extfile server.ext" } else { "" };
            certificates.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 {extensions} -out {name}.pem"
            ));
        }
        certificates
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What is in a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file made above")
    }

    fn openssl(&self, arguments: &str) {
        run(Command::new("openssl").args(arguments.split_whitespace()).current_dir(self.home.path()));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
