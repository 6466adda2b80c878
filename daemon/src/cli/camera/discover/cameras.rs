//! The camera files of what was found: how they are called, what stands in them, and putting them into a directory.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, ErrorKind, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;
use snowgate_core::ids::Id;

use super::{
    super::{
        file::{Reached, Rules, camera_file},
        login::Login,
    },
    Reported,
    remedy::remedy,
};
use crate::camera::{
    onvif::{
        choice::{Choice, choose},
        device::{Device, Profile},
    },
    spec::Transport,
};

/// The most characters of a model in an id: an id has 64, and addresses take most of the rest.
const MODEL: usize = 20;

/// A camera file.
#[derive(Debug, Serialize)]
pub struct CameraFile {
    /// The camera's id.
    pub id: Id,
    /// The profile to watch, by its token.
    pub detect: String,
    /// The profile to keep, where it is another.
    pub record: Option<String>,
    /// The file.
    pub camera_file: String,
    /// Where it was written, if it was.
    pub written: Option<PathBuf>,
    /// Why it was not, if it should have been.
    pub kept: Option<&'static str>,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {error}", path.display())]
pub struct WriteError {
    path: PathBuf,
    error: io::Error,
}

/// Each device with a file for every camera of it; ids are unique.
pub fn with_files(devices: Vec<Device>, login: &Login) -> Vec<Reported> {
    let mut ids = BTreeSet::new();
    let password_file = login.absolute_password_file();
    let mut reported = Vec::new();
    for device in devices {
        let mut cameras = Vec::new();
        for choice in choose(&device.profiles) {
            let Some((detect, url)) = stream(&device, choice.detect) else { continue };
            let record = choice.record.and_then(|index| stream(&device, index));
            let Some(id) = unique(&name(&device, &choice), &mut ids) else { continue };
            let reached = Reached {
                id: &id,
                name: device.name.as_deref(),
                grid: None,
                detect: url,
                record: record.map(|(_, url)| url),
                username: login.username.as_deref(),
                password_file: password_file.as_deref(),
                transport: Transport::Tcp,
            };
            cameras.push(CameraFile {
                camera_file: camera_file(&reached, None, Rules::Shown),
                detect: detect.token.clone(),
                record: record.map(|(record, _)| record.token.clone()),
                written: None,
                kept: None,
                id,
            });
        }
        reported.push(Reported { remedy: device.fault.as_ref().map(remedy), device, cameras });
    }
    reported
}

fn stream(device: &Device, index: usize) -> Option<(&Profile, &str)> {
    let profile = device.profiles.get(index)?;
    Some((profile, &profile.uri.as_ref()?.url))
}

/// Model, or name, and address; with the port where it is not the usual one, and the source where there are several.
fn name(device: &Device, choice: &Choice) -> String {
    let words = [device.information.model.as_deref(), device.name.as_deref()];
    let called = words.into_iter().flatten().map(slug).find(|word| !word.is_empty());
    let address = match device.host {
        IpAddr::V4(host) => host.to_string().replace('.', "-"),
        IpAddr::V6(host) => slug(&host.to_string()),
    };
    let authority = device.service.as_deref().and_then(|service| service.split('/').nth(2)).unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let source = choice.source.map(|source| source.to_string());
    let parts = [Some(called.as_deref().unwrap_or("camera")), Some(&address), port, source.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("-")
}

/// What of a text an id may have.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let text = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    text.chars().take(MODEL).collect::<String>().trim_end_matches('-').to_owned()
}

/// An id that is not taken yet.
fn unique(name: &str, ids: &mut BTreeSet<Id>) -> Option<Id> {
    let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
    let mut free = std::iter::once(name.to_owned()).chain(numbered).map(|name| name.parse::<Id>());
    // One that is no id stays none with a number.
    let id = free.find(|id| id.as_ref().is_ok_and(|id| !ids.contains(id)) || id.is_err())?.ok()?;
    ids.insert(id.clone());
    Some(id)
}

/// Writes each camera file that is not there yet.
///
/// # Errors
/// The first one that could not be; those after it are not written.
pub fn write(reported: &mut [Reported], directory: &Path) -> Result<(), WriteError> {
    for camera in reported.iter_mut().flat_map(|reported| &mut reported.cameras) {
        let path = directory.join(format!("{}.toml", camera.id));
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        match created.and_then(|mut file| file.write_all(camera.camera_file.as_bytes())) {
            Ok(()) => camera.written = Some(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                camera.kept = Some("a file of this name is there, and was not changed");
            }
            Err(error) => return Err(WriteError { path, error }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn models_become_ids() {
        assert_eq!(slug("DS-2CD2043G0-I (2.8mm)"), "ds-2cd2043g0-i-2-8mm");
        assert_eq!(slug("枪机"), "");
        let mut ids = BTreeSet::new();
        let ids: Vec<_> = (0..3).filter_map(|_| unique("a-10-0-0-7", &mut ids)).map(|id| id.to_string()).collect();
        assert_eq!(ids, ["a-10-0-0-7", "a-10-0-0-7-2", "a-10-0-0-7-3"]);
        assert_eq!(unique("-", &mut BTreeSet::new()), None);
    }

    proptest! {
        #[test]
        fn any_model_becomes_an_id(model in any::<String>()) {
            let word = slug(&model);
            let word = if word.is_empty() { "camera".to_owned() } else { word };
            // The longest address, port and source there are.
            let name = format!("{word}-{}-65535-192", slug("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
            prop_assert!(unique(&name, &mut BTreeSet::new()).is_some(), "{name}");
        }
    }
}
