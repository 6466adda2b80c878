//! Which of a device's streams to watch, and which to keep.

use super::device::Profile;

/// The least width of a stream that is watched, in pixels: in less, people at a distance are too small to be found.
pub const LEAST_WIDTH: u32 = 640;

/// The streams of one camera: a device with several video sources is several cameras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its place among the sources of the device, from 1; none where there is one source only.
    pub source: Option<usize>,
    /// The one to watch, by its index.
    pub detect: usize,
    /// The one to keep, where it is another.
    pub record: Option<usize>,
}

/// For each video source, the smallest H.264 or H.265 stream of at least [`LEAST_WIDTH`] to watch, or the largest where all are smaller, and
/// the largest to keep.
pub fn choose(profiles: &[Profile]) -> Vec<Choice> {
    // In the device's order: that of its channels.
    let mut sources: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    for (index, profile) in profiles.iter().enumerate() {
        let source = profile.source.as_deref();
        let usable = profile.is_usable().then_some(index);
        match sources.iter_mut().find(|(known, _)| *known == source) {
            Some((_, profiles)) => profiles.extend(usable),
            None => sources.push((source, usable.into_iter().collect())),
        }
    }
    let several = sources.len() > 1;
    let chosen = sources.into_iter().enumerate().filter_map(|(place, (_, usable))| {
        let size = |index: &usize| {
            profiles.get(*index).map_or((0, 0.0), |profile| (profile.pixels(), profile.fps.unwrap_or(0.0)))
        };
        let larger = |a: &usize, b: &usize| {
            let ((a, at), (b, bt)) = (size(a), size(b));
            a.cmp(&b).then(at.total_cmp(&bt))
        };
        // Of equals the first one, which is the camera's main profile mostly.
        let largest = usable.iter().rev().copied().max_by(larger)?;
        let is_wide = |index: &usize| {
            profiles.get(*index).and_then(|profile| profile.width).is_some_and(|width| width >= LEAST_WIDTH)
        };
        let detect = usable.iter().copied().filter(is_wide).min_by(larger).unwrap_or(largest);
        let url = |index: usize| profiles.get(index).and_then(|profile| profile.uri.as_ref()).map(|uri| &uri.url);
        let record = (url(largest) != url(detect)).then_some(largest);
        Some(Choice { source: several.then_some(place + 1), detect, record })
    });
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::onvif::{device::Encoding, stream_uri::StreamUri};

    fn profile(token: &str, source: &str, encoding: &str, size: (u32, u32)) -> Profile {
        Profile {
            token: token.into(),
            name: None,
            source: Some(source.into()),
            encoding: Encoding::read(encoding),
            width: Some(size.0),
            height: Some(size.1),
            fps: Some(25.0),
            gop: None,
            uri: Some(StreamUri { url: format!("rtsp://h/{token}"), notes: Vec::new() }),
            fault: None,
        }
    }

    fn tokens(profiles: &[Profile]) -> Vec<(Option<usize>, &str, Option<&str>)> {
        let token = |index: usize| profiles[index].token.as_str();
        choose(profiles).iter().map(|choice| (choice.source, token(choice.detect), choice.record.map(token))).collect()
    }

    #[test]
    fn the_smallest_that_is_wide_enough_is_watched_and_the_largest_kept() {
        let main = profile("main", "s", "H265", (2560, 1440));
        let middle = profile("middle", "s", "H264", (1280, 720));
        let least = profile("least", "s", "H264", (640, 480));
        let tiny = profile("tiny", "s", "H264", (320, 240));
        let motion_jpeg = profile("jpeg", "s", "JPEG", (3840, 2160));
        let all = [main.clone(), middle, tiny.clone(), least, motion_jpeg.clone()];
        assert_eq!(tokens(&all), [(None, "least", Some("main"))]);
        assert_eq!(tokens(&[main.clone(), tiny.clone()]), [(None, "main", None)]);
        assert_eq!(tokens(&[tiny, motion_jpeg.clone()]), [(None, "tiny", None)]);
        assert_eq!(tokens(&[motion_jpeg]), []);
        let unreachable = Profile { uri: None, ..main };
        assert_eq!(tokens(&[unreachable]), []);
    }

    #[test]
    fn each_source_of_a_recorder_is_a_camera() {
        let all = [
            profile("1-main", "a", "H264", (1920, 1080)),
            profile("2-main", "b", "H264", (1920, 1080)),
            profile("1-sub", "a", "H264", (704, 576)),
            profile("3-main", "c", "JPEG", (704, 576)),
        ];
        assert_eq!(tokens(&all), [(Some(1), "1-sub", Some("1-main")), (Some(2), "2-main", None)]);
    }
}
