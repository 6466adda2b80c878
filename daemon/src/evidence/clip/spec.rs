//! What clips can be told.

use snowgate_core::{
    spec,
    spec::{ByteSize, Located, TimeSpan},
};

use super::seal::Recipient;

spec! {
    /// Clips of incidents, for categories that want them. What a camera has sent is sealed for those who hold a private key; covered copies are not.
    pub struct ClipsSpec {
        /// Public keys of those who may open sealed clips, as age-keygen shows them ("age1…"); without any there are no sealed clips.
        recipients: Vec<Located<String>> = Vec::new(),
        /// How long before the incident began a clip begins, as far as the camera's ring reaches.
        pre_roll: TimeSpan = TimeSpan::secs(5),
        /// How long it goes on after the incident was opened, or was over.
        post_roll: TimeSpan = TimeSpan::secs(10),
        /// The longest clip.
        longest: TimeSpan = TimeSpan::secs(60),
        /// The largest clip.
        max_size: ByteSize = ByteSize::mib(32),
        /// Clips at once.
        at_once: u32 = 4,
        /// Pictures a second of a covered copy.
        copy_fps: u32 = 2,
        /// Widest covered copy in pixels; larger pictures are scaled down.
        copy_width: u32 = 960,
    }
}

impl ClipsSpec {
    /// Who may open sealed clips. A checked configuration names none who is none.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.recipients.iter().filter_map(|key| Recipient::parse(key).ok()).collect()
    }
}
