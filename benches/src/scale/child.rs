//! Children of the harness: started, listened to with a deadline, ended with the harness.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use super::{error::ScaleError, patience::Patience};

/// The most bytes kept of what a child writes to its standard error.
const LAST_WORDS: usize = 4 << 10;
/// A child that does not heed SIGTERM for so long is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Its last words are waited for so long.
const WORDS_WITHIN: Duration = Duration::from_millis(500);

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    /// Starts a program; its standard output is read by lines.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, ScaleError> {
        let program = describe(command);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| ScaleError::Child {
            program: program.clone(),
            what: format!("cannot be started: {error}"),
        })?;
        let (line, lines) = channel();
        if let Some(output) = child.stdout.take() {
            let read =
                move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|text| line.send(text));
            thread::spawn(read);
        }
        let (said, errors) = channel();
        if let Some(output) = child.stderr.take() {
            thread::spawn(move || said.send(last_words(output)));
        }
        Ok(Self { program, child, lines, errors })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, once, if it was piped.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The next line that it writes, as JSON.
    ///
    /// # Errors
    /// It says nothing in time, ends, or says something else.
    pub fn answer<T: DeserializeOwned>(&mut self, within: Duration, patience: &Patience) -> Result<T, ScaleError> {
        let end = Instant::now() + within;
        let line = loop {
            patience.check()?;
            match self.lines.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Disconnected) => {
                    let what = format!("ended without an answer: {}", self.words());
                    return Err(self.failed(what));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= end => {
                    let what = format!("an answer of {}", self.program);
                    return Err(ScaleError::Deadline { what, within, detail: None });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        serde_json::from_str(&line).map_err(|error| self.failed(format!("said {line:?}, which is no answer: {error}")))
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It has ended.
    pub fn ensure_running(&mut self) -> Result<(), ScaleError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let what = format!("ended by itself ({status}): {}", self.words());
                Err(self.failed(what))
            }
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    /// Asks it to end (SIGTERM); kills it if it does not.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        // Fails if it has ended already, which is what was wanted.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let end = Instant::now() + STOP_WITHIN;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    fn words(&mut self) -> String {
        let words = self.errors.recv_timeout(WORDS_WITHIN).unwrap_or_default();
        if words.is_empty() { "it said nothing".to_owned() } else { words }
    }

    fn failed(&self, what: String) -> ScaleError {
        ScaleError::Child { program: self.program.clone(), what }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; its first line is its answer.
///
/// # Errors
/// It cannot be started, does not answer in time, or answers something else.
pub fn ask<T: DeserializeOwned>(command: &mut Command, within: Duration, patience: &Patience) -> Result<T, ScaleError> {
    Running::start(command.stdin(Stdio::null()))?.answer(within, patience)
}

/// A command that is this program once more.
///
/// # Errors
/// The system does not say where this program is.
pub fn this_program() -> Result<Command, ScaleError> {
    std::env::current_exe().map(Command::new).map_err(ScaleError::system("own program"))
}

/// A program by its file name and its first argument.
fn describe(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_string_lossy();
    let arguments: Vec<_> = command.get_args().take(2).map(|argument| argument.to_string_lossy()).collect();
    format!("{name} {}", arguments.join(" ")).trim_end().to_owned()
}

fn last_words(mut output: impl Read) -> String {
    let mut all: Vec<u8> = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = output.read(&mut chunk) {
        all.extend_from_slice(&chunk[..read]);
        let surplus = all.len().saturating_sub(LAST_WORDS);
        all.drain(..surplus);
    }
    String::from_utf8_lossy(&all).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_answer_is_one_line_of_json() {
        let answer: Vec<u32> = ask(&mut shell("echo '[1,2]'"), Duration::from_secs(20), &Patience::default()).unwrap();
        assert_eq!(answer, [1, 2]);
    }

    #[test]
    fn a_child_that_fails_is_quoted() {
        let asked = ask::<u32>(&mut shell("echo no camera >&2; exit 3"), Duration::from_secs(20), &Patience::default());
        let error = asked.unwrap_err().to_string();
        assert!(error.contains("no camera"), "{error}");
    }

    #[test]
    fn a_child_that_hangs_hangs_nobody_else() {
        let asked = ask::<u32>(&mut shell("exec sleep 600"), Duration::from_millis(100), &Patience::default());
        assert!(matches!(asked, Err(ScaleError::Deadline { .. })));
    }
}
