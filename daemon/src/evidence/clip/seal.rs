//! Sealing: what is written here can be read only by those who hold a private key, and none of those is on this box.
//!
//! The format is age (age-encryption.org/v1) with X25519 recipients: a key of its own for each file, wrapped for each recipient;
//! the content in chunks of 64 KiB, each authenticated, so that a file that was changed or cut short does not open. A clip
//! passes through memory chunk by chunk: what reaches the disk is sealed.

use std::{
    fmt,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use age::{Encryptor, stream::StreamWriter, x25519};

/// What a private key begins with, in capitals as tools write it.
const PRIVATE_KEY: &str = "AGE-SECRET-KEY-";

/// The most recipients: each adds some 100 bytes to every clip.
pub const MOST_RECIPIENTS: usize = 16;

/// Why something is no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// It is a private key. It is not repeated.
    #[error("this is a private key: no private key may ever come to the box that makes the clips")]
    PrivateKey,
    /// It is no X25519 public key of age.
    #[error("this is no public key of age (\"age1…\"): {0}")]
    NoKey(&'static str),
    /// Anybody could open what is sealed for it.
    #[error("this public key is of low order: nothing can be sealed for it")]
    Worthless,
}

/// The public key of somebody who may open clips.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// The recipient with this public key, `age1…`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        if text.to_ascii_uppercase().contains(PRIVATE_KEY) {
            return Err(RecipientError::PrivateKey);
        }
        let key: x25519::Recipient = text.trim().parse().map_err(RecipientError::NoKey)?;
        // The library panics when it seals for such a key; any other is found out to be good by trying.
        let sealed = catch_unwind(AssertUnwindSafe(|| Encryptor::with_recipients(std::iter::once(&key as _)).is_ok()));
        if sealed.unwrap_or(false) { Ok(Self(key)) } else { Err(RecipientError::Worthless) }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Seals what is written and hands it on.
pub struct Sealed<W>(StreamWriter<W>);

impl<W: Write> Sealed<W> {
    /// Begins a file that each of the recipients can open.
    ///
    /// # Errors
    /// There are no recipients, or `output` fails.
    pub fn begin(recipients: &[Recipient], output: W) -> io::Result<Self> {
        let keys = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys).map_err(io::Error::other)?;
        encryptor.wrap_output(output).map(Self)
    }

    /// Ends the file: without this it does not open.
    ///
    /// # Errors
    /// `output` fails.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use age::{Decryptor, secrecy::ExposeSecret as _, x25519::Identity};

    use super::*;

    fn recipient(identity: &Identity) -> Recipient {
        Recipient::parse(&identity.to_public().to_string()).unwrap()
    }

    fn seal(recipients: &[Recipient], content: &[u8]) -> Vec<u8> {
        let mut sealed = Sealed::begin(recipients, Vec::new()).unwrap();
        // In pieces, as a muxer writes.
        content.chunks(1000).for_each(|piece| sealed.write_all(piece).unwrap());
        sealed.finish().unwrap()
    }

    fn open(identity: &Identity, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let decryptor = Decryptor::new(sealed).map_err(|error| error.to_string())?;
        let mut reader = decryptor.decrypt(std::iter::once(identity as _)).map_err(|error| error.to_string())?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(|error| error.to_string())?;
        Ok(content)
    }

    #[test]
    fn each_recipient_can_open_it_and_nobody_else() {
        let (first, second, other) = (Identity::generate(), Identity::generate(), Identity::generate());
        let content: Vec<u8> = b"moof mdat ".iter().copied().cycle().take(200_000).collect();
        let sealed = seal(&[recipient(&first), recipient(&second)], &content);
        assert_eq!(open(&first, &sealed).as_deref(), Ok(&content[..]));
        assert_eq!(open(&second, &sealed).as_deref(), Ok(&content[..]));
        assert!(open(&other, &sealed).is_err());
        assert!(!sealed.windows(4).any(|window| window == b"moof"), "nothing of it can be seen");
    }

    #[test]
    fn what_was_changed_or_cut_short_does_not_open() {
        let identity = Identity::generate();
        let sealed = seal(&[recipient(&identity)], &[7; 150_000]);
        for cut in [sealed.len() - 1, sealed.len() - 20_000, 65_536 + 300, 100] {
            assert!(open(&identity, &sealed[..cut]).is_err(), "cut to {cut}");
        }
        for flipped in [10, 60, 150, 250, 70_000, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[flipped] ^= 1;
            assert!(open(&identity, &changed).is_err(), "changed at {flipped}");
        }
    }

    #[test]
    fn what_is_no_recipient_is_said() {
        let identity = Identity::generate();
        let private = identity.to_string();
        for text in [private.expose_secret().to_owned(), private.expose_secret().to_lowercase()] {
            assert_eq!(Recipient::parse(&text), Err(RecipientError::PrivateKey));
        }
        let public = identity.to_public().to_string();
        assert_eq!(recipient(&identity).to_string(), public, "a public key is its own id");
        for text in ["", "age1", &public[..40], &public.replacen("age1", "age2", 1), "ssh-ed25519 AAAA"] {
            assert!(matches!(Recipient::parse(text), Err(RecipientError::NoKey(_))), "{text}");
        }
        // Thirty-two zeros.
        let zero = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z";
        assert_eq!(Recipient::parse(zero), Err(RecipientError::Worthless));
        assert!(Sealed::begin(&[], Vec::new()).is_err());
    }
}
