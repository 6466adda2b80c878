//! What the grid system asks for, on its way to whoever carries it out.
//!
//! A command is acknowledged to the broker only when its [`Receipt`] is settled, after the commit of what it changed and
//! of its answer. Whatever happens before, the broker sends the command again on the next connection; whoever carries
//! commands out must therefore know a command it has seen. A receipt belongs to the connection its command came by:
//! settled after that has ended it does nothing, and the copy that comes by the next connection is settled instead.

use std::fmt;

use rumqttc::{Publish, QoS};
use snowgate_core::incidents::command::{MAX_COMMAND_BYTES, Malformed};

use super::fault::Fault;

/// The longest name of a command, in bytes.
const MAX_NAME: usize = 64;

/// A command as it came in on `cmd/{name}`.
#[derive(Debug)]
pub struct Command {
    /// What is to be done: 1 to 64 of `a`–`z`, `0`–`9`, `_` and `-`. It need not be a command anybody knows.
    pub name: String,
    /// What came, at least one byte; or, where that was more than [`MAX_COMMAND_BYTES`], what to answer.
    pub payload: Result<Vec<u8>, Malformed>,
    /// To be settled once all about this command is committed.
    pub receipt: Receipt,
}

/// What became of a [`Receipt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Settled: the broker may forget the command.
    Settled,
    /// Dropped: the broker is to send it again.
    Dropped,
}

/// The right to acknowledge a command, from any thread and at any time. Dropped without being settled, it leaves the
/// command with the broker.
pub struct Receipt {
    tell: Option<Box<dyn FnOnce(Fate) + Send>>,
}

impl Receipt {
    /// A receipt whose fate is told to `tell`, once, on the thread that decides it.
    pub fn new(tell: impl FnOnce(Fate) + Send + 'static) -> Self {
        Self { tell: Some(Box::new(tell)) }
    }

    /// Acknowledges the command. Never blocks.
    pub fn settle(mut self) {
        self.decide(Fate::Settled);
    }

    fn decide(&mut self, fate: Fate) {
        if let Some(tell) = self.tell.take() {
            tell(fate);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.decide(Fate::Dropped);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}

/// What the broker delivered, copied out of its packet as far as it is of use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// By which it is acknowledged; none for quality of service 0.
    pub(super) packet_id: Option<u16>,
    pub(super) content: Result<Content, PassedOver>,
}

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) name: String,
    pub(super) payload: Result<Vec<u8>, Malformed>,
}

/// Why a delivery is no command that could be answered. It is acknowledged, and that is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassedOver {
    /// It did not come on a topic of commands.
    Topic,
    /// Its name is none.
    Name,
    /// It is empty: how a retained command is taken back.
    Empty,
}

impl PassedOver {
    /// A word for metrics.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Name => "name",
            Self::Empty => "empty",
        }
    }
}

impl Delivery {
    /// Reads a packet; `prefix` is what topics of commands begin with.
    ///
    /// # Errors
    /// The broker does what was not asked for.
    pub(super) fn read(prefix: &str, publish: &Publish) -> Result<Self, Fault> {
        let packet_id = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(publish.pkid),
            QoS::ExactlyOnce => {
                return Err(Fault::Unreadable("a message at a quality of service that was not asked for".to_owned()));
            }
        };
        Ok(Self { packet_id, content: content(prefix, &publish.topic, &publish.payload) })
    }
}

fn content(prefix: &str, topic: &str, payload: &[u8]) -> Result<Content, PassedOver> {
    let name = topic.strip_prefix(prefix).ok_or(PassedOver::Topic)?;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(PassedOver::Name);
    }
    let payload = match payload.len() {
        0 => return Err(PassedOver::Empty),
        1..=MAX_COMMAND_BYTES => Ok(payload.to_vec()),
        bytes => Err(Malformed::too_large(bytes)),
    };
    Ok(Content { name: name.to_owned(), payload })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PREFIX: &str = "snowgate/v1/gate-1/cmd/";

    fn read(topic: &str, payload: &[u8]) -> Result<Content, PassedOver> {
        content(PREFIX, topic, payload)
    }

    #[test]
    fn only_names_that_could_be_answered_are_commands() {
        let on = |name: &str| read(&format!("{PREFIX}{name}"), b"{}").map(|content| content.name);
        assert_eq!(on("disposition"), Ok("disposition".to_owned()));
        assert_eq!(on("no-such_command9"), Ok("no-such_command9".to_owned()));
        assert_eq!(on(&"x".repeat(64)), Ok("x".repeat(64)));
        for bad in ["", "Verify", "a b", "核查", "a/b", &"x".repeat(65)] {
            assert_eq!(on(bad), Err(PassedOver::Name), "{bad:?}");
        }
        assert_eq!(read("snowgate/v1/gate-2/cmd/verify", b"{}"), Err(PassedOver::Topic));
    }

    #[test]
    fn payloads_are_taken_whole_or_not_at_all() {
        let of = |length: usize| read(&format!("{PREFIX}verify"), &vec![b' '; length]).map(|content| content.payload);
        assert_eq!(of(0), Err(PassedOver::Empty));
        assert_eq!(of(MAX_COMMAND_BYTES), Ok(Ok(vec![b' '; MAX_COMMAND_BYTES])));
        let refusal = of(MAX_COMMAND_BYTES + 1).unwrap().unwrap_err();
        assert!(refusal.id.is_none() && refusal.detail.contains("16385 bytes"), "{refusal}");
    }

    #[test]
    fn a_broker_must_not_deliver_better_than_asked_for() {
        let mut publish = Publish::new(format!("{PREFIX}verify"), QoS::AtLeastOnce, "{}");
        publish.pkid = 7;
        assert_eq!(Delivery::read(PREFIX, &publish).unwrap().packet_id, Some(7));
        publish.qos = QoS::AtMostOnce;
        assert_eq!(Delivery::read(PREFIX, &publish).unwrap().packet_id, None);
        publish.qos = QoS::ExactlyOnce;
        assert!(matches!(Delivery::read(PREFIX, &publish), Err(Fault::Unreadable(_))));
    }

    #[test]
    fn a_receipt_has_one_fate() {
        let (tell, told) = mpsc::channel();
        let receipt = || {
            Receipt::new({
                let tell = tell.clone();
                move |fate| tell.send(fate).unwrap()
            })
        };
        receipt().settle();
        drop(receipt());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Fate::Settled, Fate::Dropped]);
    }
}
