//! What a camera's stream can be told.

use snowgate_core::{
    choice, spec,
    spec::{ByteSize, Located, Maybe, TimeSpan},
};

spec! {
    /// How a camera is reached.
    pub struct StreamSpec {
        /// rtsp:// or rtsps:// address, without user and password.
        url: Located<String>,
        /// User name, where the camera asks for one.
        username: Maybe<String> = Maybe::NONE,
        /// File that holds the password; relative to the configuration directory, or a systemd credential as "credential:NAME".
        password_file: Maybe<Located<String>> = Maybe::NONE,
        /// File with the certificate authority that signed the camera's certificate (rtsps only); the system's otherwise.
        ca_file: Maybe<Located<String>> = Maybe::NONE,
        /// How media packets travel.
        transport: Transport = Transport::Tcp,
        /// Jitter buffer.
        latency: TimeSpan = TimeSpan::millis(200),
        /// Without a packet for so long the stream counts as stalled and is opened anew.
        stall_after: TimeSpan = TimeSpan::secs(10),
    }
}

choice! {
    /// How media packets travel.
    pub enum Transport {
        /// Interleaved in the RTSP connection: gets through everything.
        Tcp = "tcp",
        /// UDP: less delay on a good network.
        Udp = "udp",
    }
}

spec! {
    /// The ring of encoded pictures kept in memory for decoding and pre-roll; whole GOPs, oldest dropped first.
    pub struct RingSpec {
        /// The most seconds kept.
        duration: TimeSpan = TimeSpan::secs(10),
        /// The most bytes kept.
        size: ByteSize = ByteSize::mib(16),
    }
}
