//! Where a stream is: as it is written in the configuration, or as somebody says who is asked before each connection.
//!
//! A media gateway that speaks GB/T 28181 with its cameras gives RTSP addresses that hold for one viewing, or for a while. A
//! program or an HTTP service is asked for them; it has a limited time, and no more than [`MOST_ANSWERED`] bytes of what it
//! says are read. A program gets no shell, no input, and nothing of our environment but `PATH`.

mod command;
mod http;

use std::time::Duration;

use snowgate_core::secret::Secret;

use super::{
    health::CameraFault,
    reach::Endpoint,
    spec::{AddressSource, StreamRole},
    text::one_line,
};
use crate::shutdown::Shutdown;

/// The most bytes of an answer that are read.
pub const MOST_ANSWERED: usize = 64 << 10;

/// So much of an answer that holds no address is shown, in characters.
const SHOWN: usize = 200;

/// Where a stream is, or who knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Address {
    /// rtsp:// or rtsps://, without user and password.
    Written(String),
    /// Asked for before each connection.
    Asked {
        /// Who is asked.
        source: AddressSource,
        /// What an HTTP service wants to see.
        token: Option<Secret>,
    },
}

/// Why nobody could say where a stream is, or that it is time to stop.
#[derive(Debug)]
enum Unanswered {
    Stopping,
    Failed(String),
}

/// Where the streams of a camera are.
#[derive(Debug, Clone, PartialEq)]
pub struct Streams {
    /// The one that is watched.
    pub watched: Address,
    /// The one that is kept for evidence, where it is another one.
    pub kept: Option<Address>,
}

impl Streams {
    /// One address serves both where the other is left out, or the same. `None` where there is neither.
    pub fn new(detect: Option<Address>, record: Option<Address>) -> Option<Self> {
        let kept = record.clone().filter(|record| detect.as_ref().is_some_and(|detect| detect != record));
        detect.or(record).map(|watched| Self { watched, kept })
    }

    /// Each with what it is for, the watched one first.
    pub fn iter(&self) -> impl Iterator<Item = (StreamRole, &Address)> {
        let kept = self.kept.iter().map(|address| (StreamRole::Record, address));
        std::iter::once((StreamRole::Detect, &self.watched)).chain(kept)
    }
}

impl Address {
    /// Where the stream is now; `None` when it is time to stop.
    ///
    /// # Errors
    /// Who was asked does not say, or what is written or said is no address.
    pub fn endpoint(&self, shutdown: &Shutdown) -> Result<Option<Endpoint>, CameraFault> {
        let (source, token) = match self {
            Self::Written(address) => return Endpoint::parse(address).map(Some),
            Self::Asked { source, token } => (source, token.as_ref()),
        };
        let answer = match source {
            AddressSource::Command(source) => command::ask(source, shutdown),
            AddressSource::Http(source) => http::ask(source, token, shutdown),
        };
        let failed = |why| CameraFault::NoAddress { from: name(source), why };
        match answer {
            Ok(address) => Endpoint::parse(&address).map(Some).map_err(|fault| failed(fault.to_string())),
            Err(Unanswered::Stopping) => Ok(None),
            Err(Unanswered::Failed(why)) => Err(failed(why)),
        }
    }
}

/// Who is asked, without what may be secret.
fn name(source: &AddressSource) -> String {
    match source {
        AddressSource::Command(source) => source.command.first().cloned().unwrap_or_default(),
        AddressSource::Http(source) => source.url.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

fn late<T>(within: Duration) -> Result<T, Unanswered> {
    Err(Unanswered::Failed(format!("no answer within {} s", within.as_secs())))
}

/// The one line of an answer.
fn line(answer: &str) -> Result<String, String> {
    let address = answer.trim();
    if address.is_empty() {
        return Err("the answer is empty".to_owned());
    }
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("the answer is more than an address: {}", shown(answer)));
    }
    Ok(address.to_owned())
}

/// The beginning of a text from outside, on one line.
fn shown(text: &str) -> String {
    let line = one_line(text);
    let mut beginning: String = line.chars().take(SHOWN).collect();
    if beginning.len() < line.len() {
        beginning.push('…');
    }
    beginning
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_address_serves_both_streams() {
        let roles = |detect: &str, record: &str| {
            let given = |address: &str| (!address.is_empty()).then(|| Address::Written(address.to_owned()));
            let streams = Streams::new(given(detect), given(record))?;
            Some(streams.iter().map(|(role, _)| role).collect::<Vec<_>>())
        };
        assert_eq!(roles("", ""), None);
        for (detect, record) in [("a", ""), ("", "a"), ("a", "a")] {
            assert_eq!(roles(detect, record), Some(vec![StreamRole::Detect]));
        }
        assert_eq!(roles("a", "b"), Some(vec![StreamRole::Detect, StreamRole::Record]));
    }

    #[test]
    fn an_answer_is_one_address() {
        assert_eq!(line(" rtsp://10.0.0.7/live \n").unwrap(), "rtsp://10.0.0.7/live");
        for wrong in ["", " \n", "rtsp://10.0.0.7/live\nrtsp://10.0.0.8/live", "no such channel"] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_short_and_on_one_line(text in ".*") {
            let shown = shown(&text);
            prop_assert!(shown.chars().count() <= SHOWN + 1 && !shown.contains(char::is_control));
        }
    }
}
