//! What is asked for: the plan file, and commands while it runs.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::ServeError;

/// The most cameras one process plays.
const MOST_CAMERAS: usize = 1024;

/// The plan file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The cameras.
    pub cameras: Vec<CameraPlan>,
    /// Clips to load beside those the cameras play: commands may ask for them later, and loading would hold up everything.
    #[serde(default)]
    pub standby: Vec<String>,
}

/// One camera.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraPlan {
    /// The path of its URL.
    pub name: String,
    /// The clip it plays, if it plays only one.
    #[serde(default)]
    clip: Option<String>,
    /// The clips it plays one after the other.
    #[serde(default)]
    clips: Vec<Turn>,
    /// How far into its clip it starts, seconds.
    #[serde(default)]
    pub offset_s: f64,
}

/// A part of a camera's schedule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// A clip's name in the media folder, or the path of an MP4 file.
    pub clip: String,
    /// Until when, seconds after the server began; the last one may leave it out.
    #[serde(default)]
    pub until_s: Option<f64>,
}

impl Plan {
    /// Reads the plan file and checks it.
    ///
    /// # Errors
    /// It cannot be read, is no plan, or asks for what cannot be.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read(path).map_err(|error| ServeError::File { path: path.to_owned(), error })?;
        let plan: Self = serde_json::from_slice(&text)
            .map_err(|error| ServeError::Plan { path: path.to_owned(), what: error.to_string() })?;
        plan.check().map_err(|what| ServeError::Plan { path: path.to_owned(), what })?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        if self.cameras.is_empty() || self.cameras.len() > MOST_CAMERAS {
            return Err(format!("1 to {MOST_CAMERAS} cameras, not {}", self.cameras.len()));
        }
        let mut names = HashSet::new();
        for camera in &self.cameras {
            let name = &camera.name;
            let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
            if name.is_empty() || !name.bytes().all(legal) {
                return Err(format!("{name:?} cannot be part of a URL: letters, digits, '-', '_', '.'"));
            }
            if !names.insert(name) {
                return Err(format!("two cameras are called {name}"));
            }
            if camera.clip.is_some() != camera.clips.is_empty() {
                return Err(format!("{name} needs either `clip` or `clips`"));
            }
            let seconds = camera.clips.iter().filter_map(|turn| turn.until_s).chain([camera.offset_s]);
            if seconds.into_iter().any(|seconds| Duration::try_from_secs_f64(seconds).is_err()) {
                return Err(format!("{name}: times are seconds, from 0"));
            }
        }
        Ok(())
    }
}

impl CameraPlan {
    /// What it plays, in order; at least one.
    pub fn turns(&self) -> Vec<Turn> {
        let only = self.clip.iter().map(|clip| Turn { clip: clip.clone(), until_s: None });
        only.chain(self.clips.iter().cloned()).collect()
    }
}

/// The file of the clip called `name`: itself if it is a path of an MP4 file, else `name`.mp4 in `media`.
pub fn clip_file(media: &Path, name: &str) -> PathBuf {
    if Path::new(name).extension().is_some_and(|kind| kind == "mp4") {
        PathBuf::from(name)
    } else {
        media.join(format!("{name}.mp4"))
    }
}

/// A line on standard input.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Command {
    /// Every camera plays this clip from its next key frame.
    All {
        /// The clip's name.
        all: String,
    },
    /// One camera does.
    One {
        /// Which.
        camera: String,
        /// The clip's name.
        clip: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(cameras: &str) -> Result<(), String> {
        let plan: Plan = serde_json::from_str(&format!(r#"{{"listen": "127.0.0.1:0", "cameras": [{cameras}]}}"#))
            .map_err(|error| error.to_string())?;
        plan.check()
    }

    #[test]
    fn a_plan_says_what_each_camera_plays() {
        assert_eq!(
            checked(
                r#"{"name": "a", "clip": "x", "offset_s": 13.2}, {"name": "b", "clips": [{"clip": "x", "until_s": 5}, {"clip": "y"}]}"#
            ),
            Ok(())
        );
        for (wrong, says) in [
            ("", "1 to 1024"),
            (r#"{"name": "a/b", "clip": "x"}"#, "URL"),
            (r#"{"name": "a", "clip": "x"}, {"name": "a", "clip": "x"}"#, "two"),
            (r#"{"name": "a"}"#, "either"),
            (r#"{"name": "a", "clip": "x", "clips": [{"clip": "y"}]}"#, "either"),
            (r#"{"name": "a", "clip": "x", "offset_s": -1}"#, "seconds"),
            (r#"{"name": "a", "clip": "x", "offset": 1}"#, "unknown field"),
        ] {
            let error = checked(wrong).expect_err(wrong);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn commands_are_one_line_each() {
        let one = Command::One { camera: "a".into(), clip: "b".into() };
        assert_eq!(serde_json::from_str::<Command>(r#"{"camera": "a", "clip": "b"}"#).ok(), Some(one));
        assert_eq!(serde_json::from_str::<Command>(r#"{"all": "b"}"#).ok(), Some(Command::All { all: "b".into() }));
        assert!(serde_json::from_str::<Command>(r#"{"camera": "a"}"#).is_err());
    }
}
