//! The command line: one file a subcommand, each with its arguments and its `run`.

pub mod camera;
pub mod cameras;
pub mod check;
mod clips;
pub mod compare;
pub mod evidence;
pub mod exit;
mod init;
pub mod learn;
pub mod log;
pub mod manual;
pub mod models;
pub mod outbox;
pub mod replay;
pub mod run;
pub mod schema;
mod state;
pub mod suggest;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

use self::exit::Exit;
use crate::{config::Config, signing::PublicKey};

/// Declares the subcommands: a line `module::Arguments` each, with the text that help shows.
macro_rules! commands {
    ($($(#[$attribute:meta])* $module:ident::$Command:ident,)*) => {
        #[derive(Debug, Subcommand)]
        enum Command { $($(#[$attribute])* $Command($module::$Command),)* }

        impl Command {
            fn run(self) -> Exit {
                match self { $(Self::$Command(command) => command.run(),)* }
            }
        }
    };
}

commands! {
    /// Watch the cameras and listen to the sensors until SIGTERM or SIGINT.
    run::Run,
    /// Run a video file, or a directory of them, through a camera's zones and rules.
    replay::Replay,
    /// Run video files under two configurations, and show in what these differ.
    compare::Compare,
    /// Say which rules raise false alarms, and which thresholds would have kept them away.
    suggest::Suggest,
    /// Learn what is normal in a camera's scene, from its stream or from clips of it.
    learn::Learn,
    /// List the models, or verify that they work.
    models::Models,
    /// Say what waits for the broker.
    outbox::Outbox,
    /// List, verify, export and hold the evidence of incidents.
    evidence::Evidence,
    /// Take all state of this box into a file, for the box that takes its place.
    state::ExportState,
    /// Put the state of a box that was swapped, or a backup, into this one.
    state::ImportState,
    /// Write a configuration that works, from a few answers.
    init::Init,
    /// Find cameras, probe a stream, or take a covered picture to draw zones by.
    camera::Camera,
    /// List the cameras, with what is stated of them for the filing.
    cameras::Cameras,
    /// Say whether a configuration is valid, and what is wrong with it.
    check::Check,
    /// Print the schemas of the configuration files, or of the MQTT messages.
    schema::Schema,
    /// Write the man pages and the shells' completions into a directory, for a package.
    #[command(hide = true)]
    manual::Manual,
}

/// Watches a township's cameras and sensors and reports incidents over MQTT.
#[derive(Debug, Parser)]
#[command(name = "snowgate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// Prints what a machine may read: one indented JSON value.
fn print_json(value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Reads a configuration; what is wrong with one that cannot be used is printed.
fn load(directory: &Path) -> Result<Config, Exit> {
    Config::load(directory).map_err(|problems| {
        eprint!("{}", problems.render(false));
        Exit::BadConfig
    })
}

/// Reads a public key, PEM; what is wrong with it is printed.
fn read_public_key(path: &Path) -> Result<PublicKey, Exit> {
    let pem = fs::read(path).map_err(|error| told(path, &error, Exit::Io))?;
    PublicKey::from_pem(&pem).map_err(|error| told(path, &error, Exit::BadData))
}

/// Prints what is wrong with a file.
fn told(path: &Path, error: &dyn std::error::Error, exit: Exit) -> Exit {
    eprintln!("snowgate: {}: {error}", path.display());
    exit
}

/// Runs the command that `arguments` (the program's name first) ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command.run(),
        Err(error) => {
            // Help and version are asked for; everything else clap has to say is about a wrong command line.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            exit
        }
    }
}
