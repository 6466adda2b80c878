//! The real daemon as a child process: started, waited for, scraped, stopped, or killed like a power cut would.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{http, metrics::Metrics};

/// Health and exits cannot be waited on, only asked for: so often.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// The admin interface has a thread of its own and answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What to start, and with what.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Configuration directory.
    pub config: PathBuf,
    /// The admin interface's address, as configured.
    pub admin: SocketAddr,
    /// File its log goes to; one start's log follows the other's.
    pub log: PathBuf,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// What went wrong with the daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It could not be started.
    #[error("cannot start {program}: {source}", program = .program.display())]
    Start {
        /// The program, or the log it writes to.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It ended before it should have.
    #[error("the daemon ended by itself ({status}); its log ends with:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// Its last words.
        log: String,
    },
    /// It is not ready in time.
    #[error("the daemon is not ready after {after:?}: {reason}; its log ends with:\n{log}")]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// What it says is missing.
        reason: String,
        /// Its last words.
        log: String,
    },
    /// It does not stop in time, and was killed.
    #[error("the daemon did not stop within {0:?} and was killed")]
    DidNotStop(Duration),
    /// It stopped, but not cleanly.
    #[error("the daemon did not stop cleanly ({status}); its log ends with:\n{log}")]
    Unclean {
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        log: String,
    },
    /// The system, or the admin interface, does not answer.
    #[error("the daemon's {what}: {source}")]
    Io {
        /// What was asked.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    launch: Launch,
    child: Child,
}

impl Daemon {
    /// Starts `run`. It is in a process group of its own, so that Ctrl-C at a terminal is for us to pass on.
    ///
    /// # Errors
    /// The program is not there, or its log cannot be written.
    pub fn start(launch: Launch) -> Result<Self, DaemonError> {
        Self::start_with(launch, &[])
    }

    /// The same with further environment variables.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_with(launch: Launch, environment: &[(&str, &OsStr)]) -> Result<Self, DaemonError> {
        let failed = |path: &Path| {
            let program = path.to_owned();
            move |source| DaemonError::Start { program, source }
        };
        if let Some(folder) = launch.log.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let log = File::options().create(true).append(true).open(&launch.log).map_err(failed(&launch.log))?;
        let errors = log.try_clone().map_err(failed(&launch.log))?;
        let child = Command::new(&launch.program)
            .arg("run")
            .arg("--config")
            .arg(&launch.config)
            .args(&launch.arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(failed(&launch.program))?;
        Ok(Self { launch, child })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it does its job.
    ///
    /// # Errors
    /// It ends, or is not ready in time.
    pub fn wait_ready(&mut self, within: Duration) -> Result<(), DaemonError> {
        let end = Instant::now() + within;
        loop {
            self.ensure_running()?;
            let reason = match http::get(self.launch.admin, "/readyz", ANSWER_WITHIN) {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => answer.body.trim().replace('\n', ", "),
                Err(error) => error.to_string(),
            };
            if Instant::now() > end {
                return Err(DaemonError::NotReady { after: within, reason, log: self.last_log_lines(15) });
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It has ended.
    pub fn ensure_running(&mut self) -> Result<(), DaemonError> {
        match self.child.try_wait().map_err(|source| DaemonError::Io { what: "process", source })? {
            None => Ok(()),
            Some(status) => Err(DaemonError::Ended { status, log: self.last_log_lines(15) }),
        }
    }

    /// Its metrics as of now.
    ///
    /// # Errors
    /// The admin interface does not answer.
    pub fn metrics(&self) -> Result<Metrics, DaemonError> {
        let answer = http::get(self.launch.admin, "/metrics", ANSWER_WITHIN);
        let answer = answer.map_err(|source| DaemonError::Io { what: "metrics", source })?;
        Ok(Metrics::parse(&answer.body))
    }

    /// Kills it at whatever instruction it is at, as a power cut would.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill9(mut self) -> Result<(), DaemonError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|source| DaemonError::Io { what: "process", source })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), DaemonError> {
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.map_err(|error| DaemonError::Io { what: "process", source: error.into() })
    }

    /// Asks it to stop (SIGTERM) and waits; answers how long it took.
    ///
    /// # Errors
    /// It does not stop in time, or exits with another code than 0.
    pub fn stop(mut self, within: Duration) -> Result<Duration, DaemonError> {
        self.ensure_running()?;
        let started = Instant::now();
        self.signal(Signal::TERM)?;
        let status = self.wait_exit(within)?.ok_or(DaemonError::DidNotStop(within))?;
        if status.success() {
            Ok(started.elapsed())
        } else {
            Err(DaemonError::Unclean { status, log: self.last_log_lines(15) })
        }
    }

    /// Waits until it has ended by itself; none if it still runs when the time is up.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn wait_exit(&mut self, within: Duration) -> Result<Option<ExitStatus>, DaemonError> {
        let end = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < end => thread::sleep(ASK_EVERY),
                Ok(status) => return Ok(status),
                Err(source) => return Err(DaemonError::Io { what: "process", source }),
            }
        }
    }

    /// Everything it has logged, earlier starts into the same file included.
    pub fn log(&self) -> String {
        fs::read(&self.launch.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn last_log_lines(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that nobody listens on. Another process may take it before it is used; a test then fails loudly.
///
/// # Errors
/// The system has none left.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The daemon's program, built next to the program that asks: `target/debug/snowgate` for a test.
///
/// # Errors
/// It has not been built.
pub fn program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests are in target/debug/deps, programs in target/debug.
    let candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join("snowgate"));
    candidates.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        io::Error::other(format!("there is no snowgate next to {}: cargo build --package snowgate", own.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that ignores `run --config …` stands in where only the process matters.
    fn script(folder: &Path, body: &str) -> Launch {
        let program = folder.join("daemon");
        fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let admin = ([127, 0, 0, 1], 1).into();
        Launch { program, config: folder.to_owned(), admin, log: folder.join("log"), arguments: Vec::new() }
    }

    #[test]
    fn a_daemon_that_gives_up_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(script(folder.path(), "echo bad config; exit 78")).unwrap();
        let error = daemon.wait_ready(Duration::from_secs(10)).unwrap_err();
        assert!(
            matches!(&error, DaemonError::Ended { status, log } if status.code() == Some(78) && log == "bad config")
        );
    }

    #[test]
    fn a_daemon_that_does_not_stop_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let body = format!("trap '' TERM; touch {}; while :; do sleep 1; done", started.display());
        let daemon = Daemon::start(script(folder.path(), &body)).unwrap();
        while !started.exists() {
            thread::yield_now();
        }
        let error = daemon.stop(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, DaemonError::DidNotStop(_)), "{error}");
    }

    #[test]
    fn an_unclean_exit_is_told_from_a_clean_one() {
        for (body, clean) in [("exit 0", true), ("exit 3", false)] {
            let folder = tempfile::tempdir().unwrap();
            let started = folder.path().join("started");
            let body = format!("trap '{body}' TERM; touch {}; while :; do sleep 0.01; done", started.display());
            let daemon = Daemon::start(script(folder.path(), &body)).unwrap();
            while !started.exists() {
                thread::yield_now();
            }
            assert_eq!(daemon.stop(Duration::from_secs(10)).is_ok(), clean);
        }
    }
}
