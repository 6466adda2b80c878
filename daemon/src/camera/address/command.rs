//! A program that prints where a stream is.

use std::{
    io::Read,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{super::spec::CommandSource, MOST_ANSWERED, Unanswered, late, line, shown};
use crate::shutdown::Shutdown;

/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Where programs are looked for that it starts, where we were told nothing.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Runs it. What takes too long is killed, with all that it started.
pub(super) fn ask(source: &CommandSource, shutdown: &Shutdown) -> Result<String, Unanswered> {
    let failed = |why: String| Err(Unanswered::Failed(why));
    let Some((program, arguments)) = source.command.split_first() else {
        return failed("no program is named".to_owned());
    };
    let end = Instant::now() + source.timeout.0;
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = started.map_err(|error| Unanswered::Failed(error.to_string()))?;
    let (said, complained) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return failed(error.to_string()),
        }
        let stopping = shutdown.wait_for(LOOK);
        if stopping || Instant::now() >= end {
            kill(&mut child);
            return if stopping { Err(Unanswered::Stopping) } else { late(source.timeout.0) };
        }
    };
    // Something that it started may still hold its output open.
    let left = || end.saturating_duration_since(Instant::now()).max(LOOK);
    let Ok(said) = said.recv_timeout(left()) else {
        kill(&mut child);
        return late(source.timeout.0);
    };
    if !status.success() {
        let complained = complained.recv_timeout(LOOK).unwrap_or_default();
        return failed(format!("it ended with {status}: {}", shown(&String::from_utf8_lossy(&complained))));
    }
    if said.len() > MOST_ANSWERED {
        return failed(format!("the answer is longer than {MOST_ANSWERED} bytes"));
    }
    line(&String::from_utf8_lossy(&said)).map_err(Unanswered::Failed)
}

/// Kills it with its whole process group, and sees it off.
fn kill(child: &mut Child) {
    // It may have ended by itself in the meantime.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

/// What comes out of it, read on a thread that ends when nothing more can come: a program that fills one pipe while another
/// is read would wait for ever.
fn heard(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (tell, told) = mpsc::sync_channel(1);
    if let Some(pipe) = pipe {
        // Where there is no thread to be had nothing is heard, which is told as no answer.
        let _ = thread::Builder::new().name("address".into()).spawn(move || {
            let mut heard = Vec::new();
            // What came before an error is what was said.
            let _ = pipe.take(MOST_ANSWERED as u64 + 1).read_to_end(&mut heard);
            let _ = tell.send(heard);
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use snowgate_core::spec::{Located, TimeSpan};

    use super::*;

    fn asked(script: &str, timeout: TimeSpan, shutdown: &Shutdown) -> Result<String, String> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        match ask(&CommandSource { command: Located::nowhere(command), timeout }, shutdown) {
            Ok(address) => Ok(address),
            Err(Unanswered::Failed(why)) => Err(why),
            Err(Unanswered::Stopping) => Err("stopping".to_owned()),
        }
    }

    fn said(script: &str) -> Result<String, String> {
        asked(script, TimeSpan::secs(60), &Shutdown::new())
    }

    #[test]
    fn its_line_is_the_address() {
        assert_eq!(said("echo rtsp://10.0.0.7/live; echo busy >&2").unwrap(), "rtsp://10.0.0.7/live");
    }

    #[test]
    fn it_is_given_nothing_of_ours() {
        // Cargo sets this for every test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(said("echo \"x${CARGO_MANIFEST_DIR}\"; cat").unwrap(), "x");
    }

    #[test]
    fn its_failure_is_told_in_its_own_words() {
        let why = said("echo no such channel >&2; exit 3").unwrap_err();
        assert!(why.contains("exit status: 3") && why.ends_with("no such channel"), "{why}");
        let nothing =
            CommandSource { command: Located::nowhere(vec!["/nowhere".to_owned()]), timeout: TimeSpan::secs(1) };
        assert!(matches!(ask(&nothing, &Shutdown::new()), Err(Unanswered::Failed(_))));
    }

    #[test]
    fn its_output_is_bounded() {
        let why = said("head -c 1000000 /dev/zero | tr '\\0' x").unwrap_err();
        assert!(why.contains("longer than") || why.contains("it ended with"), "{why}");
    }

    #[test]
    fn one_that_takes_too_long_is_given_up() {
        assert_eq!(asked("sleep 1000", TimeSpan::secs(1), &Shutdown::new()).unwrap_err(), "no answer within 1 s");
        // Itself it has ended; what it started has not, and holds its output.
        assert_eq!(
            asked("sleep 1000 & exit", TimeSpan::secs(1), &Shutdown::new()).unwrap_err(),
            "no answer within 1 s"
        );
    }

    #[test]
    fn it_ends_at_the_shutdown_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        let shutdown = Shutdown::new();
        let asking = thread::spawn({
            let shutdown = shutdown.clone();
            move || asked(&script, TimeSpan::secs(600), &shutdown)
        });
        while !pid.exists() {
            assert!(!asking.is_finished());
            thread::sleep(LOOK);
        }
        let sleeper = std::fs::read_to_string(&pid).unwrap();
        shutdown.trigger();
        assert_eq!(asking.join().unwrap().unwrap_err(), "stopping");
        // Killed, it is gone at once, or a zombie until it is seen off.
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).ok()?;
            stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next())?
        };
        while state().is_some_and(|state| state != 'Z') {
            thread::yield_now();
        }
    }
}
