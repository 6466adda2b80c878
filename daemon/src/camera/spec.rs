//! What a camera's stream can be told.

use snowgate_core::{
    choice, section_as_value, spec,
    spec::{ByteSize, Located, Maybe, TimeSpan},
    tagged,
};

spec! {
    /// How a camera is reached.
    pub struct StreamSpec {
        /// rtsp:// or rtsps:// address, without user and password, of the stream that is watched; a small one is enough. Where it is left out, "record" is watched.
        detect: Maybe<Located<String>> = Maybe::NONE,
        /// The same of the stream that is kept for evidence, in full size. Where it is left out, "detect" is kept.
        record: Maybe<Located<String>> = Maybe::NONE,
        /// Who is asked for the address, in place of "detect".
        detect_from: Maybe<AddressSource> = Maybe::NONE,
        /// Who is asked for the address, in place of "record".
        record_from: Maybe<AddressSource> = Maybe::NONE,
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

tagged! {
    /// Who is asked, before each connection, where a stream is: a media gateway that speaks GB/T 28181 gives addresses that hold for a while only.
    pub enum AddressSource by "kind" {
        /// An HTTP service.
        "http" => Http(HttpSource),
        /// A program.
        "command" => Command(CommandSource),
    }
}
section_as_value!(AddressSource);

spec! {
    /// An HTTP service that gives addresses.
    pub struct HttpSource {
        /// http:// or https:// address that is called; what is secret in it belongs into the token's file.
        url: Located<String>,
        /// How it is called; nothing is sent with it but the token.
        method: Method = Method::Get,
        /// Where the stream's address stands in the answer: a JSON pointer (RFC 6901), like "/data/rtsp". Where it is left out, the whole answer is the address.
        pointer: Maybe<Located<String>> = Maybe::NONE,
        /// File that holds the token; relative to the configuration directory, or a systemd credential as "credential:NAME".
        token_file: Maybe<Located<String>> = Maybe::NONE,
        /// Header that the token is sent in, just as the file has it.
        token_header: Located<String> = Located::nowhere("Authorization".to_owned()),
        /// How long an answer may take.
        timeout: TimeSpan = TimeSpan::secs(10),
    }
}

spec! {
    /// A program that prints an address.
    pub struct CommandSource {
        /// The program's absolute path, and its arguments. It prints the address and ends with 0; no shell is between.
        command: Located<Vec<String>>,
        /// How long it may take; then it is killed.
        timeout: TimeSpan = TimeSpan::secs(10),
    }
}

choice! {
    /// How an HTTP service is called.
    pub enum Method {
        /// GET.
        Get = "GET",
        /// POST, with nothing in it.
        Post = "POST",
    }
}

choice! {
    /// What a camera's stream is for.
    pub enum StreamRole {
        /// It is watched, and kept for evidence too where it is the only one.
        Detect = "detect",
        /// It is kept for evidence.
        Record = "record",
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
    /// What is stated of a camera for those who ask why it is there: the filing with the police, the inspection, the neighbour.
    pub struct LegalSpec {
        /// What it is for.
        purpose: Maybe<String> = Maybe::NONE,
        /// The provision that allows it.
        basis: Maybe<String> = Maybe::NONE,
        /// Where the sign stands that says that there is a camera.
        sign: Maybe<String> = Maybe::NONE,
        /// Number under which it is filed.
        filing_number: Maybe<String> = Maybe::NONE,
        /// The unit that answers for it.
        unit: Maybe<String> = Maybe::NONE,
        /// How long its pictures are said to be kept at the most.
        retention: Maybe<TimeSpan> = Maybe::NONE,
    }
}

impl LegalSpec {
    /// The keys that are left out.
    pub fn missing(&self) -> Vec<&'static str> {
        let Self { purpose, basis, sign, filing_number, unit, retention } = self;
        let texts =
            [("purpose", purpose), ("basis", basis), ("sign", sign), ("filing_number", filing_number), ("unit", unit)];
        let is_missing = |text: &Maybe<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
        let texts = texts.into_iter().filter(|(_, text)| is_missing(text)).map(|(key, _)| key);
        texts.chain(retention.is_none().then_some("retention")).collect()
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

spec! {
    /// What decodes.
    pub struct DecodersSpec {
        /// "auto" takes hardware where it works, and else software; any other word takes that one or refuses to start.
        backend: BackendChoice = BackendChoice::Auto,
    }
}

choice! {
    /// What is to decode.
    pub enum BackendChoice {
        /// The first hardware that works, software where none does.
        Auto = "auto",
        /// libav, on the processor.
        Software = "software",
        /// Intel and AMD graphics.
        Vaapi = "vaapi",
        /// Decoders with a driver in the kernel: Raspberry Pi, NXP, Qualcomm, Allwinner, MediaTek.
        V4l2 = "v4l2",
        /// Rockchip's own interface (MPP).
        Rockchip = "rockchip",
        /// NVIDIA graphics.
        Nvdec = "nvdec",
    }
}

impl BackendChoice {
    /// The one that is asked for; `None` where the box may choose.
    pub fn backend(self) -> Option<Backend> {
        match self {
            Self::Auto => None,
            Self::Software => Some(Backend::Software),
            Self::Vaapi => Some(Backend::Vaapi),
            Self::V4l2 => Some(Backend::V4l2),
            Self::Rockchip => Some(Backend::Rockchip),
            Self::Nvdec => Some(Backend::Nvdec),
        }
    }
}

choice! {
    /// What decodes.
    pub enum Backend {
        /// libav, on the processor.
        Software = "software",
        /// VA-API: Intel and AMD graphics.
        Vaapi = "vaapi",
        /// Video4Linux, stateless or stateful.
        V4l2 = "v4l2",
        /// Rockchip's Media Process Platform.
        Rockchip = "rockchip",
        /// NVIDIA's decoder.
        Nvdec = "nvdec",
    }
}
