//! A camera for tests that are no Rust: plays a clip over RTSP on loopback, for ever, until it is killed.

use std::{path::PathBuf, process::ExitCode, thread};

use clap::Parser;
use snowgate_tests::rtsp::RtspServer;

/// Plays a clip over RTSP, in real time and for ever.
#[derive(Debug, Parser)]
#[command(name = "camera")]
struct Arguments {
    /// The loopback port.
    #[arg(long)]
    port: u16,
    /// Where it is mounted, with a slash first.
    #[arg(long)]
    mount: String,
    /// An MP4 file with H.264 or H.265.
    clip: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { port, mount, clip } = Arguments::parse();
    let server = match RtspServer::start_at(port) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("camera: cannot listen on 127.0.0.1:{port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    server.loop_file(&mount, &clip);
    println!("{}", server.url(&mount));
    loop {
        thread::park();
    }
}
