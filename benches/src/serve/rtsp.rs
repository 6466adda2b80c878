//! RTSP/1.0 as far as a camera needs it (RFC 2326): what readers write is parsed under limits, and answered.

use std::{fmt::Write, ops::Range};

/// The longest request, body included.
pub const REQUEST_LIMIT: usize = 8192;

/// Something a reader sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A request.
    Request(Request),
    /// An interleaved frame: a receiver report, which is of no use here.
    Interleaved,
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// `OPTIONS`, `DESCRIBE`…
    pub method: String,
    /// As written in the request line.
    pub url: String,
    headers: Vec<(String, String)>,
}

/// Not RTSP, or longer than [`REQUEST_LIMIT`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RTSP request: {0}")]
pub struct Malformed(&'static str);

impl Request {
    /// A header's value; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first part of the URL's path: a camera's name.
    pub fn camera(&self) -> Option<&str> {
        let rest = self.url.strip_prefix("rtsp://")?;
        let (_, path) = rest.split_once('/')?;
        path.split(['/', '?']).next()
    }

    /// The two interleaved channels a SETUP asks for: RTP, RTCP. `None` for any other transport.
    pub fn channels(&self) -> Option<(u8, u8)> {
        // Of several transports the first that fits.
        self.header("Transport")?.split(',').find_map(|transport| {
            let mut parts = transport.trim().split(';');
            parts.next().filter(|profile| profile.eq_ignore_ascii_case("RTP/AVP/TCP"))?;
            let Some(wanted) = parts.find_map(|part| part.trim().strip_prefix("interleaved=")) else {
                return Some((0, 1));
            };
            let (rtp, rtcp) = wanted.split_once('-')?;
            Some((rtp.parse().ok()?, rtcp.parse().ok()?))
        })
    }
}

/// Takes the first input off `bytes`: what it is and how many bytes it took, or `None` while it is not complete.
///
/// # Errors
/// It can never become an RTSP request; the connection is worth nothing any more.
pub fn parse(bytes: &[u8]) -> Result<Option<(Input, usize)>, Malformed> {
    if bytes.first() == Some(&b'$') {
        let [_, _, high, low, rest @ ..] = bytes else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        return Ok((rest.len() >= length).then_some((Input::Interleaved, 4 + length)));
    }
    let Some(head) = bytes.windows(4).take(REQUEST_LIMIT).position(|end| end == b"\r\n\r\n") else {
        return if bytes.len() < REQUEST_LIMIT { Ok(None) } else { Err(Malformed("it does not end")) };
    };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default()).map_err(|_| Malformed("not text"))?;
    let request = request(text)?;
    let body = match request.header("Content-Length") {
        None => 0,
        Some(length) => length.parse().map_err(|_| Malformed("a length that is no number"))?,
    };
    let end = head + 4;
    if body > REQUEST_LIMIT - end.min(REQUEST_LIMIT) {
        return Err(Malformed("its body is too long"));
    }
    Ok((bytes.len() >= end + body).then_some((Input::Request(request), end + body)))
}

fn request(text: &str) -> Result<Request, Malformed> {
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(url), Some("RTSP/1.0"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed("its first line"));
    };
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())))
        .collect::<Option<_>>()
        .ok_or(Malformed("a header without a colon"))?;
    Ok(Request { method: method.to_owned(), url: url.to_owned(), headers })
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 404: no such camera.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 454.
    SessionNotFound,
    /// 455: PLAY before SETUP.
    NotValidInThisState,
    /// 461: only interleaved.
    UnsupportedTransport,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::SessionNotFound => "454 Session Not Found",
            Self::NotValidInThisState => "455 Method Not Valid In This State",
            Self::UnsupportedTransport => "461 Unsupported Transport",
        }
    }
}

/// A response; `headers` are whole lines without their ends.
pub fn response(status: Status, sequence: Option<&str>, headers: &[String], body: &str) -> String {
    let mut text = format!("RTSP/1.0 {}\r\n", status.line());
    let sequence = sequence.filter(|number| number.len() <= 10 && number.bytes().all(|c| c.is_ascii_digit()));
    // Writing to a string cannot fail.
    if let Some(number) = sequence {
        let _ = write!(text, "CSeq: {number}\r\n");
    }
    for header in headers {
        let _ = write!(text, "{header}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// The description (SDP) of a camera whose H.264 stream has these parameter sets.
pub fn description(name: &str, sps: &[u8], pps: &[u8], rate: f64) -> String {
    let encode = gstreamer::glib::base64_encode;
    let profile: String = sps.get(PROFILE).unwrap_or_default().iter().map(|byte| format!("{byte:02X}")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={},{}\r\n\
         a=framerate:{rate}\r\na=control:video\r\n",
        encode(sps),
        encode(pps),
    )
}

/// Profile, constraints and level in a sequence parameter set.
const PROFILE: Range<usize> = 1..4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETUP: &str = "SETUP rtsp://127.0.0.1:554/cam-000/video RTSP/1.0\r\ncseq: 3\r\n\
                         Transport: RTP/AVP/UDP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=2-3\r\n\r\n";

    fn parsed(text: &str) -> Request {
        match parse(text.as_bytes()) {
            Ok(Some((Input::Request(request), used))) if used == text.len() => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_understood() {
        let request = parsed(SETUP);
        assert_eq!(request.method, "SETUP");
        assert_eq!(request.camera(), Some("cam-000"));
        assert_eq!(request.header("CSeq"), Some("3"));
        assert_eq!(request.channels(), Some((2, 3)), "the first transport that is interleaved");
    }

    #[test]
    fn only_interleaved_transports_are_taken() {
        for transport in
            ["RTP/AVP;unicast;client_port=1-2", "RTP/AVP/TCP;interleaved=300-301", "RTP/AVP/TCP;interleaved=1"]
        {
            let request = parsed(&format!("SETUP rtsp://h/a RTSP/1.0\r\nTransport: {transport}\r\n\r\n"));
            assert_eq!(request.channels(), None, "{transport}");
        }
        assert_eq!(
            parsed("SETUP rtsp://h/a RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast\r\n\r\n").channels(),
            Some((0, 1))
        );
    }

    #[test]
    fn what_is_incomplete_waits_and_what_is_endless_is_refused() {
        for cut in 0..SETUP.len() {
            assert_eq!(parse(&SETUP.as_bytes()[..cut]), Ok(None));
        }
        assert!(parse(&[b'A'; REQUEST_LIMIT - 1]).is_ok_and(|input| input.is_none()));
        assert!(parse(&[b'A'; REQUEST_LIMIT]).is_err());
        let body = |length: &str| format!("SET_PARAMETER * RTSP/1.0\r\nContent-Length: {length}\r\n\r\nab");
        assert!(parse(body("99999999999999999999").as_bytes()).is_err());
        assert!(parse(body("8192").as_bytes()).is_err());
        assert_eq!(parse(body("3").as_bytes()), Ok(None));
        assert!(matches!(parse(body("2").as_bytes()), Ok(Some((Input::Request(_), used))) if used == body("2").len()));
    }

    #[test]
    fn receiver_reports_are_stepped_over() {
        assert_eq!(parse(b"$\x01\x00\x02a"), Ok(None));
        assert_eq!(parse(b"$\x01\x00\x02abOPTIONS"), Ok(Some((Input::Interleaved, 6))));
    }

    #[test]
    fn other_protocols_are_refused() {
        for text in ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", "OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", "\u{e9}"] {
            assert!(parse(text.as_bytes()).is_err() || text.len() < 4, "{text}");
        }
    }

    #[test]
    fn an_answer_never_repeats_what_is_no_number() {
        let text = response(Status::Ok, Some("1\u{b}X-Evil: 1"), &[], "");
        assert_eq!(text, "RTSP/1.0 200 OK\r\n\r\n");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(bytes: Vec<u8>) {
            if let Ok(Some((_, used))) = parse(&bytes) {
                prop_assert!(used > 0 && used <= bytes.len());
            }
        }
    }
}
