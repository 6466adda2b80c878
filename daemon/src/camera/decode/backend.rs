//! Which decoder this box uses: chosen and proved once, at the start.
//!
//! Each coding is decided on its own, because hardware often has one and not the other. A backend asked for by name that
//! decodes neither is an error; with `auto` the hardware is tried in order and software comes last.

use gstreamer as gst;

use super::{
    super::{
        access_unit::Codec,
        spec::{Backend, BackendChoice},
    },
    DecodeError, Decoder,
    chain::Chain,
    proof,
};
use crate::events::camera::{BackendPassedOver, DecoderReplaced, DecodersChosen};

/// What `auto` tries before it comes down to software.
const HARDWARE: [Backend; 4] = [Backend::Vaapi, Backend::V4l2, Backend::Rockchip, Backend::Nvdec];

/// A backend's element for one coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    backend: Backend,
    factory: &'static str,
}

/// The decoders of this box, proved to work. Cheap to copy; every copy opens the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoders {
    h264: Element,
    h265: Element,
}

impl Decoders {
    /// What every box has.
    pub(super) const SOFTWARE: Self = Self {
        h264: Element { backend: Backend::Software, factory: "avdec_h264" },
        h265: Element { backend: Backend::Software, factory: "avdec_h265" },
    };

    /// Looks for the decoders that a box is to use, and proves each with a key frame of our own. Takes milliseconds in
    /// software, and at the most 5 s for each element of the hardware.
    ///
    /// # Errors
    /// The backend that is asked for by name decodes neither coding, or there is no decoder for one at all.
    pub fn find(choice: BackendChoice) -> Result<Self, DecodeError> {
        gst::init().map_err(|error| DecodeError::GStreamer(error.to_string()))?;
        let decoders = match choice.backend() {
            None => Self { h264: best(Codec::H264)?, h265: best(Codec::H265)? },
            Some(backend) => named(backend)?,
        };
        let chosen = [Codec::H264, Codec::H265].map(|codec| {
            let Element { backend, factory } = decoders.element(codec);
            (codec.as_str(), backend.as_str(), factory)
        });
        DecodersChosen { chosen }.emit();
        Ok(decoders)
    }

    /// Opens a decoder. Hardware that has no more to give (its sessions are counted) is replaced by software, so that a
    /// camera is seen at a price rather than not at all.
    ///
    /// # Errors
    /// Software decoding does not start either.
    pub fn open(self, codec: Codec) -> Result<Decoder, DecodeError> {
        Ok(Decoder::over(self.chain(codec)?, self))
    }

    pub(super) fn chain(self, codec: Codec) -> Result<Chain, DecodeError> {
        let Element { backend, factory } = self.element(codec);
        Chain::open(codec, factory).or_else(|why| {
            if backend == Backend::Software {
                return Err(unavailable(backend, codec, format!("{factory} {why}")));
            }
            DecoderReplaced { codec: codec.as_str(), backend: backend.as_str(), element: factory, why: &why }.emit();
            Self::SOFTWARE.chain(codec)
        })
    }

    /// What decodes this coding.
    pub fn backend(self, codec: Codec) -> Backend {
        self.element(codec).backend
    }

    fn element(self, codec: Codec) -> Element {
        match codec {
            Codec::H264 => self.h264,
            Codec::H265 => self.h265,
        }
    }
}

/// The first that works, software at last.
fn best(codec: Codec) -> Result<Element, DecodeError> {
    for backend in HARDWARE {
        match proved(backend, codec) {
            Ok(element) => return Ok(element),
            Err(error) => {
                let expected = factories(backend, codec).iter().any(|factory| is_installed(factory));
                BackendPassedOver { backend: backend.as_str(), codec: codec.as_str(), expected, error: &error }.emit();
            }
        }
    }
    proved(Backend::Software, codec)
}

/// This backend for both codings, or for the one that it has and software for the other.
fn named(backend: Backend) -> Result<Decoders, DecodeError> {
    let or_software = |codec, error: &DecodeError| {
        BackendPassedOver { backend: backend.as_str(), codec: Codec::as_str(codec), expected: true, error }.emit();
        proved(Backend::Software, codec)
    };
    match (proved(backend, Codec::H264), proved(backend, Codec::H265)) {
        (Ok(h264), Ok(h265)) => Ok(Decoders { h264, h265 }),
        (Ok(h264), Err(error)) if backend != Backend::Software => {
            Ok(Decoders { h264, h265: or_software(Codec::H265, &error)? })
        }
        (Err(error), Ok(h265)) if backend != Backend::Software => {
            Ok(Decoders { h264: or_software(Codec::H264, &error)?, h265 })
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The backend's first element that passes the proof.
fn proved(backend: Backend, codec: Codec) -> Result<Element, DecodeError> {
    let mut failures = Vec::new();
    for factory in factories(backend, codec) {
        let proved = if is_installed(factory) { proof::prove(codec, factory) } else { Err("is missing".to_owned()) };
        match proved {
            Ok(()) => return Ok(Element { backend, factory }),
            Err(why) => failures.push(format!("{factory} {why}")),
        }
    }
    Err(unavailable(backend, codec, failures.join(", ")))
}

fn is_installed(factory: &str) -> bool {
    gst::ElementFactory::find(factory).is_some()
}

fn unavailable(backend: Backend, codec: Codec, what: String) -> DecodeError {
    DecodeError::Unavailable { backend, codec, what, given_by: given_by(backend) }
}

/// A backend's elements for a coding, the better one first.
fn factories(backend: Backend, codec: Codec) -> &'static [&'static str] {
    match (backend, codec) {
        (Backend::Software, Codec::H264) => &[Decoders::SOFTWARE.h264.factory],
        (Backend::Software, Codec::H265) => &[Decoders::SOFTWARE.h265.factory],
        (Backend::Vaapi, Codec::H264) => &["vah264dec", "vaapih264dec"],
        (Backend::Vaapi, Codec::H265) => &["vah265dec", "vaapih265dec"],
        (Backend::V4l2, Codec::H264) => &["v4l2slh264dec", "v4l2h264dec"],
        (Backend::V4l2, Codec::H265) => &["v4l2slh265dec", "v4l2h265dec"],
        (Backend::Rockchip, _) => &["mppvideodec"],
        (Backend::Nvdec, Codec::H264) => &["nvh264dec"],
        (Backend::Nvdec, Codec::H265) => &["nvh265dec"],
    }
}

/// What an operator has to install or plug in. GStreamer offers a hardware's elements only where it finds the device.
fn given_by(backend: Backend) -> &'static str {
    match backend {
        Backend::Software => "the Debian package gstreamer1.0-libav gives it",
        Backend::Vaapi => {
            "the Debian package gstreamer1.0-plugins-bad or gstreamer1.0-vaapi gives it, together with a driver \
             (intel-media-va-driver, mesa-va-drivers) and a device /dev/dri/renderD* that the service may open"
        }
        Backend::V4l2 => {
            "the Debian packages gstreamer1.0-plugins-bad (v4l2sl…) and gstreamer1.0-plugins-good give it, where the \
             kernel has a decoder as /dev/video* that the service may open"
        }
        Backend::Rockchip => {
            "the board vendor's package gstreamer1.0-rockchip gives it, with a device /dev/mpp_service that the \
             service may open"
        }
        Backend::Nvdec => {
            "the Debian package gstreamer1.0-plugins-bad gives it, together with NVIDIA's driver (libnvcuvid1) and a \
             device /dev/nvidia* that the service may open"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_passes_its_proof_for_both_codings() {
        let decoders = Decoders::find(BackendChoice::Software).unwrap();
        for codec in [Codec::H264, Codec::H265] {
            assert_eq!(decoders.backend(codec), Backend::Software);
            proof::decodes(codec, &mut decoders.open(codec).unwrap()).unwrap();
        }
    }

    #[test]
    fn auto_ends_at_software_where_no_hardware_is() {
        gst::init().unwrap();
        let hardware = HARDWARE.iter().flat_map(|backend| factories(*backend, Codec::H264));
        let decoders = Decoders::find(BackendChoice::Auto).unwrap();
        if hardware.filter(|factory| is_installed(factory)).count() == 0 {
            assert_eq!(decoders, Decoders::find(BackendChoice::Software).unwrap());
        }
        proof::decodes(Codec::H264, &mut decoders.open(Codec::H264).unwrap()).unwrap();
    }

    #[test]
    fn absent_hardware_asked_for_by_name_is_refused_and_the_error_says_what_is_missing() {
        gst::init().unwrap();
        for (choice, help) in [
            (BackendChoice::Vaapi, "/dev/dri/renderD"),
            (BackendChoice::V4l2, "/dev/video"),
            (BackendChoice::Rockchip, "/dev/mpp_service"),
            (BackendChoice::Nvdec, "/dev/nvidia"),
        ] {
            let backend = choice.backend().unwrap();
            let of = |codec| factories(backend, codec).iter();
            if of(Codec::H264).chain(of(Codec::H265)).any(|factory| is_installed(factory)) {
                continue;
            }
            let error = Decoders::find(choice).unwrap_err().to_string();
            assert!(error.starts_with(&format!("no H.264 decoder by {choice}: ")), "{error}");
            for factory in factories(backend, Codec::H264) {
                assert!(error.contains(&format!("{factory} is missing")), "{error}");
            }
            assert!(error.contains(help), "{error}");
        }
    }

    #[test]
    fn an_element_that_is_there_and_does_not_decode_fails_its_proof() {
        gst::init().unwrap();
        // H.265's decoder takes no H.264, and what passes everything on gives no pictures.
        for (factory, why) in [("avdec_h265", "fails at"), ("identity", "fails at")] {
            let error = proof::prove(Codec::H264, factory).unwrap_err();
            assert!(error.contains(why), "{factory}: {error}");
        }
        assert!(proof::prove(Codec::H264, "no-such-element").unwrap_err().starts_with("cannot be made"));
    }
}
