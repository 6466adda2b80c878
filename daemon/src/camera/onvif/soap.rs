//! SOAP 1.2 envelopes: written for requests, read from answers.

use quick_xml::escape::escape;

use super::{
    super::text::plain,
    xml::{Element, XmlError},
};

/// SOAP 1.2.
pub const ENVELOPE: &str = "http://www.w3.org/2003/05/soap-envelope";

/// The fault codes that mean that a request came without the right to make it: ONVIF Core Specification, "Authentication failure" and
/// "Generic faults" (`ter:NotAuthorized`); Web Services Security: SOAP Message Security 1.0, section 12.
const NOT_AUTHORIZED: [&str; 5] =
    ["NotAuthorized", "FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "FailedCheck"];

/// What a device says instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", match (.code, .reason) {
    (Some(code), Some(reason)) => format!("{reason} ({code})"),
    (Some(text), None) | (None, Some(text)) => text.clone(),
    (None, None) => "it gave no reason".to_owned(),
})]
pub struct SoapFault {
    /// The innermost code, without its namespace.
    pub code: Option<String>,
    /// In the device's words.
    pub reason: Option<String>,
    /// Whether it asks who we are.
    pub asks_for_user: bool,
}

/// What stands in an envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// The first element of the body.
    Body(Element),
    /// A fault.
    Fault(SoapFault),
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoapError {
    /// No XML, or too much of it.
    #[error("its XML is refused: {0}")]
    Xml(#[from] XmlError),
    /// Some other document.
    #[error("it is no SOAP envelope")]
    NotSoap,
}

/// An envelope: `header` and `body` are XML already.
pub fn envelope(header: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// An element with a text in it, which is escaped. `tag` may have attributes.
pub fn element(tag: &str, text: &str) -> String {
    let name = tag.split(' ').next().unwrap_or(tag);
    format!("<{tag}>{}</{name}>", escape(text))
}

/// Reads an envelope.
///
/// # Errors
/// It is none.
pub fn read(bytes: &[u8]) -> Result<Content, SoapError> {
    content(&Element::parse(bytes)?)
}

/// What stands in an envelope that was read already.
///
/// # Errors
/// It is none.
pub fn content(root: &Element) -> Result<Content, SoapError> {
    let body = (root.name() == "Envelope").then(|| root.at(&["Body"])).flatten().ok_or(SoapError::NotSoap)?;
    let content = body.children().first().cloned().unwrap_or_default();
    Ok(if content.name() == "Fault" { Content::Fault(fault(&content)) } else { Content::Body(content) })
}

fn fault(fault: &Element) -> SoapFault {
    // Code/Value, Code/Subcode/Value, Code/Subcode/Subcode/Value; SOAP 1.1 has a faultcode.
    let mut codes: Vec<&str> = fault.text_at(&["faultcode"]).into_iter().collect();
    let mut level = fault.at(&["Code"]);
    while let Some(code) = level {
        codes.extend(code.text_at(&["Value"]));
        level = code.at(&["Subcode"]);
    }
    let local = |code: &&str| code.rsplit(':').next().unwrap_or(code).to_owned();
    let codes: Vec<String> = codes.iter().map(local).collect();
    let reason = fault.text_at(&["Reason", "Text"]).or_else(|| fault.text_at(&["faultstring"])).and_then(plain);
    let says = reason.as_deref().unwrap_or_default().to_ascii_lowercase();
    let asks_for_user = codes.iter().any(|code| NOT_AUTHORIZED.contains(&code.as_str()))
        || ["not authorized", "unauthorized"].iter().any(|words| says.contains(words));
    SoapFault { code: codes.last().and_then(|code| plain(code)), reason, asks_for_user }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault_of(body: &str) -> SoapFault {
        match read(envelope("", body).as_bytes()) {
            Ok(Content::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = envelope("", &element("tds:A xmlns:tds=\"x\"", "a<b&\"c"));
        let Ok(Content::Body(body)) = read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((body.name(), body.text()), ("A", "a<b&\"c"));
    }

    #[test]
    fn faults_say_who_asks_for_a_user() {
        let refused = fault_of(
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>\
             <s:Reason><s:Text xml:lang='en'>Sender not Authorized</s:Text></s:Reason></s:Fault>",
        );
        assert!(refused.asks_for_user && refused.to_string() == "Sender not Authorized (NotAuthorized)", "{refused}");
        let other = fault_of(
            "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>ter:ActionNotSupported</s:Value></s:Subcode></s:Code></s:Fault>",
        );
        assert!(!other.asks_for_user && other.to_string() == "ActionNotSupported", "{other}");
        assert!(fault_of("<Fault><faultcode>wsse:FailedAuthentication</faultcode></Fault>").asks_for_user);
        assert_eq!(fault_of("<Fault/>").to_string(), "it gave no reason");
    }

    #[test]
    fn other_documents_are_no_envelopes() {
        assert_eq!(read(b"<html><body/></html>"), Err(SoapError::NotSoap));
        assert_eq!(read(b"<Envelope/>"), Err(SoapError::NotSoap));
        assert!(matches!(read(b"hello"), Err(SoapError::Xml(XmlError::Malformed))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
