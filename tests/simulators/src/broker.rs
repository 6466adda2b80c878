//! A real mosquitto on a free loopback port, for whoever speaks MQTT.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest time until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A mosquitto that keeps its sessions and their messages while it is stopped. It ends when dropped.
pub struct Mosquitto {
    home: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts one that lets everybody in, and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        Self::prepare(None)?.started()
    }

    /// Starts one that asks for this user name and password.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start_with_login(user: &str, password: &str) -> io::Result<Self> {
        Self::prepare(Some((user, password)))?.started()
    }

    fn started(mut self) -> io::Result<Self> {
        self.restart()?;
        Ok(self)
    }

    fn prepare(login: Option<(&str, &str)>) -> io::Result<Self> {
        let home = TempDir::new()?;
        let port = free_port()?;
        let mut config = format!(
            "listener {port} 127.0.0.1\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nset_tcp_nodelay true\n",
            home.path().display()
        );
        if let Some((user, password)) = login {
            let passwords = home.path().join("passwords");
            let made =
                Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args([user, password]).status()?;
            if !made.success() {
                return Err(io::Error::other("mosquitto_passwd failed"));
            }
            config += &format!("allow_anonymous false\npassword_file {}\n", passwords.display());
        } else {
            config += "allow_anonymous true\n";
        }
        fs::write(home.path().join("mosquitto.conf"), config)?;
        Ok(Self { home, port, child: None })
    }

    /// Where it listens, also while it is stopped.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it in order: it saves what it has first.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        Command::new("sh").arg("-c").arg(format!("kill {}", child.id())).status()?;
        child.wait().map(drop)
    }

    /// Starts it with what it had kept, and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log"))?;
        // Debian keeps it where only root's `PATH` looks.
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let config = self.home.path().join("mosquitto.conf");
        let child = Command::new(program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.address()).is_err() {
            if Instant::now() > end {
                let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("mosquitto does not answer: {log}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Nobody is left to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
