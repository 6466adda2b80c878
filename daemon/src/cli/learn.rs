//! `snowgate learn`: what is normal in a camera's scene, learnt in one go instead of by the daemon as days go by.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use snowgate_core::{ids::Id, spec::TimeSpan};

use super::{exit::Exit, log};
use crate::{
    camera::decode::Decoders,
    config::{CameraConfig, Config, Problems},
    learn::{Ended, LearnError, Pictures, Progress, Request, Told, learn},
    run::{
        models::{LoadedModels, preflight_with},
        on_signals,
    },
    shutdown::Shutdown,
    vision::scene::files::{SceneFileError, SceneFiles},
};

/// Arguments of `snowgate learn`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["for", "clips", "forget"])))]
pub struct Learn {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "/etc/snowgate")]
    config: PathBuf,
    /// Where state is kept, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The camera.
    #[arg(long, value_name = "ID")]
    camera: Id,
    /// Learn from its stream until the pictures span so much time, such as 24h; breaks do not count.
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    r#for: Option<TimeSpan>,
    /// Learn from these video files of it.
    #[arg(value_name = "CLIP")]
    clips: Vec<PathBuf>,
    /// How far apart the pictures are that are learnt from, instead of what the configuration says: short clips need less.
    #[arg(long, value_name = "TIME", conflicts_with = "forget", value_parser = some_time)]
    every: Option<TimeSpan>,
    /// Begin anew instead of going on where learning was interrupted, and replace what was learnt of another view.
    #[arg(long, conflicts_with = "forget")]
    restart: bool,
    /// Forget what was learnt, by the daemon as well, and what the camera normally shows: it was turned, and stays so.
    #[arg(long)]
    forget: bool,
}

/// A length of time that is more than none.
fn some_time(text: &str) -> Result<TimeSpan, String> {
    let time: TimeSpan = text.parse()?;
    if time.is_zero() { Err("must be more than 0s".to_owned()) } else { Ok(time) }
}

impl Learn {
    /// Learns, or forgets; [`Exit::Interrupted`] where it was stopped before its end.
    pub fn run(self) -> Exit {
        log::start(log::LogFormat::Text);
        let wrong = |problems: Problems| {
            eprint!("{}", problems.render(false));
            Exit::BadConfig
        };
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => return wrong(problems),
        };
        let Some(camera) = config.camera(&self.camera) else {
            eprintln!("snowgate: {}: {}", self.config.display(), config.no_camera(&self.camera));
            return Exit::BadConfig;
        };
        let files = SceneFiles::beneath(self.data.as_ref().unwrap_or(&config.data));
        if self.forget {
            return forget(camera, &files);
        }
        let scenes = [camera.scene_model.clone()].into();
        let (config, models, decoders) = match preflight_with(config, &scenes) {
            Ok(loaded) => loaded,
            Err(problems) => return wrong(problems),
        };
        // It was there a moment ago.
        let Some(camera) = config.camera(&self.camera) else { return Exit::BadConfig };
        if let Some(reason) = &camera.refused {
            eprintln!("snowgate: camera {} is refused: {reason}", camera.id);
            return Exit::BadConfig;
        }
        let learnt = self.learn(camera, &models, decoders, files);
        match learnt {
            Ok((Ended::Done, progress)) => {
                println!("learnt; a daemon that runs takes it within seconds. {}", in_words(&progress));
                Exit::Ok
            }
            Ok((Ended::Interrupted, progress)) => {
                println!("interrupted; the same command goes on from here. {}", in_words(&progress));
                Exit::Interrupted
            }
            Err(error) => {
                eprintln!("snowgate: {error}");
                if matches!(error, LearnError::Files(SceneFileError::Unusable { .. })) {
                    eprintln!("snowgate: --restart begins anew, and puts what is learnt in its place");
                }
                exit_of(&error)
            }
        }
    }

    fn learn(
        &self,
        camera: &CameraConfig,
        models: &LoadedModels,
        decoders: Decoders,
        files: SceneFiles,
    ) -> Result<(Ended, Progress), LearnError> {
        let shutdown = Shutdown::new();
        on_signals(shutdown.clone(), None)?;
        let pictures = match self.r#for {
            Some(time) => Pictures::Stream(time.0),
            None => Pictures::Clips(self.clips.clone()),
        };
        let (every, restart) = (self.every.map(|every| every.0), self.restart);
        learn(Request { camera, pictures, every, restart, models, decoders, files, shutdown }, &|told| match told {
            Told::Progress(progress) => println!("{}", in_words(progress)),
            Told::Camera(health) => match &health.fault {
                Some(fault) => println!("camera {}: {} ({fault})", health.camera, health.state),
                None => println!("camera {}: {}", health.camera, health.state),
            },
        })
    }
}

fn forget(camera: &CameraConfig, files: &SceneFiles) -> Exit {
    match files.lock(&camera.id).and_then(|_lock| files.forget(&camera.id)) {
        Ok(()) => {
            println!("forgotten; a daemon that runs begins anew within seconds, another one when it is started");
            Exit::Ok
        }
        Err(error) => {
            eprintln!("snowgate: {error}");
            exit_of_files(&error)
        }
    }
}

/// `1280 × 720, day: 720 pictures over 1h; infrared: 12 pictures over 55s, not enough yet`
fn in_words(progress: &Progress) -> String {
    let lights = progress.lights.iter().map(|light| {
        let known = if light.is_known { "" } else { ", not enough yet" };
        format!(
            "{}: {} pictures over {}{known}",
            light.light.as_str(),
            light.pictures,
            TimeSpan::secs(light.spanned.as_secs())
        )
    });
    let mut words: Vec<String> = lights.collect();
    if words.is_empty() {
        words.push("nothing learnt yet".to_owned());
    }
    if progress.resumed > 0 {
        words.push(format!("{} of them learnt before", progress.resumed));
    }
    if let Some(condition) = progress.last_unfit {
        words.push(format!("{} passed over, the last one because it was {}", progress.unfit, condition.as_str()));
    }
    let size = progress.size.map(|(width, height)| format!("{width} × {height}, ")).unwrap_or_default();
    format!("{size}{}", words.join("; "))
}

fn exit_of(error: &LearnError) -> Exit {
    match error {
        LearnError::NoModel(_) | LearnError::Model(_) => Exit::Unavailable,
        LearnError::NothingToLearn(_) => Exit::BadConfig,
        LearnError::Clip(_) | LearnError::Decode { .. } | LearnError::OtherSize { .. } | LearnError::TooFew { .. } => {
            Exit::BadData
        }
        LearnError::Files(error) => exit_of_files(error),
        LearnError::System(_) => Exit::Software,
    }
}

fn exit_of_files(error: &SceneFileError) -> Exit {
    match error {
        SceneFileError::Io { .. } | SceneFileError::TooLarge { .. } => Exit::Io,
        SceneFileError::Busy { .. } => Exit::Unavailable,
        SceneFileError::Damaged { .. } | SceneFileError::Unusable { .. } | SceneFileError::Begun { .. } => {
            Exit::BadData
        }
    }
}
