//! `snowgate camera still`: what a configured camera shows, with a grid to draw zones by.
//!
//! The picture is covered as those of incidents are, and who looked stands in the access log before there is a file.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, Read as _},
    path::{self, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use snowgate_core::{
    ids::Id,
    incidents::command::{Reason, Who},
    secret::Secret,
    time::{Clock, Stamp},
};

use super::{
    super::{
        Format,
        evidence::{Place, account, check_account},
        exit::Exit,
        print_json,
    },
    drawing::{Drawing, Logged, Report, overlay},
    fault::{Said, exit, remedy},
};
use crate::{
    camera::{
        decode::{DecodeError, Decoders},
        observe::{Observed, observe},
        picture::Picture,
        spec::StreamRole,
    },
    clock::SystemClock,
    config::{CameraConfig, secret_file},
    durable::replace_readable_file,
    evidence::{
        access_log::{Access, AccessLog, AccessedFile, Action},
        still::StillError,
    },
    run::models::still_maker,
};

/// How long the stream is watched from its first key frame on: for one that can be decoded where the first cannot.
const WATCHED: Duration = Duration::from_secs(2);
/// How every JPEG file begins (ITU-T T.81, SOI and the first byte of the next marker).
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// Arguments of `snowgate camera still`.
#[derive(Debug, Args)]
pub struct Still {
    /// The camera.
    #[arg(value_name = "ID")]
    camera: Id,
    /// Draw a grid of tenths, and the zones, lines, masks and ways of the camera's file.
    #[arg(long)]
    grid: bool,
    /// Which of the camera's streams; where it has one, that one.
    #[arg(long, value_enum, default_value = "detect")]
    stream: Role,
    #[command(flatten)]
    place: Place,
    /// The JPEG file to write; an earlier picture there is replaced. ID.jpg in the current directory if left out.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Who looks, for the access log: at most 64 characters; the account that you have logged in with if left out.
    #[arg(long, value_name = "NAME")]
    who: Option<Who>,
    /// Why, for the access log: at most 200 characters.
    #[arg(long, value_name = "TEXT", default_value = "to set the camera up")]
    why: Reason,
    /// How to print what the picture holds.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Detect,
    Record,
}

impl Still {
    /// Takes the picture and prints what it holds.
    pub fn run(self) -> Exit {
        self.take().err().unwrap_or(Exit::Ok)
    }

    fn take(&self) -> Result<(), Exit> {
        let (config, data) = self.place.load()?;
        let Some(camera) = config.camera(&self.camera) else {
            return Err(told(&config.no_camera(&self.camera), Exit::BadConfig));
        };
        if let Some(reason) = &camera.refused {
            return Err(told(&format!("camera {} is refused: {reason}", camera.id), Exit::BadConfig));
        }
        let file = self.file()?;
        let who = self.who()?;
        let log = self.log(&data)?;
        // Before anybody knocks at the camera.
        let mut maker = still_maker(&config)
            .map_err(|error| told(&format!("faces and heads cannot be covered: {error}"), Exit::Unavailable))?;
        let decoders = Decoders::find(config.decoders.backend).map_err(|error| told(&error, Exit::Unavailable))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::trusting(config.gateway.trust_clock));
        let (role, picture) = self.picture(camera, decoders, &clock)?;
        let overlay = overlay(camera);
        let drawn = self.grid.then_some(&overlay);
        let still = maker.view(&Arc::new(picture), &camera.masks, drawn).map_err(|error| {
            let exit = match error {
                StillError::Cover(_) => Exit::Unavailable,
                StillError::Canvas(_) => Exit::BadData,
            };
            told(&format!("there is no picture: {error}"), exit)
        })?;
        let access = self.access(&who, &file, &still.sha256);
        if let Some(log) = &log {
            log.write(&access, &Stamp::now(&*clock)).map_err(|error| told(&error, Exit::Io))?;
        }
        replace_readable_file(&file, &[&still.jpeg])
            .map_err(|error| told(&format!("{}: {error}", file.display()), Exit::Io))?;
        let report = Report {
            camera: &camera.id,
            stream: role.as_str(),
            file: &file,
            width: still.width,
            height: still.height,
            faces_covered: still.faces_covered,
            heads_covered: still.heads_covered,
            access_log: log.as_ref().map(|_| Logged { directory: &data, by: &access.by, reason: &access.reason }),
            not_logged: log.is_none().then(|| format!("{} is not there: the daemon has not run yet", data.display())),
            drawing: Drawing::new(&overlay, &camera.masks),
        };
        let printed = match self.format {
            Format::Json => print_json(&report),
            Format::Human => report.print(),
        };
        printed.map_err(|_| Exit::Io)
    }

    /// Where the picture goes. What is there and is no picture stays.
    fn file(&self) -> Result<PathBuf, Exit> {
        let name = self.to.clone().unwrap_or_else(|| format!("{}.jpg", self.camera).into());
        let file = path::absolute(&name).map_err(|error| told(&format!("{}: {error}", name.display()), Exit::Usage))?;
        let elsewhere =
            |what: &dyn Display, exit| told(&format!("{}: {what}; name another file with --to", file.display()), exit);
        match is_replaceable(&file) {
            Ok(true) => {}
            Ok(false) => return Err(elsewhere(&"it is no picture, and stays as it is", Exit::Usage)),
            Err(error) => return Err(elsewhere(&error, Exit::Io)),
        }
        // Told now, and not after somebody stands in the log who has seen nothing.
        let folder = file.parent().unwrap_or(&file);
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
            .map_err(|error| elsewhere(&io::Error::from(error), Exit::Io))?;
        Ok(file)
    }

    /// Who looks: as they say, or else who has logged in.
    fn who(&self) -> Result<Who, Exit> {
        if let Some(who) = &self.who {
            return Ok(who.clone());
        }
        let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
        let name = named.into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
        name.parse().map_err(|error| told(&format!("your account's name: {error}; say --who"), Exit::Usage))
    }

    /// The access log; none where the daemon has not run yet.
    fn log(&self, data: &Path) -> Result<Option<AccessLog>, Exit> {
        if fs::metadata(data).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        check_account(data).inspect_err(|_| {
            let (camera, grid) = (&self.camera, if self.grid { " --grid" } else { "" });
            eprintln!("snowgate: sudo -u snowgate snowgate camera still {camera}{grid} --to /tmp/{camera}.jpg");
        })?;
        AccessLog::open(data).map(Some).map_err(|error| told(&error, Exit::Io))
    }

    fn access(&self, who: &Who, file: &Path, sha256: &str) -> Access {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Access {
            action: Action::Look,
            incident: None,
            camera: Some(self.camera.clone()),
            command: None,
            by: who.as_str().to_owned(),
            unit: None,
            reason: self.why.as_str().to_owned(),
            account: account(),
            files: vec![AccessedFile { name, sha256: sha256.to_owned() }],
            granted: true,
            refusal: None,
        }
    }

    /// A picture of the camera, and which of its streams it is from.
    fn picture(
        &self,
        camera: &CameraConfig,
        decoders: Decoders,
        clock: &Arc<dyn Clock>,
    ) -> Result<(StreamRole, Picture), Exit> {
        let wanted = if matches!(self.stream, Role::Record) { StreamRole::Record } else { StreamRole::Detect };
        let wanted = camera.streams.iter().find(|(role, _)| *role == wanted);
        let (role, address) = wanted.unwrap_or((StreamRole::Detect, &camera.streams.watched));
        let password = password(camera, self.place.config())?;
        let observed = observe(&camera.id, address, &camera.stream, password.as_ref(), WATCHED, clock);
        let observed = observed.map_err(|end| {
            let (fault, remedy) = (&end.fault, remedy(&end.fault, Said::File));
            told(&format!("camera {}: there is no picture: {fault}; {remedy}", camera.id), exit(fault))
        })?;
        match show(decoders, &observed) {
            Ok(Some(picture)) => Ok((role, picture)),
            Ok(None) => {
                let said = format!(
                    "camera {}: none of {} pictures of {} could be decoded; try again, or look at what snowgate camera probe says",
                    camera.id,
                    observed.pictures.len(),
                    observed.format.codec
                );
                Err(told(&said, Exit::BadData))
            }
            Err(error) => Err(told(&error, Exit::Unavailable)),
        }
    }
}

/// Whether a file may be written there: there is none, an empty one or an earlier picture.
fn is_replaceable(file: &Path) -> io::Result<bool> {
    let metadata = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        metadata => metadata?,
    };
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(metadata.is_file());
    }
    let mut begins = Vec::new();
    File::open(file)?.take(JPEG.len() as u64).read_to_end(&mut begins)?;
    Ok(begins == JPEG)
}

/// The camera's password; of one that is switched off nobody has read it yet.
fn password(camera: &CameraConfig, config: &Path) -> Result<Option<Secret>, Exit> {
    match &*camera.stream.password_file {
        Some(reference) if camera.password.is_none() => match secret_file::read(reference, config) {
            Ok(read) => Ok(Some(read.secret)),
            Err(error) => Err(told(&error, Exit::BadConfig)),
        },
        _ => Ok(camera.password.clone()),
    }
}

/// The first key frame that shows a picture by itself, or else the last picture of all: of streams without whole key frames
/// it has recovered by then. None where nothing can be decoded.
fn show(decoders: Decoders, observed: &Observed) -> Result<Option<Picture>, DecodeError> {
    let mut decoder = decoders.open(observed.format.codec)?;
    for unit in observed.encoded.iter().filter(|unit| unit.key) {
        match decoder.look(unit) {
            Ok(None) | Err(DecodeError::Damaged { .. } | DecodeError::Late { .. }) => {}
            shown => return shown,
        }
    }
    let mut last = None;
    for unit in &observed.encoded {
        match decoder.decode(unit, &mut |picture| last = Some(picture)) {
            Ok(()) | Err(DecodeError::Damaged { .. } | DecodeError::Late { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match decoder.drain(&mut |picture| last = Some(picture)) {
        Ok(()) | Err(DecodeError::Damaged { .. } | DecodeError::Late { .. }) => Ok(last),
        Err(error) => Err(error),
    }
}

/// Prints why something cannot be done.
fn told(what: &dyn Display, exit: Exit) -> Exit {
    eprintln!("snowgate: {what}");
    exit
}
