//! The clips of a directory: its files that are called like videos, by name in order. What is passed over has a reason.
//!
//! Sub-directories and hidden files are left aside. A file is judged by its name alone, so that one that is called like a video
//! and is none is missed by nobody: playing it fails.

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Endings of the names of videos, as cameras and recorders give them.
const VIDEOS: [&str; 22] = [
    "3gp", "264", "265", "avc", "avi", "dav", "flv", "h264", "h265", "hevc", "m2ts", "m4v", "mkv", "mov", "mp4",
    "mpeg", "mpg", "mts", "ps", "ts", "vob", "webm",
];
/// The most files passed over that are named; further ones are only counted.
const MOST_NAMED: usize = 20;

/// What a directory holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clips {
    /// What is to be played, at least one.
    pub videos: Vec<PathBuf>,
    /// What is not, by name in order.
    pub passed_over: Vec<(PathBuf, Reason)>,
}

/// Why a file is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Hidden,
    Directory,
    Special,
    NoVideo,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "it is hidden",
            Self::Directory => "it is a directory",
            Self::Special => "it is no file",
            Self::NoVideo => "its name is not that of a video",
        })
    }
}

/// Why there is nothing to play.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipsError {
    #[error("{}: {source}", directory.display())]
    Read { directory: PathBuf, source: io::Error },
    #[error("{}: there is no video in it, of {files} file(s)", directory.display())]
    Empty { directory: PathBuf, files: usize },
}

impl Clips {
    /// What this directory holds.
    ///
    /// # Errors
    /// It cannot be read, or holds nothing to play.
    pub fn of_directory(directory: &Path) -> Result<Self, ClipsError> {
        let unreadable = |source| ClipsError::Read { directory: directory.to_owned(), source };
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort();
        let mut clips = Self { videos: Vec::new(), passed_over: Vec::new() };
        for path in paths {
            match reason_against(&path) {
                Some(reason) => clips.passed_over.push((path, reason)),
                None => clips.videos.push(path),
            }
        }
        if clips.videos.is_empty() {
            return Err(ClipsError::Empty { directory: directory.to_owned(), files: clips.passed_over.len() });
        }
        Ok(clips)
    }

    /// Tells people what is passed over.
    pub fn say_passed_over(&self) {
        for (path, reason) in self.passed_over.iter().take(MOST_NAMED) {
            eprintln!("{}: passed over, {reason}", path.display());
        }
        if let more @ 1.. = self.passed_over.len().saturating_sub(MOST_NAMED) {
            eprintln!("{more} more passed over like these");
        }
    }
}

fn reason_against(path: &Path) -> Option<Reason> {
    if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
        return Some(Reason::Hidden);
    }
    // What cannot even be asked what it is fails by name when it is played.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Some(Reason::Directory),
        // Opening a pipe would wait for whoever writes into it.
        Ok(metadata) if !metadata.is_file() => return Some(Reason::Special),
        _ => {}
    }
    let is_video = |ending: &OsStr| VIDEOS.iter().any(|video| ending.eq_ignore_ascii_case(video));
    (!path.extension().is_some_and(is_video)).then_some(Reason::NoVideo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_come_in_order_and_everything_else_is_passed_over_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b.MP4", "a.mkv", "notes.txt", ".hidden.mp4", "mp4", "10.ts"] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("more.mp4")).unwrap();
        std::os::unix::fs::symlink(at("gone"), at("link.mp4")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(at("socket.mp4")).unwrap());
        let clips = Clips::of_directory(folder.path()).unwrap();
        assert_eq!(clips.videos, ["10.ts", "a.mkv", "b.MP4", "link.mp4"].map(at));
        let passed_over = [
            (at(".hidden.mp4"), Reason::Hidden),
            (at("more.mp4"), Reason::Directory),
            (at("mp4"), Reason::NoVideo),
            (at("notes.txt"), Reason::NoVideo),
            (at("socket.mp4"), Reason::Special),
        ];
        assert_eq!(clips.passed_over, passed_over);
    }

    #[test]
    fn a_directory_without_videos_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let error = Clips::of_directory(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()) && error.contains("no video"), "{error}");
        assert!(Clips::of_directory(&folder.path().join("missing")).unwrap_err().to_string().contains("missing"));
    }
}
