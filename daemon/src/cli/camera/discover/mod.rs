//! `snowgate camera discover`: which ONVIF cameras there are, and a file for each to fill in.

mod cameras;
mod host;
mod print;
mod remedy;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;
use snowgate_core::{secret::Secret, spec::TimeSpan};

use self::{cameras::CameraFile, host::Host};
use super::{
    super::{Format, exit::Exit, print_json},
    login::Login,
    span,
};
use crate::camera::onvif::{
    Credentials, MOST_DEVICES, Target,
    device::Device,
    discovery::{Asked, discover},
    interfaces::{Interface, interfaces},
    survey,
};

/// The longest that answers are waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// Arguments of `snowgate camera discover`.
#[derive(Debug, Args)]
pub struct Discover {
    /// Ask on this interface, named by the system's name or by its address; may be repeated. Without it, on each that is for multicast.
    #[arg(long, value_name = "NAME|ADDRESS")]
    interface: Vec<String>,
    /// Ask the device at this address, where multicast does not pass: in another network, behind a router; may be repeated.
    #[arg(long, value_name = "[https://]ADDRESS[:PORT]", conflicts_with = "interface")]
    host: Vec<Host>,
    /// How long to wait for answers, up to 1m.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = |text: &str| span(text, LONGEST))]
    r#for: TimeSpan,
    #[command(flatten)]
    login: Login,
    /// Do not look at the certificates of devices that speak HTTPS: most sign their own.
    #[arg(long)]
    insecure: bool,
    /// Write the camera files into this directory, each as ID.toml; a file that is there is never changed.
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// All that was found.
#[derive(Serialize)]
struct Report {
    /// Where was asked by multicast.
    interfaces: Vec<Asked>,
    /// By address.
    devices: Vec<Reported>,
}

/// A device, and what to do with it.
#[derive(Serialize)]
struct Reported {
    #[serde(flatten)]
    device: Device,
    remedy: Option<&'static str>,
    cameras: Vec<CameraFile>,
}

impl Discover {
    /// Searches, asks and prints.
    pub fn run(self) -> Exit {
        let password = match self.login.password() {
            Ok(password) => password,
            Err(exit) => return exit,
        };
        let (interfaces, targets) = match self.targets() {
            Ok(found) => found,
            Err(exit) => return exit,
        };
        if targets.len() > MOST_DEVICES {
            eprintln!("snowgate: these are {} devices, of which {MOST_DEVICES} are asked", targets.len());
        }
        let credentials = self.login.username.clone().map(|username| Credentials {
            username,
            // As for RTSP: a user without a password has an empty one.
            password: password.unwrap_or_else(|| Secret::from(String::new())),
        });
        let devices = survey(&targets, credentials.as_ref(), self.insecure);
        let mut report = Report { interfaces, devices: cameras::with_files(devices, &self.login) };
        let written = self.to.as_deref().map_or(Ok(()), |directory| cameras::write(&mut report.devices, directory));
        let printed = match self.format {
            Format::Json => print_json(&report),
            Format::Human => print::print(&report),
        };
        print::faults(&report.interfaces);
        if report.devices.is_empty() {
            print::nothing_found(&report.interfaces);
        }
        if let Err(error) = &written {
            eprintln!("snowgate: {error}");
        }
        if printed.is_err() || written.is_err() { Exit::Io } else { exit(&report.devices) }
    }

    /// Where was asked by multicast, and what there is to talk with.
    fn targets(&self) -> Result<(Vec<Asked>, Vec<Target>), Exit> {
        if !self.host.is_empty() {
            return Ok((Vec::new(), self.host.iter().map(Host::target).collect()));
        }
        let on = self.interfaces()?;
        let (asked, found) = discover(&on, self.r#for.0);
        Ok((asked, found.into_iter().map(Target::from).collect()))
    }

    fn interfaces(&self) -> Result<Vec<Interface>, Exit> {
        let all = interfaces().map_err(|error| {
            eprintln!("snowgate: the network interfaces cannot be listed: {error}");
            Exit::Unavailable
        })?;
        if self.interface.is_empty() {
            let on: Vec<_> = all.into_iter().filter(|one| one.is_for_multicast).collect();
            if on.is_empty() {
                eprintln!(
                    "snowgate: no network interface is up that is for multicast and has an IPv4 address: check cable and \
                     address, name one with --interface, or ask devices with --host"
                );
                return Err(Exit::Unavailable);
            }
            return Ok(on);
        }
        let named = |one: &Interface, word: &str| one.name == word || one.address.to_string() == word;
        if let Some(unknown) = self.interface.iter().find(|word| !all.iter().any(|one| named(one, word))) {
            let there: Vec<_> = all.iter().map(|one| format!("{} ({})", one.name, one.address)).collect();
            eprintln!("snowgate: no interface {unknown:?} is up with an IPv4 address; there are {}", there.join(", "));
            return Err(Exit::Usage);
        }
        Ok(all.into_iter().filter(|one| self.interface.iter().any(|word| named(one, word))).collect())
    }
}

/// Well if there is a camera to configure; else as the first device's fault says.
fn exit(devices: &[Reported]) -> Exit {
    if devices.iter().any(|reported| !reported.cameras.is_empty()) {
        return Exit::Ok;
    }
    match devices.first() {
        None => Exit::Unavailable,
        Some(reported) => reported.device.fault.as_ref().map_or(Exit::BadData, remedy::exit),
    }
}
