//! A site of our own for a test: the demo's configuration on ports and folders that nobody else uses, two cameras played
//! by a real RTSP server, and a real broker.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use snowgate_simulators::broker::Mosquitto;
use tempfile::TempDir;

use crate::{
    daemon::{self, Daemon, DaemonError, Launch},
    grid_system::GridSystem,
    repository,
    rtsp::RtspServer,
};

/// The demo's gateway id.
pub const GATEWAY: &str = "demo";

/// Cameras, a broker, a configuration; the daemon is started by the test, as often as it likes.
pub struct Site {
    home: TempDir,
    /// The cameras: `/walkers` and `/entrance`.
    pub cameras: RtspServer,
    /// The broker.
    pub broker: Mosquitto,
    admin: SocketAddr,
}

impl Site {
    /// Cameras that play and a broker that runs.
    pub fn new() -> Self {
        Self::with_broker(Mosquitto::start())
    }

    /// Cameras that play, and this broker.
    pub fn with_broker(broker: Mosquitto) -> Self {
        let cameras = RtspServer::start();
        let media = repository().join("assets/media");
        cameras.loop_file("/walkers", &media.join("vtest.mp4"));
        cameras.loop_file("/entrance", &media.join("face-long.mp4"));
        let admin = SocketAddr::from(([127, 0, 0, 1], daemon::free_port().expect("a free loopback port")));
        let site = Self { home: TempDir::new().expect("a temporary directory"), cameras, broker, admin };
        site.write_configuration().expect("the demo's configuration can be copied");
        site
    }

    /// The same without cameras, with this added to gateway.toml, and with these sensors' files, by name.
    pub fn of_sensors(gateway: &str, sensors: &[(&str, &str)]) -> Self {
        let site = Self::new();
        site.leave_cameras_out();
        site.add_sensors(gateway, sensors);
        site
    }

    /// Takes the cameras out of the configuration.
    pub fn leave_cameras_out(&self) {
        fs::remove_dir_all(self.config().join("cameras.d")).expect("the demo's cameras can be left out");
    }

    /// Adds this to gateway.toml, and these sensors' files, by name.
    pub fn add_sensors(&self, gateway: &str, sensors: &[(&str, &str)]) {
        self.edit("gateway.toml", |text| text + "\n" + gateway);
        fs::create_dir_all(self.config().join("sensors.d")).expect("a folder for sensors can be made");
        for (name, text) in sensors {
            self.write(&format!("sensors.d/{name}.toml"), text);
        }
    }

    fn write_configuration(&self) -> io::Result<()> {
        let root = repository();
        let demo = root.join("configs/demo");
        let walkers = self.cameras.url("/walkers");
        let address = walkers.trim_end_matches("/walkers");
        let ours = [
            ("port = 18883", format!("port = {}", self.broker.address().port())),
            ("127.0.0.1:19464", self.admin.to_string()),
            ("../../target/demo/data", self.data().display().to_string()),
            ("../../models", root.join("models").display().to_string()),
            ("../../assets", root.join("assets").display().to_string()),
            ("rtsp://127.0.0.1:18554", address.to_owned()),
        ];
        for name in ["gateway.toml", "categories.toml", "cameras.d/walkers.toml", "cameras.d/entrance.toml"] {
            let text = fs::read_to_string(demo.join(name))?;
            let text = ours.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
            let file = self.config().join(name);
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            fs::write(file, text)?;
        }
        Ok(())
    }

    /// The configuration directory.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Changes one file of the configuration.
    pub fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let file = self.config().join(name);
        let text = fs::read_to_string(&file).expect("the configuration file is there");
        fs::write(file, change(text)).expect("the configuration file can be written");
    }

    /// Puts a file of this text beside the configuration.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.config().join(name);
        fs::write(&file, text).expect("the file can be written");
        file
    }

    /// Puts a file beside the configuration that only its owner may read.
    pub fn write_secret(&self, name: &str, text: &str) -> PathBuf {
        let file = self.write(name, text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        file
    }

    /// What starts the daemon here.
    pub fn launch(&self) -> Launch {
        Launch {
            program: daemon::program().expect("the daemon's program"),
            config: self.config(),
            admin: self.admin,
            log: self.home.path().join("snowgate.log"),
            arguments: Vec::new(),
        }
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> Result<Daemon, DaemonError> {
        Daemon::start(self.launch())
    }

    /// A grid system that listens at the broker.
    pub fn grid_system(&self) -> GridSystem {
        let stills = self.home.path().join("stills");
        GridSystem::start(self.broker.address().port(), GATEWAY, &stills).expect("a grid system")
    }

    /// Where nobody else writes.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
