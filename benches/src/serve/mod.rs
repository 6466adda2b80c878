//! `scale serve`: many cameras in one cheap process.
//!
//! Real RTSP over TCP, as [`rtsp`] has it. Clips are loaded and packetised once; a picture costs a copy, a few patched
//! bytes and one `write` for each of its readers. Everything happens on one thread: cameras are always on, their pictures
//! spread evenly over time, and a reader begins at the next key frame. A reader that is too slow loses pictures, which is counted,
//! never hidden. The [`log`](self::log) says when each event of a clip was really shown.

mod camera;
mod clip;
mod log;
mod packets;
mod plan;
mod reader;
mod rtsp;
mod server;
#[cfg(test)]
mod tests;
mod time;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, mpsc},
};

use self::{plan::Plan, server::Server};

/// Commands that may wait.
const COMMANDS_AHEAD: usize = 64;
/// The longest command, bytes.
const COMMAND_LIMIT: u64 = 4096;

/// `scale serve`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to serve, JSON.
    #[arg(long)]
    plan: PathBuf,
    /// Where to write what was served and when, JSON lines.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Where the plan's clips are.
    #[arg(long, default_value = "assets/scale")]
    media: PathBuf,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The plan asks for what cannot be.
    #[error("{}: {what}", .path.display())]
    Plan {
        /// The plan.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A clip cannot be served.
    #[error("{}: {what}", .path.display())]
    Clip {
        /// The clip.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system refuses something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Serves until SIGTERM or Ctrl-C. Prints one line when it is ready, `{"listening": PORT}`, then obeys lines of standard input:
/// `{"camera": NAME, "clip": CLIP}` and `{"all": CLIP}` switch clips.
///
/// # Errors
/// The plan or a clip is unfit, or the system refuses a socket or the log.
pub fn run(arguments: &Arguments) -> Result<(), ServeError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| ServeError::System("signals", error))?;
    }
    let plan = Plan::read(&arguments.plan)?;
    let mut log: Box<dyn Write> = match &arguments.log {
        Some(path) => Box::new(create(path)?),
        None => Box::new(std::io::sink()),
    };
    let mut server = Server::new(&plan, &arguments.media)?;
    let mut out = std::io::stdout();
    writeln!(out, "{{\"listening\": {}}}", server.port())
        .and_then(|()| out.flush())
        .map_err(|error| ServeError::System("standard output", error))?;
    server.serve(&commands(), &stop, log.as_mut())
}

fn create(path: &Path) -> Result<File, ServeError> {
    File::create(path).map_err(|error| ServeError::File { path: path.to_owned(), error })
}

/// The commands of standard input, read by a thread that ends with the process.
fn commands() -> mpsc::Receiver<plan::Command> {
    let (sender, receiver) = mpsc::sync_channel(COMMANDS_AHEAD);
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        let mut line = String::new();
        while input.by_ref().take(COMMAND_LIMIT).read_line(&mut line).is_ok_and(|count| count > 0) {
            match serde_json::from_str(&line) {
                Ok(command) => {
                    if sender.send(command).is_err() {
                        return;
                    }
                }
                Err(error) => eprintln!("scale: not a command: {error}"),
            }
            line.clear();
        }
    });
    receiver
}
